"""Conversion of the parameter trees of JAX's libraries, which nest layers, to state dicts with dotted names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import UnreadableError

_COLLECTIONS = frozenset({"params", "opt_state", "batch_stats", "ema_params", "model", "state", "optimizer", "model_state"})
_MAX_NAME_LENGTH = 1024
_MAX_NAME_CHARACTERS = 8 << 20
"""The maximum number of characters in all names of a tree, including mappings; a ViT-L/16 with Adam's state has 400,000."""


def flatten_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the leaves of nested mappings (a tree without shared parts) by their names joined with dots, in order.

    Raises
    ------
    UnreadableError
        A name, or all names together, are too long. Names repeat the keys above them, so their total can be large.
    """
    leaves: dict[str, Any] = {}
    remaining = _MAX_NAME_CHARACTERS
    stack: list[tuple[str, Any]] = [("", tree)]
    while stack:
        name, node = stack.pop()
        if not isinstance(node, Mapping):
            leaves[name] = node
            continue
        for key, value in reversed(list(node.items())):
            child_name = f"{name}.{key}" if name else str(key)
            remaining -= len(child_name)
            if len(child_name) > _MAX_NAME_LENGTH or remaining < 0:
                raise UnreadableError(
                    f"names of up to {_MAX_NAME_LENGTH} letters, and {_MAX_NAME_CHARACTERS} in all, are read; one has"
                    f" {len(child_name)}",
                    code="names-too-long",
                )
            stack.append((child_name, value))
    return leaves


def group_trees(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return leaves grouped by their top-level keys; if the top level holds layers, all leaves keep their full names."""
    top_keys = {
        name.partition(".")[0]
        for name, leaf in leaves.items()
        if name.count(".") == 1 and isinstance(leaf, Tensor) and len(leaf.shape) > 1
    }
    has_layers = bool(top_keys - _COLLECTIONS)
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        top, dot, rest = name.partition(".")
        if dot and (top in _COLLECTIONS or not has_layers) and isinstance(tree.setdefault(top, {}), dict):
            tree[top][rest] = leaf
        else:
            tree[name] = leaf
    return tree
