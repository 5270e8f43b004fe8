"""Label lists as users have them, on the command line: what dsi says about them, and what it makes of them."""

from __future__ import annotations

import json

import pandas as pd
from outputs import ANIMALS

pytest_plugins = ("analysed",)
QUICK = ("--draws", 0, "--no-report")


def test_placeholders_are_asked_about_in_one_line(dsi, make_run, tmp_path, monkeypatch):
    run, out = make_run(labels=[f"class_{number}" for number in range(len(ANIMALS))]), tmp_path / "out"
    asked = "the labels are placeholders (class_0, class_1, ...): give the real class names with --labels FILE or PRESET"
    ended = dsi("analyze", run, "-o", out, *QUICK)
    assert ended.code == 0
    assert [line for line in ended.err.splitlines() if "class_0" in line] == [f"  no alignment with WordNet: {asked}"]
    classes, curves = (pd.read_parquet(out / f"{name}.parquet") for name in ("classes", "curves"))
    assert classes["synset"].isna().all()
    assert set(classes["resolved_by"]) == {"placeholder"}
    assert curves.query("metric == 'sai'")["value"].isna().all()
    monkeypatch.chdir(tmp_path)
    ended = dsi("labels", "run/classes.txt")
    assert ended.err.splitlines() == [
        "0 of 8 labels in WordNet 3.0, from classes.txt; 8 want a look (?)",
        "the labels are placeholders (class_0, class_1, ...): replace them by the real class names",
    ]
    assert dsi("wordnet", "run/classes.txt") == (
        3,
        "",
        "dsi: none of 8 labels is known to WordNet: 'class_0' is a placeholder: give the real class name\n",
    )


def test_numbers_from_one_are_said(dsi, make_run, tmp_path):
    run, out = make_run(labels=None), tmp_path / "out"
    path = tmp_path / "mine.csv"
    path.write_text("name,class_id\n" + "".join(f"{name},{k}\n" for k, name in sorted(enumerate(ANIMALS, 1), reverse=True)))
    ended = dsi("analyze", run, "-o", out, "--labels", path, *QUICK)
    assert "labels: mine.csv (numbered from 1: its 1 is class 0, its 8 is class 7)" in ended.err
    assert pd.read_parquet(out / "classes.parquet")["name"].to_list() == list(ANIMALS)
    assert [row["label"] for row in json.loads(dsi("labels", path, "--json").out)["labels"]] == list(ANIMALS)
