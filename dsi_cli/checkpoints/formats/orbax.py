"""Orbax: JAX's checkpoints, a folder with a tree of Zarr arrays, in an OCDBT store or (older) in a folder an array.

A ``CheckpointManager`` keeps such a tree in a folder of each step's folder, named ``default`` or as its user chose; a
``Checkpointer`` alone writes it into the checkpoint's folder. TensorStore reads the arrays
(`dsi_cli.checkpoints.isolated.orbax_folder`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dsi_cli.checkpoints.formats import FORMATS, CheckpointContent
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.isolated.client import open_isolated
from dsi_cli.checkpoints.isolated.jax_trees import group_trees
from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.locations import Place

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

METADATA, *TREES = next(one.marks for one in FORMATS if one.name == "orbax")
"""The file that tells a checkpoint (Orbax before 0.6 writes none), and those that tell one of the trees in it."""
MANIFEST = "manifest.ocdbt"
COMMITTED = "commit_success.txt"
UNFINISHED = ".orbax-checkpoint-tmp"
"""What is in a folder's name until all of it is written."""
_MOST_TREES = 32
_LARGEST_METADATA = 1 << 20
_MOST_FILES = 300_000
_PART = "ocdbt.process_"
"""What the folders' names begin with in which each process writes a store of its own, before one is made of all."""
_NOT_WRITTEN = "the checkpoint is still being written"


def open_folder(main: Place, stack: ExitStack, sources: list[RandomAccessFile]) -> CheckpointContent:
    """Return the content of the checkpoint in whose folder ``main`` (one of the format's marks) lies; no file of it stays open.

    The tree holds a mapping of arrays by their names for every key at its top (``params``), or one for all if layers lie there. A
    checkpoint of several trees has them under their names.

    Raises
    ------
    UnreadableError
        Damaged, or without arrays.
    PendingError
        It was not committed, or files are missing.
    """
    root = main.parent
    try:
        _require_written(main, root)
        names = _trees(root)
        files = list(_files_below(root))
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
    for file in files:
        with RandomAccessFile(file) as source:
            sources.append(source)
    local = Path(os.path.realpath(root)) if isinstance(root, Path) else _copied(root, files, stack)
    folders = {name: local / name if name else local for name in names}
    content = open_isolated(
        "orbax_folder",
        sum(source.size for source in sources),
        trees={name: str(folder) for name, folder in folders.items()},
        is_store={name: (folder / MANIFEST).is_file() for name, folder in folders.items()},
    )
    trees: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name, leaf in content.tree.items():
        tree, _, rest = name.partition("/")
        trees[tree][rest] = leaf
    if not any(isinstance(leaf, Tensor) for leaf in content.tree.values()):
        raise PendingError("an Orbax checkpoint without arrays (yet)")
    found = {name: group_trees(leaves) for name, leaves in trees.items()}
    return replace(content, tree=next(iter(found.values())) if len(found) == 1 else found)


def _require_written(path: Place, root: Place) -> None:
    """Raise where Orbax has not committed the folder: until then it has another name, or (in buckets) lacks a file."""
    if any(UNFINISHED in part for part in (*path.parts[-2:], *root.parts[-2:])):
        raise PendingError(_NOT_WRITTEN)
    if (root / METADATA).is_file() and not (root / COMMITTED).is_file():
        try:
            with RandomAccessFile(root / METADATA) as source:
                said = json.loads(source.head(_LARGEST_METADATA))
        except (ValueError, RecursionError):
            raise PendingError(_NOT_WRITTEN) from None
        if isinstance(said, dict) and said.get("commit_timestamp_nsecs") is None:
            raise PendingError(_NOT_WRITTEN)


def _trees(root: Place) -> list[str]:
    """Return the folders of a checkpoint in which trees of arrays lie: itself (an empty name), or folders of it."""
    if _is_tree(root):
        return [""]
    found = sorted(inner.name for inner in root.iterdir() if _is_tree(inner) and not inner.name.startswith(_PART))
    if any(UNFINISHED in name for name in found) or not found:
        raise PendingError(_NOT_WRITTEN if found else "an Orbax checkpoint without a tree of arrays (yet)")
    return found[:_MOST_TREES]


def _is_tree(folder: Place) -> bool:
    return any((folder / mark).is_file() for mark in TREES)


def _files_below(root: Place) -> Iterator[Place]:
    """Yield the files of a checkpoint; folders that are links to others are walked into, as far as they are no circle."""
    count = 0
    seen: set[str] = set()
    for here, folders, names in os.walk(root, followlinks=True) if isinstance(root, Path) else root.walk():
        real = os.path.realpath(here) if isinstance(here, str) else str(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            count += 1
            if count > _MOST_FILES:
                raise UnreadableError(f"it has more than {_MOST_FILES} files")
            yield Path(here, name) if isinstance(here, str) else here / name


def _copied(root: RemotePath, files: list[Place], stack: ExitStack) -> Path:
    """Return a folder with copies of a remote checkpoint's files, for TensorStore opens them by itself."""
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="dsi-", ignore_cleanup_errors=True)))
    for file in files:
        copy = folder / str(PurePosixPath(*file.parts[len(root.parts) :]))
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return folder
