"""The files that people write: one network in many containers, several networks in one file, prefixes, averages, optimisers."""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic

from networks.attention import Vit
from networks.cases import ASK, ASK_ALWAYS, REFUSE, Case, vectors
from networks.convolutional import Cnn, HeadFirst, Perceptron, ResNet, Tutorial, Wrapped, stack
from networks.parts import Parts, Trunk

State = dict[str, Tensor]


def prefixed(*prefixes: str) -> Callable[[nn.Module], State]:
    """Return a function that saves a state dict with these before every name, once for each."""
    return lambda model: {prefix + name: tensor for prefix in prefixes for name, tensor in model.state_dict().items()}


def moved(state: State, by: float = 0.03) -> State:
    """Return another state of the same network, as an average or an earlier epoch is."""
    return {name: one + by * torch.randn_like(one) if one.is_floating_point() else one for name, one in state.items()}


def optimizer(model: nn.Module) -> dict[str, Any]:
    """Return the state of an optimizer after a step of a copy; its moments have the shapes of the weights."""
    model = copy.deepcopy(model)
    made = torch.optim.Adam(model.parameters(), lr=1e-4)
    for one in model.parameters():
        one.grad = torch.randn_like(one)
    made.step()
    return made.state_dict()


def lightning(*prefixes: str, **more: Any) -> Callable[[nn.Module], Any]:
    def save(model: nn.Module) -> dict[str, Any]:
        state = prefixed(*prefixes)(model) | more
        return {
            "epoch": 3,
            "global_step": 40,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": state,
            "hyper_parameters": {"lr": 0.1},
        }

    return save


def under(*keys: str, **more: Any) -> Callable[[nn.Module], Any]:
    """Return a function that saves a state dict under these keys, one in the other, with more things next to the outermost."""

    def save(model: nn.Module) -> Any:
        contents: Any = model.state_dict()
        for key in reversed(keys):
            contents = {key: contents}
        return contents | more

    return save


def with_other(key: str, other_key: str, prefix: str = "", other_first: bool = False) -> Callable[[nn.Module], Any]:
    """Return a function that saves a state dict and another state of the same network, which may have a prefix."""

    def save(model: nn.Module) -> dict[str, Any]:
        state = model.state_dict()
        other = {prefix + name: tensor for name, tensor in moved(state).items()}
        pair = {key: state, other_key: other}
        return {"epoch": 2, **(dict(reversed(pair.items())) if other_first else pair)}

    return save


def in_parts(**keys: str) -> Callable[[nn.Module], Any]:
    """Return a function that saves submodules in a state dict each: key by path."""
    return lambda model: {key: model.get_submodule(path).state_dict() for key, path in keys.items()}


def next_to(key: str, made: Callable[[Tensor], Tensor]) -> Callable[[nn.Module], Any]:
    """Return a function that saves the network with a tensor for each of its weights next to it, under the same names."""

    def save(model: nn.Module) -> dict[str, Any]:
        others = {name: made(one.detach()) for name, one in model.named_parameters()}
        return {"model": model.state_dict(), key: others, "epoch": 9}

    return save


def averaged(model: nn.Module) -> dict[str, Any]:
    mean = torch.optim.swa_utils.AveragedModel(model)
    mean.update_parameters(model)
    return {"model": model.state_dict(), "swa_model": moved(mean.state_dict()), "swa_n": 2}


def in_half(dtype: torch.dtype) -> dict[str, Any]:
    """Return what a case needs that is saved in half precision: rounded weights are as right."""
    rounded = lambda model: tuple(one.to(dtype).float() for name, one in model.named_parameters() if name == "clf.weight")  # noqa: E731
    return {"save": lambda model: {name: one.to(dtype) for name, one in model.state_dict().items()}, "also": rounded}


def as_lists(model: nn.Module) -> dict[str, Any]:
    return {"round": 3, "parameters": [one.detach().numpy() for one in model.state_dict().values()]}


def as_flax(model: nn.Module) -> dict[str, Any]:
    layers = {f"Dense_{number}": layer for number, layer in enumerate(model.children())}
    return {
        "params": {
            name: {"kernel": one.weight.detach().numpy().T.copy(), "bias": one.bias.detach().numpy()}
            for name, one in layers.items()
        }
    }


