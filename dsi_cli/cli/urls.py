"""Options whose value is a URL: a command gets local paths, and its messages show the
URLs.

dsi reads checkpoints in place, and downloads everything else. It writes results to
local folders only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.errors import UsageError
from dsi_cli.remote import urls
from dsi_cli.store.schema import MatrixId


class ResultsOption(NamedTuple):
    """The option of a command that is a results folder."""

    name: str
    other_output: str | None = None
    """The option that makes the command write to another path; the empty text if the
    command never writes to the folder.
    """
    unread: tuple[
        str, ...
    ] = ()  # the folders and tables that the command does not read


RESULTS = {
    "analyze": ResultsOption("out"),
    "watch": ResultsOption("out"),
    "demo": ResultsOption("out"),
    "report": ResultsOption("output", "file", ("predictions",)),
    "plot": ResultsOption("output", "out"),
    "mistakes": ResultsOption("output", ""),
    "neighbors": ResultsOption("output", "", ("predictions",)),
    "export": ResultsOption("output", "", ("predictions",)),
    "compare": ResultsOption("outputs", "", ("predictions",)),
}
"""The results folder of each command."""
_FLATTENED = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)


@contextmanager
def with_local_paths(
    command: str, options: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield a command's options with local paths in place of URLs.

    Raise `UsageError` if an option that needs a local path is a URL, or a URL leads to
    no file. Raise `OutputError` if a results folder cannot be downloaded.
    """
    typed = {name: _as_typed(value) for name, value in options.items()}
    values = {name: value for name, value in typed.items() if _has_url(value)}
    if not values:
        yield typed
        return
    from tempfile import TemporaryDirectory

    # Imported here, so that dsi --help does not import it.
    from dsi_cli.analysis.option_groups.declaration import (
        AS_IT_IS,
        CACHE,
        DOWNLOAD,
        declared_options,
    )
    from dsi_cli.analysis.option_groups.groups import ANALYZE
    from dsi_cli.remote import download

    # What happens to a URL depends on the parameter. URLs in other parameters are
    # refused.
    handling = {
        "map_file": DOWNLOAD,
        "measure": DOWNLOAD,
        "tensors": AS_IT_IS,
        "first": AS_IT_IS,
        "second": AS_IT_IS,
    }
    for declared in chain.from_iterable(
        map(declared_options, chain.from_iterable(ANALYZE.values()))
    ):
        if declared.option.url is not None:
            handling[declared.parameter] = declared.option.url
    results = RESULTS.get(command)
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
                if results is not None and results.name == name:
                    paths[text] = _downloaded_results(text, results, folder, options)
                elif name in handling:
                    target = (
                        download.cache_folder() if handling[name] == CACHE else folder
                    )
                    paths[text] = download.localize(text, target)
                else:
                    flag = f"--{name.replace('_', '-')}"
                    raise UsageError(
                        f"{flag} takes a path of this machine, not a URL",
                        code="url-not-allowed",
                        option=flag,
                    )
            local[name] = (
                [paths.get(text, text) for text in texts]
                if isinstance(value, list)
                else paths[value]
            )
        yield typed | local


def _downloaded_results(
    url: str, results: ResultsOption, folder: Path, options: Mapping[str, Any]
) -> Path:
    """Return the local copy of a results folder; raise `UsageError` if the command
    would write to the folder.
    """
    from dsi_cli.remote import download

    if results.other_output is None:
        urls.require_local_output(url)
    elif results.other_output and options[results.other_output] is None:
        message = f"{urls.without_secrets(url)} cannot be written to"
        raise UsageError(
            message,
            hint="add -o with a path of this machine",
            code="url-output",
            option="--out",
        )
    kind, epoch = options.get("kind"), options.get("epoch")
    is_one_kind = results.name == "output" and isinstance(kind, str)

    def is_needed(path: str) -> bool:
        """Return whether the command needs a file, from its path in the results
        folder.
        """
        top, *rest = path.split("/")
        if top in results.unread:
            return False
        if top != "csms" or not is_one_kind or len(rest) < 2:
            return True
        is_kind = MatrixId.parse(rest[-2]).kind == kind
        return is_kind and (
            epoch is None or re.split(r"[-.]", rest[-1])[0] == str(epoch)
        )

    return download.fetch_results(url, folder, is_needed)


def _as_typed(value: Any) -> Any:
    """Return a value with URLs as they were typed, because `Path` removes a slash;
    ``~`` and ``file://`` become paths.
    """
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
