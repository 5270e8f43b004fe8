"""dsi and cleanlab on the same trainings with planted faults: ``python -m
benchmarks.suspects_peer`` writes the tables of ``benchmarks/results/suspects_peer.md``.

``examples/random_faults.py`` makes the trainings from drawn images. dsi gets the heads
and the predictions of a training. cleanlab gets the probabilities of the training
images, predicted by networks that did not see them. The training of these networks is
part of its time. No tool gets the truth.

cleanlab (Northcutt, Jiang and Chuang 2021, doi 10.1613/jair.1.12125) is no dependency
of dsi: ``pip install --group peers`` installs it. A folder (``--cases DIR``) keeps the
trainings and what cleanlab finds, so that the next call makes neither again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.rows import write

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

from random_faults import (  # noqa: E402
    PLANTERS,
    Fault,
    drawn_source,
    faults_of,
    found_rank,
    ranked_suspects,
    write_case,
    write_held_out,
)

PAGE = ROOT / "benchmarks" / "results" / "suspects_peer.md"
CASES, FOLDS, SEED = 20, 3, 20291
IMAGES = 150  # training images of each class
REVIEWED = 100
"""The number of images that a person reviews, of cleanlab's ranked list."""
KEPT_PAIRS = 100
"""The number of cleanlab's pairs of classes that are kept, the most overlapping ones."""
SECONDS, CLEANLAB = "seconds.json", "cleanlab.json"
Indices = NDArray[np.intp]


class Named(NamedTuple):
    """What a tool names in a case."""

    ranks: dict[str, Callable[[Fault], int | None]]
    """Returns the rank of a fault in the tool's list, by kind."""
    images: dict[str, Indices]
    """The training images whose label the tool doubts, by what is chosen of its list."""
    count: int
    """The suspects that dsi lists, or the images that cleanlab names."""
    seconds: float


def make_cases(out: Path, cases: int) -> list[Path]:
    """Return the folders of the cases, and make those that do not exist."""
    folders = [out / f"case_{number:03}" for number in range(cases)]
    source = drawn_source()
    for number, folder in enumerate(folders):
        if (folder / SECONDS).exists():
            continue
        # An interrupted call left a part of the case.
        shutil.rmtree(folder, ignore_errors=True)
        began = process_time()
        case = write_case(folder, source, number, SEED, images=IMAGES)
        trained = process_time()
        write_held_out(folder, case, FOLDS)
        seconds = {"training": trained - began, "folds": process_time() - trained}
        (folder / SECONDS).write_text(json.dumps(seconds), encoding="utf-8")
    return folders


def run_cleanlab(folder: Path) -> dict[str, Any]:
    """Return cleanlab's lists of a case, from its folder or from cleanlab."""
    path = folder / CLEANLAB
    if not path.exists():
        labels = np.load(folder / "targets_train.npy").astype(np.intp)
        half = np.load(folder / "probabilities_train.npy").astype(np.float64)
        path.write_text(
            json.dumps(_cleanlab_lists(labels, half / half.sum(1, keepdims=True))),
            encoding="utf-8",
        )
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _cleanlab_lists(
    labels: Indices, probabilities: NDArray[np.float64]
) -> dict[str, Any]:
    try:
        from cleanlab.dataset import (
            find_overlapping_classes,
            rank_classes_by_label_quality,
        )
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise SystemExit("cleanlab is missing: pip install --group peers") from None
    began = process_time()
    pairs = find_overlapping_classes(labels, probabilities)
    directed = find_overlapping_classes(labels, probabilities, asymmetric=True)
    classes = rank_classes_by_label_quality(labels, probabilities)
    issues = find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    columns = ["Class Index A", "Class Index B"]
    return {
        "pairs": pairs[columns].head(KEPT_PAIRS).to_numpy().tolist(),
        "directed": directed[columns].head(KEPT_PAIRS).to_numpy().tolist(),
        "classes": classes["Class Index"].tolist(),
        "issues": issues.tolist(),
        "seconds": process_time() - began,
    }


