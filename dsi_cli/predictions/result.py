"""What a network answered on one split at one epoch: the record that every source of predictions gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """The answers on one split; class numbers are those of the classifier's rows.

    A source that has counts alone (a confusion matrix) leaves the samples None.
    """

    counts: Any
    """``(C, C)`` int64: rows are the truth, columns the prediction. Sparse if of many classes, see `confusion_counts`."""
    targets: NDArray[np.integer[Any]] | None = None
    """``(N,)``, the truth of each sample; in the order of the data, as the next three are."""
    predictions: NDArray[np.integer[Any]] | None = None
    scores: NDArray[np.floating[Any]] | None = None
    """``(N,)``, how sure the network was of its prediction."""
    samples: NDArray[np.int64] | None = None
    """``(N,)``, each sample's number in the data; 0 to N-1 if None."""
    paths: Sequence[str | None] | None = None
    """Where each sample's image lies."""


@dataclass(frozen=True)
class FeatureTemplates:
    """The mean features of a split's classes, as sums, and how typical right and wrong samples are of them."""

    sums: NDArray[np.float64]
    """``(C, d)``, the sum of the features of each class's samples."""
    samples: NDArray[np.int64]
    """``(C,)``, how many these are."""
    typicality: Sequence[dict[str, Any]] = ()
    """Rows of the typicality table: class_index, correct, samples, group_cosine, null_mean, sample_cosine."""
    histograms: Sequence[Sequence[int]] = ()
    """How many sample cosines lie in each bin over [-1, 1]: of the wrong samples, of the right ones."""


@dataclass(frozen=True)
class EvaluationResult:
    """All that a network answered on a split; without a classifier there are templates alone."""

    outcome: Predictions | None = None
    loss: float | None = None
    """Mean cross-entropy over the samples."""
    top5: int | None = None
    """Samples whose truth is among the five largest outputs."""
    templates: FeatureTemplates | None = None
