"""What an epoch's matrices are compared with, where all of them come by blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.blocked.alignment import Side
from dsi_cli.metrics.blocked.sums import Sums
from dsi_cli.metrics.blocked.walk import Rows, Walk
from dsi_cli.metrics.reliability import Reliability
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.references import Opened
from dsi_cli.pipeline.semantics import SCSM, Classes, Semantics
from dsi_cli.similarity.blocks import Whole
from dsi_cli.wordnet.blocks import PathRows

KEPT_SIDES = 2


@dataclass
class Source:
    """One matrix of an epoch, or a reference."""

    name: str
    """As of `dsi_cli.pipeline.semantics.Csm`."""
    rows: Rows
    """Of `classes` alone, in their order."""
    classes: Classes
    sums: Sums | None = None
    """What the matrix adds up to, where that is known."""
    reliability: Reliability | None = None
    _sides: dict[bytes, Side] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind alone."""
        return self.name.partition("-")[0]

    @property
    def split(self) -> str | None:
        """The split, None where it has none."""
        return self.name.partition("-")[2] or None

    def of(self, shown: Classes) -> Rows:
        """Return the matrix of some of its classes, in the order given."""
        return self.rows.take(np.searchsorted(self.classes, shown))

    def side(self, shown: Classes, walk: Walk) -> Side:
        """Return the same, prepared; the last few are kept."""
        key = shown.tobytes()
        if key not in self._sides:
            known = self.sums
            if known is not None:
                is_all = len(shown) == len(self.classes)
                known = known.in_order(np.searchsorted(self.classes, shown)) if is_all else None
            if len(self._sides) >= KEPT_SIDES:
                self._sides.clear()
            self._sides[key] = Side(self.of(shown), walk, known)
        return self._sides[key]


@dataclass(frozen=True)
class ByRows:
    """A reference of a run."""

    name: str
    source: Source
    missing: str | None
    """Why nothing can be aligned with it."""

    @property
    def classes(self) -> Classes:
        """Those that it has."""
        return self.source.classes


def references(one: Labelling, opened: Sequence[Opened]) -> list[ByRows]:
    """Return the references of a run, the main one first; errors as `Opened.of`."""
    return [_reference(one, source) for source in opened]


def _reference(one: Labelling, opened: Opened) -> ByRows:
    nodes = opened.path_nodes(one) if opened.path_nodes is not None and one.labels is not None else None
    if nodes is not None:
        classes = np.array(list(nodes), dtype=np.intp)
        rows = PathRows(list(nodes.values()), opened.taxonomy)
        return ByRows(opened.name, Source(SCSM, rows, classes), opened.too_few(len(classes), one))
    if one.labels is None:  # no matrix of nothing: it may be large
        return ByRows(opened.name, Source(SCSM, _none(), np.empty(0, dtype=np.intp)), one.why_no_reference())
    whole = opened.of(one)
    return ByRows(opened.name, source_of(SCSM, whole.matrix), whole.missing)


def source_of(name: str, matrix: NDArray[np.float32], classes: Classes | None = None) -> Source:
    """Return a matrix that is in memory; ``classes``: those that it has, if not those with a diagonal."""
    has = np.flatnonzero(~np.isnan(np.diagonal(matrix))) if classes is None else classes
    is_all = len(has) == len(matrix)
    return Source(name, Whole(matrix if is_all else matrix[np.ix_(has, has)]), has)


def of_semantics(semantics: Semantics) -> list[ByRows]:
    """Return references that are in memory, to be gone through by blocks."""
    return [ByRows(one.name, source_of(SCSM, one.matrix), one.missing) for one in semantics.references]


def _none() -> Whole:
    return Whole(np.empty((0, 0), dtype=np.float32))
