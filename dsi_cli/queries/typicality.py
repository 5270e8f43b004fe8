"""The typicality of correctly and wrongly classified samples by epoch: means over classes, as in the paper's table H.1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import TYPICALITY


@dataclass(frozen=True)
class TypicalitySummary:
    """One epoch on one split: means over the classes with such samples, or None if there are none."""

    epoch: int | None
    right: float | None = None
    """The cosine of a class's template with the mean feature of its correctly classified samples (the paper's figure)."""
    right_chance: float | None = None
    """The chance level of ``right``: the cosine with the mean of as many random samples of the class."""
    right_sample: float | None = None
    """The cosine of a single such sample with the template of the other samples."""
    right_classes: int = 0
    """The number of classes with such samples."""
    wrong: float | None = None
    wrong_chance: float | None = None
    wrong_sample: float | None = None
    wrong_classes: int = 0


_FIELDS = {"group_cosine": "", "null_mean": "_chance", "sample_cosine": "_sample"}
"""The suffix of the fields by column of the table."""


def typicality_summary(out: Path, run: str) -> dict[str, list[TypicalitySummary]]:
    """Return the epochs of a run, in order, for each split with templates.

    Raises
    ------
    OutputError
        The table cannot be read.
    """
    path = layout.table_path(out, TYPICALITY)
    rows = parquet.read(path, run).to_pylist() if path.is_file() else []
    # Of several checkpoints of an epoch, only the last step counts.
    last_step: dict[tuple[str, int | None], int] = {}
    for row in rows:
        key = (row["split"], row["epoch"])
        last_step[key] = max(last_step.get(key, -1), _step(row))
    summaries: dict[str, list[TypicalitySummary]] = {}
    for split, epoch in sorted(last_step, key=lambda key: (key[0] == "train", key[1] or 0)):
        step = last_step[split, epoch]
        selected = [row for row in rows if (row["split"], row["epoch"], _step(row)) == (split, epoch, step)]
        right, wrong = _means(selected, True), _means(selected, False)
        summaries.setdefault(split, []).append(TypicalitySummary(epoch, **right, **wrong))
    return summaries


def _step(row: dict[str, Any]) -> int:
    return -1 if row["step"] is None else int(row["step"])


def _means(rows: list[dict[str, Any]], is_right: bool) -> dict[str, Any]:
    name = "right" if is_right else "wrong"
    with_samples = [row for row in rows if row["correct"] == is_right and row["samples"]]
    means: dict[str, Any] = {f"{name}_classes": len(with_samples)}
    for column, suffix in _FIELDS.items():
        values = [row[column] for row in with_samples if row[column] is not None]
        means[name + suffix] = sum(values) / len(values) if values else None
    return means
