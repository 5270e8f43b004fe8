"""What a trainer wrote, unwrapped: the state dicts in a checkpoint's contents, raw or averaged, and who wrote it.

A state dict is any mapping of text to tensors, under whatever keys it lies, or the parameters of a whole pickled module
(found in the stand-ins' state). Optimisers and schedulers are not walked into. Whoever adds a trainer adds a line to `TRAINERS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from dsi_cli.checkpoints.pickle.objects import PickledGlobal, PickledObject, array_of
from dsi_cli.checkpoints.tensors import Tensor

RAW, EMA = "raw", "ema"
_AVERAGED = re.compile(
    r"(^|[_.])(ema|swa|averaged?|shadow|teacher)(?=$|[_.])|^ema(?=$|[_.]|model|net)|(?-i:[a-z]E(ma|MA)$)", re.IGNORECASE
)
_NOT_WEIGHTS = re.compile(
    r"optim|sched|^opt(_state)?$|scaler|^callbacks$|^loops$|rng|message_hub|^hyper_parameters$", re.IGNORECASE
)
_TRAINING_STATE = re.compile(
    r"optim|sched|criterion|scaler|(?<![a-z])(opt|loss|rng|random_states?|training_args|history)(?![a-z])", re.IGNORECASE
)
"""Names of files that hold no network."""
_COUNT_OF_AVERAGED = "n_averaged"
_LAYER_WEIGHT = re.compile(r"(^|\.)(weight\w*|kernel|parametrizations\.weight\.original\d)$")
"""Names of the weights of layers."""
_MAX_DEPTH = 12
_MAX_EPOCH = 1_000_000_000
_MAX_PLAIN_VALUES = 1_000_000
_MAX_NAME_LENGTH = 1024
_CHARACTERS_PER_NODE = 64
"""Characters of names that count as one more of them."""
_MAX_NODES = 200_000
"""Mappings, modules and parameters that are looked at in one file, shared ones as often as they are met."""


class NestedStateDict(NamedTuple):
    """The parameters of one model in a checkpoint."""

    path: tuple[str, ...]
    """The keys that lead to it."""
    tensors: dict[str, Tensor]
    """By name, in the order in which they were registered."""
    role: str
    """``raw`` or ``ema`` (any averaged weights)."""


class Trainer(NamedTuple):
    """A trainer that can be told by what it writes."""

    name: str
    wrote: Callable[[dict[str, Any]], bool]
    """Whether a checkpoint with these top-level keys is its own."""
    counts_from: int | None
    """The epoch that it writes after the first epoch; None where its number is no epoch or its users choose it."""


def _has(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda tree: all(name in tree for name in names)


def _is_mmengine(tree: dict[str, Any]) -> bool:
    meta = tree.get("meta")
    config = meta.get("cfg") if isinstance(meta, dict) else None
    named = isinstance(config, str) and "mmengine" in config
    return isinstance(meta, dict) and ("mmengine_version" in meta or "mmcv_version" in meta or named)


def _is_ignite(tree: dict[str, Any]) -> bool:
    trainer = tree.get("trainer")
    return isinstance(trainer, dict) and "epoch_length" in trainer


def _is_composer(tree: dict[str, Any]) -> bool:
    state = tree.get("state")
    return isinstance(state, dict) and "model" in state and "timestamp" in state


def _is_keras(tree: dict[str, Any]) -> bool:
    meta = tree.get("__metadata__")
    return isinstance(meta, dict) and "keras_version" in meta


TRAINERS = (
    Trainer("composer", _is_composer, 1),
    Trainer("lightning", _has("pytorch-lightning_version"), 0),
    Trainer("mmengine", _is_mmengine, 1),
    Trainer("ultralytics", _has("train_args", "ema", "updates"), 0),
    Trainer("ignite", _is_ignite, 1),
    Trainer("timm", _has("state_dict", "arch", "version", "epoch"), 0),
    Trainer("torchvision", _has("model", "optimizer", "lr_scheduler", "args", "epoch"), 0),
    Trainer("deepspeed", _has("module", "ds_version"), None),
    Trainer("keras", _is_keras, 1),
    Trainer("fastai", lambda tree: set(tree) == {"model", "opt"}, 0),
)
HUGGING_FACE, PLAIN = "transformers", "plain"


def trainer_of(tree: Any) -> Trainer:
    """Return who wrote a checkpoint with these contents; `PLAIN` (a loop of somebody's own) where nothing tells."""
    if isinstance(tree, dict):
        for trainer in TRAINERS:
            if trainer.wrote(tree):
                return trainer
    return Trainer(PLAIN, lambda _tree: True, None)


class SavedEpoch(NamedTuple):
    """One of several epochs that a file holds."""

    label: str
    """The key of a mapping, or the place in a list, which begins at 1."""
    epoch: int
    is_numbered: bool
    """Whether a key says the epoch; if not, it is the place in a list."""
    tree: Any


def saved_epochs(tree: Any) -> list[SavedEpoch]:
    """Return the epochs that a file holds: ``{1: state_dict, 2: state_dict}``, or a list of state dicts.

    Empty for a file that holds one checkpoint. Several epochs are two or more entries whose weights have the same names and
    shapes; the keys of a mapping must be whole numbers, or texts that name an epoch (``"epoch_3"``).
    """
    if not (isinstance(tree, dict | list) or type(tree) is tuple) or len(tree) < 2:
        return []
    is_numbered = isinstance(tree, dict)
    keyed = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree, start=1))
    found: list[SavedEpoch] = []
    for key, value in keyed:
        number = _epoch_of_key(key)
        if number is None or not isinstance(value, dict | PickledObject) or _is_optimiser(value):
            return []
        found.append(SavedEpoch(str(key), number, is_numbered, value))
    first = _network(found[0].tree)
    return found if first and all(_network(entry.tree) == first for entry in found[1:]) else []


