"""How often intervals over seeds, classes and clusters of classes hold, on simulated
networks with a known truth: ``make bench-seeds`` writes the table of
``benchmarks/results/seeds.md``.

A population of classes has latent features. The reference is the cosine similarity of
some of them. A network's similarities are those of all of them, with noise of its own in
every seed: in each pair of classes, or in the features of each class. Some classes are
drawn at random, or some clusters of classes with common features.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import write
from dsi_cli.metrics.cluster_jackknife import CorrelatedMatrices
from dsi_cli.metrics.differences import (
    ClassEstimate,
    Difference,
    agreement_estimate,
    difference_of_estimates,
    mean_difference,
)
from dsi_cli.metrics.measures import Values, off_diagonal
from dsi_cli.metrics.reliability import (
    corrected_agreement,
    joint_difference,
    seed_estimates,
)

PAGE = Path(__file__).resolve().parent / "results" / "seeds.md"
SEED = 20271
POPULATION, CLASSES, CLUSTER_SIZE = 1000, 60, 5
TRUE_SEEDS = 30  # the seeds of all classes of the population for the truth
MANY_SEEDS = 2000  # the seeds of a few classes for the truth
NOISES = ((True, 0.1), (True, 0.25), (False, 0.6), (False, 1.2))
CLUSTER_CASES = ((10, 3, 0.6), (20, 3, 0.6), (20, 3, 1.5), (20, 6, 0.6), (40, 6, 0.6))
"""The clusters, the seeds of each network, and the noise of a seed."""
ESTIMATED = ("value", "without", "pair_residuals")
Indices = NDArray[np.intp]


def cosines(features: Values) -> Values:
    """Return the cosine similarity of every two rows."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def correlation(x: Values, y: Values) -> float:
    """Return Pearson's correlation of the off-diagonal values."""
    return float(np.corrcoef(off_diagonal(x).ravel(), off_diagonal(y).ravel())[0, 1])


class Network:
    """A simulated network, whose seeds have noise."""

    def __init__(self, features: Values, noise: float, *, in_pairs: bool) -> None:
        self.features, self.noise, self.in_pairs = features, noise, in_pairs

    def seeds(self, number: int, classes: Indices, rng: np.random.Generator) -> Values:
        """Return the similarities ``(S, C, C)`` of some seeds."""
        features, size = self.features[classes], len(classes)
        signal = cosines(features)
        csms = []
        for _ in range(number):
            noise = self.noise * np.exp(0.2 * rng.normal())
            if self.in_pairs:
                drawn = noise * rng.normal(size=(size, size))
                csms.append(signal + (drawn + drawn.T) / 2**0.5)
            else:
                drawn = noise * rng.normal(size=(size, 40))
                csms.append(cosines(np.hstack([features, drawn])))
        return np.array(csms)

    def corrected(
        self, reference: Values, classes: Indices, rng: np.random.Generator
    ) -> float:
        """Return the true corrected agreement over some classes: that of the signal, or
        of as many seeds as memory holds.
        """
        if self.in_pairs:
            return correlation(cosines(self.features[classes]), reference)
        number = TRUE_SEEDS if len(classes) == POPULATION else MANY_SEEDS
        csms = self.seeds(number, classes, rng)
        whole = CorrelatedMatrices([*csms, reference]).whole
        return float(corrected_agreement(whole))


def rate(hits: list[bool]) -> str:
    """Return a share in percent."""
    return f"{100 * np.mean(hits):.1f} %"


