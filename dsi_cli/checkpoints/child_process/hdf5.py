"""HDF5 files, read with ``h5py``: Keras' weights and models, and arrays in groups. dsi
does not follow soft or external links.

Keras 3 identifies a layer by its class and a count (``layers/dense_1/vars/0``) and
stores the layer's name as an attribute. Keras 2 uses the layer's name
(``dense_1/dense_1/kernel:0``). Both become names like those of a state dict:
``layers.predictions.kernel`` and ``dense_1.kernel``. For Keras 3, the layer's name is
used if it was chosen by a person. Kernels stay as (inputs, outputs).

HDF5 lists names alphabetically (``dense_10`` before ``dense_2``), so the order comes
from the configuration. Without a configuration, it is the order of writing, if this
agrees with the counts of the layers. Otherwise, it is the natural order of names.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import IO, Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.child_process import FileContents, dtype_name
from dsi_cli.checkpoints.file_access import parse_json_or_none
from dsi_cli.checkpoints.file_names import natural_key
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import PendingError, UnreadableError

_MAX_DEPTH = 32
_MAX_OBJECTS = 20_000
# the maximum length of a configuration; the largest networks of keras.applications have
# 1 MB
_MAX_CONFIG_LENGTH = 8 << 20
_INCOMPLETE_MESSAGES = ("truncated file", "already open for write", "addr overflow")
"""The messages of the HDF5 library about files that end too early, or that another
process is writing.
"""
_WEIGHTS = "model_weights"
_LAYERS = frozenset({"layers", "_layer_checkpoint_dependencies"})
_VARS = "vars"
_VARIABLES = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
    "normalization": ("mean", "variance", "count"),
    "embedding": ("embeddings",),
    "separable_conv1d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
}
"""The names of numbered variables in Keras 3, for layers whose first variable is not a
kernel.
"""
_WITHOUT_WEIGHTS = frozenset(
    [
        "Activation",
        "Softmax",
        "Dropout",
        "Reshape",
        "Flatten",
        "Permute",
        "Rescaling",
        "Identity",
        "UnitNormalization",
    ]
    + [
        f"{kind}Pooling{axes}D"
        for kind in ("GlobalAverage", "GlobalMax", "Average", "Max")
        for axes in (1, 2, 3)
    ]
)
"""Layers without weights that can follow the classifier."""
_COUNT = re.compile(r"_(\d{1,9})$")
_NUMBER = re.compile(r":\d+$")
_MAX_NAME_LENGTH = 1024
_MAX_LAYERS = 20_000


def open_file(
    file: IO[bytes], config: str = "", version: str | None = None
) -> FileContents:
    """Return the parameters of an HDF5 file except those of the optimiser.

    Another file may store the model's configuration (``config``, a JSON text) and the
    version of Keras.
    """
    try:
        opened = h5py.File(file, "r")
        root = _read_group(opened, "", 0, [_MAX_OBJECTS])
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise _problem(error) from None
    config = config or root.text("model_config") or ""
    if len(config) <= _MAX_CONFIG_LENGTH:
        layers = _layers(parse_json_or_none(config.encode()))
    else:
        layers = {}
    top = root.members.get(_WEIGHTS)
    if not isinstance(top, _Group):
        top = root
    if top.text_list("layer_names"):
        parameters = _keras_2_parameters(top, layers)
    else:
        parameters = _keras_3_parameters(top, layers, is_output=True)
    # List the parameters; if two have one name, the second one is named by its path.
    listing = FileContents(partial(_read, opened))
    taken: set[str] = set()
    for name, path, array, is_output in parameters:
        if name in taken:
            name = path
        if name in taken:
            continue
        taken.add(name)
        listing.tensors.append((name, array.dtype, list(array.shape), array.path))
        if is_output and len(array.shape) > 1:
            listing.outputs = [*(listing.outputs or []), name]
    # Groups of these names show that Keras 2 or 3 wrote the file.
    groups = [
        root,
        *(member for member in root.members.values() if isinstance(member, _Group)),
    ]
    is_keras = any(
        group.text_list("layer_names") or _VARS in group.members for group in groups
    )
    if is_keras or not _LAYERS.isdisjoint(root.members):
        listing.values["__metadata__"] = {
            "keras_version": version or root.text("keras_version")
        }
    return listing


def _read(opened: h5py.File, path: str) -> NDArray[Any]:
    dataset = opened[path]
    if dataset.external is not None or dataset.is_virtual:
        message = (
            f"{path[:80]!r} has its elements in another file, which dsi does not open"
        )
        raise UnreadableError(message, code="outside-folder")
    # For a filter that may be left out, HDF5 2.0 can return elements of a chunk that it
    # could not decode.
    pipeline = dataset.id.get_create_plist()
    filters = [
        pipeline.get_filter(index)[0] for index in range(pipeline.get_nfilters())
    ]
    missing = next(
        (number for number in filters if not h5py.h5z.filter_avail(number)), None
    )
    if missing is not None:
        message = (
            f"{path[:80]!r} is compressed by the filter {missing} of HDF5, which dsi"
            " does not have"
        )
        raise UnreadableError(
            f"{message}; save it again with compression='gzip'", code="missing-filter"
        )
    if dataset.size and not dataset.id.get_storage_size():
        raise UnreadableError(
            f"{path[:80]!r} has elements that were never written",
            code="missing-elements",
        )
    try:
        if dataset.shape is None:
            return np.zeros(0, np.float32)
        return np.asarray(dataset[()])
    except (OSError, RuntimeError) as error:
        raise _problem(error) from None


def _problem(error: BaseException) -> PendingError | UnreadableError:
    text = " ".join(str(error).split())[:200]
    if any(message in text for message in _INCOMPLETE_MESSAGES):
        return PendingError(
            f"the HDF5 file breaks off, or is still being written: {text}",
            code="cut-off",
        )
    return UnreadableError(f"h5py cannot read it: {text}", code="damaged")


def _read_group(group: Any, path: str, depth: int, remaining: list[int]) -> _Group:
    """Return the record of an h5py group; ``remaining[0]`` is the number of objects
    that may still follow.
    """
    record = _Group(_address(group))
    for name in group.attrs:
        with suppress(OSError, TypeError, ValueError, RuntimeError, KeyError):
            value = group.attrs[name]
            if isinstance(value, np.ndarray):
                items = value.reshape(-1).tolist()
            else:
                items = [value]
            strings = [
                item.decode("utf-8", "replace") if isinstance(item, bytes) else item
                for item in items
            ]
            record.texts[name] = [item for item in strings if isinstance(item, str)]
    for name in group:
        if depth == 0 and name in ("optimizer", "optimizer_weights"):
            continue
        remaining[0] -= 1
        if remaining[0] < 0 or depth >= _MAX_DEPTH:
            message = (
                f"more than {_MAX_OBJECTS} names, or groups in groups {_MAX_DEPTH}"
                " deep: dsi does not read that"
            )
            raise UnreadableError(message, code="too-many-objects")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        member = group[name]
        member_path = f"{path}/{name}"
        if isinstance(member, h5py.Group):
            record.members[name] = _read_group(
                member, member_path, depth + 1, remaining
            )
        elif isinstance(member, h5py.Dataset):
            try:
                dtype = dtype_name(member.dtype)
            except (TypeError, ValueError):
                dtype = "type of its own"
            shape = (0,) if member.shape is None else member.shape
            record.members[name] = _Dataset(_address(member), member_path, dtype, shape)
    record.address = max(
        [record.address, *(member.address for member in record.members.values())]
    )
    return record


def _address(node: Any) -> int:
    return int(h5py.h5o.get_info(node.id).addr)


class _Dataset(NamedTuple):
    address: (
        int  # the address of its header, which mostly grows with the time of writing
    )
    path: str
    dtype: str
    shape: tuple[int, ...]


@dataclass
class _Group:
    # the highest address in the group, because single parts can fill gaps at lower
    # addresses
    address: int
    members: dict[str, _Group | _Dataset] = field(default_factory=dict)
    # its attributes that are texts
    texts: dict[str, list[str]] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """Return the first text of an attribute."""
        return next(iter(self.texts.get(name, [])), None)

    def text_list(self, name: str) -> list[str]:
        """Return a list of texts that Keras stores in one attribute, or in several
        attributes if it is long.
        """
        parts = takewhile(
            self.texts.__contains__, (f"{name}{number}" for number in itertools.count())
        )
        return [text for key in (name, *parts) for text in self.texts.get(key, [])]


class _Layer(NamedTuple):
    """A layer in a model's configuration."""

    name: str
    layers: _Layers  # the layers of a nested model
    is_output: bool  # True if the layer computes an output of its model


