"""The files of single epochs: heads, matrices or nearest classes, confusion counts and
predictions.

Each file has the key of what it was made from in its metadata, and is written again if
and only if this key differs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.evaluation.split_evaluations import MATRIX_PARTS, SplitEvaluations
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, HEADS, NEIGHBORS, PREDICTIONS

TABLES = (CSMS, HEADS, NEIGHBORS, CONFUSIONS, PREDICTIONS)


class EpochFiles:
    """The files of a run in an output folder."""

    def __init__(self, out: Path, run: str) -> None:
        self.out, self.run = out, run
        self._written: set[Path] = set()

    def head(
        self,
        record: Record,
        step: int | None,
        key: str,
        table: Callable[[], pa.Table | None],
    ) -> None:
        """Write the head of a checkpoint; ``step`` is set only for an earlier save of
        an epoch, also in the other methods.
        """
        self._write(
            layout.head_path(self.out, self.run, record.epoch, step), record, key, table
        )

    def matrix(
        self,
        record: Record,
        step: int | None,
        kind: str,
        key: str,
        table: Callable[[], pa.Table | None],
    ) -> None:
        """Write a matrix that is made from weights alone."""
        self._write(
            layout.csm_path(self.out, self.run, kind, None, record.epoch, step),
            record,
            key,
            table,
        )

    def nearest(
        self,
        record: Record,
        step: int | None,
        kind: str,
        key: str,
        table: Callable[[], pa.Table | None],
    ) -> None:
        """Write the nearest classes, which replace a matrix."""
        self._write(
            layout.neighbors_path(self.out, self.run, kind, record.epoch, step),
            record,
            key,
            table,
        )

    def evaluation(
        self, record: Record, step: int | None, evaluation: SplitEvaluations
    ) -> None:
        """Write the tables of the evaluation of a checkpoint on a split, if there is
        one that counts.
        """
        saved, info, split = (
            evaluation.counting(record),
            evaluation.info(record),
            evaluation.split,
        )
        if saved is None:
            return
        tables = cache(lambda: evaluation.tables(record))
        for part in info.get("parts", ()):
            if part in MATRIX_PARTS:
                path = layout.csm_path(
                    self.out, self.run, part, split, record.epoch, step
                )
            else:
                of_part = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
                path = layout.split_path(
                    self.out, of_part, self.run, split, record.epoch, step
                )

            def table(part: str = part) -> pa.Table:
                return parquet.with_constants(tables()[part], {"split": split})

            self._write(path, record, saved.key, table, info["from"])

    def remove_others(self) -> None:
        """Remove the files of the run that belong to no checkpoint now."""
        for table in TABLES:
            folder = self.out / table.path / layout.folder_name(self.run)
            layout.remove(set(folder.glob("*/*.parquet")) - self._written)

    def _write(
        self,
        path: Path,
        record: Record,
        key: str,
        make: Callable[[], pa.Table | None],
        origin: Any = None,
    ) -> None:
        metadata = {"key": key_of("file", key, record.key_columns)} | (
            {"from": origin} if origin else {}
        )
        if parquet.options_of(path) != metadata:
            table = make()
            if table is None:
                return
            # After a power failure, the footer or the checksums show that a file is
            # damaged.
            named = parquet.with_constants(table, record.key_columns)
            parquet.write(
                named,
                path,
                metadata,
                layout.temporary_folder(self.out),
                is_durable=False,
            )
        self._written.add(path)
