"""What an epoch's matrices are compared with: the reference matrices of a run, prepared once for all its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.reliability import Reliability
from dsi_cli.metrics.side import Side
from dsi_cli.pipeline.labelling import Labelling

Classes = NDArray[np.intp]
SCSM = "scsm"
KEPT_SIDES = 4
OWN = ("ncsm", "tncsm-test", "tncsm-train")
"""The network's own similarity: the first of these that an epoch has."""


@dataclass(frozen=True)
class Csm:
    """One stored matrix of an epoch."""

    name: str
    """Its kind, and its split where it has one: out of `dsi_cli.pipeline.curves.ORDER`."""
    matrix: NDArray[np.float32]
    classes: Classes
    """Those that it has."""
    reliability: Reliability | None = None
    """Of a CCSM."""

    @property
    def kind(self) -> str:
        """The kind alone."""
        return self.name.partition("-")[0]

    @property
    def split(self) -> str | None:
        """The split, None where it has none."""
        return self.name.partition("-")[2] or None


class Named(Protocol):
    """A matrix that has a name."""

    @property
    def name(self) -> str:
        """As in the tables."""


Matrix = TypeVar("Matrix", bound=Named)


def own_of(found: Sequence[Matrix]) -> Matrix | None:
    """Return the network's own similarity among an epoch's matrices, None where there is none."""
    return next((csm for name in OWN for csm in found if csm.name == name), None)


@dataclass(frozen=True)
class Reference:
    """A reference matrix of a run's classes."""

    name: str
    """In the tables: ``wordnet3.0-path``."""
    matrix: NDArray[np.float32]
    """``(C, C)``, NaN for classes that it lacks."""
    missing: str | None = None
    """Why nothing can be aligned with it."""


class Prepared:
    """A reference matrix, prepared for many partners."""

    def __init__(self, reference: Reference) -> None:
        self.name = reference.name
        self.matrix = reference.matrix
        self.missing = reference.missing
        self._sides: dict[bytes, Side] = {}

    @cached_property
    def csm(self) -> Csm:
        """The matrix as one of those of an epoch."""
        return Csm(SCSM, self.matrix, np.flatnonzero(~np.isnan(np.diagonal(self.matrix))))

    @property
    def classes(self) -> Classes:
        """Those that it has."""
        return self.csm.classes

    def side(self, kept: Classes) -> Side:
        """Return the matrix of some classes, prepared; that of all known classes is kept."""
        key = kept.tobytes()
        if key not in self._sides:
            made = Side(self.matrix[np.ix_(kept, kept)])
            made.prepare()
            self._sides = {**self._sides, key: made} if len(self._sides) < KEPT_SIDES else {key: made}
        return self._sides[key]

    def prepare(self) -> None:
        """Prepare it now, so that threads do not each do so."""
        if self.missing is None:
            self.side(self.csm.classes)


class Semantics:
    """The labels of a run and the reference matrices that they give, the main one first."""

    def __init__(self, labelling: Labelling, references: Sequence[Reference]) -> None:
        self.labelling = labelling
        self.references = [Prepared(reference) for reference in references]

    @cached_property
    def heights(self) -> NDArray[np.float32]:
        """The height of the lowest common hypernym of every two classes."""
        return self.labelling.hierarchy.heights()

    @cached_property
    def superclasses(self) -> NDArray[np.intp]:
        """The superclass of each class as a number, see `Labelling.superclasses`."""
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
