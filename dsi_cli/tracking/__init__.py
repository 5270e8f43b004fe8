"""An output's curves -> the tracker that a team already looks at; tables in, nothing computed.

``points``       the tables -> what is logged, by run, epoch and name: no similarity index without its chance level
``destinations`` ``--log-to`` -> a tracker and a place in it, checked before long work begins; and how curves get there
``tensorboard``, ``wandb``, ``mlflow``  one module a tracker: ``send``, which may be called again and again

A tracker is a line of `TRACKERS`, a module of its name here, and an extra of its name in ``pyproject.toml``. This module imports
nothing, so that ``--help`` costs nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Tracker(NamedTuple):
    """A tracker, by the name of its package."""

    name: str
    """Also the package that must be installed, the extra that installs it, and the module here."""
    place: str
    """What stands behind the colon of ``--log-to``."""
    needs_place: bool
    meaning: str


TRACKERS = (
    Tracker("tensorboard", "DIR", True, "event files, a folder a run"),
    Tracker("wandb", "PROJECT", False, "Weights & Biases, offline unless WANDB_MODE says otherwise; project dsi"),
    Tracker("mlflow", "URI", False, "a local store unless the URI or MLFLOW_TRACKING_URI says otherwise; experiment dsi"),
)


def form(tracker: Tracker) -> str:
    """Return how a tracker is written after ``--log-to``.

    >>> [form(tracker) for tracker in TRACKERS]
    ['tensorboard:DIR', 'wandb[:PROJECT]', 'mlflow[:URI]']
    """
    return f"{tracker.name}:{tracker.place}" if tracker.needs_place else f"{tracker.name}[:{tracker.place}]"
