"""Threads of this process, one a core.

The libraries that multiply matrices bring threads of their own; beside ours, or beside a training that keeps the machine
busy, they only wait for each other (measured: 6 times slower on two busy cores). They are held to one each meanwhile.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Job = TypeVar("Job")
Result = TypeVar("Result")


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


def usable_cores() -> int:
    """Return the cores that this process may use; macOS does not say which, so all of them there."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
