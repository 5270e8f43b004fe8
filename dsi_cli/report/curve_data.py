"""The curves and their chance levels for the panels of the page; numbers have six digits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.queries.curve_panels import PANELS, Panel, Series, panels, sai_measures
from dsi_cli.queries.findings import PHASE_NAMES
from dsi_cli.queries.phases import is_agreement

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

FIELDS = ("value", "chance", "chance_std", "low", "high", "excess", "z")
SAI = tuple(kind for kind in PANELS if kind.name == "sai")
OTHERS = tuple(kind for kind in PANELS if "sai" not in kind.metrics)
EXCESS = next(kind for kind in PANELS if kind.name == "excess")


def curves(results: Results) -> dict[str, Any]:
    """Return all panels: the SAI for each measure, from which the page also draws the excess, the other curves and the phases."""
    measures = sai_measures(results.curves)
    sai = {}
    for measure in measures:
        for panel in panels(results, measure=measure, kinds=SAI):
            sai[measure] = _panel(panel, results)
    return {
        "measures": list(sai),
        "sai": sai,
        "excess": {"title": EXCESS.title, "axis": EXCESS.axis},
        "others": [_panel(panel, results) for panel in panels(results, kinds=OTHERS)],
        "phases": phases(results),
    }


def _panel(panel: Panel, results: Results) -> dict[str, Any]:
    return {
        "name": panel.kind.name,
        "title": panel.kind.title,
        "axis": panel.axis,
        "lower": panel.lower_is_closer,
        "series": [_series(curve, results) for curve in panel.series],
    }


def _series(curve: Series, results: Results) -> dict[str, Any]:
    """Return a curve without its empty columns."""
    main_reference = results.references(curve.run)[:1]
    data = {
        "run": results.names.index(curve.run),
        "of": curve.of,
        "split": curve.split,
        "label": curve.label,
        "epochs": curve.epochs.tolist(),
        # Phases belong to curves of the main reference or of no reference.
        "isMain": curve.reference is None or curve.reference in main_reference,
    }
    for name in FIELDS:
        values = getattr(curve, name)
        if not np.isnan(values).all():
            data[name] = six_digits(values)
    return data


def six_digits(values: Iterable[float | None]) -> list[float | None]:
    """Return values with six digits for JSON, None for NaN.

    >>> six_digits([1 / 3, float("nan"), None])
    [0.333333, None, None]
    """
    return [None if value is None or math.isnan(value) else float(f"{value:.6g}") for value in values]


def phases(results: Results) -> list[dict[str, Any]]:
    """Return the phases of all runs; "place" is the index of the run."""
    rows = results.phases[results.phases["phase"].isin(PHASE_NAMES) & results.phases["run"].isin(results.names)]
    return [
        {
            "place": results.names.index(row["run"]),
            "curve": row["curve"],
            "of_agreement": is_agreement(row["curve"]),
            "phase": row["phase"],
            **{name: round(row[name], 2) for name in ("first_epoch", "last_epoch", "low", "high")},
        }
        for row in rows.to_dict("records")
    ]
