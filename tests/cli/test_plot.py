"""``dsi plot``: figures on the disk, what is said of them, and its failures."""

from __future__ import annotations

import json
from pathlib import Path

from analysed import Analysed, Command

pytest_plugins = ("analysed",)


def test_all_figures_with_data_are_drawn(analysed: Analysed, dsi: Command, tmp_path: Path):
    ended = dsi("plot", analysed.out, "-o", tmp_path, "--run", "fashion-mnist-tinycnn", "--json")
    assert ended.code == 0
    found = json.loads(ended.out)
    names = {Path(path).stem for path in found["files"]}
    assert {"sai", "excess", "wsi", "idm", "idm_errors", "accuracy", "loss", "training", "mistakes"} <= names
    assert names.isdisjoint(found["without_data"])
    assert "typicality" in found["without_data"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(names)


def test_named_figures_in_several_formats(analysed: Analysed, dsi: Command, tmp_path: Path):
    ended = dsi("plot", analysed.out, "wsi", "-o", tmp_path, "--format", "svg", "--format", "pdf", "--style", "paper")
    assert ended.code == 0
    assert ended.out.split() == [str(tmp_path / "wsi.svg"), str(tmp_path / "wsi.pdf")]


def test_the_list(analysed: Analysed, dsi: Command):
    assert "training" in dsi("plot", analysed.out, "--list").out
    names = [one["name"] for one in json.loads(dsi("plot", analysed.out, "--list", "--json").out)]
    assert names[:3] == ["sai", "excess", "wsi"]


def test_failures_say_what_to_do(analysed: Analysed, dsi: Command, tmp_path: Path):
    for arguments, code, message in (
        (("wsii",), 2, "no figure 'wsii': did you mean wsi?"),
        (("typicality",), 2, "nothing to draw for typicality"),
        (("wsi", "--format", "bmp"), 2, "no format 'bmp': expected one of png, svg, pdf"),
        (("wsi", "--columns", "3"), 2, "--columns"),
    ):
        ended = dsi("plot", analysed.out, "-o", tmp_path, *arguments)
        assert (ended.code, message in ended.err) == (code, True), ended.err
    assert dsi("plot", tmp_path / "none").code == 2
