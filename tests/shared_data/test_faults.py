"""Trainings of small networks with planted faults, whose truth is known
(``data/faults``): the faults are among the first suspects of their kind.
"""

import json

import pytest

from dsi_cli import analyze
from dsi_cli.suspect_kinds import STRONG

CASES = ("case_014", "case_015", "case_016", "case_017", "case_018")
FIRST = 3  # ranks of a kind that are listed by default
SOUGHT = ("duplicate", "shortcut", "dead-class", "mislabelled-images")


@pytest.fixture(scope="module")
def found_and_planted(shared, tmp_path_factory):
    """Return the suspects of each case, and its faults by kind as sets of classes."""
    found = {}
    for case in CASES:
        folder = shared / "data/faults" / case
        results = analyze(folder, tmp_path_factory.mktemp(case) / "out", report=False)
        truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
        planted = {fault["kind"]: set(fault["members"]) for fault in truth}
        found[case] = results.suspects(), planted
    return found


@pytest.mark.parametrize("kind", SOUGHT)
def test_planted_faults_are_among_the_first_of_their_kind(found_and_planted, kind):
    cases = 0
    for case, (rows, planted) in found_and_planted.items():
        if kind in planted:
            first = rows[(rows["kind"] == kind) & (rows["rank"] <= FIRST)]
            assert planted[kind] in first["members"].map(set).tolist(), case
            cases += 1
    assert cases >= 2


def test_mislabelled_images_have_the_label_first_and_then_the_class(found_and_planted):
    rows, planted = found_and_planted["case_016"]
    (row,) = rows.query("kind == 'mislabelled-images' and rank == 1").to_dict("records")
    assert (row["source"], row["grade"]) == ("train", STRONG)
    assert list(row["members"]) == [19, 0]
    assert set(row["members"]) == planted["mislabelled-images"]


def test_training_without_a_fault_has_no_strong_suspect(found_and_planted):
    rows, planted = found_and_planted["case_014"]
    assert planted == {}
    assert STRONG not in set(rows["grade"])
