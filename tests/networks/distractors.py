"""Classifiers after, before or next to layers that look like one: old heads, hidden layers, decoders, exits, gates, tables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, REFUSE, Case, vectors
from networks.convolutional import stack
from networks.parts import Parts, Pretrained, Trunk, parameter
from networks.tasks import BOTH_COUNTS


def on_pretrained(name: str, classes: int, used: bool, old: str = "fc", **parts: nn.Module) -> Parts:
    """Return a new head on a trunk whose layer of 1,000 classes is still there."""
    layer = parts or {name: nn.Linear(1000 if used else 48, classes)}
    path = f"{name}.2" if parts else name

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = model.backbone(x)
        return model.get_submodule(path.partition(".")[0])(fn.relu(x) if used else x)

    return Parts(forward, backbone=Pretrained(used=used, name=old), **layer)


def variational(clf: str, classes: int, latent: int = 16) -> Parts:
    """Return a variational autoencoder with a classifier on the mean of its code."""

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, ...]:
        hidden = fn.relu(model.fc1(x))
        mean, spread = model.fc_mu(hidden), model.fc_logvar(hidden)
        code = mean + torch.randn_like(spread) * (0.5 * spread).exp()
        return model.get_submodule(clf)(mean), model.fc4(fn.relu(model.fc3(code))), spread

    parts = {"fc1": nn.Linear(64, 48), "fc_mu": nn.Linear(48, latent), "fc_logvar": nn.Linear(48, latent)}
    parts |= {"fc3": nn.Linear(latent, 48), "fc4": nn.Linear(48, 64), clf: nn.Linear(latent, classes)}
    return Parts(forward, **parts)


class Experts(nn.Module):
    """A gate that weighs experts; the classifier may be common to all or the last layer of each."""

    def __init__(self, head: str | None, classes: int, experts: int, gate_last: bool = False) -> None:
        super().__init__()
        self.trunk = Trunk(32)
        widths = (32, 48, 40) if head else (32, 48, classes)
        if not gate_last:
            self.gate = nn.Linear(32, experts)
        self.experts = nn.ModuleList(stack(*widths) for _ in range(experts))
        if head:
            self.add_module(head, nn.Linear(40, classes))
        if gate_last:
            self.gate = nn.Linear(32, experts)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk(x)
        weights = self.gate(x).softmax(1)
        mixed = sum(weights[:, [number]] * expert(x) for number, expert in enumerate(self.experts))
        return self.get_submodule(self.head)(fn.relu(mixed)) if self.head else mixed


def with_centres(name: str, centres: str, classes: int) -> Parts:
    """Return a classifier with the centre of each class's features (centre loss) as a parameter next to it."""

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, Tensor]:
        x = model.net(x)
        return model.get_submodule(name)(x), (x[:, None] - getattr(model, centres)).pow(2).mean((1, 2))

    return Parts(forward, net=Trunk(32), **{name: nn.Linear(32, classes), centres: parameter(classes, 32)})


CASES = [
    Case("pretrained_1000_unused", lambda: on_pretrained("my_top", 20, False), "my_top", **ASK),
    Case("variational_latent_is_classes", lambda: variational("y_pred", 16), "y_pred", **BOTH_COUNTS, inputs=vectors(64)),
    Case("experts_common_head", lambda: Experts("out", 10, 4), "out", **ASK),
    Case("experts_as_many_as_classes", lambda: Experts("out", 5, 5), "out", **BOTH_COUNTS),
    Case("experts_with_a_head_each", lambda: Experts(None, 10, 3), None, 10, **REFUSE),
    Case("centres_after", lambda: with_centres("fc", "centers", 10), "fc", **BOTH_COUNTS),
    Case("centres_odd_names", lambda: with_centres("ende", "mitten", 20), "ende", **BOTH_COUNTS),
]
