"""Whole runs from end to end: every number compared with slow float64 oracles on the stored matrices, and with torch."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
import pandas as pd
import pytest
from helpers import oracles
from helpers.exact_arithmetic import null_of_sai
from helpers.outputs import RUNS, curve, stored, stored_reference
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.metrics import DEFAULT_MEASURES

pytest_plugins = ("helpers.analysed_runs",)

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
LAST = {"cifar100-cnn": 30, "cifar100-vit": 30, "collapsed": 15, "garments": 15}
SAMPLED = [("cifar100-cnn", 0), ("cifar100-cnn", 30), ("cifar100-vit", 5), ("collapsed", 15), ("garments", 15)]


def test_sai_z_separates_learning_from_chance(analysed):
    semantic = {"metric": "sai", "of": "ncsm,scsm", "variant": "cosine"}
    z = {run: curve(analysed.run.curves, run, **semantic)["z"] for run in RUNS}
    assert all(abs(z[run].loc[0]) < 3 for run in RUNS)
    assert z["cifar100-cnn"].loc[5] > 25
    assert z["cifar100-vit"].loc[5] > 25
    collapsed = curve(analysed.run.curves, "collapsed", **semantic)
    assert collapsed["z"].abs().max() < 2.5
    assert collapsed["value"].between(0.7, 0.77).all(), "as high as a raw cosine is by chance"


@pytest.mark.parametrize("run", RUNS)
def test_fingerprints_match_the_heads_that_torch_loads(run, analysed, real_heads):
    rows = analysed.run.checkpoints.query("run == @run").set_index("epoch")
    for epoch, weight in enumerate(real_heads[run]):
        digest = hashlib.sha256(weight.astype("<f4").tobytes()).hexdigest()
        assert rows.loc[epoch, "fingerprint"] == digest, epoch
    assert list(rows.index) == list(range(LAST[run] + 1))
    assert_array_equal(rows.index, rows["epochs_completed"])
    assert set(zip(rows["classes"], rows["features"], strict=True)) == {real_heads[run][0].shape}
    assert set(rows["status"]) == {"ok"}


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
def test_ncsm_matches_the_cosines_of_the_weights(run, epoch, analysed, real_heads):
    found, weight = stored(analysed.out, run, "ncsm", epoch), real_heads[run][epoch]
    assert found.dtype == np.float32
    assert_allclose(found, oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_array_equal(found, found.T)
    assert_array_equal(np.diagonal(found), 1)
    mean_row = curve(analysed.run.curves, run, metric="mean_row").loc[epoch, "value"]
    assert_allclose(mean_row, oracles.mean_row(weight), **CLOSE)


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
def test_wsi_matches_the_oracle(run, epoch, analysed):
    for variant in ("mean", "max", "min"):
        found = curve(analysed.run.curves, run, metric="wsi", variant=variant).loc[epoch, "value"]
        assert_allclose(found, oracles.wsi(stored(analysed.out, run, "ncsm", epoch), variant), **CLOSE)


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("measure", DEFAULT_MEASURES)
def test_sai_matches_the_oracle(run, epoch, measure, analysed):
    row = curve(analysed.run.curves, run, metric="sai", of="ncsm,scsm", variant=measure).loc[epoch]
    ncsm, (scsm, order) = stored(analysed.out, run, "ncsm", epoch), stored_reference(analysed.out, run)
    assert row["classes_used"] == len(ncsm)
    if measure == "ssim" and len(ncsm) < oracles.SSIM_MIN_CLASSES:
        assert pd.isna(row["value"])
        assert row["reason"] == "ssim's window needs 12 classes or more, not 10"
        return
    if measure == "ssim":
        ncsm, scsm = ncsm[np.ix_(order, order)], scsm[np.ix_(order, order)]
        assert_allclose(row["value"], oracles.sai(ncsm, scsm, measure), **CLOSE)
        assert pd.isna(row["ceiling"])
        mean = row["null_mean"]
    else:
        assert_allclose(row["value"], oracles.sai(ncsm, scsm, measure), **CLOSE)
        assert_allclose(row["ceiling"], oracles.ceiling(ncsm, scsm, measure), **CLOSE)
        mean, deviation = null_of_sai(ncsm, scsm, measure)
        assert_allclose(row["null_mean"], mean, **CLOSE)
        if deviation is None:
            assert pd.isna(row["null_std"])
            assert row["reason"].startswith("the deviation of this measure's chance level needs --permutations")
        else:
            assert_allclose(row["null_std"], deviation, **CLOSE)
    assert_allclose(row["excess"], oracles.excess(row["value"], mean, measure), **CLOSE)
    if measure != "mae":
        sign = -1 if measure in oracles.DISTANCES else 1
        assert_allclose(row["z"], sign * (row["value"] - mean) / row["null_std"], **CLOSE)
    if measure in ("cosine", "pearson", "spearman"):
        assert row["low"] < row["excess"] < row["high"]


def test_ssim_null_matches_other_samples(analysed):
    """Compare with 60 relabellings of another seed, because no exact value exists."""
    row = curve(analysed.run.curves, "cifar100-cnn", metric="sai", of="ncsm,scsm", variant="ssim").loc[30]
    ncsm, (scsm, order) = stored(analysed.out, "cifar100-cnn", "ncsm", 30), stored_reference(analysed.out, "cifar100-cnn")
    shown = np.ix_(order, order)
    values = oracles.sampled_null(scsm[shown], ncsm[shown], "ssim", draws=60, seed=7)
    error = values.std(ddof=1) * np.sqrt(1 / 200 + 1 / 60)
    assert abs(row["null_mean"] - values.mean()) < 4 * error
    assert 0.5 < row["null_std"] / values.std(ddof=1) < 1.6


@pytest.mark.parametrize("measure", ["cosine", "pearson", "spearman"])
def test_sai_interval_matches_the_oracle(measure, analysed):
    run = "garments"
    row = curve(analysed.run.curves, run, metric="sai", of="ncsm,scsm", variant=measure).loc[15]
    pair = stored(analysed.out, run, "ncsm", 15), stored_reference(analysed.out, run)[0]
    assert_allclose((row["low"], row["high"]), oracles.jackknife_interval(*pair, measure), **CLOSE)


@pytest.mark.parametrize("run", RUNS)
def test_curves_contain_the_training_log(run, four_runs, analysed):
    with (four_runs / run / "log.csv").open(newline="", encoding="utf-8") as file:
        log = {int(row["epoch"]): row for row in csv.DictReader(file)}
    columns = {
        "train_loss": {"metric": "loss", "split": "train"},
        "test_loss": {"metric": "loss", "split": "test"},
        "test_acc": {"metric": "accuracy", "split": "test"},
        "lr": {"metric": "learning_rate"},
    }
    for column, where in columns.items():
        found = curve(analysed.run.curves, run, **where)["value"]
        expected = {epoch: float(row[column]) for epoch, row in log.items() if row[column]}
        assert found.to_dict() == expected, column


def test_summary_and_progress_are_complete(analysed):
    assert analysed.summary.exit_code == 0
    assert [(run.name, run.statuses, run.read, run.resolved, run.preset) for run in analysed.summary.runs] == [
        ("cifar100-cnn", {"ok": 31}, 31, 100, "cifar100"),
        ("cifar100-vit", {"ok": 31}, 31, 100, "cifar100"),
        ("collapsed", {"ok": 16}, 16, 100, "cifar100"),
        ("garments", {"ok": 16}, 16, 10, "fashion-mnist"),
    ]
    assert analysed.summary.warnings == []
    for stage in ("reading classifiers", "comparing matrices"):
        assert [event for event in analysed.events if event.stage == stage] == [(stage, n, 94) for n in range(1, 95)]


def test_each_folder_is_one_dataset_of_all_runs(analysed):
    rows = pd.read_parquet(analysed.out / "csms")
    expected = {"cifar100-cnn": 3100, "cifar100-vit": 3100, "collapsed": 1600, "garments": 160}
    assert set(rows["kind"]) == {"ncsm", "ccsm"}
    for _, of_kind in rows.groupby("kind"):
        assert of_kind.groupby("run")["class_index"].count().to_dict() == expected
    assert {len(row) for row in rows["similarity"]} == {10, 100}
    confusions = pd.read_parquet(analysed.out / "confusions")
    assert confusions.groupby("run")["class_index"].count().to_dict() == expected
    assert {len(row) for row in confusions["count"]} == {10, 100}
    references = pd.read_parquet(analysed.out / "references")
    assert sorted(references.groupby("labels_id")["class_index"].count()) == [10, 100]
