"""Computation of the rows of one checkpoint: its matrices, compared with each other and
with the references.

`epoch_rows` is a pure function that knows neither the run nor the epoch of the
checkpoint. Its result is remembered under the key of what it depends on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli import engines, similarity
from dsi_cli.analysis.cache import Entry, key_of
from dsi_cli.analysis.classifiers.heads import UNNAMED, HeadParameters
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.epoch_context import EpochContext, EpochMatrix
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.analysis.tables import curves, geometry
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.checkpoints.records import Record
from dsi_cli.engines import local
from dsi_cli.metrics.blockwise import (
    SHORT_OF_MEMORY,
    TOO_MANY_CLASSES,
    BlockStatistics,
    BlockWalk,
    block_statistics,
    rows_within,
)
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import (
    Cosines,
    centred_weight_similarity,
    weight_similarity,
    zero_rows,
)
from dsi_cli.store import parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS, CSMS, CURVES, NEIGHBORS, SPECTRUM

KINDS = {"ncsm": weight_similarity, "ncsm_centred": centred_weight_similarity}
"""The matrices that are made from weights alone, with the functions that make them."""
STORED_NEIGHBORS = 50  # the number of nearest classes that are stored for each class
# the number of classes up to which matrices are compared whole on every machine
DENSE_WITHOUT_BUDGET = 256
# the memory that comparing two whole matrices takes per value of one matrix, measured
# and rounded up
BYTES_PER_VALUE = 220


@dataclass(frozen=True)
class RowsPlan:
    """The labels, references and options with which the checkpoints of a run are
    compared.
    """

    labels: ClassLabels
    # the reference matrices of the run, the main one first
    references: Sequence[EpochMatrix]
    options: Options
    common: int | None  # the number of classes that all heads of the run have
    # the iteration over blocks of rows; None if whole matrices are compared
    walk: BlockWalk | None
    # the number of threads that compare whole matrices, one checkpoint each; None for
    # one per core
    threads: int | None
    scratch: (
        Path  # the folder of temporary files, which only a comparison in blocks needs
    )
    shaping: Mapping[str, Any]  # the options that affect rows

    @classmethod
    def make(
        cls,
        labels: ClassLabels,
        sources: Sequence[ReferenceSource],
        options: Options,
        scratch: Path,
        *,
        common: int | None = None,
        shaping: Mapping[str, Any] | None = None,
    ) -> RowsPlan:
        """Return the plan of a run with these labels, and choose whether matrices are
        compared whole.
        """
        walk, threads = walk_and_threads(labels.classes, options)
        is_vast = labels.classes > similarity.MAX_DENSE_CLASSES
        matrices = [source.for_labels(labels, by_rows=is_vast) for source in sources]
        return cls(
            labels=labels,
            references=tuple(matrices),
            options=options,
            common=common,
            walk=walk,
            threads=threads,
            scratch=scratch,
            shaping=shaping or {},
        )

    @property
    def is_vast(self) -> bool:
        """True if the nearest classes replace matrices, which are too large to be
        stored.
        """
        return self.labels.classes > similarity.MAX_DENSE_CLASSES

    @property
    def kinds(self) -> tuple[str, ...]:
        """The matrices that are made from weights alone."""
        return tuple(KINDS) if self.options.centred else ("ncsm",)

    def key(self, record: Record, evaluations: Mapping[str, str]) -> str:
        """Return the key of the rows of a checkpoint, whose evaluations are given by
        split.
        """
        walk = None if self.walk is None else self.walk.requirement
        common = None if record.classes == self.common else self.common
        weights = record.fingerprint, record.classes
        return key_of(
            "rows",
            weights,
            evaluations,
            self.labels.semantics_id,
            self.labels.classes,
            self.shaping,
            common,
            walk,
        )


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
    is_new: bool = True  # False for rows that come from the cache

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
            is_new=False,
        )


def walk_and_threads(
    classes: int, options: Options
) -> tuple[BlockWalk | None, int | None]:
    """Return the iteration over blocks of rows by which matrices of so many classes are
    compared; None if they are whole.

    Also return the number of threads that compare whole matrices, one epoch each; None
    for one per core.
    """
    if classes <= DENSE_WITHOUT_BUDGET:
        return None, None
    if options.memory is None:
        limit = engines.free_memory()
        budget = limit // 2
    else:
        limit = budget = options.memory
    cores = engines.usable_cores()
    needed = classes**2 * BYTES_PER_VALUE
    is_vast = classes > similarity.MAX_DENSE_CLASSES
    if not is_vast and needed <= limit:
        return None, min(max(budget // needed, 1), cores)
    reason = TOO_MANY_CLASSES if is_vast else SHORT_OF_MEMORY
    return (
        BlockWalk(rows_within(budget, classes, cores), local.map_in_order, reason),
        None,
    )


def epoch_rows(plan: RowsPlan, checkpoint: Checkpoint) -> EpochRows:
    """Return the rows of a checkpoint. The function runs in this process or on another
    machine.
    """
    head = checkpoint.head
    # Make the matrices of the weights; above 4,096 classes, read them in blocks of
    # rows.
    matrices: dict[str, NDArray[np.float32]] = {}
    nearest: dict[str, pa.Table] = {}
    statistics: dict[str, BlockStatistics] = {}
    if head is not None:
        for kind in plan.kinds:
            if plan.is_vast:
                nearest[kind], statistics[kind] = _nearest_classes(
                    head.weight, kind, plan
                )
            else:
                matrices[kind] = KINDS[kind](head.weight)

    # Compare them with each other, with the evaluations and with the references.
    context = EpochContext(
        plan.labels, plan.references, plan.options, plan.walk, plan.scratch, UNNAMED
    )
    compared = curves.epoch_matrices(
        matrices, head, statistics, checkpoint.evaluations, context, plan.common
    )
    rows, by_class = curves.curve_rows(compared, checkpoint.evaluations, context)

    # Describe the class vectors.
    spectrum = parquet.from_rows(SPECTRUM, [])
    if head is not None:
        weight = head.weight[: plan.common]
        ratio = similarity.mean_row_ratio(weight)
        rows.append(curves.mean_row(replace(UNNAMED, classes=plan.common), ratio))
        geometry_rows, spectrum = geometry.head_rows(UNNAMED, weight)
        rows += geometry_rows
    samples = {
        one.split: one.counts.sum(axis=1).tolist()
        for one in checkpoint.evaluations
        if one.counts is not None
    }
    return EpochRows(
        curves=parquet.from_rows(CURVES, rows).to_pylist(),
        by_class=by_class or parquet.from_rows(ALIGNMENT_BY_CLASS, []),
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
    constants = UNNAMED.key_columns | {"kind": kind}
    return parquet.from_matrix(
        CSMS, matrix, constants, {"class_index": range(len(matrix))}
    )


def _nearest_classes(
    weight: NDArray[np.float32], kind: str, plan: RowsPlan
) -> tuple[pa.Table, BlockStatistics]:
    """Return the nearest classes as rows of the neighbors table, and the statistics of
    the matrix.
    """
    rows = Cosines.of(weight, centred=kind == "ncsm_centred")
    assert plan.walk is not None
    with_nearest = block_statistics(
        rows, plan.walk, plan.options.quantiles, STORED_NEIGHBORS
    )
    nearest = with_nearest.nearest
    assert nearest is not None
    varying = {
        "class_index": np.repeat(np.arange(len(weight)), nearest.neighbor.shape[1]),
        "neighbor": nearest.neighbor.ravel(),
        "rank": nearest.rank.ravel(),
        "similarity": nearest.value.ravel().astype(np.float64),
    }
    table = parquet.from_columns(
        NEIGHBORS, nearest.neighbor.size, UNNAMED.key_columns | {"kind": kind}, varying
    )
    return table, replace(with_nearest, nearest=None)
