"""What the tests of several readers do with a checkpoint file."""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch

from dsi_cli.checkpoints.discovery import CheckpointFile, discover
from dsi_cli.checkpoints.formats import FORMATS, OpenFiles, open_content
from dsi_cli.checkpoints.tensors import Tensor


def read_all(path: Path) -> dict[str, np.ndarray]:
    """Return every tensor in a file by its name; those of nested mappings have the keys
    before it.
    """

    def read(tree: object, lead: str) -> None:
        for name, one in tree.items():
            if isinstance(one, Tensor):
                found[lead + name] = one.read()
            elif isinstance(one, dict):
                read(one, f"{lead}{name}.")

    found: dict[str, np.ndarray] = {}
    with OpenFiles() as files:
        content = open_content(path, files)
        read(content.tree if isinstance(content.tree, dict) else {}, "")
    return found


def saved_pickle(value: object) -> bytes:
    """Return the pickle inside the zip archive that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    with zipfile.ZipFile(buffer) as archive:
        return archive.read(
            next(name for name in archive.namelist() if name.endswith("data.pkl"))
        )


def formats_of(head: bytes) -> list[str]:
    """Return the formats that a file with these first bytes may have."""
    return [
        one.name
        for one in FORMATS
        if one.matches_head is not None and one.matches_head(head[:16])
    ]


def only(folder: Path) -> CheckpointFile:
    """Return the only checkpoint of a folder."""
    ((found,),) = [run.checkpoints for run in discover([folder])]
    return found


def repacked(
    path: Path,
    new: Path,
    change: dict[str, bytes | None] | None = None,
    compression: int = 0,
) -> Path:
    """Write a copy of an archive with entries changed, left out (None) or deflated, by
    their names without the top folder.
    """
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(new, "w", compression) as archive,
    ):
        for entry in old.infolist():
            short = (
                entry.filename.partition("/")[2]
                if entry.filename not in (change or {})
                else entry.filename
            )
            data = (change or {}).get(short, old.read(entry))
            if data is not None:
                archive.writestr(entry.filename, data)
    return new
