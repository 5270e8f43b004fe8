"""Find the state dicts in a checkpoint's contents, and the trainer that wrote it.

A state dict is a mapping of names to tensors under any keys, or the parameters of a
pickled module. Optimisers and schedulers are not searched. To support another trainer,
add a line to `TRAINERS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from dsi_cli.checkpoints.pickle.objects import PickledGlobal, PickledObject, array_of
from dsi_cli.checkpoints.tensors import FLOATS, Tensor

RAW, EMA = "raw", "ema"
_AVERAGED = re.compile(
    r"(^|[_.])(ema|swa|averaged?|shadow|teacher)(?=$|[_.])|^ema(?=$|[_.]|model|net)|(?-i:[a-z]E(ma|MA)$)",
    re.IGNORECASE,
)
_NOT_WEIGHTS = re.compile(
    r"optim|sched|^opt(_state)?$|scaler|^callbacks$|^loops$|rng|message_hub|^hyper_parameters$|^buffer$",
    re.IGNORECASE,
)
TRAINING_STATE = re.compile(
    r"optim|sched|criterion|scaler|(?<![a-z])(opt|loss|rng|random_?states?|training_args|history)(?![a-z])",
    re.IGNORECASE,
)
"""Names of files that hold no network."""
_AVERAGED_MODEL_COUNT = "n_averaged"  # the buffer of torch's ``AveragedModel``
_LAYER_WEIGHT = re.compile(
    r"(^|\.)(weight\w*|kernel|parametrizations\.weight\.original\d)$"
)
"""Names of the weights of layers."""
_LISTS = (("coefs_", "weights", "W"), ("intercepts_", "biases", "b"))
"""The names of the lists of weights and of biases of networks that are written without
a library of layers.
"""
_MAX_DEPTH = 12
_MAX_PLAIN_VALUES = 1_000_000
_MAX_NAME_LENGTH = 1024
_CHARACTERS_PER_NODE = 64  # this many characters of names count as one more node
_MAX_NODES = 200_000
"""The maximum number of mappings, modules and parameters visited in one file. Shared
ones count each time.
"""


class NestedStateDict(NamedTuple):
    """The parameters of one model in a checkpoint."""

    path: tuple[str, ...]  # the keys that lead to the state dict
    tensors: dict[str, Tensor]  # the parameters by name, in the order of the file
    role: str  # ``raw`` or ``ema`` (any averaged weights)


class Trainer(NamedTuple):
    """A trainer that is recognised by the contents of its checkpoints."""

    name: str
    # a test of whether this trainer wrote a checkpoint, given its contents
    wrote: Callable[[dict[str, Any]], bool]
    counts_from: int | None
    """The number that it writes after the first epoch; None if it writes no epoch or
    its users choose the number.
    """


def as_dict(value: Any) -> dict[Any, Any]:
    """Return a mapping unchanged, and an empty mapping for anything else."""
    return value if isinstance(value, dict) else {}


def _has(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda tree: all(name in tree for name in names)


def _is_mmengine(tree: dict[str, Any]) -> bool:
    meta = as_dict(tree.get("meta"))
    config = meta.get("cfg")
    return (
        "mmengine_version" in meta
        or "mmcv_version" in meta
        or (isinstance(config, str) and "mmengine" in config)
    )


TRAINERS = (
    Trainer(
        "composer",
        lambda tree: {"model", "timestamp"} <= as_dict(tree.get("state")).keys(),
        1,
    ),
    Trainer("lightning", _has("pytorch-lightning_version"), 0),
    Trainer("mmengine", _is_mmengine, 1),
    Trainer("ultralytics", _has("train_args", "ema", "updates"), 0),
    Trainer("ignite", lambda tree: "epoch_length" in as_dict(tree.get("trainer")), 1),
    Trainer("timm", _has("state_dict", "arch", "version", "epoch"), 0),
    Trainer(
        "pytorch-examples",
        _has("epoch", "arch", "state_dict", "best_acc1", "optimizer"),
        1,
    ),
    Trainer(
        "torchvision", _has("model", "optimizer", "lr_scheduler", "args", "epoch"), 0
    ),
    Trainer("deepspeed", _has("module", "ds_version"), None),
    Trainer(
        "keras", lambda tree: "keras_version" in as_dict(tree.get("__metadata__")), 1
    ),
    Trainer(
        "fastai",
        lambda tree: set(tree) == {"model", "opt"} and "hypers" in as_dict(tree["opt"]),
        0,
    ),
)
HUGGING_FACE, PLAIN = "transformers", "plain"


def trainer_of(tree: Any) -> Trainer:
    """Return the trainer that wrote a checkpoint with these contents; `PLAIN` (a custom
    training loop) if none is recognised.
    """
    plain = Trainer(PLAIN, lambda _tree: True, None)
    return next(
        (
            trainer
            for trainer in TRAINERS
            if isinstance(tree, dict) and trainer.wrote(tree)
        ),
        plain,
    )


def state_dicts(tree: Any) -> list[NestedStateDict]:
    """Return every state dict in inert contents, in the order of the file."""
    # Some trainers store the averaged weights under the key that usually holds the raw
    # ones.
    roles: dict[str, str] = {}
    for trainer, raw in (
        ("lightning", "current_model_state"),
        ("mmengine", "ema_state_dict"),
    ):
        if isinstance(tree, dict) and raw in tree and trainer_of(tree).name == trainer:
            roles = {"state_dict": EMA, raw: RAW}
    groups: list[NestedStateDict] = []
    for path, tensors in _find_tensors(tree):
        role = EMA if any(map(is_averaged, path)) else RAW
        role = roles.get("".join(path[:1]), role)
        groups += [
            NestedStateDict(path, part, part_role)
            for part_role, part in _split_by_role(tensors, role)
        ]
    return groups


def is_averaged(name: str) -> bool:
    """Return whether a name is that of averaged weights: ``model_ema``, ``teacher``.

    >>> is_averaged("model_ema"), is_averaged("schema")
    (True, False)
    """
    return _AVERAGED.search(name) is not None


def network_id(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return a text that is equal for two checkpoints of one network, whose layers have
    weights of the same shapes.

    It does not depend on a common prefix of all names (``module.``), on vectors and
    buffers, or on how a weight is stored (pruned, normalised). It also ignores position
    embeddings, whose size changes with that of the images.
    """
    layers = {}
    for name, shape in shapes.items():
        if len(shape) > 1 and _LAYER_WEIGHT.search(name):
            layer, parametrised, _ = name.partition(".parametrizations.")
            layers[layer if parametrised else name.rpartition(".")[0]] = shape
    # All names begin with the common prefix of the first and the last name in
    # alphabetical order.
    first, last = (min(layers), max(layers)) if layers else ("", "")
    prefix = takewhile(
        lambda pair: pair[0] == pair[1],
        zip(first.split(".")[:-1], last.split(".")[:-1], strict=False),
    )
    start = sum(len(part) + 1 for part, _ in prefix)
    text = "\n".join(
        sorted(f"{name[start:]} {shape}" for name, shape in layers.items())
    )
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def is_training_state(
    tree: Any, state_dicts: Sequence[NestedStateDict], file_name: str
) -> bool:
    """Return whether a file holds only the state of an optimiser, a scheduler or a
    criterion, and no network.

    Its name or its contents must show it. A file whose weights cannot be found for
    another reason is not such a file.
    """
    if any(
        "." in name or len(tensor.shape) > 1
        for group in state_dicts
        for name, tensor in group.tensors.items()
    ):
        return False
    if TRAINING_STATE.search(file_name) or _is_optimiser(tree):
        return True
    items = as_dict(tree).items()
    if any(
        key == "last_epoch" or _NOT_WEIGHTS.search(str(key)) or _is_optimiser(value)
        for key, value in items
    ):
        return True
    # Numbers with texts, such as the losses of all epochs.
    pending, seen = [tree], set()
    for node in pending:
        if isinstance(node, dict) or type(node) in (list, tuple):
            if id(node) not in seen:
                seen.add(id(node))
                pending += node.values() if isinstance(node, dict) else node
        elif node is not None and not isinstance(node, int | float | str):
            return False
        if len(seen) > _MAX_NODES:
            return False
    return any(isinstance(node, int | float) for node in pending)


