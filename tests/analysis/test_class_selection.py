"""Analyses of a part of the classes."""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, stored
from helpers.table_comparison import write_run

from dsi_cli import analyze


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("selection") / "run")


PART = [0, 2, 3, 5, 6]


@pytest.fixture(scope="module")
def results(run):
    file = run.parent / "part.txt"
    file.write_text("".join(f"{ANIMALS[index]}\n" for index in PART))
    return analyze(run, run.parent / "out", classes=file, report=False)


def test_agreement_is_that_of_the_chosen_classes(results):
    square = np.ix_(PART, PART)
    network = stored(results.path, "run", "ncsm", 2)[square].astype(float)
    reference = results.csm("scsm").to_numpy()[square].astype(float)
    off = ~np.eye(len(PART), dtype=bool)
    expected = np.corrcoef(network[off], reference[off])[0, 1]
    row = results.curve("agreement").query("epoch == 2").iloc[0]
    assert row["value"] == pytest.approx(expected, abs=1e-6)


def test_accuracy_is_that_of_samples_of_the_chosen_classes(results, run):
    targets, predictions = np.load(run / "targets.npy"), np.load(run / "preds.npy")
    chosen = np.isin(targets, PART)
    expected = (predictions[2] == targets)[chosen].mean()
    found = results.curve("accuracy").query("epoch == 2")["value"].item()
    assert found == pytest.approx(expected)


def test_classes_below_a_synset_are_those_of_a_file_with_them(run):
    below = analyze(run, run.parent / "below", classes="animal.n.01", report=False)
    every = analyze(run, run.parent / "every", report=False)
    names = below.classes["name"].tolist()
    assert names == ANIMALS[: len(names)] or set(names) == set(ANIMALS)
    used = below.curves.query("metric == 'sai' and value.notna()")["classes_used"]
    all_used = every.curves.query("metric == 'sai' and value.notna()")["classes_used"]
    assert used.max() <= all_used.max()


@pytest.mark.parametrize(
    ("text", "code"),
    [("dog\nunicorn\n", "class-not-in-run"), (f"{ANIMALS[0]}\n", "too-few-classes")],
)
def test_wrong_file_of_classes_raises(run, text, code):
    file = run.parent / f"{code}.txt"
    file.write_text(text)
    with raises(code):
        analyze(run, run.parent / code, classes=file, report=False)


def test_unknown_group_of_classes_raises(run):
    with raises("unknown-classes"):
        analyze(run, run.parent / "unknown", classes="nosuch", report=False)
