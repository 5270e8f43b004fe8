"""What a trainer wrote, unwrapped: the state dicts in a checkpoint's contents, raw or averaged, and who wrote it.

A state dict is any mapping of text to tensors, under whatever keys it lies, or the parameters of a whole pickled module
(found in the stand-ins' state). Optimisers and schedulers are not walked into. Whoever adds a trainer adds a line to `TRAINERS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dsi_cli.checkpoints.stand_ins import Global, Stub
from dsi_cli.checkpoints.tensors import Tensor

RAW, EMA = "raw", "ema"
_AVERAGED = re.compile(r"(^|[_.])(ema|swa|averaged?|shadow|teacher)(?=$|[_.])|^ema|ema$", re.IGNORECASE)
_NOT_WEIGHTS = re.compile(r"optim|sched|^opt$|scaler|^callbacks$|^loops$|rng|message_hub|^hyper_parameters$", re.IGNORECASE)
_DEEPEST = 12
_MOST_PLAIN = 1_000_000
_LONGEST_NAME = 1024
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


TRAINERS = (
    Trainer("lightning", _has("pytorch-lightning_version"), 0),
    Trainer("mmengine", _is_mmengine, 1),
    Trainer("ultralytics", _has("train_args", "ema", "updates"), 0),
    Trainer("ignite", _is_ignite, 1),
    Trainer("timm", _has("state_dict", "arch", "version", "epoch"), 0),
    Trainer("torchvision", _has("model", "optimizer", "lr_scheduler", "args", "epoch"), 0),
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
        tensors = {key: value for key, value in items if isinstance(key, str) and isinstance(value, Tensor)}
        if tensors:
            yield path, tensors
        inner = [(key, value) for key, value in items if isinstance(value, dict | Stub)]
        waiting += [((*path, str(key)), value) for key, value in reversed(inner) if not _NOT_WEIGHTS.search(str(key))]


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
    if not (isinstance(node, Stub) and isinstance(node.state, dict) and "_modules" in node.state):
        return found, visited
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", node)]
    while waiting and visited < left:
        prefix, module = waiting.pop()
        state = module.state if isinstance(module, Stub) else None
        if not isinstance(state, dict) or id(module) in seen or len(prefix) > _LONGEST_NAME:
            continue
        seen.add(id(module))
        passing = state.get("_non_persistent_buffers_set")  # not in a state dict either
        passing = passing if isinstance(passing, set | frozenset) else ()
        for kind in ("_parameters", "_buffers"):
            held = state.get(kind)
            visited += 1 + (len(held) if isinstance(held, dict) else 0)
            for name, tensor in held.items() if isinstance(held, dict) else ():
                if isinstance(tensor, Tensor) and name not in passing:
                    found[f"{prefix}{name}"] = tensor
        children = state.get("_modules")
        pairs = list(children.items()) if isinstance(children, dict) else []
        visited += len(pairs)
        waiting += [(f"{prefix}{name}.", child) for name, child in reversed(pairs)]
    return found, visited


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
        return {key: _plain(value, depth - 1, deepest, left) for key, value in kept[: max(0, left[0])]}
    if isinstance(node, list | tuple):
        return [_plain(value, depth - 1, deepest, left) for value in node[: max(0, left[0])]]
    return node if node is None or isinstance(node, str | int | float) else None
