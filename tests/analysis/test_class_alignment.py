"""The class alignment table: rows that match the stored matrices, and what later calls
keep.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import (
    ANIMALS,
    assert_same_output,
    heads,
    save_head,
    stored,
    stored_reference,
)

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics import class_labels, references
from dsi_cli.analysis.semantics.epoch_context import EpochMatrix
from dsi_cli.analysis.tables import curves
from dsi_cli.labels.label_list import LabelList
from dsi_cli.metrics.alignment import alignments

QUICK = Options(draws=0)
FILE = "alignment_by_class.parquet"


def read_table(out):
    return pd.read_parquet(out / FILE)


def test_table_has_one_row_per_class_and_epoch(analysed):
    table = read_table(analysed.out)
    of_classes = table[table["class_index"].notna()]
    expected = [
        (run, epoch) for run in analysed.run.names for epoch in analysed.run.epochs(run)
    ]
    sizes = of_classes.groupby(["run", "epoch"]).size()
    assert list(sizes.index) == sorted(expected)
    assert all(
        size == (10 if run == "garments" else 100) for (run, _), size in sizes.items()
    )
    assert not table.duplicated(
        ["run", "epoch", "step", "reference", "class_index", "group"]
    ).any()


@pytest.mark.parametrize("epoch", [0, 30])
def test_class_rows_match_the_stored_matrices(analysed, epoch):
    run = "cifar100-cnn"
    ncsm, (reference, _) = (
        stored(analysed.out, run, "ncsm", epoch),
        stored_reference(analysed.out, run),
    )
    table = read_table(analysed.out).query(
        "run == @run and epoch == @epoch and class_index.notna()"
    )
    for row in table.sample(12, random_state=0).itertuples():
        i = int(row.class_index)
        expected = np.corrcoef(np.delete(ncsm[i], i), np.delete(reference[i], i))[0, 1]
        assert row.pearson == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert row.z == pytest.approx(expected * np.sqrt(98), rel=1e-6, abs=1e-9)
        assert (row.classes_used, row.of, row.reference) == (
            100,
            "ncsm",
            "wordnet3.0-path",
        )


def test_group_rows_are_the_sai_of_the_classes(analysed):
    run, epoch = "cifar100-cnn", 30
    classes = analysed.run.classes.query("run == @run").sort_values("class_index")
    table = read_table(analysed.out).query(
        "run == @run and epoch == @epoch and class_index.isna()"
    )
    assert set(table["group"]) == set(classes["group"].dropna())
    at = np.flatnonzero(classes["group"] == "carnivore.n.01")
    (row,) = table[table["group"] == "carnivore.n.01"].itertuples()
    ncsm, (reference, _) = (
        stored(analysed.out, run, "ncsm", epoch),
        stored_reference(analysed.out, run),
    )
    whole = alignments(
        ncsm[np.ix_(at, at)], reference[np.ix_(at, at)], ["pearson"], draws=0
    )["pearson"]
    assert (row.pearson, row.z, row.classes_used) == (
        pytest.approx(whole.value),
        pytest.approx(whole.z),
        9,
    )
    small = table[table["classes_used"] < 4]
    assert len(small) == 5
    assert small["pearson"].isna().all()
    assert small["reason"].str.contains("needs 4 or more").all()


def test_table_lacks_classes_without_a_synset(make_results):
    names = (*ANIMALS[:-1], "blorb")
    table = read_table(make_results(labels=names))
    assert sorted(table["class_index"].dropna().unique()) == list(range(7))
    assert set(table["classes_used"][table["class_index"].notna()]) == {7}


def test_curve_rows_without_a_classifier_use_the_test_templates():
    labels = class_labels.resolve_labels(LabelList(ANIMALS, None, "the test"))
    matrices = [
        EpochMatrix(
            name,
            np.corrcoef(np.random.default_rng(seed).normal(size=(8, 9))),
            np.arange(7),
        )
        for seed, name in enumerate(("tncsm-train", "tncsm-test", "ccsm-test"))
    ]
    plan = RowsPlan.make(
        labels, references.open_references(["path"], None), QUICK, Path()
    )
    table = curves.curve_rows(matrices, [], plan)[1].to_pandas()
    assert set(table["of"]) == {"tncsm-test"}
    assert list(table["class_index"].dropna()) == list(range(7))
    assert len(curves.curve_rows(matrices[2:], [], plan)[1]) == 0


def test_analyze_keeps_other_runs_and_sorts_new_epochs(make_run, tmp_path):
    out = tmp_path / "out"
    first, second = make_run("a"), make_run("b", epochs=2, seed=1)
    analyze([first, second], out, QUICK)
    before = read_table(out).query("run == 'a'")
    for epoch, weight in list(enumerate(heads(4, seed=1)))[2:]:
        save_head(second / f"epoch_{epoch}.pt", weight, epoch=epoch)
    analyze([second], out, QUICK)
    after = read_table(out)
    pd.testing.assert_frame_equal(after.query("run == 'a'"), before)
    assert list(after.query("run == 'b'")["epoch"].unique()) == [0, 1, 2, 3]
    analyze([first, second], tmp_path / "whole", QUICK)
    assert_same_output(out, tmp_path / "whole")
