"""Whole runs from end to end: every number compared with slow float64 oracles on the stored tables, and with torch."""

import csv
import hashlib

import numpy as np
import pandas as pd
import pytest
from helpers import oracles, oracles_testset
from helpers.oracles import null_deviation, null_of_sai
from helpers.outputs import RUNS, contents, curve, stored, stored_counts, stored_reference
from numpy.testing import assert_allclose, assert_array_equal

import dsi_cli
from dsi_cli.metrics import DEFAULT_MEASURES
from dsi_cli.metrics.idm import VARIANTS

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
FASHION = "garments"
SAMPLED = [("cifar100-cnn", 0), ("cifar100-vit", 12), ("collapsed", 13), (FASHION, 15)]
WITH_CCSM = ("ncsm,ccsm-test", "ccsm-test,scsm")
PAIRS = ("ncsm,scsm", *WITH_CCSM)


def predictions_and_targets(four_runs, run):
    """Return the predictions ``(epochs, samples)`` and the targets of a run."""
    return [np.load(four_runs / run / f"{name}.npy") for name in ("preds", "targets")]


def stored_matrix(out, run, kind, epoch):
    return stored_reference(out, run)[0] if kind == "scsm" else stored(out, run, kind, epoch)


def stored_pair(out, run, pair, epoch):
    return [stored_matrix(out, run, kind, epoch) for kind in pair.split(",")]


def idm_of(analysed, run, of, variant):
    return curve(analysed.run.curves, run, metric="idm", of=of, split="test", variant=variant)


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
def test_stored_predictions_match_the_files(run, epoch, four_runs, analysed):
    predictions, targets = predictions_and_targets(four_runs, run)
    counts = stored_counts(analysed.out, run, epoch)
    assert_array_equal(counts, oracles_testset.confusion(targets, predictions[epoch], len(counts)))
    samples = pd.read_parquet(analysed.out / "predictions" / run / "test" / f"{epoch}.parquet")
    assert_array_equal(samples["prediction"], predictions[epoch])
    assert_array_equal(samples["target"], targets)
    assert_array_equal(samples["sample"], np.arange(10_000))
    assert samples[["path", "score"]].isna().all(axis=None)
    assert samples[["run", "split", "epoch", "epochs_completed"]].drop_duplicates().to_numpy().tolist() == [
        [run, "test", epoch, epoch]
    ]


