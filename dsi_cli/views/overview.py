"""A run at a glance: alignment with WordNet beside its chance level, WSI, accuracy; a line per few epochs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsi_cli.metrics import MEASURES
from dsi_cli.store import output
from dsi_cli.store.schema import CURVES

MOST_LINES = 12


@dataclass(frozen=True)
class Line:
    """One epoch; None where the table has no value."""

    epoch: int
    excess: float | None = None
    """Of SAI(NCSM, SCSM): 0 at chance, 1 at identity."""
    z: float | None = None
    measure: str | None = None
    """Of the SAI: cosine where it was asked for, else the first that was."""
    value: float | None = None
    chance: float | None = None
    max_wsi: float | None = None
    min_wsi: float | None = None
    accuracy: float | None = None
    reason: str | None = None
    """Why there is no SAI."""


_SAI = {"variant": "measure", "value": "value", "null_mean": "chance", "excess": "excess", "z": "z", "reason": "reason"}


def lines(out: Path, run: str) -> list[Line]:
    """Return every epoch of a run (its last save where it has several), in order.

    Raises
    ------
    OutputError
        The curves cannot be read.
    """
    from dsi_cli.store import parquet

    rows = [row for row in parquet.read(output.table_path(out, CURVES)).to_pylist() if row["run"] == run]
    there = {row["variant"] for row in rows if row["metric"] == "sai" and row["of"] == "ncsm,scsm"}
    measure = next((one.name for one in MEASURES if one.name in there), None)
    by_epoch: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["epoch"] is not None:
            by_epoch.setdefault(row["epoch"], {}).update(_fields(row, measure))
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


def _fields(row: dict[str, Any], measure: str | None) -> dict[str, Any]:
    if row["metric"] == "sai" and row["of"] == "ncsm,scsm" and row["variant"] == measure:
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