def _epoch_of_key(key: Any) -> int | None:
    if isinstance(key, str):
        found = re.fullmatch(r"(?:epochs?|ep|e)[ _=.-]*(\d{1,9})", key, re.IGNORECASE)
        return int(found[1]) if found else None
    return key if type(key) is int and 0 <= key < _MAX_EPOCH else None


def _network(node: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Return the names and shapes of all weights within some contents; empty if none is a matrix."""
    named = [(name, tensor.shape) for group in state_dicts(node) for name, tensor in group.tensors.items()]
    return named if any(len(shape) > 1 for _, shape in named) else []


def state_dicts(tree: Any, trainer: str = PLAIN) -> list[NestedStateDict]:
    """Return every state dict in inert contents, in the order in which they stand there."""
    swapped = _swapped_roles(tree, trainer)
    found: list[NestedStateDict] = []
    for path, tensors in _groups(tree):
        role = swapped.get(path[0] if path else "", EMA if any(map(_AVERAGED.search, path)) else RAW)
        for part_role, part in _by_name(tensors, role):
            found.append(NestedStateDict(path, part, part_role))
    return found


def network_id(tensors: Mapping[str, Tensor]) -> str:
    """Return a text that two checkpoints share if they are of one network: the same layers with weights of the same shapes.

    A prefix of all names (``module.``), vectors and buffers, and how a layer's weight is kept (pruned, normalised) do not count;
    nor do embeddings of positions, which change with the size of the images.
    """
    layers = {
        _layer_of(name): tensor.shape
        for name, tensor in tensors.items()
        if len(tensor.shape) > 1 and _LAYER_WEIGHT.search(name)
    }
    first, last = (min(layers), max(layers)) if layers else ("", "")
    # What the first and the last name in alphabetical order begin with, all names begin with.
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first.split(".")[:-1], last.split(".")[:-1], strict=False))
    cut = sum(len(part) + 1 for part, _ in shared)
    text = "\n".join(sorted(f"{name[cut:]} {shape}" for name, shape in layers.items()))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _layer_of(name: str) -> str:
    layer, parametrised, _ = name.partition(".parametrizations.")
    return layer if parametrised else name.rpartition(".")[0]


def is_training_state(tree: Any, state_dicts: Sequence[NestedStateDict], file_name: str) -> bool:
    """Return whether a file was written to hold no network: the state of an optimiser, a scheduler or a criterion.

    Its name or its contents must say so. A file whose weights cannot be found for another reason is not such a file.

    Parameters
    ----------
    tree : the contents
    state_dicts : the `state_dicts` in them
    file_name : without folders
    """
    if any("." in name or len(tensor.shape) > 1 for group in state_dicts for name, tensor in group.tensors.items()):
        return False
    if _TRAINING_STATE.search(file_name) or _is_optimiser(tree):
        return True
    items = _items(tree) if isinstance(tree, dict) else []
    return any(key == "last_epoch" or _NOT_WEIGHTS.search(str(key)) or _is_optimiser(value) for key, value in items)


def _swapped_roles(tree: Any, trainer: str) -> dict[str, str]:
    """Return the roles of keys under which a trainer puts the averaged weights in the raw ones' place."""
    if not isinstance(tree, dict):
        return {}
    if trainer == "lightning" and "current_model_state" in tree:
        return {"state_dict": EMA, "current_model_state": RAW}
    if trainer == "mmengine" and "ema_state_dict" in tree:
        return {"state_dict": EMA, "ema_state_dict": RAW}
    return {}


def _by_name(tensors: dict[str, Tensor], role: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Split parameters that a module keeps averaged beside its own (``model.fc.weight``, ``ema_model.fc.weight``).

    A state dict of torch's ``AveragedModel`` is averaged as a whole: it has ``n_averaged``, and all else lies under ``module.``.
    """
    if _COUNT_OF_AVERAGED in tensors and all(name.startswith("module.") for name in tensors.keys() - {_COUNT_OF_AVERAGED}):
        yield EMA, tensors
        return
    averaged = {name for name in tensors if _AVERAGED.search(name.split(".", 1)[0])} if role == RAW else set()
    if not averaged or len(averaged) == len(tensors):
        yield role, tensors
        return
    yield RAW, {name: tensor for name, tensor in tensors.items() if name not in averaged}
    yield EMA, {name: tensor for name, tensor in tensors.items() if name in averaged}


def _groups(tree: Any) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Yield each mapping that holds tensors, with its path; each object is visited once, however often it is met.

    The state of an optimiser is passed over. The path through a list or tuple has the places: ``("0",)``.
    """
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [] if _is_optimiser(tree) else [((), tree)]
    left = _MAX_NODES
    while waiting and left > 0:
        path, node = waiting.pop()
        held = node.state if isinstance(node, PickledObject) else node
        if id(held) in seen or len(path) > _MAX_DEPTH:
            continue
        seen.add(id(held))
        module, visited = _module_tensors(node, left)
        left -= 1 + visited
        if module:
            yield (*path, "<module>"), module
            continue
        items = _items(node)
        tensors = {
            key: tensor for key, value in items if isinstance(key, str) and (tensor := _tensor(key, value)) is not None
        }
        if tensors:
            yield path, tensors
        inner = [(key, value) for key, value in items if _may_hold_more(value) and not _is_optimiser(value)]
        waiting += [((*path, str(key)), value) for key, value in reversed(inner) if not _NOT_WEIGHTS.search(str(key))]


def _tensor(key: str, value: Any) -> Tensor | None:
    """Return the tensor that an entry of a state dict is: a NumPy array too, and the weight that a quantised layer packs."""
    if isinstance(value, PickledObject):
        return array_of(value)
    if key.endswith("._packed_params") and isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, Tensor) else None


def _items(node: Any) -> list[tuple[Any, Any]]:
    """Return the entries of a mapping, or of a list or tuple under their places; none for anything else."""
    if isinstance(node, PickledObject):
        node = node.state if isinstance(node.state, dict) else None
    if isinstance(node, list) or type(node) is tuple:
        return list(enumerate(node[:_MAX_NODES]))
    return list(node.items()) if isinstance(node, dict) else []


def _may_hold_more(value: Any) -> bool:
    """Return whether a value is searched for state dicts; a `Tensor` is a tuple, too."""
    return isinstance(value, dict | list | PickledObject) or type(value) is tuple


def _is_optimiser(node: Any) -> bool:
    """Return whether contents are the state of an optimiser, under whatever key they lie."""
    node = node.state if isinstance(node, PickledObject) else node
    return isinstance(node, dict) and "param_groups" in node and "state" in node


def _module_tensors(node: Any, left: int) -> tuple[dict[str, Tensor], int]:
    """Return the parameters of a whole pickled module, by their names in its state dict, and how much was looked at.

    Empty for anything else; looks at ``left`` modules and parameters at most.
    """
    found: dict[str, Tensor] = {}
    visited = 0
    if _parts_of_module(node) is None:
        return found, visited
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", node)]
    while waiting and visited < left:
        prefix, module = waiting.pop()
        parts = _parts_of_module(module)
        if parts is None or id(module.state) in seen or len(prefix) > _MAX_NAME_LENGTH:
            continue
        seen.add(id(module.state))
        held, children = parts
        names = [name for name, _ in (*held, *children) if isinstance(name, str)]
        visited += 1 + len(names) + sum(len(prefix) + len(name) for name in names) // _CHARACTERS_PER_NODE
        if visited > left:
            break
        found |= {f"{prefix}{name}": one for name, one in held if isinstance(one, Tensor)}
        waiting += [(f"{prefix}{name}.", child) for name, child in reversed(children)]
    return found, visited


def _parts_of_module(node: Any) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]] | None:
    """Return what one pickled module holds, of Python or of TorchScript, and its children; None if it is none."""
    state = node.state if isinstance(node, PickledObject) else None
    if not isinstance(state, dict):
        return None
    if "_modules" in state:
        passing = state.get("_non_persistent_buffers_set")  # not in a state dict either
        passing = passing if isinstance(passing, set | frozenset) else ()
        held = [state[kind] for kind in ("_parameters", "_buffers") if isinstance(state.get(kind), dict)]
        children = state["_modules"] if isinstance(state["_modules"], dict) else {}
        named = [item for group in held for item in group.items() if item[0] not in passing]
        packed = state.get("_packed_params")
        if (
            isinstance(packed, PickledObject)
            and isinstance(packed.state, tuple)
            and packed.state
            and isinstance(packed.state[0], tuple)
        ):
            named += [("_packed_params", value) for value in packed.state[0][:1]]  # a quantised layer's weight and bias
    elif isinstance(node.of, PickledGlobal) and node.of.module.startswith("__torch__"):
        named, children = list(state.items()), {name: one for name, one in state.items() if isinstance(one, PickledObject)}
    else:
        return None
    return named, list(children.items())