def by_cleanlab(folder: Path, *, leave_out_others: bool = False) -> Named:
    """Return what cleanlab names.

    It has one list for all pairs of classes, in which the planted faults compete. With
    ``leave_out_others``, the pairs of faults of other kinds are not counted.
    """
    found, faults = run_cleanlab(folder), faults_of(folder)

    def pair_rank(
        fault: Fault, listed: list[list[int]], wanted: set[Any]
    ) -> int | None:
        others = {
            frozenset(pair)
            for other in faults
            if leave_out_others and other.kind != fault.kind
            for pair in combinations(other.members, 2)
        }
        counted = [pair for pair in listed if frozenset(pair) not in others]
        ranks = (rank for rank, pair in enumerate(counted, 1) if tuple(pair) in wanted)
        return next(ranks, None)

    def in_pairs(fault: Fault) -> int | None:
        wanted = set(combinations(sorted(fault.members), 2))
        return pair_rank(fault, found["pairs"], wanted)

    def in_directed(fault: Fault) -> int | None:
        # The given label comes first, and then the true one.
        wanted = {tuple(reversed(fault.members))}
        return pair_rank(fault, found["directed"], wanted)

    def in_classes(fault: Fault) -> int | None:
        return 1 + min(found["classes"].index(member) for member in fault.members)

    issues = np.array(found["issues"], np.intp)
    given = np.load(folder / "targets_train.npy")[issues]
    probable = np.load(folder / "probabilities_train.npy").argmax(1)[issues]
    label, true = found["directed"][0]
    of_first = issues[(given == label) & (probable == true)]
    return Named(
        {
            "duplicate": in_pairs,
            "mislabelled-images": in_directed,
            "shortcut": in_pairs,
            "wrong-label": in_classes,
            "dead-class": in_classes,
        },
        {"first pair": of_first, f"first {REVIEWED}": issues[:REVIEWED], "all": issues},
        len(issues),
        found["seconds"],
    )


def by_dsi(folder: Path) -> Named:
    """Return what dsi names."""
    began = _processor_seconds()
    suspects = ranked_suspects(folder)
    seconds = _processor_seconds() - began
    pairs = [
        members
        for _, members, grade in sorted(suspects["mislabelled-images"])
        if grade != "ordinary"
    ]
    images = [named_images(folder, pair) for pair in pairs]
    none = np.array([], np.intp)
    return Named(
        {
            kind: lambda fault: found_rank(fault, suspects[fault.kind])
            for kind in PLANTERS
        },
        {
            "first pair": images[0] if images else none,
            "all": np.unique(np.concatenate([none, *images])),
        },
        sum(
            grade == "strong"
            for of_kind in suspects.values()
            for _, _, grade in of_kind
        ),
        seconds,
    )


def named_images(folder: Path, pair: Sequence[int]) -> Indices:
    """Return the training images of a pair of classes that have one label and are
    predicted as the other class in one of the last epochs; the label comes first.
    """
    predictions = np.load(folder / "preds_train.npy")
    labels = np.load(folder / "targets_train.npy")
    label, other = pair
    return np.flatnonzero((labels == label) & (predictions == other).any(0))


def _processor_seconds() -> float:
    """Return the seconds of this process and its finished children."""
    return sum(os.times()[:4])


def found_table(
    folders: Sequence[Path], tools: dict[str, Sequence[Named]]
) -> Iterator[str]:
    """Yield a table: how many faults of each kind each tool finds."""
    yield "| kind | planted |" + "".join(
        f" {tool}: first | among the first three |" for tool in tools
    )
    yield "|---|---|" + "---|---|" * len(tools)
    for kind in PLANTERS:
        planted = [
            (index, fault)
            for index, folder in enumerate(folders)
            for fault in faults_of(folder)
            if fault.kind == kind
        ]
        cells = []
        for named in tools.values():
            ranks = [named[index].ranks[kind](fault) for index, fault in planted]
            cells += [_count(ranks, 1), _count(ranks, 3)]
        yield f"| {kind} | {len(planted)} | {' | '.join(map(str, cells))} |"


def _count(ranks: Sequence[int | None], most: int) -> int:
    return sum(rank is not None and rank <= most for rank in ranks)


