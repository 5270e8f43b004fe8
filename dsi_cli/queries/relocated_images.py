"""Find images that were moved after they were predicted, by the ends of their paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from dsi_cli.errors import UsageError

_CONTAINER = re.compile(r"(?P<file>.+?\.(?:parquet(?=#\d+$)|tar(?=/)))(?P<member>.+)", re.IGNORECASE)
"""The path of an image in a container: a row of a Parquet file, or a member of a tar archive."""


class RelocatedImages:
    """The new paths of moved images.

    Parameters
    ----------
    folder : the new folder, which is searched to any depth
    paths : the old paths of the images

    Raises
    ------
    UsageError
        The folder does not exist (code ``missing-folder``).
    """

    def __init__(self, folder: Path, paths: Iterable[str]) -> None:
        if not folder.is_dir():
            message = f"no folder {folder}: --images takes the folder that contains the images now"
            raise UsageError(message, code="missing-folder", folder=folder)
        self.folder = folder
        names = {_parts(file)[-1] for path in paths for file in (path, _split_container(path)[0])}
        self._files_by_name: dict[str, list[str]] = {}
        for parent, folders, files in os.walk(folder.absolute()):
            folders.sort()
            for name in names.intersection(files):
                path = os.path.join(parent, name)  # noqa: PTH118 (there may be a million files)
                self._files_by_name.setdefault(name, []).append(path)

    def __call__(self, path: str) -> str:
        """Return the new path that shares the most folders at its end with an old path.

        Raises
        ------
        UsageError
            No file has the name (code ``missing-image``), or several match equally well (code ``ambiguous-image``).
        """
        file, member = _split_container(path)
        container = self._best_match(file) if member else None
        if container is not None:
            return container + member
        image = self._best_match(path)
        if image is None:
            name = _parts(file)[-1]
            raise UsageError(f"{path}: no file {name!r} in {self.folder}", code="missing-image", name=name)
        return image

    def _best_match(self, path: str) -> str | None:
        parts = _parts(path)
        lengths = {}
        for file in self._files_by_name.get(parts[-1], []):
            # Count the equal parts at the end of both paths.
            pairs = zip(reversed(_parts(file)), reversed(parts), strict=False)
            lengths[file] = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        longest = [file for file, length in lengths.items() if length == max(lengths.values())]
        if len(longest) > 1:
            message = f"{path}: {len(longest)} files in {self.folder} match equally well, such as {longest[0]}"
            raise UsageError(message, code="ambiguous-image", path=path, count=len(longest), example=longest[0])
        return longest[0] if longest else None


def _split_container(path: str) -> tuple[str, str]:
    """Return the path of a container and the member in it, or the path and an empty string."""
    match = _CONTAINER.fullmatch(path)
    return (match["file"], match["member"]) if match else (path, "")


def _parts(path: str) -> list[str]:
    """Return the parts of a path with slashes or backslashes."""
    return [part for part in re.split(r"[/\\]", path) if part] or [path]
