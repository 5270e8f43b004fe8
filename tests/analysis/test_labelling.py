"""What the classes table says of a label list."""

from __future__ import annotations

from helpers.outputs import ANIMALS

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import resolve_labels, without_labels
from dsi_cli.labels.label_list import LabelList

pytest_plugins = ("helpers.analysed_runs",)


def test_each_class_has_its_group_and_what_no_group_holds_has_none():
    names = ("cat", "truck", "blorb", "dog", "automobile", "frog")
    rows = resolve_labels(LabelList(names, None, "the test")).class_rows("run")
    assert [row["group"] for row in rows] == [
        "carnivore.n.01",
        "motor_vehicle.n.01",
        None,
        "carnivore.n.01",
        "motor_vehicle.n.01",
        None,
    ]


def test_without_labels_there_are_no_groups():
    assert all("group" not in row for row in without_labels(3).class_rows("run"))


def test_labels_that_the_file_beside_the_checkpoints_contradicts_are_warned_of(make_run, tmp_path):
    run, other = make_run(), tmp_path / "tools.txt"
    (run / "classes.txt").write_text("\n".join(ANIMALS))
    other.write_text("\n".join(["hammer", "saw", "drill", "file", "wrench", "chisel", "plane", "vise"][: len(ANIMALS)]))
    told = analyze([run], tmp_path / "out", Options(labels=str(other), draws=0)).warnings
    assert [line for line in told if "classes.txt beside the checkpoints names other classes ('" in line] != []
    (run / "classes.txt").write_text("\n".join(name.upper() for name in ANIMALS))
    other.write_text("\n".join(ANIMALS))
    told = analyze([run], tmp_path / "out2", Options(labels=str(other), draws=0)).warnings
    assert [line for line in told if "names other classes" in line] == []
