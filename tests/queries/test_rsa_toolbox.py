"""A run's matrices as an object of rsatoolbox."""

import importlib.util

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import stored
from helpers.table_comparison import write_two

from dsi_cli import open_results


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return write_two(tmp_path_factory.mktemp("two"))


def test_correlation_of_rsatoolbox_equals_the_agreement(two):
    compare = pytest.importorskip("rsatoolbox.rdm").compare
    results = open_results(two)
    name = results.names[0]
    network = results.to_rsatoolbox(name)
    assert network.rdm_descriptors["epoch"] == [0, 1, 2]
    reference = results.to_rsatoolbox(name, "scsm")
    found = compare(network, reference, "corr")[:, 0]
    off = ~np.eye(8, dtype=bool)
    semantics = results.csm("scsm", run=name).to_numpy().astype(float)[off]
    expected = [
        np.corrcoef(stored(two, name, "ncsm", epoch).astype(float)[off], semantics)[
            0, 1
        ]
        for epoch in range(3)
    ]
    assert found == pytest.approx(expected, abs=1e-12)
    curve = results[name].curve("agreement")["value"]
    assert found == pytest.approx(curve, abs=1e-6)


@pytest.mark.skipif(
    importlib.util.find_spec("rsatoolbox") is not None, reason="rsatoolbox is there"
)
def test_to_rsatoolbox_without_the_package_raises(two):
    results = open_results(two)
    with raises("missing-package", package="rsatoolbox"):
        results.to_rsatoolbox(results.names[0])


def test_error_consistency_of_a_run_with_itself_is_one(two):
    results = open_results(two)
    first, second = results.names
    assert results.error_consistency(first, first, epoch=1).value == pytest.approx(1.0)
    kappa = results.error_consistency(first, second, epoch=1)
    assert -1 <= kappa.low <= kappa.value <= kappa.high <= 1
    other = results.error_consistency(second, first, epoch=1)
    assert other.value == pytest.approx(kappa.value)