# the layers of a model by the names of their groups in Keras 3, in the model's order
_Layers = dict[str, _Layer]
_Parameter = tuple[str, str, _Dataset, bool]
"""A parameter: a readable name, a name from its path, its array, and whether its layer
computes an output of the model.
"""


def _keras_2_parameters(top: _Group, layers: _Layers) -> Iterator[_Parameter]:
    layers_by_name = {layer.name: layer for layer in layers.values()}
    # The file has the variables of the model itself after its layers. Here they come
    # first, so that the classifier is last.
    for layer in dict.fromkeys(
        ["top_level_model_weights", *top.text_list("layer_names")]
    ):
        group = _member_at(top, layer)
        if not isinstance(group, _Group):
            continue
        for weight in dict.fromkeys(group.text_list("weight_names")):
            array = _member_at(group, weight)
            if isinstance(array, _Dataset):
                is_output = layer in layers_by_name and _computes_output(
                    layers_by_name[layer], set(weight.split("/"))
                )
                # The layer's name occurs once: ``dense/kernel`` for
                # ``sequential/dense/kernel:0``.
                before, separator, rest = f"/{weight}".partition(f"/{layer}/")
                name = _dotted(f"{layer}/{rest if separator else before[1:]}")
                yield name, _dotted(f"{layer}/{weight}"), array, is_output


