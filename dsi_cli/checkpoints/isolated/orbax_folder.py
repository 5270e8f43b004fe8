"""Orbax's trees of Zarr arrays by ``tensorstore``: in an OCDBT store, or in a folder for each array.

An array's name is its path in the tree, joined with dots. Sorted as numbers and text are, names stand in the order of their layers'
numbers; JAX itself keeps no other order.
"""

from __future__ import annotations

import json
from typing import IO, Any

import numpy as np
import tensorstore
from numpy.typing import NDArray

from dsi_cli.checkpoints.epochs import natural_key
from dsi_cli.checkpoints.isolated.listing import FileContents, dtype_name
from dsi_cli.errors import PendingError, UnreadableError

_DRIVERS = {".zarray": "zarr", "zarr.json": "zarr3"}
"""The driver for an array, by the key under its name that describes it."""
_WRAPPED = ".value"
"""What ends the names of parameters that Flax's NNX wrapped each."""
_MOST_SCALARS = 64
_CONTEXT = {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}}


def open_file(_file: IO[bytes], trees: dict[str, str], is_store: dict[str, bool]) -> FileContents:
    """Return the arrays of a checkpoint; a name begins with that of its tree and a slash.

    Parameters
    ----------
    trees : the folder of each tree by its name, which TensorStore opens by itself
    is_store : whether a tree is an OCDBT store
    """
    homes: dict[str, _Array] = {}

    def read(key: str) -> NDArray[Any]:
        return homes[key].read()

    listing = FileContents(read)
    for tree, folder in trees.items():
        store = _Store(folder, is_store=is_store[tree])
        taken: set[str] = set()
        numbers = 0
        for array in store.arrays():
            shown = array.name if array.name.removesuffix(_WRAPPED) in taken else array.name.removesuffix(_WRAPPED)
            taken.add(shown)
            is_number = array.shape == [] and "." not in shown and numbers < _MOST_SCALARS
            if is_number and np.dtype(array.dtype).kind in "biuf":
                numbers += 1
                listing.values[f"{tree}/{shown}"] = array.read().item()
                continue
            key = f"{tree}/{array.name}"
            homes[key] = array
            listing.tensors.append((f"{tree}/{shown}", array.dtype, array.shape, key))
    return listing


class _Store:
    """The keys of one tree, and what they hold.

    Parameters
    ----------
    folder : its folder
    is_store : whether it is an OCDBT store, in which a chunk that is left out is zeros
    """

    def __init__(self, folder: str, *, is_store: bool) -> None:
        base = {"driver": "file", "path": f"{folder}/"}
        self.spec: dict[str, Any] = {"driver": "ocdbt", "base": base} if is_store else base
        self.context = tensorstore.Context(_CONTEXT)
        self.is_store = is_store
        try:
            self.kvstore = tensorstore.KvStore.open(self.spec, context=self.context).result()
            self.keys = {key.decode("utf-8", "backslashreplace") for key in self.kvstore.list().result()}
        except (ValueError, OSError, RuntimeError) as error:
            raise _problem(error) from None

    def arrays(self) -> list[_Array]:
        """Return the arrays in the natural order of their names."""
        described = {
            key.rpartition("/")[0]: key.rpartition("/")[2] for key in self.keys if key.rpartition("/")[2] in _DRIVERS
        }
        return [_Array(self, name, described[name]) for name in sorted(described, key=natural_key) if name]


class _Array:
    """An array by the text that describes it."""

    def __init__(self, store: _Store, name: str, described_by: str) -> None:
        self.name = name
        self._store = store
        self._driver = _DRIVERS[described_by]
        try:
            said = json.loads(store.kvstore.read(f"{name}/{described_by}").result().value)
            self.shape = [int(size) for size in said["shape"]]
            self.dtype = _dtype(said.get("dtype") or said["data_type"])
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise UnreadableError(f"the text of the Zarr array {name[:80]!r} does not say what it should") from None

    def read(self) -> NDArray[Any]:
        """Return the elements."""
        kvstore = {**self._store.spec, "path": f"{self._store.spec.get('path', '')}{self.name}/"}
        spec = {"driver": self._driver, "kvstore": kvstore}
        # A store leaves out chunks that hold nothing but the fill value; in a folder, a chunk that is missing is damage.
        options = {} if self._store.is_store else {"fill_missing_data_reads": False}
        try:
            opened = tensorstore.open(spec | options, read=True, open=True, context=self._store.context).result()
            return np.asarray(opened.read().result())
        except (ValueError, OSError, RuntimeError) as error:
            raise _problem(error) from None


def _dtype(said: str) -> str:
    """Return the name of a dtype: NumPy's begin with a sign for the order of bytes, the others are names."""
    return dtype_name(np.dtype(said)) if said[:1] in ("<", ">", "|") else said


def _problem(error: BaseException) -> PendingError | UnreadableError:
    text = " ".join(str(error).split())
    is_missing = text.startswith("NOT_FOUND") or "does not exist" in text or "No such file" in text
    short = text.partition("[")[0].strip()[:200]
    return (
        PendingError(f"a part is missing: {short}")
        if is_missing
        else UnreadableError(f"tensorstore cannot read it: {short}")
    )
