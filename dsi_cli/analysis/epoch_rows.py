"""Computation of the rows of one checkpoint: its matrices, compared with each other and
with the references.

`epoch_rows` is a pure function that knows neither the run nor the epoch of the
checkpoint. Its result is remembered under the key of what it depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.cache import Entry
from dsi_cli.analysis.classifiers.heads import HeadParameters
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics.epoch_context import EpochMatrix
from dsi_cli.analysis.tables import curves, geometry
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.metrics.blockwise import block_statistics
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import (
    Cosines,
    centred_weight_similarity,
    weight_similarity,
    zero_rows,
)
from dsi_cli.store import parquet
from dsi_cli.store.schema import CSMS, CURVES, NEIGHBORS, SPECTRUM

KINDS = {"ncsm": weight_similarity, "ncsm_centred": centred_weight_similarity}
"""The matrices that are made from weights alone, with the functions that make them."""
STORED_NEIGHBORS = 50  # the number of nearest classes that are stored for each class


@dataclass(frozen=True)
class Checkpoint:
    """The inputs of `epoch_rows`."""

    head: HeadParameters | None
    evaluations: Sequence[EvaluationResult]


@dataclass(frozen=True)
class EpochRows:
    """The rows of a checkpoint, without its run and epoch."""

    curves: list[Row]
    by_class: pa.Table
    spectrum: pa.Table
    zero_rows: list[int]  # the classes whose weights are all zero
    samples: Mapping[str, list[int]]  # the number of samples of each class, by split
    # rows of the neighbors table, by kind
    nearest: Mapping[str, pa.Table] = field(default_factory=dict)
    matrices: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """The matrices ``(C, C)`` made from the weights; empty in rows that come from the
    cache.
    """

    def as_entry(self) -> Entry:
        """Return the rows as an entry of the cache."""
        entry = {f"nearest-{kind}": table for kind, table in self.nearest.items()}
        entry |= {
            "curves": parquet.from_rows(CURVES, self.curves),
            "by_class": self.by_class,
            "spectrum": self.spectrum,
        }
        return entry | {"zero_rows": self.zero_rows, "samples": self.samples}

    @classmethod
    def of_entry(cls, entry: Entry) -> EpochRows:
        """Return the rows in an entry of the cache."""
        nearest = {
            name.partition("-")[2]: table
            for name, table in entry.items()
            if name.startswith("nearest-")
        }
        rows = entry["curves"].to_pylist()
        return cls(
            rows,
            entry["by_class"],
            entry["spectrum"],
            entry["zero_rows"],
            entry["samples"],
            nearest,
        )


def epoch_rows(plan: RowsPlan, checkpoint: Checkpoint) -> EpochRows:
    """Return the rows of a checkpoint. The function runs in this process or on another
    machine.
    """
    head = checkpoint.head
    evaluations = [curves.of_chosen(one, plan) for one in checkpoint.evaluations]
    # Make the matrices of the weights; above 4,096 classes, read them in blocks of
    # rows.
    compared: list[EpochMatrix] = []
    matrices: dict[str, NDArray[np.float32]] = {}
    nearest: dict[str, pa.Table] = {}
    if head is not None:
        for kind in plan.kinds:
            if plan.is_vast:
                matrix, nearest[kind] = _vast_matrix(head.weight, kind, plan)
                compared.append(matrix)
            else:
                matrices[kind] = KINDS[kind](head.weight)
                compared.append(EpochMatrix(kind, matrices[kind], plan.compared))

    # Compare them with each other, with the evaluations and with the references.
    compared += curves.evaluation_matrices(evaluations, plan)
    compared.sort(key=lambda matrix: curves.ORDER.index(matrix.name))
    rows, by_class = curves.curve_rows(compared, evaluations, plan)

    # Describe the class vectors.
    spectrum = parquet.from_rows(SPECTRUM, [])
    if head is not None:
        weight = head.weight[plan.compared]
        ratio = similarity.mean_row_ratio(weight)
        rows.append(
            {
                "metric": "mean_row",
                "of": "ncsm",
                "value": ratio,
                "classes_used": len(weight),
            }
        )
        geometry_rows, spectrum = geometry.head_rows(weight)
        rows += geometry_rows
    samples = {
        one.split: one.counts.sum(axis=1).tolist()
        for one in evaluations
        if one.counts is not None
    }
    return EpochRows(
        curves=parquet.from_rows(CURVES, rows).to_pylist(),
        by_class=by_class,
        spectrum=spectrum,
        zero_rows=[] if head is None else zero_rows(head.weight),
        samples=samples,
        nearest=nearest,
        matrices=matrices,
    )


def matrix_table(kind: str, matrix: NDArray[np.float32]) -> pa.Table:
    """Return a matrix of weights as rows of the table of matrices, for a checkpoint
    without a name.
    """
    indices = {"class_index": range(len(matrix))}
    return parquet.from_matrix(CSMS, matrix, {"kind": kind}, indices)


def _vast_matrix(
    weight: NDArray[np.float32], kind: str, plan: RowsPlan
) -> tuple[EpochMatrix, pa.Table]:
    """Return a matrix whose rows are made on demand, and the nearest classes as rows of
    the neighbors table.
    """
    rows = Cosines.of(weight, centred=kind == "ncsm_centred")
    quantiles = plan.options.quantiles
    statistics = block_statistics(rows, plan.walk, quantiles, STORED_NEIGHBORS)
    nearest = statistics.nearest
    assert nearest is not None, "neighbours were requested"
    varying = {
        "class_index": np.repeat(np.arange(len(weight)), nearest.neighbor.shape[1]),
        "neighbor": nearest.neighbor.ravel(),
        "rank": nearest.rank.ravel(),
        "similarity": nearest.value.ravel().astype(np.float64),
    }
    size = nearest.neighbor.size
    table = parquet.from_columns(NEIGHBORS, size, {"kind": kind}, varying)
    statistics = replace(statistics, nearest=None)
    classes = np.arange(len(weight))
    return EpochMatrix(kind, rows, classes, statistics=statistics), table
