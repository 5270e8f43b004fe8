"""Networks whose blocks hold 1x1 convolutions, gates and small linear layers that look like classifiers."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import ASK, ASK_ALWAYS, Case
from networks.convolutional import stack


class Squeeze(nn.Module):
    """The squeeze-and-excitation gate with two linear layers."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class SeNet(nn.Module):
    """Convolutions with gates; the last gate may be registered after the head."""

    def __init__(self, head: str, classes: int, width: int = 32, hidden: int = 8, gate_last: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.se1 = Squeeze(16, hidden)
        self.conv2 = nn.Conv2d(16, width, 3, 2, 1)
        if gate_last:
            self.add_module(head, nn.Linear(width, classes))
        self.se2 = Squeeze(width, hidden)
        if not gate_last:
            self.add_module(head, nn.Linear(width, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = self.se2(fn.relu(self.conv2(self.se1(fn.relu(self.stem(x))))))
        return self.get_submodule(self.last)(x.mean((2, 3)))


class Inverted(nn.Module):
    """MobileNet's inverted residual: expand, depthwise, gate by 1x1 convolutions, project."""

    def __init__(self, width: int, expanded: int, following: int, gate: int = 0) -> None:
        super().__init__()
        self._expand_conv = nn.Conv2d(width, expanded, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(expanded)
        self._depthwise_conv = nn.Conv2d(expanded, expanded, 3, 1, 1, groups=expanded, bias=False)
        self._bn1 = nn.BatchNorm2d(expanded)
        if gate:
            self._se_reduce = nn.Conv2d(expanded, gate, 1)
            self._se_expand = nn.Conv2d(gate, expanded, 1)
        self._project_conv = nn.Conv2d(expanded, following, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(following)
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        x = fn.relu6(self._bn0(self._expand_conv(x)))
        x = fn.relu6(self._bn1(self._depthwise_conv(x)))
        if self.gate:
            x = x * torch.sigmoid(self._se_expand(fn.relu(self._se_reduce(x.mean((2, 3), keepdim=True)))))
        return self._bn2(self._project_conv(x))


class MobileNet(nn.Module):
    """Inverted residuals, a last 1x1 convolution and a classifier of any name and kind."""

    def __init__(self, head: str, layer: nn.Module, project: int = 10, gate: int = 0, features: int = 48) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 12, 3, 2, 1, bias=False)
        self._blocks = nn.ModuleList([Inverted(12, 24, project, gate), Inverted(project, 40, 20, gate)])
        self._conv_head = nn.Conv2d(20, features, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(features)
        self.add_module(head, layer)
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = self._conv_stem(x)
        for block in self._blocks:
            x = block(x)
        x = fn.relu6(self._bn1(self._conv_head(x))).mean((2, 3))
        last = self.get_submodule(self.last)
        return last(x[:, :, None, None]).flatten(1) if isinstance(last, nn.Conv2d) else last(x)


class Separable(nn.Module):
    """Depthwise and pointwise convolutions in nameless Sequentials, as in MobileNet's first version."""

    def __init__(self, head: str, classes: int, widths: tuple[int, ...] = (16, 20, 32)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, widths[0], 3, 2, 1), nn.BatchNorm2d(widths[0]), nn.ReLU())]
        for width, following in pairwise(widths):
            depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width)
            layers.append(
                nn.Sequential(depthwise, nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, following, 1), nn.ReLU())
            )
        self.model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.add_module(head, nn.Linear(widths[-1], classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.model(x).flatten(1))


class DenseNet(nn.Module):
    """Dense layers whose inputs grow, transitions by 1x1 convolution, a last norm and a classifier."""

    def __init__(self, head: str, classes: int, growth: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2 * growth, 3, padding=1, bias=False)
        self.dense1 = nn.ModuleList(self.layer((2 + step) * growth, growth) for step in range(2))
        self.trans1 = nn.Conv2d(4 * growth, 2 * growth, 1, bias=False)
        self.dense2 = nn.ModuleList(self.layer((2 + step) * growth, growth) for step in range(2))
        self.bn = nn.BatchNorm2d(4 * growth)
        self.add_module(head, nn.Linear(4 * growth, classes))
        self.last = head

    def layer(self, width: int, growth: int) -> nn.Sequential:
        narrow = nn.Conv2d(width, 2 * growth, 1, bias=False)
        wide = nn.Conv2d(2 * growth, growth, 3, padding=1, bias=False)
        return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), narrow, nn.BatchNorm2d(2 * growth), nn.ReLU(), wide)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for layer in self.dense1:
            x = torch.cat([x, layer(x)], 1)
        x = self.trans1(x)
        for layer in self.dense2:
            x = torch.cat([x, layer(x)], 1)
        return self.get_submodule(self.last)(fn.relu(self.bn(x)).mean((2, 3)))


