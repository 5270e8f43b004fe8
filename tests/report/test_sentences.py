"""What the page says in words is what the tables hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import tables

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries import phases
from dsi_cli.report import best, sentences
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)


@pytest.fixture
def run(make_run, tmp_path):
    folder = make_run(labels=("cat", "dog", "qzx", "frog", "bird", "lion", "whale", "bee"))
    (folder / "epoch_9.pt").write_bytes(b"no checkpoint")
    answers = np.tile(np.arange(40) % 8, (4, 1))
    answers[:, :3] = 5
    answers[3] = np.arange(40) % 8
    np.save(folder / "preds.npy", answers)
    np.save(folder / "targets.npy", np.arange(40) % 8)
    analyze([folder], tmp_path / "out", Options(draws=0))
    return Results(tmp_path / "out")


def test_sentences(run):
    analysed, labels, answers, alignment, phase = sentences.sentences(run, "run")
    assert analysed == "4 checkpoints, 4 epochs from 0 to 3; the classifier is fc.weight, 8 features wide, with 8 classes."
    assert labels.startswith("7 of 8 labels found in WordNet (")
    assert answers.endswith("0 mistakes of 40 samples at epoch 3.")
    assert alignment.startswith(("SAI(NCSM, SCSM) is never", "The excess of SAI(NCSM, SCSM) over chance is"))
    assert phase.startswith("No phases in the agreement: ")


def test_many_labels_are_counted_alike():
    rows = pd.DataFrame({"name": ["cat"] * 1000, "synset": ["cat.n.01"] * 1000, "resolved_by": ["preset"] * 1000})
    assert list(sentences._labels(rows)) == ["1,000 of 1,000 labels found in WordNet (preset)."]


def test_warnings_name_what_is_missing(run):
    told = sentences.warnings(run, "run")
    assert told[0].startswith("1 checkpoint could not be used, epoch_9.pt: ")
    assert told[1] == "1 label without a synset take no part in what compares with WordNet: qzx"


def test_without_labels(make_run, tmp_path):
    analyze([make_run(labels=None)], tmp_path / "out", Options(draws=0))
    told = sentences.sentences(Results(tmp_path / "out"), "run")
    assert len(told) == 3
    assert told[1].startswith("There is no alignment with WordNet: ")


def test_phases_are_told_as_on_the_terminal(analysed):
    told = sentences.sentences(analysed.run, "cifar100-cnn")
    first = phases.phase_sentences(analysed.out, "cifar100-cnn")
    assert first.phases is not None
    assert f"{first.phases[0].upper()}{first.phases[1:]}." in told
    assert any(
        "agreement with WordNet has stayed within its noise since epoch" in sentence.lower().replace("wordnet", "WordNet")
        for sentence in told
    )
    never = " ".join(sentences.sentences(analysed.run, "collapsed"))
    assert "never learnt" in never


def test_the_best_epochs_are_those_of_the_table(analysed):
    curves = tables(analysed.out)["curves"]
    for name in analysed.run.names:
        mine = curves[curves["run"] == name]
        found = {one.short: one for one in best.best_epochs(mine)}
        sai = mine.query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'")
        sure = sai[sai["z"] >= 3] if (sai["z"] >= 3).any() else sai
        top = sure.loc[sure["excess"].idxmax()]
        assert found["SAI excess, WordNet"].epoch == top["epoch"]
        assert float(found["SAI excess, WordNet"].value) == pytest.approx(top["excess"], abs=5.1e-4)
        accuracy = mine.query("metric == 'accuracy' and split == 'test'")
        assert found["accuracy"].epoch == accuracy.loc[accuracy["value"].idxmax(), "epoch"]
        loss = mine.query("metric == 'loss' and split == 'test'")
        assert found["loss"].epoch == loss.loc[loss["value"].idxmin(), "epoch"]


def points(metric, values, z=None, *, of=None, variant=None, chance=None):
    """Return rows of the curves table, a value an epoch."""
    key = {"run": "run", "metric": metric, "of": of, "split": "test", "variant": variant, "reference": None, "step": None}
    rest = {"null_mean": chance, "null_std": None, "excess": None, "low": None, "high": None, "ceiling": None}
    every = zip(values, z or [None] * len(values), strict=True)
    return [key | rest | {"epoch": epoch, "value": value, "z": one} for epoch, (value, one) in enumerate(every)]


def widm(values, z):
    return points("idm", values, z, of="scsm", variant="errors", chance=0.5)


def table(*rows):
    """Return a curves table; what is missing is NaN."""
    found = pd.DataFrame([row for part in rows for row in part])
    numbers = ["value", "z", "null_mean", "null_std", "excess", "low", "high", "ceiling"]
    return found.astype(dict.fromkeys(numbers, "float64"))


def test_a_lone_mistake_near_the_truth_is_not_the_best_epoch():
    """WIDM over one mistake may be perfect by chance."""
    (found,) = best.best_epochs(table(widm([0.6, 0.7, 1.0], [5.0, 9.0, 1.7])))
    assert (found.epoch, found.value, found.last, found.last_at) == (1, "0.700", "1.000", None)


def test_a_best_epoch_says_on_how_many_mistakes_it_rests_and_of_when_its_last_value_is():
    mistakes = points("mistakes", [90.0, 5.0, 0.0])
    (found,) = best.best_epochs(table(widm([0.6, 0.7, None], [5.0, 9.0, None]), mistakes))
    assert (found.epoch, found.mistakes, found.last, found.last_at) == (1, "5 mistakes", "0.700", 1)


def test_an_accuracy_of_guessing_is_within_chance_and_the_first_of_equal_ones_counts():
    (guessing,) = best.best_epochs(table(points("accuracy", [0.2, 0.25, 0.25])), classes=4)
    assert (guessing.epoch, guessing.equal, guessing.chance, guessing.within_chance) == (1, 2, "0.250", True)
    (learnt,) = best.best_epochs(table(points("accuracy", [0.25, 0.3])), classes=4)
    assert not learnt.within_chance


def test_the_sentence_on_the_alignment_names_the_excess_by_which_its_epoch_is_chosen(analysed):
    sai = analysed.run.curves_of("cifar100-cnn").query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'")
    top = sai.loc[sai["excess"].idxmax()]
    said = f"The excess of SAI(NCSM, SCSM) over chance is highest at epoch {top['epoch']}: {top['excess']:.3f} of the way"
    told = next(one for one in sentences.sentences(analysed.run, "cifar100-cnn") if one.startswith(said))
    assert told.endswith(f"The raw value there is {top['value']:.3f}, where chance gives {top['null_mean']:.3f}.")
