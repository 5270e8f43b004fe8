"""The rows of the phases table, from the rows of the curves table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli.analysis.options import REFERENCE
from dsi_cli.analysis.semantics.epoch_context import SCSM
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.phases import Phases, phases
from dsi_cli.queries.quantities import (
    PEARSON,
    QUANTITIES,
    SAI,
    alignment,
    network_matrix,
    select,
)
from dsi_cli.store.schema import SPLITS

Row = dict[str, Any]
Point = Mapping[str, Any]
COLUMNS = (
    "first_epoch",
    "last_epoch",
    "low",
    "high",
    "gain",
    "gain_low",
    "gain_high",
    "is_censored",
    "reason",
)
WITHIN_CHANCE = (
    "the 95 % confidence interval includes chance at every epoch, so the curve stays"
    " within chance"
)
NOT_LEARNED = (
    "the agreement stays within chance, so this curve is not that of a network that"
    " learns"
)


def phase_rows(
    points: Sequence[Point],
    reference: str = REFERENCE,
    by_class: Sequence[pa.Table] = (),
) -> list[Row]:
    """Return the phases of a run, whose rows of the curves table are given: of the
    agreement with the main reference, of the Max WSI, and of the WIDM of each split.

    `by_class` are the rows of its epochs in the table of alignments by class, for the
    confidence intervals.
    """
    points = [row for row in points if row["epoch"] is not None]
    network = network_matrix(points)

    # The agreement is Pearson's correlation, or else the first measure's excess.
    alignments = select(points, {"metric": SAI, "of": f"{network},{SCSM}"})
    measure = alignment({row.get("variant") for row in alignments}).variant
    name = "agreement" if measure == PEARSON else f"excess of {measure}"
    key = {"variant": measure, "reference": reference}
    curve = _last_saves(select(alignments, key))
    spread = _column(curve, "null_std") / (1 - _column(curve, "null_mean"))
    without = None
    if measure == PEARSON:
        without = _agreement_without_each(curve, reference, by_class)
    agreement = _phases(curve, "excess", 0.0, _min_gain(spread), without)
    rows = _rows_of(f"{name} {network},{SCSM}", agreement)

    # The Max WSI means nothing as long as the agreement stays within chance.
    max_wsi = Phases(reason=NOT_LEARNED)
    if not agreement.is_within_chance:
        of_network = select(points, QUANTITIES["max_wsi"].key(network))
        max_wsi = _phases(_last_saves(of_network), "value")
    rows += _rows_of("wsi max", max_wsi)

    # WIDM of each split
    for part in sorted(SPLITS):
        key = QUANTITIES["widm"].key(network, part) | {"reference": reference}
        curve = _last_saves(select(points, key))
        if not curve:
            continue
        chance = _column(curve, "null_mean")
        start = float(np.nanmedian(chance)) if np.isfinite(chance).any() else None
        min_gain = _min_gain(_column(curve, "null_std"))
        rows += _rows_of(f"widm {part}", _phases(curve, "value", start, min_gain))
    return rows


def _rows_of(curve: str, result: Phases) -> list[Row]:
    """Return the phases of a curve as rows, or one row with the reason."""
    if not result.found:
        return [{"curve": curve, "reason": result.reason}]
    rows = []
    for phase in result.found:
        values = {name: getattr(phase, name) for name in COLUMNS}
        rows.append({"curve": curve, "phase": phase.name} | values)
    return rows


def _agreement_without_each(
    curve: Sequence[Point], reference: str, by_class: Sequence[pa.Table]
) -> NDArray[np.float64] | None:
    """Return the agreement without each class at the points of a curve ``(n, C)``; None
    if an epoch lacks it.
    """
    import pyarrow.compute as pc  # a call without new rows does not need it

    without = {}
    for table in by_class:
        # The rows of groups have no class index.
        is_class = pc.is_valid(table["class_index"])
        is_main = pc.equal(table["reference"], reference)
        classes = table.filter(pc.and_(is_class, is_main))
        if len(classes):
            key = classes["epoch"][0].as_py(), classes["step"][0].as_py()
            without[key] = classes["pearson_without"].to_numpy()
    values = [without.get((row["epoch"], row.get("step"))) for row in curve]
    known = [value for value in values if value is not None]
    sizes = {len(value) for value in known}
    if len(known) < len(values) or len(sizes) != 1:
        return None
    return np.stack(known)


def _last_saves(points: Iterable[Point]) -> list[Point]:
    """Return the last point of each epoch, in order: the point without a step, or with
    the highest one.
    """
    ordered = sorted(
        points,
        key=lambda row: (
            row["epoch"],
            row.get("step") is not None,
            row.get("step") or 0,
        ),
    )
    return list({row["epoch"]: row for row in ordered}.values())


def _min_gain(spread: NDArray[np.float64]) -> float:
    """Return the gain that exceeds chance, at most 1; 0 if the standard deviation of
    chance is unknown.
    """
    if np.isfinite(spread).any():
        return min(1.0, MIN_Z * float(np.nanmedian(spread)))
    return 0.0


def _phases(
    points: Sequence[Point],
    column: str,
    start: float | None = None,
    min_gain: float = 0.0,
    without: NDArray[np.float64] | None = None,
) -> Phases:
    values = _column(points, column)
    if not np.isfinite(values).any():
        return Phases(
            reason=next(
                (row["reason"] for row in points if row.get("reason")),
                "the run has no such curve",
            )
        )
    result = phases(
        _column(points, "epoch"),
        values,
        start=start,
        least_gain=min_gain,
        without=without,
    )
    if result.found and start is not None and np.all(_column(points, "low") <= start):
        return Phases(reason=WITHIN_CHANCE, is_within_chance=True)
    return result


def _column(points: Sequence[Point], name: str) -> NDArray[np.float64]:
    return np.array([row.get(name) for row in points], dtype=np.float64)