def _split_by_role(
    tensors: dict[str, Tensor], role: str
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield raw and averaged parameters of one state dict apart (``model.fc.weight``,
    ``ema_model.fc.weight``).
    """
    # A state dict of torch's AveragedModel is averaged as a whole.
    others = tensors.keys() - {_AVERAGED_MODEL_COUNT}
    if _AVERAGED_MODEL_COUNT in tensors and all(
        name.startswith("module.") for name in others
    ):
        yield EMA, tensors
        return
    if role == RAW:
        averaged = {name for name in tensors if is_averaged(name.split(".", 1)[0])}
    else:
        averaged = set()
    if not averaged or len(averaged) == len(tensors):
        yield role, tensors
        return
    yield (
        RAW,
        {name: tensor for name, tensor in tensors.items() if name not in averaged},
    )
    yield EMA, {name: tensor for name, tensor in tensors.items() if name in averaged}


def _find_tensors(tree: Any) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Yield each mapping that holds tensors, with its path of keys and indices; the
    state of an optimiser is skipped.
    """
    seen: set[int] = set()
    pending: list[tuple[tuple[str, ...], Any]] = (
        [] if _is_optimiser(tree) else [((), tree)]
    )
    budget = _MAX_NODES
    while pending and budget > 0:
        path, node = pending.pop()
        contents = node.state if isinstance(node, PickledObject) else node
        if id(contents) in seen or len(path) > _MAX_DEPTH:
            continue
        seen.add(id(contents))
        # The parameters of a pickled module are one state dict.
        module, visited = _module_tensors(node, budget)
        budget -= 1 + visited
        if module:
            yield (*path, "<module>"), module
            continue
        # A Tensor is a tuple, too.
        mapping = as_dict(contents)
        items = list(mapping.items())
        if isinstance(node, list) or type(node) is tuple:
            items = list(enumerate(node[:_MAX_NODES]))
        tensors = {
            key: tensor
            for key, value in mapping.items()
            if (tensor := _tensor(key, value)) is not None
        }
        tensors |= _layers_in_lists(mapping)
        if not path and isinstance(node, list):
            tensors = _named_by_position(node)
        if tensors:
            yield path, tensors
        # Search the containers within, the first one first.
        for key, value in reversed(items):
            is_container = (
                isinstance(value, dict | list | PickledObject) or type(value) is tuple
            )
            if (
                is_container
                and not _is_optimiser(value)
                and not _NOT_WEIGHTS.search(str(key))
            ):
                pending.append(((*path, str(key)), value))


def _layers_in_lists(mapping: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the weights and biases that a network of NumPy or scikit-learn keeps in
    two lists, named by their numbers.
    """
    tensors: dict[str, Tensor] = {}
    lists = [
        [(key, mapping[key]) for key in keys if isinstance(mapping.get(key), list)]
        for keys in _LISTS
    ]
    if any(len(found) != 1 for found in lists):
        return {}
    (weights_key, weights), (biases_key, biases) = lists[0][0], lists[1][0]
    for index, (weight, bias) in enumerate(
        zip(weights[:_MAX_NODES], biases, strict=False)
    ):
        for key, value in ((weights_key, weight), (biases_key, bias)):
            tensor = _tensor(key, value)
            if tensor is None or tensor.dtype not in FLOATS:
                return {}
            tensors[f"{key}{index}"] = tensor
    return tensors


def _named_by_position(arrays: Sequence[Any]) -> dict[str, Tensor]:
    """Return the weights of a network that are stored as a list, in the order of its
    layers; empty for any other list.

    Flower stores the values of a state dict, and Keras has ``get_weights()``. Each
    matrix begins a layer, whose bias may follow. Normalisations have an even number of
    vectors.
    """
    layers: list[dict[int, Tensor]] = []
    for index, item in enumerate(arrays[:_MAX_NODES]):
        array = array_of(item) if isinstance(item, PickledObject) else item
        if isinstance(array, int) or (isinstance(array, Tensor) and not array.shape):
            continue  # a counter of batches
        if (
            not isinstance(array, Tensor)
            or array.dtype not in FLOATS
            or min(array.shape) < 1
        ):
            return {}
        if len(array.shape) > 1 or not layers:
            layers.append({})
        layers[-1][index] = array
    weight = _weight_name(
        [[array.shape for array in layer.values()] for layer in layers]
    )
    if weight is None:
        return {}
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        first, *vectors = layer
        tensors[f"arr_{first}.{weight}"] = layer[first]
        if len(vectors) % 2 == 1:
            tensors[f"arr_{first}.bias"] = layer[vectors.pop(0)]
        tensors |= {f"arr_{index}.weight": layer[index] for index in vectors}
    return tensors


def _weight_name(layers: Sequence[Sequence[tuple[int, ...]]]) -> str | None:
    """Return whether matrices have a row (``weight``) or a column (``kernel``) for each
    output; None for data or predictions.

    ``layers`` has the shape of each matrix and those of the vectors after it.
    """
    pairs = [(vectors[0], matrix) for matrix, *vectors in layers if vectors]
    columns = sum(
        (vector == matrix[-1:]) - (vector == matrix[:1]) for vector, matrix in pairs
    )
    name, width_in, width_out = ("kernel", -2, -1) if columns > 0 else ("weight", 1, 0)
    # In a network, a matrix takes the output of another one, or the flattened output of
    # a convolution.
    outputs, channels = set[int](), set[int]()
    for shape, *_ in layers:
        if len(shape) == 1:
            continue
        if pairs and (
            shape[width_in] in outputs
            or any(shape[width_in] % width == 0 for width in channels)
        ):
            return name
        outputs.add(shape[width_out])
        if len(shape) > 2 and shape[width_out] > 0:
            channels.add(shape[width_out])
    return None


def _tensor(key: Any, value: Any) -> Tensor | None:
    """Return the tensor of an entry in a state dict, which may be a NumPy array or the
    packed weight of a quantised layer.
    """
    if not isinstance(key, str):
        return None
    if isinstance(value, PickledObject):
        return array_of(value)
    if key.endswith("._packed_params") and isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, Tensor) else None


def _is_optimiser(node: Any) -> bool:
    node = node.state if isinstance(node, PickledObject) else node
    return isinstance(node, dict) and "param_groups" in node and "state" in node


def _module_tensors(node: Any, budget: int) -> tuple[dict[str, Tensor], int]:
    """Return the parameters of a pickled module (empty for anything else), and the
    number of visited nodes, at most ``budget``.
    """
    tensors: dict[str, Tensor] = {}
    visited = 0
    seen: set[int] = set()
    pending: list[tuple[str, Any]] = [("", node)]
    while pending and visited < budget:
        prefix, module = pending.pop()
        parts = _module_parts(module)
        if parts is None or id(module.state) in seen or len(prefix) > _MAX_NAME_LENGTH:
            continue
        seen.add(id(module.state))
        values, children = parts
        names = [name for name, _ in (*values, *children) if isinstance(name, str)]
        visited += (
            1
            + len(names)
            + sum(len(prefix) + len(name) for name in names) // _CHARACTERS_PER_NODE
        )
        if visited > budget:
            break
        tensors |= {
            f"{prefix}{name}": value
            for name, value in values
            if isinstance(value, Tensor)
        }
        pending += [(f"{prefix}{name}.", child) for name, child in reversed(children)]
    return tensors, visited


def _module_parts(
    node: Any,
) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]] | None:
    """Return the values and the children of a pickled module, of Python or of
    TorchScript; None for anything else.
    """
    state = node.state if isinstance(node, PickledObject) else None
    if not isinstance(state, dict):
        return None
    if "_modules" not in state:
        if not isinstance(
            node.callee, PickledGlobal
        ) or not node.callee.module.startswith("__torch__"):
            return None
        return list(state.items()), [
            (name, value)
            for name, value in state.items()
            if isinstance(value, PickledObject)
        ]
    # A state dict does not contain buffers that are not persistent.
    skipped = state.get("_non_persistent_buffers_set")
    skipped = skipped if isinstance(skipped, set | frozenset) else ()
    members = [
        *as_dict(state.get("_parameters")).items(),
        *as_dict(state.get("_buffers")).items(),
    ]
    values = [(name, value) for name, value in members if name not in skipped]
    # A quantised layer packs its weight and bias.
    packed = state.get("_packed_params")
    packed = packed.state if isinstance(packed, PickledObject) else None
    if isinstance(packed, tuple) and packed and isinstance(packed[0], tuple):
        values += [("_packed_params", value) for value in packed[0][:1]]
    return values, list(as_dict(state["_modules"]).items())


def plain_data(node: Any, depth: int = 4) -> Any:
    """Return contents as plain dicts, lists and scalars, from which metadata is read.
    Tensors and unknown objects become None.

    A pickled object (a ``Namespace``, a config) is replaced by its state. At most
    ``depth`` levels and a million values are kept, because a list may contain itself.
    All further values become None.
    """
    return _plain_data(node, depth, [_MAX_PLAIN_VALUES], is_top=True)


def _plain_data(node: Any, depth: int, budget: list[int], *, is_top: bool) -> Any:
    budget[0] -= 1
    if isinstance(node, PickledObject):
        node = node.state if isinstance(node.state, dict) else node.items
    if isinstance(node, Tensor | PickledGlobal) or depth < 0 or budget[0] < 0:
        return None
    if isinstance(node, dict):
        items = list(node.items())
        if is_top:
            items = [
                item
                for item in items
                if item[0] == "hyper_parameters"
                or not _NOT_WEIGHTS.search(str(item[0]))
            ]
        items = [
            (key, value)
            for key, value in items[: max(0, budget[0])]
            if not isinstance(key, PickledObject)
        ]
        return {
            key: _plain_data(value, depth - 1, budget, is_top=False)
            for key, value in items
        }
    if isinstance(node, list | tuple):
        return [
            _plain_data(value, depth - 1, budget, is_top=False)
            for value in node[: max(0, budget[0])]
        ]
    return node if node is None or isinstance(node, str | int | float) else None
