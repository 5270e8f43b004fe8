"""Jobs in forked processes of this machine, one per core.

Python's lock lets only one thread of a process run Python code. A forked process has
its own lock, and all that this process has imported and read. So it needs no copy of
the function and of the jobs: each process does every n-th job, and sends the results.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from dsi_cli.engines import Job, Result, local, usable_cores
from dsi_cli.errors import EngineError

MIN_JOBS = 30
"""The number of jobs for which starting processes is worth it."""


def map_in_order(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None = None
) -> Iterator[Result]:
    """Yield ``function(job)`` for each job in order, while libraries for matrix
    products use one thread.

    Few jobs are done in threads, and all jobs if the system has no safe fork (Windows
    and macOS), or if the process is a notebook. The results of processes are pickled.
    The first error of a job ends the iteration.

    The first job is done here, so that the processes have the libraries that it loads
    and what it remembers.
    """
    processes = workers or usable_cores()
    if processes == 1 or len(jobs) < MIN_JOBS or not _can_fork():
        yield from local.map_in_order(function, jobs, workers)
        return
    yield from local.limited(_in_processes(function, jobs, processes))


def _can_fork() -> bool:
    """Return whether a fork of this process is safe: on Linux, in the main thread of a
    program, which is no notebook.
    """
    is_main = threading.current_thread() is threading.main_thread()
    # A notebook is a running kernel. Other programs may only have imported its package.
    kernels = sys.modules.get("ipykernel.kernelapp")
    is_notebook = kernels is not None and kernels.IPKernelApp.initialized()
    return sys.platform == "linux" and is_main and not is_notebook


def _in_processes(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[Result, None, None]:
    yield function(jobs[0])
    others = jobs[1:]
    receivers: list[Connection] = []
    processes: list[int] = []
    try:
        for first in range(workers):
            receiver, sender = Pipe(duplex=False)
            receivers.append(receiver)
            process = _fork()
            if process == 0:
                for one in receivers:  # so that a write fails when the caller is gone
                    one.close()
                _work(function, others[first::workers], sender)
            processes.append(process)
            sender.close()
        for position in range(len(others)):
            yield _result(receivers[position % workers])
    finally:
        for receiver in receivers:
            receiver.close()
        for process in processes:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python warns of threads that hold a lock. The processes use no lock of the
        # threads that may run, those of the progress bar and of idle libraries.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _work(
    function: Callable[[Job], Result], jobs: Sequence[Job], sender: Connection
) -> None:
    """Do the jobs in a forked process, send their results, and end the process without
    the handlers and buffers of the caller.
    """
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller ends the process
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for job in jobs:
            try:
                message = pickle.dumps((function(job), None))
            except Exception as error:  # noqa: BLE001 (the caller raises it again)
                message = pickle.dumps((None, error))
            sender.send_bytes(message)
    finally:
        os._exit(0)


def _result(receiver: Connection) -> Any:
    """Return the next result of a process, or raise the error of its job."""
    try:
        result, error = pickle.loads(receiver.recv_bytes())  # noqa: S301 (our own)
    except EOFError:
        raise EngineError(
            "a process of dsi ended: it was killed, or ran out of memory",
            hint="run the same command again to continue",
            code="process-ended",
        ) from None
    if error is not None:
        raise error
    return result
