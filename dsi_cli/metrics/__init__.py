"""Metrics: numbers from class similarity matrices (CSMs), as pure functions on arrays.

``alignment``         the SAI: how similar two CSMs are, by several measures, each with
                      its chance level.
``prepared_matrix``   one of the two matrices of a SAI, with the values that every
                      measure needs.
``measures``          the measures of a SAI on two arrays of values.
``ssim``              SSIM, the measure that compares two matrices as images.
``permutation_null``  the chance level: mean and deviation over random relabellings of
                      the classes.
``p_values``          the p-value of a SAI or IDM under random relabellings.
``intervals``         confidence intervals with Student's t.
``jackknife``         the confidence interval of a SAI: each class left out in turn.
``cluster_jackknife`` statistics of the correlations of several CSMs, with intervals over
                      classes or clusters of classes.
``reliability``       the reliability over seeds, and the agreement corrected for it.
``class_alignment``   the SAI of single classes and of groups of classes.
``input_agreement``   whether a head, labels and predictions belong together.
``variance_partition``  the shares of a CSM that several references explain.
``error_consistency``   whether two networks are right on the same samples.
``wsi``               the WSI: how similar the rows of the classifier are to each other.
``idm``               the IDM: how similar confused classes are, from confusion counts
                      and a CSM.
``hierarchy``         the severity of mistakes, the accuracy on superclasses, and
                      hierarchical precision, recall and F1.
``phases``            surge, refinement and stabilisation of a training run, from one of
                      its curves.
``split_half``        the reliability of a CCSM.
``typicality``        how typical correctly and wrongly classified samples are of their
                      class.
``differences``       the difference of two networks in a metric, with its confidence
                      interval.
``blockwise``         SAI, WSI and IDM of matrices that do not fit into memory.

This module defines only the names of the measures and imports no other module, so that
``--help`` is fast.
"""

from __future__ import annotations

MEASURES = (
    "cosine",
    "ssim",
    "mae",
    "mse",
    "pearson",
    "spearman",
    "kendall",
    "kendall_a",
)
"""The measures of a SAI, in the order of tables and figures."""
DEFAULT_MEASURES = ("cosine", "ssim", "mae", "mse", "pearson", "spearman")
# the measures of which a lower value means that the matrices are more similar
DISTANCES = frozenset({"mae", "mse"})
WSI_QUANTILE = 0.95
DEFAULT_REFERENCES = ("path",)
