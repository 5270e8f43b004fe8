"""Ctrl-C and SIGTERM, which end a command by KeyboardInterrupt.

Python calls a signal's handler between any two steps of the program. If an object is
deleted at this moment, Python prints KeyboardInterrupt and continues, and some code
turns it into another error. The next `check`, or the end of the command, raises it
again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dsi_cli.errors import DsiError

received: list[
    int
    # signals that have not ended the command yet; code that continues after a signal clears
    # it
] = []


class Terminated(KeyboardInterrupt):
    """The process got SIGTERM."""


@contextmanager
def interrupted_by(number: int) -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt until the block ends, unless the process
    ignores this signal.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(number) in (
        signal.SIG_IGN,
        None,
    ):  # None: the handler is not Python's
        yield
        return
    before = signal.signal(number, _stop)
    try:
        yield
        check()
    except Exception as error:
        if not isinstance(error, DsiError | OSError):
            check()
        raise
    finally:
        signal.signal(number, before)
        received.clear()


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived."""
    if received:
        raise Terminated if received[-1] == signal.SIGTERM else KeyboardInterrupt


def sleep(seconds: float) -> None:
    """Sleep, or raise KeyboardInterrupt if a signal has arrived."""
    check()
    time.sleep(seconds)


def _stop(number: int, _frame: FrameType | None) -> None:
    received.append(number)
    check()
