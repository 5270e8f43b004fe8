"""How well suspects are found: ``make bench-suspects`` writes the tables of
``benchmarks/results/suspects.md``.

The data are trainings with random planted faults, of which the grades have seen the
first half, trainings on CIFAR-100 without planted faults, the 1,000 classes of a
published ImageNet classifier, and a published mapping of CIFAR-100 with wrong senses.
All draws are seeded.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.rows import write
from dsi_cli import analyze, wordnet_csm
from dsi_cli.analysis.tables.suspects import RunEvidence
from dsi_cli.metrics import suspects
from dsi_cli.metrics.pair_residuals import fisher
from dsi_cli.metrics.suspects import Network, Suspect
from dsi_cli.similarity import centred_weight_similarity
from dsi_cli.store.results import Results
from dsi_cli.suspect_kinds import KIND_NAMES, KINDS, STRONG, TEST, TRAIN

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from planted_faults import FAULTS  # noqa: E402

PAGE = ROOT / "benchmarks" / "results" / "suspects.md"
HEAD = "heads/imagenet1k-efficientnet-lite0.npy"
TUNED = 14  # the grades have seen the cases up to this one
FIRST = 3
EVIDENCE: Mapping[str, tuple[str, ...]] = {
    "weights alone": (),
    "test predictions": (TEST,),
    "test and training predictions": (TEST, TRAIN),
}
EARLY = (1, 2, 3, 5, 10)
DRAWS = 100
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


@dataclass(frozen=True)
class Training:
    """A training, its evidence, and the faults that were planted: kind and members."""

    name: str
    evidence: RunEvidence
    planted: Sequence[tuple[str, frozenset[int]]]
    is_tuned: bool

    def found(
        self, splits: Sequence[str], epochs: Sequence[int]
    ) -> dict[str, list[Suspect]]:
        """Return the suspects by the predictions of some splits, in some epochs."""
        network = self.evidence.network(epochs)
        assert network is not None
        counts = {split: network.counts[split] for split in splits}
        return suspects.find(replace(network, counts=counts))


def shared_data() -> Path:
    """Return the folder of data outside the repository."""
    return Path(os.environ["DSI_SHARED"]) / "data"


def main() -> None:
    """Measure everything, and write the tables into the page."""
    shared = shared_data()
    with threadpool_limits(1), TemporaryDirectory() as out:
        lines = [
            "| kind | strong from a score of | worth a look from |",
            "|---|---|---|",
            *_grade_lines(),
            "",
        ]
        trainings = list(_planted(shared, Path(out)))
        for evidence, splits in EVIDENCE.items():
            lines += [*_found_lines(trainings, evidence, splits), ""]
        lines += [
            *_image_lines(trainings),
            "",
            *_early_lines(trainings),
            "",
            _pooled_line(Path(out)),
            "",
            *_clean_lines(shared, Path(out)),
            "",
            *_imagenet_lines(shared),
            "",
            _senses_line(shared),
        ]
    text = "\n".join(lines)
    print(text)
    write(PAGE, text)


def _grade_lines() -> Iterator[str]:
    for kind in KINDS:
        for source, measured in kind.measured.items():
            yield f"| {kind.name}, {source} | {measured.strong} | {measured.worth} |"


def _planted(shared: Path, out: Path) -> Iterator[Training]:
    """Yield the analysed trainings with planted faults."""
    for folder in sorted((shared / "faults").glob("case_*")):
        results = analyze(folder, out / folder.name, report=False)
        truth = json.loads((folder / "truth.json").read_text())
        planted = [(fault["kind"], frozenset(fault["members"])) for fault in truth]
        number = int(folder.name.removeprefix("case_"))
        evidence = RunEvidence(results.path, results.names[0])
        yield Training(folder.name, evidence, planted, number < TUNED)


def _found_lines(
    trainings: Sequence[Training], evidence: str, splits: Sequence[str]
) -> Iterator[str]:
    """Yield a table of how many planted faults are found, by kind."""
    yield (
        f"| {evidence} | planted (tuned, reported half) | first of its kind | among the"
        " first three | strong | trainings without this fault that have a strong"
        " suspect of the kind |"
    )
    yield "|---|---|---|---|---|---|"
    cells: dict[str, dict[bool, list[int]]] = {
        kind: {True: [0] * 6, False: [0] * 6} for kind in KIND_NAMES
    }
    clean = {True: [0, 0], False: [0, 0]}
    for training in trainings:
        found = training.found(splits, training.evidence.late_epochs)
        half = training.is_tuned
        for kind, members in training.planted:
            ranks = [
                rank
                for rank, one in enumerate(found[kind])
                if members == frozenset(one.members)
            ]
            rank = ranks[0] if ranks else suspects.MAX_LISTED
            is_strong = bool(ranks) and found[kind][rank].grade == STRONG
            hits = (1, rank == 0, rank < FIRST, is_strong)
            for column, hit in enumerate(hits):
                cells[kind][half][column] += hit
        for kind in KIND_NAMES:
            if all(other != kind for other, _ in training.planted):
                cells[kind][half][4] += 1
                cells[kind][half][5] += _has_strong(found[kind])
        if not training.planted:
            clean[half][0] += 1
            clean[half][1] += any(_has_strong(of_kind) for of_kind in found.values())
    for kind, halves in cells.items():
        if halves[True][0] + halves[False][0] == 0:
            continue
        tuned, reported = halves[True], halves[False]
        shares = [f"{tuned[column]}, {reported[column]}" for column in range(4)]
        false = f"{tuned[5]} of {tuned[4]}, {reported[5]} of {reported[4]}"
        yield f"| {kind} | {' | '.join(shares)} | {false} |"
    yield (
        f"| trainings without a fault | {clean[True][0]}, {clean[False][0]} | | | |"
        f" {clean[True][1]}, {clean[False][1]} have a strong suspect of any kind |"
    )


def _has_strong(found: Sequence[Suspect]) -> bool:
    return any(suspect.grade == STRONG for suspect in found)


def _image_lines(trainings: Sequence[Training]) -> Iterator[str]:
    """Yield a table of the images that the strongest training predictions name: those
    that are predicted as the other class in one of the last epochs.
    """
    yield "| mislabelled images | precision, median (least) | recall, median (least) |"
    yield "|---|---|---|"
    for name, is_tuned in (("tuned half", True), ("reported half", False)):
        precisions, recalls = [], []
        for training in trainings:
            faults = [
                members
                for kind, members in training.planted
                if kind == "mislabelled-images" and training.is_tuned == is_tuned
            ]
            for members in faults:
                precision, recall = _named_images(training, members)
                precisions.append(precision)
                recalls.append(recall)
        yield (
            f"| {name}, {len(precisions)} trainings |"
            f" {np.median(precisions):.2f} ({min(precisions):.2f}) |"
            f" {np.median(recalls):.2f} ({min(recalls):.2f}) |"
        )


def _named_images(training: Training, members: frozenset[int]) -> tuple[float, float]:
    """Return the precision and recall of the images named by a planted pair."""
    folder = shared_data() / "faults" / training.name
    truth = json.loads((folder / "truth.json").read_text())
    (pair,) = [fault["members"] for fault in truth if set(fault["members"]) == members]
    other, label = pair
    predictions = np.load(folder / "preds_train.npy")
    targets = np.load(folder / "targets_train.npy")
    is_named = (targets == label) & (predictions == other).any(axis=0)
    is_moved = np.zeros(len(targets), dtype=bool)
    is_moved[np.load(folder / "moved_train.npy")] = True
    right = np.count_nonzero(is_named & is_moved)
    return right / max(np.count_nonzero(is_named), 1), right / is_moved.sum()


def _early_lines(trainings: Sequence[Training]) -> Iterator[str]:
    """Yield a table of planted faults among the first three by epoch."""
    epochs = " | ".join(f"epoch {epoch}" for epoch in EARLY)
    yield f"| among the first three, by test predictions of one epoch | {epochs} |"
    yield f"|---|{'---|' * len(EARLY)}"
    hits = {kind: [0] * len(EARLY) for kind in KIND_NAMES}
    planted = dict.fromkeys(KIND_NAMES, 0)
    for training in trainings:
        for kind, _ in training.planted:
            planted[kind] += 1
        for column, epoch in enumerate(EARLY):
            found = training.found((TEST,), [epoch])
            for kind, members in training.planted:
                first = [frozenset(one.members) for one in found[kind][:FIRST]]
                hits[kind][column] += members in first
    for kind, of_kind in hits.items():
        if planted[kind]:
            cells = " | ".join(str(hit) for hit in of_kind)
            yield f"| {kind}, {planted[kind]} planted | {cells} |"


def _pooled_line(out: Path) -> str:
    """Return how many faults of the drawn images are found in three pooled seeds."""
    folder = ROOT / "examples" / "planted"
    mapping = str(folder / "faulty.csv")
    results = analyze(folder / "faulty", out / "pooled", mapping=mapping, report=False)
    found = results.suspects()
    names = results.rows_of("classes", results.names[0])["name"].to_list()
    grades = []
    for kind, groups in FAULTS.items():
        of_kind = found[found["kind"] == kind].sort_values("rank")[:FIRST]
        listed = {
            frozenset(names[member] for member in members): grade
            for members, grade in zip(of_kind["members"], of_kind["grade"], strict=True)
        }
        grades += [listed.get(frozenset(group)) for group in groups]
    first = sum(grade is not None for grade in grades)
    return (
        f"Three seeds on drawn images (`examples/planted`), pooled: of {len(grades)}"
        f" planted faults, {first} are among the first three of their kind, and"
        f" {grades.count(STRONG)} are strong."
    )


def _clean_lines(shared: Path, out: Path) -> Iterator[str]:
    """Yield a table of strong suspects in trainings without planted faults."""
    yield "| trainings without planted faults | runs | with a strong suspect |"
    yield "|---|---|---|"
    analyze(shared / "seeds-cifar100", out / "seeds", report=False)
    results = Results(out / "seeds")
    for evidence in ("weights alone", "test predictions"):
        claimed: list[str] = []
        for run in results.names:
            of_run = RunEvidence(results.path, run)
            training = Training(run, of_run, (), is_tuned=True)
            found = training.found(EVIDENCE[evidence], of_run.late_epochs)
            strong = [one for of_kind in found.values() for one in of_kind[:1]]
            claimed += [
                f"{one.kind} {', '.join(of_run.names[k] for k in one.members)}"
                for one in strong
                if one.grade == STRONG
            ]
        listed = "; ".join(claimed) if claimed else "none"
        yield (
            f"| 12 runs of CIFAR-100 at an accuracy of 0.28 to 0.40, {evidence} |"
            f" {len(results.names)} | {listed} |"
        )


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


def _imagenet_lines(shared: Path) -> Iterator[str]:
    """Yield a table of permuted names among the classes of an ImageNet classifier."""
    yield (
        "| names of an ImageNet classifier | lists | wrong names among the first"
        " entries (twice as many) | strong | lists with a strong suspect without a wrong"
        " name |"
    )
    yield "|---|---|---|---|---|"
    weight = np.load(shared / HEAD)
    similarity = fisher(centred_weight_similarity(weight))
    reference = wordnet_csm("imagenet1k").to_numpy(np.float64)
    generator = np.random.default_rng(SEED)
    for size, wrong, draws in (
        (1000, 10, DRAWS // 10),
        (100, 5, DRAWS),
        (100, 0, DRAWS),
    ):
        first, strong, false = 0.0, 0.0, 0
        for _ in range(draws):
            kept = generator.permutation(len(similarity))[:size]
            names = permuted(size, wrong, generator)
            is_wrong = set(np.flatnonzero(names != np.arange(size)).tolist())
            square = np.ix_(kept[names], kept[names])
            network = Network(
                similarity[np.ix_(kept, kept)], reference=reference[square]
            )
            ranked = suspects.find(network)["wrong-label"]
            claimed = [one for one in ranked if one.grade == STRONG]
            false += any(not is_wrong & {*one.members} for one in claimed)
            if wrong:
                first += _share(ranked[: 2 * wrong], is_wrong)
                strong += _share(claimed, is_wrong)
        shares = "– | –"
        if wrong:
            shares = f"{first / draws:.0%} | {strong / draws:.0%}"
        yield (
            f"| {wrong} of {size:,} permuted | {draws} | {shares} |"
            f" {false / draws:.0%} |"
        )


def _share(found: Sequence[Suspect], is_wrong: set[int]) -> float:
    """Return the share of the wrong names that are in a list of suspects."""
    listed = {member for one in found for member in one.members}
    return len(listed & is_wrong) / len(is_wrong)


def _senses_line(shared: Path) -> str:
    with TemporaryDirectory() as out:
        labels = shared / "labels" / "cifar100-nbdt.tsv"
        run_folder = shared / "runs" / "cifar100-cnn"
        analyze(run_folder, out, labels=str(labels), report=False)
        listed: Any = Results(out).suspects()
    senses = listed[listed["kind"] == "wrong-sense"]
    ranked = senses.sort_values("rank")["name"].to_list()
    strong = senses[senses["grade"] == STRONG]["name"].to_list()
    first = WRONG_SENSES.intersection(ranked[:10])
    right = [name for name in strong if name in WRONG_SENSES]
    return (
        f"A published mapping of CIFAR-100 has {len(WRONG_SENSES)} wrong senses."
        f" {len(first)} of them are among the first 10 of the list. {len(strong)} are"
        f" strong, of which {len(right)} are wrong: {', '.join(right)}."
    )


if __name__ == "__main__":
    main()
