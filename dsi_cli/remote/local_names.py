"""The paths of local copies of remote files, and the URLs that replace them in messages.

A copy has the names of the URL in a folder: ``s3://lab/runs/a`` becomes ``FOLDER/s3/lab/runs/a``. Names therefore stay the same,
and a message about a copy can show the URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dsi_cli.errors import DsiError
from dsi_cli.remote import urls

_folders: ContextVar[tuple[Path, ...]] = ContextVar("folders of copies", default=())


def copy_path(url: str, folder: Path) -> Path:
    """Return the path of the copy of a URL in a folder."""
    scheme, _, rest = urls.without_secrets(url).partition("://")
    return folder.joinpath(scheme.lower(), *(part for part in rest.split("/") if part not in ("", ".", "..")))


def restore_urls(text: str, folder: Path) -> str:
    """Return a text in which URLs replace the paths of copies in a folder.

    >>> restore_urls("no labels in /tmp/x/s3/lab/classes.txt", Path("/tmp/x"))
    'no labels in s3://lab/classes.txt'
    """
    before, separator, rest = text.partition(f"{folder}/")
    if not separator:
        return text
    scheme, slash, rest = rest.partition("/")
    return f"{before}{scheme}{'://' if slash else ''}{restore_urls(rest, folder)}"


@contextmanager
def urls_in_messages(folder: Path) -> Iterator[None]:
    """Make `show_urls`, `address` and errors that leave the block use URLs instead of the paths of copies in a folder."""
    token = _folders.set((*_folders.get(), folder))
    try:
        yield
    except DsiError as error:
        error.args = (restore_urls(str(error), folder),)
        raise
    finally:
        _folders.reset(token)


def show_urls(text: str) -> str:
    """Return a text in which URLs replace the paths of copies."""
    for folder in _folders.get():
        text = restore_urls(text, folder)
    return text


def address(path: Path) -> str:
    """Return the address that identifies a path in later calls: the URL for a copy, the resolved path otherwise."""
    text = str(path.resolve())
    for folder in _folders.get():
        text = restore_urls(text, folder.resolve())
    return text
