"""Slow, independent reference implementations of the similarity metrics, for tests to
compare against.

Everything is float64 and written to be read, not to be fast. Nothing here may import
the package under test. What the definitions call "null with the reason" is a
``ValueError`` here.

Rank measures (spearman, kendall) rank the values as they are handed in, not the scaled
ones: scaling keeps the order, but rounding in it could merge two values that differ.
Hand in the stored float32 matrix where ties matter.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

Array = npt.NDArray[np.float64]

DISTANCES = ("mae", "mse")
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
VALUE_MEASURES = tuple(measure for measure in MEASURES if measure != "ssim")
SSIM_BORDER = 5
SSIM_MIN_CLASSES = 12
TOLERANCE = 1e-12


def _rows(weight: npt.ArrayLike) -> Array:
    """Return a classifier head as a float64 ``(C, d)`` array; ``(C, d, 1, 1)`` is
    flattened.
    """
    array = np.asarray(weight, dtype=np.float64)
    if array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    if array.ndim != 2:
        raise ValueError(f"expected (C, d) or (C, d, 1, 1), got {array.shape}")
    return array


def ncsm(weight: npt.ArrayLike) -> Array:
    """Return the cosine similarity of every two rows; a zero row has similarity 0 to
    all others and 1 to itself.
    """
    similarity = cosine_similarity(_rows(weight))
    np.fill_diagonal(similarity, 1)
    return similarity


def ncsm_centred(weight: npt.ArrayLike) -> Array:
    """Cosine similarity of every two rows once the mean row is taken from each."""
    rows = _rows(weight)
    return ncsm(rows - rows.mean(axis=0))


def mean_row(weight: npt.ArrayLike) -> float:
    """Length of the mean row, relative to the mean length of the rows."""
    rows = _rows(weight)
    return float(
        np.linalg.norm(rows.mean(axis=0)) / np.linalg.norm(rows, axis=1).mean()
    )


def ccsm(counts: npt.ArrayLike) -> Array:
    """Confusion counts, rows divided by their sums, then 1 on the diagonal; a class
    without a sample has zeros.
    """
    table = np.array(counts, dtype=np.float64)
    table /= np.maximum(table.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(table, 1)
    return table


def offdiagonal(matrix: npt.ArrayLike) -> Array:
    """Drop the diagonal row by row: ``(C, C)`` to ``(C, C - 1)``."""
    square = np.asarray(matrix, dtype=np.float64)
    count = len(square)
    return square[~np.eye(count, dtype=bool)].reshape(count, max(count - 1, 0))


def minmax(off: npt.ArrayLike) -> Array:
    """Scale to [0, 1] by the array's own minimum and maximum; ``ValueError`` where all
    values are equal.
    """
    values = np.asarray(off, dtype=np.float64)
    if values.size == 0:
        raise ValueError("no values, no scale")
    low, high = float(values.min()), float(values.max())
    if not high > low:
        raise ValueError("a constant matrix has no scale")
    return (values - low) / (high - low)


def _pair_values(a: npt.ArrayLike, b: npt.ArrayLike, measure: str) -> list[Array]:
    """Return the off-diagonal values of two matrices; tau-a takes each pair of two
    symmetric ones once.
    """
    if (
        measure == "kendall_a"
        and np.array_equal(a, np.transpose(a))
        and np.array_equal(b, np.transpose(b))
    ):
        return [
            np.asarray(one, dtype=np.float64)[np.triu_indices(len(one), 1)]
            for one in (a, b)
        ]
    return [offdiagonal(one).ravel() for one in (a, b)]


def _compare(first: Array, second: Array, measure: str) -> float:
    """Scale two flat arrays of raw values, each by itself, and compare them; every
    measure but ssim.
    """
    if measure in ("spearman", "kendall", "kendall_a"):
        return _compare_as_given(first, second, measure)
    return _compare_as_given(minmax(first), minmax(second), measure)


def _compare_as_given(x: Array, y: Array, measure: str) -> float:
    """Compare two flat arrays that are scaled already, or need no scale; every measure
    but ssim.
    """
    if measure == "cosine":
        return float(np.sum(x * y)) / (
            math.sqrt(float(np.sum(x * x))) * math.sqrt(float(np.sum(y * y)))
        )
    if measure == "mae":
        return float(np.mean(np.abs(x - y)))
    if measure == "mse":
        return float(np.mean((x - y) ** 2))
    if measure == "pearson":
        return float(np.corrcoef(x, y)[0, 1])
    if measure == "spearman":
        return float(stats.spearmanr(x, y).statistic)
    if measure == "kendall":
        return float(stats.kendalltau(x, y, variant="b").statistic)
    if measure == "kendall_a":
        agreements = sum(
            np.sign(x - a) @ np.sign(y - b) for a, b in zip(x, y, strict=True)
        )
        return float(agreements) / (len(x) * (len(x) - 1))
    raise ValueError(f"unknown measure {measure!r}")


def sai(a: npt.ArrayLike, b: npt.ArrayLike, measure: str) -> float:
    """Return the alignment of two raw matrices; for ``ssim`` both are already in
    display order.
    """
    if measure == "ssim":
        from skimage.metrics import structural_similarity

        x, y = minmax(offdiagonal(a)), minmax(offdiagonal(b))
        if len(x) < SSIM_MIN_CLASSES:
            raise ValueError(f"ssim needs {SSIM_MIN_CLASSES} classes")
        options = {
            "gaussian_weights": True,
            "sigma": 1.5,
            "use_sample_covariance": False,
            "data_range": 1.0,
        }
        _, full = structural_similarity(x, y, full=True, **options, K1=0.01, K2=0.03)
        return float(np.mean(full[SSIM_BORDER:-SSIM_BORDER, SSIM_BORDER:-SSIM_BORDER]))
    return _compare(*_pair_values(a, b, measure), measure)


def _relabelled(matrix: Array, order: Sequence[int]) -> Array:
    """Return the matrix with the classes in this order, rows and columns together."""
    return matrix[np.ix_(order, order)]


def null_by_enumeration(
    a: npt.ArrayLike, b: npt.ArrayLike, measure: str
) -> tuple[float, float, float]:
    """Return mean, standard deviation and p-value over all relabellings, the identity
    among them.
    """
    second, own = np.asarray(b, dtype=np.float64), sai(a, b, measure)
    values = [
        sai(a, _relabelled(second, order), measure)
        for order in itertools.permutations(range(len(second)))
    ]
    if measure in DISTANCES:
        as_alike = [value <= own + TOLERANCE for value in values]
    else:
        as_alike = [value >= own - TOLERANCE for value in values]
    return float(np.mean(values)), float(np.std(values)), float(np.mean(as_alike))


def null_mean_mae(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Mean of ``|x - y|`` over every scaled off-diagonal value ``x`` of ``a`` with
    every one ``y`` of ``b``.
    """
    xs, ys = minmax(offdiagonal(a)).ravel(), minmax(offdiagonal(b)).ravel()
    return float(np.mean([float(np.mean(np.abs(x - ys))) for x in xs]))


