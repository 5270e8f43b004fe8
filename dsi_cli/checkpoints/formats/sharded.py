"""Hugging Face's shards: files of tensors and an index (``model.safetensors.index.json``, ``pytorch_model.bin.index.json``)."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent, open_source
from dsi_cli.checkpoints.formats.safetensors import MAX_HEADER_BYTES, read_json
from dsi_cli.checkpoints.io.source import RandomAccessFile, find_sibling
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import UnreadableError
from dsi_cli.remote.locations import Place


def open_folder(index: Place, stack: ExitStack, sources: list[RandomAccessFile]) -> CheckpointContent:
    """Return the content of all shards in an index, which must be in the folder of the index.

    Raise `UnreadableError` if the index is damaged, it refers to another folder, or a shard cannot be read, and `PendingError` if
    a shard is missing or breaks off.
    """
    with RandomAccessFile(index) as source:
        contents = read_json(source.head(MAX_HEADER_BYTES))
    names = contents.get("weight_map") if isinstance(contents, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UnreadableError("the index of shards has no weight_map", code="no-weight-map")
    shards: dict[str, CheckpointContent] = {}
    tree: dict[str, Any] = {}
    for shard in sorted(set(names.values())):
        sources.append(stack.enter_context(RandomAccessFile(find_sibling(index, shard, "shard"))))
        _, shards[shard] = open_source(sources[-1])
        shard_tree = shards[shard].tree
        if not isinstance(shard_tree, dict):
            continue
        for name, tensor in shard_tree.items():
            if isinstance(tensor, Tensor):
                tree[name] = tensor._replace(storage=tensor.storage._replace(key=f"{shard}:{tensor.storage.key}"))

    def read(tensor: Tensor) -> NDArray[Any]:
        shard, _, key = tensor.storage.key.rpartition(":")
        return shards[shard].read(tensor._replace(storage=tensor.storage._replace(key=key)))

    return CheckpointContent(tree, read)
