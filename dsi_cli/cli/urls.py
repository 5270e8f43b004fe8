"""URLs in the options of commands: a command that reads results, labels or lists gets
local copies, and its messages show the URLs.

dsi reads checkpoints in place, and the plan of an analysis downloads what its options
name. dsi writes results to local folders only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
    # the folders and tables that the command does not read
    unread: tuple[str, ...] = ()


RESULTS = {
    "analyze": ResultsOption("out"),
    "watch": ResultsOption("out"),
    "demo": ResultsOption("out"),
    "report": ResultsOption("output", "file", ("predictions",)),
    "plot": ResultsOption("output", "out"),
    "suspects": ResultsOption("output", "", ("predictions", "csms")),
    "mistakes": ResultsOption("output", ""),
    "neighbors": ResultsOption("output", "", ("predictions",)),
    "export": ResultsOption("output", "", ("predictions",)),
    "compare": ResultsOption("outputs", "", ("predictions",)),
}
"""The results folder of each command."""
ANALYSES = ("analyze", "watch")  # the commands whose options the plan resolves
READ_IN_PLACE = ("checkpoints", "tensors", "first", "second", "log_to")
DOWNLOADED = ("labels", "map_file", "measure", "taxonomy")
_FLATTENED = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])", re.IGNORECASE)


def with_local_paths(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's options with local paths in place of URLs.

    Raise `UsageError` if an option that needs a local path is a URL, or a URL leads to
    no file. Raise `OutputError` if a results folder cannot be downloaded.
    """
    values: dict[str, Any] = {}
    results = RESULTS.get(command)
    for name, value in options.items():
        values[name] = typed = _as_typed(value)
        if name in READ_IN_PLACE or not _has_url(typed):
            continue
        if results is not None and name == results.name:
            values[name] = _with_copies(
                typed, lambda url: _downloaded_results(url, results, options)
            )
        elif command in ANALYSES:
            continue
        elif name in DOWNLOADED:
            values[name] = _with_copies(typed, _downloaded)
        else:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{flag} takes a path of this machine, not a URL",
                code="url-not-allowed",
                option=flag,
            )
    return values


def _with_copies(value: Any, download: Callable[[str], Any]) -> Any:
    """Return a URL, or several paths and URLs, with paths of copies."""
    if not isinstance(value, list):
        return download(value)
    return [download(text) if _has_url(text) else text for text in value]


def _downloaded(url: str) -> str:
    from dsi_cli.remote import download

    return download.localize(url, download.copies_folder())


def _downloaded_results(
    url: str, results: ResultsOption, options: Mapping[str, Any]
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

    def is_needed(path: str) -> bool:
        """Return whether the command needs a file, from its path in the results
        folder.
        """
        top, *rest = path.split("/")
        if top in results.unread:
            return False
        if top != "csms" or not isinstance(kind, str) or len(rest) < 2:
            return True
        if MatrixId.parse(rest[-2]).kind != kind:
            return False
        return epoch is None or re.split(r"[-.]", rest[-1])[0] == str(epoch)

    return download.fetch_results(url, download.copies_folder(), is_needed)


def _as_typed(value: Any) -> Any:
    """Return a value with URLs as they were typed, because `Path` removes a slash;
    ``~`` and ``file://`` become paths.
    """
    if isinstance(value, list):
        return [_as_typed(part) for part in value]
    if isinstance(value, str):
        return urls.local_path(value)
    if not isinstance(value, Path):
        return value
    match = _FLATTENED.match(str(value))
    if match is not None and not value.exists():
        scheme, rest = match[1], str(value)[match.end() :]
        slashes = "///" if scheme.lower() in urls.LOCAL else "//"
        url = f"{scheme}:{slashes}{rest}"
        if urls.scheme_of(url):
            return url
        return Path(urls.local_path(url))
    return Path(urls.local_path(value))


def _has_url(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_url, value))
    return isinstance(value, str) and urls.find_url(value) is not None
