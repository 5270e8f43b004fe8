"""Which suspects last from one table to the next."""

import pytest

from dsi_cli.analysis.lasting_suspects import Finding, lasting

TWINS = Finding("duplicate", ("cup", "mug"))
GROUP = Finding("shortcut", ("cup", "oak", "bus"))
GROWN = Finding("shortcut", ("bus", "cup", "fox", "oak"))


@pytest.mark.parametrize(
    ("before", "now", "reported", "expected"),
    [
        ([], [TWINS], [], []),
        ([TWINS], [], [], []),
        ([TWINS], [TWINS], [], [TWINS]),
        ([TWINS], [TWINS], [TWINS], []),
        ([GROUP], [TWINS, GROWN], [], [GROWN]),
        ([GROUP], [GROWN], [GROUP], []),
        ([TWINS], [TWINS, TWINS], [], [TWINS]),
    ],
    ids=["new", "gone", "lasts", "reported", "grown", "grown-reported", "twice"],
)
def test_lasting_suspects_are_in_both_tables_and_new(before, now, reported, expected):
    assert lasting(before, now, reported) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (TWINS, Finding("duplicate", ("mug", "cup")), True),
        (TWINS, Finding("duplicate", ("mug", "bowl")), False),
        (TWINS, Finding("wrong-label", ("cup", "mug")), False),
        (
            Finding("wrong-label", ("cup",)),
            Finding("wrong-label", ("oak", "cup")),
            True,
        ),
        (Finding("dead-class", ("cup",)), Finding("dead-class", ("mug",)), False),
    ],
)
def test_same_findings_share_kind_and_classes(one, other, expected):
    assert one.is_same(other) is other.is_same(one) is expected
