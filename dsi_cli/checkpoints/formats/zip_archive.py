"""Zip archives, on which many containers are based: a directory of entries, read in
exact ranges.

dsi uses ``zipfile`` only for the directory. It checks checksums that torch does not
check, and of two entries with one name it takes the last, but torch takes the first.
Uncompressed entries are read in place; compressed ones are inflated within a limit.
"""

from __future__ import annotations

import struct
import zipfile
import zlib

from dsi_cli.checkpoints.file_access import RandomAccessFile, RangeFile
from dsi_cli.errors import PendingError, UnreadableError

_MAX_DIRECTORY_BYTES = 32 << 20
_INFLATED_BYTES_LIMIT, _INFLATED_RATIO_LIMIT = 32 << 20, 2
"""The limits of inflation, of which the larger one counts: a size, or a multiple of the
compressed size.

Compression makes trained weights only a tenth smaller.
"""
# the space for extra fields, padding and a small following entry
_PREFETCH_EXTRA_BYTES = 1024
_LOCAL_HEADER = struct.Struct("<4s22xHH")


class Archive:
    """The entries of a zip archive.

    `PendingError` is raised if the archive has no directory: it was cut off, or is
    still being written. `UnreadableError` is raised if the directory is damaged, or has
    two entries with one name.
    """

    def __init__(self, source: RandomAccessFile) -> None:
        self.source = source
        try:
            infos = zipfile.ZipFile(
                RangeFile(source.size, self._read_directory)
            ).infolist()
        except zipfile.BadZipFile:
            message = "the file breaks off before the directory of its zip archive"
            raise PendingError(message, code="cut-off") from None
        except (
            ValueError,
            NotImplementedError,
            struct.error,
            UnicodeDecodeError,
            OverflowError,
        ) as error:
            message = f"the zip directory is damaged ({type(error).__name__})"
            raise UnreadableError(message, code="damaged-archive") from None
        self._entries = {entry.filename: entry for entry in infos}
        if len(self._entries) != len(infos):
            message = (
                "the zip archive has two entries of one name: readers differ on which"
                " counts"
            )
            raise UnreadableError(message, code="duplicate-entry")
        # The uncompressed size of each entry, in the order of the directory, and
        # warnings about entries that could be read
        self.sizes = {name: entry.file_size for name, entry in self._entries.items()}
        self.notes: list[str] = []

    def read_entry(self, name: str, max_size: int) -> bytes:
        """Return the bytes of an entry; raise `UnreadableError` if it has more than
        ``max_size``.
        """
        size = self.sizes[name]
        if size > max_size:
            message = (
                f"{name.rpartition('/')[2]} has {size} bytes; dsi reads up to"
                f" {max_size}"
            )
            raise UnreadableError(message, code="entry-too-large")
        return bytes(self.read_range(name, 0, size))

    def read_range(self, name: str, start: int, size: int) -> memoryview:
        """Return bytes of an entry; a compressed entry is inflated only up to the end
        of the range.
        """
        entry = self._entries[name]
        # The header, the range and a small following entry, which is often read next,
        # come in one request.
        prefetched = (
            _LOCAL_HEADER.size
            + len(entry.filename.encode())
            + min(start + size, entry.compress_size)
        )
        self.source.prefetch(entry.header_offset, prefetched + _PREFETCH_EXTRA_BYTES)
        offset = self._data_offset(entry)
        if entry.compress_type == zipfile.ZIP_STORED:
            data = self.source.memory_at(offset + start, size)
        elif entry.compress_type == zipfile.ZIP_DEFLATED:
            data = _inflate(self.source, offset, entry.compress_size, start + size)[
                start:
            ]
        else:
            message = f"dsi does not read zip compression of type {entry.compress_type}"
            raise UnreadableError(message, code="unknown-compression")
        if size == entry.file_size and entry.CRC and zlib.crc32(data) != entry.CRC:
            self.notes.append(
                f"the checksum of {name!r} is wrong: the file may be damaged"
            )
        return data

    def window(self, name: str) -> RandomAccessFile:
        """Return an entry as a separate file; raise `UnreadableError` if it is
        compressed.
        """
        entry = self._entries[name]
        if entry.compress_type != zipfile.ZIP_STORED:
            message = (
                f"dsi does not read {name!r}, which is compressed within the zip"
                " archive"
            )
            raise UnreadableError(message, code="compressed-entry")
        return self.source.window(self._data_offset(entry), entry.file_size)

    def _read_directory(self, offset: int, size: int) -> bytes:
        if size > _MAX_DIRECTORY_BYTES:
            message = (
                f"the zip directory would take {size} bytes; dsi reads up to"
                f" {_MAX_DIRECTORY_BYTES}"
            )
            raise UnreadableError(message, code="zip-directory-too-large", size=size)
        return self.source.read_at(offset, size)

    def _data_offset(self, entry: zipfile.ZipInfo) -> int:
        if entry.flag_bits & 1:
            raise UnreadableError(
                "the zip archive is encrypted", code="encrypted-archive"
            )
        signature, name, extra = _LOCAL_HEADER.unpack(
            self.source.read_at(entry.header_offset, _LOCAL_HEADER.size)
        )
        if signature != b"PK\x03\x04":
            raise UnreadableError(
                f"the zip directory points to no entry for {entry.filename!r}",
                code="damaged-archive",
            )
        return entry.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


def _inflate(
    source: RandomAccessFile, offset: int, compressed_size: int, size: int
) -> memoryview:
    max_size = max(
        _INFLATED_BYTES_LIMIT, _INFLATED_RATIO_LIMIT * min(compressed_size, source.size)
    )
    if size > max_size:
        message = (
            f"a deflated entry would take {size} bytes; dsi reads up to {max_size}"
        )
        raise UnreadableError(message, code="entry-too-large")
    decompressor = zlib.decompressobj(-15)
    data = bytearray()
    end = offset + compressed_size
    try:
        while len(data) < size and offset < end and not decompressor.eof:
            chunk = source.read_at(offset, min(1 << 20, end - offset))
            offset += len(chunk)
            data += decompressor.decompress(chunk, size - len(data))
    except zlib.error:
        raise UnreadableError(
            "a deflated entry of the zip archive is damaged", code="damaged-archive"
        ) from None
    if len(data) < size:
        raise UnreadableError(
            "a deflated entry of the zip archive is shorter than its stated size",
            code="damaged-archive",
        )
    return memoryview(data)
