"""Similarity of classes by their mean features: the TNCSM of arXiv 2505.21338, section 3.1.

The template of a class is the mean input of the classifier over the samples of the class in a split.
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
        The number of samples of each class.

    Returns
    -------
    (C, C) float32
        An exactly symmetric matrix, 1 on the diagonal; the row and column of a class without samples are NaN.

    Raises
    ------
    NotFiniteError
        A feature is NaN or infinite.
    UsageError
        Fewer than two classes have samples, or the shapes do not fit.

    Examples
    --------
    >>> template_similarity(np.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.0]]), np.array([2, 1, 0])).round(3).tolist()
    [[1.0, 0.7070000171661377, nan], [0.7070000171661377, 1.0, nan], [nan, nan, nan]]
    """
    if sums.ndim != 2 or samples.shape != sums.shape[:1]:
        message = f"sums {sums.shape} and samples {samples.shape}: expected (C, d) and (C,)"
        raise UsageError(message, code="shapes", sums=sums.shape, samples=samples.shape)
    present = np.flatnonzero(samples > 0)
    if len(present) < 2:
        message = (
            f"{len(present)} classes have samples: expected two or more, because templates are compared with each other"
        )
        raise UsageError(message, code="too-few-classes", classes=len(present))
    means = sums[present] / samples[present, None]
    if not np.isfinite(means).all():
        raise NotFiniteError("NaN or infinite features: the templates of this epoch cannot be compared")
    similarity = np.full((len(sums), len(sums)), np.nan, dtype=np.float32)
    similarity[np.ix_(present, present)] = weight_similarity(means)
    return similarity
