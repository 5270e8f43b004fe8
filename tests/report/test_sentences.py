"""The sentences of the report agree with the tables."""

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
    predictions = np.tile(np.arange(40) % 8, (4, 1))
    predictions[:, :3] = 5
    predictions[3] = np.arange(40) % 8
    np.save(folder / "preds.npy", predictions)
    np.save(folder / "targets.npy", np.arange(40) % 8)
    analyze([folder], tmp_path / "out", Options(draws=0))
    return Results(tmp_path / "out")


def test_sentences(run):
    checkpoints, head, labels, predictions, alignment, phase = sentences.sentences(run, "run")
    assert checkpoints == "dsi analysed 4 checkpoints at 4 epochs from 0 to 3."
    assert head == "The classifier head is fc.weight with 8 classes and 8 features."
    assert labels.startswith("dsi found 7 of 8 labels in WordNet (")
    assert predictions.startswith("On test, the network made 0 mistakes on 40 samples at epoch 3 (predictions from ")
    assert alignment.startswith(("SAI(NCSM, SCSM) is never", "The excess of SAI(NCSM, SCSM) over chance is"))
    assert phase.startswith("No phases in the agreement: ")


def test_label_sentences_of_many_labels_have_thousands_separators():
    rows = pd.DataFrame({"name": ["cat"] * 1000, "synset": ["cat.n.01"] * 1000, "resolved_by": ["preset"] * 1000})
    assert list(sentences._label_sentences(rows)) == ["dsi found 1,000 of 1,000 labels in WordNet (by preset)."]


def test_warnings_name_unused_checkpoints_and_labels(run):
    first, second, *_ = sentences.warnings(run, "run")
    assert first.startswith("dsi skipped 1 checkpoint that cannot be read or analysed, epoch_9.pt: ")
    assert second == "The comparison with WordNet leaves out 1 label without a synset: qzx"


def test_sentences_without_labels_give_the_reason(make_run, tmp_path):
    analyze([make_run(labels=None)], tmp_path / "out", Options(draws=0))
    _, _, alignment, _ = sentences.sentences(Results(tmp_path / "out"), "run")
    assert alignment.startswith("There is no alignment with WordNet: ")


def test_sentences_on_phases_equal_those_of_the_terminal(analysed):
    all_sentences = sentences.sentences(analysed.run, "cifar100-cnn")
    first = phases.phase_sentences(analysed.out, "cifar100-cnn")
    assert first.phases is not None
    assert f"{first.phases[0].upper()}{first.phases[1:]}." in all_sentences
    assert any(
        "agreement with WordNet has stayed within its noise since epoch" in sentence.lower().replace("wordnet", "WordNet")
        for sentence in all_sentences
    )
    never = " ".join(sentences.sentences(analysed.run, "collapsed"))
    assert "never learnt" in never


def test_best_epochs_equal_those_of_the_table(analysed):
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
    """Return rows of the curves table, one value per epoch."""
    key = {"run": "run", "metric": metric, "of": of, "split": "test", "variant": variant, "reference": None, "step": None}
    rest = {"null_mean": chance, "null_std": None, "excess": None, "low": None, "high": None, "ceiling": None}
    every = zip(values, z or [None] * len(values), strict=True)
    return [key | rest | {"epoch": epoch, "value": value, "z": one} for epoch, (value, one) in enumerate(every)]


def widm(values, z):
    return points("idm", values, z, of="scsm", variant="errors", chance=0.5)


def table(*rows):
    """Return a curves table; missing numbers are NaN."""
    found = pd.DataFrame([row for part in rows for row in part])
    numbers = ["value", "z", "null_mean", "null_std", "excess", "low", "high", "ceiling"]
    return found.astype(dict.fromkeys(numbers, "float64"))


def test_best_epochs_of_an_idm_within_chance_leave_it_out():
    """WIDM over one mistake can be perfect by chance."""
    (found,) = best.best_epochs(table(widm([0.6, 0.7, 1.0], [5.0, 9.0, 1.7])))
    assert (found.epoch, found.value, found.last, found.last_epoch) == (1, "0.700", "1.000", None)


def test_best_epochs_of_an_idm_give_the_number_of_mistakes_and_the_last_epoch():
    mistakes = points("mistakes", [90.0, 5.0, 0.0])
    (found,) = best.best_epochs(table(widm([0.6, 0.7, None], [5.0, 9.0, None]), mistakes))
    assert (found.epoch, found.mistakes, found.last, found.last_epoch) == (1, "5 mistakes", "0.700", 1)


def test_best_epochs_of_accuracy_at_chance_are_within_chance_and_count_ties():
    (guessing,) = best.best_epochs(table(points("accuracy", [0.2, 0.25, 0.25])), classes=4)
    assert (guessing.epoch, guessing.ties, guessing.chance, guessing.within_chance) == (1, 2, "0.250", True)
    (learnt,) = best.best_epochs(table(points("accuracy", [0.25, 0.3])), classes=4)
    assert not learnt.within_chance


def test_sentence_on_the_alignment_names_the_best_excess(analysed):
    sai = analysed.run.curves_of("cifar100-cnn").query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'")
    top = sai.loc[sai["excess"].idxmax()]
    start = (
        f"The excess of SAI(NCSM, SCSM) over chance is highest at epoch {top['epoch']}: {top['excess']:.3f} (0 is chance"
    )
    sentence = next(text for text in sentences.sentences(analysed.run, "cifar100-cnn") if text.startswith(start))
    end = f"The raw value at epoch {top['epoch']} is {top['value']:.3f}, and its chance level is {top['null_mean']:.3f}."
    assert sentence.endswith(end)
