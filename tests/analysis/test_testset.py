"""Whole runs from end to end: the stored matrices against slow float64 oracles and
torch, the curves against these matrices.
"""

import csv
import hashlib

import numpy as np
import pandas as pd
import pytest
from helpers import oracles, oracles_testset
from helpers.outputs import (
    RUNS,
    contents,
    curve,
    stored,
    stored_counts,
    stored_reference,
)
from numpy.testing import assert_allclose, assert_array_equal

import dsi_cli
from dsi_cli.metrics.alignment import alignments
from dsi_cli.metrics.idm import idm

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
FASHION = "garments"
SAMPLED = [("cifar100-cnn", 0), ("cifar100-vit", 12), ("collapsed", 13), (FASHION, 15)]
WITH_CCSM = ("ncsm,ccsm-test", "ccsm-test,scsm")
PAIRS = ("ncsm,scsm", *WITH_CCSM)
NUMBERS = (
    "value",
    "null_mean",
    "null_std",
    "z",
    "excess",
    "ceiling",
    "p_value",
    "low",
    "high",
)


def predictions_and_targets(four_runs, run):
    """Return the predictions ``(epochs, samples)`` and the targets of a run."""
    return [np.load(four_runs / run / f"{name}.npy") for name in ("preds", "targets")]


def stored_matrix(out, run, kind, epoch):
    return (
        stored_reference(out, run)[0]
        if kind == "scsm"
        else stored(out, run, kind, epoch)
    )


def stored_pair(out, run, pair, epoch):
    return [stored_matrix(out, run, kind, epoch) for kind in pair.split(",")]


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
def test_stored_predictions_match_the_files(run, epoch, four_runs, analysed):
    predictions, targets = predictions_and_targets(four_runs, run)
    counts = stored_counts(analysed.out, run, epoch)
    assert_array_equal(
        counts, oracles_testset.confusion(targets, predictions[epoch], len(counts))
    )
    samples = pd.read_parquet(
        analysed.out / "predictions" / run / "test" / f"{epoch}.parquet"
    )
    assert_array_equal(samples["prediction"], predictions[epoch])
    assert_array_equal(samples["target"], targets)
    assert_array_equal(samples["sample"], np.arange(10_000))
    assert samples[["path", "score"]].isna().all(axis=None)
    keys = samples[["run", "split", "epoch", "epochs_completed"]].drop_duplicates()
    assert keys.to_numpy().tolist() == [[run, "test", epoch, epoch]]


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


def assert_row_has(row, expected):
    """Assert that a row of the curves table has the numbers of an alignment or a score,
    and is null where these are None.
    """
    for name in NUMBERS:
        number = getattr(expected, name)
        assert (
            pd.isna(row[name])
            if number is None
            else row[name] == pytest.approx(number, rel=1e-6, abs=2e-6)
        ), name
    reason = row["reason"] if isinstance(row["reason"], str) else None
    assert (row["classes_used"], reason) == (expected.classes_used, expected.reason)


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("pair", PAIRS)
def test_sai_rows_are_the_alignments_of_the_stored_matrices(pair, run, epoch, analysed):
    rows = (
        curve(analysed.run.curves, run, metric="sai", of=pair)
        .loc[epoch]
        .set_index("variant")
    )
    first, second = stored_pair(analysed.out, run, pair, epoch)
    for measure, expected in alignments(
        first, second, order=stored_reference(analysed.out, run)[1]
    ).items():
        row = rows.loc[measure]
        assert_row_has(row, expected)
        assert (
            row["reference"] == "wordnet3.0-path"
            if pair.endswith("scsm")
            else pd.isna(row["reference"])
        )
        assert pd.isna(row["split"]), "the names of the matrices contain the splits"


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("pair", WITH_CCSM)
def test_corrected_correlation_matches_the_oracle(pair, run, epoch, analysed):
    curves = analysed.run.curves
    row = curve(curves, run, metric="sai", of=pair, variant="pearson_corrected").loc[
        epoch
    ]
    plain = curve(curves, run, metric="sai", of=pair, variant="pearson").loc[epoch]
    reliability = curve(curves, run, metric="reliability", of="ccsm", split="test").loc[
        epoch, "value"
    ]
    expected = oracles_testset.pearson_corrected(
        *stored_pair(analysed.out, run, pair, epoch), reliability
    )
    assert_allclose(row["value"], expected, **CLOSE)
    for name in ("null_mean", "null_std", "ceiling", "low", "high"):
        assert_allclose(row[name], plain[name] / np.sqrt(reliability), **CLOSE)
    assert_allclose(row["z"], plain["z"], **CLOSE)


def test_sai_and_idm_separate_learning_from_chance(analysed):
    for pair in PAIRS:
        z = {
            run: curve(
                analysed.run.curves, run, metric="sai", of=pair, variant="cosine"
            )["z"]
            for run in RUNS
        }
        assert z["cifar100-cnn"].loc[30] > 20
        assert z["cifar100-vit"].loc[30] > 20
        assert z["collapsed"].abs().max() < 3.5
    widm = curve(
        analysed.run.curves,
        "collapsed",
        metric="idm",
        of="scsm",
        split="test",
        variant="errors",
    )
    assert widm["z"].abs().max() < 2.05
    assert widm["value"].max() - widm["value"].min() > 0.3, (
        "though its raw value wanders"
    )


