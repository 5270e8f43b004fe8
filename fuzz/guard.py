"""One input under its limits, in this process: time, memory, and an audit hook that
sees whatever Python does.

Nothing but the reading happens while the guard is up: the input is written before, and
looked after when it is down.
"""

from __future__ import annotations

import gc
import importlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any

from dsi_cli import plugins
from fuzz.inputs import Input
from fuzz.readers import Reader

PRELOADED = (
    *(
        f"encodings.{name}"
        for name in (
            "cp437",
            "latin_1",
            "ascii",
            "raw_unicode_escape",
            "unicode_escape",
            "utf_8_sig",
        )
    ),
    *(
        f"encodings.utf_{width}{order}"
        for width in (16, 32)
        for order in ("", "_le", "_be")
    ),
    *(
        "difflib",
        "linecache",
        "traceback",
        "numpy.lib.format",
        "numpy._core._exceptions",
    ),
)
"""Modules of Python and NumPy that are loaded on first use, by errors and by odd names;
whatever else is, is a finding.
"""
_FORBIDDEN = (
    "exec",
    "compile",
    "import",
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.kill",
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
    "os.putenv",
    "pty.spawn",
    "pickle.find_class",
    "code.__new__",
    "builtins.input",
    "marshal.loads",
    "signal.pthread_kill",
)
_FORBIDDEN_KINDS = (
    "subprocess.",
    "socket.",
    "ctypes.",
    "shutil.",
    "tempfile.",
    "urllib.",
    "ftplib.",
    "http.",
    "webbrowser.",
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_NONE = resource.RLIM_INFINITY
_PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Limits:
    """What one input may take."""

    seconds: float = 10.0
    megabytes: int = 300
    """Above what the process holds before."""
    grace: float = 5.0
    """Seconds beyond the limit after which a process is taken to be stuck where no
    signal reaches it.
    """


LIMITS = Limits()


@dataclass(frozen=True)
class Problem:
    """Why an input is a finding."""

    kind: str
    """``exception``, ``answer``, ``time``, ``memory``, ``action``, ``files`` or
    ``died``.
    """
    detail: str


@dataclass(frozen=True)
class Verdict:
    """How one input ended."""

    number: int
    format: str
    status: str
    seconds: float
    peak: int
    """Bytes above what the process held before."""
    problem: Problem | None = None


class OverdueError(BaseException):
    """The time is over; no `Exception`, so that no net of the reader catches it."""


@dataclass
class _Watch:
    """What the audit hook notes while it is up."""

    up: bool = False
    folder: str = ""
    seen: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.up:
            return
        what = _suspicious(event, arguments, self.folder)
        if what is not None:
            self.seen.append(what)
            raise RuntimeError(f"not while a checkpoint is read: {what}")


def _is_isolated_reader(event: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether an event is the start or the end of the child process that reads
    other libraries' formats.
    """
    if event == "subprocess.Popen":
        return any(
            "dsi_cli.checkpoints.child_process.worker" in str(one)
            for one in arguments[1]
        )
    if event == "os.kill":
        return bool(arguments[0] != os.getpid() and arguments[1] == signal.SIGKILL)
    return event == "open" and arguments[0] == os.devnull


def _suspicious(event: str, arguments: tuple[Any, ...], folder: str) -> str | None:
    if _is_isolated_reader(event, arguments):
        return None
    if event == "open":
        path, mode, flags = (*arguments, None, None, None)[:3]
        if isinstance(path, int):
            return None
        writes = bool(isinstance(flags, int) and flags & _WRITING) or bool(
            isinstance(mode, str) and set(mode) & set("wax+")
        )
        outside = not os.path.abspath(os.fsdecode(path)).startswith(folder)  # noqa: PTH100 - by the text alone: it is not opened
        return (
            f"open {path!r} {'for writing' if writes else 'outside'}"
            if writes or outside
            else None
        )
    if event in _FORBIDDEN or event.startswith(_FORBIDDEN_KINDS):
        return f"{event} {str(arguments[:1])[:200]}"
    return None


class Guard:
    """The limits around a reader; one a process, since an audit hook stays for good.

    Parameters
    ----------
    reader : what every input is given to
    limits : what it may take
    folder : empty; the inputs are written to a folder in it, and another is the working
        folder meanwhile
    """

    def __init__(self, reader: Reader, limits: Limits, folder: Path) -> None:
        self._reader, self._limits = reader, limits
        self._inputs, self._work = folder / "input", folder / "work"
        self._inputs.mkdir(parents=True)
        self._work.mkdir()
        os.chdir(self._work)
        for name in PRELOADED:
            importlib.import_module(name)
        plugins.load(plugins.FORMATS)  # they are the user's choice, not a file's
        self._memory = _Memory()
        self._watch = _Watch(folder=f"{self._inputs}{os.sep}")
        signal.signal(signal.SIGALRM, _overdue)
        sys.addaudithook(self._watch)

    def warm_up(self, inputs: Iterator[Input]) -> None:
        """Read inputs without limits, so that every module is loaded that reading may
        load.
        """
        for one in inputs:
            path, is_folder = self._written(one)
            for turn in range(4):
                try:
                    self._reader(path, is_folder, turn)
                except Exception:  # noqa: BLE001 - it comes again, under guard
                    continue
            self._cleared()
        gc.collect()

    def judge(self, one: Input) -> Verdict:
        """Return how an input ended."""
        path, is_folder = self._written(one)
        self._watch.seen.clear()
        status, escaped = "other", None
        before = self._memory.begin(self._limits.megabytes << 20)
        began = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, self._limits.seconds)
            self._watch.up = True
            status = self._reader(path, is_folder, one.number)
        except (Exception, OverdueError) as error:  # noqa: BLE001
            escaped = error
        finally:
            self._watch.up = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - began
        peak = self._memory.end(before)
        problem = self._problem(escaped, peak) or self._strays(one)
        self._cleared()
        return Verdict(one.number, one.format, status, seconds, peak, problem)

    def _problem(self, escaped: BaseException | None, peak: int) -> Problem | None:
        """Return what was wrong with a reading; what it did counts before what became
        of it.
        """
        most = self._limits.megabytes
        if self._watch.seen:
            return Problem("action", "; ".join(self._watch.seen[:5]))
        if isinstance(escaped, OverdueError):
            return Problem("time", f"more than {self._limits.seconds:g} s")
        if isinstance(escaped, MemoryError):
            return Problem("memory", f"asked for more than {most} MB")
        if escaped is not None:
            return Problem(
                "answer" if isinstance(escaped, AssertionError) else "exception",
                _trace(escaped),
            )
        return (
            Problem("memory", f"took {peak >> 20} MB; {most} are allowed")
            if peak > most << 20
            else None
        )

    def _written(self, one: Input) -> tuple[Path, bool]:
        """Write an input; return where it lies and whether it is a folder."""
        home = self._home(one)
        home.mkdir(exist_ok=True)
        for name, data in one.files:
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return (
            (self._inputs, True) if one.is_folder else (home / one.files[0][0], False)
        )

    def _home(self, one: Input) -> Path:
        """Return the folder of an input's files; one that is a checkpoint keeps its
        name, which may tell a step.
        """
        return (
            self._inputs / PurePosixPath(one.source).name
            if one.is_folder
            else self._inputs / "run"
        )

    def _strays(self, one: Input) -> Problem | None:
        """Return what lies in the working folder, or beside the input, that was not
        there.
        """
        home = self._home(one)
        there = {
            path.relative_to(home).as_posix()
            for path in home.rglob("*")
            if not path.is_dir()
        }
        strays = [path.name for path in self._work.iterdir()] + sorted(
            there ^ {name for name, _ in one.files}
        )
        return Problem("files", f"new or gone: {strays[:5]}") if strays else None

    def _cleared(self) -> None:
        for top in (self._inputs, self._work):
            for path in top.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _overdue(_signal: int, _frame: FrameType | None) -> None:
    raise OverdueError


def _trace(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}"
        for frame in reversed(frames)
    )
    return f"{type(error).__name__}: {str(error)[:300]} [{places}]"


class _Memory:
    """The peak of this process's memory, reset before each input; and the limit that
    makes a greedy one fail.
    """

    def __init__(self) -> None:
        self._status = os.open("/proc/self/status", os.O_RDONLY)
        self._size = os.open("/proc/self/statm", os.O_RDONLY)
        self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def begin(self, more: int) -> int:
        """Allow so many bytes more than are held now; return how many are resident."""
        os.write(self._reset, b"5")
        virtual, resident = (
            int(pages) * _PAGE for pages in os.pread(self._size, 200, 0).split()[:2]
        )
        resource.setrlimit(resource.RLIMIT_AS, (virtual + more, _NONE))
        return resident

    def end(self, before: int) -> int:
        """Lift the limit; return the peak above what was resident."""
        resource.setrlimit(resource.RLIMIT_AS, (_NONE, _NONE))
        status = os.pread(self._status, 4096, 0)
        at = status.index(b"VmHWM:") + 6
        return max(0, (int(status[at : status.index(b"kB", at)]) << 10) - before)


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """Yield a folder for inputs, in memory where the machine has such a place, and
    remove it.
    """
    import tempfile

    place = parent or (Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None)
    with tempfile.TemporaryDirectory(prefix="dsi-fuzz-", dir=place) as folder:
        yield Path(folder)
