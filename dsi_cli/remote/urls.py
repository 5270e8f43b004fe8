"""Recognition of URLs, removal of passwords and tokens from them, and the paths of
local copies of remote files.

A copy has the names of the URL in a folder: ``s3://lab/runs/a`` becomes
``dsi-copies-x1/s3/lab/runs/a``. Names therefore stay the same, and a message about a
copy can show the URL.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from urllib.parse import unquote

from dsi_cli.errors import DsiError, UsageError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_TO_END = re.compile(r"[a-z][a-z0-9+.-]{1,40}://.*", re.IGNORECASE)
_HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
_IN_TEXT = re.compile(r"\b[a-z][a-z0-9+.-]{1,40}://[^\s'\"<>]+", re.IGNORECASE)
LOCAL = ("file", "local")
# the beginning of the name of a temporary folder of copies
COPIES = "dsi-copies-"


def scheme_of(path: str | PathLike[str]) -> str | None:
    """Return the scheme of a remote URL, or None for paths and ``file://`` URLs.

    >>> scheme_of("s3://bucket/runs"), scheme_of("runs/a"), scheme_of("file:///runs"), scheme_of("timm:resnet18")
    ('s3', None, None, None)
    """
    match = _SCHEME.match(path) if isinstance(path, str) else None
    scheme = match[1].lower() if match else None
    return None if scheme in LOCAL else scheme


def find_url(text: str) -> re.Match[str] | None:
    """Return the match of a remote URL that ends an option's text, or None without a
    remote URL.

    >>> find_url("res:s3://lists/brown.csv")[0], find_url("res:brown.csv")
    ('s3://lists/brown.csv', None)
    """
    match = _TO_END.search(text)
    return match if match and scheme_of(match[0]) else None


def local_path(path: str | PathLike[str]) -> str:
    """Return a path with the home folder for ``~``, or the path of a ``file://`` URL.

    >>> local_path("file:///runs/a%20b"), local_path("runs/a%20b")
    ('/runs/a b', 'runs/a%20b')
    """
    text = fspath(path)
    match = _SCHEME.match(text)
    if match is None or match[1].lower() not in LOCAL:
        return os.path.expanduser(text)  # noqa: PTH111 (that of Path raises an error for unknown users)
    return unquote(text[match.end() :])


def without_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment. The ``@`` of an
    ``hf://`` URL begins a revision, which stays.

    >>> without_secrets("https://me:secret@host/a.pt?token=1"), without_secrets("s3://bucket/a b.pt")
    ('https://host/a.pt', 's3://bucket/a b.pt')
    >>> without_secrets("hf://gpt2@step1000/a.pt")
    'hf://gpt2@step1000/a.pt'
    """
    url = _HUB_TOKEN.sub("hf_***", url)
    match = _SCHEME.match(url)
    if match is None:
        return url
    host, slash, rest = url[match.end() :].partition("/")
    if match[1].lower() == "hf" and ":" not in host:
        return url
    if match[1].lower() in ("http", "https"):
        rest = rest.partition("?")[0].partition("#")[0]
        host = host.partition("?")[0]
    return f"{match[0]}{host.rpartition('@')[2]}{slash}{rest}"


def require_local_output(out: str | PathLike[str]) -> None:
    """Raise `UsageError` if an output folder is a URL."""
    if scheme_of(out) is None:
        return
    url = without_secrets(fspath(out)).rstrip("/")
    folder = url.rpartition("/")[2] or "dsi-out"
    message = f"the output must be a folder of this machine, not {url}"
    raise UsageError(
        message,
        hint=(
            f"give -o {shlex.quote(folder)}, and copy that folder to the server"
            " afterwards (docs/remote.md has the commands)"
        ),
        code="url-output",
        option="--out",
    )


def clean_message(text: str) -> str:
    r"""Return the first line of a message, at most 200 characters, with its URLs as in
    `without_secrets`.

    >>> clean_message("403 for https://me:pw@host/x?sig=abc (denied)\nmore")
    '403 for https://host/x (denied)'
    """
    line = _HUB_TOKEN.sub("hf_***", next(iter(text.strip().splitlines()), ""))
    return _IN_TEXT.sub(
        lambda match: without_secrets(match[0].partition("?")[0]), line
    )[:200]


def copy_path(url: str, folder: Path) -> Path:
    """Return the path of the copy of a URL in a folder."""
    scheme, _, rest = without_secrets(url).partition("://")
    return folder.joinpath(
        scheme.lower(),
        *(part for part in rest.split("/") if part not in ("", ".", "..")),
    )


@contextmanager
def urls_in_messages() -> Iterator[None]:
    """Make errors that leave the block name URLs instead of the paths of copies."""
    try:
        yield
    except DsiError as error:
        error.args = (show_urls(str(error)),)
        raise


def show_urls(text: str) -> str:
    """Return a text in which URLs replace the paths of copies.

    >>> import tempfile
    >>> folder = Path(tempfile.gettempdir()).resolve() / f"{COPIES}x1"
    >>> show_urls(f"no labels in {folder}/s3/lab/classes.txt")
    'no labels in s3://lab/classes.txt'
    """
    if COPIES not in text:
        return text
    import tempfile

    parent = re.escape(str(Path(tempfile.gettempdir()).resolve()))
    copy = rf"{parent}[\\/]{COPIES}\w+[\\/]([^\\/]*)([\\/]?)"
    return re.sub(copy, lambda match: match[1] + ("://" if match[2] else ""), text)


def address(path: Path) -> str:
    """Return the address that identifies a path in later calls: the URL for a copy, the
    resolved path otherwise.
    """
    return show_urls(str(path.resolve()))