@pytest.mark.parametrize(("run", "epoch"), SAMPLED)
@pytest.mark.parametrize("of", ["ncsm", "scsm"])
def test_idm_rows_are_the_idm_of_the_stored_counts(of, run, epoch, analysed):
    counts, csm = (
        stored_counts(analysed.out, run, epoch),
        stored_matrix(analysed.out, run, of, epoch),
    )
    rows = (
        curve(analysed.run.curves, run, metric="idm", of=of, split="test")
        .loc[epoch]
        .set_index("variant")
    )
    for variant, expected in idm(counts, csm).items():
        row = rows.loc[variant]
        assert_row_has(row, expected)
        assert row["samples_used"] == expected.samples_used
        assert (
            row["reference"] == "wordnet3.0-path"
            if of == "scsm"
            else pd.isna(row["reference"])
        )


@pytest.fixture(scope="module")
def small_run(four_runs, tmp_path_factory):
    """Return a folder with three checkpoints of the small run and its output; the
    predictions in the folder are wrong now.
    """
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
    counts = np.stack(
        [stored_counts(small_run / "out", "run", epoch) for epoch in (3, 4, 5)]
    )
    np.savez(
        tmp_path / "counts.npz",
        confusions=counts if truth == "rows" else counts.transpose(0, 2, 1),
    )
    evaluation = dsi_cli.Evaluation(
        predictions=str(tmp_path / "counts.npz"), truth=truth
    )
    found = dsi_cli.analyze(
        small_run / "run", tmp_path / "out", draws=0, evaluation=evaluation
    )
    pd.testing.assert_frame_equal(
        found.curves, dsi_cli.open_results(small_run / "out").curves
    )
    lacking = set(contents(small_run / "out")) - set(contents(tmp_path / "out"))
    assert lacking == {f"predictions/run/test/{epoch}.parquet" for epoch in (3, 4, 5)}


LAST = {"cifar100-cnn": 30, "cifar100-vit": 30, "collapsed": 15, "garments": 15}
SAMPLED_HEADS = [
    ("cifar100-cnn", 0),
    ("cifar100-cnn", 30),
    ("cifar100-vit", 5),
    ("collapsed", 15),
    ("garments", 15),
]


@pytest.mark.parametrize("run", RUNS)
def test_fingerprints_match_the_heads_that_torch_loads(run, analysed, real_heads):
    rows = analysed.run.checkpoints.query("run == @run").set_index("epoch")
    for epoch, weight in enumerate(real_heads[run]):
        assert (
            rows.loc[epoch, "fingerprint"]
            == hashlib.sha256(weight.astype("<f4").tobytes()).hexdigest()
        ), epoch
    assert list(rows.index) == list(range(LAST[run] + 1))
    assert_array_equal(rows.index, rows["epochs_completed"])
    assert set(zip(rows["classes"], rows["features"], strict=True)) == {
        real_heads[run][0].shape
    }
    assert set(rows["status"]) == {"ok"}


@pytest.mark.parametrize(("run", "epoch"), SAMPLED_HEADS)
def test_ncsm_matches_the_cosines_of_the_weights(run, epoch, analysed, real_heads):
    found, weight = stored(analysed.out, run, "ncsm", epoch), real_heads[run][epoch]
    assert found.dtype == np.float32
    assert_allclose(found, oracles.ncsm(weight), rtol=0, atol=1e-6)
    assert_array_equal(found, found.T)
    assert_array_equal(np.diagonal(found), 1)
    curves = analysed.run.curves
    assert_allclose(
        curve(curves, run, metric="mean_row").loc[epoch, "value"],
        oracles.mean_row(weight),
        **CLOSE,
    )
    geometry = oracles.head_geometry(weight)
    for metric, variant, name in (
        ("effective_rank", "raw", "effective_rank"),
        ("effective_rank", "centred", "centred_effective_rank"),
        ("stable_rank", "raw", "stable_rank"),
        ("nc2_angles", "spread", "angle_spread"),
    ):
        assert_allclose(
            curve(curves, run, metric=metric, variant=variant).loc[epoch, "value"],
            geometry[name],
            rtol=1e-5,
        )


@pytest.mark.parametrize(("run", "epoch"), SAMPLED_HEADS)
def test_wsi_matches_the_oracle(run, epoch, analysed):
    for variant in ("mean", "max", "min"):
        found = curve(analysed.run.curves, run, metric="wsi", variant=variant).loc[
            epoch, "value"
        ]
        assert_allclose(
            found,
            oracles.wsi(stored(analysed.out, run, "ncsm", epoch), variant),
            **CLOSE,
        )


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
        assert found.to_dict() == {
            epoch: float(row[column]) for epoch, row in log.items() if row[column]
        }, column


def test_summary_and_progress_are_complete(analysed):
    assert analysed.summary.exit_code == 0
    assert [
        (run.name, run.statuses, run.read, run.resolved, run.preset)
        for run in analysed.summary.runs
    ] == [
        ("cifar100-cnn", {"ok": 31}, 31, 100, "cifar100"),
        ("cifar100-vit", {"ok": 31}, 31, 100, "cifar100"),
        ("collapsed", {"ok": 16}, 16, 100, "cifar100"),
        ("garments", {"ok": 16}, 16, 10, "fashion-mnist"),
    ]
    assert analysed.summary.facts == []
    for stage in ("reading classifiers", "comparing matrices"):
        assert [event for event in analysed.events if event[0] == stage] == [
            (stage, n, 94) for n in range(1, 95)
        ]
