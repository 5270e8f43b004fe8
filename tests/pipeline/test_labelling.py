"""What the classes table says of a label list."""

from __future__ import annotations

from dsi_cli.labels.lists import LabelList
from dsi_cli.pipeline.labelling import label, without_labels


def test_each_class_has_its_group_and_what_no_group_holds_has_none():
    names = ("cat", "truck", "blorb", "dog", "automobile", "frog")
    rows = label(LabelList(names, None, "the test")).class_rows("run")
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
