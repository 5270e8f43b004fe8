"""How often inputs in another order are noticed: ``python -m benchmarks.input_agreement``
writes the tables of ``benchmarks/results/input_agreement.md``.

The data are trainings on CIFAR-100, Fashion-MNIST and text, those with planted faults,
and a published ImageNet classifier with simulated confusions. The constants were chosen
on networks with an even number, and the tables have the rates of the others. All draws
are seeded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.rows import write
from dsi_cli import read_head, wordnet_csm
from dsi_cli.analysis.tables.input_agreement import shift
from dsi_cli.metrics import input_agreement
from dsi_cli.metrics.input_agreement import Contradiction, Inputs
from dsi_cli.similarity import (
    centred_weight_similarity,
    confusion_counts,
    weight_similarity,
)

PAGE = Path(__file__).resolve().parent / "results" / "input_agreement.md"
HEAD = "heads/imagenet1k-efficientnet-lite0.npy"
DRAWS, CLEAN_DRAWS = 200, 1000
SIZES = ((10, 19), (20, 49), (50, 199), (200, 1000))
MIN_ACCURACY = 0.3
IMAGENET_HEADS = 40
SEED = 20270
Matrix = NDArray[np.float64]
Counts = NDArray[np.int64]
Order = NDArray[np.intp]


@dataclass(frozen=True)
class Network:
    """A trained head, its confusion counts (zeros if they are simulated), and the
    reference of the right names.
    """

    name: str
    weight: Matrix
    counts: Counts
    reference: Matrix

    @property
    def accuracy(self) -> float:
        """The accuracy of the predictions."""
        return input_agreement.accuracy_of(self.counts)


def main() -> None:
    """Measure everything, and write the tables into the page."""
    half = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    shared = Path(os.environ["DSI_SHARED"]) / "data"
    networks = list(_networks(shared))[half::2]
    with threadpool_limits(1):
        lines = [
            "| disorder | 10 to 19 classes | 20 to 49 | 50 to 199 | 200 to 1,000 |"
            " 20 to 1,000 |"
            " names the order, if tried |",
            "|---|---|---|---|---|---|---|",
            *_lines(networks),
            "",
            "| predictions of the epoch before, after or right | trainings | noticed by"
            " the head's changes | by the log |",
            "|---|---|---|---|",
            *_shift_lines(shared, half),
        ]
    text = "\n".join(lines)
    print(text)
    if half == 1:
        write(PAGE, text)


def _networks(shared: Path) -> Iterator[Network]:
    cifar100 = wordnet_csm("cifar100").to_numpy(np.float64)
    fashion = wordnet_csm("fashion-mnist").to_numpy(np.float64)
    runs = [
        ("runs/cifar100-cnn", cifar100, (2, 5, 10, 20, 30)),
        ("runs/cifar100-vit", cifar100, (2, 5, 10, 20, 30)),
        ("runs/fashion-mnist-tinycnn", fashion, (1, 2, 5, 15)),
    ]
    for seed in range(6):
        for kind in ("cnn", "vit"):
            folder = f"seeds-cifar100/{kind}_seed{seed}"
            runs.append((folder, cifar100, (3, 6, 12)))
    nouns = wordnet_csm(str(shared / "seeds/attn_seed0/classes.txt"))
    for seed in range(12):
        for kind in ("attn", "mean"):
            reference = nouns.to_numpy(np.float64)
            runs.append((f"seeds/{kind}_seed{seed}", reference, (4, 15)))
    for case in range(28):
        folder = f"faults/case_{case:03}"
        names = wordnet_csm(str(shared / folder / "classes.txt"))
        runs.append((folder, names.to_numpy(np.float64), (5, 10)))
    for folder, reference, epochs in runs:
        predictions = np.load(shared / folder / "preds.npy").astype(np.int64)
        targets = np.load(shared / folder / "targets.npy").astype(np.int64)
        for epoch in epochs:
            (path,) = (shared / folder).glob(f"epoch_{epoch:03}.*")
            weight = np.asarray(read_head(path), dtype=np.float64)
            counts = confusion_counts(targets, predictions[epoch], len(weight))
            yield Network(folder, weight, np.asarray(counts), reference)
    weight = np.load(shared / HEAD).astype(np.float64)
    imagenet = wordnet_csm("imagenet1k").to_numpy(np.float64)
    for _ in range(IMAGENET_HEADS):
        yield Network("ImageNet", weight, np.zeros(imagenet.shape, np.int64), imagenet)


def _simulated(weight: Matrix, generator: np.random.Generator) -> Counts:
    """Return simulated confusion counts of a head. The odds of a mistake rise with the
    similarity of two classes and with a random factor, and the correlations with the
    head are those of the trainings.
    """
    accuracy, samples = generator.uniform(0.3, 0.9), generator.integers(10, 51)
    similarity = centred_weight_similarity(weight).astype(np.float64)
    off = ~np.eye(len(similarity), dtype=bool)
    standard = (similarity - similarity[off].mean()) / similarity[off].std()
    noise = generator.uniform(0.7, 1.3) * generator.normal(size=similarity.shape)
    odds = np.exp(1.2 * standard + noise)
    np.fill_diagonal(odds, 0.0)
    shares = (1 - accuracy) * odds / odds.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, accuracy)
    return generator.multinomial(int(samples), shares)


def _part(
    network: Network, generator: np.random.Generator, low: int, high: int
) -> Network:
    """Return some classes of a network in a random order."""
    known = np.flatnonzero(~np.isnan(np.diagonal(network.reference)))
    ends = np.log([low, min(high, len(known)) + 1])
    size = int(np.exp(generator.uniform(*ends)))
    kept = generator.permutation(known)[:size]
    square = np.ix_(kept, kept)
    weight = network.weight[kept]
    counts = _simulated(weight, generator)
    if network.counts.any():
        counts = network.counts[square]
    return Network(network.name, weight, counts, network.reference[square])


def _draws(
    networks: list[Network], draws: int, low: int, high: int, seed: int
) -> Iterator[tuple[Network, np.random.Generator]]:
    generator = np.random.default_rng(seed)
    made = 0
    large = [one for one in networks if len(one.weight) >= low]
    while made < draws:
        part = _part(large[generator.integers(len(large))], generator, low, high)
        if part.accuracy > MIN_ACCURACY:
            made += 1
            yield part, generator


def _orders(
    classes: int, generator: np.random.Generator
) -> tuple[Mapping[str, list[Order]], Order, bool]:
    """Return the orders that dsi tries for a list whose names are in random order, a
    disorder, and whether dsi tries the order that puts it right.
    """
    names = [f"{number:05}" for number in generator.permutation(10_000)[:classes]]
    other = generator.permutation(classes)
    orders = input_agreement.orders(
        names, None, {"other list": other.tolist()}, classes
    )
    if generator.random() < 0.5:
        return orders, generator.permutation(classes), False
    every = [one for of_name in orders.values() for one in of_name]
    return orders, input_agreement.inverse(every[generator.integers(len(every))]), True


def disordered(
    network: Network, kind: str, order: Order, orders: Mapping[str, list[Order]]
) -> Inputs:
    """Return the inputs of a network of which some are in another order."""
    square = np.ix_(order, order)
    counts, reference = network.counts, network.reference
    if kind in ("labels", "names"):
        reference = reference[square]
    if kind in ("predictions and targets", "names"):
        counts = counts[square]
    if kind == "targets":
        counts = counts[order]
    if kind == "predictions":
        counts = counts[:, order]
    similarity = weight_similarity(network.weight).astype(np.float64)
    return Inputs(network.weight, similarity, reference, {"test": counts}, orders)


EXPECTED = {
    "labels": "labels",
    "names": "labels",
    "predictions and targets": "predictions",
    "targets": "truth",
    "predictions": "truth",
}
TITLES = {
    "labels": "labels",
    "names": "labels, and predictions by their names",
    "predictions and targets": "predictions and targets",
    "targets": "targets alone",
    "predictions": "predictions alone",
}


def _lines(networks: list[Network]) -> Iterator[str]:
    for kind, title in TITLES.items():
        found: list[list[bool]] = []
        named: list[bool] = []
        for index, (low, high) in enumerate(SIZES):
            of_size = []
            for network, generator in _draws(
                networks, DRAWS // len(SIZES), low, high, SEED + index
            ):
                orders, order, is_tried = _orders(len(network.weight), generator)
                inputs = disordered(network, kind, order, orders)
                noticed = input_agreement.contradictions(inputs)
                of_size.append(any(one.kind == EXPECTED[kind] for one in noticed))
                if is_tried and index:
                    named.append(_is_named(noticed))
            found.append(of_size)
        every = [one for of_size in found[1:] for one in of_size]
        cells = [f"{np.mean(one):.0%}" for one in (*found, every)]
        yield f"| {title} | {' | '.join(cells)} | {np.mean(named):.0%} |"
    cells, total = [], []
    for index, (low, high) in enumerate(SIZES):
        accused = []
        for network, generator in _draws(
            networks, CLEAN_DRAWS // len(SIZES), low, high, SEED + 50 + index
        ):
            orders, _, _ = _orders(len(network.weight), generator)
            inputs = disordered(network, "none", np.arange(1), orders)
            accused.append(bool(input_agreement.contradictions(inputs)))
        cells.append(f"{np.mean(accused):.1%}")
        total += accused if index else []
    yield f"| none, so accused | {' | '.join(cells)} | {np.mean(total):.1%} | – |"


SHIFTED = {
    "CIFAR-100, 13 to 31 checkpoints": ("runs/cifar100-*", "seeds-cifar100/*"),
    "planted faults, 11 to 15 checkpoints": ("faults/case_*",),
    "text, 16 checkpoints": ("seeds/*_seed*",),
}


def _shift_lines(shared: Path, half: int) -> Iterator[str]:
    """Yield how often predictions of the neighbouring epoch are noticed."""
    for title, patterns in SHIFTED.items():
        folders = [
            folder
            for pattern in patterns
            for folder in sorted(shared.glob(pattern))
            if "collapsed" not in folder.name
        ][half::2]
        rates: dict[bool, list[tuple[bool, bool]]] = {False: [], True: []}
        for folder in folders:
            heads, counts, accuracies = _epochs(folder)
            for by in (0, 1, -1):
                kept = slice(max(by, 0), len(heads) + min(by, 0))
                shifted = slice(max(-by, 0), len(heads) + min(-by, 0))
                by_head = input_agreement.shift_by_changes(heads[kept], counts[shifted])
                by_log = shift(accuracies[shifted], accuracies[kept])
                noticed = by_head is not None, by_log is not None
                rates[by != 0].append(noticed)
        for is_shifted, name in ((True, "neighbouring epoch"), (False, "right epoch")):
            by_head, by_log = np.mean(rates[is_shifted], axis=0)
            yield (
                f"| {name} | {len(folders)}, {title} | {by_head:.0%} | {by_log:.0%} |"
            )


def _epochs(folder: Path) -> tuple[list[Matrix], list[Counts], Matrix]:
    """Return the heads, the confusion counts and the accuracies of all epochs."""
    predictions = np.load(folder / "preds.npy").astype(np.int64)
    targets = np.load(folder / "targets.npy").astype(np.int64)
    paths = sorted(folder.glob("epoch_*"))
    heads = [np.asarray(read_head(path), dtype=np.float64) for path in paths]
    counts = [
        np.asarray(confusion_counts(targets, predictions[epoch], len(heads[0])))
        for epoch in range(len(heads))
    ]
    return heads, counts, (predictions == targets).mean(axis=1)


def _is_named(noticed: list[Contradiction]) -> bool:
    return any(one.better or one.order for one in noticed)


if __name__ == "__main__":
    main()
