"""The coverage of intervals and p-values, and phases: ``make bench-statistics`` writes
``benchmarks/results/statistics.md``.

The data are the 1,000 classes of a published ImageNet classifier, two CIFAR-100 runs,
and trainings that differ by the seed alone: 12 each of two text networks, and 6 each of
two networks on CIFAR-100. All draws are seeded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from threadpoolctl import threadpool_limits

from benchmarks.rows import write
from dsi_cli import analyze, read_head, wordnet_csm
from dsi_cli.cli.compare import SHORT_TITLES
from dsi_cli.metrics import jackknife, p_values, permutation_null
from dsi_cli.metrics.alignment import MatrixPair, alignments
from dsi_cli.metrics.differences import mean_difference
from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.metrics.p_values import RelabelledMatrix
from dsi_cli.metrics.phases import Phases, phases
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.queries.comparison.compare import MEASURES
from dsi_cli.queries.comparison.criteria import (
    RunAtEpoch,
    main_criteria,
    stored_value,
)
from dsi_cli.queries.comparison.equal_accuracy import at_equal_accuracy
from dsi_cli.queries.comparison.repetitions import RepeatedRuns
from dsi_cli.queries.comparison.runs import ComparedRun, compared_runs
from dsi_cli.similarity import weight_similarity

METHOD = (
    Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "statistics.md"
)
HEAD = "heads/imagenet1k-efficientnet-lite0.npy"
SAMPLES, RELABELLINGS, GROUPINGS = 1500, 300_000, 200
TRIALS = 1000  # the number of simulated triples of matrices
SEED = 20261
NETWORKS = ("mean", "attn")
Matrix = NDArray[np.floating]
Row = tuple[str, str, str]
"""The measured quantity, its value, and the wanted value."""


@dataclass(frozen=True)
class Training:
    """A training run: its NCSMs by epoch, the reference matrix, and the confusion
    counts ``(C, C)`` of the last epoch.
    """

    csms: list[Matrix]
    reference: Matrix
    counts: NDArray[np.float64]

    @property
    def curve(self) -> NDArray[np.float64]:
        """The agreement with the reference at each epoch."""
        return np.array([agreement(csm, self.reference) for csm in self.csms])

    def phases(self, epochs: NDArray[np.intp] | None = None) -> Phases:
        """Return the phases of the agreement, from all epochs or from some."""
        kept = np.arange(len(self.csms)) if epochs is None else epochs
        reference = PreparedMatrix(self.reference)
        order = np.arange(reference.classes)
        pairs = [
            MatrixPair(PreparedMatrix(self.csms[epoch]), reference, order)
            for epoch in kept
        ]
        without = [
            jackknife.excess_without(pair.of_values, "pearson") for pair in pairs
        ]
        return phases(kept, self.curve[kept], start=0.0, without=np.stack(without))


def main() -> int:
    """Measure all rows, print the table and write it."""
    shared = os.environ.get("DSI_SHARED")
    if not shared:
        print(
            "the shared data are needed: DSI_SHARED=/path/to/shared python -m"
            " benchmarks.statistics"
        )
        return 2
    data = Path(shared) / "data"
    lines = ["| what | value | wanted |", "|---|---|---|"]
    with threadpool_limits(limits=1):
        for row in measure(data):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    write(METHOD, "\n".join(lines))
    return 0


def measure(data: Path) -> Iterator[Row]:
    """Yield all rows of the table."""
    network = weight_similarity(np.load(data / HEAD))
    reference = wordnet_csm("imagenet1k").to_numpy(np.float32)
    yield from coverage(network, reference)
    cnn, vit = (
        load_training(data / "runs" / f"cifar100-{name}", "cifar100")
        for name in ("cnn", "vit")
    )
    yield lowered_pair(cnn)
    seeds = {
        name: [
            load_training(data / "seeds" / f"{name}_seed{seed}", None)
            for seed in range(12)
        ]
        for name in NETWORKS
    }
    yield from compared_networks(data / "seeds", NETWORKS)
    yield from compared_networks(data / "seeds-cifar100", ("cnn", "vit"))
    yield thinning(cnn)
    yield from times_of_seeds(seeds)
    yield from declines({"CNN": cnn, "ViT": vit})
    yield from tails(cnn)


def load_training(folder: Path, labels: str | None) -> Training:
    """Return a training run of the shared data; its folder has the classes unless
    ``labels`` names a list.
    """
    reference = wordnet_csm(labels or str(folder / "classes.txt")).to_numpy(np.float32)
    csms = [
        weight_similarity(np.asarray(read_head(path)))
        for path in sorted(folder.glob("epoch_*.pt"))
    ]
    counts = np.zeros(reference.shape)
    np.add.at(
        counts, (np.load(folder / "targets.npy"), np.load(folder / "preds.npy")[-1]), 1
    )
    return Training(csms, reference, counts)


def agreement(a: Matrix, b: Matrix) -> float:
    """Return Pearson's correlation of the off-diagonal values."""
    return float(np.corrcoef(off_diagonal(a).ravel(), off_diagonal(b).ravel())[0, 1])


