"""Each selection of epochs keeps the first and the last, and has its own steps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsi_cli.queries.epoch_sampling import (
    MAX_COLUMNS,
    evenly_spaced,
    front_loaded,
    log_spaced,
)


@settings(deadline=None)
@given(st.integers(1, 900), st.integers(2, 300))
def test_evenly_spaced_keeps_the_ends_and_steps_differ_by_one_at_most(
    count: int, most: int
):
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
