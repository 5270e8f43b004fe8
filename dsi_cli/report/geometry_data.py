"""The geometry of a run's class vectors for the page: the norms of each class over the epochs, its bias and its drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.queries.class_geometry import by_class
from dsi_cli.report.curve_data import six_digits

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

MAX_CLASSES, MAX_EPOCHS = 1000, 40
"""The maximum number of classes and epochs on the page. Of more classes, it has those with the longest and shortest vectors."""


def geometry_data(results: Results, run: str) -> dict[str, Any] | None:
    """Return the epochs, and index, norms, bias and drift of each class, the longest vector first; None without a classifier."""
    norms = by_class(results, run, "norm")
    if norms.empty:
        return None
    last = norms.columns[-1]
    falling = norms[last].sort_values(ascending=False, kind="stable").index
    half = MAX_CLASSES // 2
    shown = falling if len(falling) <= MAX_CLASSES else falling[:half].append(falling[-half:])
    epochs = norms.columns[
        np.unique(np.linspace(0, norms.shape[1] - 1, min(norms.shape[1], MAX_EPOCHS)).round().astype(int))
    ]
    parts = [by_class(results, run, name).reindex(shown) for name in ("bias", "angle_previous", "angle_last")]
    columns = [parts[0][last], parts[1][last], parts[2][norms.columns[0]]]
    return {
        "epochs": [int(epoch) for epoch in epochs],
        "features": int(results.checkpoints.loc[results.checkpoints["run"] == run, "features"].max()),
        "count": len(falling),
        "classes": [
            [int(index), [None if np.isnan(norm) else float(f"{norm:.4g}") for norm in history], *six_digits(rest)]
            for index, history, *rest in zip(shown, norms.loc[shown, epochs].to_numpy(), *columns, strict=True)
        ],
    }
