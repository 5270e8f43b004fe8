"""The record of one checkpoint: a row of ``checkpoints.parquet``, and a little that only resuming needs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

OK, FAILED, SKIPPED, PENDING = "ok", "failed", "skipped", "pending"


@dataclass(frozen=True)
class Record:
    """What is known of one checkpoint; the fields up to ``reason`` are the columns of the table, in its order."""

    run: str
    path: str
    epoch: int | None = None
    """The trainer's own number."""
    epochs_completed: int | None = None
    epoch_source: str | None = None
    """``contents``, ``file name``, ``folder name`` or ``order``."""
    step: int | None = None
    format: str | None = None
    trainer: str | None = None
    bytes: int = 0
    head: str | None = None
    """The name of the classifier's weight."""
    weights_used: str | None = None
    """``raw`` or ``ema``."""
    classes: int | None = None
    """Classes that are compared: rows of the head, less ``extra_classes`` unless these are kept."""
    features: int | None = None
    extra_classes: int | None = None
    """Rows for no object or background."""
    dtype: str | None = None
    fingerprint: str | None = None
    """SHA-256 of the head as (rows, features) little-endian float32, extra rows included."""
    status: str = OK
    reason: str | None = None
    """Why the status is not ``ok``, or what should be known though it is."""
    modified_ns: int = 0
    counts_from: int | None = None
    """The epoch that the trainer writes after its first, where the contents tell."""
    entry: str | None = None
    """Which of several epochs that its file holds; None for a file of its own."""
    network: str | None = None
    """`dsi_cli.checkpoints.trainers.network_id` of the weights among which the head was found."""
    scalars: dict[str, float] = field(default_factory=dict)
    """Losses, accuracies and the learning rate that the contents hold, by ``dsi_cli.checkpoints.training_logs`` name."""

    @property
    def key_columns(self) -> dict[str, Any]:
        """The columns that identify the checkpoint in every table."""
        return {
            "run": self.run,
            "epoch": self.epoch,
            "epochs_completed": self.epochs_completed,
            "step": self.step,
        }


def messages_by_cause(problems: Iterable[tuple[str, str, str]], single: str = "{status}: {name}: {reason}") -> list[str]:
    """Return a line for each cause among files that cannot be used, with the number of files and the first of them.

    Parameters
    ----------
    problems : of each file its name, status and reason; reasons that differ in numbers alone are one cause
    single : the form of the line of a cause that only one file has

    Examples
    --------
    >>> messages_by_cause([("a.pt", "failed", "no classifier"), ("b.pt", "failed", "no classifier"), ("c.pt", "pending", "empty")])
    ['2 checkpoints failed: no classifier; first a.pt', 'pending: c.pt: empty']
    """
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, status, reason in problems:
        found.setdefault((status, re.sub(r"\d+", "#", reason)), []).append((name, reason))
    lines = []
    for (status, _), files in found.items():
        name, reason = files[0]
        one = single.format(status=status, name=name, reason=reason)
        lines.append(one if len(files) == 1 else f"{len(files)} checkpoints {status}: {reason}; first {name}")
    return lines
