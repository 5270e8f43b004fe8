"""What Keras means by the names in its HDF5 files: the parameters by name, in the order of the model's layers.

Keras 3 calls a layer by its class and counts (``layers/dense_1/vars/0``), and keeps its own name beside it; Keras 2 calls it by
its own name (``dense_1/dense_1/kernel:0``). Both become names like those of a state dict: ``layers.predictions.kernel``, where a
layer's own name is used if a person chose it, and ``dense_1.kernel``. Kernels stay as they are stored, (inputs, outputs).

HDF5 lists names by the alphabet (``dense_10`` before ``dense_2``). The order is therefore the configuration's; without one that
in which the layers were written, if it agrees with how layers of one class are counted; else the natural order of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from dsi_cli.checkpoints.epochs import natural
from dsi_cli.checkpoints.formats.hdf5.file import File, Group
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import UnreadableError

OPTIMIZERS = frozenset({"optimizer", "optimizer_weights"})
_WEIGHTS = "model_weights"
_LAYERS = frozenset({"layers", "_layer_checkpoint_dependencies"})
_OWN = "vars"
_VARIABLES = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
    "normalization": ("mean", "variance", "count"),
    "embedding": ("embeddings",),
    "separable_conv1d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
}
"""Names of the variables that Keras 3 numbers, for the layers whose first one is no kernel."""
_COUNT = re.compile(r"_(\d{1,9})$")
_NUMBER = re.compile(r":\d+$")
_LONGEST_NAME = 1024
_MOST_LETTERS = 4 << 20
"""Of the names of all parameters in one file; the largest networks of keras.applications have 100,000."""
_DEEPEST = 32
_MOST_LAYERS = 20_000


class _Planned(NamedTuple):
    """A layer in a model's configuration."""

    name: str
    """Its own."""
    layers: dict[str, _Planned]
    """By the names that Keras 3 gives their groups, in the model's order."""


def parameters(file: File, config: Any = None) -> dict[str, Tensor]:
    """Return the parameters of a file by name, the optimiser's left out.

    Parameters
    ----------
    config : the model's configuration as Keras serialises it, if there is one
    """
    top = file.root.members.get(_WEIGHTS)
    top = top if isinstance(top, Group) else file.root
    named = _of_keras_2(file, top) if _listed(file, top, "layer_names") else _Namer(file).of_model(top, _plan(config))
    found: dict[str, Tensor] = {}
    left = _MOST_LETTERS
    for name, path, tensor in named:
        _require_short(name, path)
        left -= max(len(name), len(path))
        if left < 0:
            raise UnreadableError(f"names of more than {_MOST_LETTERS} letters in all, which are not read")
        found.setdefault(path if name in found else name, tensor)
    return found


def _require_short(*names: str) -> None:
    """Raise where a name is too long: whatever lies below it would repeat it."""
    longest = max(map(len, names))
    if longest > _LONGEST_NAME:
        raise UnreadableError(f"a parameter with a name of {longest} letters; up to {_LONGEST_NAME} are read")


def is_keras(file: File) -> bool:
    """Return whether a file is in the form of Keras 2 or 3, and not just some HDF5."""
    if any(_listed(file, group, "layer_names") for group in _groups(file.root)):
        return True
    return any(_OWN in group.members for group in _groups(file.root)) or bool(_LAYERS & set(file.root.members))


def _groups(root: Group) -> list[Group]:
    return [root, *(one for one in root.members.values() if isinstance(one, Group))]


def _listed(file: File, group: Group, name: str) -> list[str]:
    """Return a list of texts that Keras keeps in an attribute, or in several where it is too long for one."""
    found, part = file.text(group, name), 0
    while not found or part:
        more = file.text(group, f"{name}{part}")
        if not more:
            break
        found.extend(more)
        part += 1
    return found


def _of_keras_2(file: File, top: Group) -> Iterator[tuple[str, str, Tensor]]:
    # Variables of the model itself stand behind its layers in the file; first here, for the last layer is the classifier.
    for layer in dict.fromkeys(["top_level_model_weights", *_listed(file, top, "layer_names")]):
        group = _at(top, layer)
        if isinstance(group, Group):
            for weight in dict.fromkeys(_listed(file, group, "weight_names")):
                tensor = _at(group, weight)
                if isinstance(tensor, Tensor):
                    yield _short(layer, weight), _dotted(f"{layer}/{weight}"), tensor


def _at(group: Group, path: str) -> Group | Tensor | None:
    node: Group | Tensor | None = group
    for part in path.split("/"):
        node = node.members.get(part) if isinstance(node, Group) else None
    return node


def _short(layer: str, weight: str) -> str:
    """Return a parameter's name without the layer's said twice: ``dense/kernel`` of ``sequential/dense/kernel:0``."""
    before, found, rest = f"/{weight}".partition(f"/{layer}/")
    return _dotted(f"{layer}/{rest if found else before[1:]}")


def _dotted(path: str) -> str:
    return _NUMBER.sub("", path).replace("/", ".")


