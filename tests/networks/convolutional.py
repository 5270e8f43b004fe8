"""Convolutional networks and perceptrons as tutorials, theses and papers write them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from networks.cases import Case, images, vectors


class Cnn(nn.Module):
    """Two convolutions with batch norm, and one linear layer of any name."""

    def __init__(self, head: str, classes: int, width: int = 32, bias: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(2)
        self.add_module(head, nn.Linear(width, classes, bias=bias))
        self.last = head

    def embed(self, x: Tensor) -> Tensor:
        x = self.pool(fn.relu(self.bn1(self.conv1(x))))
        return fn.relu(self.bn2(self.conv2(x))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.embed(x))


class HeadFirst(nn.Module):
    """The head is registered before the layers that feed it."""

    def __init__(self, head: str, classes: int, width: int = 32) -> None:
        super().__init__()
        self.add_module(head, nn.Linear(width, classes))
        self.conv1 = nn.Conv2d(3, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, width, 3, padding=1)
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(fn.relu(self.conv2(fn.relu(self.conv1(x)))).mean((2, 3)))


class Tutorial(nn.Module):
    """LeNet as in PyTorch's tutorials, with linear layers of any names and widths."""

    def __init__(self, names: Sequence[str], widths: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.names = tuple(names)
        for name, (width, following) in zip(names, pairwise((64, *widths)), strict=True):
            self.add_module(name, nn.Linear(width, following))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(fn.relu(self.conv1(x)))
        x = self.pool(fn.relu(self.conv2(x))).flatten(1)
        for name in self.names[:-1]:
            x = fn.relu(self.get_submodule(name)(x))
        return self.get_submodule(self.names[-1])(x)


class Perceptron(nn.Module):
    """Linear layers, given by name and width, with ReLU between them."""

    def __init__(self, features: int, **widths: int) -> None:
        super().__init__()
        self.names = tuple(widths)
        for (name, following), width in zip(widths.items(), (features, *widths.values()), strict=False):
            self.add_module(name, nn.Linear(width, following))

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names[:-1]:
            x = fn.relu(self.get_submodule(name)(x))
        return self.get_submodule(self.names[-1])(x)


def stack(*widths: int, norm: bool = False, dropout: bool = False) -> nn.Sequential:
    """Return linear layers of these widths in a Sequential, with ReLU between them."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [nn.Linear(width, following)]
        layers += [nn.BatchNorm1d(following)] if norm else []
        layers += [nn.ReLU()] + ([nn.Dropout(0.1)] if dropout else [])
    kept = 1 + norm + dropout
    return nn.Sequential(*layers[:-kept])


class Wrapped(nn.Module):
    """A Sequential under an attribute of any name."""

    def __init__(self, name: str, layers: nn.Module) -> None:
        super().__init__()
        self.add_module(name, layers)
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.name)(x.flatten(1))


class Block(nn.Module):
    """ResNet's basic block."""

    def __init__(self, width: int, following: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, following, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(following)
        self.conv2 = nn.Conv2d(following, following, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(following)
        side = nn.Sequential()
        if stride != 1 or width != following:
            side = nn.Sequential(nn.Conv2d(width, following, 1, stride, bias=False), nn.BatchNorm2d(following))
        self.add_module(shortcut, side)
        self.side = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(fn.relu(self.bn1(self.conv1(x)))))
        return fn.relu(out + self.get_submodule(self.side)(x))


class ResNet(nn.Module):
    """A small ResNet with a head of any name, which may be a Sequential."""

    def __init__(
        self, head: str, classes: int, width: int = 32, shortcut: str = "downsample", layer: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1, shortcut), Block(16, 16, 1, shortcut))
        self.layer2 = nn.Sequential(Block(16, width, 2, shortcut))
        self.add_module(head, layer if layer is not None else nn.Linear(width, classes))
        self.last = head

    def embed(self, x: Tensor) -> Tensor:
        return self.layer2(self.layer1(fn.relu(self.bn1(self.conv1(x))))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.embed(x))


class Vgg(nn.Module):
    """Convolutions under ``features`` and a stack of linear layers under any name."""

    def __init__(self, head: str, hidden: int, classes: int, norm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, following in pairwise((3, 8, 16, 16)):
            layers += [nn.Conv2d(width, following, 3, padding=1)]
            layers += ([nn.BatchNorm2d(following)] if norm else []) + [nn.ReLU(), nn.MaxPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.add_module(head, stack(64, hidden, hidden, classes, dropout=True))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.avgpool(self.features(x)).flatten(1))


class AllConvolutional(nn.Module):
    """No linear layer: the last 1x1 convolution has an output a class, and global pooling follows."""

    def __init__(self, head: str, classes: int, width: int = 32, hidden: int | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, width, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(width, hidden or width, 1)
        self.add_module(head, nn.Conv2d(hidden or width, classes, 1))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        x = fn.relu(self.conv3(fn.relu(self.conv2(fn.relu(self.conv1(x))))))
        return self.get_submodule(self.last)(x).mean((2, 3))


class Nin(nn.Sequential):
    """Network in network: one Sequential of convolutions, classes at its end."""

    def __init__(self, classes: int) -> None:
        block = [nn.Conv2d(3, 24, 5, padding=2), nn.ReLU(), nn.Conv2d(24, 20, 1), nn.ReLU(), nn.MaxPool2d(2)]
        block += [nn.Conv2d(20, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, classes, 1)]
        super().__init__(*block, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Fire(nn.Module):
    """SqueezeNet's block."""

    def __init__(self, width: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = fn.relu(self.squeeze(x))
        return fn.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """Fire blocks, and a Sequential of dropout, 1x1 convolution, ReLU and pooling."""

    def __init__(self, head: str, classes: int, squeezed: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), Fire(16, squeezed, 16), Fire(32, squeezed, 24))
        last = nn.Conv2d(48, classes, 1)
        self.add_module(head, nn.Sequential(nn.Dropout(0.1), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        self.last = head

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.last)(self.features(x))


CASES = [
    Case("cnn_fc_underscore", lambda: Cnn("_fc", 10), images(), "_fc"),
    Case("cnn_clf", lambda: Cnn("clf", 20, 48), images(), "clf"),
    Case("cnn_decide_square", lambda: Cnn("decide", 32, 32), images(), "decide"),
    Case("cnn_my_final_mapping", lambda: Cnn("my_final_mapping", 7), images(), "my_final_mapping"),
    Case("cnn_without_bias", lambda: Cnn("zuordnung", 12, bias=False), images(), "zuordnung"),
    Case("cnn_binary", lambda: Cnn("sortie", 2), images(), "sortie"),
    Case("cnn_more_classes_than_width", lambda: Cnn("ausgabe", 40, 24), images(), "ausgabe"),
    Case("cnn_as_many_classes_as_filters", lambda: Cnn("entscheidung", 16, 48), images(), "entscheidung"),
    Case("cnn_200_classes", lambda: Cnn("verdict", 200), images(), "verdict"),
    Case("head_first", lambda: HeadFirst("top", 20), images(), "top"),
    Case("head_first_square", lambda: HeadFirst("couche_finale", 24, 24), images(), "couche_finale"),
    Case("head_first_classes_as_filters", lambda: HeadFirst("readout", 24, 40), images(), "readout"),
    Case("tutorial", lambda: Tutorial(["fc1", "fc2", "fc3"], [48, 32, 10]), images(), "fc3"),
    Case("tutorial_widths_are_classes", lambda: Tutorial(["fc1", "fc2", "fc3"], [20, 20, 20]), images(), "fc3"),
    Case("tutorial_hidden_named_fc", lambda: Tutorial(["fc", "l3"], [48, 20]), images(), "l3"),
    Case("tutorial_hidden_named_classifier", lambda: Tutorial(["classifier", "z"], [64, 9]), images(), "z"),
    Case("tutorial_hidden_named_head", lambda: Tutorial(["head", "salida"], [20, 20]), images(), "salida"),
    Case("tutorial_more_classes", lambda: Tutorial(["dense", "dense_1"], [16, 40]), images(), "dense_1"),
    Case("chain_of_two_square", lambda: Perceptron(48, fc1=20, fc2=20), vectors(48), "fc2"),
    Case("perceptron_l1_l2_l3", lambda: Perceptron(40, l1=64, l2=32, l3=15), vectors(40), "l3"),
    Case("perceptron_all_square", lambda: Perceptron(16, a=16, b=16, c=16), vectors(16), "c"),
    Case("perceptron_bottleneck", lambda: Perceptron(64, enc=48, code=4, out=11), vectors(64), "out"),
    Case("perceptron_fc_then_out_layer", lambda: Perceptron(40, fc1=30, fc2=30, out_layer=5), vectors(40), "out_layer"),
    Case("perceptron_w_h_w_o", lambda: Perceptron(40, W_h=64, W_o=8), vectors(40), "W_o"),
    Case("perceptron_french", lambda: Perceptron(40, couche1=32, couche2=32, décision=6), vectors(40), "décision"),
    Case("softmax_regression", lambda: Wrapped("W", nn.Linear(96, 10)), vectors(96), "W"),
    Case("sequential_mlp", lambda: stack(64, 48, 32, 10), vectors(64), "4"),
    Case("sequential_mlp_norm", lambda: stack(64, 48, 48, 13, norm=True), vectors(64), "6"),
    Case("sequential_mlp_square", lambda: stack(24, 24, 24, 24), vectors(24), "4"),
    Case("sequential_mlp_eleven", lambda: stack(16, *[32] * 6, 10), vectors(16), "12"),
    Case("wrapped_mlp_6", lambda: Wrapped("mlp", stack(48, 32, 32, 32, 20)), vectors(48), "mlp.6"),
    Case("wrapped_layers", lambda: Wrapped("layers", stack(48, 20, 20, norm=True)), vectors(48), "layers.3"),
    Case("wrapped_netz_binary", lambda: Wrapped("netz", stack(48, 32, 2, dropout=True)), vectors(48), "netz.3"),
    Case("resnet_linear", lambda: ResNet("linear", 10, shortcut="shortcut"), images(), "linear"),
    Case("resnet_fc", lambda: ResNet("fc", 20), images(), "fc"),
    Case("resnet_square", lambda: ResNet("clasificador", 32), images(), "clasificador"),
    Case("resnet_classes_as_downsample", lambda: ResNet("_head_", 16, 48), images(), "_head_"),
    Case("resnet_fc_stack", lambda: ResNet("fc", 0, layer=stack(32, 48, 20, dropout=True)), images(), "fc.3"),
    Case("resnet_fc_stack_square", lambda: ResNet("fc", 0, layer=stack(32, 20, 20)), images(), "fc.2"),
    Case(
        "resnet_fc_in_sequential",
        lambda: ResNet("fc", 0, layer=nn.Sequential(nn.Dropout(), nn.Linear(32, 6))),
        images(),
        "fc.1",
    ),
    Case("resnet_stack_under_final", lambda: ResNet("final", 0, layer=stack(32, 64, 32, 100)), images(), "final.4"),
    Case("vgg_classifier", lambda: Vgg("classifier", 48, 10), images(), "classifier.6"),
    Case("vgg_hidden_is_classes", lambda: Vgg("classifier", 20, 20), images(), "classifier.6"),
    Case("vgg_odd_name", lambda: Vgg("tete", 32, 16, norm=True), images(), "tete.6"),
    Case("vgg_more_classes_than_hidden", lambda: Vgg("dense", 24, 40), images(), "dense.6"),
    Case("all_convolutional", lambda: AllConvolutional("conv4", 10), images(), "conv4", then=True),
    Case("all_convolutional_square", lambda: AllConvolutional("conv4", 32), images(), "conv4", then=True),
    Case("all_convolutional_chain", lambda: AllConvolutional("logits", 20, hidden=20), images(), "logits", then=True),
    Case("network_in_network", lambda: Nin(10), images(), "9", then=True),
    Case("network_in_network_classes_as_mlpconv", lambda: Nin(20), images(), "9", then=True),
    Case("squeezenet", lambda: SqueezeNet("classifier", 10), images(), "classifier.1", then=True),
    Case("squeezenet_classes_as_squeeze", lambda: SqueezeNet("ende", 8), images(), "ende.1", then=True),
]