def three_parts(head: str, bottleneck: str, classes: int, normed: bool = False) -> Parts:
    """Return a network as domain adaptation splits it: features, bottleneck and classifier."""
    last = nn.utils.parametrizations.weight_norm(nn.Linear(24, classes)) if normed else nn.Linear(24, classes)
    neck = nn.Sequential(nn.Linear(32, 24), nn.BatchNorm1d(24))
    forward = lambda m, x: m.get_submodule(head)(m.get_submodule(bottleneck)(m.net(x)))  # noqa: E731
    return Parts(forward, net=Trunk(32), **{bottleneck: neck, head: last})


class Adversary(nn.Module):
    """A generator and a discriminator of convolutions, which may have a helping classifier."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.G = nn.Sequential(
            nn.ConvTranspose2d(16, 24, 4), nn.BatchNorm2d(24), nn.ReLU(), nn.ConvTranspose2d(24, 3, 4, 4)
        )
        self.D = nn.ModuleDict(
            {"main": nn.Sequential(nn.Conv2d(3, 24, 4, 4), nn.LeakyReLU(0.2)), "adv": nn.Conv2d(24, 1, 4)}
        )
        if classes:
            self.D["aux"] = nn.Linear(24, classes)

    def forward(self, z: Tensor) -> Any:
        h = self.D["main"](self.G(z[:, :, None, None]))
        score = self.D["adv"](h).flatten(1)
        return (self.D["aux"](h.mean((2, 3))), score) if "aux" in self.D else score


def fixed(model: nn.Module) -> nn.Module:
    return model.eval()


def two_seeds(*keys: Any) -> Callable[[nn.Module], Any]:
    return lambda model: {key: moved(model.state_dict(), 0.5) for key in keys}


def quantised(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantize_dynamic(model, {nn.Linear}, torch.qint8)


def dequantised(name: str) -> Callable[[nn.Module], tuple[Tensor, ...]]:
    """Return the function that gives a layer's weight as the quantised network computes with it."""
    return lambda model: (quantised(model).get_submodule(name).weight().dequantize(),)


def cnn(head: str = "clf", classes: int = 20) -> Callable[[], nn.Module]:
    return lambda: Cnn(head, classes)


CONFUSION = {"val_cm.confmat": torch.randint(0, 9, (20, 20), generator=torch.Generator().manual_seed(1))}
OPTIONS = {"args": argparse.Namespace(arch="cnn", lr=0.1), "epoch": 5}


def plain(name: str, save: Callable[[nn.Module], Any], head: str = "clf", classes: int = 20, **known: Any) -> Case:
    """Return a case of the one network of which the container varies."""
    return Case(name, cnn(head, classes), head, save=save, **known)


