"""The engine for one machine: threads, one a core.

NumPy and the system work without Python's lock for most of the time, so threads use the cores, in notebooks and next to
uploads as well, and share what they work on.

The libraries that multiply matrices have threads of their own. Next to these threads, or to a training that keeps the machine
busy, they would wait for each other (measured: 6 times slower on two busy cores), so each call has one thread meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

from threadpoolctl import threadpool_limits

from dsi_cli.engines import EngineOptions, Job, Result
from dsi_cli.engines.resources import usable_cores


class LocalEngine:
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
def open_engine(options: EngineOptions) -> Iterator[LocalEngine]:  # noqa: ARG001 (nothing to choose)
    """Yield the engine."""
    yield LocalEngine()


def map_in_order(function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None = None) -> Iterator[Result]:
    """Yield ``function(job)`` for each job, in their order; at most two jobs a worker are under way.

    Parameters
    ----------
    function : called in several threads at once
    jobs : drawn from in the caller's thread, as results are taken
    workers : threads; one a usable core if None

    Notes
    -----
    The first error of a job ends the iteration with it. If the iteration is left, no further job begins, and nobody waits for
    those under way: one may wait for a server that does not answer. So the threads are daemons, which
    `concurrent.futures.ThreadPoolExecutor` does not offer: it joins its threads at the end of the process.
    """
    count = workers or usable_cores()
    todo: SimpleQueue[tuple[Future[Result], Job] | None] = SimpleQueue()
    waiting: deque[Future[Result]] = deque()
    started = 0
    with threadpool_limits(limits=1):
        try:
            for job in jobs:
                waiting.append(Future())
                todo.put((waiting[-1], job))
                if started < count:
                    Thread(target=_work, args=(function, todo), daemon=True).start()
                    started += 1
                if len(waiting) > 2 * count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for _ in range(started):
                todo.put(None)


def _work(function: Callable[[Job], Result], todo: SimpleQueue[tuple[Future[Result], Job] | None]) -> None:
    """Do jobs until there is None in the place of one."""
    while (item := todo.get()) is not None:
        future, job = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(job))
            except BaseException as error:  # noqa: BLE001 (raised again by the future)
                future.set_exception(error)
        del item, future, job  # they may be large
