"""Metrics: numbers from class similarity matrices (CSMs), as pure functions on arrays.

``alignment``         the SAI: how similar two CSMs are, by several measures, each with its chance level.
``prepared_matrix``   one of the two matrices of a SAI, with the values that every measure needs.
``measures``          the measures of a SAI on two arrays of values.
``ssim``              SSIM, the measure that compares two matrices as images.
``permutation_null``  the chance level: mean and deviation over random relabellings of the classes.
``p_values``          the p-value of a SAI or IDM under random relabellings.
``jackknife``         the confidence interval of a SAI: each class left out in turn.
``class_alignment``   the SAI of single classes and of groups of classes.
``partial_mantel``    the correlation of two CSMs after a third one is regressed out.
``wsi``               the WSI: how similar the rows of the classifier are to each other.
``idm``               the IDM: how similar confused classes are, from confusion counts and a CSM.
``hierarchy``         the severity of mistakes, the accuracy on superclasses, and hierarchical precision, recall and F1.
``phases``            surge, refinement and stabilisation of a training run, from one of its curves.
``split_half``        the reliability of a CCSM.
``typicality``        how typical correctly and wrongly classified samples are of their class.
``differences``       the difference of two networks in a metric, with its confidence interval.
``blockwise``         SAI, WSI and IDM of matrices that do not fit into memory.

This module defines only the names of the measures and imports no other module, so that ``--help`` is fast.
"""

from __future__ import annotations

from typing import NamedTuple


class Measure(NamedTuple):
    """One way to compare two CSMs."""

    name: str
    by_default: bool
    is_distance: bool
    """True if a lower value means that the matrices are more similar."""
    meaning: str


MEASURES = (
    Measure("cosine", True, False, "cosine of the min-max scaled off-diagonal values"),
    Measure("ssim", True, False, "structural similarity of the two matrices as images, in display order"),
    Measure("mae", True, True, "mean absolute difference of the min-max scaled values"),
    Measure("mse", True, True, "mean squared difference of the min-max scaled values"),
    Measure("pearson", True, False, "Pearson correlation of the off-diagonal values"),
    Measure("spearman", True, False, "Spearman rank correlation of the off-diagonal values"),
    Measure("kendall", False, False, "Kendall's tau-b of the off-diagonal values"),
    Measure("kendall_a", False, False, "Kendall's tau-a of the off-diagonal values, which ties lower"),
)
DEFAULT_MEASURES = tuple(measure.name for measure in MEASURES if measure.by_default)
DISTANCES = frozenset(measure.name for measure in MEASURES if measure.is_distance)
WSI_QUANTILE = 0.95
NORMAL_QUANTILE = 1.96
"""A normal variable is within so many standard deviations of its mean with a probability of 95 %."""
DEFAULT_REFERENCES = ("path",)