class _Namer:
    """Names the variables of a file of Keras 3, or of any HDF5 file by its groups."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._written: dict[int, int] = {}

    def of_model(
        self, group: Group, plan: dict[str, _Planned], name: str = "", path: str = "", kind: str = ""
    ) -> Iterator[tuple[str, str, Tensor]]:
        """Yield name, path and tensor of all below a layer or model; as deep as `File` goes."""
        _require_short(name, path)
        for key, node in self._ordered(group, {}):
            here = f"{path}{_dotted(key)}"
            if isinstance(node, Tensor):
                yield f"{name}{_dotted(key)}", here, node
            elif key == _OWN and name:
                yield from self._variables(node, name, here, kind)
            elif key in _LAYERS:
                yield from self._layers(node, plan, f"{name}layers.", f"{here}.")
            else:
                yield from self.of_model(node, {}, f"{name}{key}.", f"{here}.", _base(key))

    def _layers(self, group: Group, plan: dict[str, _Planned], name: str, path: str) -> Iterator[tuple[str, str, Tensor]]:
        for key, node in self._ordered(group, plan):
            here = f"{path}{_dotted(key)}"
            if isinstance(node, Tensor):
                yield f"{name}{_dotted(key)}", here, node
                continue
            planned = plan.get(key, _Planned("", {}))
            own = self._own_name(node) or planned.name
            shown = key if _base(own) == _base(key) or not own else _dotted(own)
            yield from self.of_model(node, planned.layers, f"{name}{shown}.", f"{here}.", _base(key))

    def _own_name(self, layer: Group) -> str:
        own = layer.members.get(_OWN)
        return next(iter(self._file.text(own, "name")), "") if isinstance(own, Group) else ""

    def _variables(self, group: Group, name: str, path: str, kind: str) -> Iterator[tuple[str, str, Tensor]]:
        """Yield a layer's own variables, of which Keras 3 keeps the order alone."""
        tensors = [(key, one) for key, one in group.members.items() if isinstance(one, Tensor)]
        tensors.sort(key=lambda item: natural(item[0]))
        named = _VARIABLES.get(kind) or _VARIABLES.get(_base(next(iter(self._file.text(group, "name")), "")))
        if named is None:
            named = ("kernel", "bias") if tensors and len(tensors[0][1].shape) > 1 else ()
        elif len(named) != len(tensors):
            named = ()
        for place, (key, tensor) in enumerate(tensors):
            given = named[place] if place < len(named) and key == str(place) else _dotted(key)
            yield f"{name}{given}", f"{path}.{_dotted(key)}", tensor

    def _ordered(self, group: Group, plan: dict[str, _Planned]) -> list[tuple[str, Group | Tensor]]:
        """Return what a group holds in the model's order, as far as it is known; its own variables first."""
        members = sorted(group.members.items(), key=lambda item: natural(item[0]))
        written = {key: self._last_address(node) for key, node in members}
        if _agrees(written):
            members.sort(key=lambda item: written[item[0]])
        places = {key: place for place, key in enumerate(plan)}
        return sorted(members, key=lambda item: (item[0] != _OWN, places.get(item[0], len(places))))

    def _last_address(self, node: Group | Tensor) -> int:
        """Return the last address of what lies below: single parts may stand in gaps further ahead."""
        if isinstance(node, Tensor):
            return int(node.storage.key)
        if id(node) not in self._written:
            below = [self._last_address(one) for one in node.members.values()]
            self._written[id(node)] = max([node.address, *below])
        return self._written[id(node)]


def _agrees(written: dict[str, int]) -> bool:
    """Return whether layers of one class stand in the file in the order of their counts; names in their natural order."""
    last: dict[str, int] = {}
    for name, address in written.items():
        if address < last.get(_base(name), 0):
            return False
        last[_base(name)] = address
    return True


def _base(name: str) -> str:
    return _COUNT.sub("", name)


def _plan(config: Any, depth: int = 0) -> dict[str, _Planned]:
    """Return the layers of a configuration, by the names that Keras 3 gives their groups: class and count."""
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    found: dict[str, _Planned] = {}
    counts: dict[str, int] = {}
    for layer in layers[:_MOST_LAYERS] if isinstance(layers, list) and depth < _DEEPEST else ():
        kind = layer.get("class_name") if isinstance(layer, dict) else None
        if isinstance(kind, str):
            base = _snake(kind)
            count = counts[base] = counts.get(base, -1) + 1
            own = layer["config"].get("name") if isinstance(layer.get("config"), dict) else None
            found[f"{base}_{count}" if count else base] = _Planned(
                own if isinstance(own, str) else "", _plan(layer, depth + 1)
            )
    return found


def _snake(name: str) -> str:
    """Return a class's name as Keras 3 turns it into a group's.

    >>> [_snake(name) for name in ("Dense", "Conv2D", "BatchNormalization", "GlobalAveragePooling2D")]
    ['dense', 'conv2d', 'batch_normalization', 'global_average_pooling2d']
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
