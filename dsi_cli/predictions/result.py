"""The predictions and evaluation results of a network on one split at one epoch, from any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """The predictions on one split; class numbers are rows of the classifier.

    If the source is a confusion matrix, only ``counts`` is known, and the other fields are None.
    """

    counts: Any
    """``(C, C)`` int64 confusion counts: rows are the truth, columns the prediction; sparse for many classes."""
    targets: NDArray[np.integer[Any]] | None = None
    """``(N,)``, the true class of each sample, in the order of the data like ``predictions``, ``scores`` and ``samples``."""
    predictions: NDArray[np.integer[Any]] | None = None
    scores: NDArray[np.floating[Any]] | None = None
    """``(N,)``, the probability of each prediction according to the network."""
    samples: NDArray[np.int64] | None = None
    """``(N,)``, the number of each sample in the data; None for 0 to N-1."""
    paths: Sequence[str | None] | None = None
    """The path of each sample's image."""


@dataclass(frozen=True)
class FeatureTemplates:
    """The mean features of a split's classes as sums, and the typicality of correct and wrong samples."""

    sums: NDArray[np.float64]
    """``(C, d)``, the sum of the features of each class's samples."""
    samples: NDArray[np.int64]
    """``(C,)``, the number of samples of each class."""
    typicality: Sequence[dict[str, Any]] = ()
    """Rows of the typicality table: class_index, correct, samples, group_cosine, null_mean, sample_cosine."""
    histograms: Sequence[Sequence[int]] = ()
    """The number of sample cosines in each bin over [-1, 1], for the wrong samples and for the correct ones."""


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation result of a network on a split; a network without a classifier has only templates."""

    outcome: Predictions | None = None
    loss: float | None = None
    """The mean cross-entropy over the samples."""
    top5: int | None = None
    """The number of samples whose true class has one of the five largest outputs."""
    templates: FeatureTemplates | None = None
