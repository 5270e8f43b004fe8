"""Zip archives, which many containers are: a directory of entries, read by exact ranges.

``zipfile`` serves for the directory alone: it checks checksums that torch does not, and of two entries with one name it takes the
last where torch takes the first. What is stored is read where it lies; what is deflated is inflated within a bound.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.errors import PendingError, UnreadableError

_INFLATED_AT_LEAST, _MOST_TIMES = 32 << 20, 2
"""What an entry may inflate to: so many bytes, or so many times its own size. Trained weights deflate by a tenth."""
_BESIDE = 1024
"""Bytes: extra fields, padding, and a small entry behind."""
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Archive:
    """The entries of a zip archive.

    Attributes
    ----------
    sizes : dict
        Bytes of each entry, inflated, by name, in the directory's order.
    notes : list of str
        What a person should know though it could be read.

    Raises
    ------
    PendingError
        It has no directory: cut off, or still being written.
    UnreadableError
        The directory is damaged, or has a name twice.
    """

    def __init__(self, source: RandomAccessFile) -> None:
        self.source = source
        self._entries = _directory(source)
        self.sizes = {name: entry.file_size for name, entry in self._entries.items()}
        self.notes: list[str] = []

    def whole(self, name: str, most: int) -> bytes:
        """Return an entry's bytes; `UnreadableError` where there are more than ``most``."""
        if self.sizes[name] > most:
            raise UnreadableError(f"{name.rpartition('/')[2]} has {self.sizes[name]} bytes; more than {most} are not read")
        return bytes(self.part(name, 0, self.sizes[name]))

    def part(self, name: str, start: int, size: int) -> bytes | memoryview:
        """Return bytes of an entry; inflates no further than they reach."""
        entry = self._entries[name]
        self._ahead(entry, start + size)
        at = self._begin(entry)
        if entry.compress_type == zipfile.ZIP_STORED:
            data: bytes | memoryview = self.source.memory_at(at + start, size)
        elif entry.compress_type == zipfile.ZIP_DEFLATED:
            data = _inflated(self.source, at, entry.compress_size, start + size)[start:]
        else:
            raise UnreadableError(f"zip compression of type {entry.compress_type} is not read")
        if size == entry.file_size and entry.CRC and zlib.crc32(data) != entry.CRC:
            self.notes.append(f"the checksum of {name!r} is wrong: the file may be damaged")
        return data

    def window(self, name: str) -> RandomAccessFile:
        """Return an entry as a source of its own; `UnreadableError` where it is not stored as it is."""
        entry = self._entries[name]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise UnreadableError(f"{name!r} is compressed within the zip archive, which is not read")
        return self.source.window(self._begin(entry), entry.file_size)

    def _ahead(self, entry: zipfile.ZipInfo, size: int) -> None:
        """Bring an entry's header, some of its bytes and a little of what follows, which is often the next to be read."""
        size = min(size, entry.compress_size)
        self.source.ahead(entry.header_offset, _LOCAL_HEADER.size + len(entry.filename.encode()) + size + _BESIDE)

    def _begin(self, entry: zipfile.ZipInfo) -> int:
        """Return where an entry's bytes begin."""
        if entry.flag_bits & 1:
            raise UnreadableError("the zip archive is encrypted")
        signature, name, extra = _LOCAL_HEADER.unpack(self.source.read_at(entry.header_offset, _LOCAL_HEADER.size))
        if signature != b"PK\x03\x04":
            raise UnreadableError(f"the zip directory points to no entry for {entry.filename!r}")
        return entry.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _directory(source: RandomAccessFile) -> dict[str, zipfile.ZipInfo]:
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


def _inflated(source: RandomAccessFile, at: int, packed: int, wanted: int) -> memoryview:
    most = max(_INFLATED_AT_LEAST, _MOST_TIMES * min(packed, source.size))
    if wanted > most:
        raise UnreadableError(f"a deflated entry would take {wanted} bytes; more than {most} are not read")
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
    return memoryview(out)
