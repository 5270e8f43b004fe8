"""The p-value of a SAI or IDM under random relabelling of the classes **[ours]**.

The statistic is ``S = sum_ij x_ij y_p(i)p(j)``. The normal approximation is wrong by a
factor of two at z = 3, because S is skewed. The third moment of S over all relabellings
is exact, also for asymmetric matrices. The p-value is the tail of a Pearson type III
(shifted gamma) distribution with the same mean, deviation and skewness (Mielke, Berry
and Brier 1981). If one of the matrices is symmetric, the fourth moment is exact, too. A
saddlepoint approximation (Barndorff-Nielsen 1986) then gives the tail of a distribution
with this fourth cumulant and all others of type III.

If few classes have most of the spread of a matrix, such as a confusion matrix with
mistakes in few columns, the kurtosis matters, too. Such matrices are relabelled at
random, until 100 relabellings are at least as similar as the given labels (Besag and
Clifford 1991).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from math import perm
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import permutation_null
from dsi_cli.metrics.measures import Values, off_diagonal

MIN_EFFECTIVE_CLASSES = 20.0
"""If the spread of a matrix covers fewer classes, its rows, its columns or both, the
classes are relabelled at random.
"""
MAX_SKEWED_CLASSES, MAX_SKEWED_Z = 512, 8.0
"""With more classes and a larger z the skewness is neglected: its sums take ``C^3``
operations, and p is below 1e-10.
"""
# below this p-value, the classes of no matrix are relabelled at random
MAX_UNSAMPLED_P = 1e-5
SIMILAR_RELABELLINGS = 100
"""The number of relabellings at least as similar as the given labels after which no
more are drawn.
"""
MIN_RELABELLINGS, MAX_RELABELLINGS, MAX_TERMS = 5_000, 100_000, 40_000_000
"""The number of relabellings after which no more are drawn if none is as similar, the
largest number of relabellings, and the largest number of products that all their sums
have.
"""
RELABELLINGS_AT_ONCE, CACHED_TERMS = 500, 100_000
"""The number of relabellings that are drawn at a time, and of terms whose sums are
computed at a time, in the cache.
"""
MIN_FOURTH_CUMULANT, MIN_SADDLEPOINT_Z = 1e-6, 0.05
"""The tail is not corrected for a smaller fourth cumulant, nor near the mean, where the
correction is 0 and not computable.
"""
# sums that differ by less than this share of their absolute terms are equal up to
# rounding
ROUNDING = 1e-11
Value = TypeVar("Value")

_THREE_PAIRS = (
    "ab ab ab, ab ab ba",
    "ab ab bc, ab ab cb, ab ab ac, ab ab ca, ab ba bc, ab ba cb, ab bc ca, ab bc ac",
    (
        "ab ac ad, ab ac da, ab ca da, ba ca da, ba bc cd, ba bc dc, ab bc cd, ab bc"
        " dc, ab ab cd, ab ba cd"
    ),
    "ab ac de, ab bc de, ba ca de, ab cd ef",
)
"""The 24 ways in which three ordered pairs of classes share classes. A letter is a
class.
"""
_FOUR_PAIRS = (
    "ab ab ab ab, ab ab ab bc, ab ab bc bc, ab ab bc ca",
    "ab ab bc cd, ab bc bc cd, ab ab ac ad, ab bc cd da, ab bc ca ad, ab ab cd cd",
    "ab bc cd de, ab ac ad de, ab ac ad ae, ab ab cd de, ab bc de ef",
    (
        "ab ab ab cd, ab ab bc de, ab bc ca de, ab ac ad ef, ab bc cd ef, ab ab cd ef,"
        " ab bc de fg, ab cd ef gh"
    ),
)
"""The 23 ways in which four unordered pairs of classes share classes."""


class lazy_property(Generic[Value]):  # noqa: N801 (used as a decorator)
    """A property that is computed on first use. `functools.cached_property` of Python
    3.11 shares one lock among all objects.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Store the name of the property."""
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Value:
        """Compute the value and store it as an attribute of the instance, which takes
        precedence from then on.
        """
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class RelabelledMatrix:
    """A matrix ``(C, C)`` whose classes are relabelled at random, with the sums that
    the distribution of S needs.

    The diagonal does not count.
    """

    def __init__(self, values: Values) -> None:
        self.values = values
        self.classes = len(values)

    @lazy_property
    def moments(self) -> permutation_null.Moments:
        """Mantel's sums for the deviation of S."""
        return permutation_null.Moments.of(self.values)

    @lazy_property
    def centred(self) -> Values:
        """The values less their mean, with a diagonal of 0."""
        return permutation_null.centred_off_diagonal(self.values)

    @lazy_property
    def centred_product(self) -> NDArray[np.floating[Any]]:
        """The product of the centred matrix with itself."""
        return _product(self.centred)

    @lazy_property
    def third_sums(self) -> Values:
        """The sums of products of three values, one for each of the 24 ways in which
        three pairs share classes.
        """
        x, product = self.centred, self.centred_product
        squares, crossed = x * x, x * x.T
        rows, columns, both = x.sum(axis=1), x.sum(axis=0), crossed.sum(axis=1)
        free = [
            *((squares * x).sum(), (crossed * x).sum()),
            *(
                sums @ other
                for sums in (squares.sum(axis=0), squares.sum(axis=1), both)
                for other in (rows, columns)
            ),
            *((product * x.T).sum(), (product * x).sum()),
            *(
                (rows**3).sum(),
                (rows**2) @ columns,
                rows @ columns**2,
                (columns**3).sum(),
            ),
            *(
                left @ x @ right
                for left in (rows, columns)
                for right in (rows, columns)
            ),
            # The sum of all values is 0, and so are the sums of ways with a pair that
            # shares no class with the others.
            *[0.0] * 6,
        ]
        return _ways(_THREE_PAIRS, are_ordered=True).from_free @ np.array(
            free, dtype=np.float64
        )

    @lazy_property
    def is_symmetric(self) -> bool:
        """True if the matrix equals its transpose."""
        return np.array_equal(self.values, self.values.T)

    @lazy_property
    def fourth_sums(self) -> Values:
        """The sums of products of four values for the 23 ways in which four pairs share
        classes.

        An asymmetric matrix has the sums of its symmetric part, since S with a
        symmetric matrix depends on nothing else.
        """
        x, product = self.centred, self.centred_product
        if not self.is_symmetric:
            x = (x + x.T) / 2
            product = _product(x)
        squares, rows = x * x, x.sum(axis=1)
        square_rows = squares.sum(axis=1)
        triangles = (product * x).sum(axis=1)
        paths, total, crossed = x @ rows, square_rows.sum(), rows @ rows
        free = [
            *(
                (squares * squares).sum(),
                (squares * x).sum(axis=1) @ rows,
                square_rows @ square_rows,
                (squares * product).sum(),
            ),
            *(square_rows @ paths, rows @ squares @ rows, square_rows @ rows**2),
            *((product * product).sum(dtype=np.float64), triangles @ rows, total**2),
            *(
                paths @ paths,
                rows**2 @ paths,
                (rows**4).sum(),
                total * crossed,
                crossed**2,
            ),
            *[0.0] * 8,  # as above
        ]
        return _ways(_FOUR_PAIRS, are_ordered=False).from_free @ np.array(
            free, dtype=np.float64
        )

    @lazy_property
    def effective_classes(self) -> float:
        """The number of rows, or of columns if it is smaller, that the squared
        deviations from the mean cover.
        """
        squares = np.square(self.centred)
        return min(
            float(sums.sum() ** 2 / (sums @ sums))
            for sums in (squares.sum(axis=0), squares.sum(axis=1))
        )

    @lazy_property
    def entries(self) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
        """Three arrays ``(N,)``: row, column, and value less the most common value, of
        all entries that are not of this value.
        """
        values, counts = np.unique(off_diagonal(self.values), return_counts=True)
        differences = self.values - values[counts.argmax()]
        np.fill_diagonal(differences, 0.0)
        row, column = np.nonzero(differences)
        return row, column, differences[row, column]


