"""The rows of the table of alignments by class and by group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.prepared import Classes, EpochMatrix, PreparedReference
from dsi_cli.checkpoints.records import Record
from dsi_cli.metrics import class_alignment, jackknife
from dsi_cli.metrics.blockwise import BlockWalk, alignments_in_blocks
from dsi_cli.metrics.class_alignment import GroupAlignment
from dsi_cli.store import parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS

REASON_CONSTANT_ROW = "the class is equally similar to all others"


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


def agreement_without_each(
    tables: Iterable[pa.Table], reference: str
) -> dict[tuple[int | None, int | None], NDArray[np.float64]]:
    """Return the agreement of a run without each class ``(C,)`` by epoch and step, from the table of each epoch."""
    values = {}
    for table in tables:
        rows = table.filter((pc.field("reference") == reference) & pc.field("class_index").is_valid())
        if len(rows):
            values[rows["epoch"][0].as_py(), rows["step"][0].as_py()] = rows["pearson_without"].to_numpy()
    return values
