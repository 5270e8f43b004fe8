"""The rows of the phases table: from the rows of the curves table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.options import REFERENCE
from dsi_cli.metrics import MEASURES
from dsi_cli.metrics.phases import Phases, phases
from dsi_cli.queries.epoch_summary import OWN_MATRICES

Row = dict[str, Any]
Point = Mapping[str, Any]
Without = Mapping[tuple[int | None, int | None], NDArray[np.float64]]
"""By epoch and step, the agreement without each class ``(C,)``."""
DEVIATIONS = 3.0
"""Standard deviations of chance that a curve with a chance level must rise by."""
_OWN = {name: (name.partition("-")[0], name.partition("-")[2] or None) for name in OWN_MATRICES}
"""Kind and split of what may be the network's own similarity, first choice first."""


def _nothing_known(_run: str) -> Without:
    return {}


def phase_rows(
    of_curves: Iterable[Point], reference: str = REFERENCE, without: Callable[[str], Without] = _nothing_known
) -> list[Row]:
    """Return the rows of every run in some rows of the curves table, runs in the order in which they come.

    Parameters
    ----------
    reference : the main one, if the runs were compared with several
    without : returns the agreement of a run without each class, for the intervals
    """
    by_run: dict[str, list[Point]] = {}
    for row in of_curves:
        if row["metric"] in ("sai", "wsi", "idm") and row["epoch"] is not None:
            by_run.setdefault(row["run"], []).append(row)
    return [row for run, mine in by_run.items() for row in _of_run(run, mine, reference, without(run))]


def _of_run(run: str, mine: Sequence[Point], reference: str, without: Without) -> Iterator[Row]:
    there = {(row["of"], row.get("split")) for row in mine if row["metric"] == "wsi"}
    own = next(name for name, of_wsi in _OWN.items() if of_wsi in there or name == OWN_MATRICES[-1])
    kind, split = _OWN[own]

    # Agreement with the reference: Pearson's correlation, else the excess of the first measure that was asked for.
    measure, points = _alignment(mine, f"{own},scsm", reference)
    spread = _column(points, "null_std") / (1 - _column(points, "null_mean"))
    left_out = [without.get((row["epoch"], row.get("step"))) for row in points] if measure == "pearson" else []
    agreement = _phases(points, "excess", 0.0, _least(spread), _stacked(left_out))
    name = "agreement" if measure in ("pearson", None) else f"excess of {measure}"
    yield from _rows(run, f"{name} {own},scsm", agreement)

    of_wsi = ("wsi", kind, "max", split)
    points = _last_saves(r for r in mine if (r["metric"], r["of"], r["variant"], r.get("split")) == of_wsi)
    is_within_chance = not agreement.found and "within chance" in (agreement.reason or "")
    never = Phases(reason="the agreement stays within chance, so this curve is not that of a network that learns")
    yield from _rows(run, "wsi max", never if is_within_chance else _phases(points, "value"))

    of_widm = [
        r for r in mine if (r["metric"], r["of"], r["variant"], r.get("reference")) == ("idm", "scsm", "errors", reference)
    ]
    for which in sorted({row["split"] for row in of_widm}):
        points = _last_saves(row for row in of_widm if row["split"] == which)
        chance, spread = _column(points, "null_mean"), _column(points, "null_std")
        start = float(np.nanmedian(chance)) if np.isfinite(chance).any() else None
        yield from _rows(run, f"widm {which}", _phases(points, "value", start, _least(spread)))


def _least(spread: NDArray[np.float64]) -> float:
    """Return the gain that chance alone does not reach; 0 if its deviation is not known."""
    return DEVIATIONS * float(np.nanmedian(spread)) if np.isfinite(spread).any() else 0.0


def _stacked(found: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Return the agreement without each class, ``(n, C)``; None if an epoch lacks it."""
    sizes = {None if one is None else len(one) for one in found}
    return np.stack([one for one in found if one is not None]) if len(sizes) == 1 and None not in sizes else None


def _alignment(points: Sequence[Point], of: str, reference: str) -> tuple[str | None, list[Point]]:
    """Return the measure and the points of one alignment: Pearson's if there is one, else the first measure's."""
    sai = [row for row in points if row["metric"] == "sai" and row["of"] == of]
    measures = {row.get("variant") for row in sai}
    order = ["pearson", *(one.name for one in MEASURES)]
    measure = next((name for name in order if name in measures), None)
    return measure, _last_saves(row for row in sai if (row.get("variant"), row.get("reference")) == (measure, reference))


def _last_saves(points: Iterable[Point]) -> list[Point]:
    """Return one point an epoch, in order: of several saves the last, which has no step or the highest one."""
    ordered = sorted(points, key=lambda row: (row["epoch"], row.get("step") is not None, row.get("step") or 0))
    return list({row["epoch"]: row for row in ordered}.values())


def _phases(
    points: Sequence[Point],
    column: str,
    start: float | None = None,
    least: float = 0.0,
    without: NDArray[np.float64] | None = None,
) -> Phases:
    values = _column(points, column)
    if not np.isfinite(values).any():
        return Phases(reason=next((row["reason"] for row in points if row.get("reason")), "the run has no such curve"))
    return phases(_column(points, "epoch"), values, start=start, least_gain=least, without=without)


def _column(points: Sequence[Point], name: str) -> NDArray[np.float64]:
    return np.array([row.get(name) for row in points], dtype=np.float64)


def _rows(run: str, curve: str, phases: Phases) -> Iterator[Row]:
    for one in phases.found:
        yield {"run": run, "curve": curve, "phase": one.name} | {
            name: getattr(one, name)
            for name in ("first_epoch", "last_epoch", "low", "high", "gain", "gain_low", "gain_high")
        }
    if not phases.found:
        yield {"run": run, "curve": curve, "reason": phases.reason}
