"""Placeholders get no synset; names with digits keep theirs."""

from __future__ import annotations

import pytest

from dsi_cli.wordnet.disambiguation.resolve import resolve


@pytest.mark.parametrize(
    "form", ["class_{}", "{}", "label_{}", "Class {}", "LABEL_{}", "class{:02d}", "cls-{}", "target_{}", "thing {}", "n{}"]
)
def test_lists_of_placeholders_mean_nothing(form):
    labels = [form.format(number) for number in range(20)]
    found = resolve(labels)
    assert {(one.synset, one.resolved_by, one.candidates) for one in found} == {(None, "placeholder", ())}
    assert found[7].reason == f"{labels[7]!r} is a placeholder: give the real class name"
    assert all(one.is_uncertain for one in found)


@pytest.mark.parametrize("label", ["7up", "ace", "2 door car", "Boeing 747", "first class", "n02084071"])
def test_names_with_digits_are_no_placeholders(label):
    assert {one.resolved_by for one in resolve([label, "cat", "dog", "Boeing 737"])}.isdisjoint({"placeholder"})


def test_ids_that_wordnet_lacks_are_reported_as_such():
    found = resolve(["n00000001", "n00000002", "n00000003"])
    assert {one.resolved_by for one in found} == {"unresolved"}
    assert "is not in WordNet 3.0" in found[0].reason