def _is_metadata(key: str) -> bool:
    return key == "hyper_parameters" or not _NOT_WEIGHTS.search(key)


def plain_data(node: Any, depth: int = 4) -> Any:
    """Return contents as plain dicts, lists and scalars: what metadata is read from. Tensors and unknown objects become None.

    A stand-in gives its state (a ``Namespace``, a config), as deep as ``depth``; what goes on beyond a million values (a
    list that holds itself) is None.
    """
    return _plain(node, depth, depth, [_MAX_PLAIN_VALUES])


def _plain(node: Any, depth: int, deepest: int, left: list[int]) -> Any:
    left[0] -= 1
    if isinstance(node, PickledObject):
        node = node.state if isinstance(node.state, dict) else node.items
    if isinstance(node, Tensor | PickledGlobal) or depth < 0 or left[0] < 0:
        return None
    if isinstance(node, dict):
        kept = [item for item in node.items() if depth < deepest or _is_metadata(str(item[0]))]
        plain_keys = [item for item in kept[: max(0, left[0])] if not isinstance(item[0], PickledObject)]
        return {key: _plain(value, depth - 1, deepest, left) for key, value in plain_keys}
    if isinstance(node, list | tuple):
        return [_plain(value, depth - 1, deepest, left) for value in node[: max(0, left[0])]]
    return node if node is None or isinstance(node, str | int | float) else None
