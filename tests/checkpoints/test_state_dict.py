"""All weights of a checkpoint's model, as torch itself loads them, and nothing run."""

import pytest
import torch
from numpy.testing import assert_array_equal
from safetensors.torch import save_file

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, require_file


def assert_read(found, wanted):
    assert all(array.flags.writeable for array in found.arrays.values())  # torch warns of others
    assert set(found.arrays) == {name for name, value in wanted.items() if isinstance(value, torch.Tensor)}
    for name, array in found.arrays.items():
        tensor = wanted[name]
        assert_array_equal(array, (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy(), err_msg=name)


def read(path, *, classes=None, **choice):
    return checkpoint_reader.read_state_dict(require_file(path), HeadOptions(**choice), classes)


@pytest.fixture(params=["zip", "legacy", "safetensors"])
def write(request, tmp_path):
    """Write a state dict in one of the containers."""

    def written(tensors):
        path = tmp_path / f"net.{'safetensors' if request.param == 'safetensors' else 'pt'}"
        if request.param == "safetensors":
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
        else:
            torch.save(tensors, path, _use_new_zipfile_serialization=request.param == "zip")
        return path

    return written


def test_every_tensor_is_read(write, state_dict):
    more = {"steps": torch.tensor(3), "half": torch.randn(2, 3).half(), "brain": torch.randn(2).bfloat16()}
    tensors = {**state_dict, **more, "flag": torch.tensor([True, False]), "double": torch.randn(1).double()}
    found = read(write(tensors))
    assert found.head == "fc.weight"
    assert_read(found, tensors)


def test_a_whole_module_is_read_by_its_state_dicts_names(tmp_path):
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 3)
    )
    torch.save(module, tmp_path / "module.pt")
    found = read(tmp_path / "module.pt")
    assert found.head == "3.weight"
    assert_read(found, module.state_dict())


def test_a_buffer_that_is_not_saved_is_none_of_the_weights(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 3))
    module[0].register_buffer("grid", torch.ones(2), persistent=False)
    torch.save(module, tmp_path / "module.pt")
    assert_read(read(tmp_path / "module.pt"), module.state_dict())


@pytest.mark.parametrize(
    ("which", "key", "ema"),
    [("timm_run", "state_dict", False), ("timm_run", "state_dict_ema", True), ("torchvision_run", "model", False)],
)
def test_raw_and_averaged_weights_of_real_trainers(which, key, ema, request):
    path = request.getfixturevalue(which).files[1]
    wanted = torch.load(path, weights_only=False)[key]
    found = read(path, ema=ema)
    assert_read(found, wanted)
    assert found.head in wanted
