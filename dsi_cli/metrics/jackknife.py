"""The confidence interval of an alignment over the sampling of classes: the
delete-one-class jackknife **[ours]**.

The classes of a data set are a sample of possible classes. The spread of an alignment
with each class left out in turn gives its standard error (Efron and Stein 1981,
doi:10.1214/aos/1176345462). All values without a class follow from sums over rows and
columns, so the interval costs about as much as the value.

The jackknife counts twice what is due to single pairs of classes. For correlations half
of this is subtracted, which gave the best coverage with 20 to 200 classes
(docs/method.md), and the interval is computed on Fisher's scale.

The interval is that of the excess over chance, which for Pearson's and Spearman's
correlation is the correlation itself. Spearman's ranks are those among all classes. The
cosine uses the smallest value of each matrix without the class. MAE and MSE have no
interval: they depend on the largest value, too, and no interval had the nominal
coverage (measured in docs/method.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dsi_cli.metrics.intervals import Interval, fisher_interval, plain_interval
from dsi_cli.metrics.measures import Values, spread_of_sums
from dsi_cli.metrics.prepared_matrix import MatchedValues

MEASURES = ("cosine", "pearson", "spearman")  # the measures that have an interval
SUBTRACTED = 0.5
"""The share of `pair_variance` that is subtracted. With 0 the intervals of 100 classes
hold the value in 98.7 % of cases, and with 1 those of 20 classes in 91.5 %
(docs/method.md).
"""


def standard_error(without: Values) -> float | None:
    """Return the standard error of a quantity from its values with each class, or each
    cluster of classes, left out in turn ``(C,)``; None if one is NaN.
    """
    number = len(without)
    if not np.isfinite(without).all():
        return None
    squares = np.square(without - without.mean()).sum()
    return float(np.sqrt((number - 1) / number * squares))


def variance(
    without: Values, pair_variance: float = 0.0, share: float = SUBTRACTED
) -> float | None:
    """Return the square of the `standard_error`, less a share of what is due to single
    pairs of classes or clusters, but at least half of it; None if a value is NaN.
    """
    error = standard_error(without)
    if error is None:
        return None
    return max(error**2 - share * pair_variance, error**2 / 2)


def interval(
    excess: float, without: Values, pair_variance: float | None = None
) -> Interval | None:
    """Return the 95 % confidence interval of an excess, within [-1, 1]; None if
    ``without`` holds NaN.

    ``without`` is the result of `excess_without`. ``pair_variance`` is that of the
    function of this name for a correlation, whose interval is on Fisher's scale; None
    for other measures.
    """
    of_classes = variance(without, pair_variance or 0.0)
    if of_classes is None:
        return None
    error, freedom = float(np.sqrt(of_classes)), len(without) - 1
    interval_of = plain_interval if pair_variance is None else fisher_interval
    low, high = interval_of(excess, error, freedom)
    return max(low, -1.0), min(high, 1.0)


def pair_variance(matched: MatchedValues, value: float) -> float:
    """Return the part of the variance of a correlation that is due to single pairs of
    classes, which the jackknife counts twice.

    The effect of a pair on the correlation is what it adds to it less the mean effect
    of its two classes.
    """
    x, y, classes = matched.x, matched.y, matched.x.classes
    number, pairs = x.spread.number, classes * (classes - 1) / 2
    of_x, of_y = x.spread.squares / number, y.spread.squares / number
    factors = 1 / np.sqrt(of_x * of_y), -value / 2 / of_x, -value / 2 / of_y
    effects = _weighted_sum(factors, (matched.products, x.squares, y.squares))
    effects = x.layout.fold(effects)
    sums = matched.class_products, x.class_squares, y.class_squares
    of_class = _weighted_sum(factors, sums) * pairs / number / (classes - 2)
    # The residuals of the additive fit are orthogonal to it, so their squares follow
    # from those of the effects and the fit.
    fitted = (classes - 2) * float(of_class @ of_class)
    return max(float(effects @ effects) - fitted, 0.0) / (pairs - classes) / pairs


def _weighted_sum(factors: Sequence[float], arrays: Sequence[Values]) -> Values:
    """Return the sum of the products of each factor with its array."""
    total = factors[0] * arrays[0]
    for factor, array in zip(factors[1:], arrays[1:], strict=True):
        total += factor * array
    return total


def excess_without(matched: MatchedValues, measure: str) -> Values:
    """Return the excess over chance of a measure of `MEASURES` with each class left out
    in turn ``(C,)``.

    It is NaN if a matrix without the class is constant.
    """
    first, second, classes = matched.x, matched.y, matched.x.classes
    # the number of values without a class
    n = first.spread.number * (classes - 2) / classes
    x, xx = first.class_sums, first.class_squares
    y, yy = second.class_sums, second.class_squares
    # Each value belongs to two classes, so half the sum over classes is the sum of all.
    x, xx, y, yy, xy = (
        sums.sum() / 2 - sums for sums in (x, xx, y, yy, matched.class_products)
    )
    x_spread = spread_of_sums(n, x, xx, first.spread.squares)
    y_spread = spread_of_sums(n, y, yy, second.spread.squares)
    covariance = xy - x * y / n
    if measure != "cosine":
        return np.clip(covariance / np.sqrt(x_spread * y_spread), -1.0, 1.0)
    # Without a class of a smallest pair, the values are scaled with another minimum.
    x_mean = x / n + first.mean - first.least_without
    y_mean = y / n + second.mean - second.least_without
    lengths = np.sqrt((x_spread + n * x_mean**2) * (y_spread + n * y_mean**2))
    return covariance / (lengths - n * x_mean * y_mean)
