"""What a trainer wrote, unwrapped: the state dicts in a checkpoint's contents, raw or averaged, and who wrote it.

A state dict is any mapping of text to tensors, under whatever keys it lies, or the parameters of a whole pickled module
(found in the stand-ins' state). Optimisers and schedulers are not walked into. Whoever adds a trainer adds a line to `TRAINERS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dsi_cli.checkpoints.stand_ins import Global, Stub, array_of
from dsi_cli.checkpoints.tensors import Tensor

RAW, EMA = "raw", "ema"
_AVERAGED = re.compile(
    r"(^|[_.])(ema|swa|averaged?|shadow|teacher)(?=$|[_.])|^ema(?=$|[_.]|model|net)|(?-i:[a-z]E(ma|MA)$)", re.IGNORECASE
)
_NOT_WEIGHTS = re.compile(
    r"optim|sched|^opt(_state)?$|scaler|^callbacks$|^loops$|rng|message_hub|^hyper_parameters$", re.IGNORECASE
)
_DEEPEST = 12
_MOST_PLAIN = 1_000_000
_LONGEST_NAME = 1024
_TEXT_OF_A_NODE = 64
"""Characters of names that count as one more of them."""
_MOST_NODES = 200_000
"""Mappings, modules and parameters that are looked at in one file, shared ones as often as they are met."""


class StateDict(NamedTuple):
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


def state_dicts(tree: Any, trainer: str = PLAIN) -> list[StateDict]:
    """Return every state dict in inert contents, in the order in which they stand there."""
    swapped = _swapped_roles(tree, trainer)
    found: list[StateDict] = []
    for path, tensors in _groups(tree):
        role = swapped.get(path[0] if path else "", EMA if any(map(_AVERAGED.search, path)) else RAW)
        for part_role, part in _by_name(tensors, role):
            found.append(StateDict(path, part, part_role))
    return found


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
    """Split parameters that a module keeps averaged beside its own (``model.fc.weight``, ``ema_model.fc.weight``)."""
    averaged = {name for name in tensors if _AVERAGED.search(name.split(".", 1)[0])} if role == RAW else set()
    if not averaged or len(averaged) == len(tensors):
        yield role, tensors
        return
    yield RAW, {name: tensor for name, tensor in tensors.items() if name not in averaged}
    yield EMA, {name: tensor for name, tensor in tensors.items() if name in averaged}


def _groups(tree: Any) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """Yield each mapping that holds tensors, with its path; each object is visited once, however often it is met."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    left = _MOST_NODES
    while waiting and left > 0:
        path, node = waiting.pop()
        held = node.state if isinstance(node, Stub) else node
        if id(held) in seen or len(path) > _DEEPEST:
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
        inner = [(key, value) for key, value in items if isinstance(value, dict | Stub)]
        waiting += [((*path, str(key)), value) for key, value in reversed(inner) if not _NOT_WEIGHTS.search(str(key))]


def _tensor(key: str, value: Any) -> Tensor | None:
    """Return the tensor that an entry of a state dict is: a NumPy array too, and the weight that a quantised layer packs."""
    if isinstance(value, Stub):
        return array_of(value)
    if key.endswith("._packed_params") and isinstance(value, tuple) and value:
        value = value[0]
    return value if isinstance(value, Tensor) else None


def _items(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, Stub):
        node = node.state
    return list(node.items()) if isinstance(node, dict) else []


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
        if parts is None or id(module.state) in seen or len(prefix) > _LONGEST_NAME:
            continue
        seen.add(id(module.state))
        held, children = parts
        names = [name for name, _ in (*held, *children) if isinstance(name, str)]
        visited += 1 + len(names) + sum(len(prefix) + len(name) for name in names) // _TEXT_OF_A_NODE
        if visited > left:
            break
        found |= {f"{prefix}{name}": one for name, one in held if isinstance(one, Tensor)}
        waiting += [(f"{prefix}{name}.", child) for name, child in reversed(children)]
    return found, visited


def _parts_of_module(node: Any) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]] | None:
    """Return what one pickled module holds, of Python or of TorchScript, and its children; None if it is none."""
    state = node.state if isinstance(node, Stub) else None
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
            isinstance(packed, Stub)
            and isinstance(packed.state, tuple)
            and packed.state
            and isinstance(packed.state[0], tuple)
        ):
            named += [("_packed_params", value) for value in packed.state[0][:1]]  # a quantised layer's weight and bias
    elif isinstance(node.of, Global) and node.of.module.startswith("__torch__"):
        named, children = list(state.items()), {name: one for name, one in state.items() if isinstance(one, Stub)}
    else:
        return None
    return named, list(children.items())


def _is_metadata(key: str) -> bool:
    return key == "hyper_parameters" or not _NOT_WEIGHTS.search(key)


def plain(node: Any, depth: int = 4) -> Any:
    """Return contents as plain dicts, lists and scalars: what metadata is read from. Tensors and unknown objects become None.

    A stand-in gives its state (a ``Namespace``, a config), as deep as ``depth``; what goes on beyond a million values (a
    list that holds itself) is None.
    """
    return _plain(node, depth, depth, [_MOST_PLAIN])


def _plain(node: Any, depth: int, deepest: int, left: list[int]) -> Any:
    left[0] -= 1
    if isinstance(node, Stub):
        node = node.state if isinstance(node.state, dict) else node.items
    if isinstance(node, Tensor | Global) or depth < 0 or left[0] < 0:
        return None
    if isinstance(node, dict):
        kept = [item for item in node.items() if depth < deepest or _is_metadata(str(item[0]))]
        plain_keys = [item for item in kept[: max(0, left[0])] if not isinstance(item[0], Stub)]
        return {key: _plain(value, depth - 1, deepest, left) for key, value in plain_keys}
    if isinstance(node, list | tuple):
        return [_plain(value, depth - 1, deepest, left) for value in node[: max(0, left[0])]]
    return node if node is None or isinstance(node, str | int | float) else None
