"""The metrics: numbers from class similarity matrices, on plain arrays.

``alignment``   SAI: how much two CSMs say the same, with everything that a value needs beside it
``side``        one of its two matrices, prepared
``measures``    the measures of a SAI on two arrays of values, and its ceiling
``structure``   SSIM, the one measure that looks at a matrix as an image
``null``        the chance level: mean and deviation over random relabellings of the classes
``jackknife``   the interval of a SAI: each class left out in turn
``bootstrap``   the interval of SSIM on request: classes drawn again
``by_class``    SAI in parts: which classes, and which groups, two CSMs agree on
``partial``     partial Mantel correlation: what two CSMs share beyond a third
``weights``     WSI: how similar the classifier's rows are to each other
``dissimilarity``  IDM: how near mistakes fall, from confusion counts and a CSM
``hierarchy``   severity of mistakes and superclass accuracy, from confusion counts and a hierarchy
``phases``      surge, refinement and stabilisation of a run, from one of its curves
``reliability``  how much of a CCSM is more than noise
``typicality``   how typical right and wrong samples are
``differences``  whether two networks differ in a metric: the difference and its interval
``rows``        matrices whose rows are made on demand, and what these add up to
``survey``      the WSI and the nearest classes of such a matrix
``by_rows``     the SAI of two such matrices
``ranked_rows``  the IDM by such a matrix

This module holds the names alone and imports nothing, so that ``--help`` costs nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Measure(NamedTuple):
    """One way to compare two CSMs."""

    name: str
    by_default: bool
    is_distance: bool
    """True where a lower value means more alike."""
    meaning: str


MEASURES = (
    Measure("cosine", True, False, "cosine of the min-max scaled off-diagonal values"),
    Measure("ssim", True, False, "structural similarity of the two matrices as images, in display order"),
    Measure("mae", True, True, "mean absolute difference of the min-max scaled values"),
    Measure("mse", True, True, "mean squared difference of the min-max scaled values"),
    Measure("pearson", True, False, "Pearson correlation of the off-diagonal values"),
    Measure("spearman", True, False, "Spearman rank correlation of the off-diagonal values"),
    Measure("kendall", False, False, "Kendall's tau-b of the off-diagonal values"),
)
DEFAULT_MEASURES = tuple(measure.name for measure in MEASURES if measure.by_default)
DISTANCES = frozenset(measure.name for measure in MEASURES if measure.is_distance)
WSI_QUANTILE = 0.95
DEFAULT_REFERENCES = ("path",)
