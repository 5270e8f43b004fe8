"""Each selection of epochs keeps the first and the last, and has its own steps."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.analysed_runs import Analysed
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.queries.epoch_sampling import MAX_COLUMNS, epochs_of_most_change, evenly_spaced, front_loaded, log_spaced
from dsi_cli.queries.matrices import matrix_frames

CNN = "cifar100-cnn"


@given(st.integers(1, 900), st.integers(2, 300))
def test_evenly_spaced_keeps_the_ends_and_steps_differ_by_one_at_most(count: int, most: int):
    epochs = evenly_spaced(range(count), most)
    assert (len(epochs), epochs[0], epochs[-1]) == (min(count, most), 0, count - 1)
    steps = np.diff(epochs)
    assert len(steps) == 0 or steps.max() - steps.min() <= 1


@pytest.mark.parametrize("count", [1, 5, 6, 7, 31, 400])
def test_log_spaced_keeps_the_ends_and_steps_grow(count):
    epochs = log_spaced(range(count))
    assert len(epochs) == min(count, MAX_COLUMNS) or count == 7
    assert (epochs[0], epochs[-1]) == (0, count - 1)
    assert (np.diff(epochs) > 0).all()
    assert (np.diff(np.diff(epochs)) >= -1).all()


def test_front_loaded_selects_epochs_where_much_changes():
    changes = [0.0] + [1.0] * 10 + [0.01] * 90
    indices = front_loaded(changes, 12)
    assert (indices[0], indices[-1]) == (0, 100)
    assert len(indices) == len(set(indices)) == 12
    assert sum(index <= 10 for index in indices) >= 8


def test_epochs_of_most_change_are_at_equal_parts_of_the_change(analysed: Analysed):
    frames = matrix_frames(analysed.run, CNN)
    assert frames is not None
    stored = [analysed.run.csm("ncsm", epoch, run=CNN).to_numpy(dtype=np.float64) for epoch in frames.epochs]
    total = np.cumsum([0.0] + [np.linalg.norm(after - before) for before, after in pairwise(stored)])
    epochs = epochs_of_most_change(analysed.run, [frames], 3)
    assert epochs == [int(np.argmin(np.abs(total - total[-1] * part))) for part in (0, 1 / 2, 1)]
    assert epochs[1] < 10, "the surge is early"
    assert epochs_of_most_change(analysed.run, [frames], 1) == [30]
    assert epochs_of_most_change(analysed.run, [frames], 99) == list(range(31))
