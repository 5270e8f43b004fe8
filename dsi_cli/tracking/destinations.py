"""``--log-to``: which tracker, and where in it; checked before long work begins."""

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
    """What was logged to a tracker."""

    to: str
    """The tracker's name."""
    place: str
    """Where the curves are now, in words."""
    runs: int
    points: int
    next_step: str
    """What to type to look at them."""
    left_out: list[str]
    """Similarity indices without a chance level."""


class Destination(NamedTuple):
    """A tracker and a place in it."""

    tracker: Tracker
    place: str | None
    """None for the tracker's default."""

    def send(self, runs: list[RunPoints]) -> Logged:
        """Log the curves of runs; what is there already is not logged twice.

        Raises
        ------
        UsageError
            The place cannot be right, or a package is missing.
        OutputError
            The tracker could not be written to.
        """
        try:
            module = import_module(f"dsi_cli.tracking.{self.tracker.name}")
            place, next_step = module.send(runs, self.place)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError):
                raise UsageError(missing(self.tracker, error.name)) from None
            raise UsageError(
                f"--log-to {self.tracker.name}: its packages do not fit each other ({error}); update them"
            ) from None
        left_out = list(dict.fromkeys(name for run in runs for name in run.left_out))
        return Logged(self.tracker.name, place, len(runs), sum(run.count for run in runs), next_step, left_out)


def destinations(texts: Iterable[str]) -> list[Destination]:
    """Return what the values of ``--log-to`` mean; each once.

    Raises
    ------
    UsageError
        A text is of another form, or a tracker's package is not installed.
    """
    return [destination(text) for text in dict.fromkeys(texts)]


def destination(text: str) -> Destination:
    """Return what a value of ``--log-to`` means; errors as for `destinations`.

    >>> destination("tensorboard:logs/dsi").place
    'logs/dsi'
    """
    name, _, place = text.partition(":")
    tracker = next((one for one in TRACKERS if one.name == name), None)
    if tracker is None:
        raise UsageError(f"--log-to takes {', '.join(map(form, TRACKERS))}; {text!r} is none of these")
    if tracker.needs_place and not place:
        raise UsageError(f"--log-to {tracker.name} wants a place: {form(tracker)}")
    if not _is_installed(tracker.name):
        raise UsageError(missing(tracker, tracker.name))
    return Destination(tracker, place or None)


def _is_installed(package: str) -> bool:
    """Return whether a package can be imported; W&B's folder ``wandb`` in the working directory is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def missing(tracker: Tracker, package: str | None) -> str:
    """Return what to do about a package that is not installed."""
    return f"--log-to {tracker.name} needs the package {package}: pip install 'dsi-cli[{tracker.name}]'"
