"""The geometry of class vectors over the epochs of a run: norms, biases and angles by class and epoch, and the spectrum."""

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


def spectrum_by_epoch(results: Results, run: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the share of each singular value with a column per epoch, and the chance level of the shares at the last epoch.

    The index is the number of the singular value, from 1. The last save of an epoch counts. Both are empty if the run has no
    classifier.
    """
    rows = results.spectrum
    rows = results.fill_missing_epochs(rows[rows["run"] == run]).sort_values(["epoch", "step"], na_position="first")
    rows = rows.drop_duplicates(["epoch", "index"], keep="last")
    shares: pd.DataFrame = rows.pivot(index="index", columns="epoch", values="share").astype("float64")
    chance: pd.Series = rows.drop_duplicates("index", keep="last").set_index("index")["null_mean"].sort_index()
    return shares, chance
