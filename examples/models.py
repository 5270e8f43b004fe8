"""The two networks of dsi's demo: a small CNN and a tiny ViT; each takes ``(N, 3, 32,
32)`` float images and returns logits.

``cnn`` and ``vit`` build them, here and for ``dsi analyze --model
examples/models.py:cnn``.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class SmallCNN(nn.Module):
    """Blocks of convolution, normalisation and ReLU, mean over the image, and a linear
    classifier ``fc``.
    """

    def __init__(self, classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in pairwise((3, *widths)):
            layers += [nn.MaxPool2d(2)] if layers else []
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
            layers.append(
                nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
            )
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, classes)``."""
        logits: Tensor = self.fc(self.features(images).mean((2, 3)))
        return logits


class Block(nn.Module):
    """A transformer's block: attention and a small perceptron, each on normalised input
    and added to it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(N, T, width)``."""
        count, length, width = tokens.shape
        parts = self.qkv(self.norm1(tokens)).reshape(
            count, length, 3, self.heads, width // self.heads
        )
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.proj(
            attended.transpose(1, 2).reshape(count, length, width)
        )
        return tokens + self.fc2(functional.gelu(self.fc1(self.norm2(tokens))))


class TinyViT(nn.Module):
    """A vision transformer with patches of 4 x 4, a class token, and a linear
    classifier ``head``.
    """

    def __init__(self, classes: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 4, 4)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 8 * 8 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, classes)``."""
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        tokens = (
            torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1)
            + self.pos_embed
        )
        logits: Tensor = self.head(self.norm(self.blocks(tokens)[:, 0]))
        return logits


def cnn(classes: int = 100) -> nn.Module:
    """Return the demo's CNN, 639,180 parameters for 100 classes; the classifier is
    ``fc``, 320 wide.
    """
    return SmallCNN(classes, (40, 80, 160, 320))


def vit(classes: int = 100) -> nn.Module:
    """Return the demo's ViT, 147,876 parameters for 100 classes; the classifier is
    ``head``, 64 wide.
    """
    return TinyViT(classes, width=64, depth=4, heads=2)
