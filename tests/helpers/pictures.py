"""Small labelled images for the tests, and encoded images in the files of data sets, by
the libraries that people use.
"""

import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write(
    folder: Path, classes: Sequence[str], *, each: int, size: int, mode: str
) -> Path:
    """Write a folder of PNG images for each class, and return the folder of all.

    Each class has a colour and stripes of its own, so that a network can learn it. The
    files are numbered through all classes. The images depend on nothing but the
    arguments.
    """
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        colour, slope = rng.uniform(60, 200, 3), rng.normal(size=2)
        for number in range(index * each, (index + 1) * each):
            rows, columns = np.indices((size, size))
            stripes = np.sin(
                slope[0] * rows + slope[1] * columns + rng.uniform(0, 2 * np.pi)
            )
            values = (
                colour
                + 40 * stripes[:, :, None]
                + rng.normal(scale=15, size=(size, size, 3))
            )
            pixels = values.clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).convert(mode).save(
                folder / name / f"{number:05}.png"
            )
    return folder


def encoded(image, kind, **options):
    """Return an image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_small(path):
    """Write an image of four black pixels, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2)).save(path)
    return path
