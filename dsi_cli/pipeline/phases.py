"""The rows of the phases table: from the rows of the curves table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import MEASURES
from dsi_cli.metrics.phases import Phases, phases
from dsi_cli.pipeline.options import REFERENCE
from dsi_cli.views.overview import OWN

Row = dict[str, Any]
DEVIATIONS = 3.0
"""A surge of the alignment rises by more than so many deviations of chance."""
_OWN = {name: (name.partition("-")[0], name.partition("-")[2] or None) for name in OWN}
"""Kind and split of what may be the network's own similarity, first choice first."""
_WSI = {"max": 1, "min": -1}
"""Which way each goes as a network learns."""


def rows(of_curves: Iterable[Mapping[str, Any]], reference: str = REFERENCE) -> list[Row]:
    """Return the rows of every run in some rows of the curves table, runs in the order in which they come.

    Parameters
    ----------
    reference : the main one, where the runs were compared with several
    """
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for row in of_curves:
        if row["metric"] in ("sai", "wsi") and row["epoch"] is not None:
            by_run.setdefault(row["run"], []).append(row)
    return [row for run, mine in by_run.items() for row in _of_run(run, mine, reference)]


def _of_run(run: str, mine: Sequence[Mapping[str, Any]], reference: str) -> Iterator[Row]:
    there = {(row["of"], row.get("split")) for row in mine if row["metric"] == "wsi"}
    own = next(name for name, of_wsi in _OWN.items() if of_wsi in there or name == OWN[-1])
    kind, split = _OWN[own]
    points = _alignment(mine, f"{own},scsm", reference)
    spread = _column(points, "null_std") / (1 - _column(points, "null_mean"))
    least = DEVIATIONS * float(np.nanmedian(spread)) if np.isfinite(spread).any() else 0.0
    yield from _rows(run, f"sai excess {own},scsm", _found(points, "excess", 1, least))
    for variant, direction in _WSI.items():
        points = _last_saves(
            row
            for row in mine
            if (row["metric"], row["of"], row["variant"]) == ("wsi", kind, variant) and row.get("split") == split
        )
        yield from _rows(run, f"wsi {variant}", _found(points, "value", direction, 0.0))


def _alignment(mine: Sequence[Mapping[str, Any]], of: str, reference: str) -> list[Mapping[str, Any]]:
    """Return the points of one SAI: cosine where it was asked for, else the first measure that was."""
    sai = [row for row in mine if row["metric"] == "sai" and row["of"] == of]
    measures = {row.get("variant") for row in sai}
    measure = next((one.name for one in MEASURES if one.name in measures), None)
    return _last_saves(row for row in sai if (row.get("variant"), row.get("reference")) == (measure, reference))


def _last_saves(points: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one point an epoch, in order: of several saves the last, which has no step or the highest one."""
    ordered = sorted(points, key=lambda row: (row["epoch"], row.get("step") is not None, row.get("step") or 0))
    return list({row["epoch"]: row for row in ordered}.values())


def _found(points: Sequence[Mapping[str, Any]], column: str, direction: int, least: float) -> Phases:
    values = _column(points, column)
    if not np.isfinite(values).any():
        return Phases((), next((row["reason"] for row in points if row.get("reason")), "the run has no such curve"))
    return phases(_column(points, "epoch"), values, direction=direction, least_rise=least)


def _column(points: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row.get(name) for row in points], dtype=np.float64)


def _rows(run: str, curve: str, found: Phases) -> Iterator[Row]:
    for phase in found.found:
        yield {
            "run": run,
            "curve": curve,
            "phase": phase.name,
            "first_epoch": int(phase.first_epoch),
            "last_epoch": int(phase.last_epoch),
            "slope": phase.slope,
            "confidence": phase.confidence,
            "low": int(phase.low),
            "high": int(phase.high),
        }
    if not found.found:
        yield {"run": run, "curve": curve, "reason": found.reason}