def cosine_excess(a: Matrix, b: Matrix) -> tuple[float, float]:
    """Return the cosine SAI and its excess over chance."""
    entry = alignments(a, b, ["cosine"], permutations=0)["cosine"]
    assert entry.value is not None
    assert entry.excess is not None
    return entry.value, entry.excess


def coverage(network: Matrix, reference: Matrix) -> Iterator[Row]:
    """Yield how often the interval of the agreement holds its value for all classes,
    and the values by number of classes.
    """
    truth, rng = agreement(network, reference), np.random.default_rng(SEED)
    values: dict[int, tuple[float, float, float]] = {
        1000: (*cosine_excess(network, reference), truth)
    }
    for classes in (20, 50, 100, 200):
        found = []
        for _ in range(SAMPLES):
            kept = np.ix_(*2 * [rng.choice(len(network), classes, replace=False)])
            a, b = PreparedMatrix(network[kept]), PreparedMatrix(reference[kept])
            value = agreement(a.matrix, b.matrix)
            pair = MatrixPair(a, b, np.arange(classes))
            variance = jackknife.pair_variance(pair.of_values, value)
            without = jackknife.excess_without(pair.of_values, "pearson")
            interval = jackknife.interval(value, without, variance)
            assert interval is not None
            found.append((value, *interval, *cosine_excess(a.matrix, b.matrix)))
        value, low, high, cosine, excess = np.array(found).T
        values[classes] = (
            float(cosine.mean()),
            float(excess.mean()),
            float(value.mean()),
        )
        holds = 100 * np.mean((low <= truth) & (truth <= high))
        width = np.mean(high - low) / 2 / (1.96 * value.std())
        what = (
            f"95 % CI of the agreement, {classes} of 1,000 classes drawn: holds the"
            " value of all, width over 1.96 sd"
        )
        yield what, f"{holds:.1f} %, {width:.2f}", "94 to 98 %, at most 1.3"
    for column, name in enumerate(
        ("raw cosine", "cosine excess", "agreement (Pearson)")
    ):
        value_list = " / ".join(
            f"{values[classes][column]:.3f}" for classes in (20, 100, 1000)
        )
        yield (
            f"one ImageNet head at 20 / 100 / 1,000 classes: {name}",
            value_list,
            ("", "", "the same")[column],
        )


def lowered_pair(run: Training) -> Row:
    """Return how much one of 4,950 pairs of classes changes the excess of the cosine,
    and the agreement.
    """
    before = run.csms[-1]
    after, pair = before.copy(), np.unravel_index(before.argmin(), before.shape)
    after[pair] = after[pair[::-1]] = -0.6
    excess = [cosine_excess(csm, run.reference)[1] for csm in (before, after)]
    pearson = [agreement(csm, run.reference) for csm in (before, after)]
    what = (
        f"one of 4,950 pairs lowered from {before.min():.2f} to -0.60: cosine excess;"
        " agreement"
    )
    return (
        what,
        f"{excess[0]:.3f} to {excess[1]:.3f}; {pearson[0]:.3f} to {pearson[1]:.3f}",
        "the agreement stays",
    )


