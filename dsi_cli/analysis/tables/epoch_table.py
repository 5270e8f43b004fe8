"""A table whose rows are computed epoch by epoch: new rows, and the rows of earlier calls that are still valid."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import OutputError
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import Table

EpochKey = tuple[str, str]
"""Run, and epoch with step."""


def epoch_key(run: str, epoch: int | None, step: int | None) -> EpochKey:
    """Return the key of an epoch's rows."""
    return run, f"{epoch}/{step}"


class EpochTable:
    """A table at the top of the output folder during an analysis.

    Parameters
    ----------
    out : the output folder, locked.
    schema : the table.
    """

    def __init__(self, out: Path, schema: Table) -> None:
        self.out, self.schema = out, schema
        self._earlier: dict[EpochKey, pa.Table] = {}
        self._added: dict[EpochKey, pa.Table] = {}
        # The earlier rows of each epoch; none if the table is missing, damaged or of another schema
        table = empty = parquet.from_rows(schema, [])
        with suppress(OutputError):
            table = parquet.read(layout.table_path(out, schema))
        if table.schema == empty.schema:
            keys = list(map(epoch_key, *(table[name].to_pylist() for name in ("run", "epoch", "step"))))
            starts = [row for row, key in enumerate(keys) if row == 0 or key != keys[row - 1]]
            for start, end in pairwise([*starts, len(keys)]):
                self._earlier[keys[start]] = table.slice(start, end - start)

    def has_earlier(self, key: EpochKey) -> bool:
        """Return whether an earlier call wrote the rows of an epoch."""
        return key in self._earlier

    def add(self, record: Record, table: pa.Table | None) -> None:
        """Add the rows of an epoch; None keeps the rows of the earlier call, if there are any."""
        key = epoch_key(record.run, record.epoch, record.step)
        if table is None:
            table = self._earlier.get(key)
        if table is not None:
            self._added[key] = parquet.with_constants(table, {"epochs_completed": record.epochs_completed})

    def of_run(self, run: str) -> list[pa.Table]:
        """Return the rows of each epoch of a run that has rows."""
        return [table for key, table in (self._earlier | self._added).items() if key[0] == run and len(table)]

    def write(self, runs: Collection[str], valid: Mapping[str, Iterable[str]]) -> None:
        """Write the table with the unchanged rows of all other runs.

        Parameters
        ----------
        runs : the runs of this call.
        valid : the epochs, with step, of each of these runs whose rows are valid.
        """
        tables = [table for (run, _), table in self._earlier.items() if run not in runs]
        for run in runs:
            for epoch in valid.get(run, ()):
                table = self._added.get((run, epoch), self._earlier.get((run, epoch)))
                if table is not None and len(table):
                    tables.append(table)
        path = layout.table_path(self.out, self.schema)
        if not tables:
            layout.remove([path])
            return
        table = pa.concat_tables(sorted(tables, key=_sort_key))
        parquet.write_blocks(parquet.by_run(table), path, {}, layout.temporary_folder(self.out))


def _sort_key(table: pa.Table) -> tuple[Any, ...]:
    run, epoch, step = (table[name][0].as_py() for name in ("run", "epoch", "step"))
    return run, epoch or 0, step is not None, step or 0
