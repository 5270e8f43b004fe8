"""JAX: Orbax's folders with a tree of Zarr arrays, and Flax's MessagePack files.

Orbax stores the arrays in an OCDBT store or in one folder each (older).

A ``CheckpointManager`` writes the tree into a subfolder of each step's folder, called
``default`` unless the user chose another name. A ``Checkpointer`` alone writes the tree
into the checkpoint's folder itself. TensorStore reads the arrays (see
`dsi_cli.checkpoints.child_process.orbax_folder`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import (
    RandomAccessFile,
    parse_json_or_none,
    require_inside,
)
from dsi_cli.checkpoints.formats import (
    FORMATS,
    CheckpointContent,
    OpenFiles,
    unread_format,
)
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote import locations
from dsi_cli.remote.locations import Place

METADATA, *TREE_MARKERS = next(
    format_.markers for format_ in FORMATS if format_.name == "orbax"
)
"""The file that marks a checkpoint (Orbax before 0.6 does not write it), and the files
that mark a tree in a checkpoint.
"""
UNFINISHED = (  # the text in a folder's name until the checkpoint is complete
    ".orbax-checkpoint-tmp"
)
_MAX_TREES = 32
_MAX_METADATA_BYTES = 1 << 20
_MAX_FILES = 300_000
_PROCESS_PREFIX = "ocdbt.process_"
"""The prefix of folders with the store of one process; Orbax later merges these stores
into one.
"""
_NOT_WRITTEN = "the checkpoint is still being written"
_COLLECTIONS = frozenset(
    {
        "params",
        "opt_state",
        "batch_stats",
        "ema_params",
        "model",
        "state",
        "optimizer",
        "model_state",
    }
)
"""Top-level keys of trees that hold arrays by name."""


def open_content(source: RandomAccessFile) -> CheckpointContent:
    """Return the content of a MessagePack file; errors as `formats.open_content`."""
    content = open_isolated("flax_msgpack", source.size, source.read_at)
    tree = _group_trees(content.tree)
    if set(tree) == {"metadata", "item"}:  # its arrays are not those of Flax
        raise unread_format("Burn")
    return replace(content, tree=tree)


def open_folder(main: Place, files: OpenFiles) -> CheckpointContent:
    """Return the content of the checkpoint whose folder holds the marker file ``main``;
    none of its files stays open.

    The tree maps every top-level key (``params``) to arrays by name. If the top level
    holds layers, one mapping has all arrays. A checkpoint of several trees has them
    under their names.

    Raise `UnreadableError` if the checkpoint is damaged, and `PendingError` if it was
    not committed or files are missing.
    """
    root = main.parent
    try:
        if not _is_committed(main):
            raise PendingError(_NOT_WRITTEN, code="uncommitted")
        names = _tree_names(root)
        walked = (
            folder / name
            for folder, _, file_names in locations.walk(root)
            for name in file_names
        )
        parts = list(islice(walked, _MAX_FILES + 1))
    except OSError as error:
        raise UnreadableError(
            f"cannot be read: {error.strerror or error}", code="cannot-read"
        ) from None
    if len(parts) > _MAX_FILES:
        raise UnreadableError(
            f"it has more than {_MAX_FILES} files", code="too-many-files"
        )
    for part in parts:
        require_inside(part, root, f"file {part.name[:80]!r}")
        with RandomAccessFile(part) as source:
            files.sources.append(source)
    if isinstance(root, Path):
        local = Path(os.path.realpath(root))
    else:
        # TensorStore opens files by path, so it reads temporary copies of remote files.
        local = Path(
            files.enter_context(
                TemporaryDirectory(prefix="dsi-", ignore_cleanup_errors=True)
            )
        )
        for part in parts:
            copy = local / str(PurePosixPath(*part.parts[len(root.parts) :]))
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(part.read_bytes())
    size = sum(source.size for source in files.sources)
    trees: dict[str, dict[str, Any]] = {}
    for name in names:
        folder = local / name
        is_store = (folder / "manifest.ocdbt").is_file()
        trees[name] = open_isolated(
            "orbax_folder", size, folder=str(folder), is_store=is_store
        ).tree
    if not any(
        isinstance(leaf, Tensor)
        for leaves in trees.values()
        for leaf in leaves.values()
    ):
        raise PendingError("an Orbax checkpoint without arrays (yet)", code="no-arrays")
    groups = {name: _group_trees(leaves) for name, leaves in trees.items()}
    return CheckpointContent(groups[names[0]] if len(names) == 1 else groups)


def _is_committed(main: Place) -> bool:
    """Return whether Orbax has committed the folder: until then it has another name, or
    (in buckets) one file is missing.
    """
    root = main.parent
    if any(UNFINISHED in part for part in (*main.parts[-2:], *root.parts[-2:])):
        return False
    if not (root / METADATA).is_file() or (root / "commit_success.txt").is_file():
        return True
    with RandomAccessFile(root / METADATA) as source:
        metadata = parse_json_or_none(source.head(_MAX_METADATA_BYTES))
    return (
        isinstance(metadata, dict)
        and metadata.get("commit_timestamp_nsecs") is not None
    )


def _tree_names(root: Place) -> list[str]:
    """Return the names of the subfolders that hold trees of arrays; an empty name means
    the folder itself.
    """
    if _is_tree(root):
        return [""]
    names = sorted(
        inner.name
        for inner in root.iterdir()
        if _is_tree(inner) and not inner.name.startswith(_PROCESS_PREFIX)
    )
    if not names:
        raise PendingError(
            "an Orbax checkpoint without a tree of arrays (yet)", code="no-arrays"
        )
    if any(UNFINISHED in name for name in names):
        raise PendingError(_NOT_WRITTEN, code="uncommitted")
    return names[:_MAX_TREES]


def _is_tree(folder: Place) -> bool:
    return any((folder / marker).is_file() for marker in TREE_MARKERS)


def _group_trees(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return leaves grouped by their top-level keys; if the top level holds layers, all
    leaves keep their full names.
    """
    top_keys = {
        name.partition(".")[0]
        for name, leaf in leaves.items()
        if name.count(".") == 1 and isinstance(leaf, Tensor) and len(leaf.shape) > 1
    }
    has_layers = bool(top_keys - _COLLECTIONS)
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        top, dot, rest = name.partition(".")
        if (
            dot
            and (top in _COLLECTIONS or not has_layers)
            and isinstance(tree.setdefault(top, {}), dict)
        ):
            tree[top][rest] = leaf
        else:
            tree[name] = leaf
    return tree
