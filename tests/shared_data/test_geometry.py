"""The geometry of the complete training runs equals the oracle, with its biases read by torch."""

import numpy as np
import pytest
import torch
from helpers import oracles
from numpy.testing import assert_allclose

import dsi_cli
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options

RUNS = {"fashion-mnist-tinycnn": (0, 7, 15), "cifar100-cnn": (0, 30), "cifar100-vit-collapsed": (15,)}


@pytest.fixture(scope="module")
def results(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("geometry") / "out"
    analyze([shared / "data" / "runs" / run for run in RUNS], out, Options(draws=0, permutations=0, measures=("pearson",)))
    return dsi_cli.open_results(out)


def head_of(shared, results, run, epoch):
    """Return weight and bias as torch reads them."""
    rows = results.checkpoints.query("run == @run and epoch == @epoch and status == 'ok'")
    state = torch.load(rows["path"].iloc[0], map_location="cpu", weights_only=True)
    state = next((state[key] for key in ("state_dict", "model") if key in state), state)
    name = rows["head"].iloc[0]
    bias = state.get(name.removesuffix("weight") + "bias")
    return state[name].double().numpy(), None if bias is None else bias.double().numpy()


@pytest.mark.parametrize(("run", "epoch"), [(run, epoch) for run, epochs in RUNS.items() for epoch in epochs])
def test_geometry_of_complete_runs_equals_the_oracle(run, epoch, shared, results):
    weight, bias = head_of(shared, results, run, epoch)
    rows = results.geometry.query("run == @run and epoch == @epoch").sort_values("class_index")
    assert_allclose(rows["norm"], np.sqrt((weight**2).sum(axis=1)), rtol=1e-6)
    assert_allclose(rows["bias"].astype(float), np.full(len(weight), np.nan) if bias is None else bias, rtol=1e-6)
    last = head_of(shared, results, run, max(results.epochs(run)))[0]
    cosines = (weight * last).sum(axis=1) / np.sqrt((weight**2).sum(axis=1) * (last**2).sum(axis=1))
    assert_allclose(rows["angle_last"], np.degrees(np.arccos(np.clip(cosines, -1, 1))), atol=1e-4)
    values = results.curves.query("run == @run and epoch == @epoch and of == 'weight'").set_index(["metric", "variant"])[
        "value"
    ]
    expected = oracles.head_geometry(weight)
    for name, key in {
        "effective_rank": ("effective_rank", "raw"),
        "centred_effective_rank": ("effective_rank", "centred"),
        "stable_rank": ("stable_rank", "raw"),
        "norm_variation": ("nc2_norms", "raw"),
        "angle_deviation": ("nc2_angles", "deviation"),
        "angle_spread": ("nc2_angles", "spread"),
    }.items():
        assert values[key] == pytest.approx(expected[name], rel=1e-5), name


@pytest.mark.parametrize(("run", "epoch"), [(run, epoch) for run, epochs in RUNS.items() for epoch in epochs])
def test_spectrum_of_complete_runs_equals_numpys_singular_values(run, epoch, shared, results):
    expected = oracles.spectrum(head_of(shared, results, run, epoch)[0])
    rows = results.spectrum.query("run == @run and epoch == @epoch")
    assert rows["index"].tolist() == list(range(1, len(expected) + 1))
    assert_allclose(rows["singular_value"], expected, rtol=1e-5, atol=1e-7 * expected[0])
    assert_allclose(rows["cumulative_share"], np.cumsum(expected**2) / (expected**2).sum(), rtol=1e-5)


def test_bias_is_read_from_some_complete_run(results):
    assert results.geometry["bias"].notna().any()
