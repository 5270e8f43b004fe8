"""Orbax's trees of Zarr arrays, read with ``tensorstore``: in an OCDBT store, or in one
folder per array.

An array's name is its path in the tree, joined with dots. The arrays are in the natural
order of their names, which is the order of the layers' numbers; JAX itself stores no
order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, Any

import numpy as np
import tensorstore
from numpy.typing import NDArray

from dsi_cli.checkpoints.child_process import FileContents, dtype_name
from dsi_cli.checkpoints.file_names import natural_key
from dsi_cli.errors import PendingError, UnreadableError

# the driver of an array by the name of its metadata file
_DRIVERS = {".zarray": "zarr", "zarr.json": "zarr3"}
_MAX_SCALARS = 64
_Open = Callable[[], Any]


def open_file(_file: IO[bytes], folder: str, is_store: bool) -> FileContents:
    """Return the arrays of the tree in a folder; ``is_store`` is True for an OCDBT
    store.
    """
    arrays: dict[str, _Open] = {}
    listing = FileContents(lambda key: _read(arrays[key]))
    taken: set[str] = set()
    for full_name, dtype, shape, open_array in _arrays(folder, is_store=is_store):
        short_name = full_name.removesuffix(".value")  # NNX of Flax adds this suffix
        name = full_name if short_name in taken else short_name
        taken.add(name)
        is_number = (
            shape == [] and "." not in name and len(listing.values) < _MAX_SCALARS
        )
        if is_number and np.dtype(dtype).kind in "biuf":
            listing.values[name] = _read(open_array).item()
        else:
            arrays[full_name] = open_array
            listing.tensors.append((name, dtype, shape, full_name))
    return listing


def _arrays(
    folder: str, *, is_store: bool
) -> Iterator[tuple[str, str, list[int], _Open]]:
    """Yield the name, dtype, shape and function `tensorstore.open` of each array of a
    tree, in the natural order of names.
    """
    base = {"driver": "file", "path": f"{folder}/"}
    spec: dict[str, Any] = {"driver": "ocdbt", "base": base} if is_store else base
    context = tensorstore.Context(
        {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}}
    )
    try:
        kvstore = tensorstore.KvStore.open(spec, context=context).result()
        keys = {
            key.decode("utf-8", "backslashreplace") for key in kvstore.list().result()
        }
    except (ValueError, OSError, RuntimeError) as error:
        raise _problem(error) from None
    parts = (key.rpartition("/") for key in keys)
    metadata_files = {
        name: file_name
        for name, _, file_name in parts
        if name and file_name in _DRIVERS
    }
    for name in sorted(metadata_files, key=natural_key):
        try:
            metadata = json.loads(
                kvstore.read(f"{name}/{metadata_files[name]}").result().value
            )
            shape = [int(size) for size in metadata["shape"]]
            dtype = metadata.get("dtype") or metadata["data_type"]
            # A NumPy code begins with a sign for the byte order; any other text is a
            # name.
            if dtype[:1] in ("<", ">", "|"):
                dtype = dtype_name(np.dtype(dtype))
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            OverflowError,
            RecursionError,
        ):
            message = f"the metadata of the Zarr array {name[:80]!r} are damaged"
            raise UnreadableError(message, code="damaged-metadata") from None
        # A store omits chunks that hold only the fill value. In a folder, a missing
        # chunk means damage.
        array_spec = {
            "driver": _DRIVERS[metadata_files[name]],
            "fill_missing_data_reads": is_store,
        }
        array_spec["kvstore"] = {**spec, "path": f"{spec.get('path', '')}{name}/"}
        yield (
            name,
            dtype,
            shape,
            partial(
                tensorstore.open, array_spec, read=True, open=True, context=context
            ),
        )


def _read(open_array: _Open) -> NDArray[Any]:
    try:
        return np.asarray(open_array().result().read().result())
    except (ValueError, OSError, RuntimeError) as error:
        raise _problem(error) from None


def _problem(error: BaseException) -> PendingError | UnreadableError:
    text = " ".join(str(error).split())
    short = text.partition("[")[0].strip()[:200]
    if (
        text.startswith("NOT_FOUND")
        or "does not exist" in text
        or "No such file" in text
    ):
        return PendingError(f"a part is missing: {short}", code="missing-part")
    return UnreadableError(f"tensorstore cannot read it: {short}", code="damaged")
