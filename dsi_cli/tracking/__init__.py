"""Logging of curves from a results folder to experiment trackers, without further computation.

- ``points``: the logged values by run, epoch and name, from the tables; a similarity index is logged only with its chance level
- ``destinations``: the tracker and the target of ``--log-to``, checked before long work begins
- ``tensorboard``, ``wandb``, ``mlflow``: one module per tracker with a function ``send``, which may be called repeatedly

To add a tracker, add a line to `TRACKERS`, a module with its name to this package, and an extra with its name to
``pyproject.toml``. This module imports no heavy package, so that ``--help`` is fast.
"""

from __future__ import annotations

from typing import NamedTuple


class Tracker(NamedTuple):
    """An experiment tracker."""

    name: str
    """The name of the required package, of the extra that installs it, and of the module in this package."""
    target: str
    """The placeholder for the text after the colon of ``--log-to``."""
    needs_target: bool
    meaning: str


TRACKERS = (
    Tracker("tensorboard", "DIR", True, "event files, a folder a run"),
    Tracker("wandb", "PROJECT", False, "Weights & Biases, offline unless WANDB_MODE is online; project dsi"),
    Tracker("mlflow", "URI", False, "a local store unless the URI or MLFLOW_TRACKING_URI names another; experiment dsi"),
)


def form(tracker: Tracker) -> str:
    """Return the form of ``--log-to``'s value for a tracker.

    >>> [form(tracker) for tracker in TRACKERS]
    ['tensorboard:DIR', 'wandb[:PROJECT]', 'mlflow[:URI]']
    """
    if tracker.needs_target:
        return f"{tracker.name}:{tracker.target}"
    return f"{tracker.name}[:{tracker.target}]"
