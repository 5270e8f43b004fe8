"""What is logged: by which names, of which epochs, and never a similarity index
alone.
"""

import re
import shutil
from importlib.resources import files

import pandas as pd
import pytest
from helpers.errors import raises

import dsi_cli
from dsi_cli.errors import UsageError
from dsi_cli.store.results import Results
from dsi_cli.tracking import points


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Return the output of three epochs of the CNN that ships with dsi."""
    out = tmp_path_factory.mktemp("real") / "out"
    dsi_cli.analyze(
        str(files("dsi_cli.demo") / "runs" / "cifar100-cnn"),
        out,
        epochs="0:30:15",
        draws=0,
        report=False,
    )
    return Results(out)


def by_name(found):
    """Return the values of a run by name, then by epoch."""
    names = {name for epoch in found.epochs for name in epoch.values}
    return {
        name: {e.number: e.values[name] for e in found.epochs if name in e.values}
        for name in names
    }


def test_points_by_default_are_the_main_quantities_of_the_tables(out, expected):
    found = points.points_of_results(Results(out))
    assert [run.name for run in found] == ["cnn", "vit=1"]
    for run in found:
        assert by_name(run) == expected(out, run.name)
        assert run.count == sum(map(len, expected(out, run.name).values()))
        assert max(len(epoch.values) for epoch in run.epochs) <= 20
        assert next(iter(run.epochs[0].values)) == "dsi/agreement"


def test_points_of_all_curves_have_the_names_of_their_rows(real):
    (found,) = points.points_of_results(real, all_curves=True)
    names = by_name(found)
    assert {
        "dsi/agreement",
        "sai/ncsm,scsm/spearman",
        "sai/ncsm,ccsm-test/cosine_chance",
        "idm/scsm/errors/test_excess",
        "loss/train",
        "epochs_completed",
        "superclass_accuracy/test/cifar100-superclasses_z",
        "mean_row/ncsm",
    } <= set(names)
    assert list(names["sai/ncsm,scsm/spearman"]) == [0, 15, 30]
    for name in names:
        if name.startswith(("sai", "idm")) and name.rpartition("_")[2] not in (
            "z",
            "excess",
            "chance",
        ):
            assert f"{name}_chance" in names, "no index without its chance level"


def test_quantity_rows_prefer_the_head_and_the_test_split():
    widm, agreement = points.LOGGED[1], points.LOGGED[0]

    def row(metric, of, variant, split=None, value=1.0):
        names = ("metric", "of", "variant", "split", "value")
        return dict(zip(names, (metric, of, variant, split, value), strict=True))

    train, test = (row("idm", "scsm", "errors", split) for split in ("train", "test"))
    missing = test | {"value": None}
    assert points.quantity_rows(widm, [train, test]) == [test]
    assert points.quantity_rows(widm, [missing, train]) == [train]
    assert points.quantity_rows(widm, [missing]) == [missing]
    wsi = [row("wsi", "ncsm", "max"), row("wsi", "tncsm", "max", "test")]
    head, templates = (
        row("sai", of, "pearson") for of in ("ncsm,scsm", "tncsm-test,scsm")
    )
    assert points.quantity_rows(agreement, [templates, head, *wsi]) == [head]
    assert points.quantity_rows(agreement, [templates, wsi[1]]) == [templates]


def test_points_of_several_references_name_the_unusual_one():
    row = {
        "metric": "sai",
        "of": "ncsm,scsm",
        "variant": "pearson_corrected",
        "split": None,
    }
    both = "mine|wordnet3.0-path"
    assert (
        points.name_of(row | {"reference": both})
        == f"sai/ncsm,scsm/pearson_corrected/{both}"
    )
    assert (
        points.name_of(row | {"reference": "wordnet3.0-path"})
        == "sai/ncsm,scsm/pearson_corrected"
    )


def test_the_last_save_of_an_epoch_counts_in_whatever_order_the_rows_are(out):
    curves = pd.read_parquet(out / "curves.parquet")
    first = curves["epoch"] == 1
    later = curves[first].assign(
        step=15, value=curves[first]["value"] + 1, null_mean=0.5
    )
    pd.concat([later, curves]).to_parquet(out / "curves.parquet")
    (run,) = points.points_of_results(Results(out), "cnn", all_curves=True)
    found = by_name(run)
    assert (found["step"], found["loss/train"]) == (
        {0: 0, 1: 15, 2: 20},
        {0: 2.0, 1: 2.75, 2: 1.5},
    )


def test_the_key_stays_with_the_output_and_the_training(out, grow, tmp_path):
    cnn, vit = [run.key for run in points.points_of_results(Results(out))]
    assert re.fullmatch(r"[0-9a-f]{16}", cnn)
    assert cnn != vit
    grow(out)
    assert [run.key for run in points.points_of_results(Results(out))] == [cnn, vit]
    assert points.points_of_results(
        Results(shutil.copytree(out, tmp_path / "elsewhere"))
    )[0].key not in (cnn, vit)
    table = pd.read_parquet(out / "checkpoints.parquet")
    table.loc[table["epoch"] == 0, "fingerprint"] = "0" * 64
    table.to_parquet(out / "checkpoints.parquet")
    assert points.points_of_results(Results(out))[0].key not in (cnn, vit)


def test_a_run_that_is_not_there_is_wrong_usage(out):
    with raises("unknown-run", UsageError, run="resnet"):
        points.points_of_results(Results(out), "resnet")
