"""The names of matrices: a kind, and for matrices made from predictions a split, as in ``ccsm-test``."""

from __future__ import annotations

from typing import NamedTuple

MATRIX_KINDS = ("ncsm", "ncsm_centred", "ccsm", "tncsm", "scsm")
SPLITS = ("test", "train")
NETWORK_MATRICES = ("ncsm", "tncsm-test", "tncsm-train")
"""The names of matrices that hold the network's own similarity; the first one that an epoch has is used."""


class MatrixId(NamedTuple):
    """The kind of a matrix, and the split of the predictions that it was made from.

    >>> MatrixId.parse("ccsm-test"), MatrixId.parse("ncsm"), str(MatrixId("tncsm", "train"))
    (MatrixId(kind='ccsm', split='test'), MatrixId(kind='ncsm', split=None), 'tncsm-train')
    """

    kind: str
    split: str | None = None

    @classmethod
    def parse(cls, name: str) -> MatrixId:
        """Return the id of a name such as ``ccsm-test`` or ``ncsm``."""
        kind, _, split = name.partition("-")
        return cls(kind, split or None)

    def __str__(self) -> str:
        """Return the name."""
        return self.kind if self.split is None else f"{self.kind}-{self.split}"
