"""Whole runs from end to end: every number compared with slow float64 oracles on the stored matrices, and with torch."""

import csv
import hashlib

import numpy as np
import pytest
from helpers import oracles
from helpers.outputs import RUNS, curve, stored
from numpy.testing import assert_allclose, assert_array_equal

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
LAST = {"cifar100-cnn": 30, "cifar100-vit": 30, "collapsed": 15, "garments": 15}
SAMPLED = [("cifar100-cnn", 0), ("cifar100-cnn", 30), ("cifar100-vit", 5), ("collapsed", 15), ("garments", 15)]


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
    curves = analysed.run.curves
    assert_allclose(curve(curves, run, metric="mean_row").loc[epoch, "value"], oracles.mean_row(weight), **CLOSE)
    geometry = oracles.head_geometry(weight)
    for metric, variant, name in (
        ("effective_rank", "raw", "effective_rank"),
        ("effective_rank", "centred", "centred_effective_rank"),
        ("stable_rank", "raw", "stable_rank"),
        ("nc2_angles", "spread", "angle_spread"),
    ):
        assert_allclose(curve(curves, run, metric=metric, variant=variant).loc[epoch, "value"], geometry[name], rtol=1e-5)


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
def test_wsi_matches_the_oracle(run, epoch, analysed):
    for variant in ("mean", "max", "min"):
        found = curve(analysed.run.curves, run, metric="wsi", variant=variant).loc[epoch, "value"]
        assert_allclose(found, oracles.wsi(stored(analysed.out, run, "ncsm", epoch), variant), **CLOSE)


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
        assert [event for event in analysed.events if event[0] == stage] == [(stage, n, 94) for n in range(1, 95)]
