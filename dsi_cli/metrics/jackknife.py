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

import numpy as np

from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.permutation_null import centred_off_diagonal
from dsi_cli.metrics.prepared_matrix import PreparedMatrix

MEASURES = ("cosine", "pearson", "spearman")  # the measures that have an interval
SUBTRACTED = 0.5
"""The share of `pair_variance` that is subtracted. With 0 the intervals of 100 classes
hold the value in 98.7 % of cases, and with 1 those of 20 classes in 91.5 %
(docs/method.md).
"""
ROUNDING = 1e-12  # a correlation that is nearer to 1 is 1
LEVEL = 0.95


def standard_error(without: Values) -> float | None:
    """Return the standard error of a quantity from its values with each class left out
    in turn ``(C,)``; None if one is NaN.
    """
    classes = len(without)
    if not np.isfinite(without).all():
        return None
    return float(
        np.sqrt((classes - 1) / classes * np.square(without - without.mean()).sum())
    )


def interval(
    excess: float, without: Values, pair_variance: float | None = None
) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of an excess, within [-1, 1]; None if
    ``without`` holds NaN.

    ``without`` is the result of `excess_without`. ``pair_variance`` is that of the
    function of this name for a correlation, whose interval is on Fisher's scale; None
    for other measures.
    """
    from scipy.special import stdtrit

    error = standard_error(without)
    if error is None:
        return None
    quantile = float(stdtrit(len(without) - 1, (1 + LEVEL) / 2))
    if pair_variance is None or abs(excess) > 1 - ROUNDING:
        return max(excess - quantile * error, -1.0), min(excess + quantile * error, 1.0)
    error = float(np.sqrt(max(error**2 - SUBTRACTED * pair_variance, error**2 / 2)))
    centre, half = float(np.arctanh(excess)), quantile * error / (1 - excess**2)
    return float(np.tanh(centre - half)), float(np.tanh(centre + half))


def pair_variance(
    a: PreparedMatrix, b: PreparedMatrix, measure: str, value: float
) -> float:
    """Return the part of the variance of a correlation that is due to single pairs of
    classes, which the jackknife counts twice.

    The effect of a pair on the correlation is what it adds to it less the mean effect
    of its two classes.
    """
    x, y = (centred_off_diagonal(matrix.compared(measure).values) for matrix in (a, b))
    classes = len(x)
    pairs = classes * (classes - 1) / 2
    x = x / np.sqrt((x * x).sum() / (2 * pairs))
    y = y / np.sqrt((y * y).sum() / (2 * pairs))
    effects = x * y - value / 2 * (x * x + y * y)
    if not (a.is_symmetric and b.is_symmetric):
        effects = (effects + effects.T) / 2
    # The residuals of the additive fit are orthogonal to it, so their squares follow
    # from those of the effects and the fit.
    of_class = effects.sum(axis=0) / (classes - 2)
    residuals = float(np.vdot(effects, effects)) / 2 - (classes - 2) * float(
        of_class @ of_class
    )
    return max(residuals, 0.0) / (pairs - classes) / pairs


def excess_without(a: PreparedMatrix, b: PreparedMatrix, measure: str) -> Values:
    """Return the excess over chance of a measure of `MEASURES` with each class left out
    in turn ``(C,)``.

    It is NaN if a matrix without the class is constant.
    """
    first, second = a.compared(measure), b.compared(measure)
    n = (a.classes - 1) * (a.classes - 2)
    products = first.values * second.values
    class_sums = (
        *first.class_sums,
        *second.class_sums,
        products.sum(axis=0) + products.sum(axis=1),
    )
    # Each pair belongs to two classes, so half the sum over classes is the sum over
    # pairs.
    x, xx, y, yy, xy = (sums.sum() / 2 - sums for sums in class_sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure == "cosine":
            # Without a class of a smallest pair, the values are scaled with another
            # minimum.
            p, q = a.least_without, b.least_without
            xy = xy - p * y - q * x + n * p * q
            x, xx, y, yy = (
                x - n * p,
                xx - 2 * p * x + n * p * p,
                y - n * q,
                yy - 2 * q * y + n * q * q,
            )
        # A spread that is only rounding belongs to a constant matrix.
        x_spread, y_spread = xx - x * x / n, yy - y * y / n
        x_spread[x_spread <= 1e-12 * xx] = np.nan
        y_spread[y_spread <= 1e-12 * yy] = np.nan
        if measure == "cosine":
            lengths = np.sqrt(xx * yy)
            chance = x * y / (n * lengths)
            return np.where(
                np.isfinite(x_spread * y_spread),
                (xy / lengths - chance) / (1 - chance),
                np.nan,
            )
        return np.clip((xy - x * y / n) / np.sqrt(x_spread * y_spread), -1.0, 1.0)
