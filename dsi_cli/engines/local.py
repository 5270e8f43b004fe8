"""Jobs in threads of this process, one per core.

Threads share their data, and work in notebooks and during uploads. NumPy releases
Python's lock during operations on large arrays: two threads analyse 1,000 classes 1.3
times as fast as one, and 100 classes as fast as one.

Libraries for matrix products start threads themselves. Together with these threads, or
with a training on the same machine, they would wait for each other (measured: 6 times
slower on two busy cores). Therefore, each call of them is limited to one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from itertools import islice
from queue import SimpleQueue
from threading import Thread

from threadpoolctl import threadpool_limits

from dsi_cli.engines import Job, Result, usable_cores


def map_in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int | None = None
) -> Iterator[Result]:
    """Yield ``function(job)`` for each job in order, while libraries for matrix
    products use one thread.
    """
    yield from limited(run_in_order(function, jobs, workers or usable_cores()))


def limited(results: Generator[Result, None, None]) -> Iterator[Result]:
    """Yield the results of jobs while libraries for matrix products use one thread:
    those that are loaded, and those that the first job loads.
    """
    with closing(results), threadpool_limits(limits=1):
        yield from islice(results, 1)
        with threadpool_limits(limits=1):
            yield from results


def run_in_order(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Generator[Result, None, None]:
    """Yield ``function(job)`` for each job in order; at most two jobs per worker are
    started in advance.

    The jobs are drawn in the caller's thread when the caller takes results.

    The first error of a job ends the iteration. If the caller leaves the iteration, no
    further job begins. dsi waits two seconds at most for the running jobs, because a
    job may wait for a server that does not respond. The threads are therefore daemons.
    A `concurrent.futures.ThreadPoolExecutor` has no daemons, because it joins its
    threads at the end of the process.
    """
    queue: SimpleQueue[tuple[Future[Result], Job] | None] = SimpleQueue()
    futures: deque[Future[Result]] = deque()
    threads = 0
    try:
        for job in jobs:
            futures.append(Future())
            queue.put((futures[-1], job))
            if threads < workers:
                Thread(target=_work, args=(function, queue), daemon=True).start()
                threads += 1
            if len(futures) > 2 * workers:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        running = [future for future in futures if not future.cancel()]
        for _ in range(threads):
            queue.put(None)
        # If the process ended while one of the threads is in C++ code, Python would
        # abort it.
        wait(running, timeout=2)


def _work(
    function: Callable[[Job], Result],
    queue: SimpleQueue[tuple[Future[Result], Job] | None],
) -> None:
    """Do the jobs in a queue until it returns None."""
    while (item := queue.get()) is not None:
        future, job = item
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(job))
            except BaseException as error:  # noqa: BLE001 (raised again by the future)
                future.set_exception(error)
        del item, future, job  # they may be large
