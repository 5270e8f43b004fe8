"""Read a folder of class folders by the convention of torchvision's ``ImageFolder``.

Class folders are sorted by name. Images may be at any depth below them, and have the order of ``ImageFolder``. A folder without
images is still a class. Hidden files are ignored, such as ``._a.png``, which macOS creates and torchvision would read. Links are
followed, but each folder is read only once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import SPLITS, Samples, fingerprint, pick_split, size_note
from dsi_cli.inference.images import IMAGE_SUFFIXES, open_file


def split_folder(folder: Path, train: bool) -> Path:
    """Return the split's folder if a folder has only split folders, else the folder itself.

    Raises
    ------
    UsageError
        The split is missing or ambiguous, or the folder cannot be read.
    """
    inside = subfolders(folder)
    if inside and set(inside) <= set(SPLITS):
        return folder / pick_split(inside, train, folder)
    return folder


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones.

    Raises
    ------
    UsageError
        The folder cannot be read.
    """
    return sorted(entry.name for entry in _entries(str(folder)) if entry.is_dir())


def has_images(folder: Path) -> bool:
    """Return True if a class folder contains an image; the search stops at the first one."""
    return any(files for name in subfolders(folder) for _, files in _walk(str(folder / name), set()))


def open_image_folder(folder: Path) -> Samples:
    """Return the samples of a folder of class folders.

    Raises
    ------
    UsageError
        The folder has no class folders or no images, or a folder cannot be read.
    """
    names = subfolders(folder)
    root = os.path.abspath(folder)  # noqa: PTH100 (links stay as they are)
    found = []
    for name in names:  # in torchvision's order: by the path of the folder, then by name
        walked = sorted(_walk(os.path.join(root, name), set()), key=lambda found: found[0])  # noqa: PTH118
        found.append([file for _, images in walked for file in images])
    files = [file for images in found for file in images]
    if not files:
        contents = f"{len(names):,} folders without an image" if names else "no folder in it"
        raise UsageError(
            f"{folder}: expected a folder of images for each class ({', '.join(IMAGE_SUFFIXES)}), found {contents}; check the path",
            code="no-images",
        )
    paths = tuple(entry.path for entry in files)
    stamps = [(entry.path[len(root) :], entry.stat().st_size, entry.stat().st_mtime_ns) for entry in files]
    return Samples(
        source=f"image folder {folder} {size_note(len(files), len(names))}",
        id=fingerprint("folder", names, stamps),
        names=tuple(names),
        targets=np.repeat(np.arange(len(names), dtype=np.int64), [len(images) for images in found]),
        paths=paths,
        image=lambda sample: open_file(paths[sample]),
        is_threadsafe=True,
        is_sorted=True,
    )


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Yield a folder and all folders below it with their images; a folder in ``seen`` is skipped, because links may form loops."""
    stat = os.stat(folder)  # noqa: PTH116
    if (stat.st_dev, stat.st_ino) in seen:
        return
    seen.add((stat.st_dev, stat.st_ino))
    entries = _entries(folder)
    yield folder, [entry for entry in entries if entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.is_file()]
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry.path, seen)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder that are not hidden, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        message = f"{folder}: the folder cannot be read ({error.strerror}); check its permissions"
        raise UsageError(message, code="folder-not-readable", reason=error.strerror) from None
