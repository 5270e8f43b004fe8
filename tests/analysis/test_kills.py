"""``kill -9`` at two hundred random points of an analysis with predictions: nothing
torn, and the same tables in the end.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.killed_processes import FINAL, arguments
from helpers.outputs import ANIMALS, assert_same_output

EPOCHS, SAMPLES = 6, 160
KILLING = Path(__file__).resolve().parents[1] / "helpers" / "killed_processes.py"


@pytest.fixture
def answered_run(make_run):
    """Return a run with predictions beside it, so that every kind of table is
    written.
    """
    run = make_run(epochs=EPOCHS)
    targets = np.arange(SAMPLES) % len(ANIMALS)
    rng = np.random.default_rng(0)
    is_right = rng.random((EPOCHS, SAMPLES)) < np.linspace(0.1, 0.6, EPOCHS)[:, None]
    np.save(
        run / "preds.npy",
        np.where(is_right, targets, rng.integers(0, len(ANIMALS), (EPOCHS, SAMPLES))),
    )
    np.save(run / "targets.npy", targets)
    return run


def finish_and_compare(run, out, dsi_process, tmp_path):
    """Assert that the same command ends what was killed, with the tables of an
    undisturbed run.
    """
    again = dsi_process(*arguments(run, out))
    assert again.code == 0, again.err
    undisturbed = dsi_process(*arguments(run, tmp_path / "undisturbed"))
    assert undisturbed.code == 0, undisturbed.err
    assert_same_output(out, tmp_path / "undisturbed")
    assert {path.name for path in out.iterdir()} <= FINAL, (
        "neither a lock nor a scratch folder is left"
    )


@pytest.mark.slow
def test_analyze_killed_two_hundred_times_tears_no_file(
    answered_run, dsi_process, tmp_path
):
    outs = [tmp_path / "first", tmp_path / "second"]
    commands = [
        [sys.executable, KILLING, answered_run, out, "100", str(seed)]
        for seed, out in enumerate(outs)
    ]
    killers = [
        subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for one in commands
    ]
    for killer, out in zip(killers, outs, strict=True):
        stdout, stderr = killer.communicate()
        assert killer.returncode == 0, stderr[-3000:]
        told = json.loads(stdout.splitlines()[-1])
        assert (told["wrong"], len(told["files_left"])) == ([], 100)
        assert len(set(told["files_left"])) >= 12, "the kills are spread over the files"
        finish_and_compare(answered_run, out, dsi_process, tmp_path)
