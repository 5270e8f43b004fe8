"""A class-incremental run, whose head grows, is one run of the classes that all its
heads have: its matrices, curves, labels, tables, figures and report.
"""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.errors import raises
from helpers.outputs import assert_same_output, noticed, refuse_scans
from numpy.testing import assert_array_equal
from PIL import Image

import dsi_cli
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.analysis.report_file import write_report
from dsi_cli.errors import UsageError
from dsi_cli.figures import save
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.similarity import centred_weight_similarity, weight_similarity

QUICK = Options(draws=0, permutations=0)
WIDTHS = (4, 4, 6, 9)
NAMES = ("cat", "dog", "horse", "frog", "bird", "lion", "whale", "bee", "wolf")


def write_run(folder, widths=WIDTHS, *, seed=0, features=12, are_related=True):
    """Write checkpoints whose head has these numbers of classes, and return the
    weights.
    """
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    whole, weights = torch.randn(max(widths), features, generator=generator), []
    for epoch, classes in enumerate(widths):
        step = torch.randn(max(widths), features, generator=generator)
        whole = whole + 0.2 * step if are_related else step
        body = torch.ones(features, 3)
        weights.append(whole[:classes].clone())
        torch.save(
            {
                "body.weight": body,
                "fc.weight": weights[-1],
                "fc.bias": torch.zeros(classes),
            },
            folder / f"epoch_{epoch}.pt",
        )
    return weights


