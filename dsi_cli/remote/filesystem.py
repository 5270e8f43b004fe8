"""The server behind a URL: its file system of fsspec, with bounds on time, and with errors that say in one line what is wrong.

Credentials are the backend's own matter (environment, configuration files, roles, fsspec's configuration): none pass
through here. A request that fails because of the network is made a few times, in addition to what the backend does by
itself. Once a few requests in a row have failed for good, the next ones fail at once, so that a server that is gone costs
seconds and not hours. Every `REST` seconds one request is tried all the same: a server that comes back is used again.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from dsi_cli.errors import UsageError
from dsi_cli.remote import urls

Result = TypeVar("Result")
TRIES = 3
FIRST_PAUSE = 0.3
"""Seconds before a request is made again; twice as many before the next time."""
MOST_FAILURES = 3
"""Requests in a row that fail for good before a server counts as gone."""
REST = 2.0
"""Seconds for which a server that counts as gone is not asked."""
WORKERS = 8
"""Requests at once."""
SCHEMES = ("s3", "gs", "hf", "memory")
"""The tested ones; a URL of any other scheme that fsspec knows is opened as well."""
_BOTOCORE = {"connect_timeout": 5, "read_timeout": 20, "retries": {"total_max_attempts": 2, "mode": "standard"}}
_OPTIONS = {"s3": {"config_kwargs": _BOTOCORE}}
"""With which options a file system is opened, by scheme; a person's own configuration of fsspec comes first."""
_TRANSIENT = (
    "timeout",
    "connection",
    "incompleteread",
    "payload",
    "disconnected",
    "slowdown",
    "servererror",
    "protocolerror",
)
_OF_CREDENTIALS = ("credential", "token", "refresherror")


class Server:
    """How the server behind a file system behaved so far."""

    def __init__(self) -> None:
        self._failures = 0
        self._ask_again = 0.0

    def ask(self, request: Callable[[], Result], *, is_cached: bool = False) -> Result:
        """Return what a call of the file system gives.

        Parameters
        ----------
        is_cached : whether the file system answers from its cache, which does not show whether the server is there

        Raises
        ------
        OSError
            It failed for good: `FileNotFoundError`, `PermissionError`, `ConnectionError` or another, its ``strerror`` one line.
        """
        pause = FIRST_PAUSE
        for tries in range(1, TRIES + 1):
            if self._failures >= MOST_FAILURES and not is_cached:
                if time.monotonic() < self._ask_again:
                    raise ConnectionError(errno.ECONNABORTED, "the server does not answer any more")
                self._ask_again = time.monotonic() + REST  # meanwhile the other threads fail at once
            try:
                result = request()
            except Exception as error:  # noqa: BLE001 (backends raise what their libraries do)
                told = _told(error)
                if not isinstance(told, ConnectionError):
                    raise told from None
                if tries == TRIES:
                    self._failures += 1
                    self._ask_again = time.monotonic() + REST
                    raise told from None
                time.sleep(pause)
                pause *= 2
            else:
                self._failures = self._failures if is_cached else 0
                return result
        raise AssertionError


_servers: WeakKeyDictionary[Any, Server] = WeakKeyDictionary()


def server_of(fs: Any) -> Server:
    """Return the server behind a file system, the same for as long as the file system is in use."""
    return _servers.setdefault(fs, Server())


def options_of(scheme: str) -> dict[str, Any]:
    """Return with which options the file system of a scheme is opened."""
    import fsspec

    own = fsspec.config.conf.get(scheme, {})
    return {name: value for name, value in _OPTIONS.get(scheme, {}).items() if name not in own}


def opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path of the URL there.

    Raises
    ------
    UsageError
        fsspec does not know the scheme, or its backend is not installed.
    """
    from fsspec.core import url_to_fs

    scheme = urls.scheme_of(url) or ""
    try:
        fs, path = url_to_fs(url, **options_of(scheme))
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// wants a package that is not installed ({urls.cleaned(str(error))}):"
            " pip install 'dsi-cli[remote]' brings those of s3, gs and hf"
        ) from None
    except ValueError:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise UsageError(f"{scheme}:// is no kind of URL that fsspec knows: expected a local path, {known}") from None
    except Exception as error:  # noqa: BLE001 (such as Google's, which looks for credentials at once)
        raise UsageError(f"{scheme}:// cannot be opened: {_told(error).strerror}") from None
    _servers[fs] = Server()
    return fs, str(path).rstrip("/")


def _told(error: Exception) -> OSError:
    """Return an error of a backend as one of the system's, its text one line without secrets."""
    names = " ".join(kind.__name__ for kind in type(error).__mro__).lower()
    text = urls.cleaned(getattr(error, "strerror", None) or str(error)) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "not found on the server")
    if isinstance(error, PermissionError):
        return PermissionError(errno.EACCES, f"the server denies access ({text})")
    if any(word in names for word in _OF_CREDENTIALS):
        return PermissionError(errno.EACCES, f"no credentials that the server takes ({text})")
    if isinstance(error, TimeoutError | ConnectionError) or any(word in names for word in _TRANSIENT):
        return ConnectionError(errno.ECONNABORTED, f"the server does not answer ({text})")
    if isinstance(error, OSError) and error.errno in (errno.EBUSY, errno.EAGAIN):
        return ConnectionError(errno.ECONNABORTED, f"the server is too busy ({text})")
    return OSError(getattr(error, "errno", None) or errno.EIO, f"the server answered with an error ({text})")