def sampled_null(
    a: npt.ArrayLike, b: npt.ArrayLike, measure: str, draws: int, seed: int
) -> Array:
    """Measure for random relabellings of the classes of ``b``, one
    ``rng.permutation(C)`` a draw.
    """
    rng = np.random.default_rng(seed)
    second = np.asarray(b, dtype=np.float64)
    values = []
    for _ in range(draws):
        order = [int(k) for k in rng.permutation(len(second))]
        values.append(sai(a, _relabelled(second, order), measure))
    return np.array(values)


def ceiling(a: npt.ArrayLike, b: npt.ArrayLike, measure: str) -> float:
    """Best value that the two sets of off-diagonal values reach under any pairing: both
    sorted. Not for ssim.
    """
    return _compare(*map(np.sort, _pair_values(a, b, measure)), measure)


def excess(value: float, null_mean: float, measure: str) -> float:
    """Return what is left over chance: 0 at chance, 1 at identity."""
    if measure in DISTANCES:
        return 1.0 - value / null_mean
    return (value - null_mean) / (1.0 - null_mean)


def jackknife_interval(
    a: npt.ArrayLike, b: npt.ArrayLike, measure: str
) -> tuple[float, float]:
    """95 % interval of the excess of cosine, pearson or spearman, from leaving each
    class out in turn.

    The half width is the 97.5 % quantile of Student's t with C - 1 degrees of freedom
    times the delete-one jackknife's standard error; for correlations on Fisher's scale,
    less half the variance of single pairs. Without a class, cosine is scaled anew;
    spearman keeps the ranks that the values have among all.

    Raises
    ------
    ValueError
        The excess does not exist, or not without one of the classes.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if measure == "spearman":
        ranks = (
            stats.rankdata(offdiagonal(one)).reshape(len(one), -1)
            for one in (first, second)
        )
        first, second = map(_with_zero_diagonal, ranks)
    plain = "cosine" if measure == "cosine" else "pearson"
    whole = _excess_of(first, second, plain)
    without = [
        _excess_of(
            *(np.delete(np.delete(one, k, 0), k, 1) for one in (first, second)), plain
        )
        for k in range(len(first))
    ]
    count = len(without)
    mean = sum(without) / count
    error = math.sqrt((count - 1) / count * sum((one - mean) ** 2 for one in without))
    quantile = stats.t.ppf(0.975, count - 1)
    if measure == "cosine" or whole > 1 - 1e-12:
        return max(-1.0, whole - quantile * error), min(1.0, whole + quantile * error)
    error = math.sqrt(
        max(error**2 - 0.5 * _pair_variance(first, second, whole), error**2 / 2)
    )
    centre, half = math.atanh(whole), quantile * error / (1 - whole**2)
    return math.tanh(centre - half), math.tanh(centre + half)


def _pair_variance(first: Array, second: Array, value: float) -> float:
    """Variance of the mean of what pairs of classes add to a correlation, beyond an
    additive least-squares fit of their classes.
    """
    x, y = (offdiagonal(one).ravel() for one in (first, second))
    x, y = ((one - one.mean()) / one.std() for one in (x, y))
    count = len(first)
    added = dict(
        zip(
            itertools.permutations(range(count), 2),
            x * y - value / 2 * (x * x + y * y),
            strict=True,
        )
    )
    pairs = list(itertools.combinations(range(count), 2))
    effects = np.array([(added[i, j] + added[j, i]) / 2 for i, j in pairs])
    design = np.array([[float(k in pair) for k in range(count)] for pair in pairs])
    rest = effects - design @ np.linalg.lstsq(design, effects, rcond=None)[0]
    return float(rest @ rest) / (len(pairs) - count) / len(pairs)


def _with_zero_diagonal(values: Array) -> Array:
    """Return ``(C, C - 1)`` off-diagonal values as a square with a diagonal of 0."""
    square = np.zeros((len(values), len(values)))
    square[~np.eye(len(values), dtype=bool)] = values.ravel()
    return square


def _excess_of(a: Array, b: Array, measure: str) -> float:
    x, y = (minmax(offdiagonal(one)).ravel() for one in (a, b))
    if measure == "pearson":
        return float(np.corrcoef(x, y)[0, 1])
    chance = x.mean() * y.mean() / math.sqrt(float((x * x).mean() * (y * y).mean()))
    return excess(_compare_as_given(x, y, "cosine"), chance, "cosine")


def scaled_square(matrix: npt.ArrayLike) -> Array:
    """Return the matrix scaled to [0, 1] by its off-diagonal values, with a diagonal of
    0.
    """
    return _with_zero_diagonal(minmax(offdiagonal(matrix)))


def wsi(matrix: npt.ArrayLike, variant: str, q: float = 0.95) -> float:
    """Weights similarity index of a raw matrix.

    ``mean``: of the upper triangle. ``max``: per row the mean of the off-diagonal
    values at or above the row's quantile `q`, then the mean over rows. ``min``: minus
    the ``max`` of the negated matrix.
    """
    if variant == "min":
        return -wsi(-np.asarray(matrix, dtype=np.float64), "max", q)
    if variant == "mean":
        square = np.asarray(matrix, dtype=np.float64)
        return float(square[np.triu_indices(len(square), 1)].mean())
    return float(
        np.mean([row[row >= np.quantile(row, q)].mean() for row in offdiagonal(matrix)])
    )


def spectrum(weight: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The singular values of the class vectors minus their mean vector, the largest
    first, of which the mean takes one away.
    """
    rows = _rows(weight)
    singular: npt.NDArray[np.float64] = np.linalg.svd(
        rows - rows.mean(axis=0), compute_uv=False
    )
    return singular[: min(len(rows) - 1, rows.shape[1])]


