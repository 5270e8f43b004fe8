"""The cache of an output folder: what was read or computed once, under the hash of
everything that it depends on.

An entry is a file ``OUT/.cache/KIND/KEY`` with JSON values and Arrow tables. Its key
says what it was made from, so an entry never becomes wrong; it only becomes unused. A
call that is killed loses the entry that it was writing.

The first line of a file has its own checksum, and as JSON the name, the number of bytes
and the checksum of each value, and whether it is a table. The values follow: tables in
the stream format of Arrow, others as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.errors import OutputError
from dsi_cli.store import layout
from dsi_cli.store.atomic_write import open_atomically
from dsi_cli.store.schema import SCHEMA_VERSION
from dsi_cli.version import __version__

HEADS, EVALUATIONS, ROWS, GEOMETRY = "heads", "evaluations", "rows", "geometry"
"""The kinds of entries: what scanning a file gives, the evaluation of a checkpoint on a
split, the rows of a checkpoint, and those that also depend on the checkpoint before it.
"""
_ONE_THREAD = pa.ipc.IpcReadOptions(use_threads=False)
Entry = dict[str, Any]
"""The values of an entry by name: JSON or an Arrow table."""


def key_of(*parts: Any) -> str:
    """Return the key of what depends on these parts, which are JSON, and on the version
    of dsi.
    """
    text = json.dumps([SCHEMA_VERSION, __version__, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class DamagedCacheError(OutputError):
    """An entry that a call relies on is damaged; the next call makes it again."""


class Cache:
    """The entries in an output folder, which is locked."""

    def __init__(self, out: Path) -> None:
        self.has_damage = False  # True once a damaged entry was removed
        self.folder = out / layout.CACHE
        self._scratch = layout.temporary_folder(out)

    def has(self, kind: str, key: str) -> bool:
        """Return whether there is an entry."""
        return self._path(kind, key).is_file()

    def get(
        self, kind: str, key: str, names: Collection[str] | None = None
    ) -> Entry | None:
        """Return an entry, or only the values of these names; None if there is none. A
        damaged entry is removed.
        """
        entry: Entry = {}
        try:
            with self._path(kind, key).open("rb") as file:
                checksum, line = file.readline().split(b" ", 1)
                _check(line, int(checksum, 16))
                for name, size, checksum, is_table in json.loads(line):
                    if names is not None and name not in names:
                        file.seek(size, os.SEEK_CUR)
                        continue
                    data = file.read(size)
                    _check(data, checksum)
                    if is_table:
                        stream = pa.ipc.open_stream(data, options=_ONE_THREAD)
                        entry[name] = stream.read_all()
                    else:
                        entry[name] = json.loads(data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            self._path(kind, key).unlink(missing_ok=True)
            self.has_damage = True
            return None
        return entry

    def remove_damaged(self) -> None:
        """Read all entries, and remove those that are damaged."""
        for path in self.folder.glob("*/*"):
            self.get(path.parent.name, path.name)

    def read(self, kind: str, key: str, names: Collection[str]) -> Entry:
        """Return the values of these names in an entry that this call relies on; raise
        `DamagedCacheError` if it is damaged.
        """
        entry = self.get(kind, key, names)
        if entry is None:
            message = f"an entry of {self.folder} was damaged, and dsi has removed it"
            raise DamagedCacheError(
                message, hint="run the same command again", code="damaged-cache"
            )
        return entry

    def put(self, kind: str, key: str, entry: Mapping[str, Any]) -> None:
        """Write an entry in one step; raise `OutputError` if this fails."""
        # After a power failure, checksums show that an entry is damaged.
        values = {name: _encoded(value) for name, value in entry.items()}
        header = [
            (name, len(data), zlib.crc32(data), isinstance(entry[name], pa.Table))
            for name, data in values.items()
        ]
        with open_atomically(
            self._path(kind, key), self._scratch, is_durable=False
        ) as file:
            line = json.dumps(header).encode() + b"\n"
            file.write(b"%08x " % zlib.crc32(line))
            file.writelines([line, *values.values()])

    def prune(self, used: Collection[tuple[str, str]]) -> None:
        """Remove all entries except for these, which are given by kind and key."""
        paths = {self._path(kind, key) for kind, key in used}
        for path in self.folder.glob("*/*"):
            if path not in paths:
                path.unlink(missing_ok=True)

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / kind / key


def _check(data: bytes, checksum: int) -> None:
    """Raise `ValueError` if data are damaged."""
    if zlib.crc32(data) != checksum:
        raise ValueError("the data are damaged")


def _encoded(value: Any) -> bytes:
    """Return a table in the stream format of Arrow, and any other value as JSON."""
    if not isinstance(value, pa.Table):
        return json.dumps(value).encode()
    # zstd takes ten times as long for many short columns.
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema, options=options) as stream:
        stream.write_table(value)
    return bytes(sink.getvalue())
