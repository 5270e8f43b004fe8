"""Counts over processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.errors import raises

from dsi_cli.callbacks.counting import pooled
from dsi_cli.errors import UnreadableError

HERE = torch.tensor([[3, 1], [0, 2]])
ELSEWHERE = torch.tensor([5, 0, 1, 1, 0])


def test_counts_of_all_processes_are_added():
    assert pooled(lambda: HERE, 2, lambda mine: mine + ELSEWHERE).tolist() == [
        [8, 1],
        [1, 3],
    ]


def test_a_process_that_fails_takes_part_all_the_same():
    sent = []
    with pytest.raises(ZeroDivisionError):
        pooled(
            lambda: torch.tensor(1 // 0),
            2,
            lambda mine: sent.append(mine) or mine + ELSEWHERE,
        )
    assert sent[0].tolist() == [0, 0, 0, 0, 1]
    with raises("other-process-failed", UnreadableError):
        pooled(lambda: HERE, 2, lambda mine: mine + sent[0])


@pytest.mark.slow
@pytest.mark.parametrize("fails", [(), ("fail",)], ids=["whole", "one fails"])
def test_a_training_in_two_processes(fails, tmp_path):
    script, out = (
        Path(__file__).parents[1] / "helpers" / "two_processes.py",
        tmp_path / "found.json",
    )
    paths = os.pathsep.join([str(script.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, script, out, *fails],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    found, wanted = json.loads(out.read_text())
    kept = {
        name: value
        for name, value in wanted.items()
        if not fails or name.startswith(("dsi/agreement", "dsi/max_wsi"))
    }
    assert found == pytest.approx(kept, abs=1e-5)
    assert (
        "dsi leaves out widm, nidm, accuracy of this epoch: OSError: disk gone"
        in done.stderr
    ) == bool(fails)
    assert ("the validation pass failed in another process" in done.stderr) == bool(
        fails
    )
    assert "sync_dist" not in done.stderr