def p_value(
    x: RelabelledMatrix,
    y: RelabelledMatrix,
    z: float,
    seed: int = 0,
    *,
    may_draw: bool = True,
) -> float | None:
    """Return the share of relabellings with an S of at least that of the given labels.

    It is exact for up to 7 classes; else right to a factor of about 1.2 down to 0.001,
    or 1.3 if neither matrix is symmetric. None if random relabellings are needed and
    ``may_draw`` is False. ``z`` is the number of standard deviations of S above its
    mean.
    """
    if x.classes <= permutation_null.MAX_ENUMERATED_CLASSES:
        return sampled_tail(x, y, seed)
    is_far = x.classes > MAX_SKEWED_CLASSES and z > MAX_SKEWED_Z
    if is_far:
        approximate = upper_tail(z, 0.0)
    else:
        approximate = upper_tail(z, skewness(x, y), excess_kurtosis(x, y))
    is_spread = min(x.effective_classes, y.effective_classes) >= MIN_EFFECTIVE_CLASSES
    if is_spread or approximate < MAX_UNSAMPLED_P:
        return approximate
    return sampled_tail(x, y, seed) if may_draw else None


def sampled_tail(x: RelabelledMatrix, y: RelabelledMatrix, seed: int) -> float:
    """Return the share of relabellings with an S of at least that of the given labels;
    all of them for up to 7 classes.

    No more are drawn after `SIMILAR_RELABELLINGS` that are as similar, or if there is
    none among the first `MIN_RELABELLINGS`.
    """
    # Few entries are faster. The second key makes the result independent of the order
    # of the two matrices.
    x, y = sorted(
        (x, y),
        key=lambda matrix: (
            len(matrix.entries[0]),
            float(np.abs(matrix.entries[2]).sum()),
        ),
    )
    row, column, weight = x.entries
    classes, values = x.classes, y.values.ravel()

    def sums(orders: NDArray[np.intp]) -> Values:
        size = max(1, CACHED_TERMS // len(row))
        blocks = [orders[first : first + size] for first in range(0, len(orders), size)]
        return np.concatenate(
            [
                values[block[:, row] * classes + block[:, column]] @ weight
                for block in blocks
            ]
        )

    given = np.arange(classes)[None]
    terms = np.abs(weight) @ np.abs(values.take(row * classes + column))
    least = float(sums(given)[0]) - ROUNDING * float(terms)
    if classes <= permutation_null.MAX_ENUMERATED_CLASSES:
        return float(
            (sums(permutation_null.every_relabelling(classes)) >= least).mean()
        )
    rng = np.random.default_rng(seed)
    similar, drawn = 0, 0
    most = min(MAX_RELABELLINGS, max(MIN_RELABELLINGS, MAX_TERMS // len(row)))
    while (
        drawn < (most if similar else MIN_RELABELLINGS)
        and similar < SIMILAR_RELABELLINGS
    ):
        orders = rng.permuted(np.repeat(given, RELABELLINGS_AT_ONCE, axis=0), axis=1)
        similar += int((sums(orders) >= least).sum())
        drawn += RELABELLINGS_AT_ONCE
    return (1 + similar) / (1 + drawn)


def skewness(x: RelabelledMatrix, y: RelabelledMatrix) -> float:
    """Return the skewness of S over all relabellings, exact for 6 classes or more."""
    third = _moment(
        _ways(_THREE_PAIRS, are_ordered=True), x.classes, x.third_sums, y.third_sums
    )
    return third / permutation_null.product_deviation(x.moments, y.moments) ** 3


def excess_kurtosis(x: RelabelledMatrix, y: RelabelledMatrix) -> float | None:
    """Return the kurtosis of S less 3, exact for 8 classes or more; None if neither
    matrix is symmetric.
    """
    if not (x.is_symmetric or y.is_symmetric):
        return None
    fourth = _moment(
        _ways(_FOUR_PAIRS, are_ordered=False), x.classes, x.fourth_sums, y.fourth_sums
    )
    return fourth / permutation_null.product_deviation(x.moments, y.moments) ** 4 - 3


def upper_tail(z: float, skew: float, kurtosis: float | None = None) -> float:
    """Return the probability that a variable of mean 0 and deviation 1 is at least
    ``z``.

    It has a Pearson type III distribution, or one with a larger excess kurtosis.

    >>> round(upper_tail(3.0, 0.0), 5), round(upper_tail(3.0, 0.3), 5), round(upper_tail(3.0, 0.3, 0.3), 5)
    (0.00135, 0.00358, 0.00399)
    """
    from scipy.special import gammainc, gammaincc, ndtr

    # The fourth cumulant beyond that of the type III distribution
    fourth = 0.0 if kurtosis is None else kurtosis - 1.5 * skew**2
    if fourth > MIN_FOURTH_CUMULANT and abs(z) > MIN_SADDLEPOINT_Z:
        if z < 0:
            return 1 - upper_tail(-z, -skew, kurtosis)
        return float(ndtr(-_saddlepoint(z, skew, fourth)))
    if abs(skew) < 1e-4:
        return float(ndtr(-z))
    shape = 4 / skew**2
    if skew > 0:
        return float(gammaincc(shape, max(shape + z * shape**0.5, 0.0)))
    return float(gammainc(shape, max(shape - z * shape**0.5, 0.0)))


def _saddlepoint(z: float, skew: float, fourth: float) -> float:
    """Return the standard normal quantile with about the same upper tail as ``z``."""
    # Find the t at which the first derivative of the cumulant generating function is z.
    low, high = 0.0, min(z, 2 / skew) if skew > 0 else (6 * z / fourth) ** (1 / 3)
    for _ in range(60):
        t = (low + high) / 2
        if t / (1 - skew * t / 2) + fourth * t**3 / 6 < z:
            low = t
        else:
            high = t
    rate = 1 - skew * t / 2
    if abs(skew) < 1e-4:
        generating = t * t / 2
    else:
        generating = -4 / skew**2 * np.log1p(-skew * t / 2) - 2 * t / skew
    w = np.sqrt(2 * (t * z - generating - fourth * t**4 / 24))
    u = t * np.sqrt(1 / rate**2 + fourth * t * t / 2)
    return float(w + np.log(u / w) / w)


def _moment(ways: _Ways, classes: int, x_sums: Values, y_sums: Values) -> float:
    """Return a moment of S from the sums of both matrices over different classes."""
    arrangements = np.array(
        [perm(classes, size) for size in ways.classes.tolist()], dtype=np.float64
    )
    return float((ways.times * x_sums * y_sums / arrangements).sum())


class _Ways(NamedTuple):
    """The ways in which pairs of classes share classes, in the order of `_THREE_PAIRS`
    or `_FOUR_PAIRS`.
    """

    classes: NDArray[np.intp]
    """The number of different classes of each way."""
    times: Values
    """The number of ways to choose which of the classes of all pairs are the same."""
    from_free: Values
    """The square matrix from sums in which classes may coincide to sums over different
    classes.
    """


@cache
def _ways(lines: tuple[str, ...], *, are_ordered: bool) -> _Ways:
    """Return the ways, from all partitions of the classes of each pattern."""
    patterns = [pattern.split() for line in lines for pattern in line.split(", ")]
    index = {
        _kind(pattern, are_ordered): number for number, pattern in enumerate(patterns)
    }
    coincidences = np.zeros((len(patterns), len(patterns)))
    for number, pattern in enumerate(patterns):
        # All ways to make some of the letters the same, as the new name of each letter
        partitions: list[dict[str, str]] = [{}]
        for letter in sorted(set("".join(pattern))):
            partitions = [
                {**names, letter: name}
                for names in partitions
                for name in {*names.values(), letter}
            ]
        for names in partitions:
            pairs = [names[pair[0]] + names[pair[1]] for pair in pattern]
            if all(pair[0] != pair[1] for pair in pairs):  # the diagonal is 0
                coincidences[number, index[_kind(pairs, are_ordered)]] += 1
    classes = np.array([len(set("".join(pattern))) for pattern in patterns])
    return _Ways(
        classes,
        coincidences[-1],
        np.linalg.inv(coincidences).round().astype(np.float64),
    )


def _kind(pairs: Sequence[str], are_ordered: bool) -> tuple[int, tuple[Any, ...]]:
    """Return a value that is the same for pairs in any order and with any names of the
    classes, and differs between the ways.
    """
    if not are_ordered:
        pairs = [*pairs, *(pair[::-1] for pair in pairs)]
    first, second = ("".join(letters) for letters in zip(*pairs, strict=True))
    uses = [
        tuple((first.count(letter), second.count(letter)) for letter in pair)
        for pair in pairs
    ]
    return len(set(pairs)), tuple(sorted(uses))


def _product(x: Values) -> NDArray[np.floating[Any]]:
    """Return the product of a matrix with itself; of a large one in float32, which
    takes half the time and is accurate enough.
    """
    factor = x.astype(np.float32) if len(x) > MAX_SKEWED_CLASSES else x
    return factor @ factor
