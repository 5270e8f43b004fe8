"""Engines, which distribute jobs: they apply a function to jobs and return the results
in the order of the jobs.

- ``local``: threads of this process
- ``processes``: forked processes of this one, for many jobs; threads for few
- ``ray``: tasks of a Ray cluster, or of Ray on this machine, as an `Engine`

To add an `Engine`, add a module with ``open_engine(options)`` to this package, and a
line to `ENGINES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from dsi_cli.errors import UsageError

Job = TypeVar("Job")
Result = TypeVar("Result")
Lost: TypeAlias = Callable[[Job, str], Result]
"""A function from a job that cannot be done, and the reason, to the result of this job.
"""
_DEFAULT_FREE_BYTES = 2 << 30
_MEMORY_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""The files with a container's memory limit and usage, for the second and the first
version of cgroups.
"""


class EngineSpec(NamedTuple):
    """One engine."""

    name: str  # the name of the engine and of its module
    title: str
    options: tuple[str, ...] = ()  # the options that only this engine supports


ENGINES = (
    EngineSpec("local", "this machine, all cores"),
    EngineSpec("ray", "tasks of a Ray cluster", ("address", "gpus_per_task")),
)
NAMES = tuple(engine.name for engine in ENGINES)
DEFAULT = NAMES[0]


@dataclass(frozen=True)
class EngineOptions:
    """The choice of the engine, which changes no value in any table."""

    name: str = DEFAULT
    address: str | None = None
    """The address of a Ray cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``.

    If None, the environment variable ``RAY_ADDRESS`` counts; without it, dsi starts Ray
    on this machine.
    """
    # GPUs for running a model on images: a fraction of one GPU, or an integer
    gpus_per_task: float = 0.0

    def __post_init__(self) -> None:
        """Raise `UsageError` for invalid options."""
        if self.name not in NAMES:
            raise UsageError(
                f"--engine takes {' or '.join(NAMES)}; {self.name!r} is neither",
                code="unknown-engine",
            )
        for engine in ENGINES:
            for option in engine.options if engine.name != self.name else ():
                if getattr(self, option) not in (None, 0.0):
                    message = (
                        f"{option} is for the engine {engine.name};"
                        f" the engine is {self.name}"
                    )
                    raise UsageError(
                        message, code="option-of-other-engine", option=option
                    )
        gpus = self.gpus_per_task
        if not (0 <= gpus <= 1 or (1 < gpus < 1000 and gpus == int(gpus))):
            message = (
                "gpus_per_task takes a part of a GPU (0.25) or whole ones (2);"
                f" {gpus} is neither"
            )
            raise UsageError(message, code="invalid-gpus")


class Engine(Protocol):
    """The interface to other machines that do jobs: functions are pickled, and jobs see
    the files of these machines.
    """

    def tasks_per_machine(self) -> int:
        """Return how many jobs that need a machine each (see `map_in_order`) one
        machine does in parallel.
        """

    def map_in_order(
        self,
        function: Callable[[Job], Result],
        jobs: Iterable[Job],
        lost: Lost[Job, Result],
        *,
        per_machine: bool = False,
    ) -> Iterator[Result]:
        """Yield ``function(job)`` for each job in order; at most a few jobs are drawn
        in advance.

        Parameters
        ----------
        function : called in parallel, while libraries for linear algebra use one
            thread; it does not see later changes.
        jobs : the jobs, drawn in the caller's thread; jobs and results may be pickled.
        lost : called in the caller's process.
        per_machine : whether each job needs a whole machine, or the requested GPUs and
            their share of its cores.

        Notes
        -----
        The first error that the function raises ends the iteration.
        """


def open_engine(options: EngineOptions) -> AbstractContextManager[Engine | None]:
    """Return a context manager of the engine, or of None for this machine
    (`dsi_cli.engines.local`, `dsi_cli.engines.processes`).

    Raise `UsageError` if the engine is not installed. The first job checks the address.
    """
    if options.name == DEFAULT:
        return nullcontext()
    return import_module(f"dsi_cli.engines.{options.name}").open_engine(options)


def usable_cores() -> int:
    """Return the number of cores that this process may use; all cores on macOS, which
    does not report it.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return the available memory in bytes within the limit of a container; 2 GiB if
    the system does not report it.

    The usage of a container includes cached files, so that the result may be too small.
    """
    free = _DEFAULT_FREE_BYTES
    with suppress(OSError, ValueError, KeyError):  # only Linux has this file
        fields = dict(
            line.split(":") for line in Path("/proc/meminfo").read_text().splitlines()
        )
        free = int(fields["MemAvailable"].split()[0]) * 1024
    for limit, usage in _MEMORY_FILES:
        with suppress(
            OSError, ValueError
        ):  # this version of cgroups is not in use, or the limit is `max`
            return min(
                free,
                max(int(Path(limit).read_text()) - int(Path(usage).read_text()), 0),
            )
    return free
