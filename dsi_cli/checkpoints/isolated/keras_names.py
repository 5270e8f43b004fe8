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
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsi_cli.checkpoints.epochs import natural_key
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
_PASSED = frozenset(
    {
        *(
            "Activation",
            "Softmax",
            "Dropout",
            "Reshape",
            "Flatten",
            "Permute",
            "Rescaling",
            "Identity",
            "UnitNormalization",
        ),
        *(f"{kind}Pooling{axes}D" for kind in ("GlobalAverage", "GlobalMax", "Average", "Max") for axes in (1, 2, 3)),
    }
)
"""Layers without weights that may stand between the classifier and the output."""
_COUNT = re.compile(r"_(\d{1,9})$")
_NUMBER = re.compile(r":\d+$")
_LONGEST_NAME = 1024
_MOST_LETTERS = 4 << 20
"""Of the names of all parameters in one file; the largest networks of keras.applications have 100,000."""
_DEEPEST = 32
_MOST_LAYERS = 20_000


@dataclass(frozen=True)
class H5Dataset:
    """An array of an HDF5 file.

    Attributes
    ----------
    address : where its header stands; what was written later mostly stands behind
    path : the name by which h5py finds it
    """

    address: int
    path: str
    dtype: str
    shape: tuple[int, ...]


@dataclass
class H5Group:
    """A group of an HDF5 file: what it holds by name, and its attributes that are texts."""

    address: int
    members: dict[str, H5Group | H5Dataset] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)


class _Planned(NamedTuple):
    """A layer in a model's configuration.

    Attributes
    ----------
    name : the layer's own name
    layers : its layers by the names that Keras 3 gives their groups, in the model's order
    is_output : whether it computes an output of the model that it is a layer of
    """

    name: str
    layers: dict[str, _Planned]
    is_output: bool


class _Named(NamedTuple):
    """A parameter with a readable name and the name of its place in the file, which is used if the former is taken."""

    name: str
    path: str
    array: H5Dataset
    is_output: bool


def parameters(root: H5Group, config: Any = None) -> Iterator[tuple[str, H5Dataset, bool]]:
    """Yield name, array and whether its layer computes an output of the model, of each parameter that is not the optimiser's.

    Parameters
    ----------
    root : the groups of the file
    config : the model's configuration as Keras serialises it, if there is one

    Raises
    ------
    UnreadableError
        The names are too long.
    """
    top = root.members.get(_WEIGHTS)
    top = top if isinstance(top, H5Group) else root
    plan = _plan(config)
    named = _of_keras_2(top, plan) if _listed(top, "layer_names") else _Namer().of_model(top, plan, is_output=True)
    taken: set[str] = set()
    left = _MOST_LETTERS
    for one in named:
        left -= max(len(one.name), len(one.path))
        if left < 0:
            raise UnreadableError(f"the names of its parameters have more than {_MOST_LETTERS} letters in all")
        name = one.path if one.name in taken else one.name
        if name not in taken:
            taken.add(name)
            yield name, one.array, one.is_output and len(one.array.shape) > 1


def is_keras(root: H5Group) -> bool:
    """Return whether a file is in the form of Keras 2 or 3, and not just some HDF5."""
    groups = [root, *(one for one in root.members.values() if isinstance(one, H5Group))]
    if any(_listed(group, "layer_names") for group in groups):
        return True
    return any(_OWN in group.members for group in groups) or bool(_LAYERS & set(root.members))


def _require_short(*names: str) -> None:
    """Raise if a name is too long: whatever lies below it would repeat it."""
    longest = max(map(len, names))
    if longest > _LONGEST_NAME:
        raise UnreadableError(f"a parameter has a name of {longest} letters; dsi reads up to {_LONGEST_NAME}")


