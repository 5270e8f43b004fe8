"""The coverage of intervals, p-values and phases: ``make bench-statistics`` writes ``benchmarks/results/statistics.md``.

The data are the 1,000 classes of a published ImageNet classifier, two CIFAR-100 runs, and 12 trainings each of two text networks
that differ by the seed alone. All draws are seeded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.rows import write
from dsi_cli import read_head, wordnet_csm
from dsi_cli.metrics import jackknife, p_values, permutation_null
from dsi_cli.metrics.differences import (
    CsmPair,
    Difference,
    LabelledPredictions,
    accuracy_difference,
    alignment_difference,
    holm,
    idm_difference,
    max_wsi_difference,
    mean_difference,
)
from dsi_cli.metrics.measures import off_diagonal
from dsi_cli.metrics.p_values import RelabelledMatrix
from dsi_cli.metrics.phases import Phases, phases
from dsi_cli.metrics.prepared_matrix import PreparedMatrix
from dsi_cli.similarity import weight_similarity

METHOD = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "statistics.md"
HEAD = "heads/imagenet1k-efficientnet-lite0.npy"
SAMPLES, RELABELLINGS, NOISE_CURVES, GROUPINGS = 1500, 300_000, 1000, 200
SEED = 20261
NETWORKS = ("mean", "attn")
Matrix = NDArray[np.floating]
Row = tuple[str, str, str]
"""The measured quantity, its value, and the wanted value."""


@dataclass(frozen=True)
class Training:
    """A training run: its NCSMs by epoch, its last predictions, and the reference matrix."""

    csms: list[Matrix]
    reference: Matrix
    samples: LabelledPredictions

    @property
    def curve(self) -> NDArray[np.float64]:
        """The agreement with the reference at each epoch."""
        return np.array([agreement(csm, self.reference) for csm in self.csms])

    def phases(self, epochs: NDArray[np.intp] | None = None) -> Phases:
        """Return the phases of the agreement, from all epochs or from some."""
        kept = np.arange(len(self.csms)) if epochs is None else epochs
        reference = PreparedMatrix(self.reference)
        without = [jackknife.excess_without(PreparedMatrix(self.csms[epoch]), reference, "pearson") for epoch in kept]
        return phases(kept, self.curve[kept], start=0.0, without=np.stack(without))


def main() -> int:
    """Measure all rows, print the table and write it."""
    shared = os.environ.get("DSI_SHARED")
    if not shared:
        print("the shared data are needed: DSI_SHARED=/path/to/shared python -m benchmarks.statistics")
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
    cnn, vit = (load_training(data / "runs" / f"cifar100-{name}", "cifar100") for name in ("cnn", "vit"))
    yield lowered_pair(cnn)
    seeds = {name: [load_training(data / "seeds" / f"{name}_seed{seed}", None) for seed in range(12)] for name in NETWORKS}
    yield from single_trainings(seeds)
    yield from three_seeds(seeds)
    yield thinning(cnn)
    yield from times_of_seeds(seeds)
    yield from refinements({"CNN": cnn, "ViT": vit})
    yield from tails(cnn)
    yield noise()


def load_training(folder: Path, labels: str | None) -> Training:
    """Return a training run of the shared data; its folder has the classes unless ``labels`` names a list."""
    reference = wordnet_csm(labels or str(folder / "classes.txt")).to_numpy(np.float32)
    csms = [weight_similarity(np.asarray(read_head(path))) for path in sorted(folder.glob("epoch_*.pt"))]
    samples = LabelledPredictions(np.load(folder / "targets.npy"), np.load(folder / "preds.npy")[-1])
    return Training(csms, reference, samples)


def agreement(a: Matrix, b: Matrix) -> float:
    """Return Pearson's correlation of the off-diagonal values."""
    return float(np.corrcoef(off_diagonal(a).ravel(), off_diagonal(b).ravel())[0, 1])


def cosine_excess(a: Matrix, b: Matrix) -> tuple[float, float]:
    """Return the cosine SAI and its excess over chance."""
    x, y = (PreparedMatrix(matrix).scaled.all_pairs.values for matrix in (a, b))
    lengths = float(np.sqrt((x @ x) * (y @ y)))
    value, chance = float(x @ y) / lengths, float(x.sum() * y.sum()) / len(x) / lengths
    return value, (value - chance) / (1 - chance)


