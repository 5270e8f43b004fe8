"""The rows of the phases table, from the rows of the curves table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsi_cli.analysis.options import REFERENCE
from dsi_cli.analysis.semantics.epoch_context import SCSM
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.phases import Phases, phases
from dsi_cli.queries.quantities import (
    IDM,
    PEARSON,
    QUANTITIES,
    SAI,
    WSI,
    alignment,
    network_matrix,
    select,
)
from dsi_cli.store.schema import SPLITS

Row = dict[str, Any]
Point = Mapping[str, Any]
AgreementWithoutEach = dict[tuple[int | None, int | None], NDArray[np.float64]]
"""The agreement without each class ``(C,)``, by epoch and step."""
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


def phase_rows(
    curve_rows: Iterable[Point],
    reference: str = REFERENCE,
    class_alignment_of: Callable[[str], Sequence[pa.Table]] = lambda _run: (),
) -> list[Row]:
    """Return the phases of every run in some rows of the curves table; runs keep their
    order.

    The phases are those of the agreement with the main reference. `class_alignment_of`
    returns the rows of a run's epochs in the table of alignments by class, for the
    confidence intervals.
    """
    points_of_runs: dict[str, list[Point]] = {}
    for row in curve_rows:
        if row["metric"] in (SAI, WSI, IDM) and row["epoch"] is not None:
            points_of_runs.setdefault(row["run"], []).append(row)
    rows: list[Row] = []
    for run, points in points_of_runs.items():
        # The rows of classes with the main reference; those of groups have no class
        # index.
        without_each: AgreementWithoutEach = {}
        for table in class_alignment_of(run):
            classes = table.filter(
                (pc.field("reference") == reference)
                & pc.field("class_index").is_valid()
            )
            if len(classes):
                key = classes["epoch"][0].as_py(), classes["step"][0].as_py()
                without_each[key] = classes["pearson_without"].to_numpy()
        for curve, result in _phases_of_run(points, reference, without_each):
            if not result.found:
                rows.append({"run": run, "curve": curve, "reason": result.reason})
            for phase in result.found:
                values = {name: getattr(phase, name) for name in COLUMNS}
                rows.append({"run": run, "curve": curve, "phase": phase.name} | values)
    return rows


def _phases_of_run(
    points: Sequence[Point],
    reference: str,
    agreement_without_each: AgreementWithoutEach,
) -> Iterator[tuple[str, Phases]]:
    """Yield the name and the phases of each curve of a run."""
    network = network_matrix(points)
    measure, agreement = _agreement(
        points, f"{network},{SCSM}", reference, agreement_without_each
    )
    name = "agreement" if measure == PEARSON else f"excess of {measure}"
    yield f"{name} {network},{SCSM}", agreement

    # WSI max, which means nothing as long as the agreement stays within chance
    if not agreement.found and "within chance" in (agreement.reason or ""):
        reason = (
            "the agreement stays within chance, so this curve is not that of a network"
            " that learns"
        )
        yield "wsi max", Phases(reason=reason)
    else:
        max_wsi = select(points, QUANTITIES["max_wsi"].key(network))
        yield "wsi max", _phases(_last_saves(max_wsi), "value")

    # WIDM of each split
    for part in sorted(SPLITS):
        key = QUANTITIES["widm"].key(network, part)
        curve = _last_saves(select(points, key | {"reference": reference}))
        if not curve:
            continue
        chance = _column(curve, "null_mean")
        start = float(np.nanmedian(chance)) if np.isfinite(chance).any() else None
        min_gain = _min_gain(_column(curve, "null_std"))
        yield f"widm {part}", _phases(curve, "value", start, min_gain)


def _agreement(
    points: Sequence[Point],
    matrices: str,
    reference: str,
    agreement_without_each: AgreementWithoutEach,
) -> tuple[str | None, Phases]:
    """Return measure and phases of the agreement with a reference: Pearson's
    correlation, or else the first measure's excess.
    """
    rows = select(points, {"metric": SAI, "of": matrices})
    measure = alignment({row.get("variant") for row in rows}).variant
    curve = _last_saves(select(rows, {"variant": measure, "reference": reference}))
    spread = _column(curve, "null_std") / (1 - _column(curve, "null_mean"))
    without = None
    if measure == PEARSON:
        # the agreement without each class (n, C), unless an epoch lacks it
        values = [
            agreement_without_each.get((row["epoch"], row.get("step"))) for row in curve
        ]
        known = [value for value in values if value is not None]
        if (
            known
            and len(known) == len(values)
            and len({len(value) for value in known}) == 1
        ):
            without = np.stack(known)
    return measure, _phases(curve, "excess", 0.0, _min_gain(spread), without)


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
    return (
        min(1.0, MIN_Z * float(np.nanmedian(spread)))
        if np.isfinite(spread).any()
        else 0.0
    )


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
        reason = (
            "the 95 % confidence interval includes chance at every epoch, so the curve"
            " stays within chance"
        )
        return Phases(reason=reason)
    return result


def _column(points: Sequence[Point], name: str) -> NDArray[np.float64]:
    return np.array([row.get(name) for row in points], dtype=np.float64)
