"""Which matrices a run has, and at which epochs change is seen."""

from __future__ import annotations

import shutil
from itertools import pairwise

import numpy as np
import pytest
from helpers.analysed_runs import Analysed
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.errors import UsageError
from dsi_cli.queries import matrices
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)
CNN = "cifar100-cnn"


def test_the_first_kind_that_a_run_has_unless_one_is_asked_for(analysed: Analysed):
    found = matrices.frames(analysed.run, CNN)
    assert found is not None
    assert (found.kind.name, found.split, found.epochs) == ("ncsm", None, tuple(range(31)))
    confusion = matrices.frames(analysed.run, CNN, "ccsm")
    assert confusion is not None
    assert (confusion.title, confusion.split) == ("CCSM on test", "test")
    assert matrices.frames(analysed.run, CNN, "tncsm") is None
    assert matrices.frames(analysed.run, CNN, "ccsm", "train") is None


def test_an_unknown_kind_is_refused(analysed: Analysed):
    with pytest.raises(
        UsageError, match="'scsm' is no kind of matrix that changes over epochs: expected one of ncsm, ncsm_centred"
    ):
        matrices.frames(analysed.run, CNN, "scsm")


def test_epochs_are_those_whose_matrix_is_there(analysed: Analysed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(analysed.out, out)
    (out / "csms" / CNN / "ccsm-test" / "4.parquet").unlink()
    found = matrices.frames(Results(out), CNN, "ccsm")
    assert found is not None
    assert found.epochs == (0, 1, 2, 3, *range(5, 31))


def test_a_matrix_is_the_stored_one_but_for_its_diagonal(analysed: Analysed):
    found = matrices.frames(analysed.run, CNN)
    assert found is not None
    values = matrices.matrix(analysed.run, found, 3)
    off = ~np.eye(100, dtype=bool)
    np.testing.assert_array_equal(values[off], analysed.run.csm("ncsm", 3, run=CNN).to_numpy()[off])
    assert np.isnan(values[~off]).all()


def test_epochs_are_chosen_at_equal_parts_of_the_change(analysed: Analysed):
    found = matrices.frames(analysed.run, CNN)
    assert found is not None
    stored = [analysed.run.csm("ncsm", epoch, run=CNN).to_numpy(dtype=np.float64) for epoch in found.epochs]
    way = np.cumsum([0.0] + [np.linalg.norm(after - before) for before, after in pairwise(stored)])
    chosen = matrices.epochs_of_most_change(analysed.run, [found], 4)
    nearest = [int(np.argmin(np.abs(way - way[-1] * part))) for part in (0, 1 / 3, 2 / 3, 1)]
    assert chosen == nearest
    assert chosen[1] < 10, "the surge is early"
    assert matrices.epochs_of_most_change(analysed.run, [found], 1) == [30]
    assert matrices.epochs_of_most_change(analysed.run, [found], 99) == list(range(31))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=60), st.integers(2, 9))
def test_places_are_different_and_reach_from_end_to_end(steps: list[float], count: int):
    way = np.cumsum([0.0, *steps])
    count = min(count, len(way))
    places = matrices._at_equal_parts(way, count)
    assert len(places) == count
    assert all(before < after for before, after in pairwise(places))
    assert (places[0], places[-1]) == (0, len(way) - 1)


@given(st.integers(1, 900), st.integers(2, 300))
def test_even_choices_keep_the_ends_and_differ_by_one_step_at_most(count: int, most: int):
    chosen = matrices.evenly_spaced(range(count), most)
    assert len(chosen) == min(count, most)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    gaps = np.diff(chosen)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1
