"""Folders with several trainings or networks, through the whole analysis: runs that are
never merged.
"""

import json

import pandas as pd
import pytest
import torch

from dsi_cli import errors

LABELS = ("cat", "dog", "horse", "ship", "truck")


@pytest.fixture
def ckpts(tmp_path):
    """Return a folder with two trainings of one network and another network of other
    classes.
    """
    folder = tmp_path / "ckpts"
    folder.mkdir()
    for place, name in enumerate(("runA", "runB")):
        for epoch in (1, 2):
            torch.manual_seed(10 * place + epoch)
            torch.save(
                {"fc.weight": torch.randn(5, 8)}, folder / f"{name}_epoch_{epoch}.pt"
            )
    torch.save({"fc.weight": torch.randn(9, 8)}, folder / "imagenet.pt")
    (folder / "log.csv").write_text("epoch,val_acc\n1,0.25\n2,0.5\n")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    return folder


def analysed(dsi, *arguments, code=0):
    found = dsi("analyze", *arguments, "--json", "--no-report")
    assert found.code == code, found.err
    return {run["name"]: run for run in json.loads(found.out)["runs"]}


def rows_of(out):
    """Return the runs of the output with the names of their usable files."""
    rows = pd.read_parquet(out / "checkpoints.parquet").query("status == 'ok'")
    return {
        run: [path.rpartition("/")[2] for path in part["path"]]
        for run, part in rows.groupby("run")
    }


def test_analyze_a_folder_of_several_trainings_gives_a_run_each(ckpts, dsi):
    out = ckpts.parent / "out"
    runs = analysed(dsi, ckpts, "-o", out)
    assert {name: run["classes"] for name, run in runs.items()} == {
        "ckpts/runA": 5,
        "ckpts/runB": 5,
        "ckpts/imagenet": 9,
    }
    assert {run["log"] for run in runs.values()} == {None}, (
        "the log next to them is joined to none"
    )
    assert all(
        line["accuracy"] is None for run in runs.values() for line in run["epochs"]
    )
    assert rows_of(out)["ckpts/runB"] == ["runB_epoch_1.pt", "runB_epoch_2.pt"]
    again = analysed(dsi, ckpts, "-o", out)
    assert {run["read"] for run in again.values()} == {0}
    assert {name: run["reused"] for name, run in again.items()} == {
        "ckpts/runA": 2,
        "ckpts/runB": 2,
        "ckpts/imagenet": 1,
    }


def test_analyze_trainings_one_after_the_other_are_not_merged(ckpts, dsi):
    out = ckpts.parent / "out"
    analysed(dsi, ckpts / "runA*", "-o", out)
    analysed(dsi, ckpts / "runB*", "-o", out)
    expected = {
        name: [f"{name}_epoch_1.pt", f"{name}_epoch_2.pt"] for name in ("runA", "runB")
    }
    assert rows_of(out) == {"ckpts": expected["runA"], "ckpts/runB": expected["runB"]}
    runs = analysed(dsi, ckpts / "runA*", "-o", out)
    assert (list(runs), runs["ckpts"]["read"]) == (["ckpts"], 0)
    assert rows_of(out) == {"ckpts": expected["runA"], "ckpts/runB": expected["runB"]}


def test_analyze_labels_of_one_network_fail_the_other_network(ckpts, dsi):
    found = dsi(
        "analyze",
        ckpts,
        "-o",
        ckpts.parent / "out",
        "--labels",
        ckpts.parent / "labels.txt",
        "--no-report",
    )
    assert found.code == errors.PARTIAL, found.err
    assert "imagenet.pt cannot be used: has 9 classes, labels" in found.err
    assert " 0 classes" not in found.out + found.err


def test_analyze_runs_that_later_files_join_leave_no_results(dsi, tmp_path):
    folder, out = tmp_path / "run", tmp_path / "out"
    folder.mkdir()
    last = torch.randn(9, 8, generator=torch.Generator().manual_seed(1))
    heads = [
        torch.randn(9, 8, generator=torch.Generator().manual_seed(0)),
        last,
        last * 1.1,
        last * 1.2,
    ]
    for number in (0, 1):
        torch.save({"fc.weight": heads[number]}, folder / f"m_{number}.pt")
    other = tmp_path / "other"
    other.mkdir()
    torch.save({"fc.weight": last[:4]}, other / "epoch_1.pt")
    names = ["--names", "*_{run}.pt"]
    assert list(analysed(dsi, folder, other, "-o", out, *names)) == [
        "other/1",
        "run/0",
        "run/1",
    ]
    for number in (2, 3):
        torch.save({"fc.weight": heads[number]}, folder / f"m_{number}.pt")
    names = ["--names", "*_{epoch}.pt"]
    found = dsi("analyze", folder, "-o", out, "--no-report", *names)
    assert (
        "the checkpoints of run/0 now belong to another run, so dsi removed its"
        " earlier results" in found.err
    )
    assert rows_of(out) == {
        "other/1": ["epoch_1.pt"],
        "run": [f"m_{number}.pt" for number in range(4)],
    }
    for table in out.glob("*.parquet"):
        assert set(pd.read_parquet(table, columns=["run"])["run"]) <= {
            "other/1",
            "run",
        }, table.name
    assert not [
        file
        for file in out.rglob("*.parquet")
        if file.parent.name in ("0", "1") and "run" in file.parts
    ]
    again = dsi("analyze", folder, "-o", out, "--no-report")
    assert "earlier results" not in again.err
    assert list(analysed(dsi, other, "-o", out)) == ["other/1"]
    assert set(rows_of(out)) == {"other/1", "run"}
