"""Neural collapse of features and classifier: NC1 to NC4 of Papyan, Han and Donoho 2020
(doi 10.1073/pnas.2015509117).

``h_i`` are the features of all samples, ``mu_c`` the means of the classes, ``mu`` their
mean, and ``w_c`` the classifier's rows. Only classes with samples count.

- NC1, within-class variability: ``tr(S_W S_B^+) / C`` with the covariance ``S_W``
  within classes and ``S_B`` of the class means.
- NC2 of the class means: the indices of `dsi_cli.metrics.head_geometry` with ``mu_c``
  in place of ``w_c``.
- NC3, self-duality: ``|W / |W| - M / |M||^2`` (Frobenius norms) with ``w_c`` minus
  their mean, and ``mu_c - mu``, as rows.
- NC4: the share of samples whose prediction is the class with the nearest mean. The
  paper has the share that differs.

A network with complete collapse has 0, 0, 0 and 1. The chance levels of NC1, NC3 and
NC4 belong to random relabellings: of the samples (NC1, `RELABELLINGS` draws), of the
classes of ``W`` (NC3, exact), and to independent decisions (NC4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics.head_geometry import head_geometry, random_heads
from dsi_cli.similarity import centre

Float64s = NDArray[np.float64]
# the number of random relabellings of the samples for the chance level of NC1
RELABELLINGS = 3
MIN_CLASSES = 2
NC2 = (
    ("centred_norm_variation", "nc2_norms", "centred"),
    ("angle_deviation", "nc2_angles", "deviation"),
    ("angle_spread", "nc2_angles", "spread"),
)
"""Field of `dsi_cli.metrics.head_geometry.HeadGeometry`, metric and variant of the
indices of the class means.
"""
MIN_SHARE = 1e-8
"""The minimum variance of class means along a direction of NC1, relative to the
largest; directions with less are rounding.
"""


@dataclass(frozen=True)
class CollapseIndex:
    """One index with its chance level; undefined values are missing."""

    value: float | None = None
    null_mean: float | None = None
    null_std: float | None = None
    samples_used: int | None = None
    classes_used: int | None = None
    reason: str | None = None


def class_means(
    features: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
) -> tuple[Float64s, NDArray[np.intp]]:
    """Return the mean feature of each class with samples, and the class of each row, in
    order.
    """
    from scipy.sparse import csr_array

    classes, members, counts = np.unique(
        targets, return_inverse=True, return_counts=True
    )
    shares = csr_array(
        (1 / counts[members], (members, np.arange(len(members)))),
        shape=(len(classes), len(members)),
    )
    return np.asarray(shares @ features, dtype=np.float64), classes.astype(np.intp)


def within_class_variability(
    features: NDArray[np.floating[Any]],
    targets: NDArray[np.integer[Any]],
    seed: int = 0,
) -> CollapseIndex:
    """Return NC1 of features ``(n, d)`` with targets ``(n,)``; 0 for complete collapse,
    and large if classes overlap.
    """
    value = _variability(features, targets)
    if value is None:
        return CollapseIndex(
            reason="fewer than two classes, or no difference between class means"
        )
    generator = np.random.default_rng(seed)
    draws = [
        _variability(features, generator.permutation(targets))
        for _ in range(RELABELLINGS)
    ]
    known = np.array([draw for draw in draws if draw is not None])
    return CollapseIndex(
        value,
        float(known.mean()) if len(known) else None,
        float(known.std(ddof=1)) if len(known) > 1 else None,
        len(targets),
        len(np.unique(targets)),
    )


def _variability(
    features: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
) -> float | None:
    means, classes = class_means(features, targets)
    count, centred = len(classes), centre(means)
    # The pseudoinverse of S_B follows from the eigenvectors of the smaller product of
    # the centred means.
    is_wide = count <= centred.shape[1]
    squares, vectors = np.linalg.eigh(
        centred @ centred.T if is_wide else centred.T @ centred
    )
    kept = squares > MIN_SHARE * squares.max(initial=0.0)
    if count < 2 or not kept.any():
        return None
    directions = vectors[:, kept]
    if is_wide:
        directions = centred.T @ directions / np.sqrt(squares[kept])
    residuals = (features - means[np.searchsorted(classes, targets)]) @ directions
    return float(((residuals**2).mean(axis=0) * count / squares[kept]).sum() / count)


def self_duality(
    weight: NDArray[np.floating[Any]], means: NDArray[np.floating[Any]]
) -> tuple[CollapseIndex, Float64s]:
    """Return NC3, in [0, 4], and the cosine of each centred class vector with its
    centred class mean, NaN without direction.

    The classifier's rows and the mean features ``(C, d)`` are of the same classes.
    """
    first = centre(np.asarray(weight, dtype=np.float64))
    second = centre(np.asarray(means, dtype=np.float64))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = (first * second).sum(axis=1)
    cosines = np.divide(
        products, lengths, out=np.full(len(lengths), np.nan), where=lengths > 0
    )
    scale = np.linalg.norm(first) * np.linalg.norm(second)
    if not scale:
        return (
            CollapseIndex(
                classes_used=len(first),
                reason="all class vectors or all class means are equal",
            ),
            cosines,
        )
    # For a relabelling p, the sum of a[p(c), c] has the mean 0, because the columns of
    # a sum to 0, and Hoeffding's variance.
    table = first @ second.T / scale
    deviation = 2 * np.sqrt((table**2).sum() / (len(first) - 1))
    return (
        CollapseIndex(
            float(2 - 2 * products.sum() / scale),
            2.0,
            float(deviation),
            None,
            len(first),
        ),
        cosines,
    )


def nearest_centre(
    features: NDArray[np.floating[Any]],
    targets: NDArray[np.integer[Any]],
    predictions: NDArray[np.integer[Any]],
) -> tuple[CollapseIndex, NDArray[np.bool_]]:
    """Return NC4, in [0, 1], and whether the prediction of each of the n samples is the
    class with the nearest mean.
    """
    means, classes = class_means(features, targets)
    distances = (means**2).sum(axis=1) - 2 * features @ means.T
    nearest = classes[distances.argmin(axis=1)]
    agrees = nearest == predictions
    count, size = len(targets), int(max(classes.max(), predictions.max())) + 1
    shares = [
        np.bincount(values, minlength=size) / count for values in (nearest, predictions)
    ]
    chance = float(shares[0] @ shares[1])
    deviation = float(np.sqrt(chance * (1 - chance) / count))
    return (
        CollapseIndex(float(agrees.mean()), chance, deviation, count, len(classes)),
        agrees,
    )


def collapse_values(
    features: NDArray[np.floating[Any]],
    targets: NDArray[np.integer[Any]],
    predictions: NDArray[np.integer[Any]] | None,
    weight: NDArray[np.floating[Any]] | None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return all indices of a split as ``rows`` of the curves table, and values by
    class, as JSON.

    The values by class are ``classes`` with the class indices, and ``self_duality`` and
    ``nearest_centre`` where they are known. Features are ``(n, d)``, targets and
    predictions ``(n,)``. Without a classifier there are no predictions. ``weight`` are
    its rows ``(C, d)``, if they are known, and ``seed`` is that of the relabellings.
    """
    means, classes = class_means(features, targets)
    rows = [
        {"metric": "nc1", **vars(within_class_variability(features, targets, seed))}
    ]
    if len(classes) >= MIN_CLASSES:
        values, chance_levels = head_geometry(means), random_heads(*means.shape)
        for name, metric, variant in NC2:
            null_mean = getattr(chance_levels.means, name)
            null_std = getattr(chance_levels.deviations, name)
            chance = {"null_mean": null_mean, "null_std": null_std}
            used = {"classes_used": len(classes), "samples_used": len(targets)}
            rows.append(
                {
                    "metric": metric,
                    "variant": variant,
                    "value": getattr(values, name),
                    **chance,
                    **used,
                }
            )
    by_class: dict[str, Any] = {"classes": classes.tolist()}
    if (
        weight is not None
        and weight.shape[1] == means.shape[1]
        and len(weight) > classes.max()
    ):
        index, cosines = self_duality(weight[classes], means)
        rows.append({"metric": "nc3", **vars(index)})
        by_class["self_duality"] = [
            None if np.isnan(cosine) else float(cosine) for cosine in cosines
        ]
    if predictions is not None:
        index, agrees = nearest_centre(features, targets, predictions)
        rows.append({"metric": "nc4", **vars(index)})
        by_class["nearest_centre"] = [
            float(agrees[targets == number].mean()) for number in classes
        ]
    return {"rows": rows, **by_class}
