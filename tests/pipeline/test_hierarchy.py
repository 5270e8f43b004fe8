"""Severity and superclass accuracy in the curves table: from stored counts, with the taxonomy as their reference."""

from __future__ import annotations

import numpy as np
import pytest
from outputs import ANIMALS, curve, stored_counts, tables

from dsi_cli.labels.lists import LabelList
from dsi_cli.labels.presets import load_preset, superclasses
from dsi_cli.pipeline import labelling
from dsi_cli.pipeline.analysis import analyze
from dsi_cli.pipeline.options import Options
from dsi_cli.wordnet.subsumers import common_heights
from dsi_cli.wordnet.taxonomy import load

pytest_plugins = ("analysed",)

QUICK = Options(draws=0)
METRICS = ("severity", "superclass_accuracy")


@pytest.fixture
def answered(make_run, tmp_path):
    """Return ``answered(labels)``: the curves of a run with predictions beside it, and its output."""

    def made(labels=ANIMALS):
        run, rng = make_run(labels=labels), np.random.default_rng(3)
        np.save(run / "targets.npy", np.repeat(np.arange(8), 20))
        np.save(run / "preds.npy", rng.integers(0, 8, (4, 160)))
        analyze([run], tmp_path / "out", QUICK)
        return tables(tmp_path / "out")["curves"], tmp_path / "out"

    return made


def test_rows_follow_from_the_stored_counts_and_the_classes_table(answered):
    curves, out = answered()
    classes = tables(out)["classes"].sort_values("class_index")
    heights = common_heights([load().node(wnid) for wnid in classes["wnid"]])
    groups = [name if isinstance(name, str) else index for index, name in enumerate(classes["group"])]
    same = np.array([[one == other for other in groups] for one in groups])
    assert 8 > len(set(groups)) > 1
    for epoch in range(4):
        counts = stored_counts(out, "run", epoch)
        wrong = counts - np.diag(np.diagonal(counts))
        severity, superclass = (curve(curves, "run", metric=name).loc[epoch] for name in METRICS)
        assert severity["value"] == pytest.approx((wrong * heights).sum() / wrong.sum())
        assert superclass["value"] == pytest.approx((counts * same).sum() / counts.sum())
        assert (severity["samples_used"], superclass["samples_used"]) == (wrong.sum(), 160)
        for row in (severity, superclass):
            assert (row["reference"], row["split"], row["classes_used"]) == ("wordnet3.0", "test", 8)
            assert row[["null_mean", "null_std", "z", "excess", "ceiling", "low", "high"]].notna().all()


def test_the_real_networks_mistakes_are_milder_than_chance(analysed):
    for metric in METRICS:
        (row,) = curve(analysed.run.curves, "cifar100-cnn", metric=metric, split="test").query("epoch == 30").itertuples()
        assert row.z > 10


def test_without_labels_the_reason_is_said(answered):
    curves, _ = answered(None)
    for metric in METRICS:
        rows = curve(curves, "run", metric=metric)
        assert len(rows) == 4
        assert rows["value"].isna().all()
        assert set(rows["reason"]) == {"no labels: give them with --labels FILE or PRESET"}


def test_without_groups_there_is_severity_but_no_superclass():
    one = labelling.label(LabelList(("cat", "rock", "anger", "blorb"), None, "the test"))
    assert one.groups == (None,) * 4
    assert one.superclasses().tolist() == [4, 5, 6, 7]


def test_classes_of_a_group_have_one_superclass():
    one = labelling.label(LabelList(("cat", "truck", "blorb", "dog", "car", "frog"), None, "the test"))
    found = one.superclasses()
    assert found[0] == found[3] != found[1] == found[4]
    assert len(set(found)) == 4


def test_the_rows_are_kept_by_a_second_call(answered):
    before, out = answered()
    analyze([out.parent / "run"], out, QUICK)
    after = tables(out)["curves"]
    for metric in METRICS:
        assert curve(after, "run", metric=metric).equals(curve(before, "run", metric=metric))


def test_the_data_sets_own_superclasses_come_first(analysed):
    rows = curve(analysed.run.curves, "cifar100-cnn", metric="superclass_accuracy", split="test")
    assert set(rows["reference"]) == {"cifar100-superclasses"}
    classes = analysed.run.classes.query("run == 'cifar100-cnn'").sort_values("class_index")
    of = superclasses("cifar100")
    above = np.array([of[name] for name in classes["name"]])
    counts = stored_counts(analysed.out, "cifar100-cnn", 30)
    expected = (counts * (above[:, None] == above)).sum() / counts.sum()
    assert rows.loc[30, "value"] == pytest.approx(expected)
    assert rows.loc[30, "value"] > np.trace(counts) / counts.sum()


def test_lists_that_are_no_preset_have_groups():
    assert labelling.label(LabelList(ANIMALS, None, "the test")).own_superclasses is None
    assert len(set(labelling.label(LabelList(load_preset("cifar100").names, None, "x")).superclasses())) == 20
