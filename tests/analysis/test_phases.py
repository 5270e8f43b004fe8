"""The phases table: the real runs, the points of the curves that it uses, and what
later calls keep.
"""

import numpy as np
import pandas as pd
import pytest

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.tables.phases import phase_rows
from dsi_cli.store.results import Results

AGREEMENT, WSI, WIDM = "agreement ncsm,scsm", "wsi max", "widm test"
CURVES = [AGREEMENT, WSI, WIDM]
RISE = np.interp(np.arange(20), [0, 3, 8, 19], [0, 0.36, 0.4, 0.4]) + 0.002 * np.sin(
    7.0 * np.arange(20)
)


def phases_of(run, name, curve=AGREEMENT):
    table = run.phases
    return table[(table["run"] == name) & (table["curve"] == curve)].set_index("phase")


def points(values=RISE, run="run", **columns):
    common = {
        "run": run,
        "metric": "sai",
        "of": "ncsm,scsm",
        "variant": "pearson",
        "reference": "wordnet3.0-path",
    }
    common |= {
        "split": None,
        "step": None,
        "null_mean": 0.0,
        "null_std": 0.005,
        "reason": None,
    }
    name = "excess" if columns.get("metric", "sai") == "sai" else "value"
    return [
        common | columns | {"epoch": epoch, name: value}
        for epoch, value in enumerate(values)
    ]


def wsi(values=RISE, **columns):
    return points(
        values,
        metric="wsi",
        variant="max",
        **({"of": "ncsm", "reference": None} | columns),
    )


def widm(values=RISE, **columns):
    return points(
        0.5 + values,
        **(
            {
                "metric": "idm",
                "variant": "errors",
                "of": "scsm",
                "split": "test",
                "null_mean": 0.5,
            }
            | columns
        ),
    )


def phase_ends(table, curve=AGREEMENT):
    return [
        (row["phase"], round(row["last_epoch"], 1))
        for row in table
        if row["curve"] == curve and "phase" in row
    ]


def test_table_has_rows_of_every_run_and_curve(analysed):
    table = analysed.run.phases
    for run in analysed.run.names:
        assert list(dict.fromkeys(table.loc[table["run"] == run, "curve"])) == CURVES
    assert table.loc[table["phase"].isna(), "reason"].notna().all()
    assert set(table.loc[table["reason"].notna(), "phase"].dropna()) == {
        "stabilisation"
    }
    named = table[table["phase"].notna()]
    assert (named["first_epoch"] <= named["last_epoch"]).all()
    assert (named["low"] <= named["last_epoch"] + 1e-9).all()


@pytest.mark.parametrize(
    ("run", "t90"), [("cifar100-cnn", 2.72), ("cifar100-vit", 5.88)]
)
def test_agreement_of_trained_runs_surges_without_a_decline(analysed, run, t90):
    agreement = phases_of(analysed.run, run)
    assert list(agreement.index) == ["surge", "stabilisation", "t50", "t90", "t95"]
    assert (
        agreement.loc["t90", "last_epoch"]
        == agreement.loc["surge", "last_epoch"]
        == pytest.approx(t90, abs=0.01)
    )
    assert agreement.loc["t90", "high"] - agreement.loc["t90", "low"] < 4
    assert agreement.loc["stabilisation", "reason"] == "no decline beyond noise"
    assert (
        agreement.loc["stabilisation", "gain_low"]
        < 0
        < agreement.loc["stabilisation", "gain_high"]
    )
    assert list(phases_of(analysed.run, run, WSI).index[:3]) == [
        "surge",
        "refinement",
        "stabilisation",
    ]


def test_collapsed_run_has_no_phases(analysed):
    table = analysed.run.phases
    table = table[table["run"] == "collapsed"]
    assert table["phase"].isna().all()
    assert "within chance" in table.loc[table["curve"] == AGREEMENT, "reason"].iloc[0]
    assert (
        table.loc[table["curve"] == WSI, "reason"]
        .iloc[0]
        .startswith("the agreement stays within chance")
    )


def test_analyze_with_one_more_epoch_equals_a_first_call(make_run, tmp_path):
    """The agreement without each class of the earlier epochs comes from the output."""
    run = make_run("run", 8)
    (tmp_path / "late").mkdir()
    (run / "epoch_7.pt").rename(tmp_path / "late" / "epoch_7.pt")
    analyze([run], tmp_path / "out", Options())
    (tmp_path / "late" / "epoch_7.pt").rename(run / "epoch_7.pt")
    analyze([run], tmp_path / "out", Options())
    analyze([run], tmp_path / "whole", Options())
    pd.testing.assert_frame_equal(
        Results(tmp_path / "out").phases, Results(tmp_path / "whole").phases
    )


def test_phases_without_labels_have_the_reason(make_run, tmp_path):
    analyze([make_run(epochs=2, labels=None)], tmp_path / "out", Options())
    run = Results(tmp_path / "out")
    reasons = set(run.curves.query("metric == 'sai'")["reason"]) or {
        "the run has no such curve"
    }
    assert set(phases_of(run, "run")["reason"]) <= reasons
    assert set(phases_of(run, "run", WSI)["reason"]) == {
        "2 epochs have a value; at least 8 are needed"
    }


def test_phase_rows_use_the_last_save_of_an_epoch():
    early = [row | {"excess": 9.0, "step": 5} for row in points()]
    last = [row | {"step": 10} for row in points()]
    assert phase_rows([*last, *early, *wsi()]) == phase_rows([*points(), *wsi()])
    names = [name for name, _ in phase_ends(phase_rows([*early, *last, *wsi()]))]
    assert names[:2] == ["surge", "stabilisation"]


def test_phase_rows_prefer_pearson_and_the_main_reference():
    others = [*points(-RISE, variant="cosine"), *points(-RISE, reference="mine")]
    assert phase_rows([*others, *points(), *wsi()]) == phase_rows([*points(), *wsi()])
    assert phase_ends(
        phase_rows([*points(variant="spearman"), *wsi()]),
        "excess of spearman ncsm,scsm",
    )


def test_phase_rows_without_a_classifier_use_templates():
    of_train = {"of": "tncsm", "split": "train"}
    table = phase_rows([*points(of="tncsm-train,scsm"), *wsi(**of_train)])
    assert list(dict.fromkeys(row["curve"] for row in table)) == [
        "agreement tncsm-train,scsm",
        WSI,
    ]
    assert phase_ends(table, "agreement tncsm-train,scsm") == phase_ends(table, WSI)
    both = phase_rows(
        [
            *points(-RISE, of="tncsm-test,scsm"),
            *wsi(-RISE, of="tncsm", split="test"),
            *points(),
            *wsi(),
        ]
    )
    assert phase_ends(both) == phase_ends(table, WSI), (
        "the classifier's own comes first"
    )


def test_phase_rows_of_intervals_that_include_chance_have_the_reason():
    table = phase_rows([*points(low=-0.01), *wsi(), *widm(low=0.5)])
    assert [row["curve"] for row in table] == CURVES, "one row each"
    assert all("within chance" in row["reason"] for row in table)


def test_widm_phases_start_at_the_chance_level():
    (t50,) = [
        row
        for row in phase_rows([*points(), *wsi(), *widm()])
        if (row["curve"], row.get("phase")) == (WIDM, "t50")
    ]
    (same,) = [
        row
        for row in phase_rows([*points(), *wsi()])
        if (row["curve"], row.get("phase")) == (AGREEMENT, "t50")
    ]
    assert t50["last_epoch"] == pytest.approx(same["last_epoch"])
