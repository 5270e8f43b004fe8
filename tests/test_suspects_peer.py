"""The comparison with cleanlab counts what the tools name, on made-up cases."""

import importlib
import json
import sys

import numpy as np
import pytest
from helpers.example_scripts import example_module

CLASSES, IMAGES = 5, 10
FAULTS = [
    {"kind": "duplicate", "members": [0, 4]},
    {"kind": "mislabelled-images", "members": [1, 2], "share": 0.4},
    {"kind": "dead-class", "members": [3]},
]
MOVED = [10, 11, 12, 13]
LISTS = {
    "pairs": [[1, 2], [0, 4], [0, 1]],
    "directed": [[0, 4], [2, 1], [1, 2]],
    "classes": [2, 0, 1, 4, 3],
    "issues": [0, 10, 11, 20],
    "seconds": 0.5,
}


@pytest.fixture(scope="module")
def peer():
    with example_module("random_faults"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        yield importlib.import_module("benchmarks.suspects_peer")
        del sys.modules["benchmarks.suspects_peer"]


@pytest.fixture
def case(tmp_path):
    """A case whose labels are 0 to 4, except four images of class 1 with label 2."""
    labels = np.repeat(np.arange(CLASSES), IMAGES).astype(np.int16)
    true = labels.copy()
    labels[MOVED] = 2
    predictions = np.stack([true, true, true])
    predictions[0, MOVED[0]] = 2  # learned by heart at one epoch
    np.save(tmp_path / "targets_train.npy", labels)
    np.save(tmp_path / "moved_train.npy", np.array(MOVED, np.int32))
    np.save(tmp_path / "preds_train.npy", predictions)
    np.save(tmp_path / "probabilities_train.npy", np.eye(CLASSES)[true])
    for name, content in (
        ("truth", FAULTS),
        ("cleanlab", LISTS),
        ("seconds", {"training": 30, "folds": 60}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path


def cells(lines):
    """Return the rows of a table, without the header."""
    rows = [line.strip("| ").split(" | ") for line in lines]
    return {row[0]: row[1:] for row in rows[2:]}


def ranks(peer, named, case):
    return {
        fault.kind: named.ranks[fault.kind](fault) for fault in peer.faults_of(case)
    }


def test_by_cleanlab_ranks_pairs_by_direction_and_classes_by_quality(peer, case):
    named = peer.by_cleanlab(case)
    assert ranks(peer, named, case) == {
        "duplicate": 2,
        "mislabelled-images": 2,
        "dead-class": 5,
    }
    assert named.images["all"].tolist() == LISTS["issues"]
    assert named.images["first pair"].tolist() == []


def test_by_cleanlab_without_other_faults_does_not_count_their_pairs(peer, case):
    named = peer.by_cleanlab(case, leave_out_others=True)
    assert ranks(peer, named, case) == {
        "duplicate": 1,
        "mislabelled-images": 1,
        "dead-class": 5,
    }


def test_named_images_have_the_label_and_are_predicted_as_the_other_class(peer, case):
    assert peer.named_images(case, (2, 1)).tolist() == MOVED
    assert peer.named_images(case, (1, 2)).tolist() == []


def test_tables_count_faults_images_and_seconds(peer, case):
    named = [peer.by_cleanlab(case)]
    found = cells(peer.found_table([case], {"cleanlab": named}))
    assert found["duplicate"] == ["1", "0", "1"]
    assert found["dead-class"] == ["1", "0", "0"]
    assert found["shortcut"] == ["0", "0", "0"]
    images = cells(peer.images_table([case], {"cleanlab": named}))
    # Image 0 has a duplicate's label: 10, 11 and 20 count.
    assert images["cleanlab, all"] == ["3", "0.67", "0.50"]
    assert images["cleanlab, first pair"] == ["0", "–", "0.00"]
    costs = cells(peer.costs_table([case], [], named))
    assert costs["cleanlab"][1].startswith("60")


def test_run_cleanlab_equals_the_kept_lists(peer, case):
    pytest.importorskip("cleanlab", reason="needs pip install --group peers")
    (case / "cleanlab.json").unlink()
    found = peer.run_cleanlab(case)
    assert found == peer.run_cleanlab(case)
    assert found["directed"][0] == [2, 1]
    assert set(MOVED) <= set(found["issues"])
