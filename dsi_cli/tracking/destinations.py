"""The values of ``--log-to``: a tracker and a target in it, checked before long work begins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError
from dsi_cli.tracking import TRACKERS, Tracker, form

if TYPE_CHECKING:
    from dsi_cli.tracking.points import RunPoints


@dataclass(frozen=True)
class Logged:
    """The result of logging curves to a tracker."""

    to: str
    """The tracker's name."""
    place: str
    """A description of the target for the user."""
    runs: int
    points: int
    next_step: str
    """The command that shows the curves."""
    left_out: list[str]
    """The names of similarity indices without a chance level, which were not logged."""


class Destination(NamedTuple):
    """A tracker and a target in it."""

    tracker: Tracker
    target: str | None
    """The text after the colon of ``--log-to``; None for the tracker's default."""

    def send(self, runs: list[RunPoints]) -> Logged:
        """Log the curves of runs; existing points are not logged again.

        Raise `UsageError` if the target is invalid, or a package is missing, and `OutputError` if the tracker could not be written
        to.
        """
        try:
            module = import_module(f"dsi_cli.tracking.{self.tracker.name}")
            place, next_step = module.send(runs, self.target)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError):
                raise _missing_package(self.tracker, error.name) from None
            message = f"--log-to {self.tracker.name}: its packages do not fit each other ({error}); update them"
            raise UsageError(message, code="packages-do-not-fit") from None
        left_out = list(dict.fromkeys(name for run in runs for name in run.left_out))
        return Logged(self.tracker.name, place, len(runs), sum(run.count for run in runs), next_step, left_out)


def destinations(texts: Iterable[str]) -> list[Destination]:
    """Return the destinations for the values of ``--log-to``, without duplicates.

    Raise `UsageError` if a value has another form, or a tracker's package is not installed.
    """
    return [destination(text) for text in dict.fromkeys(texts)]


def destination(text: str) -> Destination:
    """Return the destination for a value of ``--log-to``; errors as in `destinations`.

    >>> destination("tensorboard:logs/dsi").target
    'logs/dsi'
    """
    name, _, target = text.partition(":")
    tracker = next((tracker for tracker in TRACKERS if tracker.name == name), None)
    if tracker is None:
        message = f"--log-to takes {', '.join(map(form, TRACKERS))}; {text!r} is not one of these"
        raise UsageError(message, code="unknown-tracker", tracker=text)
    if tracker.needs_target and not target:
        raise UsageError(f"--log-to {tracker.name} needs a target; write --log-to {form(tracker)}", code="missing-target")
    spec = find_spec(tracker.name)
    if spec is None or spec.origin is None:  # W&B's data folder ``wandb`` has a spec without an origin
        raise _missing_package(tracker, tracker.name)
    return Destination(tracker, target or None)


def _missing_package(tracker: Tracker, package: str | None) -> UsageError:
    return UsageError(
        f"--log-to {tracker.name} needs the package {package}; run pip install 'dsi-cli[{tracker.name}]'",
        code="package-missing",
        package=package,
    )
