"""Decode and transform samples: in any order on demand, or once for all checkpoints.

Threads decode a few tasks ahead of the reader, because Pillow and zlib release the
interpreter lock. Rows come in the requested order. Tensors of a custom data set are not
transformed. A decoded split is kept in memory or in a temporary file.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import warnings
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from dsi_cli.engines import usable_cores
from dsi_cli.engines.local import run_in_order
from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import Samples
from dsi_cli.inference.image_folder import reason_not_decoded

SAMPLES_PER_PROGRESS = 64  # number of samples between two calls of ``progress``
# number of samples that a thread decodes in one task; two tasks per thread are queued
SAMPLES_PER_TASK = 16

Row: TypeAlias = "NDArray[np.uint8] | NDArray[np.float32]"
Transform: TypeAlias = Callable[[Image], NDArray[np.uint8]]


def decode(
    samples: Samples,
    transform: Transform,
    *,
    scratch: Path,
    in_memory_below: int,
    at_most: int,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    announce: Callable[[str], None] = lambda text: None,  # noqa: ARG005
) -> tuple[Row, NDArray[np.int64], list[tuple[str, str]]] | None:
    """Return all decoded samples, the number of each, and location and reason of those
    that cannot be decoded.

    None if they are too large to keep (then ``stream`` decodes them again for each
    use). The samples are ``(n, channels, height, width)`` uint8, or float32 if the data
    set returns tensors, which are already transformed.

    Raise `UsageError` if samples cannot be decoded and ``skip_bad`` is false, or if no
    sample can be decoded.

    Parameters
    ----------
    scratch : a folder for an unnamed temporary file, which is deleted with the array.
    in_memory_below, at_most : the maximum size in bytes in memory, and in a file.
    announce : a function that is called with a description before decoding: ``2.3 GB of
        decoded images, in memory``.
    """
    images: Row | None = None
    kept: list[int] = []
    bad: list[tuple[str, str]] = []

    def report() -> None:
        done = len(kept) + len(bad)
        if done % SAMPLES_PER_PROGRESS == 0 or done == len(samples):
            progress(done, len(samples))

    def leave_out(sample: int, reason: str) -> None:
        bad.append((samples.locate(sample), reason))
        report()

    with contextlib.closing(
        stream(samples, transform, range(len(samples)), on_bad=leave_out)
    ) as rows:
        for sample, row in rows:
            if images is None:
                images = _allocate_rows(
                    row, len(samples), scratch, in_memory_below, at_most, announce
                )
            if images is None:
                return None
            images[len(kept)] = row
            kept.append(sample)
            report()
    if bad and not (skip_bad and kept):
        remedy = (
            "replace them"
            if skip_bad or not kept
            else "add --skip-bad-images to leave them out"
        )
        message = (
            f"{len(bad):,} of {len(samples):,} images cannot be decoded, such as"
            f" {bad[0][0]} ({bad[0][1]}); {remedy}"
        )
        raise UsageError(message, code="bad-images", bad=len(bad), samples=len(samples))
    assert images is not None
    return images[: len(kept)], np.array(kept, dtype=np.int64), bad


def stream(
    samples: Samples,
    transform: Transform,
    order: Sequence[int],
    on_bad: Callable[[int, str], None] | None = None,
) -> Generator[tuple[int, Row], None, None]:
    """Yield (sample number, decoded row) in a given order; the caller must exhaust or
    close the generator.

    Raise `UsageError` if rows differ in shape or type, a tensor is not an image, or a
    sample cannot be decoded.

    Parameters
    ----------
    samples : the samples to decode; if they are not thread-safe, only the calling
        thread decodes.
    transform : a function from a PIL image to (channels, height, width) uint8; it is
        not applied to tensors.
    on_bad : a function that is called with the number of a sample that cannot be
        decoded, and the reason, instead of an error.
    """
    # Pillow warns about odd metadata and about images above 90 megapixels. The filter
    # stays in the process: `warnings.catch_warnings` is not thread-safe, and
    # alternating streams would restore each other's filters.
    warnings.filterwarnings("ignore", module=r"PIL\.")

    def decode_task(numbers: Sequence[int]) -> list[tuple[int, Row | str]]:
        return [
            (number, _decode_sample(samples, number, transform)) for number in numbers
        ]

    tasks = (
        order[start : start + SAMPLES_PER_TASK]
        for start in range(0, len(order), SAMPLES_PER_TASK)
    )
    is_parallel = samples.is_threadsafe and usable_cores() > 1
    results = (
        run_in_order(decode_task, tasks, usable_cores())
        if is_parallel
        else map(decode_task, tasks)
    )
    first: tuple[int, Row] | None = None
    for sample, row in itertools.chain.from_iterable(results):
        if isinstance(row, str):
            if on_bad is None:
                message = f"{samples.locate(sample)} cannot be decoded ({row})"
                raise UsageError(
                    message,
                    hint="add --skip-bad-images to leave it out",
                    code="bad-image",
                    sample=sample,
                    reason=row,
                )
            on_bad(sample, row)
            continue
        first = first or (sample, row)
        if first[1].shape != row.shape or first[1].dtype != row.dtype:
            a, b = (
                f"{samples.locate(k)} is {one.dtype} of shape {one.shape}"
                for k, one in (first, (sample, row))
            )
            message = (
                "expected images of one size (channels, height, width) after the"
                f" transform, found that {a} and {b}; "
            )
            message += "give --image-size"
            raise UsageError(message, code="image-sizes")
        yield sample, row


def _decode_sample(samples: Samples, number: int, transform: Transform) -> Row | str:
    """Return a sample's row, or the reason why it cannot be decoded; tensors become
    uint8 or float32.
    """
    try:
        image = samples.image(number)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (decoders may raise anything)
        return reason_not_decoded(error)
    if isinstance(image, Image):
        return transform(image)
    is_float = image.is_floating_point()
    array: NDArray[Any] = (image.float() if is_float else image).detach().cpu().numpy()
    if array.ndim != 3 or not (is_float or array.dtype == np.uint8):
        message = (
            f"{samples.locate(number)}: expected a tensor of (channels, height, width),"
            " floats or uint8, found "
        )
        message += (
            f"{array.dtype} of shape {array.shape}; return another, or a PIL image"
        )
        raise UsageError(message, code="not-an-image-tensor", shape=array.shape)
    return array


def _allocate_rows(
    row: Row,
    count: int,
    scratch: Path,
    in_memory_below: int,
    at_most: int,
    announce: Callable[[str], None],
) -> Row | None:
    """Return an empty array for all rows, in memory or in a file; None if they are too
    large.
    """
    size = row.nbytes * count
    shown_size = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
    shape = (count, *row.shape)
    if size <= in_memory_below:
        announce(f"{shown_size} of decoded images, in memory")
        return np.empty(shape, dtype=row.dtype)
    if size > at_most:
        return None
    announce(f"{shown_size} of decoded images, in a temporary file")
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:  # the mapping keeps it alive
            # Reserve the disk space if possible, because writing to a mapping on a full
            # disk kills the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                os.truncate(file.fileno(), size)
            return np.memmap(file, dtype=row.dtype, mode="r+", shape=shape)
    except OSError:
        return None  # a quota was exceeded, or another process filled the disk
