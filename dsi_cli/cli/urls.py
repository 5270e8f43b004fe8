"""Options that are URLs: a verb gets paths of this machine in their place, and its words are told in the URLs' again.

Checkpoints are read where they lie; what a verb reads whole is fetched, and an output is mirrored (`dsi_cli.store.remote_output`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.cli import console
from dsi_cli.errors import UsageError
from dsi_cli.remote import local_names, urls


class UrlOutput(NamedTuple):
    """Which option of a verb is an output folder of dsi."""

    option: str
    is_written: bool = False
    """Whether the verb writes tables or the report, so that others are kept out meanwhile."""
    leaves: tuple[str, ...] = ("predictions",)
    """Tables that it does not read."""


OUTPUTS = {
    "analyze": UrlOutput("out", is_written=True, leaves=()),
    "watch": UrlOutput("out", is_written=True, leaves=()),
    "demo": UrlOutput("out", is_written=True, leaves=()),
    "report": UrlOutput("output", is_written=True, leaves=()),
    "plot": UrlOutput("output", leaves=()),
    "mistakes": UrlOutput("output", leaves=()),
    "neighbors": UrlOutput("output"),
    "export": UrlOutput("output"),
    "compare": UrlOutput("outputs"),
}
"""By verb."""
_FLATTENED = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)


@contextmanager
def with_local_paths(verb: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a verb's options with paths of this machine in place of URLs.

    Raises
    ------
    UsageError
        An option that wants a local path is a URL, or there is nothing behind one.
    OutputError
        The output's server does not answer, or does not take what was written.
    """
    typed = {name: _as_typed(value) for name, value in options.items()}
    values = {name: value for name, value in typed.items() if _has_url(value)}
    if not values:
        yield typed
        return
    from tempfile import TemporaryDirectory

    from dsi_cli.analysis.option_groups.declaration import AS_IT_IS

    handling = url_handling()
    values = {name: value for name, value in values.items() if handling.get(name) != AS_IT_IS}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dsi-"))).resolve()
        stack.enter_context(local_names.shown_as_urls(folder))
        local = {
            name: _localize(verb, name, value, handling.get(name), folder, options, stack) for name, value in values.items()
        }
        yield typed | local


def url_handling() -> dict[str, str]:
    """Return what happens to a URL, by the name of the command's parameter; URLs in other parameters are refused."""
    # Imported here, so that dsi --help does not import it.
    from dsi_cli.analysis.option_groups.declaration import AS_IT_IS, DOWNLOAD, declared_options
    from dsi_cli.analysis.option_groups.groups import ANALYZE

    return {"map_file": DOWNLOAD, "measure": DOWNLOAD, "tensors": AS_IT_IS} | {
        declared.parameter: declared.option.url
        for groups in ANALYZE.values()
        for group in groups
        for declared in declared_options(group)
        if declared.option.url is not None
    }


def _localize(
    verb: str, name: str, value: Any, handling: str | None, folder: Path, options: Mapping[str, Any], stack: ExitStack
) -> str | Path | list[str | Path]:
    """Return one option with paths in place of URLs."""
    from dsi_cli.analysis.option_groups.declaration import CACHE
    from dsi_cli.remote import download

    output = OUTPUTS.get(verb)
    is_output = output is not None and output.option == name
    if not is_output and handling is None:
        raise UsageError(f"--{name.replace('_', '-')} takes a path of this machine, not a URL")

    def one(text: str | Path) -> str | Path:
        if isinstance(text, Path) or not _has_url(text):
            return text
        if output is not None and is_output:
            return _mirrored(text, output, folder, options, stack)
        return download.localize(text, download.cache() if handling == CACHE else folder)

    return [one(part) for part in dict.fromkeys(value)] if isinstance(value, list) else one(value)


def _mirrored(url: str, output: UrlOutput, folder: Path, options: Mapping[str, Any], stack: ExitStack) -> Path:
    from dsi_cli.store.remote_output import RemoteOutput

    mirror = RemoteOutput(url, folder, _wanted(output, options))
    if output.is_written and options.get("file") is None:
        stack.enter_context(mirror.writing())
    else:
        stack.callback(mirror.finish)
    stack.enter_context(console.uploading(mirror.finish))
    return mirror.path


def _wanted(output: UrlOutput, options: Mapping[str, Any]) -> Callable[[str], bool]:
    """Return whether a file is needed, by its place in the output: not what the options leave out."""
    kind, epoch = options.get("kind"), options.get("epoch")
    only = output.option == "output" and isinstance(kind, str) and not output.is_written

    def wanted(name: str) -> bool:
        top, *rest = name.split("/")
        if top in output.leaves:
            return False
        if top != "csms" or not only or len(rest) < 2:
            return True
        is_kind = rest[-2].partition("-")[0] == kind
        return is_kind and (epoch is None or re.split(r"[-.]", rest[-1])[0] == str(epoch))

    return wanted


def _as_typed(value: Any) -> Any:
    """Return a value with URLs as they were typed, since the command line's paths lose a slash; ``file://`` as a path."""
    if isinstance(value, list):
        return [_as_typed(one) for one in value]
    if isinstance(value, str):
        return urls.local_path(value)
    found = _FLATTENED.match(str(value)) if isinstance(value, Path) else None
    if found is None or value.exists():
        return value
    slashes = "///" if found[1].lower() in urls.LOCAL else "//"
    url = f"{found[1]}:{slashes}{str(value)[found.end() :]}"
    return url if urls.scheme_of(url) else Path(urls.local_path(url))


def _has_url(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_url, value))
    return isinstance(value, str) and urls.found_in(value) is not None
