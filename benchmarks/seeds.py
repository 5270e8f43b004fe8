"""How often intervals over seeds, classes and clusters of classes hold, on simulated
networks with a known truth: ``make bench-seeds`` writes the table of
``benchmarks/results/seeds.md``.

A population of classes has latent features. The reference is the cosine similarity of
some of them. A network's similarities are those of all of them, with noise of its own in
every seed: in each pair of classes, or in the features of each class. Some classes are
drawn at random, or some clusters of five classes with common features.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import write
from dsi_cli.metrics.cluster_jackknife import CorrelatedMatrices
from dsi_cli.metrics.differences import mean_difference
from dsi_cli.metrics.jackknife import standard_error
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
    yield "| repetitions | Welch's interval | over classes | joint interval |"
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
        hits: dict[str, list[bool]] = {"welch": [], "classes": [], "joint": []}
        for _ in range(trials):
            drawn = rng.choice(POPULATION, CLASSES, replace=False)
            block = reference[np.ix_(drawn, drawn)]
            whole, without = [], []
            for network in networks:
                csms = network.seeds(number, drawn, rng)
                matrices = CorrelatedMatrices([*csms, block])
                whole.append(matrices.whole[:-1, -1])
                without.append(matrices.without[:, :-1, -1].T)
            welch = mean_difference(whole[0], whole[1])
            variances = [
                [_variance(x, y) for x in without[0] for y in without[1]],
                *(
                    [_variance(x, y) for at, x in enumerate(side) for y in side[:at]]
                    for side in without
                ),
            ]
            joint = joint_difference(welch, *variances, CLASSES - 1)
            of_classes = standard_error(
                without[0].mean(axis=0) - without[1].mean(axis=0)
            )
            assert joint.low is not None
            assert joint.high is not None
            assert welch.low is not None
            assert welch.high is not None
            assert of_classes is not None
            assert welch.value is not None
            hits["welch"].append(welch.low <= truth <= welch.high)
            hits["classes"].append(abs(welch.value - truth) <= 2.0 * of_classes)
            hits["joint"].append(joint.low <= truth <= joint.high)
        rates = " | ".join(rate(found) for found in hits.values())
        yield f"| {number} and {number} | {rates} |"


def _variance(x: Values, y: Values) -> float:
    error = standard_error(x - y)
    assert error is not None
    return error**2


def of_clusters(trials: int) -> Iterator[str]:
    """Yield the coverage of the agreement's interval over classes and clusters."""
    yield "| clusters of five | over classes | over clusters |"
    yield "|---|---|---|"
    rng = np.random.default_rng(SEED + 2)
    clusters = 2 * POPULATION // CLUSTER_SIZE

    def clustered(width: int) -> Values:
        of_clusters = rng.normal(size=(clusters, width))
        features = np.repeat(of_clusters, CLUSTER_SIZE, axis=0)
        return features + 0.7 * rng.normal(size=features.shape)

    common, own = clustered(16), clustered(12)
    network, reference = cosines(np.hstack([common, own])), cosines(common)
    for number in (10, 20, 40):
        values = []
        ends: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        for _ in range(trials):
            drawn = rng.choice(clusters, number, replace=False)
            classes = (drawn[:, None] * CLUSTER_SIZE + np.arange(CLUSTER_SIZE)).ravel()
            square = np.ix_(classes, classes)
            values.append(correlation(network[square], reference[square]))
            for by_cluster, found in ends.items():
                matrices = CorrelatedMatrices(
                    [network[square], reference[square]],
                    np.repeat(np.arange(number), CLUSTER_SIZE) if by_cluster else None,
                )
                found.append(matrices.interval(first_pair) or (np.nan, np.nan))
        # The share of pairs within clusters depends on the number of clusters, so the
        # truth is the mean over draws of as many.
        truth = float(np.mean(values))
        rates = [
            rate([low <= truth <= high for low, high in found])
            for found in ends.values()
        ]
        yield f"| {number} | {' | '.join(rates)} |"


def first_pair(correlations: Values) -> Values:
    """Return the correlation of the first two matrices."""
    return np.asarray(correlations[..., 0, 1])


def main() -> int:
    """Measure all rates, print the tables and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--trials", type=int, default=300)
    options = parser.parse_args()
    found: list[str] = []
    for table in (of_corrected, of_differences, of_clusters):
        found.append("")
        for line in table(options.trials):
            found.append(line)
            print(line, flush=True)
    write(PAGE, "\n".join(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