def compared_networks(folder: Path, networks: tuple[str, str]) -> Iterator[Row]:
    """Yield how often ``dsi compare`` finds a difference between trainings, single or
    repeated, of one network or of two.

    The runs are compared at equal accuracy, and their intervals are corrected by Holm's
    method.
    """
    with TemporaryDirectory() as out:
        analyze(folder, out, permutations=0, report=False)
        runs = compared_runs([out], ())
        trainings = {
            name: [run for run in runs if run.name.startswith(name)]
            for name in networks
        }
        for name, members in trainings.items():
            single = [RepeatedRuns(run.label, [run]) for run in members]
            pairs = [*combinations(single, 2)]
            yield _differing(
                f"two seeds of one network ({name})",
                pairs,
                len(members) // 2,
                "no preference from single runs",
            )
        rng, seeds = np.random.default_rng(SEED), len(runs) // 2
        first, second = networks
        for a, b in ((first, first), (second, second), networks):
            pairs = []
            for _ in range(GROUPINGS):
                drawn = rng.permutation(seeds)
                other = drawn[3:6] if a == b else rng.permutation(seeds)[:3]
                chosen = ((a, drawn[:3]), (b, other))
                x, y = (
                    RepeatedRuns(name, [trainings[name][index] for index in which])
                    for name, which in chosen
                )
                pairs.append((x, y))
            wanted = "found in all" if a != b else "each 0 to 5 %, any 4 to 6 %"
            disjoint = seeds // 3 if a != b else seeds // 6
            which = "each network" if a != b else "one network"
            yield _differing(
                f"three and three seeds of {which} ({a}, {b})", pairs, disjoint, wanted
            )
        yield _within_dots(trainings)


def _differing(
    what: str,
    pairs: list[tuple[RepeatedRuns, RepeatedRuns]],
    disjoint: int,
    wanted: str,
) -> Row:
    """Return in which share of pairs the interval of each criterion excludes 0, and
    that of any.

    Pairs share seeds, so that the interval of a share counts only as many pairs as
    share none (`disjoint`).
    """
    found = []
    for pair in pairs:
        rows = at_equal_accuracy(*pair, MEASURES, 0.01, "test").main_rows
        found.append({row["quantity"]: bool(row["excludes_zero"]) for row in rows})
    shares = {
        SHORT_TITLES.get(name, name): float(np.mean([one[name] for one in found]))
        for name in found[0]
    }
    shares["any"] = float(np.mean([any(one.values()) for one in found]))
    texts = []
    for name, share in shares.items():
        low, high = share_interval(share, disjoint)
        texts.append(f"{name} {100 * share:.1f} % [{100 * low:.0f}, {100 * high:.0f}]")
    return (
        f"{what}: the CI excludes 0 [95 % CI of the share; disjoint pairs: {disjoint}]",
        ", ".join(texts),
        wanted,
    )


def share_interval(share: float, independent: int) -> tuple[float, float]:
    """Return the exact 95 % confidence interval of a share of independent comparisons
    (Clopper and Pearson 1934).
    """
    hits = share * independent
    low = float(betaincinv(hits, independent - hits + 1, 0.025)) if share > 0 else 0.0
    high = float(betaincinv(hits + 1, independent - hits, 0.975)) if share < 1 else 1.0
    return low, high


def _within_dots(trainings: dict[str, list[ComparedRun]]) -> Row:
    """Return how often two seeds differ by less than the range that ``dsi compare``
    draws from three other seeds of each.
    """
    shares = []
    for quantity in main_criteria(MEASURES[0]):
        at_epochs = [
            [RunAtEpoch(run, run.epochs[-1], np.arange(0), "test") for run in runs]
            for runs in trainings.values()
        ]
        values = [
            np.array([stored_value(quantity, at_epoch) for at_epoch in runs])
            for runs in at_epochs
        ]
        rng, holds = np.random.default_rng(SEED), []
        for _ in range(GROUPINGS):
            drawn = [rng.permutation(of_network) for of_network in values]
            limit = mean_difference(
                *(of_network[:3].tolist() for of_network in drawn)
            ).seed_range
            assert limit is not None
            holds += [
                abs(a - b) <= limit
                for of_network in drawn
                for a, b in combinations(of_network[3:], 2)
            ]
        shares.append(
            f"{SHORT_TITLES.get(quantity.name, quantity.title)} {100 * np.mean(holds):.0f} %"
        )
    names = " and ".join(trainings)
    return (
        f"pairs of seeds within the dots that three other seeds of {names} give",
        ", ".join(shares),
        "about 95 %",
    )


