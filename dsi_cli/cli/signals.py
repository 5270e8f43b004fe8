"""Ctrl-C and SIGTERM, which end a command by KeyboardInterrupt.

Python calls a signal's handler between any two steps of the program. If KeyboardInterrupt is raised while an object is deleted
(in ``__del__``, or in the callback of a weak reference), Python prints a traceback and continues, so that ``dsi watch`` would
never end. In that case the signal is pending until the next `check`, or until the command ends. Some code turns
KeyboardInterrupt into another error; Python 3.11 does so while it makes a class.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dsi_cli.errors import DsiError

_pending: list[int] = []  # signals that arrived while an object was deleted
_received: set[int] = set()  # signals that arrived since their handlers were set


class Terminated(KeyboardInterrupt):
    """The process got SIGTERM."""


@contextmanager
def interrupted_by(number: int) -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt until the block ends, unless the process ignores this signal."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(number) in (signal.SIG_IGN, None):  # None: the handler is not Python's
        yield
        return
    before, print_ignored = signal.signal(number, _stop), sys.unraisablehook

    def keep_pending(ignored: sys.UnraisableHookArgs) -> None:
        if isinstance(ignored.exc_value, KeyboardInterrupt):
            _pending.append(signal.SIGTERM if isinstance(ignored.exc_value, Terminated) else signal.SIGINT)
        else:
            print_ignored(ignored)

    sys.unraisablehook = keep_pending
    try:
        yield
        check()
    except Exception as error:
        if number in _received and not isinstance(error, DsiError | OSError):
            raise _error(number) from error
        raise
    finally:
        signal.signal(number, before)
        sys.unraisablehook = print_ignored
        _pending.clear()
        _received.discard(number)


def check() -> None:
    """Raise KeyboardInterrupt if a signal is pending."""
    if _pending:
        number = _pending.pop()
        _pending.clear()
        raise _error(number)


def sleep(seconds: float) -> None:
    """Sleep, or raise KeyboardInterrupt if a signal is pending."""
    check()
    time.sleep(seconds)


def _stop(number: int, frame: FrameType | None) -> None:
    _received.add(number)
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            _pending.append(number)
            return
        frame = frame.f_back
    raise _error(number)


def _error(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
