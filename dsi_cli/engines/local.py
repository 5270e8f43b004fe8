"""The machine that dsi runs on: a process or a thread a core.

Jobs that are Python's work for the most part go to copies of this process (`forked`), where it can be copied; those that
multiply large matrices to threads (`map_in_order`), which need no second copy of what they work on.

The libraries that multiply matrices bring threads of their own; beside ours, or beside a training that keeps the machine
busy, they only wait for each other (measured: 6 times slower on two busy cores). They are held to one each meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from threadpoolctl import threadpool_limits

from dsi_cli.engines import Chosen, Job, Result, forked
from dsi_cli.engines.machine import usable_cores

_log = logging.getLogger(__name__)

WORTH_TELLING = 5.0
"""Seconds of work on one core after which dsi says why the others are idle."""


class Local:
    """The machine as an `Engine`."""

    is_elsewhere = False

    def tasks_a_machine(self) -> int:
        """Return 1: this machine does one job of `map_whole` after another."""
        return 1

    def map_in_order(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        lost: Callable[[Job, str], Result],
    ) -> Iterator[Result]:
        """See `Engine`; where this process cannot be copied, one job after the other in the caller's thread."""
        workers = usable_cores()
        if workers > 1 and forked.is_possible():
            return forked.map_in_order(function, jobs, lost, workers)
        return _one_by_one(function, jobs, workers)

    def map_whole(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        lost: Callable[[Job, str], Result],  # noqa: ARG002
    ) -> Iterator[Result]:
        """See `Engine`; in the caller's thread."""
        return map(function, jobs)


@contextmanager
def opened(chosen: Chosen) -> Iterator[Local]:  # noqa: ARG001 (nothing to choose)
    """Yield the engine."""
    yield Local()


def _one_by_one(function: Callable[[Job], Result], jobs: Iterable[Job], cores: int) -> Iterator[Result]:
    worked = 0.0
    with threadpool_limits(limits=1):
        for job in jobs:
            began = time.perf_counter()
            result = function(job)
            worked += time.perf_counter() - began
            if worked > WORTH_TELLING and cores > 1:
                _tell_of_one_core(forked.why_not() or "", cores)
            yield result


@cache
def _tell_of_one_core(reason: str, cores: int) -> None:
    """Log once why the other cores have nothing to do."""
    _log.warning("warning: one of %d cores is used: %s; `dsi analyze` in a terminal of Linux uses all", cores, reason)


def map_in_order(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None = None) -> Iterator[Result]:
    """Yield ``function(job)`` for each job, in their order; at most two jobs a worker are under way.

    Parameters
    ----------
    function : called in several threads at once
    jobs : drawn from in the caller's thread, as results are taken
    workers : threads; one a usable core if None

    Notes
    -----
    The first error of a job ends the iteration with it.
    """
    count = workers or usable_cores()
    waiting: deque[Future[Result]] = deque()
    with threadpool_limits(limits=1), ThreadPoolExecutor(count) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
