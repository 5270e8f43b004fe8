"""Classifiers after, before or next to layers that look like one: old heads, hidden layers, decoders, exits, gates, tables."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, REFUSE, Case, sequences, vectors
from networks.convolutional import stack
from networks.parts import Parts, Pretrained, Trunk, parameter
from networks.tasks import BOTH_COUNTS, linear


def in_order(*names: str, trunk: nn.Module | None = None, **parts: nn.Module) -> Parts:
    """Return a network that runs its named parts one after the other, with ReLU between them."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = model.base(x)
        for name in names[:-1]:
            x = fn.relu(model.get_submodule(name)(x))
        return model.get_submodule(names[-1])(x)

    return Parts(forward, base=trunk or Trunk(32), **parts)


def on_pretrained(name: str, classes: int, used: bool, old: str = "fc", **parts: nn.Module) -> Parts:
    """Return a new head on a trunk whose layer of 1,000 classes is still there."""
    layer = parts or {name: nn.Linear(1000 if used else 48, classes)}
    path = f"{name}.2" if parts else name

    def forward(model: Parts, x: Tensor) -> Tensor:
        x = model.backbone(x)
        return model.get_submodule(path.partition(".")[0])(fn.relu(x) if used else x)

    return Parts(forward, backbone=Pretrained(used=used, name=old), **layer)


def reconstructing(clf: str, classes: int, head_first: bool = False, code: int = 20) -> Parts:
    """Return an autoencoder of images with a classifier on its code."""

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, Tensor]:
        z = model.enc(x.flatten(1))
        return model.get_submodule(clf)(z), model.fc_out(fn.relu(model.dec(z)))

    head = {clf: nn.Linear(code, classes)}
    decoder = {"dec": nn.Linear(code, 32), "fc_out": nn.Linear(32, 192)}
    return Parts(forward, enc=stack(192, 48, code), **(head | decoder if head_first else decoder | head))


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


class EarlyExits(nn.Module):
    """A classifier after every stage; the last one is the network's."""

    def __init__(self, last: str, exits: str, classes: int) -> None:
        super().__init__()
        self.stage1 = nn.Conv2d(3, 12, 3, 2, 1)
        self.stage2 = nn.Conv2d(12, 20, 3, 2, 1)
        self.stage3 = nn.Conv2d(20, 32, 3, 2, 1)
        self.add_module(exits, nn.ModuleList([nn.Linear(12, classes), nn.Linear(20, classes)]))
        self.add_module(last, nn.Linear(32, classes))
        self.names = (last, exits)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x1 = fn.relu(self.stage1(x))
        x2 = fn.relu(self.stage2(x1))
        x3 = fn.relu(self.stage3(x2))
        last, exits = map(self.get_submodule, self.names)
        early = [one(y.mean((2, 3))) for one, y in zip(exits, (x1, x2), strict=True)]
        return last(x3.mean((2, 3))), *early


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


def conditioned(name: str, classes: int, groups: int) -> Parts:
    """Return a classifier of features that are shifted by a table of camera, speaker or site vectors."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        site = torch.randint(0, groups, (len(x),))
        return model.get_submodule(name)(fn.relu(model.trunk(x) + model.site_emb(site)))

    return Parts(forward, site_emb=nn.Embedding(groups, 32), trunk=Trunk(32), **{name: nn.Linear(32, classes)})


CASES = [
    Case("pretrained_1000_chained", lambda: on_pretrained("my_top", 20, True), "my_top"),
    Case("pretrained_1000_unused", lambda: on_pretrained("my_top", 20, False), "my_top", **ASK),
    Case(
        "embedding_then_norm_then_head",
        lambda: in_order("fc", "neck", "ids", fc=linear(64), neck=nn.BatchNorm1d(64), ids=nn.Linear(64, 75, bias=False)),
        "ids",
    ),
    Case("fc_then_l3", lambda: in_order("fc", "l3", fc=linear(64), l3=nn.Linear(64, 20)), "l3"),
    Case(
        "transformed_features",
        lambda: in_order("head", "logits", head=stack(32, 64, 48), logits=nn.Linear(48, 48)),
        "logits",
    ),
    Case("autoencoder_then_clf", lambda: reconstructing("clf", 10), "clf", inputs=vectors(192), **ASK),
    Case("variational", lambda: variational("clf", 10), "clf", inputs=vectors(64), **ASK),
    Case("variational_latent_is_classes", lambda: variational("y_pred", 16), "y_pred", **BOTH_COUNTS, inputs=vectors(64)),
    Case("early_exits", lambda: EarlyExits("final", "exits", 10), "final", **BOTH_COUNTS),
    Case("experts_common_head", lambda: Experts("out", 10, 4), "out", **ASK),
    Case("experts_as_many_as_classes", lambda: Experts("out", 5, 5), "out", **BOTH_COUNTS),
    Case("experts_with_a_head_each", lambda: Experts(None, 10, 3), None, 10, **REFUSE),
    Case("centres_after", lambda: with_centres("fc", "centers", 10), "fc", **BOTH_COUNTS),
    Case("centres_odd_names", lambda: with_centres("ende", "mitten", 20), "ende", **BOTH_COUNTS),
    Case("site_table", lambda: conditioned("clf", 10, 6), "clf"),
    Case(
        "token_tagger_two_outputs",
        lambda: Parts(
            lambda m, x: (m.intent(m.gru(x)[0].mean(1)), m.slot(m.gru(x)[0]).mean(1)),
            gru=nn.GRU(12, 32, batch_first=True),
            slot=linear(25),
            intent=linear(8),
        ),
        "intent",
        inputs=sequences(12),
        **ASK,
    ),
]
