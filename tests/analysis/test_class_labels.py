"""The labels of a run: their groups in the classes table, and warnings about contradictory label files."""

from __future__ import annotations

from helpers.outputs import ANIMALS

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import resolve_labels
from dsi_cli.labels.label_list import LabelList

pytest_plugins = ("helpers.analysed_runs",)


def test_class_rows_have_the_group_or_none():
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


def test_find_labels_that_contradict_the_file_of_the_run_warns(make_run, tmp_path):
    run, other = make_run(), tmp_path / "tools.txt"
    (run / "classes.txt").write_text("\n".join(ANIMALS))
    other.write_text("\n".join(["hammer", "saw", "drill", "file", "wrench", "chisel", "plane", "vise"][: len(ANIMALS)]))
    (warning,) = analyze([run], tmp_path / "out", Options(labels=str(other), draws=0)).warnings
    assert "classes.txt next to the checkpoints has other classes ('cat', 'dog', ...)" in warning
    (run / "classes.txt").write_text("\n".join(name.upper() for name in ANIMALS))
    other.write_text("\n".join(ANIMALS))
    assert analyze([run], tmp_path / "out2", Options(labels=str(other), draws=0)).warnings == []
