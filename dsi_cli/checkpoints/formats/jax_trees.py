"""Trees of parameters as JAX's libraries keep them, layers within layers, made into state dicts with dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsi_cli.checkpoints.tensors import Tensor

_COLLECTIONS = frozenset({"params", "opt_state", "batch_stats", "ema_params", "model", "state", "optimizer", "model_state"})


def flattened(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves of nested mappings (a tree: nothing is shared) by their names joined with dots, in order."""
    leaves: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, Mapping):
            waiting += [(f"{name}.{key}" if name else str(key), value) for key, value in reversed(list(node.items()))]
        else:
            leaves[name] = node
    return leaves


def grouped(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return leaves by their names under each key at the top, or all under their whole names where layers lie there."""
    tops = {
        name.partition(".")[0]
        for name, leaf in leaves.items()
        if name.count(".") == 1 and isinstance(leaf, Tensor) and len(leaf.shape) > 1
    }
    has_layers = bool(tops - _COLLECTIONS)
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        top, dot, rest = name.partition(".")
        if dot and (top in _COLLECTIONS or not has_layers) and isinstance(tree.setdefault(top, {}), dict):
            tree[top][rest] = leaf
        else:
            tree[name] = leaf
    return tree
