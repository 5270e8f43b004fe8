"""One column of Parquet files, row by row, from several threads, in bounded memory.

Samples are mostly asked for in order. One reader walks through a row group in batches; the last batches are kept, so that
threads which are a little ahead of or behind each other share them. A row further back starts the row group anew.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 64
"""Rows read at once: some MB of photographs."""
KEPT = 64 * 2**20
"""Bytes of batches that are kept; the last two always are."""
BUFFER = 2**20
"""Bytes that are read at once. Arrow takes a whole column chunk otherwise, which can be all of the file; so it decodes a page
(up to some 1,000 images) at a time."""


class _Batch(NamedTuple):
    first: int
    cells: pa.Array


class Rows:
    """The cells of a column; ``rows[12]`` is a Python value. Thread-safe.

    Attributes
    ----------
    counts : list of int
        The rows of each file.
    """

    def __init__(self, files: Sequence[Path], column: str) -> None:
        """Read the files' footers: what row groups they have."""
        metadata = [pq.read_metadata(file) for file in files]
        self.counts: list[int] = [one.num_rows for one in metadata]
        self._groups = [
            (file, group) for file, one in zip(files, metadata, strict=True) for group in range(one.num_row_groups)
        ]
        sizes = [one.row_group(group).num_rows for one in metadata for group in range(one.num_row_groups)]
        self._starts = np.array([0, *accumulate(sizes)], dtype=np.int64)
        self._column = column
        self._lock = threading.Lock()
        self._kept: deque[_Batch] = deque()
        self._reader: Iterator[pa.RecordBatch] = iter(())
        self._next, self._end = 0, 0  # what the reader gives next, and where its row group ends

    def __len__(self) -> int:
        """Return the number of rows of all files."""
        return sum(self.counts)

    def __getitem__(self, row: int) -> Any:
        """Return a cell as a Python value (bytes, a dict of a struct's fields)."""
        with self._lock:
            batch = self._batch(row)
        return batch.cells[row - batch.first].as_py()

    def _batch(self, row: int) -> _Batch:
        for batch in self._kept:
            if batch.first <= row < batch.first + len(batch.cells):
                return batch
        if not self._next <= row < self._end:
            self._start(row)
        while self._next <= row:
            self._advance()
        return self._kept[-1]

    def _start(self, row: int) -> None:
        """Put the reader at the beginning of the row group that holds a row."""
        place = int(np.searchsorted(self._starts, row, side="right")) - 1
        file, group = self._groups[place]
        self._reader = _batches(file, group, self._column)
        self._next, self._end = int(self._starts[place]), int(self._starts[place + 1])

    def _advance(self) -> None:
        cells = next(self._reader).column(0)
        self._kept.append(_Batch(self._next, cells))
        self._next += len(cells)
        while len(self._kept) > 2 and sum(batch.cells.nbytes for batch in self._kept) > KEPT:
            self._kept.popleft()


def _batches(file: Path, group: int, column: str) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as opened:
        yield from opened.iter_batches(BATCH, row_groups=[group], columns=[column])
