"""Orbax: JAX's checkpoints, a folder with a tree of Zarr arrays, in an OCDBT store or (older) in a folder an array.

A ``CheckpointManager`` keeps such a tree in a folder of each step's folder, named ``default`` or as its user chose; a
``Checkpointer`` alone writes it into the checkpoint's folder. An array's name is its path in the tree, joined with dots. Sorted
as numbers and text are, names stand in the order of their layers' numbers; JAX itself keeps no other order.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dsi_cli.checkpoints.epochs import natural
from dsi_cli.checkpoints.formats import FORMATS, Content, zarr
from dsi_cli.checkpoints.formats.jax_trees import grouped
from dsi_cli.checkpoints.formats.ocdbt import MANIFEST, MOST_ENTRIES, Block, Entries, Folder, entries
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.tensors import NUMPY_DTYPES, Storage, Tensor, contiguous, view_of
from dsi_cli.errors import PendingError, UnreadableError
from dsi_cli.remote.places import Place, RemotePath

METADATA, *TREES = next(one.marks for one in FORMATS if one.name == "orbax")
"""The file that tells a checkpoint (Orbax before 0.6 writes none), and those that tell one of the trees in it."""
COMMITTED = "commit_success.txt"
UNFINISHED = ".orbax-checkpoint-tmp"
"""What is in a folder's name until all of it is written."""
_LARGEST_TEXT = 64 << 10
_LARGEST_ARRAY = 64 << 20
_MOST_PACKED = 4
"""An array may be as large as this many times the checkpoint's files, or as `_LARGEST_ARRAY` bytes: packed zeros take few."""
_MOST_ARRAYS = 25_000
_LONGEST_NAME = 1024
_MOST_LETTERS = 1_500_000
"""Of all arrays' names, which take a hundred times as much while they are sorted; 25,000 of 60 letters."""
_MOST_TEXT = 16 << 20
_MOST_TREES = 32
_MOST_SCALARS = 64
_PART = "ocdbt.process_"
"""What the folders' names begin with in which each process writes a store of its own, before one is made of all."""
_WRAPPED = ".value"
"""What ends the names of parameters that Flax's NNX wrapped each."""
_NOT_WRITTEN = "the checkpoint is still being written"


class _Home(NamedTuple):
    """How an array is read."""

    array: zarr.Array
    value: Callable[[str, int], bytes | None]
    most: int


def open_folder(main: Place, _stack: ExitStack, sources: list[Source]) -> Content:
    """Return the content of the checkpoint in whose folder ``main`` (one of the format's marks) lies; no file of it stays open.

    The tree holds a mapping of arrays by their names for every key at its top (``params``), or one for all where layers lie
    there; numbers at its top are read at once. A checkpoint of several trees has them under their names.

    Raises
    ------
    UnreadableError
        Damaged, without arrays, or it names files elsewhere.
    PendingError
        It was not committed, or files are missing.
    """
    homes: dict[str, _Home] = {}
    try:
        folder = Folder(main.parent, sources)
        _require_written(main.parent, folder)
        trees = {prefix.rstrip("/"): _tree(folder, prefix, homes) for prefix in _prefixes(folder.root)}
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from None
    if not homes:
        raise PendingError("an Orbax checkpoint without arrays (yet)")

    def read(tensor: Tensor) -> NDArray[Any]:
        array, value, most = homes[tensor.storage.key]
        return view_of(tensor, zarr.read(array, value, most))

    return Content(next(iter(trees.values())) if len(trees) == 1 else trees, read)


def _require_written(place: Place, folder: Folder) -> None:
    """Raise where Orbax has not committed the folder: until then it has another name, or (in buckets) lacks a file."""
    if any(UNFINISHED in part for part in (*place.parts[-2:], *folder.root.parts[-2:])):
        raise PendingError(_NOT_WRITTEN)
    if (folder.root / METADATA).is_file() and not (folder.root / COMMITTED).is_file():
        try:
            said = json.loads(folder.read(METADATA, most=1 << 20))
        except (ValueError, RecursionError):
            raise PendingError(_NOT_WRITTEN) from None
        if isinstance(said, dict) and said.get("commit_timestamp_nsecs") is None:
            raise PendingError(_NOT_WRITTEN)


