"""The curves that figures and the report draw: which there are, and that they are the
table's.
"""

import numpy as np
import pandas as pd
import pytest
from helpers.analysed_runs import Analysed

from dsi_cli.queries import curve_panels, quantities

RUN = "cifar100-cnn"


def test_a_run_with_predictions_fills_the_papers_panels(analysed: Analysed):
    found = {
        panel.kind.name: [one.label for one in panel.series]
        for panel in curve_panels.panels(analysed.run, [RUN])
    }
    assert found["sai"] == [
        "SAI(NCSM, SCSM)",
        "SAI(CCSM test, SCSM)",
        "SAI(NCSM, CCSM test)",
    ]
    assert found["wsi"] == ["max", "mean", "min"]
    assert found["idm"] == [
        "NIDM of all predictions, test",
        "WIDM of all predictions, test",
    ]
    assert found["idm_errors"] == ["NIDM of mistakes, test", "WIDM of mistakes, test"]
    assert {"accuracy", "loss", "learning_rate", "mistakes"} <= set(found)
    assert "severity" not in found or found["severity"]
    assert found["hierarchy"] == [
        f"hierarchical {score}, test" for score in ("F1", "precision", "recall")
    ]
    assert found["levels"] == [f"level {level}, test" for level in (1, 4, 6, 9, 11, 14)]


def test_a_series_holds_the_tables_values(analysed: Analysed):
    (panel,) = curve_panels.panels(
        analysed.run, [RUN], "spearman", [quantities.PANELS[1]]
    )
    one, curves = panel.series[0], analysed.run.curves
    rows = curves[
        (curves["run"] == RUN)
        & (curves["of"] == "ncsm,scsm")
        & (curves["variant"] == "spearman")
    ]
    rows = rows.sort_values("epoch")
    assert one.epochs.tolist() == rows["epoch"].tolist()
    for field, column in (
        ("value", "value"),
        ("chance", "null_mean"),
        ("low", "low"),
        ("z", "z"),
    ):
        np.testing.assert_array_equal(getattr(one, field), rows[column])


def test_the_last_save_of_an_epoch_counts_and_a_gap_is_nan():
    rows = [
        {
            "epoch": epoch,
            "step": step,
            "value": value,
            "metric": "loss",
            "split": "test",
            "run": "a",
        }
        for epoch, step, value in (
            (1, 20, 2.0),
            (0, 5, None),
            (1, 10, 9.0),
            (2, 30, 1.0),
        )
    ]
    columns = [
        "of",
        "variant",
        "reference",
        "null_mean",
        "null_std",
        "low",
        "high",
        "excess",
        "z",
        "ceiling",
    ]
    curves = pd.DataFrame(rows).reindex(columns=[*rows[0], *columns])
    (one,) = curve_panels.series(curves, {"a": 10})
    assert one.epochs.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(one.value, [np.nan, 2.0, 1.0])


@pytest.mark.parametrize("measure", ["mae", "mse"])
def test_a_distance_is_said_to_be_one(analysed: Analysed, measure: str):
    sai, excess = curve_panels.panels(
        analysed.run, [RUN], measure, quantities.PANELS[1::-1]
    )
    assert sai.lower_is_closer
    assert not excess.lower_is_closer
