"""Orbax's trees of Zarr arrays, read with ``tensorstore``: in an OCDBT store, or in one folder per array.

An array's name is its path in the tree, joined with dots. The arrays are in the natural order of their names, which is the order
of the layers' numbers; JAX itself stores no order.
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
"""The driver of an array by the name of its metadata file."""
_NNX_SUFFIX = ".value"
"""The suffix of parameters that Flax's NNX wrapped."""
_MAX_SCALARS = 64
_CONTEXT = {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}}


def open_file(_file: IO[bytes], trees: dict[str, str], is_store: dict[str, bool]) -> FileContents:
    """Return the arrays of a checkpoint; each name begins with the name of its tree and a slash.

    Parameters
    ----------
    trees : the folder of each tree by the tree's name
    is_store : whether a tree is an OCDBT store
    """
    arrays: dict[str, _Array] = {}

    def read(key: str) -> NDArray[Any]:
        return arrays[key].read()

    listing = FileContents(read)
    for tree, folder in trees.items():
        store = _Store(folder, is_store=is_store[tree])
        taken: set[str] = set()
        numbers = 0
        for array in store.arrays():
            name = array.name.removesuffix(_NNX_SUFFIX)
            if name in taken:
                name = array.name
            taken.add(name)
            is_number = array.shape == [] and "." not in name and numbers < _MAX_SCALARS
            if is_number and np.dtype(array.dtype).kind in "biuf":
                numbers += 1
                listing.values[f"{tree}/{name}"] = array.read().item()
                continue
            key = f"{tree}/{array.name}"
            arrays[key] = array
            listing.tensors.append((f"{tree}/{name}", array.dtype, array.shape, key))
    return listing


class _Store:
    """The keys and values of one tree.

    Parameters
    ----------
    folder : the folder of the tree
    is_store : whether the tree is an OCDBT store, in which a missing chunk is all zeros
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
        metadata_files = {}
        for key in self.keys:
            name, _, file_name = key.rpartition("/")
            if name and file_name in _DRIVERS:
                metadata_files[name] = file_name
        return [_Array(self, name, metadata_files[name]) for name in sorted(metadata_files, key=natural_key)]


class _Array:
    def __init__(self, store: _Store, name: str, metadata_file: str) -> None:
        self.name = name
        self._store = store
        self._driver = _DRIVERS[metadata_file]
        try:
            metadata = json.loads(store.kvstore.read(f"{name}/{metadata_file}").result().value)
            self.shape = [int(size) for size in metadata["shape"]]
            self.dtype = _dtype(metadata.get("dtype") or metadata["data_type"])
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise UnreadableError(
                f"the metadata of the Zarr array {name[:80]!r} are damaged", code="damaged-metadata"
            ) from None

    def read(self) -> NDArray[Any]:
        """Return the elements."""
        kvstore = {**self._store.spec, "path": f"{self._store.spec.get('path', '')}{self.name}/"}
        spec = {"driver": self._driver, "kvstore": kvstore}
        # A store omits chunks that hold only the fill value. In a folder, a missing chunk means damage.
        options = {} if self._store.is_store else {"fill_missing_data_reads": False}
        try:
            array = tensorstore.open(spec | options, read=True, open=True, context=self._store.context).result()
            return np.asarray(array.read().result())
        except (ValueError, OSError, RuntimeError) as error:
            raise _problem(error) from None


def _dtype(text: str) -> str:
    """Return the name of a dtype; a NumPy code begins with a sign for the byte order, any other text is a name."""
    return dtype_name(np.dtype(text)) if text[:1] in ("<", ">", "|") else text


def _problem(error: BaseException) -> PendingError | UnreadableError:
    text = " ".join(str(error).split())
    is_missing = text.startswith("NOT_FOUND") or "does not exist" in text or "No such file" in text
    short = text.partition("[")[0].strip()[:200]
    if is_missing:
        return PendingError(f"a part is missing: {short}", code="missing-part")
    return UnreadableError(f"tensorstore cannot read it: {short}", code="damaged")
