"""SAI, the Similarity Alignment Index of two CSMs (arXiv 2505.21338, section 3.2), with
its chance level **[ours]**.

The classes that either matrix lacks and the diagonals are dropped. Each matrix is
min-max scaled to [0, 1] with its own off-diagonal minimum and maximum. A measure then
compares the values. All scaled values are non-negative, so the cosine of a network's
matrix and an unrelated one is 0.6 to 0.9: interpret a SAI only with its chance level
(`Alignment.null_mean`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dsi_cli import plugins
from dsi_cli.errors import UsageError
from dsi_cli.metrics import (
    DEFAULT_MEASURES,
    DISTANCES,
    MEASURES,
    jackknife,
    measures,
    p_values,
    permutation_null,
    ssim,
)
from dsi_cli.metrics.class_alignment import ClassAgreement, align_rows
from dsi_cli.metrics.measures import EXACT, ProductMeasure, Values
from dsi_cli.metrics.p_values import lazy_property
from dsi_cli.metrics.prepared_matrix import (
    MatchedValues,
    PreparedMatrix,
    SortedPairs,
)
from dsi_cli.similarity import require_same_order

Csm = ArrayLike
# the default number of random relabellings for the chance level of ``ssim``
SSIM_PERMUTATIONS = 40
MIN_SHIFTED_CLASSES, SHIFTS, THINNED_STEP = 60, 10, 4
"""With so many classes or more, each random relabelling for ``ssim`` is also shifted
along the display order, which gives 10, and every fourth window is used, down and
across. The window means are computed once for all shifts. Over seeds, mean and
deviation vary as those of independent relabellings do.
"""
MAX_DEFAULT_CLASSES = 256
"""With more classes, the chance level of ``ssim`` and the draws of a comparison are
computed on request only.
"""
# the number of pixels that are relabelled at once, so that they fit into the
# processor's cache
PIXELS_PER_BATCH = 1 << 18
MIN_CLASSES = 4
CONSTANT = "constant matrix: all off-diagonal values are the same, so there is no scale"
# values of a measure that differ by less are equal up to rounding
VALUE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Alignment:
    """The SAI of two CSMs by one measure, with its chance level, confidence interval
    and p-value, as `alignments` returns it.

    A field is None if it does not exist; ``reason`` then explains why. Source: arXiv
    2505.21338, section 3.2; the fields on chance are an addition of dsi.

    Examples
    --------
    >>> import numpy as np
    >>> csm = np.corrcoef(np.random.default_rng(0).normal(size=(9, 4)))
    >>> same = alignments(csm, csm, ["pearson"])["pearson"]
    >>> round(same.value, 3), round(same.excess, 3), same.null_mean, same.classes_used
    (1.0, 1.0, 0.0, 9)
    """

    measure: str
    value: float | None = None
    """In [0, 1] for ``cosine``, ``mae`` and ``mse``, else in [-1, 1]."""
    null_mean: float | None = None
    """The mean over random relabellings of the classes: the chance level."""
    null_std: float | None = None
    """The standard deviation over random relabellings."""
    z: float | None = None
    """Standard deviations above chance; positive if the matrices are more similar than
    chance, for distances too.
    """
    excess: float | None = None
    """The value relative to chance: at most 1 (identity), 0 at chance."""
    ceiling: float | None = None
    """The best value that the two sets of values could reach under any pairing."""
    p_value: float | None = None
    """The share of relabellings that are at least as similar, one-sided, in [0, 1],
    from `dsi_cli.metrics.p_values`.
    """
    low: float | None = None
    """The lower end of the 95 % confidence interval of the excess over the sampling of
    classes.
    """
    high: float | None = None
    classes_used: int = 0
    reason: str | None = None


def sai(
    a: Csm, b: Csm, measure: str = "cosine", order: Sequence[int] | None = None
) -> float | None:
    """Return the value of one SAI, or None if it does not exist.

    Use `alignments` unless you know the chance level: a cosine SAI of 0.8 is mostly
    chance. Source: arXiv 2505.21338, section 3.2.

    Parameters
    ----------
    a, b : (C, C) float
        Two CSMs of the same classes in the same order. A class whose diagonal is NaN is
        left out.
    measure : a name from `dsi_cli.metrics.MEASURES`.
    order : (C,) int, optional
        The display order of the classes, used only by ``ssim``.

    Returns
    -------
    float or None
        In [0, 1] for ``cosine``, ``mae`` and ``mse``, else in [-1, 1]. None for
        constant matrices and for fewer than four classes.

    Raises
    ------
    UsageError
        The errors are those of `alignments`.

    Examples
    --------
    >>> import numpy as np
    >>> csm = np.corrcoef(np.random.default_rng(0).normal(size=(9, 4)))
    >>> round(sai(csm, csm), 3), round(sai(csm, -csm, "pearson"), 3)
    (1.0, -1.0)
    """
    return alignments(a, b, [measure], order=order, permutations=0, draws=0)[
        measure
    ].value


def alignments(
    a: Csm,
    b: Csm,
    which: Iterable[str] = DEFAULT_MEASURES,
    *,
    order: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    permutations: int | None = None,
    draws: int | None = None,
    seed: int = 0,
) -> dict[str, Alignment]:
    """Return the SAI of two CSMs by each measure, with chance level, z, excess,
    ceiling, p-value and confidence interval.

    Ties have their mid-rank in ``spearman``; ``kendall`` is tau-b, ``kendall_a`` tau-a.
    Source: arXiv 2505.21338, section 3.2.

    Parameters
    ----------
    a, b : (C, C) float
        Two CSMs of the same classes in the same order. A class whose diagonal is NaN is
        left out.
    which : names from `dsi_cli.metrics.MEASURES`.
    order : (C,) int, optional
        The display order of the classes, used only by ``ssim``. The given order if
        None.
    permutations : int, optional
        The number of random relabellings for the chance level of ``ssim``. The default
        is 40 for up to 256 classes, else 0. A number also gives the deviation of
        ``mae`` and the chance level of ``kendall``, and every ``p_value`` comes from
        it, unless no relabelling is as similar and the ``p_value`` is known without
        them. With 0 there is no ``p_value`` if its approximation is not accurate
        (`dsi_cli.metrics.p_values`). Up to 7 classes all relabellings are used instead.
    draws : int, optional
        Any number above 0 asks for the interval of ``ssim``, which takes as long as its
        value once for each class.
    seed : int
        The seed of relabellings.

    Returns
    -------
    dict
        The alignments by measure. Values of ``cosine``, ``mae`` and ``mse`` are in [0,
        1], all others in [-1, 1]. Lower is more similar for ``mae`` and ``mse``. The
        excess is ``(value - null_mean) / (1 - null_mean)``, or ``1 - value /
        null_mean`` for distances: 0 at chance, 1 at identity.

    Raises
    ------
    UsageError
        The matrices are not square (``not-square``) or hold infinite values
        (``csm-not-finite``), two data frames have the same classes in different orders
        (``class-order``), a measure is unknown (``unknown-measure``), the order is no
        permutation (``not-a-permutation``) or a count is negative (``negative-count``).

    Examples
    --------
    >>> a = np.array([[1, .9, .1, .2], [.9, 1, .2, .1], [.1, .2, 1, .8], [.2, .1, .8, 1]])
    >>> entry = alignments(a, a, ["cosine"])["cosine"]
    >>> round(entry.value, 6), round(entry.null_mean, 3), entry.excess == 1.0, round(entry.p_value, 3)
    (1.0, 0.419, True, 0.083)
    """
    names = [which] if isinstance(which, str) else list(which)
    for name in names:
        plugins.require_choice(
            plugins.MEASURES, "measure", name, MEASURES, "no measure"
        )
    require_same_order(a, b)
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] != a.shape[1]:
        message = (
            "a SAI compares two square matrices of one size; these have shapes"
            f" {a.shape} and {b.shape}"
        )
        raise UsageError(message, code="not-square", shapes=(a.shape, b.shape))
    if min(permutations or 0, draws or 0) < 0:
        message = (
            f"permutations and draws must be 0 or more; they are {permutations} and"
            f" {draws}"
        )
        raise UsageError(
            message, code="negative-count", permutations=permutations, draws=draws
        )
    if order is not None and not np.array_equal(
        np.sort(np.asarray(order)), np.arange(len(a))
    ):
        message = (
            f"a display order contains each of the {len(a)} classes once, from 0 to"
            f" {len(a) - 1}"
        )
        raise UsageError(message, code="not-a-permutation", classes=len(a))
    kept = measures.common_classes([a, b])
    block = np.ix_(kept, kept)
    pair = MatrixPair(
        PreparedMatrix(a[block]), PreparedMatrix(b[block]), display_order(kept, order)
    )
    return pair.alignments(names, permutations, draws, seed)


def display_order(
    kept: NDArray[np.intp], order: Sequence[int] | NDArray[np.integer[Any]] | None
) -> NDArray[np.intp]:
    """Return the display order of the kept classes alone, as indices into ``kept``."""
    if order is None:
        return np.arange(len(kept))
    ordered = np.asarray(order, dtype=np.intp)
    return np.searchsorted(kept, ordered[np.isin(ordered, kept)])


@dataclass(frozen=True)
class MatrixPair:
    """Two prepared matrices of the same classes, and the order of classes for
    ``ssim``.
    """

    a: PreparedMatrix
    b: PreparedMatrix
    order: NDArray[np.intp]

    @property
    def is_symmetric(self) -> bool:
        """True if both matrices are symmetric, so that one value per pair suffices."""
        return self.a.is_symmetric and self.b.is_symmetric

    @lazy_property
    def of_values(self) -> MatchedValues:
        """The scaled values of both matrices."""
        first, second = self._sorted_pairs()
        return MatchedValues(first.scaled, second.scaled)

    @lazy_property
    def of_ranks(self) -> MatchedValues:
        """The ranks of the values of both matrices."""
        first, second = self._sorted_pairs()
        return MatchedValues(first.ranked, second.ranked)

    def _sorted_pairs(self) -> tuple[SortedPairs, SortedPairs]:
        is_folded = self.is_symmetric
        return self.a.pairs(is_folded=is_folded), self.b.pairs(is_folded=is_folded)

    def matched(self, measure: str) -> MatchedValues:
        """Return what a measure other than ``ssim`` compares."""
        return self.of_ranks if measure == "spearman" else self.of_values

    def class_agreement(self) -> ClassAgreement:
        """Return the agreement of each class's rows in both matrices."""
        is_constant = self.a.is_constant or self.b.is_constant
        without = np.full(self.a.classes, np.nan)
        if not is_constant:
            without = jackknife.excess_without(self.of_values, "pearson")
            if self.is_symmetric:
                return ClassAgreement(self.of_values.row_correlations, without)
        x, y = (
            measures.off_diagonal(side.matrix.astype(np.float64))
            for side in (self.a, self.b)
        )
        return ClassAgreement(align_rows(x, y), without)

    def alignments(
        self,
        which: Sequence[str],
        permutations: int | None,
        draws: int | None,
        seed: int,
        *,
        with_inference: bool = True,
    ) -> dict[str, Alignment]:
        """Return the alignment by each measure of ``which``; the function `alignments`
        documents the parameters.

        ``with_inference`` is False to leave out the p-values of `EXACT` measures and
        all intervals, which take most of the time.
        """
        missing = reason_too_few_classes(self.a.classes)
        if missing is None and (self.a.is_constant or self.b.is_constant):
            missing = CONSTANT
        if missing is not None:
            return {
                name: Alignment(name, classes_used=self.a.classes, reason=missing)
                for name in which
            }
        entries: dict[str, Alignment] = {}
        known: dict[MatchedValues, float | None] = {}
        for name in which:
            entry = self._exact_ssim() if name == "ssim" else self._exact(name)
            entry = with_excess(self._with_relabellings(entry, permutations, seed))
            if not with_inference:
                entries[name] = entry
                continue
            has_known_null = name in EXACT
            if has_known_null and entry.z is not None and entry.p_value is None:
                # Cosine, MSE and Pearson's correlation have the same z, and so the same
                # p-value.
                matched = self.matched(name)
                if matched not in known:
                    may_draw = permutations != 0
                    known[matched] = p_values.p_value(
                        matched.x, matched.y, entry.z, seed, may_draw=may_draw
                    )
                entry = replace(entry, p_value=known[matched])
            entries[name] = with_reasons(self._with_interval(entry, draws or 0))
        return entries

    def _exact(self, name: str) -> Alignment:
        """Return the value, the ceiling and the exact part of the chance level of a
        measure other than ``ssim``.
        """
        matched = self.matched(name)
        x, y = matched.x, matched.y
        if name in EXACT:
            # The deviation is that of a sum over all ordered pairs.
            number, ordered = x.spread.number, x.classes * (x.classes - 1)
            deviation = permutation_null.product_deviation(x.moments, y.moments)
            return exact_alignment(
                ProductMeasure.of(name, x.spread, y.spread),
                Alignment(name, classes_used=x.classes),
                matched.product,
                deviation * number / ordered,
                float(x.rising @ y.rising),
            )
        value = float(self._measure(name, x.deviations, y.deviations))
        ceiling = float(self._measure(name, x.rising, y.rising))
        mean = None
        if name == "mae":
            mean = permutation_null.mean_absolute_difference(
                x.rising + (x.mean - y.mean), y.rising
            )
        return Alignment(name, value, mean, ceiling=ceiling, classes_used=x.classes)

    def _measure(self, name: str, x: Values, y: Values) -> Any:
        """Return a measure of the deviations ``(N,)`` of the first matrix, and those of
        the second ``(N,)``, or ``(n, N)`` for n relabellings.
        """
        first, second = self.matched(name).x, self.matched(name).y
        if name in EXACT:
            measure = ProductMeasure.of(name, first.spread, second.spread)
            return measure.values(y @ x)
        if name == "mae":
            difference = x - y
            difference += first.mean - second.mean
            return np.abs(difference, out=difference).mean(axis=-1)
        if name in MEASURES:
            return getattr(measures, name)(x, y)
        plugin = plugins.load(plugins.MEASURES)[name]
        rows = [
            plugin.call(float, x + first.mean, row + second.mean)
            for row in np.atleast_2d(y)
        ]
        return np.array(rows) if y.ndim > 1 else rows[0]

    def _exact_ssim(self) -> Alignment:
        """Return the value of ``ssim``, which has no exact chance level."""
        classes = self.a.classes
        if classes < ssim.MIN_CLASSES:
            reason = (
                f"ssim's window needs {ssim.MIN_CLASSES} classes or more, not {classes}"
            )
            return Alignment("ssim", classes_used=classes, reason=reason)
        image = self.a.images(self.order[None])
        value = ssim.mean_ssim(
            ssim.bands(image, is_symmetric=self.is_symmetric),
            self.b.ssim_bands(self.order, is_symmetric=self.is_symmetric),
        )
        return Alignment(
            "ssim",
            float(value[0]),
            classes_used=classes,
            reason="ssim has no ceiling: it depends on the order of classes",
        )

    def _with_relabellings(
        self, entry: Alignment, permutations: int | None, seed: int
    ) -> Alignment:
        """Return the entry with the chance level and p-value from relabellings, if
        there are any.
        """
        classes, value = self.a.classes, entry.value
        count = permutations
        if count is None:
            if entry.measure == "ssim" and classes <= MAX_DEFAULT_CLASSES:
                count = SSIM_PERMUTATIONS
            else:
                count = 0
        is_complete = classes <= permutation_null.MAX_ENUMERATED_CLASSES
        if value is None or not (is_complete or count):
            return entry

        mean, std = entry.null_mean, entry.null_std
        # Few classes: the mean and deviation over all relabellings are exact.
        if is_complete:
            relabellings = permutation_null.every_relabelling(classes)
            values = self._relabelled_values(entry.measure, relabellings)
            mean, std = float(values.mean()), float(values.std())
            std = std if std > VALUE_TOLERANCE else 0.0
        # Otherwise random relabellings estimate only what is not known exactly.
        else:
            is_shifted = entry.measure == "ssim" and classes >= MIN_SHIFTED_CLASSES
            drawn = -(-count // SHIFTS) if is_shifted else count
            rng = np.random.default_rng(seed)
            orders = (rng.permutation(classes) for _ in range(drawn))
            values = self._relabelled_values(entry.measure, orders)[:count]
            if mean is None:
                mean = float(values.mean())
            if std is None and len(values) > 1:
                std = float(values.std(ddof=1))

        # The p-value counts the relabellings that are at least as similar. The given
        # labels are one of all relabellings, but not of random ones.
        sign = -1.0 if entry.measure in DISTANCES else 1.0
        similar = int((sign * values >= sign * value - VALUE_TOLERANCE).sum())
        p_value = None
        if is_complete:
            p_value = similar / len(values)
        elif similar or entry.measure not in EXACT:
            # Without a similar one, the p-value of an exact measure is below what so
            # few relabellings can show, and it is known without them.
            p_value = (1 + similar) / (1 + len(values))
        return replace(entry, null_mean=mean, null_std=std, p_value=p_value)

    def _relabelled_values(
        self, name: str, relabellings: Iterable[NDArray[np.intp]]
    ) -> Values:
        """Return the measure for each relabelling of the second matrix, of the first
        for ``ssim``.
        """
        if name == "ssim":
            return self._ssim_of_relabellings(np.array(list(relabellings)))
        matched, remaining, values = self.matched(name), iter(relabellings), []
        square = matched.y.values
        kept = ~np.eye(self.a.classes, dtype=bool)
        if matched.x.layout.is_folded:
            kept = np.triu(kept)
        while batch := list(islice(remaining, max(1, PIXELS_PER_BATCH // square.size))):
            orders = np.stack(batch)
            relabelled = square[orders[:, :, None], orders[:, None, :]][:, kept]
            values.extend(self._measure(name, matched.x.deviations, relabelled))
        return np.array(values)

    def _ssim_of_relabellings(self, orders: NDArray[np.intp]) -> Values:
        """Return ``ssim`` for each relabelling ``(n, C)`` of the first matrix, with its
        shifts if there are many classes.
        """
        classes, step, shifts = self.a.classes, 1, [0]
        dtype: Any = np.float64
        if classes >= MIN_SHIFTED_CLASSES:
            step, dtype = THINNED_STEP, np.float32
            distance = classes // (SHIFTS * THINNED_STEP) * THINNED_STEP
            shifts = [shift * distance for shift in range(SHIFTS)]
        # An image that continues cyclically contains those of all shifts.
        orders = orders[:, self.order]
        orders = np.concatenate([orders, orders[:, : shifts[-1]]], axis=1)
        second = self.b.ssim_windows(self.order, step, dtype)
        size = max(1, PIXELS_PER_BATCH // classes**2)
        values = []
        for first in range(0, len(orders), size):
            batch = self.a.images(orders[first : first + size], dtype)
            values.append(ssim.shifted_ssim(batch, second, shifts, step))
        return np.concatenate(values)

    def _with_interval(self, entry: Alignment, draws: int) -> Alignment:
        """Return the entry with the jackknife interval of its excess; for ``ssim`` only
        if there are draws.
        """
        if entry.excess is None or entry.null_mean is None:
            return entry
        interval = None
        if entry.measure in jackknife.MEASURES:
            matched, variance = self.matched(entry.measure), None
            if entry.measure in ("pearson", "spearman"):
                variance = jackknife.pair_variance(matched, entry.excess)
            without = jackknife.excess_without(matched, entry.measure)
            interval = jackknife.interval(entry.excess, without, variance)
        elif entry.measure == "ssim" and draws and self.a.classes > ssim.MIN_CLASSES:
            values = []
            for left_out in range(self.a.classes):
                order = self.order[self.order != left_out][None]
                x, y = (ssim.bands(matrix.images(order)) for matrix in (self.a, self.b))
                values.append(ssim.mean_ssim(x, y)[0])
            interval = jackknife.interval(
                entry.excess, np.array(values) / (1 - entry.null_mean)
            )
        if interval is None:
            return entry
        return replace(entry, low=interval[0], high=interval[1])


def reason_too_few_classes(classes: int) -> str | None:
    """Return why two matrices of so many classes cannot be aligned, or None if they
    can.
    """
    if classes >= MIN_CLASSES:
        return None
    return (
        f"{classes} classes in both matrices; an alignment needs {MIN_CLASSES} or more"
    )


def exact_alignment(
    measure: ProductMeasure,
    empty: Alignment,
    product: float,
    deviation: float,
    largest_product: float | None = None,
) -> Alignment:
    """Return an empty entry with its value, chance level and ceiling by a measure of
    `EXACT`.

    ``product`` is the sum of the products of the deviations, ``deviation`` its
    deviation over relabellings, and ``largest_product`` its maximum under any pairing.
    """
    mean, std = measure.chance_level(deviation)
    ceiling = None
    if largest_product is not None:
        ceiling = float(measure.values(largest_product))
    value = float(measure.values(product))
    return replace(empty, value=value, null_mean=mean, null_std=std, ceiling=ceiling)


def with_excess(entry: Alignment) -> Alignment:
    """Return the entry with its excess over chance and its z, if they exist."""
    value, mean = entry.value, entry.null_mean
    if value is None or mean is None:
        return entry
    # Distances are smaller for matrices that are more similar.
    gain, best = value - mean, 1 - mean
    if entry.measure in DISTANCES:
        gain, best = -gain, mean
    z = gain / entry.null_std if entry.null_std else None
    return replace(entry, excess=gain / best, z=z)


def with_reasons(entry: Alignment, no_interval: str | None = None) -> Alignment:
    """Return an entry of `with_excess` with a reason for each missing field; that of an
    interval is ``no_interval``, if given.
    """
    if entry.value is None:
        return entry
    missing = [entry.reason] if entry.reason else []
    if entry.null_mean is None:
        missing.append("the chance level of this measure needs --permutations")
    elif entry.null_std is None:
        missing.append(
            "the deviation of this measure's chance level needs --permutations"
        )
    elif entry.null_std == 0:
        missing.append("every relabelling gives the same value, so there is no z")
    if (
        entry.measure in EXACT
        and entry.z is not None
        and entry.p_value is None
        and no_interval is None
    ):
        missing.append(
            "the p-value of so few classes, or of mistakes in so few columns, needs"
            " random relabellings"
        )
    if entry.low is None:
        missing.append(no_interval or _reason_no_interval(entry.measure))
    return replace(entry, reason="; ".join(missing) or None)


def _reason_no_interval(measure: str) -> str:
    if measure in jackknife.MEASURES:
        return "no interval: without one of the classes a matrix is constant"
    if measure == "ssim":
        return "an interval of ssim needs draws in Python"
    if measure in ("mae", "mse"):
        return f"no interval for {measure}: it depends on the extremes of the matrix"
    return f"no interval for {measure}"
