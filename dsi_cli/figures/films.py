"""Frames -> one file: GIF or WebP by Pillow, MP4 by ffmpeg. Frames come one at a time, and only Pillow's packed ones are kept.

A GIF has one palette for all frames, so that no colour flickers, and no dither, so that cells stay plain and the file small.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.figures.asked import FILMS
from dsi_cli.store import whole

Pixels = NDArray[np.uint8]
"""``(height, width, 3)``, both even; or a row of colours."""


def require_format(form: str) -> None:
    """Refuse a format that cannot be written here.

    Raises
    ------
    UsageError
        It is none of `FILMS`, or is MP4 and ffmpeg is missing.
    """
    if form not in FILMS:
        raise UsageError(f"an animation is written as {', '.join(FILMS)}, not as {form!r}: choose one of these")
    if form == "mp4" and shutil.which("ffmpeg") is None:
        raise UsageError("MP4 is written by ffmpeg, which was not found on PATH: install it, or take gif or webp")


def write(frames: Iterator[Pixels], palette: Pixels, path: Path, form: str, durations: Sequence[int]) -> None:
    """Write a film in one step; one that is there is replaced.

    Parameters
    ----------
    frames : as many as ``durations``
    palette : (N, 3) uint8
        The colours of a GIF, 256 or fewer.
    path : where the film goes
    form : one of `FILMS`, for which `require_format` has been asked
    durations : milliseconds of each frame, multiples of the first

    Raises
    ------
    OutputError
        The place may not be written, the disk is full, or ffmpeg fails.
    """
    whole.write(path, _mp4(frames, durations) if form == "mp4" else _pillow(frames, palette, form, durations))


def _pillow(frames: Iterator[Pixels], palette: Pixels, form: str, durations: Sequence[int]) -> bytes:
    from PIL import Image

    images: Iterator[Image.Image] = map(Image.fromarray, frames)
    options: dict[str, Any] = {"quality": 80, "method": 2}
    if form == "gif":
        colours = Image.new("P", (1, 1))
        colours.putpalette(palette.tobytes())
        images = (image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images)
        options = {"optimize": False, "disposal": 1}
    first = next(images)
    buffer = io.BytesIO()
    first.save(buffer, form, save_all=True, append_images=images, duration=list(durations), loop=0, **options)
    return buffer.getvalue()


def _mp4(frames: Iterator[Pixels], durations: Sequence[int]) -> bytes:
    """Code by ffmpeg at a constant rate: a frame that stays longer is repeated. It needs a file that it can go back in."""
    with tempfile.TemporaryDirectory() as folder:
        coded = Path(folder) / "film.mp4"
        _ffmpeg(frames, coded, durations)
        return coded.read_bytes()


def _ffmpeg(frames: Iterator[Pixels], part: Path, durations: Sequence[int]) -> None:
    first = next(frames)
    height, width, _ = first.shape
    rate = f"1000/{durations[0]}"
    shape = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", "-"]
    coded = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(part.absolute())]
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *shape, *coded]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:  # noqa: S603 (no shell; our words)
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for frame, lasts in zip(chain([first], frames), durations, strict=True):
                process.stdin.write(frame.tobytes() * max(1, round(lasts / durations[0])))
            process.stdin.close()
        except BrokenPipeError:
            # It has ended by itself: its last words say why.
            pass
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.returncode:
        raise OutputError(f"ffmpeg failed: {said[-1] if said else 'it says nothing'}; take gif or webp")
