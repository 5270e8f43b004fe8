"""The files of single epochs: heads, matrices or nearest classes, confusion counts and
predictions.

Each file has the key of what it was made from in its metadata, and is written again if
and only if this key differs.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.evaluation.split_evaluations import MATRIX_PARTS, SplitEvaluations
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, HEADS, NEIGHBORS, PREDICTIONS, Table

TABLES = (CSMS, HEADS, NEIGHBORS, CONFUSIONS, PREDICTIONS)


class EpochFiles:
    """The files of some checkpoints of a run; `written` has the paths of those that
    belong to a checkpoint now.
    """

    def __init__(self, out: Path, run: str) -> None:
        self.out, self.run = out, run
        self.written: set[Path] = set()

    def write(
        self,
        table: Table,
        part: str,
        record: Record,
        step: int | None,
        key: str,
        rows: Callable[[], pa.Table],
        **metadata: Any,
    ) -> None:
        """Write the file of a checkpoint in a part of a table, such as ``ncsm`` of the
        matrices; ``step`` is set only for an earlier save of an epoch.
        """
        path = layout.split_path(
            self.out, table, self.run, part, record.epoch_number, step
        )
        metadata["key"] = key_of("file", key, record.key_columns)
        if parquet.options_of(path) != metadata:
            named = parquet.with_constants(rows(), record.key_columns)
            scratch = layout.temporary_folder(self.out)
            # After a power failure, the footer or the checksums show that a file is
            # damaged.
            parquet.write(named, path, metadata, scratch, is_durable=False)
        self.written.add(path)

    def evaluation(
        self, record: Record, step: int | None, evaluation: SplitEvaluations
    ) -> None:
        """Write the tables of the evaluation of a checkpoint on a split, if there is
        one that counts.
        """
        saved, split = evaluation.counting(record), evaluation.split
        if saved is None:
            return
        info = evaluation.info(record)
        tables = cache(lambda: evaluation.tables(record))

        def rows(part: str) -> pa.Table:
            return parquet.with_constants(tables()[part], {"split": split})

        more = {"from": info["from"]} if info["from"] else {}
        for part in info["parts"]:
            table, folder = CSMS, f"{part}-{split}"
            if part not in MATRIX_PARTS:
                table = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
                folder = split
            made = partial(rows, part)
            self.write(table, folder, record, step, saved.key, made, **more)


def remove_other_files(out: Path, run: str, written: Set[Path]) -> None:
    """Remove the files of a run that belong to no checkpoint now."""
    for table in TABLES:
        folder = out / table.path / layout.folder_name(run)
        layout.remove(set(folder.glob("*/*.parquet")) - written)
