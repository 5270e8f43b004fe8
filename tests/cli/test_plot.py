"""``dsi plot``: figures on the disk, what is said of them, and its failures."""

import json
import re
from pathlib import Path

import pytest
from helpers.analysed_runs import Analysed, Command
from helpers.table_comparison import write_output, write_run

from dsi_cli.figures.catalogue import FIGURES, FigureSpec


@pytest.mark.slow
def test_plot_draws_all_figures_with_data(
    analysed: Analysed, dsi: Command, tmp_path: Path
):
    ended = dsi("plot", analysed.out, "-o", tmp_path, "--run", "garments", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    names = {Path(path).stem for path in found["files"]}
    expected = {"agreement", "idm_errors", "wsi", "heatmaps", "scatter", "dendrogram"}
    assert names == expected
    assert names.isdisjoint(found["without_data"])
    assert "typicality" in found["without_data"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(names)


def test_plot_named_figure_is_written_in_each_format(
    analysed: Analysed, dsi: Command, tmp_path: Path
):
    ended = dsi(
        "plot",
        analysed.out,
        "wsi",
        "-o",
        tmp_path,
        "--format",
        "svg",
        "--format",
        "pdf",
        "--style",
        "paper",
    )
    assert (ended.code, ended.out.split()) == (
        0,
        [str(tmp_path / "wsi.svg"), str(tmp_path / "wsi.pdf")],
    )


def test_plot_list_needs_no_output(dsi: Command):
    lines = dsi("plot", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == [
        *(one.name for one in FIGURES),
        "animation",
    ]
    found = json.loads(dsi("plot", "--list", "--json").out)
    assert {one.name for one in FIGURES} <= set(
        re.findall(r"\w+", dsi("plot", "--help").out)
    )
    assert {one["has_data"] for one in found} == {None}


def test_plot_list_of_an_output_says_what_lacks_data_and_draws_nothing(
    dsi: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(FigureSpec, "draw", None)
    out = write_output(tmp_path / "out", write_run(tmp_path / "run"))
    lines = dsi("plot", out, "--list").out.splitlines()
    found = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert {*found} == {*(one.name for one in FIGURES), "animation"}
    text = " ".join(lines)
    names = ["typicality", "contact_sheet"]
    assert text.count("without data here") == len(names)
    assert "needs features of samples (--test with --model)" in " ".join(text.split())
    document = json.loads(dsi("plot", out, "--list", "--json").out)
    assert [one["name"] for one in document if not one["has_data"]] == names


def test_plot_missing_epoch_is_an_error_except_in_a_range(
    analysed: Analysed, dsi: Command, tmp_path: Path
):
    for epochs, code in (("7,99", 2), ("7:99:7", 0)):
        ended = dsi(
            "plot",
            analysed.out,
            "heatmaps",
            "--run",
            "cifar100-cnn",
            "--epochs",
            epochs,
            "-o",
            tmp_path,
        )
        assert (ended.code, "no run has epoch 99\n" in ended.err) == (code, code == 2)


def test_plot_wrong_usage_says_what_to_do(
    analysed: Analysed, dsi: Command, tmp_path: Path
):
    for arguments, code, message in (
        (("wsii",), 2, "animation\nhint: try wsi"),
        (("learning_rate",), 2, "no figure 'learning_rate': dsi plot draws agreement"),
        (
            ("typicality",),
            2,
            (
                "no data for typicality with these options: typicality needs features"
                " of samples (--test with --model)"
            ),
        ),
        (
            ("heatmaps", "--epochs", "99"),
            2,
            "no run has epoch 99\nhint: run dsi export ",
        ),
        (("wsi", "--columns", "3"), 2, "--columns"),
    ):
        ended = dsi("plot", analysed.out, "-o", tmp_path, *arguments)
        assert (ended.code, message in ended.err) == (code, True), ended.err
    assert dsi("plot", tmp_path / "none").code == 2
    assert dsi("plot").err.startswith(
        "error: expected a results folder, as in dsi plot dsi-out; "
    )
