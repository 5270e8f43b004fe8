"""What the page says in words is what the tables hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from outputs import tables

from dsi_cli.pipeline.analysis import analyze
from dsi_cli.pipeline.options import Options
from dsi_cli.report import best, words
from dsi_cli.store.runs import Run
from dsi_cli.views import phases

pytest_plugins = ("analysed",)


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
    return Run(tmp_path / "out")


def test_sentences(run):
    analysed, labels, answers, alignment, phase = words.sentences(run, "run")
    assert analysed == "4 checkpoints, 4 epochs from 0 to 3; the classifier is fc.weight, 8 features wide, with 8 classes."
    assert labels.startswith("7 of 8 labels found in WordNet (")
    assert answers.endswith("0 mistakes of 40 samples at epoch 3.")
    assert alignment.startswith("SAI(NCSM, SCSM) is")
    assert phase.startswith("No phases in the alignment: ")


def test_warnings_name_what_is_missing(run):
    told = words.warnings(run, "run")
    assert told[0].startswith("1 checkpoint could not be used, epoch_9.pt: ")
    assert told[1] == "1 label without a synset take no part in what compares with WordNet: qzx"


def test_without_labels(make_run, tmp_path):
    analyze([make_run(labels=None)], tmp_path / "out", Options(draws=0))
    told = words.sentences(Run(tmp_path / "out"), "run")
    assert len(told) == 3
    assert told[1].startswith("There is no alignment with WordNet: ")


def test_phases_are_told_as_on_the_terminal(analysed):
    told = words.sentences(analysed.run, "cifar100-cnn")
    first = phases.told(analysed.out, "cifar100-cnn")
    assert first.phases is not None
    assert f"{first.phases[0].upper()}{first.phases[1:]}." in told
    assert any(
        "alignment with WordNet has been flat since epoch" in sentence.lower().replace("wordnet", "WordNet")
        for sentence in told
    )
    never = " ".join(words.sentences(analysed.run, "cifar100-vit-collapsed"))
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


def test_a_lone_mistake_near_the_truth_is_not_the_best_epoch():
    """WIDM over one mistake may be perfect by chance."""
    rows = [
        {
            "run": "run",
            "metric": "idm",
            "of": "scsm",
            "split": "test",
            "variant": "errors",
            "reference": None,
            "epoch": epoch,
        }
        | {"step": None, "value": value, "null_mean": 0.5, "null_std": 0.1, "z": z, "excess": None}
        | {"low": None, "high": None, "ceiling": None}
        for epoch, value, z in [(0, 0.6, 5.0), (1, 0.7, 9.0), (2, 1.0, 1.7)]
    ]
    (found,) = best.best_epochs(pd.DataFrame(rows))
    assert (found.epoch, found.value, found.last) == (1, "0.700", "1.000")
