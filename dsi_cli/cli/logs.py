"""The log for bug reports: what dsi did and when, on stderr; asked for by ``--verbose``, or by ``DSI_LOG=debug``."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dsi_cli.errors import UsageError, expected
from dsi_cli.version import __version__

LEVELS = ("debug", "info", "warning", "error")
"""What ``DSI_LOG`` may say; ``--verbose`` is ``debug``."""
_ours = logging.getLogger("dsi_cli")


@contextmanager
def on_stderr(*, verbose: bool) -> Iterator[None]:
    """Log on stderr until the block ends, if that is asked for; an unexpected error with its traceback.

    Raises
    ------
    UsageError
        ``DSI_LOG`` is no level.
    """
    level = _level(verbose=verbose)
    if level is None:
        yield
        return
    handler, before = logging.StreamHandler(), _ours.level
    handler.setFormatter(_Format(time.time()))
    _ours.addHandler(handler)
    _ours.setLevel(level)
    _ours.debug("dsi %s, Python %s, %s: %s", __version__, platform.python_version(), platform.platform(), sys.argv[1:])
    try:
        yield
    except Exception:
        _ours.debug("ended by", exc_info=True)
        raise
    finally:
        _ours.setLevel(before)
        _ours.removeHandler(handler)


def is_on() -> bool:
    """Return whether a log is written, beside which a bar would be drawn over."""
    return bool(_ours.handlers)


def _level(*, verbose: bool) -> int | None:
    asked = "debug" if verbose else os.environ.get("DSI_LOG", "").lower()
    if not asked:
        return None
    if asked not in LEVELS:
        raise UsageError(f"DSI_LOG={asked}: {expected(asked, LEVELS)}")
    return logging.getLevelNamesMapping()[asked.upper()]


class _Format(logging.Formatter):
    """``  1.234 s  checkpoints.scan: what was done``."""

    def __init__(self, began: float) -> None:
        super().__init__("%(since)8.3f s  %(place)s: %(message)s")
        self.began = began

    def format(self, record: logging.LogRecord) -> str:
        record.since = record.created - self.began
        record.place = record.name.removeprefix("dsi_cli.")
        from dsi_cli.cli.console import shown  # which asks this module whether a log is on

        return "\n".join(map(shown, super().format(record).split("\n")))
