"""How well suspects are found: ``make bench-suspects`` writes the tables of
``benchmarks/results/suspects.md``.

The data are the 1,000 classes of a published ImageNet classifier, two trainings on
CIFAR-100, and a published mapping of CIFAR-100 with wrong senses. All draws are seeded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from benchmarks.rows import write
from dsi_cli import analyze, read_head, wordnet_csm
from dsi_cli.analysis.tables.suspects import RunEvidence
from dsi_cli.metrics import suspects
from dsi_cli.metrics.suspects import Network
from dsi_cli.similarity import centred_weight_similarity
from dsi_cli.store.results import Results

PAGE = Path(__file__).resolve().parent / "results" / "suspects.md"
HEAD = "heads/imagenet1k-efficientnet-lite0.npy"
DRAWS, CLEAN_DRAWS, EPOCH_DRAWS = 200, 300, 50
EPOCHS = (1, 2, 3, 5, 10, 20, 30)
WRONG_SENSES = {
    "aquarium_fish",
    "dolphin",
    "girl",
    "keyboard",
    "skunk",
    "sweet_pepper",
    "television",
    "trout",
}
SEED = 20261
Matrix = NDArray[np.float64]


def main() -> None:
    """Measure everything, and write the tables into the page."""
    shared = Path(os.environ["DSI_SHARED"])
    with threadpool_limits(1):
        lines = [
            "| names | list | area under the ROC curve | permuted names among the first"
            " (twice as many) | lists in which a wrong label is claimed |",
            "|---|---|---|---|---|",
            *_imagenet_lines(shared),
            "",
            "| CIFAR-100, epoch | 2 of 100 permuted | 5 of 100 | 10 of 100 |",
            "|---|---|---|---|",
            *_cifar_lines(shared),
            "",
            _senses_line(shared),
        ]
    text = "\n".join(lines)
    print(text)
    write(PAGE, text)


def permuted(size: int, wrong: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return the class whose name each class has: that of another one for some."""
    names = np.arange(size)
    if wrong:
        chosen = generator.choice(size, wrong, replace=False)
        order = np.arange(wrong)
        while (order == np.arange(wrong)).any():
            order = generator.permutation(wrong)
        names[chosen] = chosen[order]
    return names


def quality(network: Network, is_wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the area under the ROC curve of the scores of names, and the share of the
    wrong names among the first ones, of which there are twice as many.
    """
    scores = suspects.name_scores(network.gains)
    wrong = int(is_wrong.sum())
    ranks = rankdata(scores)[is_wrong]
    pairs = wrong * (len(scores) - wrong)
    area = (ranks.sum() - wrong * (wrong + 1) / 2) / pairs
    first = np.argsort(-scores)[: 2 * wrong]
    return float(area), float(is_wrong[first].sum() / wrong)


def _draws(
    similarity: Matrix, reference: Matrix, size: int, wrong: int, draws: int
) -> Iterator[tuple[Network, NDArray[np.bool_]]]:
    """Yield networks of some classes with permuted names, and which names are wrong."""
    generator = np.random.default_rng(SEED)
    for _ in range(draws):
        kept = generator.permutation(len(similarity))[:size]
        names = permuted(size, wrong, generator)
        square = np.ix_(kept[names], kept[names])
        network = Network(similarity[np.ix_(kept, kept)], reference[square])
        yield network, names != np.arange(size)


def _imagenet_lines(shared: Path) -> Iterator[str]:
    weight = np.load(shared / HEAD)
    similarity = suspects.fisher(centred_weight_similarity(weight))
    reference = wordnet_csm("imagenet1k").to_numpy(np.float64)
    for size, wrong, draws in ((1000, 10, DRAWS), (100, 5, DRAWS), (100, 2, DRAWS)):
        measured, claimed = [], 0
        for network, is_wrong in _draws(similarity, reference, size, wrong, draws):
            measured.append(quality(network, is_wrong))
            claimed += bool(suspects.wrong_names(network))
        area, first = np.mean(measured, axis=0)
        yield (
            f"| {wrong} permuted | {size:,} of ImageNet, {draws} draws | {area:.3f} |"
            f" {first:.0%} | {claimed / draws:.0%} |"
        )
    claimed = 0
    for network, _ in _draws(similarity, reference, 100, 0, CLEAN_DRAWS):
        claimed += bool(suspects.wrong_names(network))
    yield (
        f"| all right | 100 of ImageNet, {CLEAN_DRAWS} draws | – | – |"
        f" {claimed / CLEAN_DRAWS:.1%} |"
    )


def _cifar_lines(shared: Path) -> Iterator[str]:
    reference = wordnet_csm("cifar100").to_numpy(np.float64)
    for run in ("cifar100-cnn", "cifar100-vit"):
        for epoch in EPOCHS:
            weight = read_head(shared / "runs" / run / f"epoch_{epoch:03}.pt")
            similarity = suspects.fisher(centred_weight_similarity(weight))
            cells = []
            for wrong in (2, 5, 10):
                draws = _draws(similarity, reference, 100, wrong, EPOCH_DRAWS)
                area, first = np.mean([quality(*draw) for draw in draws], axis=0)
                cells.append(f"{area:.3f}, {first:.0%}")
            yield f"| {run}, {epoch} | {' | '.join(cells)} |"


def _senses_line(shared: Path) -> str:
    with TemporaryDirectory() as out:
        labels = shared / "labels" / "cifar100-nbdt.tsv"
        run_folder = shared / "runs" / "cifar100-cnn"
        analyze(run_folder, out, labels=str(labels), report=False)
        run = RunEvidence(out, "cifar100-cnn")
        network = run.network(run.evidence(run.late_epochs), run.senses)
        assert network is not None
        ranked = list(dict.fromkeys(_ranked_by_sense(run, network)))
        listed = Results(out).suspects()
    first = WRONG_SENSES.intersection(ranked[:10])
    claimed = listed[listed["kind"] == "wrong-sense"]["name"]
    right = [name for name in claimed if name in WRONG_SENSES]
    return (
        f"A published mapping of CIFAR-100 has {len(WRONG_SENSES)} wrong senses."
        f" {len(first)} of them are among the first 10 of {len(run.names)} classes by"
        f" their q-value. dsi lists {len(claimed)} classes, of which {len(right)} are"
        f" wrong: {', '.join(right)}."
    )


def _ranked_by_sense(run: RunEvidence, network: Network) -> Iterator[str]:
    q_of = suspects.sense_q_values(network)
    assert network.senses is not None
    for test in np.lexsort((-network.sense_gains, q_of)):
        yield run.names[run.known[network.senses.owners[test]]]


if __name__ == "__main__":
    main()
