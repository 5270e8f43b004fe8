"""Transformers and mixers for images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, ASK_ALWAYS, Case, sequences
from networks.convolutional import stack


class Attention(nn.Module):
    """Self-attention as in timm."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = fn.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, width))


class VitBlock(nn.Module):
    """Attention and perceptron, with a norm before each."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, hidden), "fc2": nn.Linear(hidden, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](fn.gelu(self.mlp["fc1"](self.norm2(x))))


class Vit(nn.Module):
    """A vision transformer; the norm may come before or after the head among the parameters."""

    def __init__(
        self,
        head: str,
        classes: int,
        width: int = 32,
        hidden: int = 64,
        layer: nn.Module | None = None,
        norm_last: bool = False,
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.pos_embed = nn.Parameter(torch.randn(1, 17, width) * 0.1)
        self.patch_embed = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.ModuleList(VitBlock(width, hidden) for _ in range(2))
        layer = layer if layer is not None else nn.Linear(width, classes)
        if norm_last:
            self.add_module(head, layer)
        self.norm = nn.LayerNorm(width)
        if not norm_last:
            self.add_module(head, layer)
        self.last = head

    def embed(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.embed(x))


class LucidrainsVit(nn.Module):
    """The vision transformer of vit-pytorch: nested Sequentials and lists of numbers."""

    def __init__(self, head: str, classes: int, width: int = 32, hidden: int = 48, norm_in_head: bool = True) -> None:
        super().__init__()
        self.to_patch_embedding = nn.Sequential(nn.LayerNorm(48), nn.Linear(48, width), nn.LayerNorm(width))
        self.pos_embedding = nn.Parameter(torch.randn(1, 17, width) * 0.1)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.transformer = nn.ModuleDict({"layers": nn.ModuleList(self.block(width, hidden) for _ in range(2))})
        last = nn.Linear(width, classes)
        self.add_module(head, nn.Sequential(nn.LayerNorm(width), last) if norm_in_head else last)
        self.last = head

    def block(self, width: int, hidden: int) -> nn.ModuleList:
        attention = nn.ModuleDict({"norm": nn.LayerNorm(width), "fn": Attention(width)})
        perceptron = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        return nn.ModuleList([attention, perceptron])

    def forward(self, x: Tensor) -> Tensor:
        patches = fn.unfold(x, 4, stride=4).transpose(1, 2)
        x = self.to_patch_embedding(patches)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embedding
        for attention, perceptron in self.transformer["layers"]:
            x = x + attention["fn"](attention["norm"](x))
            x = x + perceptron(x)
        return self.get_submodule(self.last)(x.mean(1))


class EncoderClassifier(nn.Module):
    """PyTorch's own encoder layers under a classifier of any name."""

    def __init__(self, head: str, classes: int, features: int = 12, width: int = 32, hidden: int = 48) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        layer = nn.TransformerEncoderLayer(width, 4, hidden, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.add_module(head, nn.Linear(width, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.encoder(self.embed(x)).mean(1))


class Mixer(nn.Module):
    """MLP-Mixer: perceptrons over tokens and over channels."""

    def __init__(self, head: str, classes: int, width: int = 32, token_hidden: int = 20, channel_hidden: int = 64) -> None:
        super().__init__()
        self.per_patch_fc = nn.Conv2d(3, width, 4, 4)
        self.mixers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "layer_norm_1": nn.LayerNorm(width),
                    "token_mix": stack(16, token_hidden, 16),
                    "layer_norm_2": nn.LayerNorm(width),
                    "channel_mix": stack(width, channel_hidden, width),
                }
            )
            for _ in range(2)
        )
        self.layer_norm = nn.LayerNorm(width)
        self.add_module(head, nn.Linear(width, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = self.per_patch_fc(x).flatten(2).transpose(1, 2)
        for mixer in self.mixers:
            x = x + mixer["token_mix"](mixer["layer_norm_1"](x).transpose(1, 2)).transpose(1, 2)
            x = x + mixer["channel_mix"](mixer["layer_norm_2"](x))
        return self.get_submodule(self.last)(self.layer_norm(x).mean(1))


class SwinBlock(nn.Module):
    """Windowed attention with a table of relative positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.attn.relative_position_bias_table = nn.Parameter(torch.randn(9, heads) * 0.02)
        self.attn.register_buffer("relative_position_index", torch.randint(0, 9, (4, 4)))
        self.norm2 = nn.LayerNorm(width)
        self.mlp = stack(width, 2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x)) + self.attn.relative_position_bias_table.mean()
        return x + self.mlp(self.norm2(x))


class Swin(nn.Module):
    """Swin's stages: blocks and a linear reduction of four patches to one."""

    def __init__(self, head: str, classes: int, width: int = 16) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, width, 4, 4)
        self.layers = nn.ModuleList(
            nn.ModuleDict({"blocks": nn.ModuleList([SwinBlock(scale * width, 4)])}) for scale in (1, 2)
        )
        self.layers[0]["downsample"] = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False))
        self.norm = nn.LayerNorm(2 * width)
        self.add_module(head, nn.Linear(2 * width, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = self.layers[0]["blocks"][0](x)
        x = self.layers[0]["downsample"](x.reshape(len(x), 4, -1))
        x = self.layers[1]["blocks"][0](x)
        return self.get_submodule(self.last)(self.norm(x).mean(1))


class AttentionPooled(nn.Module):
    """Patches that are weighed by a small gate (multiple-instance learning); the gate has its own linear layers."""

    def __init__(self, head: str, classes: int, hidden: int = 20, gate_last: bool = False) -> None:
        super().__init__()
        self.feature_extractor = stack(24, 48, 40)
        if gate_last:
            self.add_module(head, nn.Linear(40, classes))
        self.attention_V = nn.Linear(40, hidden)
        self.attention_w = nn.Linear(hidden, 1)
        if not gate_last:
            self.add_module(head, nn.Linear(40, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = self.feature_extractor(x)
        weights = self.attention_w(torch.tanh(self.attention_V(x))).softmax(1)
        return self.get_submodule(self.last)((weights * x).sum(1))


CASES = [
    Case("vit_norm_after_head", lambda: Vit("decide", 12, norm_last=True), "decide"),
    Case("vit_head_stack", lambda: Vit("mlp_head", 0, layer=stack(32, 48, 20)), "mlp_head.2"),
    Case("lucidrains_mlp_head", lambda: LucidrainsVit("mlp_head", 10), "mlp_head.1"),
    Case("encoder_fc", lambda: EncoderClassifier("fc", 7), "fc", inputs=sequences(12)),
    Case("mixer_head", lambda: Mixer("mlp_head", 10), "mlp_head"),
    Case("swin_head", lambda: Swin("head", 10), "head"),
    Case("swin_nine_classes", lambda: Swin("beurteilung", 9), "beurteilung"),
    Case("attention_pooling", lambda: AttentionPooled("classifieur", 6), "classifieur", inputs=sequences(24)),
    Case(
        "attention_pooling_registered_last",
        lambda: AttentionPooled("slide", 9, gate_last=True),
        "slide",
        inputs=sequences(24),
        **ASK,
    ),
    Case(
        "attention_pooling_last_hidden_is_classes",
        lambda: AttentionPooled("slide", 20, gate_last=True),
        "slide",
        inputs=sequences(24),
        **ASK_ALWAYS,
    ),
]