@pytest.mark.parametrize("run", RUNS)
def test_counts_of_every_epoch_match_the_predictions(run, four_runs, analysed):
    predictions, targets = predictions_and_targets(four_runs, run)
    for epoch, row in enumerate(predictions):
        counts = stored_counts(analysed.out, run, epoch)
        assert counts.sum() == 10_000
        assert np.trace(counts) == (row == targets).sum(), epoch
    classes = analysed.run.classes.query("run == @run").sort_values("class_index")
    assert_array_equal(classes["samples_test"], np.bincount(targets))
    assert classes["samples_train"].isna().all()


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
def test_ccsm_and_accuracies_match_the_oracles(run, epoch, analysed):
    counts = stored_counts(analysed.out, run, epoch)
    found = stored(analysed.out, run, "ccsm-test", epoch)
    assert found.dtype == np.float32
    assert_allclose(found, oracles.ccsm(counts), rtol=0, atol=1e-6)
    for metric, expected in (
        ("accuracy", oracles_testset.accuracy(counts)),
        ("balanced_accuracy", oracles_testset.balanced_accuracy(counts)),
        ("mistakes", counts.sum() - np.trace(counts)),
    ):
        row = curve(analysed.run.curves, run, metric=metric, split="test").loc[epoch]
        assert_allclose(row["value"], expected, rtol=1e-12)
        assert (row["classes_used"], row["samples_used"]) == (len(counts), 10_000)


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("measure", DEFAULT_MEASURES)
@pytest.mark.parametrize("pair", PAIRS)
def test_sai_matches_the_oracle(pair, measure, run, epoch, analysed):
    row = curve(analysed.run.curves, run, metric="sai", of=pair, variant=measure).loc[epoch]
    first, second = stored_pair(analysed.out, run, pair, epoch)
    assert row["classes_used"] == len(first)
    assert row["reference"] == "wordnet3.0-path" if pair.endswith("scsm") else pd.isna(row["reference"])
    assert pd.isna(row["split"]), "the names of the matrices contain the splits"
    if measure == "ssim" and len(first) < oracles.SSIM_MIN_CLASSES:
        assert pd.isna(row["value"])
        assert row["reason"] == "ssim's window needs 12 classes or more, not 10"
        return
    if measure == "ssim":
        shown = np.ix_(*2 * [stored_reference(analysed.out, run)[1]])
        first, second = first[shown], second[shown]
        assert pd.isna(row["ceiling"])
        mean = row["null_mean"]
    else:
        mean, deviation = null_of_sai(first, second, measure)
        assert_allclose(row["null_mean"], mean, **CLOSE)
        assert_allclose(row["ceiling"], oracles.ceiling(first, second, measure), **CLOSE)
        if deviation is not None:
            assert_allclose(row["null_std"], deviation, **CLOSE)
    assert_allclose(row["value"], oracles.sai(first, second, measure), **CLOSE)
    assert_allclose(row["excess"], oracles.excess(row["value"], mean, measure), **CLOSE)
    if measure != "mae":
        sign = -1 if measure in oracles.DISTANCES else 1
        assert_allclose(row["z"], sign * (row["value"] - mean) / row["null_std"], **CLOSE)
    if measure in ("cosine", "pearson", "spearman"):
        assert row["low"] < row["excess"] < row["high"]


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("pair", WITH_CCSM)
def test_corrected_correlation_matches_the_oracle(pair, run, epoch, analysed):
    curves = analysed.run.curves
    row = curve(curves, run, metric="sai", of=pair, variant="pearson_corrected").loc[epoch]
    plain = curve(curves, run, metric="sai", of=pair, variant="pearson").loc[epoch]
    reliability = curve(curves, run, metric="reliability", of="ccsm", split="test").loc[epoch, "value"]
    expected = oracles_testset.pearson_corrected(*stored_pair(analysed.out, run, pair, epoch), reliability)
    assert_allclose(row["value"], expected, **CLOSE)
    for name in ("null_mean", "null_std", "ceiling", "low", "high"):
        assert_allclose(row[name], plain[name] / np.sqrt(reliability), **CLOSE)
    assert_allclose(row["z"], plain["z"], **CLOSE)


def test_sai_separates_learning_from_chance(analysed):
    for pair in PAIRS:
        z = {run: curve(analysed.run.curves, run, metric="sai", of=pair, variant="cosine")["z"] for run in RUNS}
        assert z["cifar100-cnn"].loc[30] > 20
        assert z["cifar100-vit"].loc[30] > 20
        assert z["collapsed"].abs().max() < 3.5


def cell_weights(counts, variant):
    """Return the weight of each cell of the counts in a variant."""
    if variant == "macro":
        return counts / counts.sum(axis=1, keepdims=True) / len(counts)
    used = counts if variant == "all" else counts - np.diag(np.diagonal(counts))
    return used / used.sum()


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("of", ["ncsm", "scsm"])
def test_idm_matches_the_oracle(of, run, epoch, analysed):
    counts, csm = stored_counts(analysed.out, run, epoch), stored_matrix(analysed.out, run, of, epoch)
    value, ceiling, ranks = (
        oracles_testset.idm(counts, csm),
        oracles_testset.idm_ceiling(counts, csm),
        oracles_testset.ranks(csm),
    )
    for variant in VARIANTS:
        row = idm_of(analysed, run, of, variant).loc[epoch]
        weights, classes = cell_weights(counts, variant), len(counts)
        mean = 1 - (1 - np.trace(weights)) * classes / 2 / (classes - 1)
        deviation = null_deviation(weights, ranks) / (classes - 1)
        assert_allclose(row["value"], value[variant], **CLOSE)
        assert_allclose(row["ceiling"], ceiling[variant], **CLOSE)
        assert_allclose(row["null_mean"], mean, **CLOSE)
        assert_allclose(row["null_std"], deviation, **CLOSE)
        assert_allclose(row["z"], (value[variant] - mean) / deviation, rtol=1e-5, atol=1e-5)
        assert_allclose(row["excess"], (value[variant] - mean) / (1 - mean), **CLOSE)
        samples = 10_000 - (np.trace(counts) if variant == "errors" else 0)
        assert (row["classes_used"], row["samples_used"]) == (classes, samples)
        assert row["reference"] == "wordnet3.0-path" if of == "scsm" else pd.isna(row["reference"])