def of_corrected(trials: int) -> Iterator[str]:
    """Yield the bias and the coverage of the corrected agreement."""
    yield "| noise of the seed | reliability | seeds | bias | over seeds | over both |"
    yield "|---|---|---|---|---|---|"
    rng = np.random.default_rng(SEED)
    common, own = rng.normal(size=(POPULATION, 16)), rng.normal(size=(POPULATION, 24))
    features, reference = np.hstack([common, own]), cosines(common)
    everything, fixed = np.arange(POPULATION), np.arange(CLASSES)
    fixed_square = np.ix_(fixed, fixed)
    for in_pairs, noise in NOISES:
        network = Network(features, noise, in_pairs=in_pairs)
        rng = np.random.default_rng([SEED, in_pairs, round(100 * noise)])
        truth = network.corrected(reference, everything, rng)
        fixed_truth = network.corrected(reference[fixed_square], fixed, rng)
        for number in (3, 5, 12):
            errors, reliabilities = [], []
            of_seeds, of_both = [], []
            for _ in range(trials):
                drawn = rng.choice(POPULATION, CLASSES, replace=False)
                square = np.ix_(drawn, drawn)
                both = seed_estimates(
                    network.seeds(number, drawn, rng), reference[square]
                )
                seeds = seed_estimates(
                    network.seeds(number, fixed, rng), reference[fixed_square]
                )
                errors.append(both["corrected"].value - truth)
                reliabilities.append(both["reliability"].value)
                low, high = both["corrected"].interval("both") or (np.nan, np.nan)
                of_both.append(bool(low <= truth <= high))
                low, high = seeds["corrected"].interval("seeds") or (np.nan, np.nan)
                of_seeds.append(bool(low <= fixed_truth <= high))
            kind = "in pairs" if in_pairs else "in features"
            yield (
                f"| {kind} | {np.mean(reliabilities):.2f} | {number} |"
                f" {np.mean(errors):+.4f} | {rate(of_seeds)} | {rate(of_both)} |"
            )


def of_differences(trials: int) -> Iterator[str]:
    """Yield the coverage of the difference of two networks' mean agreements."""
    yield "| repetitions | over seeds | over classes | seeds and classes |"
    yield "|---|---|---|---|"
    rng = np.random.default_rng(SEED + 1)
    common = rng.normal(size=(POPULATION, 16))
    reference = cosines(common)
    networks = []
    for width in (20, 28):
        own = rng.normal(size=(POPULATION, width))
        networks.append(Network(np.hstack([common, own]), 0.6, in_pairs=False))
    means = []
    for network in networks:
        values = [
            correlation(network.seeds(1, np.arange(POPULATION), rng)[0], reference)
            for _ in range(TRUE_SEEDS)
        ]
        means.append(np.mean(values))
    truth = means[0] - means[1]
    for number in (3, 6, 12):
        found = []
        for _ in range(trials):
            drawn = rng.choice(POPULATION, CLASSES, replace=False)
            csms = [network.seeds(number, drawn, rng) for network in networks]
            found.append(differences(csms, reference[np.ix_(drawn, drawn)]))
        rates = " | ".join(
            coverage(of_draws, truth) for of_draws in zip(*found, strict=True)
        )
        yield f"| {number} and {number} | {rates} |"


def differences(
    csms: list[Values], reference: Values, clusters: Indices | None = None
) -> tuple[Difference, Difference, Difference]:
    """Return the difference of the mean agreements of two networks' seeds, each with
    the CSMs ``(S, C, C)``, with an error over seeds, over classes or clusters, and over
    both.
    """
    first, second = map(len, csms)
    matrices = CorrelatedMatrices([*csms[0], *csms[1], reference], clusters)
    trainings = [
        agreement_estimate(matrices, at, is_repeated=True)
        for at in range(first + second)
    ]
    values = matrices.whole[:-1, -1].tolist()
    over_seeds = mean_difference(values[:first], values[first:])
    means = [mean_estimate(trainings[:first]), mean_estimate(trainings[first:])]
    if clusters is None:  # the interval of two single trainings
        means = [mean._replace(pair_residuals=None) for mean in means]
    over_units = difference_of_estimates(*means)
    over_both = joint_difference(
        trainings[:first], trainings[first:], difference_of_estimates, over_seeds
    )
    return over_seeds, over_units, over_both


def mean_estimate(trainings: list[ClassEstimate]) -> ClassEstimate:
    """Return the mean of the estimates of several seeds."""
    names = [name for name in ESTIMATED if getattr(trainings[0], name) is not None]
    of_name = {name: [getattr(one, name) for one in trainings] for name in names}
    return ClassEstimate(**{name: np.mean(of_name[name], axis=0) for name in names})


def coverage(found: Sequence[Difference], truth: float) -> str:
    """Return how many intervals of differences hold the truth, in percent."""
    ends = [one.interval() or (np.nan, np.nan) for one in found]
    return rate([bool(low <= truth <= high) for low, high in ends])


