"""Processes of this machine, one a core: copies of this process, for jobs that are Python's work for the most part.

Threads that do such jobs wait for each other (measured: two are no quicker than one). A copy has all that this process has
made, without a second of start and with little memory of its own; only jobs and results travel.

A copy of a process has none of its threads, and whatever lock one of those held stays locked for ever. So copies are made
where there is no other thread of Python's, except those whose locks no job takes: one redraws a progress bar, others upload an
output. Elsewhere (a notebook, a server, a system that does not copy processes safely) `is_possible` says no, and `why_not`
gives the reason.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple

from threadpoolctl import threadpool_limits

from dsi_cli.engines import Job, Result

_log = logging.getLogger(__name__)

HARMLESS = ("rich.live",)
"""Modules of threads whose locks no job takes."""
UPLOADING, WAITING = "dsi-upload", "fsspecIO"
"""Names of two threads whose locks no job takes: one uploads an output, and fsspec waits for servers in the other. They are idle
while a process is copied: see `dsi_cli.store.mirror.UPLOADING`."""
PR_SET_PDEATHSIG, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = 1, -1, -3
"""Linux's name of an option, and glibc's of two."""
WORTH = 0.1
"""Seconds of work after which copies are made, which takes some 30 ms."""
ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals by which a process is asked to end."""
KEPT_FREE = 32 << 20
"""Bytes that a worker keeps of what it freed, and below which it asks its heap."""
AHEAD = 3
"""Jobs a worker that are drawn before the results of earlier ones are taken."""
GRACE = 10.0
"""Seconds in which a process ends that has closed its connection."""


def is_possible() -> bool:
    """Return whether this process can be copied safely now."""
    return why_not() is None


def why_not() -> str | None:
    """Return why this process cannot be copied safely now, None if it can."""
    if sys.platform != "linux" or not (hasattr(os, "fork") and hasattr(signal, "pthread_sigmask")):
        return f"dsi starts further processes on Linux alone, and this is {sys.platform}"
    others = _other_threads()
    if threading.current_thread() is not threading.main_thread() or others:
        listed = ", ".join(sorted({one.name for one in others})[:3])
        return f"dsi cannot start further processes next to other threads ({listed}), such as those of a notebook"
    if multiprocessing.current_process().daemon:
        return "this is a daemon process of multiprocessing, which may not start further ones"
    return None


def _other_threads() -> list[threading.Thread]:
    """Return the threads that may hold a lock which a job takes."""
    threads = threading.enumerate()
    harmless = [UPLOADING, WAITING]
    if any(one.name == WAITING for one in threads):
        harmless.append("asyncio_")  # looks up the addresses of servers for it
    return [
        one
        for one in threads
        if one is not threading.main_thread()
        and type(one).__module__ not in HARMLESS
        and not one.name.startswith(tuple(harmless))
    ]


def map_in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], lost: Callable[[Job, str], Result], workers: int
) -> Iterator[Result]:
    """Yield ``function(job)`` for each job, in their order; at most `AHEAD` jobs a worker are under way.

    Parameters
    ----------
    function : called in this process until it has worked for `WORTH`, so that copies have what it learns of all jobs, and few
        small jobs need no copies; then in copies
    jobs : drawn from in this process, as results are taken; jobs and results are pickled
    lost : what takes the place of a result whose process ended, called here with the job and the reason
    workers : processes

    Notes
    -----
    The first error of a job ends the iteration with it. The libraries that multiply have one thread each, here as well.
    """
    coming, worked = iter(jobs), 0.0
    with threadpool_limits(limits=1):
        for job in coming:
            began = time.perf_counter()
            result = function(job)
            worked += time.perf_counter() - began
            yield result
            if worked > WORTH:
                break
        yield from _Pool(function, lost, workers).map(coming)


class _Worker(NamedTuple):
    process: Any
    connection: Connection


class _Answer(NamedTuple):
    value: Any
    error: Exception | None = None

    def result(self) -> Any:
        """Return the result, or raise what the job raised."""
        if self.error is not None:
            raise self.error
        return self.value