def _computes_output(layer: _Layer, parts: set[str]) -> bool:
    """Return whether a weight whose name has these parts belongs to the output layer of
    a (nested) model.
    """
    if not layer.is_output or not layer.layers:
        return layer.is_output
    return any(
        inner.name in parts and _computes_output(inner, parts)
        for inner in layer.layers.values()
    )


def _member_at(group: _Group, path: str) -> _Group | _Dataset | None:
    member: _Group | _Dataset | None = group
    for part in path.split("/"):
        member = member.members.get(part) if isinstance(member, _Group) else None
    return member


def _dotted(path: str) -> str:
    return _NUMBER.sub("", path).replace("/", ".")


def _keras_3_parameters(
    group: _Group,
    layers: _Layers,
    name: str = "",
    path: str = "",
    kind: str | None = "",
    *,
    is_output: bool = False,
) -> Iterator[_Parameter]:
    """Yield all parameters of a layer or model of a kind, or of a group of layers if
    the kind is missing.
    """
    # The names of all members repeat the name of the group.
    longest = max(len(name), len(path))
    if longest > _MAX_NAME_LENGTH:
        message = (
            f"a parameter has a name of {longest} letters; dsi reads up to"
            f" {_MAX_NAME_LENGTH}"
        )
        raise UnreadableError(message, code="names-too-long")
    for key, member in _ordered_members(group, layers if kind is None else {}):
        member_path, member_kind = f"{path}{_dotted(key)}", _without_count(key)
        if isinstance(member, _Dataset):
            yield f"{name}{_dotted(key)}", member_path, member, False
        elif kind is None:
            layer = layers.get(key, _Layer("", {}, False))
            variables = member.members.get(_VARS)
            layer_name = (
                variables.text("name") if isinstance(variables, _Group) else None
            ) or layer.name
            # A name that a person chose is more readable than class and count.
            has_chosen_name = layer_name and _without_count(layer_name) != member_kind
            prefix = f"{name}{_dotted(layer_name) if has_chosen_name else key}."
            is_last = is_output and layer.is_output
            yield from _keras_3_parameters(
                member,
                layer.layers,
                prefix,
                f"{member_path}.",
                member_kind,
                is_output=is_last,
            )
        elif key == _VARS and name:
            # In a nested model, the layers compute the output and not the variables of
            # the model itself.
            yield from _variables(
                member, name, member_path, kind, is_output=is_output and not layers
            )
        elif key in _LAYERS:
            yield from _keras_3_parameters(
                member,
                layers,
                f"{name}layers.",
                f"{member_path}.",
                None,
                is_output=is_output,
            )
        else:
            yield from _keras_3_parameters(
                member, {}, f"{name}{key}.", f"{member_path}.", member_kind
            )


