"""The artifacts of an experiment tracker as a file system, for trackers that send a
file only as a whole.

Each file is downloaded when it is read, one at a time, and its copy is removed
afterwards.
"""

from __future__ import annotations

import shutil
from abc import abstractmethod
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from fsspec import AbstractFileSystem

from dsi_cli.remote.download import TemporaryFolder


class ArtifactFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The artifacts of a tracker, which are downloaded as a whole and exist on this
    machine only while they are read.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dircache: dict[str, list[dict[str, Any]]] = {}
        self._copies: dict[str, Path] = {}
        self._folder = TemporaryFolder()
        self._lock = Lock()
        self._numbers = count()

    @abstractmethod
    def list_folder(self, path: str) -> list[dict[str, Any]]:
        """Return the entries of a folder, as fsspec describes them."""

    @abstractmethod
    def download(self, path: str, folder: Path) -> Path:
        """Download a file into a folder, and return its path."""

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return the entries of a folder."""
        path = self._strip_protocol(path).strip("/")
        if path not in self.dircache:
            self.dircache[path] = self.list_folder(path)
        entries = self.dircache[path]
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return the entry of a file or folder; raise `FileNotFoundError` without
        one.
        """
        path = self._strip_protocol(path).strip("/")
        parent = path.rpartition("/")[0]
        if path in self.dircache or not parent:
            return {"name": path, "size": 0, "type": "directory"}
        for entry in self.ls(parent):
            if entry["name"] == path:
                return dict(entry)
        raise FileNotFoundError(path)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Return a range of a file. The copy of a file of which a range is read stays
        until `release`.
        """
        path = self._strip_protocol(path).strip("/")
        with self._lock:
            copy = self._copies.get(path)
            if copy is None:
                copy = self._copies[path] = self.download(
                    path, self._folder.path / str(next(self._numbers))
                )
        with copy.open("rb") as file:
            file.seek(start or 0)
            data = file.read(-1 if end is None else end - (start or 0))
        if start is None:
            self.release(path)
        return data

    def release(self, path: str) -> None:
        """Remove the copy of a file."""
        copy = self._copies.pop(path.strip("/"), None)
        if copy is not None and copy.is_relative_to(self._folder.path):
            shutil.rmtree(
                self._folder.path / copy.relative_to(self._folder.path).parts[0],
                ignore_errors=True,
            )
