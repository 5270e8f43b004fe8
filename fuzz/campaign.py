"""Worker processes, each with a guard, and the watchdog that ends a hung one and starts
another behind it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fuzz.guard import LIMITS, Guard, Limits, Problem, Verdict, scratch
from fuzz.inputs import Input
from fuzz.readers import Reader, read

_BATCH, _PATIENCE = 64, 0.25
"""Verdicts that a worker collects before it reports, and seconds after which it does
anyhow.
"""
_NOBODY = -1.0

Progress = Callable[[int, int], None]
"""``(inputs done, findings)``."""


@dataclass
class Outcome:
    """All verdicts of a campaign, counted."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """``(format, status)`` -> inputs."""
    slowest: Verdict | None = None
    largest: Verdict | None = None
    findings: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        """How many inputs were judged."""
        return sum(self.counts.values())

    def add(self, verdict: Verdict) -> None:
        """Count a verdict."""
        status = "finding" if verdict.problem else verdict.status
        self.counts[verdict.format, status] = (
            self.counts.get((verdict.format, status), 0) + 1
        )
        if self.slowest is None or verdict.seconds > self.slowest.seconds:
            self.slowest = verdict
        if self.largest is None or verdict.peak > self.largest.peak:
            self.largest = verdict
        if verdict.problem:
            self.findings.append(verdict)


@dataclass
class _Worker:
    process: Any
    reports: Connection
    now: Any
    """Shared: the number in work (or `_NOBODY`), and since when."""
    left: list[int]
    """Numbers that it has not reported on."""


def run(
    make: Callable[[int], Input],
    numbers: range,
    *,
    workers: int = 1,
    limits: Limits = LIMITS,
    reader: Reader = read,
    warm_up: Callable[[], Iterator[Input]] = lambda: iter(()),
    progress: Progress = lambda _done, _findings: None,
) -> Outcome:
    """Return how all inputs ended.

    Parameters
    ----------
    make : number -> input
    numbers : which inputs
    workers : processes
    limits : what each input may take
    reader : what each is given to
    warm_up : inputs that load every module that reading may load
    progress : told now and then
    """
    outcome, began = Outcome(), time.perf_counter()
    with scratch() as folder:

        def start(share: list[int]) -> _Worker:
            return _started(share, make, limits, reader, warm_up, Path(folder))

        crew = [
            start(list(numbers[first::workers]))
            for first in range(min(workers, len(numbers)))
        ]
        try:
            while crew:
                ready = wait([worker.reports for worker in crew], timeout=0.5)
                for worker in list(crew):
                    ended = (
                        _heard(worker, outcome)
                        if worker.reports in ready
                        else _is_stuck(worker, limits)
                    )
                    if ended:
                        crew.remove(worker)
                        crew += (
                            [start(worker.left)]
                            if _buried(worker, outcome, make) and worker.left
                            else []
                        )
                progress(outcome.inputs, len(outcome.findings))
        finally:
            for worker in crew:
                worker.process.kill()
                worker.process.join()
    outcome.findings.sort(key=lambda verdict: verdict.number)
    outcome.seconds = time.perf_counter() - began
    return outcome


def _heard(worker: _Worker, outcome: Outcome) -> bool:
    """Count what a worker reports; return whether it reports no more."""
    try:
        verdicts = worker.reports.recv()
    except EOFError:
        return True
    for verdict in verdicts:
        outcome.add(verdict)
    reported = {verdict.number for verdict in verdicts}
    worker.left = (
        [number for number in worker.left if number not in reported]
        if reported
        else worker.left
    )
    return False


def _is_stuck(worker: _Worker, limits: Limits) -> bool:
    number, since = worker.now
    return (
        number != _NOBODY and time.monotonic() - since > limits.seconds + limits.grace
    )


def _buried(worker: _Worker, outcome: Outcome, make: Callable[[int], Input]) -> bool:
    """End a worker and count the input that it hung or died on; return whether there
    was one.
    """
    number, since = worker.now
    stuck = (
        worker.process.is_alive() and number != _NOBODY and not worker.reports.poll()
    )
    worker.process.kill() if stuck else worker.process.join()
    worker.process.join()
    worker.reports.close()
    if number == _NOBODY:
        if worker.left:
            raise RuntimeError(
                f"a worker ended by itself (exit code {worker.process.exitcode})"
            )
        return False
    took = time.monotonic() - since
    problem = (
        Problem("time", f"stuck for {took:.0f} s, where no signal reached it")
        if stuck
        else None
    )
    problem = problem or Problem(
        "died", f"the process ended with exit code {worker.process.exitcode}"
    )
    outcome.add(
        Verdict(int(number), make(int(number)).format, "other", took, 0, problem)
    )
    worker.left = [one for one in worker.left if one != int(number)]
    return True


def _started(
    share: list[int],
    make: Callable[[int], Input],
    limits: Limits,
    reader: Reader,
    warm_up: Callable[[], Iterator[Input]],
    folder: Path,
) -> _Worker:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    now = context.RawArray("d", [_NOBODY, 0.0])
    home = folder / f"{time.monotonic_ns()}"
    process = context.Process(
        target=_work,
        args=(share, make, limits, reader, warm_up, home, theirs, now),
        daemon=True,
    )
    process.start()
    theirs.close()
    return _Worker(process, ours, now, share)


def _work(
    share: list[int],
    make: Callable[[int], Input],
    limits: Limits,
    reader: Reader,
    warm_up: Callable[[], Iterator[Input]],
    home: Path,
    reports: Connection,
    now: Any,
) -> None:
    """Judge a share of the inputs; the body of a worker."""
    sys.dont_write_bytecode = True
    os.nice(1)
    guard = Guard(reader, limits, home)
    guard.warm_up(warm_up())
    verdicts: list[Verdict] = []
    told = time.monotonic()
    for number in share:
        one = make(number)
        now[:] = [number, time.monotonic()]
        verdicts.append(guard.judge(one))
        if len(verdicts) >= _BATCH or time.monotonic() - told > _PATIENCE:
            reports.send(verdicts)
            verdicts, told = [], time.monotonic()
        now[:] = [_NOBODY, 0.0]
    reports.send(verdicts)
    reports.close()
