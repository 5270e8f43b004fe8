"""Tasks of a Ray cluster: one task a batch of jobs; results come back here, in order.

The function (with all that it closes over) lies once in Ray's object store and is unpacked once a worker process. Of the tasks
under way there are two for each place that does them. What a task raises ends the iteration, as with threads. A task whose
worker, node or result is lost is given anew, in single jobs, so that one job which kills its worker does not take others with
it; after `DEATHS` of them a job is given up, with the reason. Ray's own retries are off: they would repeat a whole batch, and one
that runs out of memory for ever.

Tasks under way when an iteration is left are not cancelled: they end with the connection. A `ray.cancel` that meets the end of its
task brings the whole calling process down (Ray 2.60: "Tried to complete task that was not pending").

A task works in the caller's working folder, where its machine has that, so that relative paths mean the same.
"""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from dsi_cli.engines import EngineOptions, Job, Result, ray_session
from dsi_cli.errors import EngineError, UsageError
from dsi_cli.version import __version__

DEATHS = 3
"""How often a job may take its worker with it."""
MOST_AT_ONCE = 16
"""Jobs of a task; the first tasks have one each, so that few jobs are spread as well."""
PATIENCE = 30.0
"""Seconds between two looks at whether the cluster still has a place for a task that is under way."""


class TaskResources(NamedTuple):
    """What a task takes of its node."""

    cpus: int
    gpus: float

    def places(self, node: dict[str, float]) -> int:
        """Return how many tasks a node with these resources does at once."""
        by_gpu = [int(node.get("GPU", 0) / self.gpus)] if self.gpus else []
        return min([int(node.get("CPU", 0) // self.cpus), *by_gpu])


class SharedJob(NamedTuple):
    """What lies in the object store for all tasks of a call."""

    function: Callable[[Any], Any]
    folder: str
    is_light: bool
    """Whether the libraries that multiply are held to one thread."""


@dataclass
class _Task:
    jobs: list[Any]
    deaths: int = 0
    under_way: Any = None
    """Ray's reference to the results."""


class _Died(NamedTuple):
    reason: str


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[RayEngine]:
    """Yield the engine; Ray is started, or the cluster asked, with the first job."""
    if find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray, which is not installed: pip install 'dsi-cli[ray]'")
    with ExitStack() as stack:
        yield RayEngine(options, stack)


@dataclass
class RayEngine:
    """Ray as an `Engine`."""

    chosen: EngineOptions
    _stack: ExitStack
    _is_connected: bool = field(default=False, init=False)
    is_elsewhere = True

    def tasks_a_machine(self) -> int:
        """Return how many jobs of `map_whole` the node that does most of them does at once."""
        need = self._whole()
        return max(need.places(node) for node in self._nodes())

    def map_in_order(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], lost: Callable[[Job, str], Result]
    ) -> Iterator[Result]:
        """See `Engine`."""
        return self._map(SharedJob(function, str(Path.cwd()), is_light=True), jobs, lost)

    def map_whole(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], lost: Callable[[Job, str], Result]
    ) -> Iterator[Result]:
        """See `Engine`; a task of one job takes the GPUs asked for and their share of the node's cores, else all of its cores."""
        return self._map(SharedJob(function, str(Path.cwd()), is_light=False), jobs, lost)

    def _map(self, carried: SharedJob, jobs: Iterable[Job], lost: Callable[[Job, str], Result]) -> Iterator[Result]:
        # What the caller computes for a job, and between two results, is computed as with threads.
        with threadpool_limits(limits=1) if carried.is_light else nullcontext():
            left = iter(jobs)
            first = list(islice(left, 1))
            if first:
                yield from self._spread(carried, first, left, lost)

    def _spread(
        self, carried: SharedJob, first: list[Job], left: Iterator[Job], lost: Callable[[Job, str], Result]
    ) -> Iterator[Result]:
        ray = self._connect()
        need = TaskResources(1, 0.0) if carried.is_light else self._whole()
        send = _sender(ray.put(carried), need, ray)
        waiting: deque[_Task] = deque()
        for batch in self._batches(first, left, need, most=MOST_AT_ONCE if carried.is_light else 1):
            waiting.append(send(_Task(batch)))
            while len(waiting) > 2 * self._places(need):
                yield from self._first(waiting, need, send, lost)
        while waiting:
            yield from self._first(waiting, need, send, lost)

    def _batches(self, first: list[Job], left: Iterator[Job], need: TaskResources, most: int) -> Iterator[list[Job]]:
        """Yield batches of jobs, one more in each round of all places."""
        number, batch = 0, first
        while batch:
            yield batch
            number += 1
            batch = list(islice(left, min(most, 1 + number // (2 * self._places(need)))))

    def _first(
        self, waiting: deque[_Task], need: TaskResources, send: Callable[[_Task], _Task], lost: Callable[[Job, str], Result]
    ) -> Iterator[Result]:
        """Yield the results of the task that waits longest; if it died, its jobs are given anew and nothing is yielded."""
        task = waiting[0]
        found = self._results(task, need)
        waiting.popleft()
        if not isinstance(found, _Died):
            yield from found
        elif len(task.jobs) == 1 and task.deaths + 1 >= DEATHS:
            yield lost(task.jobs[0], f"given up after {DEATHS} attempts: {found.reason}")
        else:
            waiting.extendleft([send(_Task([job], task.deaths + 1)) for job in task.jobs][::-1])

    def _results(self, task: _Task, need: TaskResources) -> list[Any] | _Died:
        import ray
        from ray import exceptions

        while True:
            try:
                found: list[Any] = ray.get(task.under_way, timeout=PATIENCE)
                return found
            except exceptions.GetTimeoutError:
                self._places(need)
            except exceptions.RayTaskError as error:
                raise _cause(error) from None
            except exceptions.RayError as error:
                return _Died(_words(error))

    def _connect(self) -> Any:
        if not self._is_connected:
            self._stack.enter_context(ray_session.ray_connection(self.chosen))
            self._is_connected = True
        import ray  # only now: what it reads from the environment is set

        return ray

    def _nodes(self) -> list[dict[str, float]]:
        """Return the resources of the nodes that do tasks."""
        nodes = [node["Resources"] for node in self._connect().nodes() if node["Alive"]]
        found = [node for node in nodes if node.get("CPU", 0) >= 1]
        if not found:
            raise EngineError("the Ray cluster has no node left that does tasks: run the same command again to go on")
        return found

    def _whole(self) -> TaskResources:
        """Return what a job takes that fills a machine; the smallest node's share, so that every node does some."""
        gpus, nodes = self.chosen.gpus_per_task, self._nodes()
        if not gpus:
            return TaskResources(int(min(node["CPU"] for node in nodes)), 0.0)
        shares = [int(node["CPU"] // places) for node in nodes if (places := TaskResources(1, gpus).places(node))]
        if not shares:
            raise UsageError(f"--gpus-per-task {gpus:g}: no node of the Ray cluster has so many GPUs")
        return TaskResources(max(1, min(shares)), gpus)

    def _places(self, need: TaskResources) -> int:
        """Return how many tasks the cluster does at once now."""
        places = sum(need.places(node) for node in self._nodes())
        if not places:
            raise EngineError(
                f"the Ray cluster has no node left with {need.cpus} cores and {need.gpus:g} GPUs: run the same command again"
            )
        return places


def _sender(carried: Any, need: TaskResources, ray: Any) -> Callable[[_Task], _Task]:
    """Return what gives a task to Ray."""
    # A worker with a GPU would by default end after each task, and build the model anew for each checkpoint.
    remote = ray.remote(num_cpus=need.cpus, num_gpus=need.gpus, max_retries=0, max_calls=0)(_work)

    def send(task: _Task) -> _Task:
        task.under_way = remote.remote(__version__, [carried], task.jobs)
        return task

    return send


def _work(version: str, place: list[Any], jobs: list[Any]) -> list[Any]:
    """Do some jobs, in a worker; ``place`` holds Ray's reference to what is carried, in a list so that Ray leaves it one."""
    if version != __version__:
        raise UsageError(
            f"{platform.node()} has dsi {__version__}, but here it is {version}: install the same on every node"
        )
    carried = _unpacked(place[0])
    if Path(carried.folder).is_dir():
        os.chdir(carried.folder)
    with threadpool_limits(limits=1) if carried.is_light else nullcontext():
        return [carried.function(job) for job in jobs]


@lru_cache(maxsize=1)
def _unpacked(reference: Any) -> SharedJob:
    """Return what is carried, with what its function has learned in earlier tasks of this process."""
    import ray

    found: SharedJob = ray.get(reference)
    return found


def _cause(error: Any) -> Exception:
    """Return what a task raised."""
    cause: Exception = error.cause if isinstance(error.cause, Exception) else error
    if "No module named 'dsi_cli'" in str(cause):
        return UsageError(f"a node of the Ray cluster has no dsi: install dsi-cli {__version__} on every node")
    # Ray could not hand the job over: what is remote may be out of a node's reach.
    if type(cause).__name__ == "RaySystemError":
        return EngineError(
            f"a node of the Ray cluster could not take a checkpoint: {str(cause).strip().splitlines()[-1][:300]}"
        )
    return cause


def _words(error: Exception) -> str:
    """Return in a few words how a task was lost."""
    from ray import exceptions

    known: tuple[tuple[type[Exception], str], ...] = (
        (exceptions.OutOfMemoryError, "it ran out of memory"),
        (exceptions.NodeDiedError, "its node is gone"),
        (exceptions.ObjectLostError, "its node is gone, with the result"),
        (exceptions.WorkerCrashedError, "its process ended (out of memory, killed, or a crash)"),
    )
    lines = str(error).strip().splitlines()
    return next(
        (words for kind, words in known if isinstance(error, kind)), f"{type(error).__name__}: {lines[0] if lines else ''}"
    )
