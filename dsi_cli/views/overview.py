"""A run at a glance: alignment with WordNet beside its chance level, WSI, accuracy; a line per few epochs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.store import output
from dsi_cli.store.schema import CURVES

MOST_LINES = 12


@dataclass(frozen=True)
class Line:
    """One epoch; None where the table has no value."""

    epoch: int
    excess: float | None = None
    """Of SAI(NCSM, SCSM), cosine: 0 at chance, 1 at identity."""
    z: float | None = None
    value: float | None = None
    chance: float | None = None
    max_wsi: float | None = None
    min_wsi: float | None = None
    accuracy: float | None = None


_SAI = {"value": "value", "null_mean": "chance", "excess": "excess", "z": "z"}


def lines(out: Path, run: str) -> list[Line]:
    """Return every epoch of a run (its last save where it has several), in order.

    Raises
    ------
    OutputError
        The curves cannot be read.
    """
    from dsi_cli.store import parquet

    table = parquet.read(output.table_path(out, CURVES))
    by_epoch: dict[int, dict[str, Any]] = {}
    for row in table.to_pylist():
        if row["run"] == run and row["epoch"] is not None:
            by_epoch.setdefault(row["epoch"], {}).update(_fields(row))
    return [Line(epoch, **fields) for epoch, fields in sorted(by_epoch.items())]


def thinned(found: list[Line], most: int = MOST_LINES) -> list[Line]:
    """Return at most ``most`` lines, the first and the last among them, closer together where the curves begin.

    >>> [line.epoch for line in thinned([Line(epoch) for epoch in range(31)], 8)]
    [0, 2, 5, 8, 13, 18, 24, 30]
    """
    if len(found) <= most:
        return found
    places = {round((len(found) - 1) * (step / (most - 1)) ** 1.5) for step in range(most)}
    return [found[place] for place in sorted(places)]


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    if row["metric"] == "sai" and row["of"] == "ncsm,scsm" and row["variant"] == "cosine":
        return {field: row[column] for column, field in _SAI.items()}
    if row["metric"] == "wsi" and row["of"] == "ncsm" and row["variant"] in ("max", "min"):
        return {f"{row['variant']}_wsi": row["value"]}
    if row["metric"] == "accuracy" and row["split"] == "test":
        return {"accuracy": row["value"]}
    return {}


def surge_epoch(found: list[Line]) -> int | None:
    """Return the first epoch at which the SAI's excess over chance is half of its highest or more; None where it has none."""
    known = [(line.epoch, line.excess) for line in found if line.excess is not None]
    half = max((excess for _, excess in known), default=0.0) / 2
    return next((epoch for epoch, excess in known if excess >= half > 0), None)
