"""The evaluation result of a network on one split at one epoch: the same record from a
file or a model up to the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation result of a network on one split; a value is None if its source
    does not give it.

    The source gives predictions as class numbers, which are rows of the classifier; a
    confusion matrix gives only ``counts``, and a network without a classifier only what
    features give. When dsi stores the result, it adds the CCSM.
    """

    counts: Any = None
    """``(C, C)`` int64 confusion counts: rows are the truth, columns the prediction;
    sparse for many classes. If the head grows, one more column counts the predictions
    of classes that not all heads have.
    """
    targets: NDArray[np.integer[Any]] | None = None
    """``(N,)``, the true class of each sample, in the order of the data like
    ``predictions``, ``scores`` and ``samples``.
    """
    predictions: NDArray[np.integer[Any]] | None = None
    # ``(N,)``, the probability of each prediction according to the network
    scores: NDArray[np.floating[Any]] | None = None
    # ``(N,)``, the number of each sample in the data; None for 0 to N-1
    samples: NDArray[np.int64] | None = None
    paths: Sequence[str | None] | None = None  # the path of each sample's image
    loss: float | None = None  # the mean cross-entropy over the samples
    # the number of samples whose true class has one of the five largest outputs
    top5: int | None = None
    text_weight: NDArray[np.float32] | None = None
    """``(C, d)``, for a network with a text tower: the embeddings of the class names,
    which serve as its head.
    """
    description: dict[str, Any] = field(default_factory=dict)
    """A description of the source for people, as JSON; it is stored with the result."""
    typicality: Sequence[dict[str, Any]] = ()
    """Rows of the typicality table: class_index, correct, samples, group_cosine,
    null_mean, sample_cosine.
    """
    histograms: Sequence[Sequence[int]] = ()
    """The number of sample cosines in each bin over [-1, 1], for the wrong samples and
    for the correct ones.
    """
    collapse: dict[str, Any] = field(default_factory=dict)
    """The indices of neural collapse as rows of the curves table, and values by class,
    as JSON.
    """
    split: str = ""  # the split of a stored result
    ccsm: NDArray[np.float32] | None = None
    """``(C, C)``, the similarity of the classes by their confusions, of a stored
    result.
    """
    tncsm: NDArray[np.float32] | None = None
    """``(C, C)``, the similarity of the classes by their templates; None for too many
    classes.
    """
    equal_tncsm: NDArray[np.float32] | None = None
    """``(C, C)``, the same from the samples of ``equal_samples``; None unless this
    split has more samples of a class.
    """
    # ``(C,)``, the number of samples of each class in ``equal_tncsm``
    equal_samples: NDArray[np.int64] | None = None

    def of_first(self, classes: int) -> EvaluationResult:
        """Return the counts of the samples of the first classes, with one more column
        for all predictions of other classes; nothing else is kept.
        """
        counts = self.counts[:classes]
        if not isinstance(counts, np.ndarray):
            counts = counts.toarray()
        others = counts[:, classes:].sum(axis=1)
        return EvaluationResult(np.column_stack([counts[:, :classes], others]))
