"""The fits of names to classes **[ours]**: the similarities of a class in the network
against those of a name in the reference.

The *fit* of the name ``k`` to class ``i`` is the correlation of row ``i`` of the
network with row ``k`` of the reference, plus the cosine of class vector ``i`` with its
prediction from the other classes (kriging with the reference as covariance, Rasmussen
and Williams 2006, section 5.4.2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.pair_residuals import (
    TINY,
    Values,
    fisher,
    with_diagonal,
    without_class_effects,
)

Indices = NDArray[np.intp]

MIN_SQUARE = 0.05
"""The least squared length of a predicted vector, as a share of the sum of its squared
weights: pairs that are set aside have values that no vectors have.
"""


def own_fits(similarity: Values, reference: Values) -> Values:
    """Return the correlation ``(C,)`` of the rows of two symmetric matrices ``(C, C)``
    without class effects, in [-1, 1].
    """
    network = without_class_effects(similarity)
    names = without_class_effects(reference)
    lengths = np.linalg.norm(network, axis=1) * np.linalg.norm(names, axis=1)
    correlations: Values = (network * names).sum(axis=1) / np.maximum(lengths, TINY)
    return correlations


def agreement_without(similarity: Values, reference: Values) -> Values:
    """Return the agreement ``(C,)`` of two symmetric matrices ``(C, C)`` without the
    pairs of each class: the correlation of what class effects leave.
    """
    network = without_class_effects(similarity)
    names = without_class_effects(reference)
    products = network * names
    squares = network**2, names**2

    def without(values: Values) -> Values:
        left: Values = values.sum() - 2 * values.sum(axis=1)
        return left

    lengths = np.sqrt(without(squares[0]) * without(squares[1]))
    agreement: Values = without(products) / np.maximum(lengths, TINY)
    return agreement


def name_fits(similarity: Values, reference: Values) -> Values:
    """Return how well the name ``k`` of the reference fits the class ``i`` of the
    network ``(C, C)``: the sum of two measures, each over its standard deviation.
    """
    names = np.arange(len(reference))
    correlations, predicted = _fit_measures(similarity, reference, reference, names)
    return correlations / _spread(correlations) + predicted / _spread(predicted)


def name_scores(gains: Values) -> Values:
    """Return how much better other names fit each class than its own ``(C,)``: alone,
    as an exchange of two names, and as a chain of two.

    ``gains`` are the fits ``(C, C)`` minus that of the class's own name.
    """
    others = with_diagonal(gains, -np.inf)
    exchange = (others + others.T).max(axis=1) / 2
    # A chain also counts half of the best gain of the class that has the name.
    chain = (others + others.max(axis=1) / 2).max(axis=1)
    scores: Values = others.max(axis=1) + exchange + chain
    return scores


def sense_fits(
    similarity: Values, reference: Values, rows: Values, owners: Indices
) -> Values:
    """Return how well other senses ``(n, C)`` fit the classes ``(n,)`` that own them,
    on the scale of `name_fits`.
    """
    names = np.arange(len(reference))
    usual = _fit_measures(similarity, reference, reference, names)
    measures = _fit_measures(similarity, reference, rows, owners)
    fits = np.zeros(len(owners))
    for of_senses, of_names in zip(measures, usual, strict=True):
        fits += of_senses[owners, np.arange(len(owners))] / _spread(of_names)
    return fits


def _fit_measures(
    similarity: Values, reference: Values, rows: Values, owners: Indices
) -> tuple[Values, Values]:
    """Return the two measures ``(C, n)`` of how well names fit classes: Fisher's z of
    the correlation of rows, and the cosine with the prediction by kriging.

    A name is a row ``(n, C)`` of similarities, without that to its own class, the
    owner.
    """
    own = np.arange(len(owners)), owners
    classes = np.arange(len(reference))
    network = _unit_rows(similarity, classes)
    correlations = fisher(network @ _unit_rows(rows, owners).T)

    # The precision of all classes but the owner follows from that of all.
    precision = np.linalg.inv(reference + np.eye(len(reference)))
    others = rows.copy()
    others[own] = 0.0
    weights = others @ precision
    of_owner = weights[own] / np.diag(precision)[owners]
    weights -= of_owner[:, None] * precision[owners]
    weights[own] = 0.0
    return correlations, _predicted_cosines(weights, np.tanh(similarity)).T


def _unit_rows(matrix: Values, owners: Indices) -> Values:
    """Return rows of mean 0 and length 1, in which the class itself is the mean."""
    own = np.arange(len(owners)), owners
    rows = matrix.copy()
    rows[own] = 0.0
    rows -= rows.sum(axis=1, keepdims=True) / (rows.shape[1] - 1)
    rows[own] = 0.0
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)


def _spread(measure: Values) -> float:
    others = measure[~np.eye(len(measure), dtype=bool)]
    return max(float(others.std()), TINY)


def _predicted_cosines(weights: Values, cosines: Values) -> Values:
    """Return the cosine ``(n, C)`` of predicted vectors, weighted sums ``(n, C)`` of
    the class vectors, with the class vectors. No class predicts itself.
    """
    products = weights @ with_diagonal(cosines, 0.0)
    of_weights = (weights * weights).sum(axis=1)
    squares = (products * weights).sum(axis=1) + of_weights
    squares = np.maximum(squares, np.maximum(MIN_SQUARE * of_weights, TINY))
    cosines_with: Values = products / np.sqrt(squares)[:, None]
    return cosines_with
