"""The log for bug reports on stderr, with the time of each line. ``--verbose`` or ``DSI_LOG=debug`` turns it on."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import UsageError, expected
from dsi_cli.version import __version__

LEVELS = ("debug", "info", "warning", "error")
"""The values of ``DSI_LOG``; ``--verbose`` means ``debug``."""
_logger = logging.getLogger("dsi_cli")


@contextmanager
def on_stderr(*, verbose: bool) -> Iterator[None]:
    """Log on stderr until the block ends, if the log is turned on; an error is logged with its traceback.

    Raises
    ------
    UsageError
        ``DSI_LOG`` has an unknown value.
    """
    level = _level(verbose=verbose)
    if level is None:
        yield
        return
    handler, before = logging.StreamHandler(), _logger.level
    handler.setFormatter(_Format(time.time()))
    _logger.addHandler(handler)
    _logger.setLevel(level)
    _logger.debug("dsi %s, Python %s, %s: %s", __version__, platform.python_version(), platform.platform(), sys.argv[1:])
    try:
        yield
    except Exception:
        _logger.debug("ended by", exc_info=True)
        raise
    finally:
        _logger.setLevel(before)
        _logger.removeHandler(handler)


def is_on() -> bool:
    """Return whether the log is turned on, so that a progress bar would hide its lines."""
    return bool(_logger.handlers)


def _level(*, verbose: bool) -> int | None:
    name = "debug" if verbose else os.environ.get("DSI_LOG", "").lower()
    if not name:
        return None
    if name not in LEVELS:
        raise UsageError(f"DSI_LOG={name}: {expected(name, LEVELS)}", code="unknown-log-level", level=name)
    return logging.getLevelNamesMapping()[name.upper()]


class _Format(logging.Formatter):
    """Formats a line as ``  1.234 s  checkpoints.scan: message``."""

    def __init__(self, start_time: float) -> None:
        super().__init__("%(since)8.3f s  %(module_name)s: %(message)s")
        self.start_time = start_time

    def format(self, record: logging.LogRecord) -> str:
        record.since = record.created - self.start_time
        record.module_name = record.name.removeprefix("dsi_cli.")
        return "\n".join(map(terminal_text, super().format(record).split("\n")))
