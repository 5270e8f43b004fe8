"""The record, and what its id depends on."""

import re

from dsi_cli.labels.label_list import LabelList


def test_the_id_depends_on_names_order_and_ids_alone():
    lists = [
        LabelList(("cat", "dog"), None, "a"),
        LabelList(("dog", "cat"), None, "a"),
        LabelList(("catdog",), None, "a"),
        LabelList(("cat", "dog"), ("n02121620", None), "a"),
        LabelList(("cat", "dog"), (None, None), "a"),
    ]
    assert len({labels.id for labels in lists}) == len(lists)
    assert all(re.fullmatch(r"[0-9a-f]{12}", labels.id) for labels in lists)
    assert lists[0].id == LabelList(("cat", "dog"), None, "b", "some preset").id


def test_a_name_that_has_no_utf8_has_an_id():
    assert len(LabelList(("\ud800",), None, "a").id) == 12


def test_duplicates_are_reported_once_and_in_order():
    labels = LabelList(("b", "a", "b", "a", "b", "c"), None, "a")
    assert labels.duplicates == ("b", "a")
    assert LabelList(("a", "b"), None, "a").duplicates == ()
