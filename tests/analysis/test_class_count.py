"""The number of classes that files next to the checkpoints tell is evidence for the classifier head."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.scan import HeadOptions


@pytest.fixture
def run(tmp_path):
    """Return a folder with a checkpoint of two heads, of seven and of five classes."""
    torch.save({"a.weight": torch.randn(7, 16), "b.weight": torch.randn(5, 16)}, tmp_path / "epoch_1.pt")
    return tmp_path


def head_of(run):
    ((_, (record,)),) = scan_paths([run], HeadOptions())
    return record.head, record.reason


def test_without_evidence_two_heads_are_asked_about(run):
    head, reason = head_of(run)
    assert head is None
    assert reason.startswith("2 tensors could be the classifier: a.weight (7, 16), b.weight (5, 16)")


def test_a_label_list_next_to_the_checkpoints_decides(run):
    (run / "classes.txt").write_text("cat\ndog\nhorse\nfrog\nbird\n")
    assert head_of(run) == ("b.weight", None)


def test_a_label_list_of_something_else_decides_nothing(run):
    (run / "classes.txt").write_text("cat\ndog\nhorse\n")
    assert head_of(run)[0] is None


def test_targets_next_to_the_checkpoints_decide_if_nothing_else_does(run):
    np.save(run / "targets.npy", np.array([0, 4, 2]))
    assert head_of(run) == ("b.weight", None)
    (run / "classes.txt").write_text(
        "".join(f"{name}\n" for name in ("cat", "dog", "horse", "frog", "bird", "lion", "bee"))
    )
    assert head_of(run) == ("a.weight", None)


def test_scan_paths_with_a_pickled_index_map_as_labels_uses_its_number_of_names(run, tmp_path_factory):
    labels = tmp_path_factory.mktemp("labels") / "names.pkl"
    labels.write_bytes(pickle.dumps(["cat", "dog", "horse", "frog", "bird"]))
    ((_, (record,)),) = scan_paths([run], HeadOptions(), str(labels))
    assert record.head == "b.weight"
