"""``torch.save`` since PyTorch 1.6: a zip archive with one pickle and one entry a storage.

``ROOT/data.pkl`` is the object, ``ROOT/data/KEY`` a storage, ``ROOT/byteorder`` says how numbers are stored. Only the
directory, the pickle and the bytes of the tensor asked for are read. ``zipfile`` serves for the directory alone: it checks
checksums that torch does not, and of two entries with one name it takes the last where torch takes the first.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Any

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import Content
from dsi_cli.checkpoints.pickles import read_pickle
from dsi_cli.checkpoints.source import Source
from dsi_cli.checkpoints.stand_ins import Global
from dsi_cli.checkpoints.tensors import Storage, Tensor, decode, span
from dsi_cli.errors import PendingError, UnreadableError

LARGEST_PICKLE = 64 << 20
_LARGEST_INFLATED = 1 << 30
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}


def open_content(source: Source) -> Content:
    """Return the content of a torch zip archive; errors as for `dsi_cli.checkpoints.formats.open_content`."""
    entries = _directory(source)
    pickles = [name for name in entries if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise UnreadableError(f"a zip archive, but not of torch.save: {len(pickles)} entries named data.pkl, expected one")
    root = pickles[0].removesuffix("data.pkl")
    notes: list[str] = []
    tree, _ = read_pickle(_whole(source, entries[pickles[0]], LARGEST_PICKLE, notes), persistent=storage_of)
    order = entries.get(f"{root}byteorder")
    big_endian = order is not None and _whole(source, order, 16, notes).strip() == b"big"

    def read(tensor: Tensor) -> NDArray[Any]:
        entry = entries.get(f"{root}data/{tensor.storage.key}")
        if entry is None:
            raise UnreadableError(f"the archive has no storage {tensor.storage.key!r}")
        start, size = span(tensor)
        if start + size > entry.file_size:
            raise UnreadableError(
                f"storage {tensor.storage.key!r} has {entry.file_size} bytes, the tensor needs {start + size}"
            )
        return decode(tensor, _part(source, entry, start, size, notes), big_endian=big_endian)

    return Content(tree, read, notes)


def storage_of(pid: Any) -> Storage:
    """Return the storage that a persistent id of ``torch.save`` names: ``('storage', type, key, location, size, ...)``."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[2], str):
        raise UnreadableError("a reference to data outside the pickle that is no storage")
    kind = pid[1].name if isinstance(pid[1], Global) else ""
    if not isinstance(pid[4], int) or pid[4] < 0:
        raise UnreadableError("a storage without a size")
    return Storage(pid[2], _STORAGE_DTYPES.get(kind, kind), pid[4])


def _directory(source: Source) -> dict[str, zipfile.ZipInfo]:
    try:
        found = zipfile.ZipFile(source).infolist()
    except zipfile.BadZipFile:
        raise PendingError(
            "a zip archive without its directory, which is written last: cut off, or still being written"
        ) from None
    except (ValueError, NotImplementedError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise UnreadableError(f"the zip directory is damaged ({type(error).__name__})") from None
    entries = {entry.filename: entry for entry in found}
    if len(entries) != len(found):
        raise UnreadableError("the zip archive has two entries of one name: readers differ on which counts")
    return entries


def _data_start(source: Source, entry: zipfile.ZipInfo) -> int:
    signature, name, extra = _LOCAL_HEADER.unpack(source.read_at(entry.header_offset, _LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise UnreadableError(f"the zip directory points to no entry for {entry.filename!r}")
    return entry.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _whole(source: Source, entry: zipfile.ZipInfo, most: int, notes: list[str]) -> bytes:
    if entry.file_size > most:
        raise UnreadableError(
            f"{entry.filename.rpartition('/')[2]} has {entry.file_size} bytes; more than {most} are not read"
        )
    return bytes(_part(source, entry, 0, entry.file_size, notes))


def _part(source: Source, entry: zipfile.ZipInfo, start: int, size: int, notes: list[str]) -> bytes | memoryview:
    """Return bytes of an entry; inflates no further than they reach."""
    if entry.flag_bits & 1:
        raise UnreadableError("the zip archive is encrypted")
    at = _data_start(source, entry)
    if entry.compress_type == zipfile.ZIP_STORED:
        data: bytes | memoryview = source.memory_at(at + start, size)
    elif entry.compress_type == zipfile.ZIP_DEFLATED:
        data = _inflated(source, at, entry.compress_size, start + size)[start:]
    else:
        raise UnreadableError(f"zip compression of type {entry.compress_type} is not read")
    if size == entry.file_size and entry.CRC and zlib.crc32(data) != entry.CRC:
        notes.append(f"the checksum of {entry.filename!r} is wrong: the file may be damaged")
    return data


def _inflated(source: Source, at: int, packed: int, wanted: int) -> bytes:
    if wanted > _LARGEST_INFLATED:
        raise UnreadableError(f"a deflated entry would take {wanted} bytes; more than {_LARGEST_INFLATED} are not read")
    machine = zlib.decompressobj(-15)
    out = bytearray()
    end = at + packed
    try:
        while len(out) < wanted and at < end and not machine.eof:
            chunk = source.read_at(at, min(1 << 20, end - at))
            at += len(chunk)
            out += machine.decompress(chunk, wanted - len(out))
            while machine.unconsumed_tail and len(out) < wanted:
                out += machine.decompress(machine.unconsumed_tail, wanted - len(out))
    except zlib.error:
        raise UnreadableError("a deflated entry of the zip archive is damaged") from None
    if len(out) < wanted:
        raise UnreadableError("a deflated entry of the zip archive is shorter than it says")
    return bytes(out)
