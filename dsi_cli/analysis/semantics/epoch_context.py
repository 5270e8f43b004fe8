"""The matrices of an epoch and the references of its run, with derived values that
several comparisons share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.blockwise import (
    BlockMatrix,
    BlockStatistics,
    BlockWalk,
    DenseRows,
    RowSource,
)
from dsi_cli.metrics.idm import Score
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.store.schema import NETWORK_MATRICES, MatrixId

Classes = NDArray[np.intp]
SCSM = "scsm"
# the number of class subsets for which a matrix stays prepared
MAX_PREPARED_MATRICES = 4


@dataclass(frozen=True)
class EpochMatrix:
    """One matrix of an epoch, or a reference matrix."""

    # the kind, and the split if there is one: one of
    # `dsi_cli.analysis.tables.curves.ORDER`
    name: str
    values: NDArray[np.float32] | RowSource
    """The dense matrix ``(C, C)``, NaN for missing classes; or the rows of `classes`,
    made on demand.
    """
    classes: Classes  # the indices of the classes in the matrix
    reliability: Score | None = None  # the reliability of a CCSM
    # the statistics of a blockwise matrix, if they are known already
    statistics: BlockStatistics | None = None
    reference: str | None = None
    """The name of a reference matrix in the tables, such as ``wordnet3.0-path``; None
    for matrices of an epoch.
    """
    # the reason why nothing can be aligned with this reference
    reason_missing: str | None = None
    _prepared: dict[bytes, PreparedMatrix | BlockMatrix] = field(default_factory=dict)

    @property
    def dense(self) -> NDArray[np.float32]:
        """The dense matrix ``(C, C)``, NaN for missing classes."""
        assert isinstance(self.values, np.ndarray), f"the {self.name} is not dense"
        return self.values

    def of_classes(
        self, kept: Classes, walk: BlockWalk
    ) -> PreparedMatrix | BlockMatrix:
        """Return the matrix of some classes for a comparison, from memory if it was
        asked for recently. It is whole if it has one block of rows.
        """
        key = kept.tobytes()
        prepared = self._prepared.get(key)
        if prepared is None:
            if len(kept) <= walk.rows:
                prepared = PreparedMatrix(self.whole(kept))
            else:
                has_all = len(kept) == len(self.classes)
                known = self.statistics if has_all else None
                prepared = BlockMatrix(self.rows(kept), walk, known)
            if len(self._prepared) >= MAX_PREPARED_MATRICES:
                self._prepared.clear()
            self._prepared[key] = prepared
        return prepared

    def whole(self, kept: Classes) -> NDArray[np.float32]:
        """Return the matrix of some classes in memory."""
        return self.rows(kept).block(0, len(kept))

    def rows(self, kept: Classes) -> RowSource:
        """Return the rows of the matrix of some classes."""
        if isinstance(self.values, np.ndarray):
            return DenseRows(
                self.values
                if len(kept) == len(self.values)
                else self.values[np.ix_(kept, kept)]
            )
        if len(kept) == len(self.classes):
            return self.values
        return self.values.take(np.searchsorted(self.classes, kept))

    @property
    def kind(self) -> str:
        """The kind without the split."""
        return MatrixId.parse(self.name).kind

    @property
    def split(self) -> str | None:
        """The split, or None for matrices of no split."""
        return MatrixId.parse(self.name).split


def network_matrix(matrices: Sequence[EpochMatrix]) -> EpochMatrix | None:
    """Return the matrix of the network's similarity among the matrices of an epoch, or
    None.
    """
    by_name = {matrix.name: matrix for matrix in matrices}
    return next((by_name[name] for name in NETWORK_MATRICES if name in by_name), None)
