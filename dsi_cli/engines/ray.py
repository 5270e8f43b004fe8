"""The engine for a Ray cluster: each task does a batch of jobs, and results come back
in order.

Ray's object store holds the function and its closure once, and each worker process
unpacks them once. dsi starts two tasks per task slot of the cluster. An error in a task
ends the iteration, as with threads.

If a worker, node or result is lost, dsi sends the jobs of the task again as single
jobs. A job that kills its worker therefore does not affect others. After `MAX_ATTEMPTS`
attempts, dsi gives up a job with a reason. Ray's own retries are off, because they
would repeat a whole batch, and repeat a batch that runs out of memory forever.

When the caller leaves an iteration, running tasks are not cancelled; they end with the
connection. A `ray.cancel` at the end of its task would end the calling process (Ray
2.60: "Tried to complete task that was not pending").

Ray on this machine listens only on 127.0.0.1, uses a temporary folder, sends no usage
statistics and prints nothing.

A task uses the caller's working folder if its machine has this folder, so that relative
paths mean the same.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import secrets
import socket
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from dsi_cli.engines import EngineOptions, Job, Lost, Result, usable_cores
from dsi_cli.errors import EngineError, UsageError, first_line, is_installed
from dsi_cli.version import __version__

LOCAL_RAY = "local"  # Ray's address for starting Ray on this machine
GCS_PORT, CLIENT_PORT = 6379, 10001  # default ports of Ray
_EXPECTED = f"auto, HOST:{GCS_PORT} or ray://HOST:{CLIENT_PORT}"
PROBE_TIMEOUT_S = 5.0
_MAX_FOLDER_LENGTH = 24
"""The maximum length of the temporary folder's path.

Ray's sockets have paths about 70 characters longer, and the path of a socket has at
most 107 characters (103 on macOS).
"""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
# setting that makes Ray use 127.0.0.1, also on Linux
_LOCAL_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
MAX_ATTEMPTS = 3  # attempts for a job that kills its worker
# jobs per task; the first tasks have one job, so that a few jobs are distributed, too
MAX_JOBS_PER_TASK = 16
# time between two checks that the cluster still has a slot for a running task
CLUSTER_CHECK_SECONDS = 30.0


@contextmanager
def ray_connection(options: EngineOptions) -> Iterator[None]:
    """Connect to Ray until the block ends; an existing connection of the process is
    used whatever the address, and stays open.

    Raise `UsageError` if the address is invalid, or no usable cluster responds.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        with _silence():
            yield
        return
    address = options.address or os.environ.get("RAY_ADDRESS") or LOCAL_RAY
    _require_server(address)
    environment = _QUIET
    init_options: dict[str, Any] = {}
    with ExitStack() as stack:
        if address == LOCAL_RAY:
            environment = _QUIET | _LOCAL_ONLY | _token()
            parent = gettempdir()
            if len(parent) > _MAX_FOLDER_LENGTH:
                parent = "/tmp"  # noqa: S108 (the folder in it is new and has a random name)
            home = stack.enter_context(
                TemporaryDirectory(
                    prefix="dsi-", dir=parent, ignore_cleanup_errors=True
                )
            )
            init_options = {"include_dashboard": False, "num_cpus": usable_cores()}
            init_options |= {"_node_ip_address": "127.0.0.1", "_temp_dir": home}
        stack.enter_context(_environment(environment))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=r"ray\.")
        import ray

        stack.enter_context(_silence())
        stack.callback(ray.shutdown)
        try:
            ray.init(
                address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **init_options,
            )
        except (
            ConnectionError,
            RuntimeError,
            ValueError,
            ImportError,
            ray.exceptions.RayError,
        ) as error:
            message = f"Ray cannot be used at {address} ({first_line(error)})"
            raise UsageError(message, code="ray-unusable") from None
        except Exception as error:  # noqa: BLE001  Ray raises a bare Exception if a node does not start in time
            message = (
                f"Ray did not start ({first_line(error)}); on a slow or busy machine,"
                " set the environment variable "
            )
            message += "RAY_raylet_start_wait_time_s=300, or leave out --engine ray"
            raise EngineError(message, code="ray-not-started") from None
        yield


@contextmanager
def _silence() -> Iterator[None]:
    """Stop Ray from printing messages of its nodes to stdout, which is for results; Ray
    has no option for this.
    """
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


