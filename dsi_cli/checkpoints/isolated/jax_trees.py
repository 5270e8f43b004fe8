"""Trees of parameters as JAX's libraries keep them, layers within layers, made into state dicts with dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import UnreadableError

_COLLECTIONS = frozenset({"params", "opt_state", "batch_stats", "ema_params", "model", "state", "optimizer", "model_state"})
_LONGEST_NAME = 1024
_MOST_LETTERS = 8 << 20
"""Of all names in one tree, those of mappings included; a state of a ViT-L/16 with Adam's has 400,000."""


def flatten_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves of nested mappings (a tree: nothing is shared) by their names joined with dots, in order.

    Raises
    ------
    UnreadableError
        A name is too long, or all of them are: what lies below a long key repeats it.
    """
    leaves: dict[str, Any] = {}
    left = _MOST_LETTERS
    waiting: list[tuple[str, Any]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        if not isinstance(node, Mapping):
            leaves[name] = node
            continue
        for key, value in reversed(list(node.items())):
            below = f"{name}.{key}" if name else str(key)
            left -= len(below)
            if len(below) > _LONGEST_NAME or left < 0:
                raise UnreadableError(
                    f"names of up to {_LONGEST_NAME} letters, and {_MOST_LETTERS} in all, are read; one has {len(below)}"
                )
            waiting.append((below, value))
    return leaves


def group_trees(leaves: Mapping[str, Any]) -> dict[str, Any]:
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