def _end_of_surge(found: Phases) -> tuple[float, float, float]:
    """Return t90 with its interval."""
    t90 = next(phase for phase in found.found if phase.name == "t90")
    return t90.last_epoch, t90.low, t90.high


def thinning(run: Training) -> Row:
    """Return t90 of one run when other checkpoints are kept."""
    epochs = np.arange(len(run.csms))
    kept = (epochs, epochs[1:], epochs[::2], epochs[1::2], epochs[::3])
    times = ", ".join(f"{_end_of_surge(run.phases(which))[0]:.1f}" for which in kept)
    return (
        (
            "t90 of the CNN from all epochs, no epoch 0, every 2nd, the odd ones,"
            " every 3rd"
        ),
        times,
        "2.7, 2.7, 3.0, 3.0, 3.0",
    )


def times_of_seeds(seeds: dict[str, list[Training]]) -> Iterator[Row]:
    """Yield the spread of t90 over seeds, and how often its interval holds the mean of
    all seeds.
    """
    for name, trainings in seeds.items():
        t90, low, high = np.array(
            [_end_of_surge(training.phases()) for training in trainings]
        ).T
        holds = 100 * np.mean((low <= t90.mean()) & (t90.mean() <= high))
        text = f"mean {t90.mean():.1f}, sd {t90.std(ddof=1):.2f}; {holds:.0f} %"
        yield (
            f"t90 over 12 seeds ({name}); CI holds the seeds' mean",
            text,
            "sd 0.21 to 0.34; 96 to 100 %",
        )


def declines(runs: dict[str, Training]) -> Iterator[Row]:
    """Yield the change of the agreement over its plateau."""
    for name, run in runs.items():
        phase = run.phases().found[1]
        text = (
            f"{phase.gain:.3f} [{phase.gain_low:.3f}, {phase.gain_high:.3f}],"
            f" {phase.reason or phase.name}"
        )
        yield (
            f"change of the agreement of the {name} over its plateau, 95 % CI",
            text,
            "",
        )


def tails(run: Training) -> Iterator[Row]:
    """Yield p-values of quantiles of many relabellings, for matrices with and without a
    formula.
    """
    csm, counts, classes = run.csms[1], run.counts, len(run.reference)
    few = counts * (np.arange(classes) < 3)
    pairs = {
        "NCSM, WordNet": (csm, run.reference),
        "CCSM, WordNet": (counts / counts.sum(axis=1, keepdims=True), run.reference),
        "mistakes in 3 columns, WordNet": (few, run.reference),
    }
    rng = np.random.default_rng(SEED)
    for name, (first, second) in pairs.items():
        x = RelabelledMatrix(
            permutation_null.centred_off_diagonal(np.asarray(first, dtype=np.float64))
        )
        y = RelabelledMatrix(
            permutation_null.centred_off_diagonal(np.asarray(second, dtype=np.float64))
        )
        orders = rng.permuted(np.tile(np.arange(classes), (RELABELLINGS, 1)), axis=1)
        row, column, weight = x.entries
        flat = y.values.ravel()
        sums = np.concatenate(
            [
                flat.take(some[:, row] * classes + some[:, column]) @ weight
                for some in np.array_split(orders, 100)
            ]
        )
        z = (sums - sums.mean()) / permutation_null.product_deviation(
            x.moments, y.moments
        )
        found = []
        for share in (0.05, 0.01, 0.001):
            index = np.argsort(z)[-int(share * len(z))]
            relabelled = RelabelledMatrix(
                y.values[np.ix_(orders[index], orders[index])]
            )
            found.append(p_values.p_value(x, relabelled, float(z[index])))
        text = " / ".join(f"{p_value:.5f}" for p_value in found if p_value is not None)
        yield (
            (
                f"p-values of the 5, 1 and 0.1 % most similar of {RELABELLINGS:,}"
                f" relabellings ({name})"
            ),
            text,
            "0.05 / 0.01 / 0.001, to a factor of 1.2",
        )
        yield (
            f"share of relabellings with z above 3 ({name})",
            f"{100 * np.mean(z > 3):.2f} %",
            "normal: 0.13 %",
        )


if __name__ == "__main__":
    raise SystemExit(main())