def write_labels(folder, names=NAMES):
    path = folder / "classes.txt"
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Return the folder of a growing run, of its labels and of its results in ``out``,
    its weights and the summary.
    """
    folder = tmp_path_factory.mktemp("grown")
    weights = write_run(folder / "run")
    options = Options(draws=0, permutations=0, labels=write_labels(folder))
    return folder, weights, analyze([folder / "run"], folder / "out", options)


def test_analyze_growing_head_is_one_run_of_the_classes_that_all_heads_have(grown):
    folder, weights, summary = grown
    assert noticed(summary)["head-grows"] == {"common": 4, "classes": 9}
    results = dsi_cli.open_results(folder / "out")
    assert results.names == ["run"]
    assert results.checkpoints["classes"].tolist() == list(WIDTHS)
    assert results.classes["name"].tolist() == list(NAMES[:4])
    curves = results.curves[
        results.curves["metric"].isin(["wsi", "mean_row", "effective_rank"])
    ]
    assert curves["classes_used"].eq(4).all()
    assert results.curves.query("metric == 'sai'")["classes_used"].max() <= 4
    for epoch, weight in enumerate(weights):
        first = weight.numpy()[:4]
        ncsm = weight_similarity(first)
        assert_array_equal(results.csm("ncsm", epoch), ncsm)
        assert_array_equal(
            results.csm("ncsm_centred", epoch), centred_weight_similarity(first)
        )
        mean = curves.query(
            "metric == 'wsi' and variant == 'mean' and epoch == @epoch"
        )["value"]
        assert mean.tolist() == pytest.approx(
            [ncsm[np.triu_indices(4, 1)].mean()], abs=1e-6
        )
    assert results.geometry.groupby("epoch").size().tolist() == [4] * 4
    assert results.spectrum.groupby("epoch").size().tolist() == [3] * 4
    assert results.spectrum["classes_used"].eq(4).all()
    assert results.geometry.query("epoch > 0")["angle_previous"].notna().all()
    assert results.angle_last().notna().to_numpy().all()


def test_analyze_growing_head_draws_figures_and_a_report(grown, tmp_path):
    results = dsi_cli.open_results(grown[0] / "out")
    assert write_report(results.path, tmp_path / "report.html").is_file()
    drawn = save.write(
        results, ("heatmaps", "wsi"), FigureOptions(), (), tmp_path / "figures"
    )
    assert all(len(files) == 1 for files in drawn.values())


def test_analyze_head_that_grows_later_joins_the_stored_run(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    last = tmp_path / "run" / "epoch_3.pt"
    shutil.move(last, tmp_path / "later.pt")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    with monkeypatch.context() as patch:
        refuse_scans(patch, tmp_path / "run")
        shutil.move(tmp_path / "later.pt", last)
        analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert dsi_cli.open_results(tmp_path / "out").names == ["run"]
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    shutil.rmtree(tmp_path / "run")
    write_run(tmp_path / "run")
    analyze([tmp_path / "run"], tmp_path / "at-once", QUICK)
    geometries = [
        dsi_cli.open_results(tmp_path / name).geometry.to_dict()
        for name in ("out", "at-once")
    ]
    assert str(geometries[0]) == str(geometries[1])


def test_analyze_earlier_narrow_checkpoint_changes_the_classes_of_all_curves(tmp_path):
    write_run(tmp_path / "run", (4, 6, 6))
    first = tmp_path / "run" / "epoch_0.pt"
    shutil.move(first, tmp_path / "first.pt")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert (
        dsi_cli.open_results(tmp_path / "out")
        .curves.query("metric == 'wsi'")["classes_used"]
        .eq(6)
        .all()
    )
    shutil.move(tmp_path / "first.pt", first)
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert (
        dsi_cli.open_results(tmp_path / "out")
        .curves.query("metric == 'wsi'")["classes_used"]
        .eq(4)
        .all()
    )
    analyze([tmp_path / "run"], tmp_path / "at-once", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "at-once")


def test_analyze_growing_head_counts_predictions_of_newer_classes_as_mistakes(tmp_path):
    """Each epoch has the samples of the classes that its head has. The samples of the
    first classes count, and the IDM is over their predictions among these classes.
    """
    write_run(tmp_path / "run")
    targets = [np.arange(30) % classes for classes in WIDTHS]
    generator = np.random.default_rng(0)
    predictions = [
        np.where(generator.random(30) < 0.5, truth, generator.integers(0, classes, 30))
        for truth, classes in zip(targets, WIDTHS, strict=True)
    ]
    columns = {
        "epoch": np.repeat(range(4), 30),
        "target": np.concatenate(targets),
        "prediction": np.concatenate(predictions),
    }
    pd.DataFrame(columns).to_csv(tmp_path / "predictions.csv", index=False)
    options = Options(
        draws=0,
        permutations=0,
        evaluation=Evaluation(predictions=str(tmp_path / "predictions.csv")),
    )
    analyze([tmp_path / "run"], tmp_path / "out", options)
    results = dsi_cli.open_results(tmp_path / "out")
    for epoch, (truth, predicted) in enumerate(zip(targets, predictions, strict=True)):
        expected = np.zeros((4, 4), dtype=int)
        newer = 0
        hits = {class_index: [] for class_index in range(4)}
        for target, prediction in zip(truth, predicted, strict=True):
            if target >= 4:
                continue
            hits[target].append(target == prediction)
            if prediction < 4:
                expected[target, prediction] += 1
            else:
                newer += 1
        assert (newer > 0) == (WIDTHS[epoch] > 4)
        assert_array_equal(results.confusion(epoch), expected)
        ccsm = expected / expected.sum(axis=1, keepdims=True)
        np.fill_diagonal(ccsm, 1)
        assert_array_equal(results.csm("ccsm", epoch), ccsm.astype(np.float32))
        rows = results.curves.query("epoch == @epoch").set_index(
            ["metric", "of", "variant"]
        )
        every = [hit for of_class in hits.values() for hit in of_class]
        accuracy = rows.xs("accuracy")
        assert accuracy["value"].tolist() == [pytest.approx(np.mean(every))]
        assert accuracy["samples_used"].tolist() == [len(every)]
        balanced = np.mean([np.mean(of_class) for of_class in hits.values()])
        balanced_row = rows.xs("balanced_accuracy")
        assert balanced_row["value"].tolist() == [pytest.approx(balanced)]
        assert rows.xs("mistakes")["value"].tolist() == [len(every) - sum(every)]
        idm = rows.loc["idm", "ncsm", "all"]
        assert idm["samples_used"].item() == len(every) - newer
        assert idm["classes_used"].item() == 4
    assert results.classes["samples_test"].tolist() == [4, 4, 4, 3]


def test_analyze_growing_head_with_a_model_is_an_error_with_both_numbers(tmp_path):
    write_run(tmp_path / "run")
    for name in NAMES:
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / name / "0.png")
    (tmp_path / "model.py").write_text(
        "raise AssertionError('the model is not built')\n"
    )
    evaluation = Evaluation(
        test=str(tmp_path / "images"), model=f"{tmp_path}/model.py:build"
    )
    options = Options(
        draws=0, permutations=0, labels=write_labels(tmp_path), evaluation=evaluation
    )
    with raises("growing-head", UsageError) as error:
        analyze([tmp_path / "run"], tmp_path / "out", options)
    assert error.value.fields == {"run": "run", "classes": (4, 9)}


APART = {
    "shrinking": {"widths": (9, 6, 4)},
    "unrelated heads": {"widths": (4, 6, 9), "are_related": False},
    "back and forth": {"widths": (4, 9, 4)},
}


@pytest.mark.parametrize("arguments", APART.values(), ids=APART)
def test_analyze_other_widths_are_runs_of_their_own(arguments, tmp_path):
    write_run(tmp_path / "run", **arguments)
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    assert len(dsi_cli.open_results(tmp_path / "out").names) == len(
        set(arguments["widths"])
    )


@pytest.mark.parametrize("count", [4, 6, 8, 10])
def test_analyze_labels_of_another_number_than_the_last_head_are_refused(
    count, tmp_path
):
    write_run(tmp_path / "run")
    labels = write_labels(tmp_path, [*NAMES, "oak"][:count])
    with raises("label-count", UsageError, labels=count, classes=9):
        analyze(
            [tmp_path / "run"],
            tmp_path / "out",
            Options(draws=0, permutations=0, labels=labels),
        )


def test_analyze_label_file_of_the_last_head_next_to_the_checkpoints_is_used(tmp_path):
    write_run(tmp_path / "run")
    write_labels(tmp_path / "run")
    analyze([tmp_path / "run"], tmp_path / "out", QUICK)
    classes = dsi_cli.open_results(tmp_path / "out").classes
    assert classes["name"].tolist() == list(NAMES[:4])


def test_growing_head_with_labels_in_another_order_needs_its_predictions_by_name_again(
    tmp_path,
):
    run, out = tmp_path / "run", tmp_path / "out"
    write_run(run)
    names = pd.Series(NAMES * 4)
    table = pd.DataFrame({"epoch": 3, "target": names, "prediction": names.shift(-9)})
    table = table.dropna()
    table.to_csv(tmp_path / "named.csv", index=False)
    evaluation = Evaluation(predictions=str(tmp_path / "named.csv"))
    labels = write_labels(tmp_path)
    given = Options(draws=0, permutations=0, labels=labels, evaluation=evaluation)
    analyze([run], out, given)
    analyze([run], out, Options(draws=0, permutations=0, labels=labels))
    write_labels(tmp_path, NAMES[::-1])
    with raises("other-labels", UsageError, run="run", split="test"):
        analyze([run], out, Options(draws=0, permutations=0, labels=labels))
