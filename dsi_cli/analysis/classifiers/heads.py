"""The classifier heads of scanned checkpoints: in the cache of an output folder, or in
memory if nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
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
HeadId = tuple[str, int]
"""The key of an entry in the cache, and the position of the checkpoint in its file."""
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
    ids : the id of each head in the cache, by the path of its checkpoint.
    """

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache
        self.ids: dict[str, HeadId] = {}
        self._in_memory: dict[str, HeadParameters] = {}

    def remembered(self, file: CheckpointFile, key: str) -> list[ScanResult] | None:
        """Return what scanning a file gave, without the weights; None if it must be
        scanned.
        """
        entry = None if self.cache is None else self.cache.get(HEADS, key, ["records"])
        if entry is None:
            return None
        results = []
        for position, row in enumerate(entry["records"]):
            record = replace(Record(**row), run=file.run)
            self.ids[record.path] = key, position
            results.append(ScanResult(record))
        return results

    def restore(self, path: str, head: HeadId | None) -> bool:
        """Make the head of a deleted checkpoint known; return whether the cache has it,
        or if it has no head.
        """
        if head is None:
            return True
        self.ids[path] = head
        return self.cache is not None and self.cache.has(HEADS, head[0])

    def add(self, key: str, results: Sequence[ScanResult]) -> None:
        """Keep what scanning a file gave, unless it failed for a reason that may
        disappear.
        """
        if self.cache is None:
            size = sum(head.weight.nbytes for head in self._in_memory.values())
            for result in results:
                if (
                    result.weight is not None
                    and size + result.weight.nbytes <= MAX_BYTES_IN_MEMORY
                ):
                    self._in_memory[result.record.path] = HeadParameters(
                        result.weight, result.bias
                    )
            return
        if any(
            result.record.status != OK and result.record.fingerprint is None
            for result in results
        ):
            return
        entry: dict[str, Any] = {
            "records": [asdict(result.record) for result in results]
        }
        for position, result in enumerate(results):
            self.ids[result.record.path] = key, position
            if result.weight is not None:
                entry[str(position)] = head_table(
                    HeadParameters(result.weight, result.bias)
                )
        self.cache.put(HEADS, key, entry)

    def table(self, path: str) -> pa.Table | None:
        """Return the head of a checkpoint in the cache as rows of the heads table; None
        if it has none.
        """
        if self.cache is None or path not in self.ids:
            return None
        key, position = self.ids[path]
        return self.cache.read(HEADS, key, [str(position)]).get(str(position))

    def get(self, path: str) -> HeadParameters | None:
        """Return the head of a checkpoint; None if it has none."""
        table = self.table(path)
        return self._in_memory.get(path) if table is None else head_of_table(table)


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
