"""The connection to Ray: to a cluster, or to Ray on this machine, which dsi starts and stops.

Ray on this machine listens only on 127.0.0.1, uses a temporary folder, sends no usage statistics and prints nothing.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from dsi_cli.engines import EngineOptions
from dsi_cli.engines.resources import usable_cores
from dsi_cli.errors import UsageError

LOCAL_RAY = "local"
"""Ray's address for starting Ray on this machine."""
GCS_PORT, CLIENT_PORT = 6379, 10001
"""The default ports of Ray."""
_EXPECTED = f"auto, HOST:{GCS_PORT} or ray://HOST:{CLIENT_PORT}"
PROBE_TIMEOUT_S = 5.0
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""The connection preface of HTTP/2 with an empty SETTINGS frame (RFC 9113, section 3.4); a server replies with its SETTINGS."""
_HTTP2_SETTINGS = 0x04
_MAX_FOLDER_LENGTH = 24
"""The maximum length of the temporary folder's path.

Ray's sockets have paths about 70 characters longer, and the path of a socket has at most 107 characters (103 on macOS).
"""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_LOCAL_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""The setting that makes Ray use 127.0.0.1, also on Linux."""


@contextmanager
def ray_connection(options: EngineOptions) -> Iterator[None]:
    """Connect to Ray until the block ends; an existing connection of the process is used and stays open.

    Raise `UsageError` if the address is invalid, no usable cluster responds, or the process is already connected.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        if options.address is not None:
            raise UsageError(
                f"--address {options.address}: this process is connected to Ray already; leave the address out, or call"
                " ray.shutdown() first",
                code="already-connected",
            )
        with _silence():
            yield
        return
    address = options.address or os.environ.get("RAY_ADDRESS") or LOCAL_RAY
    _require_server(address)
    environment = _QUIET
    init_options: AbstractContextManager[dict[str, Any]] = nullcontext({})
    if address == LOCAL_RAY:
        environment, init_options = _QUIET | _LOCAL_ONLY | _token(), _local_options()
    with _environment(environment), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")
        import ray

        with _silence(), init_options as extra_options:
            try:
                try:
                    ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **extra_options)
                except (ConnectionError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
                    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
                    message = f"Ray cannot be used at --address {address} ({reason})"
                    raise UsageError(message, code="ray-unusable") from None
                yield
            finally:
                ray.shutdown()


@contextmanager
def _silence() -> Iterator[None]:
    """Stop Ray from printing messages of its nodes to stdout, which is for results; Ray has no option for this."""
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _local_options() -> Iterator[dict[str, Any]]:
    """Yield the options with which Ray starts on this machine."""
    parent = tempfile.gettempdir()
    if len(parent) > _MAX_FOLDER_LENGTH:
        parent = "/tmp"  # noqa: S108 (mkdtemp creates a new folder with a random name)
    home = tempfile.mkdtemp(prefix="dsi-", dir=parent)
    try:
        yield {
            "include_dashboard": False,
            "num_cpus": usable_cores(),
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": home,
        }
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _require_server(address: str) -> None:
    """Raise `UsageError` if the address is invalid, or no server responds there."""
    if address in (LOCAL_RAY, "auto"):
        return
    match = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", address)
    if match is None:
        raise UsageError(f"--address takes {_EXPECTED}; {address!r} is not one of them", code="invalid-address")
    host, port = match[1].strip("[]"), int(match[2])
    if not address.startswith("ray://"):
        from ray._private.services import resolve_ip_for_localhost

        host = resolve_ip_for_localhost(host)  # Ray uses this machine's address instead of 127.0.0.1
    reason = reason_no_response(host, port)
    if reason is not None:
        raise UsageError(f"--address {address}: {reason} ({host}); expected {_EXPECTED}", code="no-response")


def reason_no_response(host: str, port: int) -> str | None:
    """Return why no gRPC server responds, or None if one responds; Ray itself tries for minutes, and prints each attempt."""
    try:
        with socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("1", "true"):
                return None  # a TLS server does not respond to plain text
            connection.sendall(_HTTP2_PREFACE)
            reply = connection.recv(4)
    except TimeoutError:
        return f"no response within {PROBE_TIMEOUT_S:g} seconds"
    except OSError as error:
        return str(error.strerror or error)
    return None if reply[3:4] == bytes([_HTTP2_SETTINGS]) else "the server there is not Ray"


@cache
def _token() -> dict[str, str]:
    """Return a token that excludes other users of this machine from our Ray; empty if the user has set a token."""
    if any(name.startswith("RAY_AUTH_") for name in os.environ) or (Path.home() / ".ray" / "auth_token").exists():
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that the user has not set until the block ends; Ray's processes inherit them."""
    before = dict(os.environ)
    try:
        for name, value in values.items():
            os.environ.setdefault(name, value)
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if name.startswith("RAY_")})