def test_widm_rises_from_chance_with_training(analysed):
    widm = idm_of(analysed, "cifar100-cnn", "scsm", "errors")
    assert_allclose(widm.loc[0, ["value", "null_mean", "null_std", "z"]].to_list(), [0.576, 0.495, 0.138, 0.6], atol=0.05)
    assert abs(widm.loc[0, "value"] - 0.576) < 0.0005
    assert abs(widm.loc[30, "z"] - 21) < 0.5
    assert_allclose(widm["ceiling"], 0.984, rtol=0, atol=0.0006)


def test_widm_of_a_collapsed_network_stays_at_chance(analysed):
    widm = idm_of(analysed, "collapsed", "scsm", "errors")
    assert len(widm) == 16
    assert widm["z"].abs().round(1).max() <= 2
    assert widm["value"].max() - widm["value"].min() > 0.3, "though its raw value wanders"


@pytest.fixture(scope="module")
def small_run(four_runs, tmp_path_factory):
    """Return a folder with three checkpoints of the small run and its output; the predictions in the folder are wrong now."""
    folder, real = tmp_path_factory.mktemp("named"), four_runs / FASHION
    (folder / "run").mkdir()
    for name in ("classes.txt", "epoch_003.pt", "epoch_004.pt", "epoch_005.pt"):
        (folder / "run" / name).write_bytes((real / name).read_bytes())
    predictions, targets = predictions_and_targets(four_runs, FASHION)
    np.save(folder / "run" / "preds.npy", predictions[3:6])
    np.save(folder / "run" / "targets.npy", targets)
    dsi_cli.analyze(folder / "run", folder / "out", draws=0)
    np.save(folder / "run" / "preds.npy", (predictions[3:6] + 1) % 10)
    return folder


@pytest.mark.parametrize("truth", ["rows", "columns"])
def test_named_counts_give_the_same_curves(truth, small_run, tmp_path):
    counts = np.stack([stored_counts(small_run / "out", "run", epoch) for epoch in (3, 4, 5)])
    np.savez(tmp_path / "counts.npz", confusions=counts if truth == "rows" else counts.transpose(0, 2, 1))
    evaluation = dsi_cli.Evaluation(predictions=str(tmp_path / "counts.npz"), truth=truth)
    found = dsi_cli.analyze(small_run / "run", tmp_path / "out", draws=0, evaluation=evaluation)
    pd.testing.assert_frame_equal(found.curves, dsi_cli.open_results(small_run / "out").curves)
    lacking = set(contents(small_run / "out")) - set(contents(tmp_path / "out"))
    assert lacking == {f"predictions/run/test/{epoch}.parquet" for epoch in (3, 4, 5)}


LAST = {"cifar100-cnn": 30, "cifar100-vit": 30, "collapsed": 15, "garments": 15}
SAMPLED_HEADS = [("cifar100-cnn", 0), ("cifar100-cnn", 30), ("cifar100-vit", 5), ("collapsed", 15), ("garments", 15)]


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


@pytest.mark.parametrize(("run", "epoch"), SAMPLED_HEADS)
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


@pytest.mark.parametrize(("run", "epoch"), SAMPLED_HEADS)
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
