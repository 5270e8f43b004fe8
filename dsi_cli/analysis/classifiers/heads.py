"""The classifier heads of scanned checkpoints: in the cache of an output folder, or in
memory if nothing is written.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli.analysis.cache import HEADS, Cache
from dsi_cli.checkpoints.checkpoint_reader import ScanResult
from dsi_cli.checkpoints.discovery import CheckpointFile
from dsi_cli.checkpoints.records import OK, Record
from dsi_cli.store import parquet, schema

MAX_BYTES_IN_MEMORY = 128 << 20
"""The total size of the heads that stay in memory if there is no cache."""
UNNAMED = Record("", "")
"""The checkpoint in entries of the cache, whose run and epoch do not matter."""


class HeadParameters(NamedTuple):
    """The parameters of a classifier head."""

    weight: NDArray[np.float32]  # ``(C, d)``
    # ``(C,)``; None if the head has no bias, or if it is unknown
    bias: NDArray[np.float32] | None = None

    def of_first(self, classes: int) -> HeadParameters:
        """Return the parameters of the first classes."""
        bias = None if self.bias is None else self.bias[:classes]
        return HeadParameters(self.weight[:classes], bias)


class Heads:
    """The heads of checkpoints by their path.

    Attributes
    ----------
    keys : the key of each head in the cache, by the path of its checkpoint.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache
        self.keys: dict[str, str] = {}
        self._in_memory: dict[str, HeadParameters] = {}
        self._bytes_in_memory = 0

    def remembered(self, file: CheckpointFile, key: str) -> Record | None:
        """Return the record that scanning a file gave; None if it must be scanned.

        A file that may have been replaced is scanned again. If its head is the same,
        all that was computed from it holds.
        """
        entry = None
        if self.cache is not None:
            entry = self.cache.get(HEADS, key, ["record", "identity"])
        if entry is None or entry.get("identity") != list(file.identity):
            return None
        record = replace(Record(**entry["record"]), run=file.run)
        self.keys[record.path] = key
        return record

    def restore(self, path: str, key: str | None) -> bool:
        """Make the head of a deleted checkpoint known; return whether the cache has it,
        or if it has no head.
        """
        if key is None:
            return True
        self.keys[path] = key
        return self.cache is not None and self.cache.has(HEADS, key)

    def add(self, file: CheckpointFile, key: str, result: ScanResult) -> None:
        """Keep what scanning a file gave, unless it failed for a reason that may
        disappear.
        """
        record, head = result.record, None
        if result.weight is not None:
            head = HeadParameters(result.weight, result.bias)
        if self.cache is None:
            if head is not None:
                self._keep_in_memory(record.path, head)
            return
        if record.status != OK and record.fingerprint is None:
            return
        entry: dict[str, Any] = {
            "record": asdict(record),
            "identity": list(file.identity),
        }
        if head is not None:
            entry["head"] = head_table(head)
        self.keys[record.path] = key
        self.cache.put(HEADS, key, entry)

    def _keep_in_memory(self, path: str, head: HeadParameters) -> None:
        size = self._bytes_in_memory + head.weight.nbytes
        if size <= MAX_BYTES_IN_MEMORY:
            self._in_memory[path] = head
            self._bytes_in_memory = size

    def get(self, path: str) -> HeadParameters | None:
        """Return the head of a checkpoint; None if it has none."""
        if self.cache is None or path not in self.keys:
            return self._in_memory.get(path)
        table = self.cache.read(HEADS, self.keys[path], ["head"]).get("head")
        return None if table is None else head_of_table(table)


def head_table(head: HeadParameters) -> pa.Table:
    """Return a head as rows of the heads table, for a checkpoint without a name."""
    weight = head.weight.reshape(len(head.weight), -1)
    varying: dict[str, Any] = {"class_index": range(len(weight))}
    if head.bias is not None and np.isfinite(head.bias).all():
        varying["bias"] = head.bias.astype(np.float64)
    return parquet.from_matrix(schema.HEADS, weight, UNNAMED.key_columns, varying)


def head_of_table(table: pa.Table) -> HeadParameters:
    """Return the head in rows of the heads table."""
    if table["bias"].null_count:
        bias = None
    else:
        bias = table["bias"].to_numpy().astype(np.float32)
    return HeadParameters(parquet.to_rows(table, "weight"), bias)
