"""The table of alignments by class and by group: its rows at an epoch, and the rows of earlier calls that are still valid."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.prepared import Classes, EpochMatrix, PreparedReference
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import OutputError
from dsi_cli.metrics import class_alignment, jackknife
from dsi_cli.metrics.blockwise.alignment import alignments_in_blocks
from dsi_cli.metrics.blockwise.blocks import BlockWalk
from dsi_cli.metrics.class_alignment import GroupAlignment
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS

REASON_CONSTANT_ROW = "the class is equally similar to all others"
EpochKey = tuple[str, str]
"""Run, and epoch with step."""


def epoch_key(run: str, epoch: int | None, step: int | None) -> EpochKey:
    """Return the key of an epoch's rows."""
    return run, f"{epoch}/{step}"


def empty_table() -> pa.Table:
    """Return a table without rows, which replaces the earlier rows of an epoch that has no alignment."""
    return parquet.from_rows(ALIGNMENT_BY_CLASS, [])


@dataclass(frozen=True)
class NetworkPair:
    """The network's similarity and a reference, for the classes that both matrices contain."""

    network: EpochMatrix
    reference: PreparedReference
    kept: Classes
    """The common classes."""
    walk: BlockWalk | None = None
    """The order of blocks of rows; None for dense matrices."""
    pearson: NDArray[np.float64] | None = None
    """The correlation of each class's rows; None for dense matrices, or if it is unknown."""

    def group_alignment(self, members: Classes) -> GroupAlignment:
        """Return the alignment among the classes of a group."""
        network, reference = self.network, self.reference.matrix
        if self.walk is None:
            square = np.ix_(members, members)
            return class_alignment.align_group(network.dense[square], reference.dense[square])
        if len(members) < class_alignment.MIN_CLASSES:
            return class_alignment.group_too_small(len(members))
        alignments, _ = alignments_in_blocks(network.rows(members), reference.rows(members), ["pearson"], self.walk)
        entry = alignments["pearson"]
        return GroupAlignment(entry.value, entry.z, entry.reason if entry.z is None else None)


def class_alignment_tables(pair: NetworkPair, record: Record, labels: ClassLabels) -> Iterator[pa.Table]:
    """Yield the rows of the classes of a pair at a checkpoint, and the rows of their groups."""
    kept = pair.kept
    if len(kept) < class_alignment.MIN_CLASSES:
        return
    pearson, without = pair.pearson, np.full(len(kept), np.nan)
    if pair.walk is None:
        square = np.ix_(kept, kept)
        pearson = class_alignment.align_classes(pair.network.dense[square], pair.reference.matrix.dense[square])[0]
        network, reference = pair.network.of_classes(kept), pair.reference.matrix.of_classes(kept)
        if not network.is_constant and not reference.is_constant:
            without = jackknife.excess_without(network, reference, "pearson")
    if pearson is None:
        return
    constants = record.key_columns | {"of": pair.network.name, "reference": pair.reference.name}
    groups = [labels.groups[index] for index in kept]
    varying = {
        "class_index": kept,
        "group": groups,
        "reason": [REASON_CONSTANT_ROW if is_missing else None for is_missing in np.isnan(pearson)],
        "pearson": pa.array(pearson, from_pandas=True),
        "z": pa.array(class_alignment.standardize(pearson), from_pandas=True),
        "pearson_without": pa.array(without, from_pandas=True),
    }
    yield parquet.from_columns(ALIGNMENT_BY_CLASS, len(kept), constants | {"classes_used": len(kept)}, varying)
    rows = []
    for group in sorted({group for group in groups if group is not None}):
        members = kept[[name == group for name in groups]]
        values = pair.group_alignment(members)._asdict()
        rows.append(constants | {"group": group, "classes_used": len(members)} | values)
    yield parquet.from_rows(ALIGNMENT_BY_CLASS, rows)


class ClassAlignmentTable:
    """The class alignment table during an analysis.

    Parameters
    ----------
    out : the output folder, locked
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._earlier = dict(_earlier_tables(out))
        self._added: dict[EpochKey, pa.Table] = {}

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

    def agreement_without_each(self, run: str, reference: str) -> dict[tuple[int | None, int | None], NDArray[np.float64]]:
        """Return the agreement of a run without each class ``(C,)``, by epoch and step."""
        values = {}
        for (name, _), table in (self._earlier | self._added).items():
            if name != run or not len(table):
                continue
            rows = table.filter((pc.field("reference") == reference) & pc.field("class_index").is_valid())
            if len(rows):
                key = rows["epoch"][0].as_py(), rows["step"][0].as_py()
                values[key] = rows["pearson_without"].to_numpy()
        return values

    def write(self, runs: Collection[str], valid: Mapping[str, Iterable[str]]) -> None:
        """Write the table with the unchanged rows of all other runs.

        Parameters
        ----------
        runs : the runs of this call
        valid : the epochs, with step, of each of these runs whose rows are valid
        """
        tables = {key: table for key, table in self._earlier.items() if key[0] not in runs}
        for run in set(runs) & set(valid):
            for epoch in valid[run]:
                table = self._added.get((run, epoch), self._earlier.get((run, epoch)))
                if table is not None and len(table):
                    tables[run, epoch] = table
        path = layout.table_path(self.out, ALIGNMENT_BY_CLASS)
        if tables:
            ordered = sorted(tables.values(), key=_sort_key)
            parquet.write_blocks(parquet.by_run(pa.concat_tables(ordered)), path, {}, layout.temporary_folder(self.out))
        else:
            layout.remove([path])


def _earlier_tables(out: Path) -> Iterator[tuple[EpochKey, pa.Table]]:
    """Yield the rows of each epoch in an earlier table; none if it is missing, damaged or of another schema."""
    path = layout.table_path(out, ALIGNMENT_BY_CLASS)
    table = empty_table()
    if path.is_file():
        with suppress(OutputError):
            table = parquet.read(path)
    if not len(table) or table.schema != empty_table().schema:
        return
    keys = list(zip(*(table[name].to_pylist() for name in ("run", "epoch", "step")), strict=True))
    starts = [row for row, key in enumerate(keys) if row == 0 or key != keys[row - 1]]
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        yield epoch_key(*keys[start]), table.slice(start, end - start)


def _sort_key(table: pa.Table) -> tuple[Any, ...]:
    run, epoch, step = (table[name][0].as_py() for name in ("run", "epoch", "step"))
    return run, epoch or 0, step is not None, step or 0
