"""The effective weight of a head that is stored in parts, compared with what torch and
peft compute.
"""

import warnings
from pathlib import Path

import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

from dsi_cli.callbacks import Tracker
from dsi_cli.checkpoints.checkpoint_reader import (
    ScanResult,
    require_file,
    scan_checkpoint,
)


def network() -> nn.Sequential:
    """Return a small network, whose last layer is the head."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 6))


PARTS = {
    "pruned": lambda layer: prune.random_unstructured(layer, "weight", 0.4),
    "normed by row": parametrizations.weight_norm,
    "normed by column": lambda layer: parametrizations.weight_norm(layer, dim=1),
    "normed as in old versions": nn.utils.weight_norm,
    "spectrally normed": parametrizations.spectral_norm,
}
"""Functions that store the weight of a layer in parts."""


def scanned(contents: object, path: Path, classes: int | None = None) -> ScanResult:
    torch.save(contents, path)
    return scan_checkpoint(require_file(path), classes=classes)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("divide", PARTS.values(), ids=PARTS)
def test_a_head_in_parts_gives_scan_and_tracker_the_weight_that_the_network_uses(
    divide, tmp_path
):
    model = network().eval()
    divide(model[2])
    expected = model[2].weight.detach().numpy()
    assert_allclose(
        scanned(model.state_dict(), tmp_path / "epoch_1.pt").weight,
        expected,
        rtol=1e-5,
        atol=1e-7,
    )
    of_model, of_weight = Tracker()(model), Tracker()(expected)
    assert of_model == pytest.approx(of_weight, rel=1e-5)
    assert of_model.keys() == {"dsi/max_wsi"}


def test_scan_with_labels_takes_the_only_matrix_with_as_many_rows_under_any_name(
    tmp_path,
):
    state = {
        "conv.weight": torch.randn(48, 3, 3, 3),
        "fc.weight": torch.randn(48, 64),
        "l3.weight": torch.randn(20, 48),
    }
    for name in ("l3.weight", "zz.weight", "proj.weight", "decoder_embed.weight"):
        renamed = {
            name if key == "l3.weight" else key: value for key, value in state.items()
        }
        assert scanned(renamed, tmp_path / "epoch_1.pt", classes=20).record.head == name


def test_scan_of_a_head_with_an_overlong_name_fails_with_the_reason(tmp_path):
    save_file(
        {"x" * 4_200 + ".weight": torch.ones(5, 4)}, tmp_path / "long.safetensors"
    )
    found = scan_checkpoint(require_file(tmp_path / "long.safetensors"))
    assert (found.record.status, found.record.code) == ("failed", "long-head-name")


def test_scan_of_weights_that_overflow_fails_without_a_warning(tmp_path):
    model = network()
    PARTS["pruned"](model[2])
    state = {
        name: torch.full_like(tensor, 3e38)
        for name, tensor in model.state_dict().items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scanned(state, tmp_path / "large.pt")
    assert found.record.status == "failed"


@pytest.mark.parametrize("name", ["mask", "weight_mask"])
def test_scan_multiplies_a_weight_by_the_binary_mask_next_to_it(name, tmp_path):
    state = dict(network().state_dict())
    weight = state["2.weight"]
    for mask in (weight > 0, (weight > 0).float()):
        found = scanned(state | {f"2.{name}": mask}, tmp_path / "epoch_1.pt")
        assert_allclose(found.weight, weight * mask)
    assert (
        "other values than 0 and 1"
        in scanned(state | {f"2.{name}": weight}, tmp_path / "epoch_1.pt").record.reason
    )
    for masks in ({}, {f"2.{name}": (weight > 0).float()}):
        for other, tensor in {
            "sparseThreshold": torch.zeros(1, 1),
            "gain": torch.ones(6),
            "scores": weight,
        }.items():
            found = scanned(
                state | masks | {f"2.{other}": tensor}, tmp_path / "epoch_1.pt"
            )
            assert f"scaled by the parameter '{other}'" in found.record.reason
