"""Decode images with Pillow, whose protection against decompression bombs stays on.

An image keeps the colour mode of its file; the transform converts it for the classifier. Files are closed after each call.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""The suffixes that torchvision's ``ImageFolder`` reads."""


def open_file(path: str | os.PathLike[str]) -> Image.Image:
    """Return the image of a file; raise Pillow's exceptions (``OSError``, ``SyntaxError``, ``DecompressionBombError`` ...)."""
    with Path(path).open("rb") as file:
        return _load(file)


def open_bytes(data: bytes) -> Image.Image:
    """Return the image of a file's bytes; raise Pillow's exceptions."""
    return _load(io.BytesIO(data))


def reason_not_decoded(error: BaseException) -> str:
    """Return the reason why an image could not be decoded, in one line without addresses of objects.

    Examples
    --------
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


def _load(file: IO[bytes]) -> Image.Image:
    image = Image.open(file)
    image.load()
    return image
