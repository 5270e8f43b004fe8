"""The geometry of class vectors over the epochs of a run: norms, biases and angles by class and epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

VALUES = ("norm", "centred_norm", "bias", "angle_previous", "angle_last")
"""The values of the geometry table."""


def by_class(results: Results, run: str, value: str) -> pd.DataFrame:
    """Return one of the `VALUES` with a row per class index and a column per epoch; the last save of an epoch counts.

    The frame is empty if the run has no classifier.
    """
    rows = results.geometry
    rows = results.fill_missing_epochs(rows[rows["run"] == run]).sort_values(["epoch", "step"], na_position="first")
    rows = rows.drop_duplicates(["epoch", "class_index"], keep="last")
    frame: pd.DataFrame = rows.pivot(index="class_index", columns="epoch", values=value).astype("float64")
    return frame
