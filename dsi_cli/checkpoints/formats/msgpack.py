"""Flax's MessagePack: the arrays under each top-level key of a file, by names joined with dots."""

from __future__ import annotations

from dataclasses import replace

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.isolated.client import open_isolated
from dsi_cli.checkpoints.isolated.jax_trees import group_trees


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a file; errors as `formats.open_content`."""
    content = open_isolated("flax_msgpack", source.size, source)
    return replace(content, tree=group_trees(content.tree))
