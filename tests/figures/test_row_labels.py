"""Class names and brackets next to the rows of a heat map."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.figures import row_labels
from dsi_cli.queries.class_order import ClassGroup

NAMES = [f"class {index}" for index in range(1000)]


def test_plan_labels_writes_all_names_if_they_fit():
    plan = row_labels.plan_labels(NAMES[:10], [], height=1.4, size=6)
    assert [one.text for one in plan.labels] == NAMES[:10]
    assert plan.size == 6
    tight = row_labels.plan_labels(NAMES[:20], [], height=1.5, size=6)
    assert len(tight.labels) == 20
    assert row_labels.MIN_FONT_SIZE <= tight.size < 6


@pytest.mark.parametrize("rows", [100, 1000])
def test_plan_labels_without_groups_names_every_nth_class(rows: int):
    plan = row_labels.plan_labels(NAMES[:rows], [], height=1.4, size=6)
    places = [one.row for one in plan.labels]
    steps = set(np.diff(places))
    assert len(steps) == 1
    assert steps.pop() * 1.4 * 72 / rows >= 6 * row_labels.LINE_HEIGHT
    assert [one.text for one in plan.labels] == [NAMES[int(place)] for place in places]
    assert len(places) > 5


def test_plan_labels_names_only_groups_if_class_names_do_not_fit():
    groups = [ClassGroup("mammal", 0, 39), ClassGroup("tool", 40, 99)]
    plan = row_labels.plan_labels(NAMES[:100], groups, height=1.4, size=6)
    assert plan.labels == ()
    assert [(group.name, one.text) for group, one in plan.brackets] == [("mammal", "mammal"), ("tool", "tool")]
    assert [one.row for _, one in plan.brackets] == [19.5, 69.5]


def test_the_largest_groups_are_named_where_not_all_fit_a_line_apart_and_within_the_map():
    groups = [ClassGroup(f"group {at}", at * 10, at * 10 + (9 if at % 2 else 1)) for at in range(100)]
    plan = row_labels.plan_labels(NAMES, groups, height=2.0, size=6)
    line = 6 * row_labels.LINE_HEIGHT / 72 / 2.0 * 1000
    places = [one.row for _, one in plan.brackets]
    assert 15 < len(places) <= 1000 / line
    assert all(group.last - group.first == 9 for group, _ in plan.brackets)
    assert all(after - before >= line - 1e-9 for before, after in pairwise(places))
    assert places[0] >= line / 2 - 0.5 - 1e-9
    assert places[-1] <= 999.5 - line / 2 + 1e-9


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10).map(sorted))
def test_spreading_keeps_order_distance_and_bounds_and_what_is_far_apart(places: list[float]):
    moved = row_labels.spread_labels(places, 10, 0, 100)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(moved))
    assert moved[0] >= -1e-9
    assert moved[-1] <= 100 + 1e-9
    if all(after - before >= 10 for before, after in pairwise(places)):
        np.testing.assert_allclose(moved, places, atol=1e-9)


def test_a_name_is_one_printable_line_cut_at_its_length():
    assert row_labels.short("tench\n\x1b[31m, Tinca") == "tench  [31m, Tinca"
    assert len(row_labels.short("x" * 500)) == row_labels.MAX_NAME_LENGTH
    assert row_labels.short("$a$") == "$a$"