def images_table(
    folders: Sequence[Path], tools: dict[str, Sequence[Named]]
) -> Iterator[str]:
    """Yield a table: precision and recall of the images that have a wrong label.

    The cases are those with mislabelled images. Images of duplicates are not counted,
    because both of their labels are right.
    """
    yield "| images named by | images | precision | recall |"
    yield "|---|---|---|---|"
    for tool, named in tools.items():
        for choice in named[0].images:
            right = listed = wrong_labels = 0
            for folder, case in zip(folders, named, strict=True):
                moved = np.load(folder / "moved_train.npy")
                if not len(moved):
                    continue
                images = case.images[choice]
                labels = np.load(folder / "targets_train.npy")[images]
                images = images[~np.isin(labels, _duplicates(folder))]
                right += len(np.intersect1d(images, moved))
                listed += len(images)
                wrong_labels += len(moved)
            precision = f"{right / listed:.2f}" if listed else "–"
            recall = f"{right / wrong_labels:.2f}" if wrong_labels else "–"
            yield f"| {tool}, {choice} | {listed:,} | {precision} | {recall} |"


def _duplicates(folder: Path) -> list[int]:
    faults = faults_of(folder)
    return [
        member
        for fault in faults
        if fault.kind == "duplicate"
        for member in fault.members
    ]


def costs_table(
    folders: Sequence[Path], dsi: Sequence[Named], cleanlab: Sequence[Named]
) -> Iterator[str]:
    """Yield a table: the mean seconds of the processor in a case."""
    seconds = [json.loads((folder / SECONDS).read_text()) for folder in folders]
    training = np.mean([one["training"] for one in seconds])
    folds = np.mean([one["folds"] for one in seconds])
    own = np.mean([one.seconds for one in cleanlab])
    yield "| tool | needs | seconds of the processor in a case |"
    yield "|---|---|---|"
    yield f"| both | the training that is inspected | {training:.0f} |"
    if dsi:
        analysis = np.mean([one.seconds for one in dsi])
        yield f"| dsi | heads and predictions | {analysis:.1f} |"
    yield (
        f"| cleanlab | probabilities from {FOLDS} more trainings |"
        f" {folds + own:.0f}, of which {own:.2f} are its own |"
    )


def sound_line(
    folders: Sequence[Path], dsi: Sequence[Named], cleanlab: Sequence[Named]
) -> str:
    """Return how much each tool names in the cases without faults."""
    sound = [index for index, folder in enumerate(folders) if not faults_of(folder)]
    images = sum(len(np.load(folders[index] / "targets_train.npy")) for index in sound)
    issues = sum(cleanlab[index].count for index in sound)
    text = f"In the {len(sound)} cases without faults,"
    if dsi:
        text += f" dsi lists {sum(dsi[index].count for index in sound)} suspects, and"
    return f"{text} cleanlab names {issues:,} of {images:,} images."


def report(folders: Sequence[Path], *, with_dsi: bool = True) -> str:
    """Return the tables."""
    cleanlab = [by_cleanlab(folder) for folder in folders]
    alone = [by_cleanlab(folder, leave_out_others=True) for folder in folders]
    dsi = [by_dsi(folder) for folder in folders] if with_dsi else []
    ours = {"dsi": dsi} if with_dsi else {}
    lines = [
        *found_table(
            folders,
            {**ours, "cleanlab": cleanlab, "cleanlab, other faults left out": alone},
        ),
        "",
        *images_table(folders, {**ours, "cleanlab": cleanlab}),
        "",
        *costs_table(folders, dsi, cleanlab),
        "",
        sound_line(folders, dsi, cleanlab),
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the cases, run both tools, and write the tables into the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suspects_peer")
    parser.add_argument("--cases", type=Path, metavar="DIR", help="keep the cases here")
    parser.add_argument("--number", type=int, default=CASES, help="how many cases")
    parser.add_argument(
        "--only-cleanlab", action="store_true", help="print its half, and write nothing"
    )
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with TemporaryDirectory() as temporary, threadpool_limits(1):
        folders = make_cases(asked.cases or Path(temporary), asked.number)
        text = report(folders, with_dsi=not asked.only_cleanlab)
    print(text)
    if not asked.only_cleanlab:
        write(PAGE, text)


if __name__ == "__main__":
    main()
