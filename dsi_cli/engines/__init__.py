"""How jobs are spread: a function and jobs in, results out in the jobs' order. Engines know nothing of classes.

``machine``  what of the machine this process may use
``local``  this machine: threads of this process
``ray``    tasks of a Ray cluster, or of Ray on this machine
``probe``  whether a server answers at an address, for ``ray``

To add one: a module here with ``open_engine(chosen)``, and a line in `ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple, Protocol, TypeVar

from dsi_cli.errors import UsageError

Job = TypeVar("Job")
Result = TypeVar("Result")


class EngineSpec(NamedTuple):
    """One engine."""

    name: str
    """Also of its module."""
    title: str
    takes: tuple[str, ...] = ()
    """The options that only it understands."""


ENGINES = (
    EngineSpec("local", "this machine, one thread per core"),
    EngineSpec("ray", "tasks of a Ray cluster", ("address", "gpus_per_task")),
)
NAMES = tuple(one.name for one in ENGINES)
DEFAULT = NAMES[0]


@dataclass(frozen=True)
class EngineOptions:
    """The engine that was asked for; it changes no value in any table."""

    name: str = DEFAULT
    address: str | None = None
    """Of a Ray cluster: ``auto``, ``HOST:PORT`` or ``ray://HOST:PORT``; None: ``RAY_ADDRESS``, else Ray on this machine."""
    gpus_per_task: float = 0.0
    """For running a model on images; a part of one GPU, or whole ones."""

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be right."""
        kind = next((one for one in ENGINES if one.name == self.name), None)
        if kind is None:
            raise UsageError(f"--engine takes {' or '.join(NAMES)}; {self.name!r} is neither")
        for one in ENGINES:
            for option in one.takes:
                if option not in kind.takes and getattr(self, option) not in (None, 0.0):
                    raise UsageError(f"--{option.replace('_', '-')} is for --engine {one.name}; the engine is {self.name}")
        gpus = self.gpus_per_task
        if not (0 <= gpus <= 1 or (1 < gpus < 1000 and gpus == int(gpus))):
            raise UsageError(f"--gpus-per-task takes a part of a GPU (0.25) or whole ones (2); {gpus} is neither")


class Engine(Protocol):
    """What does jobs."""

    is_elsewhere: bool
    """Whether jobs are done on other machines: then functions are pickled too, and the files are those that the machine sees."""

    def tasks_a_machine(self) -> int:
        """Return how many jobs of `map_whole` one machine does at once."""

    def map_in_order(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], lost: Callable[[Job, str], Result]
    ) -> Iterator[Result]:
        """Yield ``function(job)`` for each job, in their order; only a few more jobs are drawn than results were taken.

        Parameters
        ----------
        function : called in several places at once, with one thread for the libraries that multiply; it sees no later change
        jobs : drawn from in the caller's thread; jobs and results may be pickled
        lost : what takes the place of a result that nothing lived to give; called here, with the job and the reason

        Notes
        -----
        The first error that the function raises ends the iteration with it.
        """

    def map_whole(
        self, function: Callable[[Job], Result], jobs: Iterable[Job], lost: Callable[[Job, str], Result]
    ) -> Iterator[Result]:
        """Do the same for jobs each of which fills a machine, or the GPUs that were asked for."""


def open_engine(options: EngineOptions) -> AbstractContextManager[Engine]:
    """Return the engine while it is in use.

    Raises
    ------
    UsageError
        It is not installed, or nothing answers at the address (which is only asked once there is a job).
    """
    found: AbstractContextManager[Engine] = import_module(f"dsi_cli.engines.{options.name}").open_engine(options)
    return found
