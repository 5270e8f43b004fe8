"""The engine for one machine: threads, one a core.

NumPy and the system work without Python's lock for most of the time, so threads use the cores, in notebooks and next to
uploads as well, and share what they work on.

The libraries that multiply matrices have threads of their own. Next to these threads, or to a training that keeps the machine
busy, they would wait for each other (measured: 6 times slower on two busy cores), so each call has one thread meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from dsi_cli.engines import Chosen, Job, Result
from dsi_cli.engines.machine import usable_cores


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
        lost: Callable[[Job, str], Result],  # noqa: ARG002 (no thread is lost)
    ) -> Iterator[Result]:
        """Yield the results of the jobs in their order, see `Engine`; in threads of this process."""
        return map_in_order(function, jobs)

    def map_whole(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        lost: Callable[[Job, str], Result],  # noqa: ARG002 (the caller's thread is not lost)
    ) -> Iterator[Result]:
        """Yield the results of the jobs in their order, see `Engine`; in the caller's thread."""
        return map(function, jobs)


@contextmanager
def opened(chosen: Chosen) -> Iterator[Local]:  # noqa: ARG001 (nothing to choose)
    """Yield the engine."""
    yield Local()


def map_in_order(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None = None) -> Iterator[Result]:
    """Yield ``function(job)`` for each job, in their order; at most two jobs a worker are under way.

    Parameters
    ----------
    function : called in several threads at once
    jobs : drawn from in the caller's thread, as results are taken
    workers : threads; one a usable core if None

    Notes
    -----
    The first error of a job ends the iteration with it. If the iteration is left, jobs that have begun are finished first.
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
