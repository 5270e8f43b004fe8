"""A run at a glance."""

import json

import pytest
from helpers.outputs import heads, save_head

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.epoch_summary import mistake_summary, summary, typicality
from dsi_cli.queries.records import records
from dsi_cli.store import layout, lock, parquet
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CHECKPOINTS, TYPICALITY

SAI = "metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'"
FOLLOWED = "of == 'ncsm,ccsm-test' and variant == 'cosine'"
ERRORS = "metric == 'idm' and variant == 'errors'"


@pytest.mark.parametrize(
    ("field", "column", "where"),
    [
        ("value", "value", SAI),
        ("chance", "null_mean", SAI),
        ("excess", "excess", SAI),
        ("z", "z", SAI),
        ("max_wsi", "value", "metric == 'wsi' and variant == 'max'"),
        ("min_wsi", "value", "metric == 'wsi' and variant == 'min'"),
        ("accuracy", "value", "metric == 'accuracy' and split == 'test'"),
    ],
)
def test_epoch_summaries_are_the_curves(analysed, field, column, where):
    rows = analysed.run.curves.query(f"run == 'cifar100-cnn' and {where}")
    found = summary(analysed.run["cifar100-cnn"])
    assert found["epoch"].to_list() == list(range(31))
    assert found[field].to_list() == rows[column].to_list()


@pytest.mark.parametrize(
    ("field", "column", "where"),
    [
        ("mistakes", "value", "metric == 'mistakes'"),
        ("nidm", "value", f"{ERRORS} and of == 'ncsm'"),
        ("nidm_z", "z", f"{ERRORS} and of == 'ncsm'"),
        ("chance", "null_mean", f"{ERRORS} and of == 'ncsm'"),
        ("widm", "value", f"{ERRORS} and of == 'scsm'"),
        ("widm_z", "z", f"{ERRORS} and of == 'scsm'"),
        ("ccsm", "excess", FOLLOWED),
        ("ccsm_z", "z", FOLLOWED),
    ],
)
def test_mistake_summaries_are_the_curves(analysed, field, column, where):
    rows = analysed.run.curves.query(f"run == 'cifar100-vit' and {where}")
    found = mistake_summary(analysed.run["cifar100-vit"])
    assert set(found["split"]) == {"test"}
    assert found[field].to_list() == rows[column].to_list()
    assert found["gap"].isna().all()


def test_summary_of_a_checkpoint_without_an_epoch_has_no_epoch(make_run, tmp_path):
    run, out = make_run(epochs=0), tmp_path / "out"
    save_head(run / "model.pt", heads(1)[0])
    analyze([run], out, Options(draws=0))
    (row,) = records(summary(Results(out)))
    assert (row["run"], row["epoch"]) == ("run", None)
    assert row["max_wsi"] is not None


def test_of_several_saves_in_an_epoch_the_last_is_shown(make_run, tmp_path):
    run, out = make_run(epochs=0), tmp_path / "out"
    for step, weight in zip((30, 10, 20), heads(3), strict=True):
        save_head(run / f"{step}.pt", weight, epoch=1, global_step=step)
    analyze([run], out, Options(draws=0))
    (line,) = records(summary(Results(out)))
    curves = (
        Results(out)
        .curves.query("metric == 'wsi' and variant == 'max'")
        .set_index("step")["value"]
    )
    assert (line["max_wsi"], curves.nunique()) == (curves[30], 3)


AGREEMENT = "agreement ncsm,scsm"


def test_the_document_of_the_command_has_the_phases(dsi, make_run, tmp_path):
    make_run(epochs=3)
    document = json.loads(
        dsi("analyze", tmp_path / "run", "-o", tmp_path / "out", "--json").out
    )
    (run,) = document["runs"]
    assert [one["curve"] for one in run["phases"]] == [AGREEMENT, "wsi max"]
    assert run["phases"][0]["reason"] == "3 epochs have a value; at least 8 are needed"


def entry(
    epoch, index, correct, samples, group, *, step=None, split="test", sample=0.5
):
    values = {
        "run": "run",
        "split": split,
        "epoch": epoch,
        "step": step,
        "class_index": index,
        "correct": correct,
    }
    return values | {
        "samples": samples,
        "group_cosine": group,
        "null_mean": 0.9,
        "sample_cosine": sample,
    }


@pytest.fixture
def out(tmp_path):
    with lock.exclusive(tmp_path / "out"):
        layout.write_runs(
            tmp_path / "out", CHECKPOINTS, [], parquet.from_rows(CHECKPOINTS, []), {}
        )
    return tmp_path / "out"


def test_means_are_over_the_classes_that_have_such_samples(out):
    rows = [
        entry(3, 0, True, 4, 1.0),
        entry(3, 0, False, 0, None, sample=None),
        entry(3, 1, True, 1, 0.5, sample=None),
    ]
    rows.append(entry(3, 1, False, 2, 0.25))
    layout.write_runs(out, TYPICALITY, ["run"], parquet.from_rows(TYPICALITY, rows))
    (line,) = records(typicality(Results(out)))
    right = [line[f"right{end}"] for end in ("", "_chance", "_sample", "_classes")]
    assert (line["epoch"], right) == (3, [0.75, 0.9, 0.5, 2])
    assert (line["wrong"], line["wrong_classes"]) == (0.25, 1)


def test_epochs_in_order_the_test_split_first_the_last_save_alone(out):
    rows = [
        entry(2, 0, True, 1, 0.1),
        entry(1, 0, True, 1, 0.2, step=5),
        entry(1, 0, True, 1, 0.3, step=9),
    ]
    rows.append(entry(1, 0, True, 1, 0.7, split="train"))
    layout.write_runs(out, TYPICALITY, ["run"], parquet.from_rows(TYPICALITY, rows))
    found = typicality(Results(out))
    assert found[["split", "epoch", "right"]].to_numpy().tolist() == [
        ["test", 1, 0.3],
        ["test", 2, 0.1],
        ["train", 1, 0.7],
    ]
    assert found["wrong"].isna().all()
