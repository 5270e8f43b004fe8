"""Read a folder of class folders by the convention of torchvision's ``ImageFolder``,
and decode single images.

Class folders are sorted by name. Images may be at any depth below them, and have the
order of ``ImageFolder``. A folder without images is still a class. Hidden files are
ignored, such as ``._a.png``, which macOS creates and torchvision would read. Links are
followed, but each folder is read only once.

Pillow's protection against decompression bombs stays on. An image keeps the colour mode
of its file.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import Image, UnidentifiedImageError

from dsi_cli.errors import UsageError, wrong
from dsi_cli.inference.dataset import (
    SPLITS,
    Samples,
    fingerprint,
    pick_split,
    size_note,
)

IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".ppm",
    ".bmp",
    ".pgm",
    ".tif",
    ".tiff",
    ".webp",
)
"""The suffixes that torchvision's ``ImageFolder`` reads."""


def open_file(path: str | os.PathLike[str]) -> Image.Image:
    """Return the image of a file; raise Pillow's exceptions (``OSError``,
    ``SyntaxError``, ``DecompressionBombError`` ...).
    """
    return open_bytes(Path(path).read_bytes())


def open_bytes(data: bytes) -> Image.Image:
    """Return the image of a file's bytes; raise Pillow's exceptions."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def reason_not_decoded(error: BaseException) -> str:
    """Return the reason why an image could not be decoded, in one line without
    addresses of objects.

    >>> reason_not_decoded(UnidentifiedImageError("cannot identify image file <_io.BytesIO object at 0x7f2c>"))
    'not an image that Pillow can read'
    >>> reason_not_decoded(KeyError("x"))
    "KeyError: 'x'"
    """
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    if text and isinstance(error, OSError | SyntaxError | Image.DecompressionBombError):
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def split_folder(folder: Path, train: bool) -> Path:
    """Return the split's folder if a folder has only split folders, else the folder;
    raise `UsageError` without the split.
    """
    inside = subfolders(folder)
    if inside and set(inside) <= set(SPLITS):
        return folder / pick_split(inside, train, folder)
    return folder


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of the folders in a folder, without hidden ones; raise
    `UsageError` if it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir() and not entry.name.startswith(".")
            )
    except OSError as error:
        _fail(error)


def open_image_folder(folder: Path) -> Samples:
    """Return the samples of a folder of class folders; raise `UsageError` if it has no
    class folders or no images.
    """
    names = subfolders(folder)
    root = os.path.abspath(folder)  # noqa: PTH100 (links stay as they are)
    # Images are in torchvision's order: by the path of the folder, then by name.
    found = [
        [
            file
            for _, images in sorted(_walk(f"{root}{os.sep}{name}"))
            for file in images
        ]
        for name in names
    ]
    paths = tuple(file for images in found for file in images)
    if not paths:
        if names:
            contents = f"{len(names):,} folders without an image"
        else:
            contents = "no folder in it"
        raise wrong(
            folder,
            f"a folder of images for each class ({', '.join(IMAGE_SUFFIXES)})",
            contents,
            "check the path, or give file.py:function that returns a torch data set",
            code="no-images",
        )
    targets = np.repeat(
        np.arange(len(names), dtype=np.int64), [len(images) for images in found]
    )
    stamps = [
        (path[len(root) :], stat.st_size, stat.st_mtime_ns)
        for path in paths
        for stat in [os.stat(path)]  # noqa: PTH116
    ]
    return Samples(
        source=f"image folder {folder} {size_note(targets, names)}",
        id=fingerprint("folder", names, stamps),
        names=tuple(names),
        targets=targets,
        paths=paths,
        image=lambda sample: open_file(paths[sample]),
        is_threadsafe=True,
        is_sorted=True,
    )


def _walk(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a folder and all folders below it with the sorted paths of their images;
    links may form loops.
    """
    seen: set[tuple[int, int]] = set()
    for path, folders, files in os.walk(folder, onerror=_fail, followlinks=True):
        stat = os.stat(path)  # noqa: PTH116
        if (stat.st_dev, stat.st_ino) in seen:
            folders.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        images = sorted(
            name
            for name in files
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        )
        yield (
            path,
            [
                file
                for name in images
                if os.path.isfile(file := f"{path}{os.sep}{name}")  # noqa: PTH113
            ],
        )


def _fail(error: OSError) -> NoReturn:
    message = f"{error.filename}: the folder cannot be read ({error.strerror})"
    raise UsageError(
        message,
        hint="check its permissions",
        code="folder-not-readable",
        reason=error.strerror,
    ) from None
