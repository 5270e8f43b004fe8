"""The class similarity matrices (CSMs) of arXiv 2505.21338, section 3.1, computed from
arrays.

- NCSM: the cosine similarity of the classifier's weight rows (`weight_similarity`). The
  weight is ``W (C, d)``, with one row per class; that of a 1x1 convolution, ``(C, d, 1,
  1)``, is flattened. The bias is ignored. Lengths are computed in float64, so that huge
  and denormal weights have a direction, too; products in float32.
- CCSM: the mistakes between the classes of a split (`confusion_similarity`), from
  counts ``(C, C)``: rows are the truth, columns the prediction.
- TNCSM: the cosine similarity of the classes' mean features (`template_similarity`). A
  feature is an input of the classifier.

A CSM is a ``(C, C)`` float32 array of raw values, which are not scaled. NaN marks
classes that the matrix lacks. The rows of an NCSM can also be computed on demand
(`Cosines`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsi_cli.errors import NotFiniteError, UsageError, listed

MAX_DENSE_CLASSES = 4096
"""The maximum number of classes for which a whole matrix is stored, or computed by
default.
"""
Float32Array = NDArray[np.float32]
Counts = NDArray[np.integer[Any]]


def weight_similarity(weight: ArrayLike) -> Float32Array:
    """Return the cosine similarity of the classes' weight rows (the raw NCSM), in [-1,
    1]. Source: arXiv 2505.21338, section 3.1.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float
        One row per class; the scale of a row does not matter.

    Returns
    -------
    (C, C) float32
        An exactly symmetric matrix, exactly 1 on the diagonal.

    Raises
    ------
    NotFiniteError
        A weight is NaN or infinite; the message names the classes.
    UsageError
        The array has no classes to compare.

    Notes
    -----
    A zero row has no direction. Its similarity is 0 to all others and 1 to itself;
    `zero_rows` returns such rows.

    Examples
    --------
    >>> weight_similarity(np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 0.0]])).round(3).tolist()
    [[1.0, 0.7070000171661377, 0.0], [0.7070000171661377, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return _cosine(as_rows(weight))


def centred_weight_similarity(weight: ArrayLike) -> Float32Array:
    """Return the NCSM of ``W`` minus its mean row, in [-1, 1].

    Adding one vector to every row of a softmax classifier changes the NCSM, but no
    prediction and not this matrix. A row that equals the mean row up to rounding counts
    as zero. Centring is an addition of dsi to arXiv 2505.21338, section 3.1.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float.

    Returns
    -------
    (C, C) float32
        An exactly symmetric matrix; zero rows have the values of `weight_similarity`.

    Raises
    ------
    NotFiniteError, UsageError
        The errors of `weight_similarity`.

    Examples
    --------
    >>> centred_weight_similarity([[2, 1], [2, 3]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    return _cosine(centre(below_one(as_rows(weight))[0]))


class Cosines:
    """The NCSM with rows that are computed on demand
    (`dsi_cli.metrics.blockwise.RowSource`), from unit or zero rows ``(C, d)``.

    The values equal those of the whole matrix up to float32 rounding, because the order
    of summation depends on the shape.
    """

    def __init__(self, unit: Float32Array) -> None:
        self.unit = unit
        self.size = len(unit)

    @classmethod
    def of(cls, weight: ArrayLike, *, centred: bool = False) -> Cosines:
        """Return the NCSM of weights ``(C, d)``, minus their mean row if ``centred``;
        errors as for `weight_similarity`.
        """
        rows = as_rows(weight)
        if centred:
            rows = centre(below_one(rows)[0])
        return cls(unit_rows(rows).astype(np.float32))

    def block(self, start: int, stop: int, /) -> Float32Array:
        """Return the rows ``(stop - start, C)`` from ``start`` up to ``stop``, the
        diagonal included.
        """
        block: Float32Array = self.unit[start:stop] @ self.unit.T
        np.clip(block, -1.0, 1.0, out=block)
        rows = np.arange(len(block))
        block[rows, start + rows] = 1.0
        return block

    def between(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> Float32Array:
        """Return the similarities of some classes (rows) to others (columns); a class
        has exactly 1 with itself.
        """
        similarities: Float32Array = np.clip(
            self.unit[rows] @ self.unit[columns].T, -1.0, 1.0
        )
        similarities[rows[:, None] == columns] = 1.0
        return similarities

    def take(self, indices: Sequence[int] | NDArray[np.intp], /) -> Cosines:
        """Return the matrix of some of the classes, in the order of ``indices``."""
        return Cosines(self.unit[np.asarray(indices, dtype=np.intp)])


def mean_row_ratio(weight: ArrayLike) -> float:
    """Return the length of the mean weight row relative to the mean row length, in [0,
    1]; 0 if all rows are zero.

    The ratio measures the part of the NCSM that comes from the shared direction, which
    `centred_weight_similarity` removes. It is an addition of dsi without a source.

    Parameters
    ----------
    weight : (C, d) or (C, d, 1, 1) float.

    Raises
    ------
    NotFiniteError, UsageError
        The errors of `weight_similarity`.

    Examples
    --------
    >>> mean_row_ratio([[1, 0], [-1, 0]]), mean_row_ratio([[1, 0], [1, 0]])
    (0.0, 1.0)
    """
    rows, peak = below_one(as_rows(weight))
    if peak == 0.0:
        return 0.0
    return float(
        np.linalg.norm(rows.mean(axis=0)) / np.linalg.norm(rows, axis=1).mean()
    )


def zero_rows(weight: ArrayLike) -> list[int]:
    """Return the indices of the classes with a zero row, which has no direction."""
    return [int(index) for index in np.flatnonzero(~as_rows(weight).any(axis=1))]


def as_rows(weight: ArrayLike) -> NDArray[np.float64]:
    """Return ``weight`` as finite float64 rows ``(C, d)``; errors as for
    `weight_similarity`.
    """
    weight = np.asarray(weight)
    if weight.ndim < 2 or weight.shape[0] < 2 or weight.size == 0:
        message = (
            "dsi needs the weights of two classes or more, (C, d); this array has"
            f" shape {weight.shape}"
        )
        raise UsageError(message, code="not-a-weight", shape=weight.shape)
    rows: NDArray[np.float64] = weight.reshape(weight.shape[0], -1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        classes = listed([str(index) for index in bad], 5)
        raise NotFiniteError(
            f"NaN or infinite weights in class {classes} of {len(rows)}: this epoch"
            " cannot be analysed"
        )
    return rows


def below_one(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the rows divided by their largest absolute value, and this value, so that
    huge rows have a finite mean.
    """
    peak = float(_peak(rows))
    with np.errstate(
        over="ignore"
    ):  # NumPy 1.26 warns of overflow for denormals although the result is right
        return rows / (peak or 1.0), peak


def unit_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows ``(C, d)`` of length 1; zero rows stay zero."""
    peak = _peak(rows, axis=1)
    scaled = rows / np.where(peak > 0, peak, 1.0)[:, None]
    length = np.linalg.norm(scaled, axis=1, keepdims=True)
    return scaled / np.where(length > 0, length, 1.0)


def centre(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows minus their mean; a row that equals the mean up to rounding becomes
    zero.
    """
    centred: NDArray[np.float64] = rows - rows.mean(axis=0)
    rounding = len(rows) * np.finfo(np.float64).eps * _peak(rows)
    centred[_peak(centred, axis=1) <= rounding] = 0.0
    return centred


def _peak(rows: NDArray[np.float64], axis: int | None = None) -> Any:
    """Return the largest absolute value along an axis, without a temporary array of
    absolute values.
    """
    return np.maximum(
        rows.max(axis=axis, initial=0.0), -rows.min(axis=axis, initial=0.0)
    )


def _cosine(rows: NDArray[np.float64]) -> Float32Array:
    unit = unit_rows(rows).astype(np.float32)
    # NumPy computes one half of a product with its own transpose and copies it (BLAS
    # syrk), so the matrix is exactly symmetric.
    similarity: Float32Array = unit @ unit.T
    np.clip(similarity, -1.0, 1.0, out=similarity)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def confusion_counts(targets: Counts, predictions: Counts, classes: int) -> Any:
    """Return the confusion counts ``(C, C)`` int64: rows are the truth, columns the
    prediction.

    For more than `MAX_DENSE_CLASSES` classes, the result is a
    ``scipy.sparse.csr_array``, else an array.

    Parameters
    ----------
    targets, predictions : (N,) int Class indices from 0 to ``classes - 1``, which the
        readers of predictions and of labelled data have checked.
    classes : int.

    Examples
    --------
    >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if classes > MAX_DENSE_CLASSES:
        from scipy.sparse import coo_array

        ones = np.ones(len(targets), dtype=np.int64)
        return coo_array(
            (ones, (targets, predictions)), shape=(classes, classes)
        ).tocsr()
    pairs = targets.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def require_same_order(*matrices: Any) -> None:
    """Raise `UsageError` (``class-order``) if data frames, or the rows and columns of
    one, have classes in different orders.
    """
    frames = [matrix for matrix in matrices if hasattr(matrix, "columns")]
    for frame in frames:
        rows, columns = _places(getattr(frame, "index", ())), _places(frame.columns)
        name_at = {place: name for name, place in columns.items()}
        if rows.keys() & columns.keys() and any(
            name != name_at.get(place, name) for name, place in rows.items()
        ):
            message = (
                "the rows and columns of a matrix are not the same classes in the same"
                " order"
            )
            raise UsageError(
                message,
                hint=(
                    "give both all classes with matrix.reindex(index=classes,"
                    " columns=classes, fill_value=0)"
                ),
                code="class-order",
            )
    for first, second in pairwise(_places(map(str, frame.columns)) for frame in frames):
        if any(second.get(name, place) != place for name, place in first.items()):
            message = (
                "the two matrices have the same classes in different orders; reorder"
                " one: b.loc[a.index, a.columns]"
            )
            raise UsageError(message, code="class-order")


def _places(names: Iterable[Any]) -> dict[Any, int]:
    """Return the position of each name that is not repeated."""
    names = list(names)
    times = Counter(names)
    return {name: place for place, name in enumerate(names) if times[name] == 1}


def confusion_similarity(counts: ArrayLike) -> NDArray[np.float32]:
    """Return the CCSM ``(C, C)`` float32, in [0, 1]: each row of counts over its sum,
    then the diagonal set to 1.

    The matrix is not symmetric in general. The row of a class without samples is 1 on
    the diagonal and 0 elsewhere. Source: arXiv 2505.21338, section 3.1.

    Parameters
    ----------
    counts : (C, C) int
        Rows are the truth, columns the prediction.

    Raises
    ------
    UsageError
        The counts are not a square matrix of non-negative numbers, or a data frame
        whose rows and columns have their classes in different orders.

    Examples
    --------
    >>> confusion_similarity(np.array([[3, 1], [0, 0]])).tolist()
    [[1.0, 0.25], [0.0, 1.0]]
    """
    require_same_order(counts)
    counts = np.asarray(counts)
    if (
        counts.ndim != 2
        or counts.shape[0] != counts.shape[1]
        or not (counts >= 0).all()
    ):
        message = (
            "confusion counts are a square matrix of non-negative numbers; this one"
            f" has shape {counts.shape}"
        )
        raise UsageError(message, code="not-confusion-counts", shape=counts.shape)
    samples = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    shares = np.divide(counts, samples, out=np.zeros(counts.shape), where=samples > 0)
    np.fill_diagonal(shares, 1.0)
    return shares.astype(np.float32)


def template_similarity(
    sums: NDArray[np.floating[Any]], samples: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Return the cosine similarity of the classes' mean features (the TNCSM), in [-1,
    1]. Source: arXiv 2505.21338, section 3.1.

    Parameters
    ----------
    sums : (C, d) float
        The sum of the features of each class's samples.
    samples : (C,) int
        The number of samples of each class.

    Returns
    -------
    (C, C) float32
        An exactly symmetric matrix, 1 on the diagonal; the row and column of a class
        without samples are NaN.

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
        message = (
            f"sums {sums.shape} and samples {samples.shape}: expected (C, d) and (C,)"
        )
        raise UsageError(message, code="shapes", sums=sums.shape, samples=samples.shape)
    present = np.flatnonzero(samples > 0)
    if len(present) < 2:
        message = (
            f"{len(present)} classes have samples: expected two or more, since"
            " templates are compared with each other"
        )
        raise UsageError(message, code="too-few-classes", classes=len(present))
    means = sums[present] / samples[present, None]
    if not np.isfinite(means).all():
        raise NotFiniteError(
            "NaN or infinite features: the templates of this epoch cannot be compared"
        )
    similarity = np.full((len(sums), len(sums)), np.nan, dtype=np.float32)
    similarity[np.ix_(present, present)] = weight_similarity(means)
    return similarity