def coverage(network: Matrix, reference: Matrix) -> Iterator[Row]:
    """Yield how often the interval of the agreement holds its value for all classes, and the values by number of classes."""
    truth, rng = agreement(network, reference), np.random.default_rng(SEED)
    values: dict[int, tuple[float, float, float]] = {1000: (*cosine_excess(network, reference), truth)}
    for classes in (20, 50, 100, 200):
        found = []
        for _ in range(SAMPLES):
            kept = np.ix_(*2 * [rng.choice(len(network), classes, replace=False)])
            a, b = PreparedMatrix(network[kept]), PreparedMatrix(reference[kept])
            value = agreement(a.matrix, b.matrix)
            variance = jackknife.pair_variance(a, b, "pearson", value)
            interval = jackknife.interval(value, jackknife.excess_without(a, b, "pearson"), variance)
            assert interval is not None
            found.append((value, *interval, *cosine_excess(a.matrix, b.matrix)))
        value, low, high, cosine, excess = np.array(found).T
        values[classes] = (float(cosine.mean()), float(excess.mean()), float(value.mean()))
        holds = 100 * np.mean((low <= truth) & (truth <= high))
        width = np.mean(high - low) / 2 / (1.96 * value.std())
        what = f"95 % CI of the agreement, {classes} of 1,000 classes drawn: holds the value of all, width over 1.96 sd"
        yield what, f"{holds:.1f} %, {width:.2f}", "94 to 98 %, at most 1.3"
    for column, name in enumerate(("raw cosine", "cosine excess", "agreement (Pearson)")):
        value_list = " / ".join(f"{values[classes][column]:.3f}" for classes in (20, 100, 1000))
        yield f"one ImageNet head at 20 / 100 / 1,000 classes: {name}", value_list, ("", "", "the same")[column]


def lowered_pair(run: Training) -> Row:
    """Return how much one of 4,950 pairs of classes changes the excess of the cosine, and the agreement."""
    before = run.csms[-1]
    after, pair = before.copy(), np.unravel_index(before.argmin(), before.shape)
    after[pair] = after[pair[::-1]] = -0.6
    excess = [cosine_excess(csm, run.reference)[1] for csm in (before, after)]
    pearson = [agreement(csm, run.reference) for csm in (before, after)]
    what = f"one of 4,950 pairs lowered from {before.min():.2f} to -0.60: cosine excess; agreement"
    return what, f"{excess[0]:.3f} to {excess[1]:.3f}; {pearson[0]:.3f} to {pearson[1]:.3f}", "the agreement stays"


def differences_of(a: Training, b: Training) -> dict[str, Difference]:
    """Return the differences of two trainings at their last epochs, by criterion."""
    first, second = a.csms[-1], b.csms[-1]
    return {
        "agreement": alignment_difference(CsmPair(first, a.reference), CsmPair(second, b.reference), "pearson"),
        "Max WSI": max_wsi_difference(first, second),
        "NIDM": idm_difference((a.samples, first), (b.samples, second)),
        "WIDM": idm_difference((a.samples, a.reference), (b.samples, b.reference)),
        "accuracy": accuracy_difference(a.samples, b.samples),
    }


def single_trainings(seeds: dict[str, list[Training]]) -> Iterator[Row]:
    """Yield how often intervals of two trainings that differ by the seed alone exclude 0, without and with Holm's correction."""
    for name, trainings in seeds.items():
        excluding, rejected = [], []
        for a, b in combinations(trainings, 2):
            found = differences_of(a, b)
            excluding.append([difference.excludes_zero for difference in found.values()])
            steps = holm([difference.p_value or 0.0 for difference in found.values()])
            rejected.append(any(step.p_value < 0.05 for step in steps))
        shares = 100 * np.mean(excluding, axis=0)
        each = ", ".join(f"{criterion} {share:.0f}" for criterion, share in zip(found, shares, strict=True))
        what = f"two seeds of one training ({name}): pairs with any CI that excludes 0 (each criterion)"
        any_share = 100 * np.mean(np.any(excluding, axis=1))
        corrected = 100 * np.mean(rejected)
        yield what, f"{any_share:.0f} %, {corrected:.0f} % after Holm ({each} %)", "no preference from single runs"


def three_seeds(seeds: dict[str, list[Training]]) -> Iterator[Row]:
    """Yield how often intervals over three seeds per network exclude 0, for the same training and for different trainings."""
    values = {name: [_last_values(training) for training in trainings] for name, trainings in seeds.items()}
    rng = np.random.default_rng(SEED)
    for what, first, second in (("the same", "mean", "mean"), ("the same", "attn", "attn"), ("different", *NETWORKS)):
        excluding, rejected = [], []
        for _ in range(GROUPINGS):
            drawn = rng.permutation(12)
            other = drawn[3:6] if first == second else rng.permutation(12)[:3]
            a = np.array([values[first][index] for index in drawn[:3]])
            b = np.array([values[second][index] for index in other])
            found = [mean_difference(x.tolist(), y.tolist()) for x, y in zip(a.T, b.T, strict=True)]
            excluding.append([difference.excludes_zero for difference in found])
            rejected.append(any(step.p_value < 0.05 for step in holm([one.p_value or 0.0 for one in found])))
        each = 100 * np.mean(excluding, axis=0)
        wanted = "found in all" if first != second else "each 0 to 5 %, any 4 to 6 %"
        any_share, corrected = 100 * np.mean(np.any(excluding, axis=1)), 100 * np.mean(rejected)
        text = f"each {each.min():.0f} to {each.max():.0f} %, any {any_share:.0f} %, any after Holm {corrected:.0f} %"
        yield f"three seeds per network, {what} training ({first}, {second}): CI excludes 0", text, wanted


