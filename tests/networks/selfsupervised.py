"""Self-supervised and semi-supervised models: projectors, predictors, queues, momentum copies, and a classifier or none.

Labels tell a number of classes that no matrix of a model without a classifier has. Results without that number are not judged,
because a projector has any width.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, ASK_ALWAYS, Case
from networks.convolutional import ResNet, stack
from networks.parts import Parts, Trunk, parameter

HEADLESS = {"head": None, "classes": 20, "only_with_count": True}


def contrastive(probe: str | None = None, classes: int = 10, first: bool = False, width: int = 128, **names: str) -> Parts:
    """Return SimCLR with a linear classifier on the features if a name for it is given."""
    projector = names.get("projector", "projector")

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, ...]:
        h = model.encoder(x)
        z = model.get_submodule(projector)(h).norm(dim=1)
        return (model.get_submodule(probe)(h.detach()), z) if probe else (z,)

    layers = {projector: stack(32, 48, width)}
    online = {probe: nn.Linear(32, classes)} if probe else {}
    return Parts(forward, encoder=Trunk(32), **(online | layers if first else layers | online))


def momentum(query: str, key: str, head: nn.Module, name: str = "fc", queue: int = 64) -> Parts:
    """Return MoCo: two copies of one encoder and a queue of keys, or a student and its teacher."""

    first = ResNet(name, 0, layer=head)
    second = copy.deepcopy(first).requires_grad_(False)
    for one in second.parameters():
        one.add_(torch.randn_like(one) * 0.02)
    buffers = {"queue": torch.randn(128, queue), "queue_ptr": torch.zeros(1, dtype=torch.long)} if queue else {}
    return Parts(lambda m, x: m.get_submodule(query)(x), **{query: first, key: second}, **buffers)


def predicting(width: int, probe: str | None, classes: int = 10) -> Parts:
    """Return SimSiam or BYOL: a projector with norms and a predictor, perhaps with an online classifier."""

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, ...]:
        h = model.backbone(x)
        p = model.predictor(model.projection_mlp(h)).norm(dim=1)
        return (model.get_submodule(probe)(h.detach()), p) if probe else (p,)

    parts = {
        "backbone": Trunk(32),
        "projection_mlp": stack(32, 64, width, norm=True),
        "predictor": stack(width, 16, width, norm=True),
    }
    return Parts(forward, **parts, **({probe: nn.Linear(32, classes)} if probe else {}))


class Dino(nn.Module):
    """DINO's head: a perceptron and a layer with normed weights of many prototypes."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.backbone = Trunk(32)
        self.head = nn.Module()
        self.head.mlp = stack(32, 48, 24)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.head.last_layer = nn.utils.weight_norm(nn.Linear(24, out, bias=False))
        self.register_buffer("center", torch.zeros(1, out))

    def forward(self, x: Tensor) -> Tensor:
        return self.head.last_layer(fn.normalize(self.head.mlp(self.backbone(x)), dim=1)) - self.center


class Masked(nn.Module):
    """A masked autoencoder of patches, with a classifier on its mean token if a name for it is given."""

    def __init__(self, probe: str | None, classes: int = 10) -> None:
        super().__init__()
        self.patch_embed = nn.Linear(48, 32)
        self.mask_token = parameter(1, 1, 24)
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True), 1)
        self.norm = nn.LayerNorm(32)
        if probe:
            self.add_module(probe, nn.Linear(32, classes))
        self.decoder_embed = nn.Linear(32, 24)
        self.decoder_norm = nn.LayerNorm(24)
        self.decoder_pred = nn.Linear(24, 48)
        self.name = probe

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        patches = fn.unfold(x, 4, stride=4).transpose(1, 2)
        x = self.norm(self.blocks(self.patch_embed(patches)))
        drawn = self.decoder_pred(self.decoder_norm(self.decoder_embed(x) + self.mask_token)) - patches
        return (self.get_submodule(self.name)(x.mean(1)), drawn) if self.name else (drawn,)


def image_and_text(width: int = 24) -> Parts:
    """Return CLIP: two encoders and two projections (features, common width), given as raw parameters."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        words = model.token_embedding(torch.randint(0, 500, (len(x), 8))).mean(1)
        return (
            model.logit_scale
            * fn.normalize(model.visual(x) @ model.visual_proj)
            @ fn.normalize(words @ model.text_projection).T
        )

    parts = {"visual": Trunk(32), "token_embedding": nn.Embedding(500, 40), "visual_proj": parameter(32, width)}
    parts |= {"text_projection": parameter(40, width), "logit_scale": nn.Parameter(torch.tensor(2.0))}
    return Parts(forward, **parts)


def clustered(prototypes: int) -> Parts:
    """Return SwAV: a projector and a layer of prototypes."""
    forward = lambda m, x: m.prototypes(fn.normalize(m.projection_head(m.net(x))))  # noqa: E731
    return Parts(
        forward, net=Trunk(32), projection_head=stack(32, 48, 24), prototypes=nn.Linear(24, prototypes, bias=False)
    )


CASES = [
    Case("simclr", lambda: contrastive(), **HEADLESS),
    Case("simclr_online_classifier", lambda: contrastive("online_classifier"), "online_classifier", **ASK),
    Case("supcon_projector_as_many", lambda: contrastive("clf", 24, projector="proj_head", width=24), "clf", **ASK_ALWAYS),
    Case("moco", lambda: momentum("encoder_q", "encoder_k", nn.Linear(32, 128)), **HEADLESS),
    Case("moco_v2", lambda: momentum("encoder_q", "encoder_k", stack(32, 32, 128)), **HEADLESS),
    Case(
        "teacher_and_student",
        lambda: momentum("student", "teacher", nn.Linear(32, 10), queue=0),
        "student.fc",
        **ASK_ALWAYS,
    ),
    Case(
        "online_and_target", lambda: momentum("online", "target", nn.Linear(32, 10), "clf", 0), "online.clf", **ASK_ALWAYS
    ),
    Case("simsiam", lambda: predicting(64, None), **HEADLESS),
    Case("simsiam_with_classifier", lambda: predicting(64, "clf"), "clf", **ASK),
    Case("simsiam_projection_is_classes", lambda: predicting(20, "online_fc", 20), "online_fc", **ASK_ALWAYS),
    Case("dino", lambda: Dino(200), **HEADLESS),
    Case("masked_autoencoder", lambda: Masked(None), **HEADLESS),
    Case("masked_autoencoder_with_probe", lambda: Masked("probe", 10), "probe", **ASK),
    Case("masked_autoencoder_probe_is_pixels", lambda: Masked("sonde", 48), "sonde", **ASK_ALWAYS),
    Case("clip", lambda: image_and_text(), **HEADLESS),
    Case("swav", lambda: clustered(300), **HEADLESS),
]
