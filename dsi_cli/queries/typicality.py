"""How typical right and wrong samples are, epoch by epoch: means over classes, as in the paper's table H.1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import TYPICALITY


@dataclass(frozen=True)
class TypicalitySummary:
    """One epoch on one split; means over the classes that have such samples, None where no class has."""

    epoch: int | None
    right: float | None = None
    """The cosine of a class's template with the mean feature of its samples predicted right (the paper's figure)."""
    right_chance: float | None = None
    """The same for as many random samples of the class."""
    right_sample: float | None = None
    """The cosine of a single such sample with the template of the others."""
    right_classes: int = 0
    wrong: float | None = None
    wrong_chance: float | None = None
    wrong_sample: float | None = None
    wrong_classes: int = 0


_FIELDS = {"group_cosine": "", "null_mean": "_chance", "sample_cosine": "_sample"}


def typicality_summary(out: Path, run: str) -> dict[str, list[TypicalitySummary]]:
    """Return, for each split with templates, every epoch of a run, in order; empty without any.

    Raises
    ------
    OutputError
        The table cannot be read.
    """
    path = layout.table_path(out, TYPICALITY)
    rows = parquet.read(path, run).to_pylist() if path.is_file() else []
    last: dict[tuple[str, int | None], int] = {}
    for row in rows:
        key = (row["split"], row["epoch"])
        last[key] = max(last.get(key, -1), _step(row))
    found: dict[str, list[TypicalitySummary]] = {}
    for split, epoch in sorted(last, key=lambda key: (key[0] == "train", key[1] or 0)):
        mine = [row for row in rows if (row["split"], row["epoch"], _step(row)) == (split, epoch, last[split, epoch])]
        found.setdefault(split, []).append(TypicalitySummary(epoch, **_means(mine, True), **_means(mine, False)))
    return found


def _step(row: dict[str, Any]) -> int:
    return -1 if row["step"] is None else int(row["step"])


def _means(rows: list[dict[str, Any]], is_right: bool) -> dict[str, Any]:
    name = "right" if is_right else "wrong"
    mine = [row for row in rows if row["correct"] == is_right and row["samples"]]
    found: dict[str, Any] = {f"{name}_classes": len(mine)}
    for column, suffix in _FIELDS.items():
        values = [row[column] for row in mine if row[column] is not None]
        found[name + suffix] = sum(values) / len(values) if values else None
    return found