def _variables(
    group: _Group, name: str, path: str, kind: str, *, is_output: bool
) -> Iterator[_Parameter]:
    """Yield the variables of a layer, of which Keras 3 stores only the order."""
    arrays = [
        (key, member)
        for key, member in group.members.items()
        if isinstance(member, _Dataset)
    ]
    arrays.sort(key=lambda item: natural_key(item[0]))
    names = _VARIABLES.get(kind) or _VARIABLES.get(
        _without_count(group.text("name") or "")
    )
    if names is None:
        names = ("kernel", "bias") if arrays and len(arrays[0][1].shape) > 1 else ()
    elif len(names) != len(arrays):
        names = ()
    for index, (key, array) in enumerate(arrays):
        has_name = index < len(names) and key == str(index)
        variable = names[index] if has_name else _dotted(key)
        yield f"{name}{variable}", f"{path}.{_dotted(key)}", array, is_output


def _ordered_members(
    group: _Group, layers: _Layers
) -> list[tuple[str, _Group | _Dataset]]:
    """Return the members of a group in the model's order, as far as it is known;
    variables come first.
    """
    members = sorted(group.members.items(), key=lambda item: natural_key(item[0]))
    # The order of writing counts if the addresses of layers of one class follow their
    # counts.
    last: dict[str, int] = {}
    follow_counts = True
    for key, member in members:
        follow_counts &= member.address >= last.get(_without_count(key), 0)
        last[_without_count(key)] = member.address
    if follow_counts:
        members.sort(key=lambda item: item[1].address)
    indices = {key: index for index, key in enumerate(layers)}
    return sorted(
        members, key=lambda item: (item[0] != _VARS, indices.get(item[0], len(indices)))
    )


def _without_count(name: str) -> str:
    return _COUNT.sub("", name)


def _layers(config: Any, depth: int = 0) -> _Layers:
    """Return the layers of a configuration by the names of their groups in Keras 3:
    class and count.
    """
    model = as_dict(as_dict(config).get("config"))
    if depth >= _MAX_DEPTH or not isinstance(model.get("layers"), list):
        return {}
    named = []
    for layer in model["layers"][:_MAX_LAYERS]:
        if isinstance(layer, dict):
            name = as_dict(layer.get("config")).get("name")
            named.append((name if isinstance(name, str) else "", layer))
    by_name = dict(named)
    names = list(by_name)
    # Find the layers with weights that compute the model's outputs; layers without
    # weights are skipped.
    is_sequential = "output_layers" not in model
    if is_sequential:
        stack = names[-1:]
    else:
        stack = list(_referenced_layers(model["output_layers"]))
    outputs: set[str] = set()
    visited: set[str] = set()
    while stack:
        name = stack.pop()
        if name in visited or name not in by_name:
            continue
        visited.add(name)
        if by_name[name].get("class_name") not in _WITHOUT_WEIGHTS:
            outputs.add(name)
        elif is_sequential:
            stack.extend(names[max(0, names.index(name) - 1) : names.index(name)])
        else:
            stack.extend(_referenced_layers(by_name[name].get("inbound_nodes")))
    # Number the layers of each class.
    layers: _Layers = {}
    counts: dict[str, int] = {}
    for name, layer in named:
        class_name = layer.get("class_name")
        if isinstance(class_name, str):
            # GlobalAveragePooling2D is global_average_pooling2d.
            kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
            kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()
            count = counts[kind] = counts.get(kind, -1) + 1
            layers[f"{kind}_{count}" if count else kind] = _Layer(
                name, _layers(layer, depth + 1), name in outputs
            )
    return layers


def _referenced_layers(node: Any) -> Iterator[str]:
    """Yield the names of layers to which a part of a configuration refers: ``[name,
    node, tensor]`` at any depth.
    """
    stack = [node]
    while stack:
        value = stack.pop()
        if (
            isinstance(value, list)
            and len(value) >= 3
            and isinstance(value[0], str)
            and isinstance(value[1], int)
        ):
            yield value[0]
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
