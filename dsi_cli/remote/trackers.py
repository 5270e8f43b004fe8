"""Training runs in MLflow and Weights & Biases as inputs: their artifacts as folders, and their curves.

``mlflow:RUN_ID``, ``mlflow:EXPERIMENT`` and ``wandb:ENTITY/PROJECT/RUN`` name them. The clients of the trackers find the server
and the credentials in their usual places; dsi does not see them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from dsi_cli.errors import UsageError
from dsi_cli.remote.locations import Place

MLFLOW, WANDB = "mlflow", "wandb"
_INPUT = re.compile(rf"({MLFLOW}|{WANDB}):(?!//)(.+)")
Scalars = dict[str, dict[int, float]]
"""The last value of each step: ``{name in small letters: {step: value}}``."""


class Version(NamedTuple):
    """One version of a tracker's artifact, or one revision of a repository."""

    folder: Place
    """The folder, or the file, of this version."""
    text: str
    """The text that may state the epoch: the file's name when it was logged, a commit's title, or the name of a tag or branch."""
    error: OSError | None = None
    """The reason why the version cannot be read."""
    name: str | None = None
    """The name of the file in the artifact, if ``folder`` is a file."""


@dataclass(frozen=True)
class TrackedRun:
    """One run of a tracker."""

    tracker: str
    """``MLflow`` or ``W&B``."""
    name: str
    folder: Place
    """The folder of its artifacts."""
    read_scalars: Callable[[Collection[str]], Scalars]
    """Takes the names of curves in small letters; raises `OSError` if the tracker does not send them."""
    versions: tuple[Version, ...] = ()
    """The versions of its artifacts, the oldest first; empty if the names of the files tell the checkpoints apart."""


def find_tracked_runs(text: str) -> list[TrackedRun] | None:
    """Return the runs of an input, or None if it does not name runs of a tracker.

    Raise `UsageError` if the run does not exist (``no-such-path``), or the tracker's package is missing (``package-missing``).
    Raise `UnreachableError` if the tracker does not respond, or denies access.
    """
    match = _INPUT.fullmatch(text)
    if match is None:
        return None
    try:
        if match[1] == MLFLOW:
            from dsi_cli.remote.mlflow_runs import find_runs
        else:
            from dsi_cli.remote.wandb_runs import find_runs
        return find_runs(match[2])
    except ImportError:
        message = f"{match[1]}: paths need a package that is not installed; run pip install 'dsi-cli[{match[1]}]'"
        raise UsageError(message, code="package-missing", scheme=match[1]) from None
