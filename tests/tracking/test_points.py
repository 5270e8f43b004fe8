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


def test_every_value_of_the_curves_table_is_logged_under_its_name(out, expected):
    found = points.points_of_results(Results(out))
    assert [run.name for run in found] == ["cnn", "vit=1"]
    for run in found:
        assert (by_name(run), run.count) == (
            expected(out, run.name),
            sum(map(len, expected(out, run.name).values())),
        )


def test_points_of_a_run_with_predictions_have_their_names(real):
    (found,) = points.points_of_results(real)
    names = by_name(found)
    assert {
        "sai/ncsm,scsm/spearman",
        "sai/ncsm,ccsm-test/cosine_chance",
        "sai/ccsm-test,scsm/ssim_z",
        "wsi/ncsm/max",
        "idm/scsm/errors/test_excess",
        "loss/train",
        "accuracy/test",
        "learning_rate",
        "epochs_completed",
        "severity/test_chance",
        "superclass_accuracy/test/cifar100-superclasses_z",
        "mean_row/ncsm",
    } <= set(names)
    assert list(names["sai/ncsm,scsm/spearman"]) == [0, 15, 30]


def test_no_similarity_index_without_its_chance_level(real):
    (found,) = points.points_of_results(real)
    for epoch in found.epochs:
        indices = [
            n
            for n in epoch.values
            if n.startswith(("sai", "idm"))
            and not n.endswith(("_z", "_excess", "_chance"))
        ]
        assert indices
        assert [name for name in indices if f"{name}_chance" not in epoch.values] == []


def test_an_index_without_a_chance_level_is_left_out_and_named(out):
    curves = pd.read_parquet(out / "curves.parquet")
    curves.loc[
        (curves["variant"] == "spearman") & (curves["of"] == "ncsm,scsm"), "null_mean"
    ] = None
    curves.to_parquet(out / "curves.parquet")
    (found,) = points.points_of_results(Results(out), "cnn")
    assert found.left_out == ["sai/ncsm,scsm/spearman"]
    assert not [
        name for name in by_name(found) if name.startswith("sai/ncsm,scsm/spearman")
    ]
    assert "sai/ncsm,scsm/cosine" in by_name(found)


def test_points_of_several_references_name_the_unusual_one():
    row = {
        "metric": "sai",
        "of": "ncsm,scsm",
        "variant": "partial_pearson",
        "split": None,
    }
    both = "mine|wordnet3.0-path"
    assert (
        points.name_of(row | {"reference": both})
        == f"sai/ncsm,scsm/partial_pearson/{both}"
    )
    assert (
        points.name_of(row | {"reference": "wordnet3.0-path"})
        == "sai/ncsm,scsm/partial_pearson"
    )


def test_the_last_save_of_an_epoch_counts_in_whatever_order_the_rows_are(out):
    curves = pd.read_parquet(out / "curves.parquet")
    first = curves["epoch"] == 1
    later = curves[first].assign(
        step=15, value=curves[first]["value"] + 1, null_mean=0.5
    )
    pd.concat([later, curves]).to_parquet(out / "curves.parquet")
    found = by_name(points.points_of_results(Results(out), "cnn")[0])
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
