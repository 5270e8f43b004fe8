"""Logging of curves from a results folder to experiment trackers, without further
computation.

This module reads the values of ``--log-to``, a tracker and a target in it, before long
work begins. It imports no heavy package, so that ``--help`` is fast.

- ``points``: the logged values by run, epoch and name, from the tables
- ``tensorboard``, ``wandb``, ``trackio``, ``mlflow``: one module per tracker with a function
  ``send``, which may be called repeatedly

To add a tracker, add a line to `TRACKERS`, a module with its name to this package, and
an extra with its name to ``pyproject.toml``. Another package can add one as a plug-in
(`dsi_cli.plugins`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from dsi_cli import plugins
from dsi_cli.errors import UsageError, is_installed


class Tracker(NamedTuple):
    """An experiment tracker."""

    # the name of the required package, of the extra that installs it, and of the module
    # in this package
    name: str
    target: str  # the placeholder for the text after the colon of ``--log-to``
    needs_target: bool = False
    plugin: plugins.Plugin | None = None


TRACKERS = (
    Tracker("tensorboard", "DIR", needs_target=True),
    Tracker("wandb", "PROJECT"),
    Tracker("trackio", "PROJECT"),
    Tracker("mlflow", "URI"),
)


def form(tracker: Tracker) -> str:
    """Return the form of ``--log-to``'s value for a tracker.

    >>> [form(tracker) for tracker in TRACKERS]
    ['tensorboard:DIR', 'wandb[:PROJECT]', 'trackio[:PROJECT]', 'mlflow[:URI]']
    """
    if tracker.needs_target:
        return f"{tracker.name}:{tracker.target}"
    return f"{tracker.name}[:{tracker.target}]"


@dataclass(frozen=True)
class Logged:
    """The result of logging curves to a tracker."""

    to: str  # the tracker's name
    place: str  # a description of the target for the user
    runs: int
    points: int
    next_step: str  # the command that shows the curves


class Destination(NamedTuple):
    """A tracker and a target in it."""

    tracker: Tracker
    # the text after the colon of ``--log-to``; None for the tracker's default
    target: str | None

    def send(
        self, out: Path, run: str | None = None, *, all_curves: bool = False
    ) -> Logged:
        """Log the main curves of a results folder, or of one of its runs, or all
        curves; existing points are not logged again.

        Raise `UsageError` if the target is invalid, or a package is missing, and
        `OutputError` if the tracker could not be written to.
        """
        from dsi_cli.store.results import Results
        from dsi_cli.tracking.points import points_of_results

        runs = points_of_results(Results(out), run, all_curves=all_curves)
        plugin = self.tracker.plugin
        try:
            if plugin is None:
                module = import_module(f"dsi_cli.tracking.{self.tracker.name}")
                place, next_step = module.send(runs, self.target)
            else:
                place, next_step = plugin.call(_two_texts, runs, self.target)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError):
                raise _missing_package(self.tracker, error.name) from None
            message = (
                f"--log-to {self.tracker.name}: its packages do not fit each other"
                f" ({error}); update them"
            )
            raise UsageError(message, code="packages-do-not-fit") from None
        return Logged(
            self.tracker.name,
            place,
            len(runs),
            sum(points.count for points in runs),
            next_step,
        )


def destinations(texts: Iterable[str]) -> list[Destination]:
    """Return the destinations for values of ``--log-to``, without duplicates; raise
    `UsageError` if one is invalid.
    """
    return [
        destination(text)
        for text in dict.fromkeys([texts] if isinstance(texts, str) else texts)
    ]


def destination(text: str) -> Destination:
    """Return the destination for a value of ``--log-to``; errors as in `destinations`.

    >>> destination("tensorboard:logs/dsi").target
    'logs/dsi'
    """
    name, _, target = str(text).partition(":")
    tracker = next((tracker for tracker in TRACKERS if tracker.name == name), None)
    plugin = None if tracker else plugins.load(plugins.TRACKERS).get(name)
    if plugin is not None:
        return Destination(Tracker(name, "TARGET", plugin=plugin), target or None)
    if tracker is None:
        message = (
            f"--log-to takes {', '.join(map(form, TRACKERS))}; {text!r} is not one of"
            " these"
        )
        raise UsageError(message, code="unknown-tracker", tracker=text)
    if tracker.needs_target and not target:
        raise UsageError(
            f"--log-to {tracker.name} needs a target",
            hint=f"write --log-to {form(tracker)}",
            code="missing-target",
        )
    if not is_installed(tracker.name):
        raise _missing_package(tracker, tracker.name)
    return Destination(tracker, target or None)


def _two_texts(result: tuple[str, str]) -> tuple[str, str]:
    place, next_step = result
    return str(place), str(next_step)


def _missing_package(tracker: Tracker, package: str | None) -> UsageError:
    message = (
        f"--log-to {tracker.name} needs the package {package}; run pip install"
        f" 'dsi-cli[{tracker.name}]'"
    )
    return UsageError(message, code="package-missing", package=package)
