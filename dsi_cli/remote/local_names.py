"""What copies of remote files are called, on this machine and in messages.

A copy keeps the URL's names below a folder: ``s3://lab/runs/a`` is ``FOLDER/s3/lab/runs/a``. So names mean the same, and a message
about a copy can name the URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dsi_cli.errors import DsiError
from dsi_cli.remote import urls

_folders: ContextVar[tuple[Path, ...]] = ContextVar("folders of copies", default=())


def path_of(url: str, folder: Path) -> Path:
    """Return where the copy of a URL lies below a folder."""
    scheme, _, rest = urls.shown(url).partition("://")
    return folder.joinpath(scheme.lower(), *(part for part in rest.split("/") if part not in ("", ".", "..")))


def with_urls(text: str, folder: Path) -> str:
    """Return a text with URLs in place of the paths of copies below a folder.

    >>> with_urls("no labels in /tmp/x/s3/lab/classes.txt", Path("/tmp/x"))
    'no labels in s3://lab/classes.txt'
    """
    before, found, rest = text.partition(f"{folder}/")
    if not found:
        return text
    scheme, slash, rest = rest.partition("/")
    return f"{before}{scheme}{'://' if slash else ''}{with_urls(rest, folder)}"


@contextmanager
def shown_as_urls(folder: Path) -> Iterator[None]:
    """Let `shown` and `address`, and errors that leave the block, have URLs in place of the copies below a folder."""
    token = _folders.set((*_folders.get(), folder))
    try:
        yield
    except DsiError as error:
        error.args = (with_urls(str(error), folder),)
        raise
    finally:
        _folders.reset(token)


def shown(text: str) -> str:
    """Return a text with URLs in place of the paths of copies."""
    for folder in _folders.get():
        text = with_urls(text, folder)
    return text


def address(path: Path) -> str:
    """Return what a path is known by from call to call: the URL of a copy, the path itself of anything else."""
    text = str(path.resolve())
    for folder in _folders.get():
        text = with_urls(text, folder.resolve())
    return text
