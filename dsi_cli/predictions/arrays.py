"""NPY and NPZ files to plain arrays, inert: nothing is ever unpickled, and no size in a header is believed unchecked."""

from __future__ import annotations

import lzma
import math
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

LARGEST = 8 * 2**30
"""Bytes of a file, and of all arrays of an NPZ when unpacked."""

_KINDS = "biufUS"
"""Types of plain values: truth values, numbers and text; no objects, no records, no dates."""

_REMEDY = "write it again with numpy.save (or numpy.savez)"
_DAMAGED = (ValueError, TypeError, SyntaxError, KeyError, OverflowError, EOFError, RecursionError, MemoryError)
_NO_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError, IndexError)


def load(path: Path) -> dict[str, NDArray[Any]]:
    """Return a file's arrays by name in lower case; an NPY's one array has the name "".

    Raises
    ------
    UsageError
        It is no NPY or NPZ, is truncated, holds more than it should, or an array is not of plain numbers or text.
    """
    where = str(path)
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return _members(file, where)
        file.seek(0)
        return {"": _array(file, path.stat().st_size, where)}


def _members(file: IO[bytes], where: str) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            found = [item for item in archive.infolist() if item.filename.endswith(".npy")]
            if sum(item.file_size for item in found) > LARGEST:
                raise UsageError(f"{where}: expected arrays of at most {LARGEST >> 30} GB, found more; split the file")
            for item in found:
                name = item.filename.removesuffix(".npy").lower()
                if name in arrays:
                    raise UsageError(f"{where}: expected each array once, found two named {name!a}; {_REMEDY}")
                with archive.open(item) as member:
                    arrays[name] = _array(member, item.file_size, f"{where}, array {name!a}")
    except UsageError:
        raise
    except _NO_ZIP as error:
        raise UsageError(f"{where}: expected an NPZ file, found a damaged one ({_line(error)}); {_REMEDY}") from None
    return arrays


def _array(file: IO[bytes], size: int, where: str) -> NDArray[Any]:
    """Return the array in a stream of ``size`` bytes."""
    if size == 0:
        raise UsageError(f"{where}: expected a NumPy array, found an empty file; {_REMEDY}")
    shape, fortran, dtype = _header(file, where)
    expected, present = math.prod(shape) * dtype.itemsize, size - file.tell()
    if present != expected:
        state = "a truncated file" if present < expected else "more than one array"
        raise UsageError(
            f"{where}: expected {expected:,} bytes for an array of shape {shape}, found {state} ({present:,} bytes); {_REMEDY}"
        )
    values = np.frombuffer(file.read(expected), dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type; refused is whatever is no plain array."""
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(file)
        valid = all(type(length) is int and length >= 0 for length in shape)
    except (*_DAMAGED, tokenize.TokenError) as error:
        raise UsageError(f"{where}: expected a NumPy array, found none ({_line(error)}); {_REMEDY}") from None
    if dtype.hasobject or dtype.kind not in _KINDS or not dtype.itemsize or not valid:
        found = "Python objects, which are never unpickled" if dtype.hasobject else f"type {dtype} and shape {shape}"
        raise UsageError(f"{where}: expected an array of plain numbers or text, found {found[:100]}; {_REMEDY}")
    return shape, fortran, dtype


def _line(error: BaseException) -> str:
    text = str(error).split("\n", 1)[0].split(": b'", 1)[0]
    return ascii(text)[1:-1][:120] or type(error).__name__