def _prefixes(root: Place) -> list[str]:
    """Return where in a folder its trees of arrays lie: in itself, or in folders of it."""
    if _is_tree(root):
        return [""]
    found = sorted(inner.name for inner in root.iterdir() if _is_tree(inner) and not inner.name.startswith(_PART))
    if any(UNFINISHED in name for name in found) or not found:
        raise PendingError(_NOT_WRITTEN if found else "an Orbax checkpoint without a tree of arrays (yet)")
    return [f"{name}/" for name in found[:_MOST_TREES]]


def _is_tree(folder: Place) -> bool:
    return any((folder / mark).is_file() for mark in TREES)


def _tree(folder: Folder, prefix: str, homes: dict[str, _Home]) -> dict[str, Any]:
    """Return one tree of arrays, and note in ``homes`` how each is read."""
    is_store = (folder.root / prefix / MANIFEST).is_file()
    held = entries(folder, prefix) if is_store else _files(folder.root, prefix)
    if any(key.endswith(f"/{zarr.DESCRIPTION_3}") for key in held):
        raise UnreadableError("Zarr of version 3 is not read: let Orbax write version 2 (use_zarr3=False)")
    names = [key.rpartition("/")[0] for key in held if key.endswith(f"/{zarr.DESCRIPTION}")]
    if len(names) > _MOST_ARRAYS:
        raise UnreadableError(f"{len(names)} arrays; up to {_MOST_ARRAYS} are read")
    if max(map(len, names), default=0) > _LONGEST_NAME or sum(map(len, names)) > _MOST_LETTERS:
        raise UnreadableError(f"names of more than {_LONGEST_NAME} letters, or of {_MOST_LETTERS} in all, are not read")
    files = {value.name for value in held.values() if isinstance(value, Block)}
    most = max(_LARGEST_ARRAY, _MOST_PACKED * folder.size(files))
    leaves: dict[str, Tensor] = {}
    left = _MOST_TEXT
    for name in sorted(names, key=natural):
        value = partial(_value, folder, held, f"{name}/", is_store)
        text = value(zarr.DESCRIPTION, min(left, _LARGEST_TEXT)) or b""
        left -= len(text)
        array = zarr.described(text)
        shown = name if name.removesuffix(_WRAPPED) in leaves else name.removesuffix(_WRAPPED)
        leaves[shown] = contiguous(array.dtype, array.shape, Storage(prefix + name, array.dtype, prod(array.shape)))
        homes[prefix + name] = _Home(array, value, most)

    def number(leaf: Tensor) -> Any:
        home = homes[leaf.storage.key]
        return zarr.read(home.array, home.value, _LARGEST_TEXT).item()

    scalars = [name for name, leaf in leaves.items() if "." not in name and leaf.shape == () and leaf.dtype in NUMPY_DTYPES]
    return grouped(leaves | {name: number(leaves[name]) for name in scalars[:_MOST_SCALARS]})


def _files(root: Place, prefix: str) -> Entries:
    """Return the files of a tree that is no store, as the store's keys would be; folders that are links are not walked into."""
    found: Entries = {}
    for name in _names_below(root / prefix):
        found[name] = Block(prefix + name, 0, 0)
        if len(found) > MOST_ENTRIES:
            raise UnreadableError(f"more than {MOST_ENTRIES} files")
    return found


def _names_below(top: Place) -> Iterator[str]:
    """Yield the files below a folder, by their way from there."""
    if isinstance(top, RemotePath):
        yield from (one.relative_to(top).as_posix() for one in top.glob("**/*") if one.is_file())
        return
    for here, _, names in os.walk(top):
        yield from (Path(here, name).relative_to(top).as_posix() for name in names)


def _value(folder: Folder, held: Entries, lead: str, is_store: bool, key: str, most: int) -> bytes | None:
    """Return what a key holds; a store leaves out chunks of zeros, but a missing file is damage (or to come)."""
    value = held.get(lead + key)
    if value is None and not is_store:
        raise PendingError(f"file {(lead + key)[:80]!r} is not there")
    if not isinstance(value, Block):
        return value
    return folder.read(*value, most=most) if is_store else folder.read(value.name, most=most)
