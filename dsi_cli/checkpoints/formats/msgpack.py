"""Flax's MessagePack: the arrays under each top-level key of a file, by names joined with dots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.isolated.client import open_isolated
from dsi_cli.checkpoints.tensors import Tensor

_COLLECTIONS = frozenset({"params", "opt_state", "batch_stats", "ema_params", "model", "state", "optimizer", "model_state"})


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a file; errors as `formats.open_content`."""
    content = open_isolated("flax_msgpack", source.size, source)
    return replace(content, tree=group_trees(content.tree))


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