CASES = [
    plain("state_dict", under("state_dict", **OPTIONS)),
    plain("model_and_optimizer", lambda m: {"model": m.state_dict(), "optimizer": optimizer(m), **OPTIONS}, "out", 16),
    plain("optimizer_first", lambda m: {"optimizer": optimizer(m), "model": m.state_dict()}, "y", 12),
    plain("net_acc_epoch", under("net", acc=91.3, epoch=7), "linear_out", 10),
    plain("model_state_dict", under("model_state_dict", loss=torch.tensor(0.3), epoch=2), "l_out"),
    plain("data_parallel", prefixed("module."), "clf"),
    plain("lightning_net", lightning("net.", **{"criterion.weight": torch.ones(20)}), "clf"),
    plain("lightning_confusion_matrix", lightning("backbone.", **CONFUSION), "kopf"),
    plain("lightning_student_and_teacher", lightning("student.", "teacher."), "head_", 10),
    plain("average_next_to_it", with_other("model", "model_ema", "module."), "clf"),
    plain("average_swa", averaged, "decide", 16),
    plain("best_next_to_last", with_other("model", "best_model"), "clf", 10, **ASK_ALWAYS),
    plain("masks_next_to_it", next_to("masks", lambda one: (one.abs() > 0.05).float()), "clf", 10, **ASK_ALWAYS),
    plain("fisher_next_to_it", next_to("fisher", torch.square), "clf", 10, **ASK_ALWAYS),
    plain("gradients_next_to_it", next_to("grads", torch.randn_like), "clf", 16, **ASK_ALWAYS),
    Case("numbered_folds", cnn("clf", 10), None, 10, save=two_seeds(0, 1, 2), **REFUSE),
    plain("numpy_arrays", lambda m: {name: one.numpy() for name, one in m.state_dict().items()}, "out", 10),
    plain("half", in_half(torch.float16)["save"], also=in_half(torch.float16)["also"]),
    plain("bfloat16", in_half(torch.bfloat16)["save"], also=in_half(torch.bfloat16)["also"]),
    plain("double", lambda m: {name: one.double() for name, one in m.state_dict().items()}, "l3", 12),
    plain("lists_without_names", as_lists, "clf", 10, **ASK_ALWAYS),
    plain(
        "history_matrices",
        lambda m: {"model": m.state_dict(), "history": {"confusion": torch.eye(20), "lr": [0.1, 0.01]}},
        "clf",
    ),
    plain(
        "logits_of_last_batch",
        lambda m: {"model": m.state_dict(), "val_logits": torch.randn(64, 20), "val_features": torch.randn(64, 32)},
        "clf",
    ),
    plain(
        "class_means_next_to_it", lambda m: {"net": m.state_dict(), "class_means": torch.randn(20, 32)}, "clf", **ASK_ALWAYS
    ),
    plain("whole_module_data_parallel", lambda m: nn.DataParallel(m), "sortie", 16),
    Case("whole_resnet", lambda: ResNet("linear", 20), "linear", save=fixed),
    Case("whole_tutorial", lambda: Tutorial(["fc", "l3"], (48, 20)), "l3", save=fixed),
    Case("whole_sequential", lambda: stack(48, 20, 20), "2", save=fixed, inputs=vectors(48)),
    Case("whole_head_first", lambda: HeadFirst("top", 20), "top", save=fixed),
    Case("flax_names", lambda: Perceptron(40, a=32, b=10), "b", save=as_flax, inputs=vectors(40)),
    Case(
        "perceptron_probe_alone",
        lambda: Wrapped("probe", stack(48, 20, 20)),
        "probe.2",
        save=lambda m: m.probe.state_dict(),
        inputs=vectors(48),
    ),
    Case(
        "encoder_and_classifier",
        lambda: Parts(lambda m, x: m.c(m.e(x)), e=Trunk(32), c=nn.Linear(32, 10)),
        "c",
        save=in_parts(encoder="e", classifier="c"),
    ),
    Case(
        "classifier_before_encoder",
        lambda: Parts(lambda m, x: m.c(m.e(x)), e=Vit("head", 48), c=nn.Linear(48, 12)),
        "c",
        save=in_parts(klassifikator="c", netz="e"),
        **ASK,
    ),
    Case(
        "shot_three_parts_normed",
        lambda: three_parts("netC", "netB", 12, True),
        "netC",
        save=in_parts(netF="net", netB="netB", netC="netC"),
    ),
    Case(
        "dann_three_parts",
        lambda: Parts(lambda m, x: (m.c(m.e(x)), m.d(m.e(x))), e=Trunk(32), c=nn.Linear(32, 10), d=stack(32, 24, 2)),
        "c",
        save=in_parts(feature_extractor="e", label_classifier="c", discriminator="d"),
        **ASK,
    ),
    Case(
        "two_classifiers_of_mcd",
        lambda: Parts(lambda m, x: (m.f1(m.g(x)), m.f2(m.g(x))), g=Trunk(32), f1=nn.Linear(32, 10), f2=nn.Linear(32, 10)),
        None,
        10,
        save=in_parts(G="g", F1="f1", F2="f2"),
        **REFUSE,
    ),
    Case("gan", lambda: Adversary(), None, 20, save=in_parts(G="G", D="D"), inputs=vectors(16), **REFUSE),
    Case(
        "gan_with_classifier",
        lambda: Adversary(10),
        "D.aux",
        save=in_parts(netG="G", netD="D"),
        inputs=vectors(16),
        **ASK_ALWAYS,
    ),
    Case(
        "frozen_big_teacher",
        lambda: Parts(lambda m, x: m.s(x) + 0 * m.t(x)[:, :20].detach(), s=Cnn("clf", 20), t=Cnn("fc", 1000)),
        "s.clf",
        then=True,
        save=in_parts(teacher="t", student="s"),
        **ASK,
    ),
    Case("quantised", cnn("fc", 10), "fc", save=quantised, also=dequantised("fc"), **ASK_ALWAYS),
    Case(
        "quantised_state",
        cnn("verdict", 12),
        "verdict",
        save=lambda m: quantised(m).state_dict(),
        also=dequantised("verdict"),
    ),
    Case(
        "quantised_chain",
        lambda: Tutorial(["fc1", "fc2", "out"], (20, 20, 20)),
        "out",
        save=quantised,
        also=dequantised("out"),
        **ASK_ALWAYS,
    ),
]
