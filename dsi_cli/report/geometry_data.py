"""The geometry of a run's class vectors for the page: the norms, the bias and the drift of each class, and the spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.queries.class_geometry import by_class, spectrum_by_epoch
from dsi_cli.queries.epoch_sampling import evenly_spaced
from dsi_cli.report.curve_data import six_digits

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

MAX_CLASSES, MAX_EPOCHS = 1000, 40
"""The maximum number of classes and epochs on the page. Of more classes, it has those with the longest and shortest vectors."""
MAX_SINGULAR_VALUES = 200
"""The maximum number of singular values on the page, in equal steps."""


def geometry_data(results: Results, run: str) -> dict[str, Any] | None:
    """Return epochs, classes (index, norms, bias, drift), longest vector first, and spectrum; None without a classifier."""
    norms = by_class(results, run, "norm")
    if norms.empty:
        return None
    last = norms.columns[-1]
    falling = norms[last].sort_values(ascending=False, kind="stable").index
    half = MAX_CLASSES // 2
    shown = falling if len(falling) <= MAX_CLASSES else falling[:half].append(falling[-half:])
    epochs = evenly_spaced(list(norms.columns), MAX_EPOCHS)
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
        "spectrum": _spectrum_data(results, run),
    }


def _spectrum_data(results: Results, run: str) -> dict[str, Any] | None:
    """Return the cumulative shares of the singular values at the first and the last epoch and by chance; None if unknown."""
    shares, chance = spectrum_by_epoch(results, run)
    if shares.empty:
        return None
    numbers = evenly_spaced(list(shares.index), MAX_SINGULAR_VALUES)
    columns = {"chance": chance, "first": shares.iloc[:, 0], "last": shares.iloc[:, -1]}
    return {
        "numbers": [int(number) for number in numbers],
        "epochs": [int(epoch) for epoch in shares.columns[[0, -1]]],
        **{name: [float(f"{share:.4f}") for share in column.cumsum()[numbers]] for name, column in columns.items()},
    }