class Clustered(NamedTuple):
    """A population of clusters of classes, whose features have a part in common."""

    clusters: Indices  # of each class, in order

    def features(self, width: int, rng: np.random.Generator) -> Values:
        """Return features of all classes ``(C, width)``."""
        of_clusters = rng.normal(size=(POPULATION, width))
        own = rng.normal(size=(len(self.clusters), width))
        return np.asarray(of_clusters[self.clusters] + 0.7 * own)

    def drawn(self, number: int, rng: np.random.Generator) -> Indices:
        """Return the classes of some random clusters."""
        chosen = rng.choice(self.clusters.max() + 1, number, replace=False)
        return np.flatnonzero(np.isin(self.clusters, chosen))


def populations() -> dict[str, Clustered]:
    """Return a population with clusters of five classes, and one of two to eight."""
    numbers = np.arange(2 * POPULATION // CLUSTER_SIZE)
    sizes = np.random.default_rng(SEED).integers(2, 9, size=len(numbers))
    return {
        "five": Clustered(np.repeat(numbers, CLUSTER_SIZE)),
        "two to eight": Clustered(np.repeat(numbers, sizes)),
    }


def of_clusters(trials: int) -> Iterator[str]:
    """Yield the coverage of the agreement's interval over classes and clusters."""
    yield "| classes of a cluster | clusters | over classes | over clusters |"
    yield "|---|---|---|---|"
    rng = np.random.default_rng(SEED + 2)
    for name, population in populations().items():
        common = population.features(16, rng)
        network = cosines(np.hstack([common, population.features(12, rng)]))
        reference = cosines(common)
        for number in (10, 20, 40):
            values = []
            ends: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            for _ in range(trials):
                classes = population.drawn(number, rng)
                square = np.ix_(classes, classes)
                csms = [network[square], reference[square]]
                values.append(correlation(*csms))
                for by_cluster, found in ends.items():
                    clusters = population.clusters[classes] if by_cluster else None
                    matrices = CorrelatedMatrices(csms, clusters)
                    found.append(matrices.interval(first_pair) or (np.nan, np.nan))
            # The share of pairs within clusters depends on the number of clusters, so
            # the truth is the mean over draws of as many.
            truth = float(np.mean(values))
            rates = [
                rate([low <= truth <= high for low, high in found])
                for found in ends.values()
            ]
            yield f"| {name} | {number} | {' | '.join(rates)} |"


def of_cluster_differences(trials: int) -> Iterator[str]:
    """Yield the coverage of the difference of two networks' mean agreements over
    clusters of classes and seeds.
    """
    yield (
        "| classes of a cluster | clusters | repetitions | noise | over seeds |"
        " over classes | seeds and classes | over clusters | seeds and clusters |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    rng = np.random.default_rng(SEED + 3)
    for name, population in populations().items():
        common = population.features(16, rng)
        reference = cosines(common)
        all_features = [
            np.hstack([common, population.features(width, rng)]) for width in (12, 20)
        ]
        for clusters, number, noise in CLUSTER_CASES:
            networks = [Network(one, noise, in_pairs=False) for one in all_features]
            over_classes, over_clusters = [], []
            for _ in range(trials):
                drawn = population.drawn(clusters, rng)
                csms = [network.seeds(number, drawn, rng) for network in networks]
                block = reference[np.ix_(drawn, drawn)]
                over_classes.append(differences(csms, block))
                of_class = population.clusters[drawn]
                over_clusters.append(differences(csms, block, of_class))
            truth = float(np.mean([one.value for one, *_ in over_classes]))
            rates = [
                coverage(found, truth) for found in zip(*over_classes, strict=True)
            ]
            of_clusters = list(zip(*over_clusters, strict=True))[1:]
            rates += [coverage(found, truth) for found in of_clusters]
            case = f"{clusters} | {number} and {number} | {noise}"
            yield f"| {name} | {case} | {' | '.join(rates)} |"


def first_pair(correlations: Values) -> Values:
    """Return the correlation of the first two matrices."""
    return np.asarray(correlations[..., 0, 1])


def main() -> int:
    """Measure all rates, print the tables and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, help="instead of 300 and 1,000")
    options = parser.parse_args()
    found: list[str] = []
    for table, trials in (
        (of_corrected, 300),
        (of_differences, 1000),
        (of_clusters, 300),
        (of_cluster_differences, 1000),
    ):
        found.append("")
        for line in table(options.trials or trials):
            found.append(line)
            print(line, flush=True)
    write(PAGE, "\n".join(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
