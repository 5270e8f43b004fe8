"""The curves and their chance levels, for the page's panels; numbers to six digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.queries.curve_panels import PANELS, Panel, Series, panels, sai_measures
from dsi_cli.queries.phases import PHASE_NAMES, is_agreement

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

FIELDS = ("value", "chance", "chance_std", "low", "high", "excess", "z", "ceiling")
SAI = tuple(kind for kind in PANELS if kind.name == "sai")
OTHERS = tuple(kind for kind in PANELS if "sai" not in kind.metrics)
EXCESS = next(kind for kind in PANELS if kind.name == "excess")


def curves(run: Results) -> dict[str, Any]:
    """Return all panels of an output: those of the SAI for each measure, with what the page needs to draw the excess as well."""
    measures = sai_measures(run.curves)
    sai = {measure: [_panel(panel, run) for panel in panels(run, measure=measure, kinds=SAI)] for measure in measures}
    return {
        "measures": [measure for measure in measures if sai[measure]],
        "sai": {measure: found[0] for measure, found in sai.items() if found},
        "excess": {"title": EXCESS.title, "axis": EXCESS.axis},
        "others": [_panel(panel, run) for panel in panels(run, kinds=OTHERS)],
        "phases": phases(run),
    }


def _panel(panel: Panel, run: Results) -> dict[str, Any]:
    return {
        "name": panel.kind.name,
        "title": panel.kind.title,
        "axis": panel.axis,
        "lower": panel.lower_is_closer,
        "series": [_series(one, run) for one in panel.series],
    }


def _series(curve: Series, run: Results) -> dict[str, Any]:
    """Return a curve, without the columns that are empty throughout."""
    found = {name: numbers(values) for name in FIELDS if not np.isnan(values := getattr(curve, name)).all()}
    told = {"of": curve.of, "split": curve.split, "label": curve.label, "epochs": curve.epochs.tolist()}
    return {"run": run.names.index(curve.run), **told, "isMain": _is_main(curve, run), **found}


def _is_main(curve: Series, run: Results) -> bool:
    """Return whether a curve is of no reference, or of the main one: phases are of these alone."""
    return curve.reference is None or curve.reference in run.references(curve.run)[:1]


def numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Return values for JSON, None for NaN.

    >>> numbers(np.array([1 / 3, np.nan]))
    [0.333333, None]
    """
    return [None if value != value else float(f"{value:.6g}") for value in values.tolist()]


def phases(run: Results) -> list[dict[str, Any]]:
    """Return the phases that were found, with the run's place."""
    found = run.phases[run.phases["phase"].isin(PHASE_NAMES) & run.phases["run"].isin(run.names)]
    return [
        {
            "place": run.names.index(row["run"]),
            "curve": row["curve"],
            "of_agreement": is_agreement(row["curve"]),
            "phase": row["phase"],
            **{name: round(row[name], 2) for name in ("first_epoch", "last_epoch", "low", "high")},
        }
        for row in found.to_dict("records")
    ]
