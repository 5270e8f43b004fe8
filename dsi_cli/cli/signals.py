"""Ctrl-C and SIGTERM: as KeyboardInterrupt where it is heard; `Terminated` is the one of SIGTERM.

Python calls a signal's handler wherever it is. Raised while an object is cleared away (``__del__``), KeyboardInterrupt is printed
with a traceback and forgotten: who watches a training would go on for ever. There it is kept for the next `check`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_kept: list[int] = []
"""Signals that were not heard yet."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def by(number: int) -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt until the block ends, also where it would be forgotten; not one that is ignored."""
    is_here = threading.current_thread() is threading.main_thread()
    if not is_here or signal.getsignal(number) in (signal.SIG_IGN, None):  # None: not Python's
        yield
        return
    before = signal.signal(number, _stop)
    try:
        yield
    finally:
        signal.signal(number, before)
        _kept.clear()


def check() -> None:
    """Raise KeyboardInterrupt if a signal came where it could not be raised."""
    if _kept:
        number = _kept.pop()
        _kept.clear()
        raise _error(number)


def sleep(seconds: float) -> None:
    """Sleep, unless such a signal came before."""
    check()
    time.sleep(seconds)


def _stop(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            _kept.append(number)
            return
        frame = frame.f_back
    raise _error(number)


def _error(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
