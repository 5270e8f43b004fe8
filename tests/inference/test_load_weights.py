"""Weights into a model: every name and shape must fit, whatever wrapper's name stands before them."""

import numpy as np
import pytest
import torch
from torch import nn

from dsi_cli.checkpoints.checkpoint_reader import StateDict
from dsi_cli.errors import UnreadableError
from dsi_cli.inference.models import load_weights


class Net(nn.Module):
    def __init__(self, width=4, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width))
        self.fc = nn.Linear(width, classes)


def state_of(model, prefix="", head="fc.weight", **other):
    """Return a model's weights as they are read from a checkpoint, under a wrapper's name."""
    arrays = {f"{prefix}{name}": tensor.numpy() for name, tensor in model.state_dict().items()}
    return StateDict(arrays | other, None if head is None else prefix + head)


def assert_same(model, other):
    wanted = other.state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.module.", "net.a.b.", "fc."],
)
def test_a_wrappers_name_is_taken_off(prefix):
    torch.manual_seed(0)
    source, model = Net(), Net()
    assert load_weights(model, state_of(source, prefix)) == "fc"
    assert_same(model, source)


def test_a_compiled_part_and_wrappers_of_fsdp_are_looked_through():
    torch.manual_seed(0)
    source, model = Net(), Net()
    arrays = {
        name.replace("body.", "body._fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod."): tensor.numpy()
        for name, tensor in source.state_dict().items()
    }
    assert load_weights(model, StateDict(arrays, "fc.weight")) == "fc"
    assert_same(model, source)


@pytest.mark.parametrize("wrapped", [torch.compile, nn.DataParallel])
def test_a_model_that_is_wrapped_itself(wrapped):
    torch.manual_seed(0)
    source, model = Net(), wrapped(Net())
    (name,) = (name for name in model.state_dict() if name.endswith("fc.weight"))
    head = load_weights(model, state_of(wrapped(source), head=name))
    assert_same(model, wrapped(source))
    assert model.get_submodule(head).weight is dict(model.named_parameters())[name]


def test_load_weights_ignores_tensors_of_other_modules():
    source, model = Net(), Net()
    beside = {"criterion.weight": np.ones(3), "metric.fc.total": np.ones(()), "teacher.fc.weight": np.ones((3, 4))}
    assert load_weights(model, state_of(source, "model.", **beside)) == "fc"
    assert_same(model, source)


def test_the_classifiers_name_tells_which_of_two_models_is_meant():
    torch.manual_seed(0)
    source, other, model = Net(), Net(), Net()
    both = state_of(other, "teacher.").arrays | state_of(source, "student.").arrays
    load_weights(model, StateDict(both, "student.fc.weight"))
    assert_same(model, source)


def test_load_weights_without_a_classifier_follows_the_most_names():
    torch.manual_seed(0)
    source, model = Net().body, Net().body
    arrays = {f"backbone.{name}": tensor.numpy() for name, tensor in source.state_dict().items()}
    assert load_weights(model, StateDict(arrays | {"projector.0.weight": np.ones((2, 2))}, None)) is None
    assert_same(model, source)


@pytest.mark.parametrize("kind", ["parametrized", "old"])
def test_the_module_of_a_weight_normed_classifier(kind):
    norm = {"parametrized": nn.utils.parametrizations.weight_norm, "old": nn.utils.weight_norm}[kind]
    source, model = Net(), Net()
    norm(source.fc)
    norm(model.fc)
    (name,) = (one for one in source.state_dict() if one.endswith(("original1", "weight_v")))
    assert load_weights(model, state_of(source, "module.", head=name)) == "fc"
    assert_same(model, source)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fc.bias": None}, r"^the weights do not fit the model: 1 missing \(fc\.bias\)$"),
        ({"fc.scale": np.ones(3)}, r"^the weights do not fit the model: 1 unexpected \(fc\.scale\)$"),
        (
            {"fc.weight": np.ones((7, 4)), "fc.bias": np.ones(7)},
            r"fit the model: 2 of another shape \(fc\.weight \(7, 4\) for \(3, 4\), fc\.bias \(7,\) for \(3,\)\)$",
        ),
        (
            {"body.0.bias": None, "fc.weight": np.ones((3, 4, 1, 1)), "more": np.ones(1)},
            r"1 missing \(body\.0\.bias\); 1 unexpected \(more\); 1 of another shape \(fc\.weight \(3, 4, 1, 1\) for \(3, 4\)\)",
        ),
        (
            {f"extra.{number}": np.ones(1) for number in range(9)},
            r"9 unexpected \(extra\.0, extra\.1, extra\.2, extra\.3, \.\.\.\)$",
        ),
    ],
)
def test_load_weights_that_do_not_fit_raise_one_line(changed, message):
    arrays = state_of(Net()).arrays | changed
    held = StateDict({name: array for name, array in arrays.items() if array is not None}, "fc.weight")
    with pytest.raises(UnreadableError, match=message) as caught:
        load_weights(Net(), held)
    assert "\n" not in str(caught.value)


def test_a_model_stays_as_it_is_where_the_weights_do_not_fit():
    model = Net()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UnreadableError, match=r"of another shape"):
        load_weights(model, state_of(Net(width=6)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
