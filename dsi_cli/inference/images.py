"""Image bytes -> decoded PIL images.

Pillow's protection against decompression bombs stays on. An image keeps its file's colour mode: what a classifier wants
is the transform's to say. No handle outlives the call.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision's ``ImageFolder`` takes for an image."""


def open_file(path: str | os.PathLike[str]) -> Image.Image:
    """Return the image of a file; raises what Pillow does (``OSError``, ``SyntaxError``, ``DecompressionBombError`` ...)."""
    with Path(path).open("rb") as file:
        return _loaded(file)


def open_bytes(data: bytes) -> Image.Image:
    """Return the image of a file's bytes; raises as ``open_file``."""
    return _loaded(io.BytesIO(data))


def reason(error: BaseException) -> str:
    """Return why an image could not be decoded: one line, without addresses of objects.

    Examples
    --------
    >>> reason(UnidentifiedImageError("cannot identify image file <_io.BytesIO object at 0x7f2c>"))
    'not an image that Pillow knows'
    >>> reason(KeyError("x"))
    "KeyError: 'x'"
    """
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    is_decoders = isinstance(error, OSError | SyntaxError | Image.DecompressionBombError)
    return text if text and is_decoders else f"{type(error).__name__}: {text}".removesuffix(": ")


def _loaded(file: IO[bytes]) -> Image.Image:
    image = Image.open(file)
    image.load()
    return image
