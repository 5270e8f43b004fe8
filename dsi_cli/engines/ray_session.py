"""Being connected to Ray: to a cluster, or to Ray on this machine alone, started for the purpose and gone afterwards.

Ray on this machine listens on 127.0.0.1 only, keeps its files in a temporary folder, sends no usage statistics and is silent.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from dsi_cli.engines import EngineOptions
from dsi_cli.engines.grpc_probe import reason_no_answer
from dsi_cli.engines.resources import usable_cores
from dsi_cli.errors import UsageError

LOCAL_RAY = "local"
"""Ray's own word for: start it on this machine."""
GCS_PORT, CLIENT_PORT = 6379, 10001
"""Those that Ray uses by default."""
_EXPECTED = f"auto, HOST:{GCS_PORT} or ray://HOST:{CLIENT_PORT}"
_LONGEST_FOLDER = 24
"""Characters: Ray puts sockets some 70 below, and a socket's path has at most 107 (103 on macOS)."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""What makes Ray use 127.0.0.1, on Linux too."""


@contextmanager
def ray_connection(chosen: EngineOptions) -> Iterator[None]:
    """Be connected meanwhile; a connection that the process has already is used, and left.

    Raises
    ------
    UsageError
        The address cannot be right, or nothing that can be used answers there; or there is a connection already.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        if chosen.address is not None:
            raise UsageError(
                f"--address {chosen.address}: this process is connected to Ray already: leave the address out, or call"
                " ray.shutdown() first"
            )
        with _silence():
            yield
        return
    address = chosen.address or os.environ.get("RAY_ADDRESS") or LOCAL_RAY
    _require_answer(address)
    with _environment(_QUIET if address != LOCAL_RAY else _QUIET | _ALONE | _token()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")
        import ray

        start: AbstractContextManager[dict[str, Any]] = _home() if address == LOCAL_RAY else nullcontext({})
        with _silence(), start as options:
            try:
                _begin(address, options)
                yield
            finally:
                ray.shutdown()


def _begin(address: str, options: dict[str, Any]) -> None:
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except (ConnectionError, RuntimeError, ValueError, ImportError, ray.exceptions.RayError) as error:
        first = str(error).strip().splitlines()[:1]
        raise UsageError(
            f"--address {address}: Ray cannot be used there: {first[0] if first else type(error).__name__}"
        ) from None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Ray from stdout, where results stand: it prints there what its nodes complain of, and has no switch for that."""
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextmanager
def _home() -> Iterator[dict[str, Any]]:
    """Yield how Ray is started on this machine."""
    usual = tempfile.gettempdir()
    home = tempfile.mkdtemp(prefix="dsi-", dir=usual if len(usual) <= _LONGEST_FOLDER else "/tmp")  # noqa: S108 (made anew, with a name of its own)
    try:
        yield {
            "include_dashboard": False,
            "num_cpus": usable_cores(),
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": home,
        }
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _require_answer(address: str) -> None:
    if address in (LOCAL_RAY, "auto"):
        return
    found = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", address)
    if found is None:
        raise UsageError(f"--address takes {_EXPECTED}; {address!r} is none of them")
    host, port = found[1].strip("[]"), int(found[2])
    if not address.startswith("ray://"):
        from ray._private.services import resolve_ip_for_localhost

        host = resolve_ip_for_localhost(host)  # Ray asks this machine's own address instead of 127.0.0.1
    why = reason_no_answer(host, port)
    if why is not None:
        raise UsageError(f"--address {address}: {why} ({host}); expected a Ray cluster: {_EXPECTED}")


@cache
def _token() -> dict[str, str]:
    """Return what keeps other people of this machine out of our Ray; nothing where the user has a token of his own."""
    if any(name.startswith("RAY_AUTH_") for name in os.environ) or (Path.home() / ".ray" / "auth_token").exists():
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables meanwhile where the user has not; Ray's processes take them over."""
    before = dict(os.environ)
    try:
        for name, value in values.items():
            os.environ.setdefault(name, value)
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if name.startswith("RAY_")})
