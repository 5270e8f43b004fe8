"""Which matrices a run has, and at which epochs change is seen."""

import shutil

import numpy as np
import pytest
from helpers.analysed_runs import Analysed
from numpy.testing import assert_array_equal

from dsi_cli.queries import matrices
from dsi_cli.queries.matrices import ClassDistance
from dsi_cli.store.results import Results

CNN = "cifar100-cnn"


def test_the_first_kind_that_a_run_has_unless_one_is_asked_for(analysed: Analysed):
    found = matrices.matrix_frames(analysed.run, CNN)
    assert found is not None
    assert (found.kind.name, found.split, found.epochs) == (
        "ncsm",
        None,
        tuple(range(31)),
    )
    confusion = matrices.matrix_frames(analysed.run, CNN, "ccsm")
    assert confusion is not None
    assert (confusion.title, confusion.split) == ("CCSM on test", "test")
    assert matrices.matrix_frames(analysed.run, CNN, "tncsm") is None


def test_epochs_are_those_whose_matrix_is_there(analysed: Analysed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(analysed.out, out)
    (out / "csms" / CNN / "ccsm-test" / "4.parquet").unlink()
    found = matrices.matrix_frames(Results(out), CNN, "ccsm")
    assert found is not None
    assert found.epochs == (0, 1, 2, 3, *range(5, 31))


def test_a_matrix_is_the_stored_one_but_for_its_diagonal(analysed: Analysed):
    found = matrices.matrix_frames(analysed.run, CNN)
    assert found is not None
    values = matrices.epoch_matrix(analysed.run, found, 3)
    off = ~np.eye(100, dtype=bool)
    np.testing.assert_array_equal(
        values[off], analysed.run.csm("ncsm", 3, run=CNN).to_numpy()[off]
    )
    assert np.isnan(values[~off]).all()


def test_farness_is_the_mean_of_what_exists():
    nan = np.nan
    rank, wordnet_rank = (
        np.array([[nan, 1.0], [3.0, nan]]),
        np.array([[nan, nan], [2.0, nan]]),
    )
    near = ClassDistance("ncsm", rank, 4, wordnet_rank, wordnet_rank, 2)
    assert_array_equal(near.farness, [[nan, 0.25], [(0.75 + 1.0) / 2, nan]])


@pytest.mark.parametrize("run", [CNN, "cifar100-vit"])
def test_surprising_pairs_equal_a_slow_least_squares_fit(analysed: Analysed, run):
    epoch = 20
    found = matrices.surprising_pairs(analysed.run, run, "ncsm", epoch, None)

    first, second = np.triu_indices(100, 1)
    cosines = analysed.run.csm("ncsm", epoch, run=run).to_numpy()
    values = np.arctanh(cosines[first, second].astype(np.float64))
    reference = analysed.run.csm("scsm", run=run).to_numpy()[first, second]
    columns = [(first == k) | (second == k) for k in range(100)]
    design = np.column_stack([*columns, reference]).astype(np.float64)
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    residuals = values - fitted
    middle = np.median(residuals)
    deviation = 1.4826 * np.median(np.abs(residuals - middle))
    is_nearest = reference > np.quantile(reference, 0.9)
    expected = (residuals >= 2 * deviation) & ~is_nearest
    assert_array_equal(found[first, second], expected)
    assert_array_equal(found, found.T)
    assert 0.01 < expected.mean() < 0.1


def test_surprising_pairs_of_a_ccsm_are_those_of_the_network(analysed: Analysed):
    ccsm, ncsm = (
        matrices.surprising_pairs(analysed.run, CNN, kind, 20, "test")
        for kind in ("ccsm", "ncsm")
    )
    assert_array_equal(ccsm, ncsm)
