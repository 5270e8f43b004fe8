"""Times of calls that take turns, and of processes with their peak memory.

Turns (A B A B ...) distribute a busy moment of the machine over both sides; the median
leaves it out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

CORE_TYPE = "OPENBLAS_CORETYPE"
"""Makes OpenBLAS take kernels for another processor: removed, so that each machine is
measured as it is.
"""
_PEAK = """
import pathlib as _p, re as _r
_s = _p.Path("/proc/self/status")
print("\\npeak", _r.search(r"VmHWM:\\s+(\\d+)", _s.read_text())[1] if _s.exists() else 0)
"""


class Process(NamedTuple):
    """The time, the memory and the output of a process."""

    seconds: float
    peak: int
    """Bytes of memory at most; 0 where the system does not say."""
    said: str
    """Its stdout."""


def turns(
    calls: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of each call over some rounds, in each of which every
    call has its turn.

    With `time.process_time` as the clock, they are seconds of the processor, which
    other programs hardly change.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + warm_up):
        for name, call in calls.items():
            began = clock()
            call()
            if number >= warm_up:
                times[name].append(clock() - began)
    return {name: median(found) for name, found in times.items()}


def command_turns(
    commands: Mapping[str, Sequence[str]], rounds: int
) -> dict[str, float]:
    """Return the median wall seconds of whole processes, taking turns."""
    return turns(
        {name: lambda argv=argv: run(argv) for name, argv in commands.items()},
        rounds,
        warm_up=rounds > 1,
    )


def run(argv: Sequence[str], may_end: Collection[int] = (0,)) -> Process:
    """Run a command to its end, which is well with any of some exit codes.

    Raises
    ------
    RuntimeError
        It failed; with the last line it wrote to stderr.
    """
    began = time.perf_counter()
    done = subprocess.run(
        argv, capture_output=True, text=True, env=environment(), check=False
    )
    took = time.perf_counter() - began
    if done.returncode not in may_end:
        raise RuntimeError(
            f"{' '.join(map(str, argv[:3]))} ended with {done.returncode}:"
            f" {done.stderr.strip()[-300:]}"
        )
    return Process(took, 0, done.stdout)


def python(code: str, *arguments: str) -> Process:
    """Run a program in a fresh interpreter, and learn its peak memory."""
    done = run([sys.executable, "-c", code + _PEAK, *arguments])
    said, _, peak = done.said.rpartition("\npeak ")
    return Process(done.seconds, int(peak) * 1024, said)


def peak_of_all(code: str, *arguments: str) -> int:
    """Return the most memory that a program and its processes have at once, in bytes;
    what they share counts once.

    Looked at every 0.1 s, which takes time itself: not for a program that is timed. 0
    where the system does not say.
    """
    found = 0
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        while process.poll() is None:
            found = max(found, sum(map(_share, _with_children(process.pid))))
            time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments[:2])} ended with {process.returncode}")
    return found


def _with_children(process: int) -> list[int]:
    places = Path(f"/proc/{process}/task").glob("*/children")
    with suppress(OSError):
        children = [int(one) for place in places for one in place.read_text().split()]
        return [process, *(one for child in children for one in _with_children(child))]
    return [process]


def _share(process: int) -> int:
    """Return a process's memory in bytes, what it shares with others divided among
    them.
    """
    with suppress(OSError):
        found = re.search(
            r"^Pss:\s+(\d+)",
            Path(f"/proc/{process}/smaps_rollup").read_text(),
            re.MULTILINE,
        )
        return int(found[1]) * 1024 if found else 0
    return 0


def peak() -> int:
    """Return the most memory that this process has had, in bytes; 0 where the system
    does not say.
    """
    status = Path("/proc/self/status")
    found = (
        re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    )
    return int(found[1]) * 1024 if found else 0


def dsi(*arguments: str) -> list[str]:
    """Return a call of the command as a module, so that the package of this folder is
    measured.
    """
    return [sys.executable, "-m", "dsi_cli", *arguments]


def environment() -> dict[str, str]:
    """Return the environment of measured processes, which may store compiled modules as
    an installed package does.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name not in (CORE_TYPE, "PYTHONDONTWRITEBYTECODE")
    }
