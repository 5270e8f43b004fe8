"""Images that have moved since they were predicted: found again by the ends of their paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from dsi_cli.errors import UsageError

_INSIDE = re.compile(r"(?P<file>.+?\.(?:parquet(?=#\d+$)|tar(?=/)))(?P<inside>.+)", re.IGNORECASE)
"""A row of a Parquet file, a member of a tar: the file is what has moved."""


class RelocatedImages:
    """Where images lie now.

    Parameters
    ----------
    folder : searched to any depth
    paths : where the images lay

    Raises
    ------
    UsageError
        There is no such folder.
    """

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        if not folder.is_dir():
            raise UsageError(f"no folder {folder}: --images wants the one that the images are in now")
        self.folder = folder
        wanted = {_parts(file)[-1] for path in paths for file in (path, _split(path)[0])}
        self._files: dict[str, list[str]] = {}
        for place, folders, names in os.walk(folder.absolute()):
            folders.sort()
            for name in wanted.intersection(names):
                self._files.setdefault(name, []).append(os.path.join(place, name))  # noqa: PTH118 (a million of them)

    def __call__(self, path: str) -> str:
        """Return the path that has the longest common end with one, counted in folders.

        Raises
        ------
        UsageError
            No file has its name, or several fit equally well.
        """
        file, inside = _split(path)
        container = self._best(file) if inside else None
        if container is not None:
            return container + inside
        found = self._best(path)
        if found is None:
            raise UsageError(f"{path}: no file {_parts(file)[-1]!r} in {self.folder}")
        return found

    def _best(self, path: str) -> str | None:
        ends = {file: _common(_parts(file), _parts(path)) for file in self._files.get(_parts(path)[-1], [])}
        longest = [file for file, length in ends.items() if length == max(ends.values())]
        if len(longest) > 1:
            raise UsageError(f"{path}: {len(longest)} files in {self.folder} fit equally well, {longest[0]} among them")
        return longest[0] if longest else None


def _split(path: str) -> tuple[str, str]:
    match = _INSIDE.fullmatch(path)
    return (match["file"], match["inside"]) if match else (path, "")


def _parts(path: str) -> list[str]:
    """Return the parts of a path, of another system's as well."""
    return [part for part in re.split(r"[/\\]", path) if part] or [path]


def _common(parts: list[str], others: list[str]) -> int:
    """Return how many parts at the end are the same."""
    count = 0
    for one, other in zip(reversed(parts), reversed(others), strict=False):
        if one != other:
            break
        count += 1
    return count
