"""The fsspec file system behind a URL, with time limits, retries and errors of one
line.

The backend handles credentials itself (environment, configuration files, roles,
fsspec's configuration). dsi never sees them.

dsi repeats a request that fails because of the network, in addition to the retries of
the backend. If a few requests in a row fail finally, the next ones fail at once, so
that a lost server costs seconds and not hours. Every `RETRY_AFTER_SECONDS` seconds, one
request is still sent, so that dsi uses a server again when it comes back.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from dsi_cli.errors import UsageError
from dsi_cli.remote import urls

Result = TypeVar("Result")
MAX_TRIES = 3
# pause before a request is repeated; it doubles before each further repetition
FIRST_PAUSE_SECONDS = 0.3
# requests in a row that must fail finally before a server counts as lost
MAX_FAILURES = 3
RETRY_AFTER_SECONDS = 2.0  # time in which dsi sends no request to a lost server
WORKERS = 8  # parallel requests
# the tested schemes; dsi also opens URLs of any other scheme that fsspec knows
SCHEMES = ("s3", "gs", "hf", "memory")
_BOTOCORE_CONFIG = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"total_max_attempts": 2, "mode": "standard"},
}
_OPTIONS = {"s3": {"config_kwargs": _BOTOCORE_CONFIG}}
"""The options of a file system by scheme; the user's configuration of fsspec takes
precedence.
"""
_TRIES: dict[Any, int] = {"hf": 2}
"""The number of tries by scheme, where it is not `MAX_TRIES`: huggingface_hub itself
repeats a request five times.
"""
_TRANSIENT_WORDS = (
    *("timeout", "connection", "incompleteread", "payload", "disconnected"),
    *("slowdown", "servererror", "protocolerror", "connecterror", "networkerror"),
)
# HTTP status; 501 says that a server never does what was asked
_BUSY = (429, 500, *range(502, 600))
_CREDENTIAL_WORDS = ("credential", "token", "refresherror")


class Server:
    """The recent failures of the server behind a file system."""

    def __init__(self, max_tries: int = MAX_TRIES) -> None:
        self._max_tries = max_tries
        self._failures = 0
        self._next_request_time = 0.0

    def send(self, request: Callable[[], Result], *, is_cached: bool = False) -> Result:
        """Return the result of a call of the file system. A cached result does not show
        whether the server is available.

        Raise `OSError` if the request failed finally. The error is a
        `FileNotFoundError`, `PermissionError`, `ConnectionError` or another `OSError`,
        and its ``strerror`` is one line.
        """
        pause = FIRST_PAUSE_SECONDS
        for tries in range(1, self._max_tries + 1):
            if not is_cached and self._failures >= MAX_FAILURES:
                # The server is lost. One thread asks it again, and until then, the
                # others fail at once.
                if time.monotonic() < self._next_request_time:
                    raise ConnectionError(
                        errno.ECONNABORTED, "the server no longer responds"
                    )
                self._next_request_time = time.monotonic() + RETRY_AFTER_SECONDS
            try:
                result = request()
            except UsageError:
                raise
            except Exception as error:  # noqa: BLE001 (backends raise the errors of their libraries)
                os_error = _to_os_error(error)
                if not isinstance(os_error, ConnectionError):
                    raise os_error from None
                if tries == self._max_tries:
                    self._failures += 1
                    self._next_request_time = time.monotonic() + RETRY_AFTER_SECONDS
                    raise os_error from None
                time.sleep(pause)
                pause *= 2
            else:
                if not is_cached:
                    self._failures = 0
                return result
        raise AssertionError


_servers: WeakKeyDictionary[Any, Server] = WeakKeyDictionary()


def server_of(fs: Any) -> Server:
    """Return the server behind a file system, which is the same object while the file
    system is in use.
    """
    if fs not in _servers:
        if hasattr(fs, "retries"):
            # s3fs repeats a request five times by default, and dsi would repeat all of
            # them
            fs.retries = 1
        _servers[fs] = Server(_TRIES.get(fs.protocol, MAX_TRIES))
    return _servers[fs]


def options_of(scheme: str) -> dict[str, Any]:
    """Return the options with which to open the file system of a scheme."""
    import fsspec

    user_options = fsspec.config.conf.get(scheme, {})
    options: dict[str, Any] = {
        name: value
        for name, value in _OPTIONS.get(scheme, {}).items()
        if name not in user_options
    }
    # The backend reads this variable once, when it is imported.
    endpoint = os.environ.get("HF_ENDPOINT")
    if scheme == "hf" and endpoint and "endpoint" not in user_options:
        options["endpoint"] = endpoint
    if scheme in ("http", "https") and "client_kwargs" not in user_options:
        from aiohttp import ClientTimeout

        # By default, aiohttp waits five minutes for a response, and also breaks off a
        # download that takes longer.
        options["client_kwargs"] = {
            "timeout": ClientTimeout(total=None, sock_connect=5, sock_read=20)
        }
    return options


def open_filesystem(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it; raise `UsageError` for an
    unknown scheme or a missing backend.
    """
    from fsspec.core import url_to_fs

    scheme = urls.scheme_of(url) or ""
    try:
        fs, path = url_to_fs(url, **options_of(scheme))
    except ImportError as error:
        message = (
            f"{scheme}:// needs a package that is not installed"
            f" ({urls.clean_message(str(error))}); run pip install "
        )
        message += f"'dsi-cli[{'hub' if scheme == 'hf' else 'remote'}]'"
        raise UsageError(message, code="package-missing", scheme=scheme) from None
    except ValueError:
        schemes = ", ".join(f"{name}://" for name in SCHEMES)
        message = f"fsspec cannot open {scheme}://; expected a local path, {schemes}"
        raise UsageError(message, code="unknown-scheme", scheme=scheme) from None
    except Exception as error:  # noqa: BLE001 (for example, Google's backend looks for credentials at once)
        message = f"{scheme}:// cannot be opened: {_to_os_error(error).strerror}"
        raise UsageError(message, code="cannot-open-url", scheme=scheme) from None
    _servers.pop(fs, None)  # a new call forgets the failures of earlier ones
    return fs, str(path).rstrip("/")