def _last_values(training: Training) -> list[float]:
    """Return agreement, Max WSI, NIDM, WIDM and accuracy at the last epoch."""
    values = [difference.first for difference in differences_of(training, training).values()]
    return [value for value in values if value is not None]


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
        "t90 of the CNN from all epochs, no epoch 0, every 2nd, the odd ones, every 3rd",
        times,
        "2.7, 2.7, 3.0, 2.8, 2.9",
    )


def times_of_seeds(seeds: dict[str, list[Training]]) -> Iterator[Row]:
    """Yield the spread of t90 over seeds, and how often its interval holds the mean of all seeds."""
    for name, trainings in seeds.items():
        t90, low, high = np.array([_end_of_surge(training.phases()) for training in trainings]).T
        holds = 100 * np.mean((low <= t90.mean()) & (t90.mean() <= high))
        text = f"mean {t90.mean():.1f}, sd {t90.std(ddof=1):.2f}; {holds:.0f} %"
        yield f"t90 over 12 seeds ({name}); CI holds the seeds' mean", text, "sd 0.21 to 0.34; 96 to 100 %"


def refinements(runs: dict[str, Training]) -> Iterator[Row]:
    """Yield the change of the agreement since its peak."""
    for name, run in runs.items():
        phase = next((phase for phase in run.phases().found if phase.name == "refinement"), None)
        text = "no refinement"
        if phase is not None:
            text = f"{phase.gain:.3f} [{phase.gain_low:.3f}, {phase.gain_high:.3f}]"
        yield f"refinement of the {name}: change of the agreement since the peak, 95 % CI", text, "a slight fall"


def tails(run: Training) -> Iterator[Row]:
    """Yield p-values of quantiles of many relabellings, for matrices with and without a formula."""
    csm, classes = run.csms[1], len(run.reference)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (run.samples.targets, run.samples.predictions), 1)
    few = counts * (np.arange(classes) < 3)
    pairs = {
        "NCSM, WordNet": (csm, run.reference),
        "CCSM, WordNet": (counts / counts.sum(axis=1, keepdims=True), run.reference),
        "mistakes in 3 columns, WordNet": (few, run.reference),
    }
    rng = np.random.default_rng(SEED)
    for name, (first, second) in pairs.items():
        x = RelabelledMatrix(permutation_null.centred_off_diagonal(np.asarray(first, dtype=np.float64)))
        y = RelabelledMatrix(permutation_null.centred_off_diagonal(np.asarray(second, dtype=np.float64)))
        orders = rng.permuted(np.tile(np.arange(classes), (RELABELLINGS, 1)), axis=1)
        row, column, weight = x.entries
        flat = y.values.ravel()
        sums = np.concatenate(
            [flat.take(some[:, row] * classes + some[:, column]) @ weight for some in np.array_split(orders, 100)]
        )
        z = (sums - sums.mean()) / p_values.deviation(x, y)
        found = []
        for share in (0.05, 0.01, 0.001):
            index = np.argsort(z)[-int(share * len(z))]
            relabelled = RelabelledMatrix(y.values[np.ix_(orders[index], orders[index])])
            found.append(p_values.p_value(x, relabelled, float(z[index])))
        text = " / ".join(f"{p_value:.5f}" for p_value in found if p_value is not None)
        yield (
            f"p-values of the 5, 1 and 0.1 % most similar of {RELABELLINGS:,} relabellings ({name})",
            text,
            "0.05 / 0.01 / 0.001, to a factor of 1.2",
        )
        yield f"share of relabellings with z above 3 ({name})", f"{100 * np.mean(z > 3):.2f} %", "normal: 0.13 %"


def noise() -> Row:
    """Return how many curves of noise, with a correlation of 0.7 between neighbouring epochs, have a phase."""
    rng, number = np.random.default_rng(SEED), 0
    for _ in range(NOISE_CURVES):
        curve = rng.standard_normal(31)
        for epoch in range(1, 31):
            curve[epoch] = 0.7 * curve[epoch - 1] + 0.51**0.5 * curve[epoch]
        number += bool(phases(np.arange(31), curve).found)
    return (
        f"{NOISE_CURVES:,} noise curves of 31 epochs: have a phase",
        f"{100 * number / NOISE_CURVES:.1f} %",
        "at most 5 %",
    )


if __name__ == "__main__":
    raise SystemExit(main())