class _Pool(Generic[Job, Result]):
    """Copies of this process at work."""

    def __init__(self, function: Callable[[Job], Result], lost: Callable[[Job, str], Result], workers: int) -> None:
        self.function, self.lost, self.workers = function, lost, workers
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, int, Job]] = {}

    def map(self, coming: Iterator[Job]) -> Iterator[Result]:
        """Yield the results of the jobs, in order; the next job is drawn while workers are at work."""
        jobs, ready, done = enumerate(coming), deque[tuple[int, Job]](), dict[int, _Answer]()
        drawn = taken = 0
        try:
            while True:
                while ready and len(self._busy) < self.workers:
                    self._give(*ready.popleft())
                has_come = bool(ready) and bool(wait(list(self._busy), 0))
                if taken in done:
                    yield done.pop(taken).result()
                    taken += 1
                elif drawn - taken < AHEAD * self.workers and not has_come and (job := next(jobs, None)):
                    ready.append(job)
                    drawn += 1
                elif self._busy:
                    done |= self._results()
                else:
                    return
        finally:
            for worker in [*self._idle, *(busy[0] for busy in self._busy.values())]:
                _end(worker)

    def _give(self, number: int, job: Job) -> None:
        """Give a job to an idle worker, or to a new one."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.connection.send(job)
            except OSError:  # it ended while it had nothing to do
                _end(worker)
            else:
                break
        else:
            worker = self._started()
            worker.connection.send(job)
        self._busy[worker.connection] = worker, number, job

    def _results(self) -> dict[int, _Answer]:
        """Wait for results, and return those that have come."""
        found = {}
        for ready in wait(list(self._busy)):
            worker, number, job = self._busy.pop(ready)  # type: ignore[call-overload]
            try:
                found[number] = worker.connection.recv()
                self._idle.append(worker)
            except (EOFError, OSError):
                worker.process.join(GRACE)
                found[number] = _Answer(self.lost(job, _why(_end(worker))))
        return found

    def _started(self) -> _Worker:
        here, there = multiprocessing.Pipe()
        others = [one.connection for one in self._idle] + list(self._busy)
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(there, [here, *others], self.function), daemon=True
        )
        # Python warns of threads that are not its own, too: libraries see to theirs when a process is copied.
        with warnings.catch_warnings(), _held():
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            process.start()
        there.close()
        return _Worker(process, here)


@contextmanager
def _held() -> Iterator[None]:
    """Let no signal in meanwhile, that a copy of this process does with one what `_serve` says, not what this process does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(jobs: Connection, others: Iterable[Connection], function: Callable[[Any], Any]) -> None:
    """Do the jobs that come, in the copy, until the process that it is a copy of closes the connection or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which ends the other process, and that this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which that process may have a use of its own for
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    gc.freeze()  # what was there before is not this process's to clear up
    _settle()
    for one in others:
        one.close()  # so that nobody but the other process keeps its end open
    with suppress(Exception):  # nobody is there to be told
        while True:
            job = jobs.recv()
            try:
                answer = _Answer(function(job))
            except Exception as error:  # noqa: BLE001 (raised again on the other side)
                _log.debug("in a copy of the process", exc_info=True)
                answer = _Answer(None, error)
            jobs.send(answer)


def _settle() -> None:
    """End with the process that this is a copy of, however that ends; and keep what is freed, where the C library is glibc.

    Else arrays of some 100 KB are fresh memory each time, which the system hands out page by page, zeroed (measured: 7 % of
    what comparing two matrices of 100 classes takes).
    """
    library = ctypes.CDLL(None)
    library.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD) if hasattr(library, "mallopt") else ():
        library.mallopt(option, KEPT_FREE)


def _end(worker: _Worker) -> int:
    """End a worker, and return how it ended."""
    worker.connection.close()
    worker.process.kill()
    worker.process.join()
    found: int = worker.process.exitcode
    worker.process.close()
    return found


def _why(exit_code: int) -> str:
    ended = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    return f"the process that worked on it ended ({ended}): out of memory, killed, or a crash"
