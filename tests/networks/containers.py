"""The files that people write: one network in many containers and types, as whole
modules, and with heads stored in parts.
"""

import argparse
import copy
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic
from torch.nn.utils import parametrizations, prune

from networks.cases import Case, Cnn, Parts, Trunk, cnn, tutorial, vectors

OPTIONS = {"args": argparse.Namespace(arch="cnn", lr=0.1), "epoch": 5}


def optimizer(model: nn.Module) -> dict[str, Any]:
    """Return the state of an optimizer after a step of a copy; its moments have the
    shapes of the weights.
    """
    model = copy.deepcopy(model)
    made = torch.optim.Adam(model.parameters(), lr=1e-4)
    for one in model.parameters():
        one.grad = torch.randn_like(one)
    made.step()
    return made.state_dict()


def in_half(dtype: torch.dtype) -> dict[str, Any]:
    """Return what a case needs that is saved in half precision: rounded weights are as
    right.
    """
    rounded = lambda model: (model.clf.weight.to(dtype).float(),)  # noqa: E731
    return {
        "save": lambda model: {
            name: one.to(dtype) for name, one in model.state_dict().items()
        },
        "also": rounded,
    }


def as_lists(model: nn.Module) -> dict[str, Any]:
    return {
        "round": 3,
        "parameters": [one.detach().numpy() for one in model.state_dict().values()],
    }


def in_three_parts(model: Any) -> dict[str, Any]:
    """Save features, bottleneck and classifier in a state dict each, as domain
    adaptation does.
    """
    return {
        "netF": model.net.state_dict(),
        "netB": model.neck.state_dict(),
        "netC": model.netC.state_dict(),
    }


def three_parts() -> Parts:
    last = nn.utils.parametrizations.weight_norm(nn.Linear(24, 12))
    neck = nn.Sequential(nn.Linear(32, 24), nn.BatchNorm1d(24))
    return Parts(
        lambda m, x: m.netC(m.neck(m.net(x))), net=Trunk(32), neck=neck, netC=last
    )


def tied() -> Parts:
    """Return a network with two names for one layer."""
    layer = nn.Linear(32, 10)
    return Parts(
        lambda m, x: m.tete(m.trunk(x)), trunk=Trunk(), tete=layer, sortie=layer
    )


def quantised(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantize_dynamic(model, {nn.Linear}, torch.qint8)


def dequantised(name: str) -> Callable[[nn.Module], tuple[Tensor, ...]]:
    """Return the function that gives a layer's weight as the quantised network computes
    with it.
    """
    return lambda model: (quantised(model).get_submodule(name).weight().dequantize(),)


def plain(
    name: str,
    save: Callable[[nn.Module], Any],
    head: str = "clf",
    classes: int = 20,
    **known: Any,
) -> Case:
    """Return a case of the one network of which the container varies."""
    return Case(name, cnn(head, classes), head, save=save, **known)


CASES = [
    plain("state_dict", lambda m: {"state_dict": m.state_dict(), **OPTIONS}),
    plain(
        "model_and_optimizer",
        lambda m: {"model": m.state_dict(), "optimizer": optimizer(m), **OPTIONS},
        "out",
        16,
    ),
    plain(
        "optimizer_first",
        lambda m: {"optimizer": optimizer(m), "model": m.state_dict()},
        "y",
        12,
    ),
    plain(
        "numpy_arrays",
        lambda m: {name: one.numpy() for name, one in m.state_dict().items()},
        "out",
        10,
    ),
    plain("half", **in_half(torch.float16)),
    plain("bfloat16", **in_half(torch.bfloat16)),
    plain(
        "double",
        lambda m: {name: one.double() for name, one in m.state_dict().items()},
        "l3",
        12,
    ),
    plain("lists_without_names", as_lists, "clf", 10, may_ask_with_count=True),
    plain(
        "history_matrices",
        lambda m: {
            "model": m.state_dict(),
            "history": {"confusion": torch.eye(20), "lr": [0.1]},
        },
    ),
    Case("tied_twice", tied, "tete"),
    Case("shot_three_parts_normed", three_parts, "netC", save=in_three_parts),
    plain("whole_module_data_parallel", nn.DataParallel, "sortie", 16),
    Case("whole_tutorial", tutorial(48, 32, 20), "out", save=nn.Module.eval),
    Case(
        "whole_sequential",
        lambda: nn.Sequential(nn.Linear(48, 20), nn.ReLU(), nn.Linear(20, 20)),
        "2",
        save=nn.Module.eval,
        inputs=vectors(48),
    ),
    Case(
        "whole_head_first",
        lambda: Cnn("top", 20, head_first=True),
        "top",
        save=nn.Module.eval,
    ),
    Case(
        "quantised",
        cnn("fc", 10),
        "fc",
        save=quantised,
        also=dequantised("fc"),
        may_ask_with_count=True,
    ),
    Case(
        "quantised_chain",
        tutorial(20, 20, 20),
        "out",
        save=quantised,
        also=dequantised("out"),
        may_ask_with_count=True,
    ),
]


def changed(
    build: Callable[[], nn.Module], change: Callable[[nn.Module], Any], *layers: str
) -> Callable[[], nn.Module]:
    """Return a function that builds a network and changes its modules of these
    names.
    """

    def changed_network() -> nn.Module:
        model = build()
        for layer in layers:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                change(model.get_submodule(layer))
        return model

    return changed_network


def pruned_twice(layer: nn.Module) -> None:
    prune.random_unstructured(layer, "weight", 0.3)
    prune.l1_unstructured(layer, "weight", 0.3)


pruned = partial(prune.l1_unstructured, name="weight", amount=0.4)
spectral, old_spectral = (
    parametrizations.spectral_norm,
    partial(nn.utils.spectral_norm, dim=1),
)
normed, old_normed = parametrizations.weight_norm, nn.utils.weight_norm
LINEAR = ("fc1", "fc2", "out")
IN_PARTS = [
    Case("pruned_all_square", changed(tutorial(20, 20, 20), pruned, *LINEAR), "out"),
    Case("pruned_twice", changed(cnn("fc"), pruned_twice, "fc"), "fc"),
    Case(
        "pruned_trunk",
        changed(cnn("linear"), pruned, "trunk.conv1", "linear"),
        "linear",
    ),
    Case(
        "spectral_norm_of_columns_square",
        changed(cnn("fc", 32), old_spectral, "fc"),
        "fc",
        may_ask_with_count=True,
    ),
    Case(
        "new_spectral_norm_of_columns",
        changed(cnn("fc"), partial(spectral, dim=1), "fc"),
        "fc",
    ),
    Case(
        "new_weight_norm_dim_none",
        changed(cnn("fc", 9), partial(normed, dim=None), "fc"),
        "fc",
    ),
    Case(
        "weight_norm_dim_1",
        changed(cnn("fc", 12), partial(old_normed, dim=1), "fc"),
        "fc",
    ),
    Case(
        "weight_norm_everywhere",
        changed(tutorial(32, 20, 20), old_normed, *LINEAR),
        "out",
    ),
    Case(
        "new_spectral_norm_everywhere",
        changed(tutorial(20, 20, 20), spectral, *LINEAR),
        "out",
    ),
]
