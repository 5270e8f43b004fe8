"""A folder of class folders -> samples, by torchvision's ``ImageFolder`` convention.

Class folders sorted by name, images at any depth below them, in the order of ``ImageFolder``. A folder without an image is
still a class. What begins with a dot is passed over (torchvision would take ``._a.png``, which macOS leaves behind, for an
image); links are followed, each folder once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import SPLITS, Samples, counted, fingerprint, pick_split
from dsi_cli.inference.images import EXTENSIONS, open_file


def split_folder(folder: Path, train: bool) -> Path:
    """Return the split's folder, where all that a folder holds is split folders; else the folder itself.

    Raises
    ------
    UsageError
        As ``pick_split``, or the folder cannot be read.
    """
    inside = subfolders(folder)
    if inside and set(inside) <= set(SPLITS):
        return folder / pick_split(inside, train, folder)
    return folder


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones.

    Raises
    ------
    UsageError
        It cannot be read.
    """
    return sorted(entry.name for entry in _entries(str(folder)) if entry.is_dir())


def has_images(folder: Path) -> bool:
    """Return whether an image lies in a class folder; stops at the first."""
    return any(files for name in subfolders(folder) for _, files in _walk(str(folder / name), set()))


def open_image_folder(folder: Path) -> Samples:
    """Return the samples of a folder of class folders.

    Raises
    ------
    UsageError
        There is no class folder, no image in any, or a folder cannot be read.
    """
    names = subfolders(folder)
    root = os.path.abspath(folder)  # noqa: PTH100 (links stay as they are)
    found = []
    for name in names:  # in torchvision's order: by the path of the folder, then by name
        walked = sorted(_walk(os.path.join(root, name), set()), key=lambda found: found[0])  # noqa: PTH118
        found.append([file for _, images in walked for file in images])
    files = [file for images in found for file in images]
    if not files:
        what = f"{len(names):,} folders without an image" if names else "no folder in it"
        raise UsageError(
            f"{folder}: expected a folder of images for each class ({', '.join(EXTENSIONS)}), found {what}; check the path"
        )
    paths = tuple(entry.path for entry in files)
    stamps = [(entry.path[len(root) :], entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files]
    return Samples(
        source=f"image folder {folder} {counted(len(files), len(names))}",
        id=fingerprint("folder", names, stamps),
        names=tuple(names),
        targets=np.repeat(np.arange(len(names), dtype=np.int64), [len(images) for images in found]),
        paths=paths,
        image=lambda sample: open_file(paths[sample]),
        is_threadsafe=True,
        is_sorted=True,
    )


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Yield each folder at or below one with its images; a folder that was seen (a loop of links) is left out."""
    stat = os.stat(folder)  # noqa: PTH116
    if (stat.st_dev, stat.st_ino) in seen:
        return
    seen.add((stat.st_dev, stat.st_ino))
    entries = _entries(folder)
    yield folder, [entry for entry in entries if entry.name.lower().endswith(EXTENSIONS) and entry.is_file()]
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry.path, seen)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return what is in a folder and not hidden, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(
            f"{folder}: expected a folder that can be read, found none ({error.strerror}); check its permissions"
        ) from None