def _listed(group: H5Group, name: str) -> list[str]:
    """Return a list of texts that Keras keeps in an attribute, or in several if it is too long for one."""
    found = list(group.texts.get(name, []))
    part = 0
    while f"{name}{part}" in group.texts:
        found.extend(group.texts[f"{name}{part}"])
        part += 1
    return found


def _of_keras_2(top: H5Group, plan: dict[str, _Planned]) -> Iterator[_Named]:
    # Variables of the model itself stand behind its layers in the file; first here, for the last layer is the classifier.
    by_name = {one.name: one for one in plan.values()}
    for layer in dict.fromkeys(["top_level_model_weights", *_listed(top, "layer_names")]):
        group = _at(top, layer)
        for weight in dict.fromkeys(_listed(group, "weight_names")) if isinstance(group, H5Group) else ():
            array = _at(group, weight)
            if isinstance(array, H5Dataset):
                is_output = layer in by_name and _computes_output(by_name[layer], set(weight.split("/")))
                yield _Named(_short(layer, weight), _dotted(f"{layer}/{weight}"), array, is_output)


def _computes_output(layer: _Planned, parts: set[str]) -> bool:
    """Return whether a weight whose name has these parts belongs to the layer of a (nested) model that computes its output."""
    inner = layer.layers.values()
    return layer.is_output and (not inner or any(one.name in parts and _computes_output(one, parts) for one in inner))


def _at(group: H5Group | H5Dataset | None, path: str) -> H5Group | H5Dataset | None:
    node = group
    for part in path.split("/"):
        node = node.members.get(part) if isinstance(node, H5Group) else None
    return node


def _short(layer: str, weight: str) -> str:
    """Return a parameter's name without the layer's said twice: ``dense/kernel`` of ``sequential/dense/kernel:0``."""
    before, found, rest = f"/{weight}".partition(f"/{layer}/")
    return _dotted(f"{layer}/{rest if found else before[1:]}")


def _dotted(path: str) -> str:
    return _NUMBER.sub("", path).replace("/", ".")


