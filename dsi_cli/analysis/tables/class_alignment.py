"""The table of alignments by class and by group: its rows at an epoch, and those of earlier calls that still hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.prepared import Classes, EpochMatrix, PreparedReference, RunReferences
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import OutputError
from dsi_cli.metrics import class_alignment, jackknife
from dsi_cli.metrics.blockwise.alignment import alignments_in_blocks
from dsi_cli.metrics.blockwise.blocks import BlockWalk
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS

CONSTANT_ROW = "the class is equally similar to all others"
Place = tuple[str, str]
"""Run, and epoch with step."""


def place_of(run: str, epoch: int | None, step: int | None) -> Place:
    """Return how an epoch's rows are known."""
    return run, f"{epoch}/{step}"


def empty_table() -> pa.Table:
    """Return the rows of an epoch of which nothing can be aligned: those of an earlier call do not hold."""
    return parquet.from_rows(ALIGNMENT_BY_CLASS, [])


def class_alignment_tables(
    own: EpochMatrix,
    side: PreparedMatrix | None,
    reference: PreparedReference,
    kept: Classes,
    record: Record,
    semantics: RunReferences,
    walk: BlockWalk | None = None,
    pearson: NDArray[np.float64] | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows of the classes ``kept``, which both matrices have, and those of their groups.

    Parameters
    ----------
    own : the network's own similarity
    side : its classes ``kept``, prepared; None if the matrix is not whole
    walk, pearson : how matrices are gone through that are not whole, and the correlation of each class's rows
    """
    labelling = semantics.labelling
    if len(kept) < class_alignment.MIN_CLASSES:
        return
    if walk is None:
        pearson, _ = class_alignment.align_classes(own.matrix[np.ix_(kept, kept)], reference.csm.matrix[np.ix_(kept, kept)])
    elif pearson is None:
        return
    names = ("run", "epoch", "epochs_completed", "step")
    constants = {name: getattr(record, name) for name in names} | {"of": own.name, "reference": reference.name}
    groups = [labelling.group_of(int(index)) for index in kept]
    reasons = [CONSTANT_ROW if is_missing else None for is_missing in np.isnan(pearson)]
    varying: dict[str, Any] = {"class_index": kept, "group": groups, "reason": reasons}
    columns = {
        "pearson": pearson,
        "z": class_alignment.standardize(pearson),
        "pearson_without": _without_each(side, reference, kept),
    }
    varying |= {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    yield parquet.from_columns(ALIGNMENT_BY_CLASS, len(kept), constants | {"classes_used": len(kept)}, varying)
    rows = []
    for group in dict.fromkeys(group for group in groups if group is not None):
        at = kept[[one == group for one in groups]]
        found = _of_group(own, reference.csm, at, walk)
        rows.append(constants | {"group": group, "classes_used": len(at)} | found._asdict())
    yield parquet.from_rows(ALIGNMENT_BY_CLASS, sorted(rows, key=lambda row: str(row["group"])))


def _without_each(side: PreparedMatrix | None, reference: PreparedReference, kept: Classes) -> NDArray[np.float64]:
    """Return the agreement without each class ``(C,)``; NaN if a matrix is constant or not whole."""
    if side is None or side.is_constant or reference.side(kept).is_constant:
        return np.full(len(kept), np.nan)
    return jackknife.excess_without(side, reference.side(kept), "pearson")


def _of_group(
    own: EpochMatrix, reference: EpochMatrix, at: Classes, walk: BlockWalk | None
) -> class_alignment.GroupAlignment:
    """Return the alignment of a group's classes among themselves."""
    if walk is None:
        return class_alignment.align_group(own.matrix[np.ix_(at, at)], reference.matrix[np.ix_(at, at)])
    if len(at) < class_alignment.MIN_CLASSES:
        return class_alignment.group_too_small(len(at))
    entry = alignments_in_blocks(own.rows(at), reference.rows(at), ["pearson"], walk)[0]["pearson"]
    return class_alignment.GroupAlignment(entry.value, entry.z, entry.reason if entry.z is None else None)


class ClassAlignmentTable:
    """The table while an analysis is under way.

    Parameters
    ----------
    out : the output folder, locked
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._earlier = dict(_pieces(out))
        self._made: dict[Place, pa.Table] = {}

    def has(self, path: Place) -> bool:
        """Return whether an earlier call left an epoch's rows."""
        return path in self._earlier

    def add(self, record: Record, made: pa.Table | None) -> None:
        """Take an epoch's rows; None: those of the earlier call hold, if there are any."""
        place = place_of(record.run, record.epoch, record.step)
        table = made if made is not None else self._earlier.get(place)
        if table is not None:
            self._made[place] = parquet.with_constants(table, {"epochs_completed": record.epochs_completed})

    def without_each(self, run: str, reference: str) -> dict[tuple[int | None, int | None], NDArray[np.float64]]:
        """Return the agreement of a run without each class ``(C,)``, by epoch and step."""
        found = {}
        for (name, _), table in (self._earlier | self._made).items():
            if name != run or not len(table):
                continue
            rows = table.filter((pc.field("reference") == reference) & pc.field("class_index").is_valid())
            if len(rows):
                key = rows["epoch"][0].as_py(), rows["step"][0].as_py()
                found[key] = rows["pearson_without"].to_numpy()
        return found

    def write(self, mine: Iterable[str], holding: Mapping[str, Iterable[str]]) -> None:
        """Write the table: rows of other runs as they are, of ``mine`` those of the epochs that hold."""
        mine = set(mine)
        found = {place: table for place, table in self._earlier.items() if place[0] not in mine}
        for run, keys in holding.items():
            for place in ((run, key) for key in keys):
                table = self._made.get(place, self._earlier.get(place))
                if run in mine and table is not None and len(table):
                    found[place] = table
        path = layout.table_path(self.out, ALIGNMENT_BY_CLASS)
        if found:
            ordered = sorted(found.values(), key=_sort_key)
            parquet.write_blocks(parquet.by_run(pa.concat_tables(ordered)), path, {}, layout.temporary_folder(self.out))
        else:
            layout.remove([path])


def _pieces(out: Path) -> Iterator[tuple[Place, pa.Table]]:
    """Yield an earlier table epoch by epoch; nothing where there is none, or it is damaged or of another schema."""
    path = layout.table_path(out, ALIGNMENT_BY_CLASS)
    try:
        table = parquet.read(path) if path.is_file() else None
    except OutputError:
        table = None
    if table is None or not len(table) or table.schema != parquet.from_rows(ALIGNMENT_BY_CLASS, []).schema:
        return
    keys = list(zip(*(table[name].to_pylist() for name in ("run", "epoch", "step")), strict=True))
    starts = [row for row, key in enumerate(keys) if row == 0 or key != keys[row - 1]]
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        yield place_of(*keys[start]), table.slice(start, end - start)


def _sort_key(table: pa.Table) -> tuple[Any, ...]:
    first = {name: table[name][0].as_py() for name in ("run", "epoch", "step")}
    return first["run"], first["epoch"] or 0, first["step"] is not None, first["step"] or 0
