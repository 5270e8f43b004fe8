"""A single checkpoint that has no epoch, from the analysis to every command that shows
it.
"""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from dsi_cli import analyze, open_results
from dsi_cli.analysis.options import Evaluation

LABELS = ["cat", "dog", "horse", "ship", "truck"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Return the output of an analysis of one checkpoint, with labels and
    predictions.
    """
    folder = tmp_path_factory.mktemp("single")
    torch.manual_seed(0)
    (folder / "net").mkdir()
    torch.save(
        {"fc.weight": torch.randn(5, 8), "fc.bias": torch.zeros(5)},
        folder / "net/final.pt",
    )
    (folder / "labels.txt").write_text("\n".join(LABELS))
    targets = np.arange(60) % 5
    predictions = np.where(np.arange(60) % 3 == 0, (targets + 1) % 5, targets)
    np.save(folder / "targets.npy", targets)
    np.save(folder / "predictions.npy", predictions[None])
    given = Evaluation(
        predictions=str(folder / "predictions.npy"), targets=str(folder / "targets.npy")
    )
    analyze(
        folder / "net", folder / "out", labels=folder / "labels.txt", evaluation=given
    )
    return folder / "out"


def test_analyze_leaves_the_epoch_null_in_every_table(out):
    paths = [
        path
        for path in out.rglob("*.parquet")
        if "references" not in path.parts and path.name != "classes.parquet"
    ]
    tables = {path: pd.read_parquet(path) for path in paths}
    found = {
        path.relative_to(out).parts[0]: table
        for path, table in tables.items()
        if "epoch" in table.columns
    }
    assert {
        "checkpoints.parquet",
        "curves.parquet",
        "alignment_by_class.parquet",
        "csms",
        "confusions",
    } <= set(found)
    assert all(table["epoch"].isna().all() and len(table) for table in found.values())
    assert open_results(out).csm("ncsm").shape == (5, 5)


def test_analyze_again_reuses_the_matrix(out, dsi):
    again = dsi(
        "analyze",
        out.parent / "net",
        "-o",
        out,
        "--labels",
        out.parent / "labels.txt",
        "--json",
    )
    (run,) = json.loads(again.out)["runs"]
    assert (run["read"], run["reused"]) == (0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("neighbors", "{out}"),
        ("neighbors", "{out}", "--class", "cat"),
        ("mistakes", "{out}"),
        ("compare", "{out}", "{out}/../copy"),
        ("export", "{out}", "-o", "-"),
        ("plot", "{out}", "heatmaps", "wsi", "-o", "{out}/../figures"),
        ("report", "{out}"),
    ],
)
def test_commands_never_show_an_epoch_0(arguments, out, dsi):
    if not (out.parent / "copy").exists():
        shutil.copytree(out, out.parent / "copy")
    found = dsi(*(argument.format(out=out) for argument in arguments))
    assert found.code == 0, found.err
    shown = (
        (out / "report.html").read_text(encoding="utf-8")
        if arguments[0] == "report"
        else found.out
    )
    assert "epoch 0" not in shown
    assert "0-0" not in found.out
