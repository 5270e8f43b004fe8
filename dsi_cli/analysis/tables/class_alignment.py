"""The rows of the table of alignments by class and by group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics.epoch_context import Classes, EpochMatrix
from dsi_cli.metrics import class_alignment
from dsi_cli.metrics.class_alignment import ClassAgreement, GroupAlignment
from dsi_cli.store import parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS

REASON_CONSTANT_ROW = "the class is equally similar to all others"


def class_alignment_tables(
    network: EpochMatrix,
    reference: EpochMatrix,
    kept: Classes,
    agreement: ClassAgreement | None,
    plan: RowsPlan,
) -> Iterator[pa.Table]:
    """Yield the rows of the classes at a checkpoint, and the rows of their groups.

    Both matrices contain the `kept` classes, whose agreement is None if the matrices
    cannot be aligned.
    """
    if agreement is None or len(kept) < class_alignment.MIN_CLASSES:
        return
    pearson = agreement.pearson
    constants: dict[str, Any] = {"of": network.name, "reference": reference.reference}
    groups = [plan.labels.groups[index] for index in kept]
    varying = {
        "class_index": kept,
        "group": groups,
        "reason": [
            REASON_CONSTANT_ROW if is_missing else None
            for is_missing in np.isnan(pearson)
        ],
        "pearson": pa.array(pearson, from_pandas=True),
        "z": pa.array(class_alignment.standardize(pearson), from_pandas=True),
        "pearson_without": pa.array(agreement.without, from_pandas=True),
    }
    yield parquet.from_columns(
        ALIGNMENT_BY_CLASS, len(kept), constants | {"classes_used": len(kept)}, varying
    )
    rows = []
    for group in sorted({group for group in groups if group is not None}):
        members = kept[[name == group for name in groups]]
        if len(members) < class_alignment.MIN_CLASSES:
            reason = (
                f"{len(members)} classes: the alignment of a group needs"
                f" {class_alignment.MIN_CLASSES} or more"
            )
            result = GroupAlignment(reason=reason)
        else:
            result = class_alignment.align_group(
                network.whole(members), reference.whole(members)
            )
        rows.append(
            constants
            | {"group": group, "classes_used": len(members)}
            | result._asdict()
        )
    yield parquet.from_rows(ALIGNMENT_BY_CLASS, rows)