def _status_of(error: Exception) -> Any:
    """Return the HTTP status in a backend's error, or None without one."""
    # huggingface_hub and s3fs hide the server's response behind an error of their own.
    response = getattr(error, "response", None) or getattr(
        error.__cause__, "response", None
    )
    if isinstance(response, dict):  # of botocore
        return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    # the latter of aiohttp
    return getattr(response, "status_code", None) or getattr(error, "status", None)


def _to_os_error(error: Exception) -> OSError:
    """Return a backend's error as an `OSError` with a text of one line without
    secrets.
    """
    names = " ".join(kind.__name__ for kind in type(error).__mro__).lower()
    text = (
        urls.clean_message(getattr(error, "strerror", None) or str(error))
        or type(error).__name__
    )
    status = _status_of(error)
    if isinstance(error, PermissionError) or status in (401, 403):
        return PermissionError(errno.EACCES, f"the server denies access ({text})")
    if status in _BUSY:
        return ConnectionError(errno.ECONNABORTED, f"the server is too busy ({text})")
    if isinstance(error, FileNotFoundError) or status == 404:
        return FileNotFoundError(errno.ENOENT, "not found on the server")
    if any(word in names for word in _CREDENTIAL_WORDS):
        return PermissionError(
            errno.EACCES, f"no credentials that the server accepts ({text})"
        )
    if isinstance(error, TimeoutError | ConnectionError) or any(
        word in names for word in _TRANSIENT_WORDS
    ):
        return ConnectionError(
            errno.ECONNABORTED, f"the server does not respond ({text})"
        )
    if isinstance(error, OSError) and error.errno in (errno.EBUSY, errno.EAGAIN):
        return ConnectionError(errno.ECONNABORTED, f"the server is too busy ({text})")
    return OSError(
        getattr(error, "errno", None) or errno.EIO,
        f"the server returned an error ({text})",
    )