class Inception(nn.Module):
    """Branches that are concatenated, and a helping classifier amid the network if a name for it is given."""

    def __init__(self, head: str, classes: int, helper: str | None = None, helper_last: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        if helper and not helper_last:
            self.add_module(helper, stack(16, 24, classes))
        self.b1 = nn.Conv2d(16, 8, 1)
        self.b2 = nn.Sequential(nn.Conv2d(16, 10, 1), nn.ReLU(), nn.Conv2d(10, 12, 3, padding=1))
        self.b3 = nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 12, 5, padding=2))
        self.add_module(head, nn.Linear(32, classes))
        if helper and helper_last:
            self.add_module(helper, stack(16, 24, classes))
        self.last, self.helper = head, helper

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = fn.relu(self.stem(x))
        mixed = fn.relu(torch.cat([self.b1(x), self.b2(x), self.b3(x)], 1))
        logits = self.get_submodule(self.last)(mixed.mean((2, 3)))
        return (logits, self.get_submodule(self.helper)(x.mean((2, 3)))) if self.helper else logits


class ConvNextBlock(nn.Module):
    """Depthwise convolution, norm, two linear layers over channels, layer scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.pwconv2(fn.gelu(self.pwconv1(y)))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Stages and the layers between them in separate lists; a norm and a head of any name."""

    def __init__(self, head: str, classes: int, width: int = 12) -> None:
        super().__init__()
        stem, between = nn.Conv2d(3, width, 4, 4), nn.Conv2d(width, 2 * width, 2, 2)
        self.downsample_layers = nn.ModuleList([stem, between])
        self.stages = nn.ModuleList([ConvNextBlock(width), ConvNextBlock(2 * width)])
        self.norm = nn.LayerNorm(2 * width)
        self.add_module(head, nn.Linear(2 * width, classes))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        for down, block in zip(self.downsample_layers, self.stages, strict=True):
            x = block(down(x))
        return self.get_submodule(self.last)(self.norm(x.mean((2, 3))))


CASES = [
    Case("senet", lambda: SeNet("klassifikator", 10), "klassifikator"),
    Case("senet_gate_registered_last", lambda: SeNet("decision", 20, gate_last=True), "decision", **ASK),
    Case("efficientnet_fc", lambda: MobileNet("_fc", nn.Linear(48, 10), gate=4), "_fc"),
    Case(
        "mobilenet_classifier",
        lambda: MobileNet("classifier", nn.Sequential(nn.Dropout(), nn.Linear(48, 9))),
        "classifier.1",
    ),
    Case("mobilenet_two_layers", lambda: MobileNet("classifier", stack(48, 64, 16)), "classifier.2"),
    Case("separable_more_classes", lambda: Separable("linear_7", 40, (12, 12, 24)), "linear_7"),
    Case("densenet_linear", lambda: DenseNet("linear", 7), "linear"),
    Case("inception", lambda: Inception("l_out", 10), "l_out"),
    Case("inception_aux_before", lambda: Inception("clf", 20, "aux_fc"), "clf"),
    Case("inception_aux_after", lambda: Inception("clf", 20, "aux_logits", True), "clf"),
    Case("inception_side_after", lambda: Inception("principal", 20, "auxiliaire", True), "principal", **ASK_ALWAYS),
    Case("convnext_head", lambda: ConvNext("head", 10), "head"),
]