def head_geometry(weight: npt.ArrayLike) -> dict[str, float]:
    """Effective rank (Roy and Vetterli 2007), stable rank and NC2 (Papyan, Han and
    Donoho 2020) by their definitions.
    """
    rows = _rows(weight)
    centred = rows - rows.mean(axis=0)
    out = {}
    for prefix, matrix in (("", rows), ("centred_", centred)):
        singular = np.linalg.svd(matrix, compute_uv=False)
        shares = [
            float(value / singular.sum())
            for value in singular
            if value > 1e-10 * singular[0]
        ]
        out[f"{prefix}effective_rank"] = math.exp(
            -sum(share * math.log(share) for share in shares)
        )
        out[f"{prefix}stable_rank"] = float(sum(singular**2) / singular[0] ** 2)
        norms = [math.sqrt(sum(float(value) ** 2 for value in row)) for row in matrix]
        out[f"{prefix}norm_variation"] = float(np.std(norms)) / float(np.mean(norms))
    similarity = ncsm(centred)
    cosines = [similarity[i, j] for i, j in itertools.permutations(range(len(rows)), 2)]
    out["angle_deviation"] = float(
        np.mean([abs(cosine + 1 / (len(rows) - 1)) for cosine in cosines])
    )
    out["angle_spread"] = float(np.std(cosines))
    return out
