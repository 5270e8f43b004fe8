"""Networks without a classifier, for which any matrix would be wrong.

Labels tell a number of classes that no matrix has. By its shape, the last layer may be a classifier as well (a decoder of 784
pixels, a projection to 64 dimensions). Results without the number of classes are not judged then.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.attention import Mixer, Swin, Vit
from networks.cases import Case, tokens, vectors
from networks.convolutional import Cnn, ResNet, stack
from networks.efficient import ConvNext, MobileNet
from networks.parts import Parts, Trunk, parameter
from networks.recurrent import TextTransformer


def beheaded(model: nn.Module, head: str) -> nn.Module:
    """Return a classifier whose head was replaced by an identity, as one does for features."""
    model.add_module(head, nn.Identity())
    return model


def row(model: nn.Module, head: str, features: int, layer: nn.Module | None = None) -> nn.Module:
    """Return a network whose head has one output."""
    model.add_module(head, layer if layer is not None else nn.Linear(features, 1))
    return model


def autoencoder(*widths: int) -> Parts:
    return Parts(lambda m, x: m.decoder(m.encoder(x)).norm(), encoder=stack(*widths), decoder=stack(*reversed(widths)))


def unet(outputs: int, last: str = "outc") -> Parts:
    """Return a U-Net with 1x1 convolution at its end, for masks, depth or noise."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        first = fn.relu(model.inc(x))
        up = model.up(fn.relu(model.down(first)))
        return model.get_submodule(last)(fn.relu(model.conv(torch.cat([first, up], 1))))

    parts = {
        "inc": nn.Conv2d(3, 12, 3, padding=1),
        "down": nn.Conv2d(12, 24, 3, 2, 1),
        "up": nn.ConvTranspose2d(24, 12, 2, 2),
    }
    return Parts(forward, **parts, conv=nn.Conv2d(24, 12, 3, padding=1), **{last: nn.Conv2d(12, outputs, 1)})


def diffusion() -> Parts:
    """Return a denoiser with a perceptron for the time step."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        time = model.time_mlp(torch.randn(len(x), 16))
        return model.conv_out(fn.silu(model.conv_in(x) + time[:, :, None, None]))

    return Parts(
        forward, time_mlp=stack(16, 64, 24), conv_in=nn.Conv2d(3, 24, 3, padding=1), conv_out=nn.Conv2d(24, 3, 3, padding=1)
    )


def dense_generator(pixels: int) -> nn.Module:
    return nn.Sequential(stack(16, 32, 48, pixels, norm=True), nn.Tanh())


def metric(width: int, head: str = "embedding", norm: bool = False) -> Parts:
    layers = [nn.Linear(32, width)] + ([nn.BatchNorm1d(width)] if norm else [])
    return Parts(
        lambda m, x: fn.normalize(m.get_submodule(head)(m.backbone(x))).sum(),
        backbone=Trunk(32),
        **{head: nn.Sequential(*layers)},
    )


def language_model(tied: bool, vocabulary: int = 300) -> Parts:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    table, last = nn.Embedding(vocabulary, 32), nn.Linear(32, vocabulary, bias=False)
    if tied:
        last.weight = table.weight
    forward = lambda m, x: m.lm_head(m.h(m.wte(x)))[:, -1]  # noqa: E731
    return Parts(forward, wte=table, h=nn.TransformerEncoder(layer, 1), lm_head=last)


def recommender() -> Parts:
    """Return matrix factorisation: a table of users and a table of items."""

    def forward(model: Parts, x: Tensor) -> Tensor:
        return (model.user(x[:, 0]) * model.item(x[:, 1])).sum(1)

    return Parts(forward, user=nn.Embedding(200, 24), item=nn.Embedding(150, 24))


def actor_and_critic(actions: int) -> Parts:
    forward = lambda m, x: (m.critic(x), m.actor(x).mean())  # noqa: E731
    return Parts(forward, actor=stack(12, 32, actions), critic=stack(12, 32, 1), log_std=parameter(actions))


def capsules(classes: int) -> Parts:
    """Return a capsule network: a matrix for each pair of capsules, and a decoder of pixels."""

    def forward(model: Parts, x: Tensor) -> tuple[Tensor, Tensor]:
        small = fn.relu(model.primary(fn.relu(model.conv(x)))).reshape(len(x), -1, 8)
        votes = torch.einsum("rcoi,bri->bco", model.route_weights[0], small)
        return votes.norm(dim=2), model.decoder(votes.flatten(1))

    parts = {
        "conv": nn.Conv2d(3, 16, 5, 2),
        "primary": nn.Conv2d(16, 16, 3, 2),
        "route_weights": parameter(1, 8, classes, 6, 8),
    }
    return Parts(forward, **parts, decoder=stack(6 * classes, 48, 64))


NONE: dict[str, Any] = {"head": None, "classes": 20, "must_refuse": "."}
BY_COUNT: dict[str, Any] = NONE | {"only_with_count": True}
CASES = [
    Case("resnet_backbone", lambda: beheaded(ResNet("fc", 10), "fc"), **NONE),
    Case("vit_backbone", lambda: beheaded(Vit("head", 10), "head"), **NONE),
    Case("swin_backbone", lambda: beheaded(Swin("head", 10), "head"), **NONE),
    Case("convnext_backbone", lambda: beheaded(ConvNext("head", 10), "head"), **NONE),
    Case("mixer_backbone", lambda: beheaded(Mixer("head", 10, token_hidden=24), "head"), **NONE),
    Case("mobilenet_backbone", lambda: MobileNet("fc", nn.Identity(), project=12), **BY_COUNT),
    Case("text_backbone", lambda: beheaded(TextTransformer("fc", 6, pooler=None), "fc"), **NONE, inputs=tokens(500)),
    Case("text_backbone_with_pooler", lambda: beheaded(TextTransformer("fc", 6), "fc"), **BY_COUNT, inputs=tokens(500)),
    Case("regression", lambda: row(Cnn("fc", 2), "fc", 32), **NONE),
    Case("regression_stack", lambda: row(ResNet("fc", 2), "fc", 32, stack(32, 24, 1)), **NONE),
    Case("regression_vit", lambda: row(Vit("head", 2), "head", 32), **NONE),
    Case("autoencoder", lambda: autoencoder(96, 48, 12), **BY_COUNT, inputs=vectors(96)),
    Case("unet_of_three_channels", lambda: unet(3), **BY_COUNT),
    Case("diffusion", diffusion, **BY_COUNT),
    Case("generator_dense", lambda: dense_generator(192), **BY_COUNT, inputs=vectors(16)),
    Case("embedding_model", lambda: metric(64), **BY_COUNT),
    Case("embedding_model_with_norm", lambda: metric(128, "fc", norm=True), **BY_COUNT),
    Case("language_model", lambda: language_model(False), **BY_COUNT, inputs=tokens(300)),
    Case("language_model_tied", lambda: language_model(True), **BY_COUNT, inputs=tokens(300)),
    Case("recommender", recommender, **BY_COUNT, inputs=tokens(150)),
    Case("actor_and_critic", lambda: actor_and_critic(6), **BY_COUNT, inputs=vectors(12)),
    Case("capsules", lambda: capsules(10), **BY_COUNT | {"classes": 10}),
]
