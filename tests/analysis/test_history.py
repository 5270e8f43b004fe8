"""``dsi scan --history``: repeated checkpoints, and checkpoints that do not fit the order
of their run.
"""

import json

import numpy as np
import pytest
import torch

from dsi_cli.analysis.classifiers.heads import Heads
from dsi_cli.analysis.history import history_facts
from dsi_cli.analysis.scan import find_runs, head_reader, scan_paths, scan_resolved
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions

CLASSES, WIDTH = 6, 12


def head(share: float) -> np.ndarray:
    """Return a head on the way from a first to a last one."""
    first, last = np.random.default_rng(0).normal(size=(2, CLASSES, WIDTH))
    return ((1 - share) * first + share * last).astype(np.float32)


@pytest.fixture
def history(tmp_path):
    """Return a function that saves a run, and returns the facts of its history."""

    def scanned(shares: list[float]) -> dict[str, dict]:
        for epoch, share in enumerate(shares, start=1):
            weights = {"fc.weight": torch.tensor(head(share))}
            torch.save(weights, tmp_path / f"epoch_{epoch}.pt")
        ((run, _),) = scan_paths([tmp_path], HeadOptions(), history=True)
        return {one.code: dict(one.fields) for one in run.facts}

    return scanned


def test_history_of_a_run_in_order_has_no_facts(history):
    assert history([0.1, 0.3, 0.5, 0.8, 1.0]) == {}


def test_history_names_a_head_at_several_epochs_once(history):
    assert history([0.1, 0.4, 0.4, 0.8, 1.0]) == {
        "heads-repeated": {"checkpoints": ["epoch_2.pt", "epoch_3.pt"]}
    }


def test_history_names_the_checkpoint_whose_angle_to_the_last_head_rises(history):
    def angle(share: float) -> float:
        pairs = zip(head(share), head(1.0), strict=True)
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        return float(np.degrees(np.arccos(cosines)).mean())

    found = history([0.1, 0.6, 0.3, 0.8, 1.0])
    expected = f"epoch_3.pt ({angle(0.3):.2f}° after {angle(0.6):.2f}°)"
    fields = {"checkpoints": [expected], "last": "epoch_5.pt"}
    assert found == {"angle-rises": fields}


def test_history_names_the_checkpoint_whose_angle_is_too_small(history):
    (one,) = history([0.1, 0.9, 0.3, 0.5, 0.8, 1.0])["angle-rises"]["checkpoints"]
    assert one.startswith("epoch_2.pt (")
    assert "° before " in one


def test_history_reads_a_head_again_that_is_not_in_memory(history, tmp_path):
    expected = history([0.1, 0.6, 0.3, 0.8, 1.0])
    (run,), _ = scan_resolved(find_runs([tmp_path]), HeadOptions(), None)
    (one,) = history_facts(run, head_reader(run, Heads(), HeadOptions()))
    assert {one.code: dict(one.fields)} == expected


def test_scan_with_history_prints_the_facts_and_has_them_in_json(
    history, tmp_path, dsi
):
    history([0.1, 0.4, 0.4, 0.8, 1.0])
    shown = dsi("scan", tmp_path, "--history")
    assert "epoch_2.pt, epoch_3.pt have the same head" in " ".join(shown.err.split())
    assert "same head" not in dsi("scan", tmp_path).err
    printed = json.loads(dsi("scan", tmp_path, "--history", "--json").out)
    (fact,) = printed["facts"]
    assert (fact["run"], fact["code"]) == (tmp_path.name, "heads-repeated")
    assert len(printed["checkpoints"]) == 5
