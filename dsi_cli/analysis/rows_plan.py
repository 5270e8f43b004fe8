"""The plan by which the checkpoints of a run are compared: labels, references and
options, and how much memory that takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli import engines, similarity
from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.epoch_context import EpochMatrix
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.checkpoints.records import Record
from dsi_cli.engines import local
from dsi_cli.metrics.blockwise import BlockWalk, rows_within

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
    walk: BlockWalk  # the iteration over blocks of rows
    threads: int  # the number of checkpoints that are compared at the same time
    scratch: (
        Path  # the folder of temporary files, which only a comparison in blocks needs
    )
    shaping: Mapping[str, Any]  # the options that affect rows
    # the cluster of each class ``(C,)``, for intervals over clusters
    clusters: NDArray[np.intp] | None = None
    # the indices of the classes of --classes; all if None
    chosen: NDArray[np.intp] | None = None

    @classmethod
    def make(
        cls,
        labels: ClassLabels,
        sources: Sequence[ReferenceSource],
        options: Options,
        scratch: Path,
        *,
        shaping: Mapping[str, Any] | None = None,
        clusters: NDArray[np.intp] | None = None,
        chosen: NDArray[np.intp] | None = None,
    ) -> RowsPlan:
        """Return the plan of a run with these labels."""
        walk, threads = walk_and_threads(labels.classes, options)
        is_vast = labels.classes > similarity.MAX_DENSE_CLASSES
        matrices = [source.for_labels(labels, by_rows=is_vast) for source in sources]
        return cls(
            labels=labels,
            references=tuple(matrices),
            options=options,
            walk=walk,
            threads=threads,
            scratch=scratch,
            shaping=shaping or {},
            clusters=clusters,
            chosen=chosen,
        )

    @property
    def compared(self) -> NDArray[np.intp]:
        """The indices of the compared classes."""
        return np.arange(self.labels.classes) if self.chosen is None else self.chosen

    @property
    def is_vast(self) -> bool:
        """True if the nearest classes replace matrices, which are too large to be
        stored.
        """
        return self.labels.classes > similarity.MAX_DENSE_CLASSES

    @property
    def kinds(self) -> tuple[str, ...]:
        """The matrices that are made from weights alone."""
        return ("ncsm", "ncsm_centred") if self.options.centred else ("ncsm",)

    def key(self, record: Record, evaluations: Mapping[str, str]) -> str:
        """Return the key of the rows of a checkpoint, whose evaluations are given by
        split.
        """
        return key_of(
            "rows",
            record.fingerprint,
            evaluations,
            self.labels.semantics_id,
            self.labels.classes,
            self.shaping,
            None if self.clusters is None else self.clusters.tolist(),
            None if self.chosen is None else self.chosen.tolist(),
        )


def walk_and_threads(classes: int, options: Options) -> tuple[BlockWalk, int]:
    """Return the iteration over blocks of rows of so many classes, and the number of
    checkpoints that are compared at the same time.

    Up to 4,096 classes, a matrix has one block, and each checkpoint has its thread.
    Above, the threads share the blocks of one checkpoint.
    """
    budget = options.memory or engines.free_memory() // 2
    cores = engines.usable_cores()
    if classes > similarity.MAX_DENSE_CLASSES:
        return BlockWalk(rows_within(budget, classes, cores), local.map_in_order), 1
    needed = max(classes, 1) ** 2 * BYTES_PER_VALUE
    return BlockWalk(classes), min(max(budget // needed, 1), cores)
