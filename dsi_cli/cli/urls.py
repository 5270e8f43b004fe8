"""Options whose value is a URL: a command gets local paths, and its messages show the URLs.

dsi reads checkpoints in place. It downloads other files, and keeps a local copy of an output folder
(`dsi_cli.store.remote_output`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.cli import console
from dsi_cli.errors import UsageError
from dsi_cli.remote import urls
from dsi_cli.store.schema import MatrixId


class UrlOutput(NamedTuple):
    """The option of a command that is a results folder."""

    option: str
    is_written: bool = False  # True if the command writes tables or the report, so that it locks the folder
    unread: tuple[str, ...] = ("predictions",)  # the folders and tables that the command does not read


OUTPUTS = {
    "analyze": UrlOutput("out", is_written=True, unread=()),
    "watch": UrlOutput("out", is_written=True, unread=()),
    "demo": UrlOutput("out", is_written=True, unread=()),
    "report": UrlOutput("output", is_written=True, unread=()),
    "plot": UrlOutput("output", unread=()),
    "mistakes": UrlOutput("output", unread=()),
    "neighbors": UrlOutput("output"),
    "export": UrlOutput("output"),
    "compare": UrlOutput("outputs"),
}
"""The results folder of each command."""
_FLATTENED = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)


@contextmanager
def with_local_paths(command: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a command's options with local paths in place of URLs.

    Raise `UsageError` if an option that needs a local path is a URL, or a URL leads to no file. Raise `OutputError` if
    the server of the output cannot be reached, or refuses a file.
    """
    typed = {name: _as_typed(value) for name, value in options.items()}
    values = {name: value for name, value in typed.items() if _has_url(value)}
    if not values:
        yield typed
        return
    from tempfile import TemporaryDirectory

    # Imported here, so that dsi --help does not import it.
    from dsi_cli.analysis.option_groups.declaration import AS_IT_IS, CACHE, DOWNLOAD, declared_options
    from dsi_cli.analysis.option_groups.groups import ANALYZE
    from dsi_cli.remote import download

    # What happens to a URL depends on the parameter. URLs in other parameters are refused.
    handling = {"map_file": DOWNLOAD, "measure": DOWNLOAD, "tensors": AS_IT_IS, "first": AS_IT_IS, "second": AS_IT_IS}
    for declared in chain.from_iterable(map(declared_options, chain.from_iterable(ANALYZE.values()))):
        if declared.option.url is not None:
            handling[declared.parameter] = declared.option.url
    output = OUTPUTS.get(command)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dsi-"))).resolve()
        stack.enter_context(urls.urls_in_messages(folder))
        local: dict[str, Any] = {}
        for name, value in values.items():
            if handling.get(name) == AS_IT_IS:
                continue
            texts = dict.fromkeys(value) if isinstance(value, list) else [value]
            paths: dict[Any, str | Path] = {}
            for text in filter(_has_url, texts):
                if output is not None and output.option == name:
                    paths[text] = _local_output(text, output, folder, options, stack)
                elif name in handling:
                    target = download.cache_folder() if handling[name] == CACHE else folder
                    paths[text] = download.localize(text, target)
                else:
                    flag = f"--{name.replace('_', '-')}"
                    raise UsageError(f"{flag} takes a path of this machine, not a URL", code="url-not-allowed", option=flag)
            local[name] = [paths.get(text, text) for text in texts] if isinstance(value, list) else paths[value]
        yield typed | local


def _local_output(url: str, output: UrlOutput, folder: Path, options: Mapping[str, Any], stack: ExitStack) -> Path:
    """Return the local copy of a results folder, which is uploaded at the end if the command writes to it."""
    from dsi_cli.store.remote_output import RemoteOutput

    kind, epoch = options.get("kind"), options.get("epoch")
    is_one_kind = output.option == "output" and isinstance(kind, str) and not output.is_written

    def is_needed(path: str) -> bool:
        """Return whether the command needs a file, from its path in the results folder."""
        top, *rest = path.split("/")
        if top in output.unread:
            return False
        if top != "csms" or not is_one_kind or len(rest) < 2:
            return True
        is_kind = MatrixId.parse(rest[-2]).kind == kind
        return is_kind and (epoch is None or re.split(r"[-.]", rest[-1])[0] == str(epoch))

    remote_output = RemoteOutput(url, folder, is_needed)
    if output.is_written and options.get("file") is None:
        stack.enter_context(remote_output.writing())
    else:
        stack.callback(remote_output.finish)
    stack.enter_context(console.uploading(remote_output.finish))
    return remote_output.path


def _as_typed(value: Any) -> Any:
    """Return a value with URLs as they were typed, because `Path` removes a slash; ``~`` and ``file://`` become paths."""
    if isinstance(value, list):
        return [_as_typed(part) for part in value]
    if isinstance(value, str):
        return urls.local_path(value)
    match = _FLATTENED.match(str(value)) if isinstance(value, Path) else None
    if match is None or value.exists():
        return Path(urls.local_path(value)) if isinstance(value, Path) else value
    slashes = "///" if match[1].lower() in urls.LOCAL else "//"
    url = f"{match[1]}:{slashes}{str(value)[match.end() :]}"
    return url if urls.scheme_of(url) else Path(urls.local_path(url))


def _has_url(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_url, value))
    return isinstance(value, str) and urls.find_url(value) is not None
