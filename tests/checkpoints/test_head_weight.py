"""The effective weight of a head that is stored in parts, compared with what torch and
peft compute.
"""

import json
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
    HeadOptions,
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
    assert_allclose(Tracker().weight(model), expected, rtol=1e-5, atol=1e-7)


def test_scan_of_spectral_norm_from_before_torch_had_it_is_composed(tmp_path):
    model = nn.utils.spectral_norm(network()[2])
    state = {
        f"fc.module.{name.replace('orig', 'bar')}": value
        for name, value in model.state_dict().items()
    }
    expected = model.weight_orig / (model.weight_u @ model.weight_orig @ model.weight_v)
    assert_allclose(
        scanned(state, tmp_path / "epoch_1.pt").weight,
        expected.detach().numpy(),
        rtol=1e-5,
        atol=1e-7,
    )


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


def test_scan_of_lora_on_the_head_is_composed_if_the_config_tells_the_scale(tmp_path):
    # The state dict of a network with peft's LoRA on its head (alpha 8, rank 4)
    model = network()
    state = {
        f"base_model.model.{name}": tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith("2.")
    }
    down, up = torch.randn(4, 16), torch.randn(6, 4)
    head = "base_model.model.2"
    state |= {
        f"{head}.base_layer.weight": model[2].weight.detach(),
        f"{head}.base_layer.bias": model[2].bias.detach(),
    }
    state |= {
        f"{head}.lora_A.default.weight": down,
        f"{head}.lora_B.default.weight": up,
    }
    expected = (model[2].weight + 2.0 * up @ down).detach().numpy()
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 8, "r": 4}))
    assert_allclose(
        scanned(state, tmp_path / "pytorch_model.bin").weight,
        expected,
        rtol=1e-5,
        atol=1e-5,
    )


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


def test_scan_of_a_wide_convolution_names_it_and_sums_its_window_if_it_is_asked_for(
    tmp_path,
):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 3))
    found = scanned(model.state_dict(), tmp_path / "wide.pt")
    assert found.record.status == "failed"
    assert found.record.reason.endswith(
        "if only global average pooling follows it, add --head 2.weight"
    )

    named = scan_checkpoint(require_file(tmp_path / "wide.pt"), HeadOptions(head="2"))
    assert_allclose(named.weight, model[2].weight.detach().sum((2, 3)), rtol=1e-5)
    assert (
        named.record.reason
        == "each row is the sum over the 3 x 3 window of a convolution, for global"
        " average pooling"
    )

    # On an image that is constant in each channel no border disturbs the relation.
    channels = torch.randn(8)
    logits = (
        model[2](channels[:, None, None].expand(8, 9, 9)[None]).mean((0, 2, 3))
        - model[2].bias
    )
    assert_allclose(
        named.weight @ channels.numpy(), logits.detach(), rtol=1e-4, atol=1e-5
    )


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
