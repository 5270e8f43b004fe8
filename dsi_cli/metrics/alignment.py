"""SAI, the Similarity Alignment Index of two CSMs (arXiv 2505.21338, section 3.2), with its chance level **[ours]**.

Steps: drop the classes that either matrix lacks; drop the diagonal; min-max scale each matrix to [0, 1] with its own
off-diagonal minimum and maximum; compare with a measure. Scaled values are all non-negative, so the cosine of two unrelated
matrices is 0.7 to 0.9: a value means nothing without the `Alignment` around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics import (
    DEFAULT_MEASURES,
    DISTANCES,
    MEASURES,
    bootstrap,
    jackknife,
    measures,
    p_values,
    permutation_null,
    ssim,
)
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.prepared import PairValues, PreparedMatrix

Csm = NDArray[np.floating[Any]]

SSIM_PERMUTATIONS = 20
EXACT = ("cosine", "mse", "pearson", "spearman")
"""The measures whose chance level is exact."""
FEWEST_CLASSES = 4
CONSTANT = "constant matrix: all off-diagonal values are the same, so there is no scale"
SAME_VALUE = 1e-12
"""Values of a measure over relabellings that differ by less are the same but for rounding."""


@dataclass(frozen=True)
class Alignment:
    """One measure of one pair of CSMs, and what it is worth.

    ``value`` and what stands beside it are None where they do not exist; ``reason`` then says why.
    """

    measure: str
    value: float | None = None
    null_mean: float | None = None
    """What random relabellings of the classes give on average."""
    null_std: float | None = None
    z: float | None = None
    """Standard deviations above chance; positive where the two are more alike than chance, for distances too."""
    excess: float | None = None
    """0 at chance, 1 at identity."""
    ceiling: float | None = None
    """The best value that these two sets of values could reach under any pairing."""
    p_value: float | None = None
    """Share of relabellings that are at least as alike, one-sided: exact up to 7 classes, else as `dsi_cli.metrics.p_values`."""
    low: float | None = None
    high: float | None = None
    """The 95 % confidence interval of the excess over the sampling of classes."""
    classes_used: int = 0
    reason: str | None = None


def sai(a: Csm, b: Csm, measure: str = "cosine", order: Sequence[int] | None = None) -> float | None:
    """Return one SAI without what belongs beside it; None where it does not exist.

    Use `alignments` unless the chance level is known already: a cosine SAI of 0.8 is mostly chance.

    Parameters
    ----------
    a, b : (C, C) float
        As for `alignments`.
    measure : a name out of `dsi_cli.metrics.MEASURES`
    order : (C,) int, optional
        Display order of the classes, for ``ssim`` alone.

    Raises
    ------
    UsageError
        As for `alignments`.
    """
    return alignments(a, b, [measure], order=order, permutations=0, draws=0)[measure].value


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
    """Return the SAI of two CSMs by each measure, each with chance level, deviation, z, excess, ceiling and interval.

    ``cosine`` is in [0, 1], ``pearson``, ``spearman``, ``kendall`` and ``ssim`` in [-1, 1], ``mae`` and ``mse`` (lower is
    closer) in [0, 1]; ``excess`` is 0 at chance and 1 at identity.

    Parameters
    ----------
    a, b : (C, C) float
        Two CSMs of the same classes in the same order. A class whose diagonal is NaN does not take part.
    which : names out of `dsi_cli.metrics.MEASURES`
    order : (C,) int, optional
        Display order of the classes, for ``ssim`` alone; as given if None.
    permutations : int, optional
        Random relabellings for the null of ``ssim`` (None: 20 up to 256 classes, else none) and, where a number is given, for
        a ``p_value`` of every measure and the nulls of ``mae``'s deviation and ``kendall``. Up to 7 classes all
        relabellings are tried, whatever is asked.
    draws : int, optional
        Bootstrap draws of classes for the interval of ``ssim``; without, it has none.
    seed : int
        Of permutations and draws.

    Raises
    ------
    UsageError
        The matrices are not square, differ in size, hold infinities; a measure is unknown, the order is no
        permutation, a number of permutations or draws is negative.

    Examples
    --------
    >>> a = np.array([[1, .9, .1, .2], [.9, 1, .2, .1], [.1, .2, 1, .8], [.2, .1, .8, 1]])
    >>> found = alignments(a, a, ["cosine"])["cosine"]
    >>> round(found.value, 6), round(found.null_mean, 3), found.excess == 1.0, round(found.p_value, 3)
    (1.0, 0.419, True, 0.083)
    """
    names = _known(which)
    a, b = np.asarray(a), np.asarray(b)
    both = shared_classes(a, b)
    _require_counts(permutations, draws)
    _require_order(order, len(a))
    kept = display_order(both, order)
    pair = MatrixPair(PreparedMatrix(a[np.ix_(both, both)]), PreparedMatrix(b[np.ix_(both, both)]), kept)
    return pair.alignments(names, permutations, draws, seed)


def shared_classes(a: Csm, b: Csm) -> NDArray[np.intp]:
    """Return the indices of the classes that both CSMs have (a NaN diagonal marks one that is lacking)."""
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] != a.shape[1]:
        raise UsageError(f"a SAI compares two square matrices of one size; these have shapes {a.shape} and {b.shape}")
    return np.flatnonzero(~np.isnan(np.diagonal(a)) & ~np.isnan(np.diagonal(b)))


def display_order(kept: NDArray[np.intp], order: Sequence[int] | NDArray[np.integer[Any]] | None) -> NDArray[np.intp]:
    """Return the display order of the kept classes alone, as places among them."""
    if order is None:
        return np.arange(len(kept))
    shown = np.asarray(order, dtype=np.intp)
    return np.searchsorted(kept, shown[np.isin(shown, kept)])


@dataclass(frozen=True)
class MatrixPair:
    """Two prepared matrices of the same classes, and the order in which ``ssim`` sees them."""

    a: PreparedMatrix
    b: PreparedMatrix
    order: NDArray[np.intp]

    def alignments(
        self, which: Sequence[str], permutations: int | None, draws: int | None, seed: int
    ) -> dict[str, Alignment]:
        """Return the measures ``which`` of this pair; parameters as for `alignments`."""
        missing = too_few_classes(self.a.classes) or (CONSTANT if self.a.is_constant or self.b.is_constant else None)
        if missing:
            return {name: Alignment(name, classes_used=self.a.classes, reason=missing) for name in which}
        found = {name: self._exact(name) for name in which}
        found = self._with_relabellings(found, permutations, seed)
        found = {name: self._with_p_value(with_excess(entry)) for name, entry in found.items()}
        return {name: with_chance_level(self._with_interval(entry, draws or 0, seed)) for name, entry in found.items()}

    def _exact(self, name: str) -> Alignment:
        """Return the value and whatever of its null and ceiling needs no sampling."""
        entry = Alignment(name, classes_used=self.a.classes)
        if name == "ssim":
            return self._exact_ssim(entry)
        measure = measures.ON_VALUES["pearson" if name == "spearman" else name]
        first, second = self.flats
        x, y = (first.ranks, second.ranks) if name == "spearman" else (first.scaled, second.scaled)
        best = (
            (first.ranks_sorted, second.ranks_sorted) if name == "spearman" else (first.scaled_sorted, second.scaled_sorted)
        )
        entry = replace(entry, value=float(measure(x, y)), ceiling=float(measure(*best)))
        mean, std = self._chance_level(name)
        return replace(entry, null_mean=mean, null_std=std)

    def _chance_level(self, name: str) -> tuple[float | None, float | None]:
        """Return the exact mean and deviation of a measure over relabellings; None for what is not exact."""
        if name == "mae":
            return permutation_null.mean_absolute_difference(*(flat.scaled_sorted for flat in self.flats)), None
        if name not in EXACT:
            return None, None
        a, b = (side.rank_moments if name == "spearman" else side.value_moments for side in (self.a, self.b))
        deviation = permutation_null.product_deviation(a, b)
        if name in ("pearson", "spearman"):
            return 0.0, deviation / float(np.sqrt(a.sums[0] * b.sums[0]))
        x, y = (flat.scaled for flat in self.flats)
        pairs = self.a.classes * (self.a.classes - 1)  # the deviation is that of a sum over all ordered pairs
        first, second = ((float(values.sum()), float(values @ values)) for values in (x, y))
        return chance_level(name, len(x), first, second, deviation * len(x) / pairs)

    @property
    def flats(self) -> tuple[PairValues, PairValues]:
        """The values of both: of two symmetric matrices each pair once, which says the same by every measure but ``ssim``."""
        if self.a.is_symmetric and self.b.is_symmetric:
            return self.a.once, self.b.once
        return self.a.every, self.b.every

    def _exact_ssim(self, entry: Alignment) -> Alignment:
        if self.a.classes < ssim.SMALLEST:
            return replace(entry, reason=f"ssim's window needs {ssim.SMALLEST} classes or more, not {self.a.classes}")
        return replace(
            entry, value=next(self._ssim([np.arange(self.a.classes)])), reason="ssim has no ceiling: it depends on places"
        )

    def _over(self, name: str, relabellings: Iterable[NDArray[np.intp]]) -> Iterator[float]:
        """Yield the measure for each relabelling of the second matrix."""
        if name == "ssim":
            yield from self._ssim(relabellings)
            return
        is_ranked = name == "spearman"
        x, y = ((side.every.ranks if is_ranked else side.every.scaled) for side in (self.a, self.b))
        square, rest = self.b.square(y), iter(relabellings)
        measure = measures.ON_VALUES["pearson" if is_ranked else name]
        while some := list(islice(rest, max(1, bootstrap.AT_ONCE // square.size))):
            shown = np.stack(some)
            relabelled = measures.off_diagonal(square[shown[:, :, None], shown[:, None, :]])
            yield from measure(x, relabelled.reshape(len(shown), -1)).tolist()

    def _ssim(self, relabellings: Iterable[NDArray[np.intp]]) -> Iterator[float]:
        """Yield the same for ``ssim``, some at a time; what relabelled images have of their own lasts, if the matrix does."""
        classes = self.a.classes
        bands = list(ssim.window_bands(classes, is_symmetric=self.a.is_symmetric and self.b.is_symmetric))
        own = _images(self.a, self.order[None])
        mine, rest = [(one, one.of(own), ssim.first_means(one.of(own))) for one in bands], iter(relabellings)
        while some := list(islice(rest, max(1, bootstrap.AT_ONCE // classes**2))):
            shown = np.stack(some)[:, self.order]
            lasting = iter(
                self.b.lasting(("relabelled", shown.tobytes(), len(bands)), partial(_partners, self.b, shown, bands))
            )
            found = np.zeros(len(some))
            for band, part, x in mine:
                twice, *y = islice(lasting, 4)
                found += band.summed(ssim.ssim_index(x, ssim.SecondImage(*y), ssim.window_means(part * twice)))
            yield from (found / sum(float(band.times.sum()) for band in bands)).tolist()

    def _with_relabellings(
        self, alignments: dict[str, Alignment], permutations: int | None, seed: int
    ) -> dict[str, Alignment]:
        classes = self.a.classes
        everything = classes <= permutation_null.ENUMERATED
        default = SSIM_PERMUTATIONS if classes <= bootstrap.LARGEST else 0
        out = {}
        for name, entry in alignments.items():
            count = permutations if permutations is not None else (default if name == "ssim" else 0)
            if entry.value is None or not (everything or count):
                out[name] = entry
                continue
            draws = (
                permutation_null.every_relabelling(classes)
                if everything
                else permutation_null.random_relabellings(classes, count, seed)
            )
            values = np.fromiter(self._over(name, draws), dtype=np.float64)
            out[name] = _with_sample(entry, values, everything, wants_p=everything or permutations is not None)
        return out

    def _with_p_value(self, entry: Alignment) -> Alignment:
        """Return the entry with the p-value of a measure whose chance level is exact, if the approximation is good for the pair."""
        if entry.measure not in EXACT or entry.z is None or entry.p_value is not None:
            return entry
        if not (self.a.is_symmetric and self.b.is_symmetric):
            return _with_reason(entry, "a p-value of an asymmetric matrix needs --permutations")
        if self.a.classes < p_values.FEWEST_CLASSES:
            return _with_reason(entry, f"a p-value of fewer than {p_values.FEWEST_CLASSES} classes needs --permutations")
        skew = 0.0
        if self.a.classes <= p_values.SKEWED and entry.measure == "spearman":
            deviation = permutation_null.product_deviation(self.a.rank_moments, self.b.rank_moments)
            skew = p_values.skewness(self.a.rank_thirds, self.b.rank_thirds, deviation)
        elif self.a.classes <= p_values.SKEWED:
            deviation = permutation_null.product_deviation(self.a.value_moments, self.b.value_moments)
            skew = p_values.skewness(self.a.value_thirds, self.b.value_thirds, deviation)
        return replace(entry, p_value=p_values.upper_tail(entry.z, skew))

    def _with_interval(self, entry: Alignment, draws: int, seed: int) -> Alignment:
        """Return the entry with the interval of its excess: by the jackknife, of ``ssim`` from bootstrap draws."""
        found = None
        if entry.excess is None:
            return entry
        if entry.measure in jackknife.MEASURES:
            found = jackknife.interval(entry.excess, jackknife.excess_without(self.a, self.b, entry.measure))
        elif entry.measure == "ssim" and draws and entry.null_mean is not None:
            ends = bootstrap.interval_of_ssim(self.a, self.b, draws, seed, self.order)
            if ends is not None:
                low, high = ((end - entry.null_mean) / (1 - entry.null_mean) for end in ends)
                found = low, high
        return entry if found is None else replace(entry, low=found[0], high=found[1])


def _images(side: PreparedMatrix, shown: NDArray[np.intp]) -> Values:
    """Return a matrix without its diagonal in several orders of its classes ``(n, C)``: ``(C, n, C-1)``."""
    images = measures.off_diagonal(side.scaled_square[shown[:, :, None], shown[:, None, :]])
    return np.ascontiguousarray(np.moveaxis(images, 0, 1))


def _partners(side: PreparedMatrix, shown: NDArray[np.intp], bands: Sequence[ssim.WindowBand]) -> tuple[NDArray[Any], ...]:
    """Return for each band what is needed of a matrix in several orders of its classes: four arrays."""
    images = _images(side, shown)
    parts = [band.of(images) for band in bands]
    return tuple(array for part in parts for array in (2 * part, *ssim.second_image(ssim.first_means(part))))


def too_few_classes(classes: int) -> str | None:
    """Return why two matrices of so many classes cannot be aligned, None if they can."""
    return (
        None
        if classes >= FEWEST_CLASSES
        else f"{classes} classes in both matrices: an alignment needs {FEWEST_CLASSES} or more"
    )


def chance_level(
    name: str, number: int, first: tuple[float, float], second: tuple[float, float], deviation: float
) -> tuple[float, float]:
    """Return the exact mean and deviation over relabellings of ``cosine``, ``mse`` or ``pearson``, from sums of scaled values.

    Parameters
    ----------
    number : of values of each matrix
    first, second : the sum of the values of a matrix, and the sum of their squares
    deviation : that of the sum of the products
    """
    (x, xx), (y, yy) = first, second
    if name == "cosine":
        lengths = float(np.sqrt(xx * yy))
        return x * y / number / lengths, deviation / lengths
    if name == "mse":
        return (xx + yy - 2 * x * y / number) / number, 2 * deviation / number
    return 0.0, deviation / float(np.sqrt((xx - x * x / number) * (yy - y * y / number)))


def _with_sample(entry: Alignment, values: Values, everything: bool, wants_p: bool) -> Alignment:
    """Return the entry with what its values over relabellings add: exact if they are all, else an estimate."""
    value = entry.value
    assert value is not None
    if everything:
        std = float(values.std())
        entry = replace(entry, null_mean=float(values.mean()), null_std=std if std > SAME_VALUE else 0.0)
    elif entry.null_mean is None or entry.null_std is None:
        mean = float(values.mean()) if entry.null_mean is None else entry.null_mean
        entry = replace(entry, null_mean=mean, null_std=float(values.std(ddof=1)) if len(values) > 1 else None)
    if not wants_p:
        return entry
    sign = -1.0 if entry.measure in DISTANCES else 1.0
    alike = int((sign * values >= sign * value - SAME_VALUE).sum())
    return replace(entry, p_value=alike / len(values) if everything else (1 + alike) / (1 + len(values)))


def _with_reason(entry: Alignment, reason: str) -> Alignment:
    return replace(entry, reason="; ".join(filter(None, [entry.reason, reason])))


def with_excess(entry: Alignment) -> Alignment:
    """Return the entry with its excess over chance and its z, where they exist."""
    value, mean = entry.value, entry.null_mean
    if value is None or mean is None:
        return entry
    is_distance = entry.measure in DISTANCES
    entry = replace(entry, excess=1 - value / mean if is_distance else (value - mean) / (1 - mean))
    if not entry.null_std:
        return entry
    z = (value - mean) / entry.null_std
    return replace(entry, z=-z if is_distance else z)


def with_chance_level(entry: Alignment, no_interval: str | None = None) -> Alignment:
    """Return the entry with excess and z, and a reason for whatever is missing; ``no_interval`` is that of the interval."""
    if entry.value is None:
        return entry
    entry = with_excess(entry)
    missing = [entry.reason] if entry.reason else []
    if entry.null_mean is None:
        missing.append("the chance level of this measure needs --permutations")
    elif entry.null_std is None:
        missing.append("the deviation of this measure's chance level needs --permutations")
    elif entry.null_std == 0:
        missing.append("every relabelling gives the same value, so there is no z")
    if entry.low is None:
        missing.append(no_interval or _why_no_interval(entry))
    return replace(entry, reason="; ".join(missing) or None)


def _why_no_interval(entry: Alignment) -> str:
    """Return why a measure has no interval."""
    if entry.measure in jackknife.MEASURES:
        return "no interval: without one of the classes a matrix has one value throughout"
    if entry.measure == "ssim":
        return "an interval of ssim needs --draws"
    if entry.measure == "kendall":
        return "no interval for kendall"
    return f"no interval for {entry.measure}: it depends on the extremes of the matrix"


def _require_counts(permutations: int | None, draws: int | None) -> None:
    if min(permutations or 0, draws or 0) < 0:
        raise UsageError(f"permutations and draws are counts, 0 or more; given: {permutations} and {draws}")


def _require_order(order: Sequence[int] | NDArray[np.integer[Any]] | None, classes: int) -> None:
    if order is not None and not np.array_equal(np.sort(np.asarray(order)), np.arange(classes)):
        raise UsageError(f"a display order names each of the {classes} classes once, from 0 to {classes - 1}")


def _known(which: Iterable[str]) -> list[str]:
    names = [which] if isinstance(which, str) else list(which)
    known = [measure.name for measure in MEASURES]
    for name in names:
        if name not in known:
            raise UsageError(f"unknown measure {name!r}: {expected(name, known)}")
    return names
