"""The table of alignments by class and by group: its rows at an epoch, and those of earlier calls that still hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import OutputError
from dsi_cli.metrics import by_class
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.semantics import Classes, Csm, Prepared, Semantics, own_of
from dsi_cli.store import output, parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS

CONSTANT_ROW = "the class is equally similar to all others"
Place = tuple[str, str]
"""Run, and epoch with step."""


def place_of(run: str, epoch: int | None, step: int | None) -> Place:
    """Return how an epoch's rows are known."""
    return run, f"{epoch}/{step}"


def table_of(found: Sequence[Csm], record: Record, semantics: Semantics) -> pa.Table | None:
    """Return the rows of an epoch: of each reference its classes, then its groups; None where nothing can be aligned."""
    own = own_of(found)
    if own is None:
        return None
    parts = [part for one in semantics.references if one.missing is None for part in _parts(own, one, record, semantics)]
    return pa.concat_tables(parts) if parts else None


def nothing() -> pa.Table:
    """Return the rows of an epoch of which nothing can be aligned: those of an earlier call do not hold."""
    return parquet.from_rows(ALIGNMENT_BY_CLASS, [])


def _parts(own: Csm, reference: Prepared, record: Record, semantics: Semantics) -> Iterator[pa.Table]:
    kept = np.intersect1d(own.classes, reference.csm.classes, assume_unique=True)
    if len(kept) < by_class.FEWEST_CLASSES:
        return
    pearson, z = by_class.of_classes(own.matrix[np.ix_(kept, kept)], reference.matrix[np.ix_(kept, kept)])

    def of_group(at: Classes) -> by_class.Alignment:
        return by_class.of_group(own.matrix[np.ix_(at, at)], reference.matrix[np.ix_(at, at)])

    yield from tables(record, own.name, reference.name, semantics.labelling, kept, pearson, z, of_group)


def tables(
    record: Record,
    own: str,
    reference: str,
    labelling: Labelling,
    kept: Classes,
    pearson: NDArray[np.float64],
    z: NDArray[np.float64],
    of_group: Callable[[Classes], by_class.Alignment],
) -> Iterator[pa.Table]:
    """Yield the rows of the classes ``kept``, whose ``pearson`` and ``z`` are known, and those of their groups."""
    names = ("run", "epoch", "epochs_completed", "step")
    constants = {name: getattr(record, name) for name in names} | {"of": own, "reference": reference}
    groups = [labelling.group_of(int(index)) for index in kept]
    reasons = [CONSTANT_ROW if is_missing else None for is_missing in np.isnan(pearson)]
    varying: dict[str, Any] = {"class_index": kept, "group": groups, "reason": reasons}
    varying |= {name: pa.array(values, from_pandas=True) for name, values in (("pearson", pearson), ("z", z))}
    yield parquet.from_columns(ALIGNMENT_BY_CLASS, len(kept), constants | {"classes_used": len(kept)}, varying)
    rows = []
    for group in dict.fromkeys(group for group in groups if group is not None):
        at = kept[[one == group for one in groups]]
        rows.append(constants | {"group": group, "classes_used": len(at)} | of_group(at)._asdict())
    yield parquet.from_rows(ALIGNMENT_BY_CLASS, sorted(rows, key=lambda row: str(row["group"])))


class ByClass:
    """The table while an analysis is under way.

    Parameters
    ----------
    out : the output folder, locked
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._earlier = dict(_pieces(out))
        self._made: dict[Place, pa.Table] = {}

    def has(self, place: Place) -> bool:
        """Return whether an earlier call left an epoch's rows."""
        return place in self._earlier

    def add(self, record: Record, made: pa.Table | None) -> None:
        """Take an epoch's rows; None: those of the earlier call hold, if there are any."""
        place = place_of(record.run, record.epoch, record.step)
        table = made if made is not None else self._earlier.get(place)
        if table is not None:
            self._made[place] = parquet.with_constants(table, {"epochs_completed": record.epochs_completed})

    def write(self, mine: Iterable[str], holding: Mapping[str, Iterable[str]]) -> None:
        """Write the table: rows of other runs as they are, of ``mine`` those of the epochs that hold."""
        mine = set(mine)
        found = {place: table for place, table in self._earlier.items() if place[0] not in mine}
        for run, keys in holding.items():
            for place in ((run, key) for key in keys):
                table = self._made.get(place, self._earlier.get(place))
                if run in mine and table is not None and len(table):
                    found[place] = table
        path = output.table_path(self.out, ALIGNMENT_BY_CLASS)
        if found:
            ordered = sorted(found.values(), key=_sort_key)
            parquet.write_blocks(parquet.by_run(pa.concat_tables(ordered)), path, {}, output.scratch(self.out))
        else:
            output.remove([path])


def _pieces(out: Path) -> Iterator[tuple[Place, pa.Table]]:
    """Yield an earlier table epoch by epoch; nothing where there is none, or it is damaged or of another schema."""
    path = output.table_path(out, ALIGNMENT_BY_CLASS)
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
