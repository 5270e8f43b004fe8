"""What is a URL, and how one is shown: without passwords and tokens."""

from __future__ import annotations

import re
from os import PathLike, fspath
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_TO_END = re.compile(r"[a-z][a-z0-9+.-]+://.*", re.IGNORECASE)
_IN_TEXT = re.compile(r"\b[a-z][a-z0-9+.-]+://[^\s'\"<>]+", re.IGNORECASE)
LOCAL = ("file", "local")


def scheme_of(path: str | PathLike[str]) -> str | None:
    """Return the scheme of a URL that leads off this machine's file system; None for paths and ``file://``.

    >>> scheme_of("s3://bucket/runs"), scheme_of("runs/a"), scheme_of("file:///runs"), scheme_of("timm:resnet18")
    ('s3', None, None, None)
    """
    found = _SCHEME.match(path) if isinstance(path, str) else None
    scheme = found[1].lower() if found is not None else None
    return None if scheme in LOCAL else scheme


def found_in(text: str) -> re.Match[str] | None:
    """Return the URL in an option's text, up to its end; None without one that leads off this machine's file system.

    >>> found_in("res:s3://lists/brown.csv")[0], found_in("res:brown.csv")
    ('s3://lists/brown.csv', None)
    """
    found = _TO_END.search(text)
    return found if found is not None and scheme_of(found[0]) is not None else None


def local_path(path: str | PathLike[str]) -> str:
    """Return a path, or the one that a ``file://`` URL means.

    >>> local_path("file:///runs/a%20b"), local_path("runs/a%20b")
    ('/runs/a b', 'runs/a%20b')
    """
    text = fspath(path)
    found = _SCHEME.match(text)
    return unquote(text[found.end() :]) if found is not None and found[1].lower() in LOCAL else text


def shown(url: str) -> str:
    """Return a URL without user, password, query and fragment.

    >>> shown("https://me:secret@host/a.pt?token=1"), shown("s3://bucket/a b.pt"), shown("runs/what?.pt")
    ('https://host/a.pt', 's3://bucket/a b.pt', 'runs/what?.pt')
    """
    found = _SCHEME.match(url)
    if found is None:
        return url
    place, slash, rest = url[found.end() :].partition("/")
    if found[1].lower() in ("http", "https"):
        rest = rest.partition("?")[0].partition("#")[0]
        place = place.partition("?")[0]
    return f"{found[0]}{place.rpartition('@')[2]}{slash}{rest}"


def cleaned(text: str) -> str:
    r"""Return the first line of a message with the URLs in it as `shown`, at most 200 characters.

    >>> cleaned("403 for https://me:pw@host/x?sig=abc (denied)\nmore")
    '403 for https://host/x (denied)'
    """
    lines = text.strip().splitlines()
    return _IN_TEXT.sub(_without_query, lines[0])[:200] if lines else ""


def _without_query(found: re.Match[str]) -> str:
    return shown(found[0].partition("?")[0])


def name_of(url: str) -> str:
    """Return the last part of a URL's path: a file's name.

    >>> name_of("https://host/a/preds.npy?token=1"), name_of("s3://bucket/a/")
    ('preds.npy', 'a')
    """
    return Path(urlsplit(shown(url)).path.rstrip("/") or shown(url)).name
