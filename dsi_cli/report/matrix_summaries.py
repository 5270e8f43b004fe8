"""The summaries of matrices, which a report derives and keeps for the next report.

A report of hundreds of checkpoints reads each matrix for its range of values and its
change, and packs it. The file ``OUT/.cache/report.json`` holds these summaries. Each
has a key with the name, size and time of the files that it was made from, so that a
file that is written again has a new summary.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dsi_cli.errors import OutputError
from dsi_cli.store import atomic_write, layout
from dsi_cli.version import __version__

FILE = "report.json"
Summary = dict[str, Any]


class Summaries:
    """The summaries of the matrices of a results folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._path = out / layout.CACHE / FILE
        self._known: dict[str, Summary] = {}
        self._used: dict[str, Summary] = {}
        # Without a readable file of this version, all summaries are made again.
        with suppress(OSError, ValueError):
            stored = json.loads(self._path.read_bytes())
            if stored.get("version") == __version__:
                self._known = stored["summaries"]

    def get(
        self, files: Sequence[Path], options: object, make: Callable[[], Summary]
    ) -> Summary:
        """Return what an earlier report made of some files with some options, or make
        it.
        """
        parts = [str(options)]
        for file in files:
            found = file.stat()
            name = file.relative_to(self.out).as_posix()
            parts.append(f"{name} {found.st_size} {found.st_mtime_ns}")
        key = " ".join(parts)
        if key not in self._used:
            self._used[key] = self._known.get(key) or make()
        return self._used[key]

    def save(self) -> None:
        """Write the summaries that were used, if the folder can be written to."""
        if self._used.keys() == self._known.keys():
            return
        stored = {"version": __version__, "summaries": self._used}
        with suppress(OutputError):
            atomic_write.write_atomically(self._path, json.dumps(stored).encode())
