"""What an epoch's matrices are compared with: the reference matrices of a run, prepared once for all its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.metrics.blockwise.blocks import BlockWalk, DenseRows, MatrixSums, RowSource, matrix_sums
from dsi_cli.metrics.blockwise.wsi import BlockStatistics
from dsi_cli.metrics.prepared import PreparedMatrix
from dsi_cli.metrics.split_half import Reliability

Classes = NDArray[np.intp]
SCSM = "scsm"
KEPT_SIDES = 4
OWN = ("ncsm", "tncsm-test", "tncsm-train")
"""The network's own similarity: the first of these that an epoch has."""


@dataclass(frozen=True)
class EpochMatrix:
    """One matrix of an epoch, or a reference."""

    name: str
    """Its kind, and its split where it has one: out of `dsi_cli.analysis.tables.curves.ORDER`."""
    values: NDArray[np.float32] | RowSource
    """The whole matrix ``(C, C)``, NaN for classes that it lacks; or a matrix by rows, of `classes` alone."""
    classes: Classes
    """The classes that it has."""
    reliability: Reliability | None = None
    """The reliability of a CCSM."""
    survey: BlockStatistics | None = None
    """The survey of a matrix by rows, if it was made."""
    _sums: dict[bytes, MatrixSums] = field(default_factory=dict)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The whole matrix ``(C, C)``, NaN for classes that it lacks."""
        assert isinstance(self.values, np.ndarray), f"the {self.name} is not whole"
        return self.values

    def rows(self, kept: Classes) -> RowSource:
        """Return the matrix of some of its classes, by rows."""
        if isinstance(self.values, np.ndarray):
            is_all = len(kept) == len(self.values)
            return DenseRows(self.values if is_all else self.values[np.ix_(kept, kept)])
        return self.values if len(kept) == len(self.classes) else self.values.take(np.searchsorted(self.classes, kept))

    def sums(self, kept: Classes, walk: BlockWalk) -> MatrixSums:
        """Return what the matrix of some of its classes adds up to; computed once."""
        if self.survey is not None and len(kept) == len(self.classes):
            return self.survey.sums
        key = kept.tobytes()
        if key not in self._sums:
            self._sums[key] = matrix_sums(self.rows(kept), walk)
        return self._sums[key]

    @property
    def kind(self) -> str:
        """The kind alone."""
        return self.name.partition("-")[0]

    @property
    def split(self) -> str | None:
        """The split, None where it has none."""
        return self.name.partition("-")[2] or None


def own_kinds(matrices: Sequence[EpochMatrix]) -> EpochMatrix | None:
    """Return the network's own similarity among an epoch's matrices, None where there is none."""
    return next((csm for name in OWN for csm in matrices if csm.name == name), None)


@dataclass(frozen=True)
class MatrixReference:
    """A reference of a run's classes."""

    name: str
    """Its name in the tables: ``wordnet3.0-path``."""
    csm: EpochMatrix
    missing: str | None = None
    """Why nothing can be aligned with it."""


class PreparedReference:
    """A reference, prepared for many partners."""

    def __init__(self, reference: MatrixReference) -> None:
        self.name = reference.name
        self.csm = reference.csm
        self.missing = reference.missing
        self._sides: dict[bytes, PreparedMatrix] = {}

    def side(self, kept: Classes) -> PreparedMatrix:
        """Return the matrix of some classes, prepared; that of all known classes is kept."""
        key = kept.tobytes()
        if key not in self._sides:
            made = PreparedMatrix(self.csm.matrix[np.ix_(kept, kept)])
            made.prepare()
            self._sides = {**self._sides, key: made} if len(self._sides) < KEPT_SIDES else {key: made}
        return self._sides[key]

    def prepare(self) -> None:
        """Prepare it now, so that threads do not each do so."""
        if self.missing is None:
            self.side(self.csm.classes)


class RunReferences:
    """The labels of a run and the reference matrices that they give, the main one first."""

    def __init__(self, labelling: ClassLabels, references: Sequence[MatrixReference]) -> None:
        self.labelling = labelling
        self.references = [PreparedReference(reference) for reference in references]

    @cached_property
    def heights(self) -> NDArray[np.float32]:
        """The height of the lowest common hypernym of every two classes."""
        return self.labelling.hierarchy.heights()

    @cached_property
    def superclasses(self) -> NDArray[np.intp]:
        """The superclass of each class as a number, see `ClassLabels.superclasses`."""
        return self.labelling.superclasses()

    def why_no_superclasses(self) -> str | None:
        """Return why there is no superclass accuracy, None where there is one."""
        one = self.labelling
        if one.own_superclasses or (one.why_no_hierarchy() is None and any(one.groups)):
            return None
        share = "two or more, but not all" if one.hierarchy.is_own else "3 to 40 %"
        return one.why_no_hierarchy() or f"no hypernym holds {share} of the classes: there are no groups to be superclasses"

    def prepare(self) -> None:
        """Prepare all references now."""
        for reference in self.references:
            reference.prepare()
