"""The share of a network's similarity that each of two or three references explains
alone, and what they share **[ours]**.

The squared multiple correlation R^2 of the off-diagonal similarities on each subset of
the references gives the shares (commonality analysis, Newton and Spurrell 1967,
doi:10.2307/2985992). A shared part may be negative, if one reference suppresses noise
of another. The intervals are jackknives over classes.

The p-value of a reference given the others is that of double semi-partialing (Dekker,
Krackhardt and Snijders 2007, doi:10.1007/s11336-007-9016-1): the residuals of the
reference after regression on the others are relabelled, and the statistic is the t of
its coefficient. It stays near its level if similarities of one class are correlated,
which a test that permutes the network does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.metrics.cluster_jackknife import CorrelatedMatrices, Csm, Statistic
from dsi_cli.metrics.intervals import plain_interval
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.permutation_null import centred_off_diagonal

PERMUTATIONS = 999
MAX_REFERENCES = 3
Subset = tuple[int, ...]


class Share(NamedTuple):
    """A part of the variance of a network's similarity."""

    references: Subset  # the indices of the references that have this part in common
    value: float  # a share of 1, which may be slightly negative
    low: float | None = None  # 95 % confidence interval over classes or clusters
    high: float | None = None
    # of a reference given the others; None for shared parts
    p_value: float | None = None


def part_titles(shares: Sequence[Share], names: Sequence[str]) -> list[str]:
    """Return the title of each part, from the names of the references: "only A", "A and
    B", and for the last one "total".
    """
    titles = []
    for share in shares[:-1]:
        title = " and ".join(names[index] for index in share.references)
        titles.append(f"only {title}" if len(share.references) == 1 else title)
    return [*titles, "total"]


def squared_correlation(correlations: Values, references: Subset) -> Values:
    """Return R^2 of the first of the correlated matrices ``(..., M, M)`` on some
    references; reference 0 is the second matrix.
    """
    if not references:
        return np.zeros(correlations.shape[:-2])
    rows = np.array(references) + 1
    among = correlations[..., rows[:, None], rows]
    with_network = correlations[..., rows, 0]
    weights = np.linalg.solve(among, with_network[..., None])[..., 0]
    return np.asarray((weights * with_network).sum(axis=-1))


def part(references: Subset, number: int) -> Statistic:
    """Return the statistic of the part that only these of a number of references have
    in common.
    """
    others = tuple(index for index in range(number) if index not in references)

    def share(correlations: Values) -> Values:
        total = np.zeros(correlations.shape[:-2])
        for some in subsets(references):
            sign = 1 if len(some) % 2 else -1
            explained = tuple(sorted((*others, *some)))
            total = total + sign * squared_correlation(correlations, explained)
        return total

    return share


def subsets(indices: Sequence[int]) -> Iterator[Subset]:
    """Yield all subsets, the smaller ones first.

    >>> list(subsets((0, 1)))
    [(), (0,), (1,), (0, 1)]
    """
    sizes = range(len(indices) + 1)
    return chain.from_iterable(combinations(indices, size) for size in sizes)


def variance_partition(
    network: Csm,
    references: Sequence[Csm],
    clusters: NDArray[np.integer] | None = None,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[Share]:
    """Return all parts of the variance of a network's similarity ``(C, C)`` that two or
    three references ``(C, C)`` of the same classes explain: of single ones first, and
    last the total, which names all references.

    ``clusters`` is the cluster of each class ``(C,)``, for intervals over clusters.
    Without permutations there are no p-values.

    Raise `UsageError` if there are fewer than two or more than three references (code
    ``wrong-references``), or a matrix is constant or the same as another up to scale
    (code ``references-alike``).
    """
    number = len(references)
    if not 2 <= number <= MAX_REFERENCES:
        message = f"a partition needs two or three references, not {number}"
        raise UsageError(message, code="wrong-references", count=number)
    matrices = CorrelatedMatrices([network, *references], clusters)
    whole = matrices.whole
    if np.isnan(whole).any() or np.linalg.cond(whole[1:, 1:]) > 1e10:
        message = "a matrix is constant, or a reference follows from the others"
        raise UsageError(message, code="references-alike")
    shares = []
    for some in subsets(range(number)):
        if not some:
            continue
        share = _share(matrices, some, part(some, number))
        if len(some) == 1 and permutations:
            p_value = partial_p_value(network, references, *some, permutations, seed)
            share = share._replace(p_value=p_value)
        shares.append(share)
    everything = tuple(range(number))
    total = partial(squared_correlation, references=everything)
    return [*shares, _share(matrices, everything, total)]


def _share(
    matrices: CorrelatedMatrices, references: Subset, statistic: Statistic
) -> Share:
    value, variance = float(statistic(matrices.whole)), matrices.variance(statistic)
    if variance is None:
        return Share(references, value)
    return Share(
        references, value, *plain_interval(value, variance**0.5, matrices.freedom)
    )


def partial_p_value(
    network: Csm, references: Sequence[Csm], index: int, permutations: int, seed: int
) -> float:
    """Return the two-sided p-value of a reference given the others, by double
    semi-partialing.
    """
    rng = np.random.default_rng(seed)
    centred = [centred_off_diagonal(np.asarray(csm, np.float64)) for csm in references]
    tested = centred.pop(index)
    # An orthonormal basis of the other references.
    basis, _ = np.linalg.qr(np.array([csm.ravel() for csm in centred]).T)
    target = centred_off_diagonal(np.asarray(network, np.float64)).ravel()
    target = target - basis @ (basis.T @ target)
    residual = tested.ravel() - basis @ (basis.T @ tested.ravel())
    residual = residual.reshape(tested.shape)
    length = float(np.square(residual).sum())

    def squared_partial_correlation(relabelled: Values) -> float:
        explained = np.square(basis.T @ relabelled).sum()
        return float((target @ relabelled) ** 2 / (length - explained))

    observed = squared_partial_correlation(residual.ravel())
    reached = 1
    for _ in range(permutations):
        order = rng.permutation(len(residual))
        relabelled = residual[np.ix_(order, order)].ravel()
        reached += squared_partial_correlation(relabelled) >= observed * (1 - 1e-12)
    return reached / (permutations + 1)
