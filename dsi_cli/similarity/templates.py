"""Similarity of classes by their mean features: the TNCSM of arXiv 2505.21338, section 3.1.

The template of a class is the mean, over its samples in a split, of the features that the classifier takes in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import NotFiniteError, UsageError
from dsi_cli.similarity.weights import weight_similarity


def template_similarity(sums: NDArray[np.floating[Any]], samples: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Return the cosine similarity of the classes' mean features (the TNCSM), in [-1, 1].

    Parameters
    ----------
    sums : (C, d) float
        The sum of the features of each class's samples.
    samples : (C,) int
        How many these are.

    Returns
    -------
    (C, C) float32
        Exactly symmetric, 1 on the diagonal; the row and column of a class without a sample are NaN.

    Raises
    ------
    NotFiniteError
        A feature is NaN or infinite.
    UsageError
        Fewer than two classes have a sample, or the shapes do not fit.

    Examples
    --------
    >>> template_similarity(np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0]]), np.array([2, 1, 0])).round(3).tolist()
    [[1.0, 0.7070000171661377, nan], [0.7070000171661377, 1.0, nan], [nan, nan, nan]]
    """
    if sums.ndim != 2 or samples.shape != sums.shape[:1]:
        raise UsageError(f"sums {sums.shape} and samples {samples.shape}: expected (C, d) and (C,)")
    present = np.flatnonzero(samples > 0)
    if len(present) < 2:
        raise UsageError(f"{len(present)} classes have a sample: templates of two classes or more can be compared")
    means = sums[present] / samples[present, None]
    if not np.isfinite(means).all():
        raise NotFiniteError("NaN or infinite features: nothing can be said of this epoch's templates")
    similarity = np.full((len(sums), len(sums)), np.nan, dtype=np.float32)
    similarity[np.ix_(present, present)] = weight_similarity(means)
    return similarity
