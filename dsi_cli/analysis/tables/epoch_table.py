"""A table whose rows are computed epoch by epoch: new rows, and the rows of earlier calls that are still valid."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
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
        self._earlier = dict(self._earlier_tables())
        self._added: dict[EpochKey, pa.Table] = {}

    def _earlier_tables(self) -> Iterator[tuple[EpochKey, pa.Table]]:
        """Yield the rows of each epoch in an earlier table; none if it is missing, damaged or of another schema."""
        path = layout.table_path(self.out, self.schema)
        table = empty = parquet.from_rows(self.schema, [])
        if path.is_file():
            with suppress(OutputError):
                table = parquet.read(path)
        if not len(table) or table.schema != empty.schema:
            return
        keys = list(zip(*(table[name].to_pylist() for name in ("run", "epoch", "step")), strict=True))
        starts = [row for row, key in enumerate(keys) if row == 0 or key != keys[row - 1]]
        for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
            yield epoch_key(*keys[start]), table.slice(start, end - start)

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
        tables = {key: table for key, table in self._earlier.items() if key[0] not in runs}
        for run in set(runs) & set(valid):
            for epoch in valid[run]:
                table = self._added.get((run, epoch), self._earlier.get((run, epoch)))
                if table is not None and len(table):
                    tables[run, epoch] = table
        path = layout.table_path(self.out, self.schema)
        if tables:
            ordered = sorted(tables.values(), key=_sort_key)
            parquet.write_blocks(parquet.by_run(pa.concat_tables(ordered)), path, {}, layout.temporary_folder(self.out))
        else:
            layout.remove([path])


def _sort_key(table: pa.Table) -> tuple[Any, ...]:
    run, epoch, step = (table[name][0].as_py() for name in ("run", "epoch", "step"))
    return run, epoch or 0, step is not None, step or 0
