"""A split decoded and transformed once for all checkpoints, in memory or in a temporary file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.samples import Samples
from dsi_cli.evaluation.streaming import Row, Transform, stream

__all__ = ["Decoded", "decode", "stream"]

REPORTED = 64
"""Samples between two calls of ``progress``."""


@dataclass(frozen=True, eq=False)
class Decoded:
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


@dataclass
class _Sorter:
    """Where rows go as they come, and what is to be told about them."""

    total: int
    progress: Callable[[int, int], None]
    images: Row | None = None
    kept: list[int] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)

    def take(self, sample: int, row: Row) -> None:
        assert self.images is not None
        self.images[len(self.kept)] = row
        self.kept.append(sample)
        self._tell()

    def leave(self, sample: int, why: str) -> None:
        self.bad.append((sample, why))
        self._tell()

    def _tell(self) -> None:
        done = len(self.kept) + len(self.bad)
        if done % REPORTED == 0 or done == self.total:
            self.progress(done, self.total)


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
) -> Decoded | None:
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
    sorter = _Sorter(len(samples), progress)
    with contextlib.closing(stream(samples, transform, range(len(samples)), workers=workers, on_bad=sorter.leave)) as rows:
        for sample, row in rows:
            if sorter.images is None:
                sorter.images = _room(row, len(samples), scratch, in_memory_below, at_most, announce)
                if sorter.images is None:
                    return None
            sorter.take(sample, row)
    bad = tuple((samples.place(sample), why) for sample, why in sorter.bad)
    if bad and not (skip_bad and sorter.kept):
        todo = "replace them" if skip_bad or not sorter.kept else "--skip-bad-images leaves them out"
        raise UsageError(
            f"{len(bad):,} of {len(samples):,} images cannot be decoded, first {bad[0][0]}: {bad[0][1]}: {todo}"
        )
    assert sorter.images is not None
    return Decoded(sorter.images[: len(sorter.kept)], np.array(sorter.kept, dtype=np.int64), bad)


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
