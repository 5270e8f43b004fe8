"""The record of one checkpoint: a row of ``checkpoints.parquet`` with further fields
for resuming.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dsi_cli.facts import Fact, fact

OK, FAILED, SKIPPED, PENDING = "ok", "failed", "skipped", "pending"


@dataclass(frozen=True)
class Record:
    """The properties of one checkpoint. The fields up to ``modified_ns`` are the
    columns of the table, in the same order.
    """

    run: str
    path: str
    epoch: int | None = None  # the trainer's own number
    epochs_completed: int | None = None
    epoch_source: str | None = None
    """``contents``, ``file name``, ``folder name``, ``commit title``, ``revision name``
    or ``order``.
    """
    step: int | None = None
    format: str | None = None
    trainer: str | None = None
    bytes: int = 0
    head: str | None = None  # the name of the classifier's weight
    weights_used: str | None = None  # ``raw`` or ``ema``
    classes: int | None = None
    """The number of compared classes: the rows of the head without ``extra_classes``,
    unless the user keeps these.
    """
    features: int | None = None
    extra_classes: int | None = None  # the number of rows for no object or background
    dtype: str | None = None
    fingerprint: str | None = None
    """The SHA-256 of the head as (rows, features) little-endian float32, including
    extra rows.
    """
    status: str = OK
    # the reason why the status is not ``ok``, or a note about a usable checkpoint
    reason: str | None = None
    code: str | None = None
    """The stable name of the reason why the status is not ``ok``, such as ``cut-off``:
    reasons may be reworded, codes are not.
    """
    modified_ns: int = 0
    # the number that the trainer writes after its first epoch, if the contents show it
    counts_from: int | None = None
    network: str | None = None
    """The `dsi_cli.checkpoints.trainers.network_id` of the state dict in which the head
    was found.
    """
    is_confirmed: bool = True
    """False if a head was found, but neither its name, nor metadata, nor a number of
    labels confirms that it is a classifier.
    """
    fold: str | None = None  # the fold of the training data, if the contents state it
    scalars: dict[str, float] = field(default_factory=dict)
    """Losses, accuracies and the learning rate in the contents, by their names in
    ``dsi_cli.checkpoints.training_logs``, as written until
    `dsi_cli.checkpoints.deduplication.resolve_duplicates` makes percentages fractions.
    """

    @property
    def name(self) -> str:
        """The name of the file or folder; for a file of a repository with its revision,
        a commit in short.
        """
        is_in_repository = self.path.startswith("hf:/") and "@" in self.path
        if not is_in_repository:
            return os.path.basename(self.path)  # noqa: PTH119 (ten times as fast)
        short = re.sub(r"@([0-9a-f]{7})[0-9a-f]{33}(?=/|$)", r"@\1", self.path)
        parts = short.split("/")
        revision = next(index for index, part in enumerate(parts) if "@" in part)
        return "/".join(parts[revision:])

    @property
    def version(self) -> tuple[int, int, str | None]:
        """The size, the time and the head, which change when the file is
        overwritten.
        """
        return self.bytes, self.modified_ns, self.fingerprint

    @property
    def epoch_number(self) -> int:
        """The epoch of a usable checkpoint; 0 for the only one of a run without epochs,
        whose epoch is null in the tables.
        """
        return self.epoch or 0

    @property
    def key_columns(self) -> dict[str, Any]:
        """The columns that identify the checkpoint in every table."""
        return {
            "run": self.run,
            "epoch": self.epoch,
            "epochs_completed": self.epochs_completed,
            "step": self.step,
        }


def unconfirmed_head(records: Iterable[Record]) -> Fact | None:
    """Return a fact about the head of a run if nothing confirms that it is a
    classifier.
    """
    for record in records:
        if record.status == OK and not record.is_confirmed:
            return fact(
                "head-unconfirmed",
                head=record.head,
                classes=record.classes,
                features=record.features,
                path=shlex.quote(record.path),
            )
    return None


def messages_by_cause(
    records: Iterable[Record], single: str = "{status}: {name}: {reason}"
) -> list[str]:
    """Return one line per cause, with the number of files that cannot be used and the
    first of them.

    Parameters
    ----------
    records : files with a reason; equal codes are one cause.
    single : the format of the line if only one file has the cause.

    >>> values = {"status": FAILED, "reason": "no classifier", "code": "no-head"}
    >>> messages_by_cause([Record("", name, **values) for name in ("a.pt", "b.pt")])
    ['2 checkpoints failed: no classifier; first a.pt']
    """
    causes: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        causes.setdefault((record.status, record.code), []).append(record)
    lines = []
    for (status, _), files in causes.items():
        name, reason = files[0].name, files[0].reason
        if len(files) == 1:
            lines.append(single.format(status=status, name=name, reason=reason))
        elif len({record.reason for record in files}) == 1:
            lines.append(f"{len(files)} checkpoints {status}: {reason}; first {name}")
        else:
            lines.append(f"{len(files)} checkpoints {status}, such as {name}: {reason}")
    return lines