def _require_server(address: str) -> None:
    """Raise `UsageError` if the address is invalid, or no server responds there."""
    if address in (LOCAL_RAY, "auto"):
        return
    match = re.fullmatch(r"(?:ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", address)
    if match is None:
        raise UsageError(
            f"address takes {_EXPECTED}; {address!r} is not one of them",
            code="invalid-address",
        )
    host, port = match[1].strip("[]"), int(match[2])
    if not address.startswith("ray://"):
        from ray._private.services import resolve_ip_for_localhost

        # Ray uses this machine's address instead of 127.0.0.1
        host = resolve_ip_for_localhost(host)
    reason = reason_no_response(host, port)
    if reason is not None:
        raise UsageError(
            f"address {address}: {reason} ({host}); expected {_EXPECTED}",
            code="no-response",
        )


def reason_no_response(host: str, port: int) -> str | None:
    """Return why no server accepts connections, or None if one does; Ray itself tries
    for minutes, and prints each attempt.
    """
    try:
        socket.create_connection((host, port), timeout=PROBE_TIMEOUT_S).close()
    except TimeoutError:
        return f"no response within {PROBE_TIMEOUT_S:g} seconds"
    except OSError as error:
        return str(error.strerror or error)
    return None


@cache
def _token() -> dict[str, str]:
    """Return a token that excludes other users of this machine from our Ray; empty if
    the user has set a token.
    """
    if (
        any(name.startswith("RAY_AUTH_") for name in os.environ)
        or (Path.home() / ".ray" / "auth_token").exists()
    ):
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that the user has not set until the block ends; Ray's
    processes inherit them.
    """
    before = dict(os.environ)
    try:
        for name, value in values.items():
            os.environ.setdefault(name, value)
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update(
            {name: value for name, value in before.items() if name.startswith("RAY_")}
        )


class TaskResources(NamedTuple):
    """The resources of one task."""

    cpus: int
    gpus: float

    def slots(self, node: dict[str, float]) -> int:
        """Return how many tasks a node with these resources does in parallel."""
        slots = int(node.get("CPU", 0) // self.cpus)
        if self.gpus:
            slots = min(slots, int(node.get("GPU", 0) / self.gpus))
        return slots


class _Task(NamedTuple):
    jobs: list[Any]
    failed_attempts: int
    reference: Any  # Ray's reference to the results


@contextmanager
def open_engine(options: EngineOptions) -> Iterator[RayEngine]:
    """Yield the engine; it starts Ray, or connects to the cluster, with the first
    job.
    """
    if not is_installed("ray"):
        message = "--engine ray needs Ray, which is not installed"
        raise UsageError(
            message,
            hint="run pip install 'dsi-cli[ray]'",
            code="package-missing",
            package="ray",
        )
    with ExitStack() as stack:
        yield RayEngine(options, stack)


@dataclass
class RayEngine:
    """Ray as an `Engine`."""

    options: EngineOptions
    _stack: ExitStack

    def tasks_per_machine(self) -> int:
        """Return how many jobs that need a machine each one node does at most in
        parallel.
        """
        resources = self._resources_of_machine_job()
        return max(resources.slots(node) for node in self._nodes())

    def map_in_order(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        lost: Lost[Job, Result],
        *,
        per_machine: bool = False,
    ) -> Iterator[Result]:
        """Yield the results of the jobs in order; see `Engine`."""
        # The limit applies to the caller's computations for jobs and between results,
        # as with threads.
        with nullcontext() if per_machine else threadpool_limits(limits=1):
            remaining = iter(jobs)
            batch = list(islice(remaining, 1))
            if not batch:
                return  # without a job, dsi does not connect
            ray = self._ray
            resources, max_jobs = TaskResources(1, 0.0), MAX_JOBS_PER_TASK
            if per_machine:
                resources, max_jobs = self._resources_of_machine_job(), 1
            shared = ray.put((function, str(Path.cwd()), per_machine))
            # By default, a worker with a GPU would end after each task and build the
            # model again for each checkpoint.
            work = ray.remote(
                num_cpus=resources.cpus,
                num_gpus=resources.gpus,
                max_retries=0,
                max_calls=0,
            )(_work)

            def start(jobs: list[Any], failed_attempts: int = 0) -> _Task:
                return _Task(
                    jobs, failed_attempts, work.remote(__version__, [shared], jobs)
                )

            # Keep two tasks per slot running. Batches grow by one job when all slots
            # have received tasks.
            tasks: deque[_Task] = deque()
            started = 0
            while batch:
                tasks.append(start(batch))
                started += 1
                while len(tasks) > 2 * self._slots(resources):
                    yield from self._take_first(tasks, resources, start, lost)
                batch = list(
                    islice(
                        remaining,
                        min(max_jobs, 1 + started // (2 * self._slots(resources))),
                    )
                )
            while tasks:
                yield from self._take_first(tasks, resources, start, lost)

    def _take_first(
        self,
        tasks: deque[_Task],
        resources: TaskResources,
        start: Callable[[list[Job], int], _Task],
        lost: Lost[Job, Result],
    ) -> Iterator[Result]:
        """Yield the results of the oldest task, or nothing if it still runs; if it
        failed, start its jobs again.
        """
        exceptions, task = self._ray.exceptions, tasks[0]
        try:
            results: list[Any] = self._ray.get(
                task.reference, timeout=CLUSTER_CHECK_SECONDS
            )
        except exceptions.GetTimeoutError:
            # raises an error if the cluster has no slot for the task any longer
            self._slots(resources)
        except exceptions.RayTaskError as error:
            raise _cause(error) from None
        except exceptions.RayError as error:
            tasks.popleft()
            attempts = task.failed_attempts + 1
            if len(task.jobs) == 1 and attempts >= MAX_ATTEMPTS:
                reason = f"{type(error).__name__}: {first_line(error)}"
                yield lost(
                    task.jobs[0], f"given up after {MAX_ATTEMPTS} attempts: {reason}"
                )
            else:
                tasks.extendleft([start([job], attempts) for job in task.jobs][::-1])
        else:
            tasks.popleft()
            yield from results

    @cached_property
    def _ray(self) -> Any:
        """The module, after it was connected to Ray."""
        self._stack.enter_context(ray_connection(self.options))
        # the connection has set the environment variables that this import reads
        import ray

        return ray

    def _nodes(self) -> list[dict[str, float]]:
        """Return the resources of the nodes that do tasks."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        nodes = [node for node in nodes if node.get("CPU", 0) >= 1]
        if not nodes:
            message = "the Ray cluster has no node left that does tasks"
            raise EngineError(
                message, hint="run the same command again to continue", code="no-nodes"
            )
        return nodes

    def _resources_of_machine_job(self) -> TaskResources:
        """Return the resources of a job that needs a whole machine; they fit the
        smallest node, so that all nodes take part.
        """
        gpus, nodes = self.options.gpus_per_task, self._nodes()
        if not gpus:
            return TaskResources(int(min(node["CPU"] for node in nodes)), 0.0)
        slots_by_gpu = [(node, TaskResources(1, gpus).slots(node)) for node in nodes]
        cpus = [int(node["CPU"] // slots) for node, slots in slots_by_gpu if slots]
        if not cpus:
            message = f"no node of the Ray cluster has {gpus:g} GPUs"
            raise UsageError(
                message,
                hint="give a smaller number to gpus_per_task",
                code="too-many-gpus",
            )
        return TaskResources(max(1, min(cpus)), gpus)

    def _slots(self, resources: TaskResources) -> int:
        """Return how many tasks the cluster currently does in parallel."""
        slots = sum(resources.slots(node) for node in self._nodes())
        if not slots:
            message = (
                f"the Ray cluster has no node left with {resources.cpus} cores and"
                f" {resources.gpus:g} GPUs; run the "
            )
            message += "same command again"
            raise EngineError(message, code="no-nodes")
        return slots


def _work(version: str, references: list[Any], jobs: list[Any]) -> list[Any]:
    """Do jobs in a worker; the list holds Ray's reference to what tasks share, because
    Ray resolves direct arguments.
    """
    if version != __version__:
        message = f"{platform.node()} has dsi {__version__}, but here it is {version}"
        raise UsageError(
            message, hint="install the same on every node", code="version-mismatch"
        )
    function, callers_folder, per_machine = _shared_work(references[0])
    if Path(callers_folder).is_dir():
        os.chdir(callers_folder)
    with nullcontext() if per_machine else threadpool_limits(limits=1):
        return [function(job) for job in jobs]


@lru_cache(maxsize=1)
def _shared_work(reference: Any) -> Any:
    """Return what tasks share: the function, which keeps its state in this process, the
    caller's folder and ``per_machine``.
    """
    import ray

    return ray.get(reference)


def _cause(error: Any) -> Exception:
    cause: Exception = error.cause if isinstance(error.cause, Exception) else error
    if "No module named 'dsi_cli'" in str(cause):
        message = (
            f"a node of the Ray cluster has no dsi; install dsi-cli {__version__} on"
            " every node"
        )
        return UsageError(message, code="version-mismatch")
    # Ray could not send the job, for example because a node cannot reach a remote file.
    if type(cause).__name__ == "RaySystemError":
        reason = str(cause).strip().splitlines()[-1][:300]
        return EngineError(
            f"a node of the Ray cluster could not take a checkpoint: {reason}"
        )
    return cause