class _Namer:
    """Names the variables of a file of Keras 3, or of any HDF5 file by its groups."""

    def __init__(self) -> None:
        self._written: dict[int, int] = {}

    def of_model(
        self,
        group: H5Group,
        plan: dict[str, _Planned],
        name: str = "",
        path: str = "",
        kind: str = "",
        *,
        is_output: bool = False,
    ) -> Iterator[_Named]:
        """Yield all parameters below a layer or model, which computes an output or not."""
        _require_short(name, path)
        for key, node in self._ordered(group, {}):
            here = f"{path}{_dotted(key)}"
            if isinstance(node, H5Dataset):
                yield _Named(f"{name}{_dotted(key)}", here, node, False)
            elif key == _OWN and name:
                # The layers of a nested model compute its output, not its own variables.
                yield from self._variables(node, name, here, kind, is_output=is_output and not plan)
            elif key in _LAYERS:
                yield from self._layers(node, plan, f"{name}layers.", f"{here}.", is_output=is_output)
            else:
                yield from self.of_model(node, {}, f"{name}{key}.", f"{here}.", _base(key))

    def _layers(
        self, group: H5Group, plan: dict[str, _Planned], name: str, path: str, *, is_output: bool
    ) -> Iterator[_Named]:
        for key, node in self._ordered(group, plan):
            here = f"{path}{_dotted(key)}"
            if isinstance(node, H5Dataset):
                yield _Named(f"{name}{_dotted(key)}", here, node, False)
                continue
            planned = plan.get(key, _Planned("", {}, False))
            own = self._own_name(node) or planned.name
            shown = key if _base(own) == _base(key) or not own else _dotted(own)
            is_last = is_output and planned.is_output
            yield from self.of_model(node, planned.layers, f"{name}{shown}.", f"{here}.", _base(key), is_output=is_last)

    def _own_name(self, layer: H5Group) -> str:
        own = layer.members.get(_OWN)
        return next(iter(own.texts.get("name", [])), "") if isinstance(own, H5Group) else ""

    def _variables(self, group: H5Group, name: str, path: str, kind: str, *, is_output: bool) -> Iterator[_Named]:
        """Yield a layer's own variables, of which Keras 3 keeps the order alone."""
        tensors = [(key, one) for key, one in group.members.items() if isinstance(one, H5Dataset)]
        tensors.sort(key=lambda item: natural_key(item[0]))
        named = _VARIABLES.get(kind) or _VARIABLES.get(_base(next(iter(group.texts.get("name", [])), "")))
        if named is None:
            named = ("kernel", "bias") if tensors and len(tensors[0][1].shape) > 1 else ()
        elif len(named) != len(tensors):
            named = ()
        for place, (key, tensor) in enumerate(tensors):
            given = named[place] if place < len(named) and key == str(place) else _dotted(key)
            yield _Named(f"{name}{given}", f"{path}.{_dotted(key)}", tensor, is_output)

    def _ordered(self, group: H5Group, plan: dict[str, _Planned]) -> list[tuple[str, H5Group | H5Dataset]]:
        """Return what a group holds in the model's order, as far as it is known; its own variables first."""
        members = sorted(group.members.items(), key=lambda item: natural_key(item[0]))
        written = {key: self._last_address(node) for key, node in members}
        if _agrees(written):
            members.sort(key=lambda item: written[item[0]])
        places = {key: place for place, key in enumerate(plan)}
        return sorted(members, key=lambda item: (item[0] != _OWN, places.get(item[0], len(places))))

    def _last_address(self, node: H5Group | H5Dataset) -> int:
        """Return the last address of what lies below: single parts may stand in gaps further ahead."""
        if isinstance(node, H5Dataset):
            return node.address
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
    layers = _dicts(inner.get("layers") if isinstance(inner, dict) and depth < _DEEPEST else None)[:_MOST_LAYERS]
    outputs = _output_layers(inner, layers) if isinstance(inner, dict) else set()
    found: dict[str, _Planned] = {}
    counts: dict[str, int] = {}
    for layer in layers:
        kind = layer.get("class_name")
        if isinstance(kind, str):
            base = _snake(kind)
            count = counts[base] = counts.get(base, -1) + 1
            own = _own_name(layer)
            found[f"{base}_{count}" if count else base] = _Planned(own, _plan(layer, depth + 1), own in outputs)
    return found


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _own_name(layer: dict[str, Any]) -> str:
    config = layer.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return name if isinstance(name, str) else ""


def _output_layers(model: dict[str, Any], layers: list[dict[str, Any]]) -> set[str]:
    """Return the names of the layers with weights that compute a model's outputs: the steps after them are passed over."""
    by_name = {_own_name(layer): layer for layer in layers}
    names = list(by_name)
    is_row = "output_layers" not in model
    waiting = names[-1:] if is_row else list(_layer_names(model["output_layers"]))
    found: set[str] = set()
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        if by_name[name].get("class_name") not in _PASSED:
            found.add(name)
        elif is_row:
            waiting.extend(names[max(0, names.index(name) - 1) : names.index(name)])
        else:
            waiting.extend(_layer_names(by_name[name].get("inbound_nodes")))
    return found


def _layer_names(node: Any) -> Iterator[str]:
    """Yield the names of layers to which a part of a configuration refers: ``[name, node, tensor]`` at any depth."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list) and len(one) >= 3 and isinstance(one[0], str) and isinstance(one[1], int):
            yield one[0]
        elif isinstance(one, list | dict):
            waiting.extend(one.values() if isinstance(one, dict) else one)


def _snake(name: str) -> str:
    """Return a class's name as Keras 3 turns it into a group's.

    >>> [_snake(name) for name in ("Dense", "Conv2D", "BatchNormalization", "GlobalAveragePooling2D")]
    ['dense', 'conv2d', 'batch_normalization', 'global_average_pooling2d']
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
