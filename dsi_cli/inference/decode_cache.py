"""Samples, decoded and transformed: in any order as they are asked for, or once for all checkpoints.

Threads decode (Pillow and zlib release the interpreter), a few runs of samples ahead of the reader, and rows come in the order that
was asked for. A tensor from the user's own data set goes to the model as it is. A whole split is kept in memory or in a temporary
file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from dsi_cli.engines.resources import usable_cores
from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import Samples
from dsi_cli.inference.images import reason

REPORTED = 64
"""Samples between two calls of ``progress``."""
RUN = 16
"""Samples that a thread decodes in one go; two runs a thread are ahead."""

Row: TypeAlias = "NDArray[np.uint8] | NDArray[np.float32]"
Transform: TypeAlias = Callable[[Image], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class DecodedSplit:
    """A split that is ready for the model.

    Attributes
    ----------
    images : (n, channels, height, width) uint8 or float32
        float32 where the data set gives tensors that are already transformed.
    kept : (n,) int64
        The sample number of each row, ascending.
    bad : tuple of (str, str)
        Where each sample lies that could not be decoded, and why.
    """

    images: Row
    kept: NDArray[np.int64]
    bad: tuple[tuple[str, str], ...]


def decode(
    samples: Samples,
    transform: Transform,
    *,
    workers: int | None = None,
    scratch: Path | None = None,
    in_memory_below: int,
    at_most: int,
    skip_bad: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    announce: Callable[[str], None] = lambda text: None,  # noqa: ARG005
) -> DecodedSplit | None:
    """Return all samples, decoded; None where they are too many to keep (``stream`` decodes them anew each time).

    Parameters
    ----------
    samples, transform, workers
        As for ``stream``.
    scratch
        A folder for a temporary file, which has no name there and goes with the array; None for none.
    in_memory_below, at_most
        Bytes: up to the first they are kept in memory, up to the second in a file, if the disk has twice the room.
    skip_bad
        Whether to leave out what cannot be decoded.
    progress
        Called with the number of samples done and of all.
    announce
        Called with what is about to be made: ``2.3 GB of decoded images, in memory``.

    Raises
    ------
    UsageError
        Samples cannot be decoded and are not to be skipped, or all of them; the message has the first and the count. Or as
        ``stream``.
    """
    images: Row | None = None
    kept: list[int] = []
    bad: list[tuple[str, str]] = []

    def tell() -> None:
        done = len(kept) + len(bad)
        if done % REPORTED == 0 or done == len(samples):
            progress(done, len(samples))

    def leave_out(sample: int, why: str) -> None:
        bad.append((samples.place(sample), why))
        tell()

    with contextlib.closing(stream(samples, transform, range(len(samples)), workers=workers, on_bad=leave_out)) as rows:
        for sample, row in rows:
            if images is None:
                images = _room(row, len(samples), scratch, in_memory_below, at_most, announce)
            if images is None:
                return None
            images[len(kept)] = row
            kept.append(sample)
            tell()
    if bad and not (skip_bad and kept):
        todo = "replace them" if skip_bad or not kept else "--skip-bad-images leaves them out"
        raise UsageError(
            f"{len(bad):,} of {len(samples):,} images cannot be decoded, first {bad[0][0]}: {bad[0][1]}: {todo}"
        )
    assert images is not None
    return DecodedSplit(images[: len(kept)], np.array(kept, dtype=np.int64), tuple(bad))


def stream(
    samples: Samples,
    transform: Transform,
    order: Sequence[int],
    *,
    workers: int | None = None,
    on_bad: Callable[[int, str], None] | None = None,
) -> Generator[tuple[int, Row], None, None]:
    """Yield (sample number, decoded row) in a given order; run it to its end, or close it.

    Parameters
    ----------
    samples
        What to decode; by this thread alone where they are not thread-safe.
    transform
        A PIL image -> (channels, height, width) uint8. Tensors pass it by.
    order
        Sample numbers.
    workers
        Threads; None for one a usable core, below 2 for this thread alone.
    on_bad
        Called with a sample number and why it cannot be decoded, in place of an error.

    Raises
    ------
    UsageError
        Rows differ in shape or type, a tensor has another than three axes of floats or uint8, or a sample cannot be decoded.
    """
    # Pillow warns of odd metadata and of images of 90 megapixels. The filter stays in the process: `warnings.catch_warnings` is not
    # safe in threads, and two streams that are read in turns would put back each other's filters.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    threads = (usable_cores() if workers is None else workers) if samples.is_threadsafe else 1
    first: tuple[int, Row] | None = None
    for sample, found in _results(samples, transform, order, threads):
        if isinstance(found, str):
            if on_bad is None:
                raise UsageError(f"{samples.place(sample)} cannot be decoded: {found}: --skip-bad-images leaves it out")
            on_bad(sample, found)
            continue
        first = first or (sample, found)
        _require_alike(samples, first, (sample, found))
        yield sample, found


def _results(samples: Samples, transform: Transform, order: Sequence[int], workers: int) -> Iterator[tuple[int, Row | str]]:
    """Yield each sample's row, or why it has none, in order."""

    def run(numbers: Sequence[int]) -> list[tuple[int, Row | str]]:
        return [(number, _row(samples, number, transform)) for number in numbers]

    if workers < 2:
        yield from ((number, _row(samples, number, transform)) for number in order)
        return
    runs = (order[start : start + RUN] for start in range(0, len(order), RUN))
    pool = ThreadPoolExecutor(min(workers, -(-len(order) // RUN) or 1), thread_name_prefix="decode")
    try:
        ahead: deque[Future[list[tuple[int, Row | str]]]] = deque(
            pool.submit(run, one) for one in islice(runs, 2 * workers)
        )
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(run, one) for one in islice(runs, 1))
            yield from done
    finally:
        pool.shutdown(cancel_futures=True)


def _row(samples: Samples, number: int, transform: Transform) -> Row | str:
    try:
        image = samples.image(number)
    except (Exception, SystemExit) as error:  # noqa: BLE001 (a decoder raises anything on damaged bytes, and so does a user's data)
        return reason(error)
    return transform(image) if isinstance(image, Image) else _array(samples.place(number), image)


def _array(place: str, tensor: Any) -> Row:
    """Return a tensor's values as uint8 or float32."""
    is_float = tensor.is_floating_point()
    array: NDArray[Any] = (tensor.float() if is_float else tensor).detach().cpu().numpy()
    if array.ndim != 3 or not (is_float or array.dtype == np.uint8):
        raise UsageError(
            f"{place}: expected a tensor of (channels, height, width), floats or uint8, found {array.dtype} of shape {array.shape}"
            "; return another, or a PIL image"
        )
    return array


def _require_alike(samples: Samples, first: tuple[int, Row], other: tuple[int, Row]) -> None:
    if first[1].shape == other[1].shape and first[1].dtype == other[1].dtype:
        return
    one, two = (f"{samples.place(sample)} is {row.dtype} of shape {row.shape}" for sample, row in (first, other))
    raise UsageError(
        f"expected images of one size (channels, height, width) after the transform, found that {one} and {two}; give --image-size"
    )


def _room(
    row: Row, count: int, scratch: Path | None, in_memory_below: int, at_most: int, announce: Callable[[str], None]
) -> Row | None:
    """Return an empty array for all rows, in memory or in a file; None where there is no room."""
    size = row.nbytes * count
    shape = (count, *row.shape)
    if size <= in_memory_below:
        announce(f"{_bytes(size)} of decoded images, in memory")
        return np.empty(shape, dtype=row.dtype)
    if scratch is None or size > at_most or shutil.disk_usage(scratch).free < 2 * size:
        return None
    announce(f"{_bytes(size)} of decoded images, in a temporary file")
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:  # the mapping keeps it alive
            _allocate(file.fileno(), size)
            return np.memmap(file, dtype=row.dtype, mode="r+", shape=shape)
    except OSError:
        return None  # a quota, or others who write: there is no room after all


def _allocate(file: int, size: int) -> None:
    """Give a file its size, and where the system can the room on the disk: a full one would kill who writes to the mapping."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _bytes(size: int) -> str:
    """Return a size for a person.

    Examples
    --------
    >>> _bytes(2_300_000_000), _bytes(7_840)
    ('2.3 GB', '7.8 kB')
    """
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
