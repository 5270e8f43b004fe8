"""The phases table: what the real runs show, which points of the curves count, other runs' rows kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from outputs import heads, save_head

from dsi_cli.pipeline.analysis import analyze
from dsi_cli.pipeline.options import Options
from dsi_cli.pipeline.phases import rows
from dsi_cli.store.runs import Run

pytest_plugins = ("analysed",)

CURVES = ["sai excess ncsm,scsm", "wsi max", "wsi min"]
RISE = np.interp(np.arange(20), [0, 3, 8, 19], [0, 0.3, 0.4, 0.4]) + 0.002 * np.sin(7.0 * np.arange(20))


def of(run, name, curve=CURVES[0]):
    table = run.phases
    return table[(table["run"] == name) & (table["curve"] == curve)].reset_index(drop=True)


def points(values=RISE, run="run", **columns):
    common = {"run": run, "metric": "sai", "of": "ncsm,scsm", "variant": "cosine", "reference": "wordnet3.0-path"}
    common |= {"split": None, "step": None, "null_mean": 0.5, "null_std": 0.005, "reason": None}
    name = "value" if columns.get("metric") == "wsi" else "excess"
    return [common | columns | {"epoch": epoch, name: value} for epoch, value in enumerate(values)]


def wsi(values=RISE, variant="max", **columns):
    return points(values, metric="wsi", variant=variant, **({"of": "ncsm"} | columns))


def found(table, curve=CURVES[0]):
    return [(row["phase"], row["last_epoch"]) for row in table if row["curve"] == curve and "phase" in row]


def test_every_run_and_curve_has_rows(analysed):
    table = analysed.run.phases
    for run in analysed.run.names:
        assert list(dict.fromkeys(table.loc[table["run"] == run, "curve"])) == CURVES
    assert (table["phase"].isna() == table["reason"].notna()).all()
    named = table[table["phase"].notna()]
    assert (named["first_epoch"] < named["last_epoch"]).all()
    assert named["confidence"].between(0, 1).all()
    assert str(table["first_epoch"].dtype) == "Int64"


@pytest.mark.parametrize(("run", "latest"), [("cifar100-cnn", 3), ("cifar100-vit", 8)])
def test_the_surge_of_the_real_runs_ends_in_time(analysed, run, latest):
    for curve in CURVES:
        surge = of(analysed.run, run, curve).iloc[0]
        assert surge["phase"] == "surge"
        assert surge["last_epoch"] <= latest
        assert surge["high"] <= latest
        assert surge["confidence"] > 0.9
        assert (surge["slope"] < 0) == (curve == "wsi min")


def test_the_collapsed_run_has_no_phases(analysed):
    for curve in CURVES:
        (row,) = of(analysed.run, "collapsed", curve).itertuples()
        assert pd.isna(row.phase)
        assert row.reason
    assert "aimless wandering" in of(analysed.run, "collapsed")["reason"][0]


def test_rows_of_other_runs_are_kept_and_those_of_this_made_anew(make_run, tmp_path):
    out = tmp_path / "out"
    analyze([make_run("one", 9)], out, Options(draws=0))
    first = Run(out).phases
    analyze([make_run("two", 3)], out, Options(draws=0))
    both = Run(out).phases
    pd.testing.assert_frame_equal(both[both["run"] == "one"].reset_index(drop=True), first)
    assert set(of(Run(out), "two")["reason"]) == {"3 epochs have a value; at least 8 are needed"}
    for epoch, weight in enumerate(heads(9, seed=1)[3:], 3):
        save_head(tmp_path / "two" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    analyze([tmp_path / "two"], out, Options(draws=0))
    assert not of(Run(out), "two")["reason"].str.startswith("3 epochs").any()
    assert len(of(Run(out), "two")) >= 1


def test_without_labels_the_reason_is_the_alignments_own(make_run, tmp_path):
    analyze([make_run(epochs=2, labels=None)], tmp_path / "out", Options(draws=0))
    run = Run(tmp_path / "out")
    reasons = set(run.curves.query("metric == 'sai'")["reason"]) or {"the run has no such curve"}
    assert set(of(run, "run")["reason"]) <= reasons
    assert set(of(run, "run", "wsi max")["reason"]) == {"2 epochs have a value; at least 8 are needed"}


def test_of_several_saves_the_last_counts():
    early = [row | {"excess": 9.0, "step": 5} for row in points()]
    last = [row | {"step": 10} for row in points()]
    assert rows([*last, *early, *wsi()]) == rows([*points(), *wsi()])
    assert found(rows([*early, *last, *wsi()])) == [("surge", 3), ("refinement", 8), ("stabilisation", 19)]


def test_of_several_measures_and_references_the_first_counts():
    others = [*points(-RISE, variant="mae"), *points(-RISE, reference="mine")]
    assert rows([*others, *points(), *wsi()]) == rows([*points(), *wsi()])
    assert found(rows([*points(variant="spearman"), *wsi()]))[0] == ("surge", 3)


def test_without_a_classifier_templates_take_its_place():
    of_train = {"of": "tncsm", "split": "train"}
    table = rows([*points(of="tncsm-train,scsm"), *wsi(**of_train), *wsi(-RISE, "min", **of_train)])
    assert list(dict.fromkeys(row["curve"] for row in table)) == ["sai excess tncsm-train,scsm", "wsi max", "wsi min"]
    assert found(table, "sai excess tncsm-train,scsm") == found(table, "wsi max") == found(table, "wsi min")
    both = rows([*points(-RISE, of="tncsm-test,scsm"), *wsi(-RISE, of="tncsm", split="test"), *points(), *wsi()])
    assert found(both) == found(table, "wsi max"), "the classifier's own comes first"


def test_a_rise_within_three_deviations_of_chance_is_none():
    (row,) = [row for row in rows([*points(null_std=0.1), *wsi()]) if row["curve"] == CURVES[0]]
    assert row["reason"] == "its steepest part moves it by less than 0.6, which is within chance"


def test_min_wsi_surges_downwards_only():
    table = rows([*wsi(), *wsi(RISE, "min")])
    assert found(table, "wsi max")
    assert found(table, "wsi min") == []
    assert found(rows([*wsi(), *wsi(-RISE, "min")]), "wsi min") == found(table, "wsi max")
