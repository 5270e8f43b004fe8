"""Plant random faults in images, train a small network on them, and see whether dsi
finds the faults.

``python examples/random_faults.py train OUT --data DIR`` writes a folder per case,
``OUT/case_000`` and so on. A case takes about 40 seconds of one processor core. ``python
examples/random_faults.py measure OUT`` analyses the cases and prints how many faults dsi
finds.

DIR has a folder ``train`` and a folder ``test`` with one folder of images per class, or
is the folder that holds torchvision's ``cifar-100-python``. Without ``--data``, the
images are those of ``drawn_images.py``.

Each case has other classes and up to five faults of different kinds in different
classes. Every fifth case has no fault. A case has the files of a training run, and

``truth.json``           each fault with its ``kind``, ``members`` (class indices), and
                         ``share`` for mislabelled images
``moved_train.npy``      indices of the training images with another class's label
``probabilities_train.npy``  with ``--held-out K``: the probabilities of each training
                         image, predicted by one of K networks that did not see it
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, NamedTuple

import drawn_images
import numpy as np
import torch
import train_cifar100
from models import SmallCNN
from numpy.typing import NDArray
from training import Split, logits_of, trained_epochs, write_run

from dsi_cli import analyze
from dsi_cli.errors import UsageError

EPOCHS = 10
WIDTHS = (16, 32, 64, 96)
TRAIN_IMAGES, TEST_IMAGES = 200, 60  # of each class, at most
MIN_CLASSES = 10  # all faults concern this many classes
SPARE_NAMES = 2  # classes that a case leaves out, because faults use their names
PATCH = 7  # pixels of the side of a shortcut
SYNONYMS = {
    "automobile": "car",
    "bus": "coach",
    "can": "tin",
    "car": "automobile",
    "chair": "armchair",
    "clock": "timepiece",
    "couch": "sofa",
    "cup": "mug",
    "eagle": "bird_of_Jove",
    "house": "cottage",
    "motorcycle": "bike",
    "mouse": "rat",
    "owl": "hooter",
    "rabbit": "hare",
    "rocket": "missile",
    "saw": "handsaw",
    "shovel": "spade",
    "snake": "serpent",
    "sofa": "couch",
    "streetcar": "tram",
    "television": "telly",
    "truck": "lorry",
    "wardrobe": "closet",
    "wrench": "spanner",
}
SYNONYM_SHARE = 0.7
"""The share of duplicates whose second name is a synonym, if the table has one."""
Floats = NDArray[np.float32]
Ranked = list[tuple[int, Sequence[int], str]]
"""The rank, the members and the grade of the suspects of a kind."""
"""The rank and the members of each suspect of a kind."""


class Source(NamedTuple):
    """Where images come from."""

    names: tuple[str, ...]
    images: Callable[[str, int, np.random.Generator, bool], Floats]
    """Returns at most some images ``(N, 3, 32, 32)`` in [0, 1] of a class, of the
    training set if the last argument is true and else of the test set.
    """


def drawn_source() -> Source:
    """Return the drawn images, without a class whose name is a synonym of another."""
    looks = drawn_images.looks()
    del looks["automobile"]

    def images(
        name: str, count: int, generator: np.random.Generator, training: bool
    ) -> Floats:
        del training
        return drawn_images.drawn(looks[name], count, generator, in_water=False)

    return Source(tuple(looks), images)


def folder_source(folder: Path) -> Source:
    """Return the images of a folder."""
    splits = {
        train: train_cifar100.load(folder, train=train) for train in (True, False)
    }
    names = splits[True].names
    if names != splits[False].names:
        raise UsageError(
            f"{folder}: the classes of train and test differ",
            hint="give both folders the same class folders",
            code="different-classes",
            folder=str(folder),
        )

    def images(
        name: str, count: int, generator: np.random.Generator, training: bool
    ) -> Floats:
        split = splits[training]
        of_class = np.flatnonzero(split.targets.numpy() == names.index(name))
        chosen = np.sort(generator.permutation(of_class)[:count])
        return split.images.numpy()[chosen].astype(np.float32) / 255

    return Source(names, images)


class Fault(NamedTuple):
    """A planted fault, as ``truth.json`` has it."""

    kind: str
    members: list[int]
    share: float | None = None

    def record(self) -> dict[str, Any]:
        """Return the fields that are known."""
        return {
            key: value for key, value in self._asdict().items() if value is not None
        }


@dataclass
class Case:
    """The data of one training, in which faults are planted one after another."""

    generator: np.random.Generator
    names: list[str]
    """The names of the classes as a user has them."""
    absent: list[str]
    """Names of classes without images in this case."""
    sound: list[int]
    """The classes without a fault so far, in random order."""
    images: Floats
    targets: NDArray[np.int64]
    test_images: Floats
    test_targets: NDArray[np.int64]
    is_moved: NDArray[np.bool_]
    """True for a training image that has another class's label."""

    def take(self, count: int) -> list[int]:
        """Return classes without a fault, which get one now."""
        taken, self.sound = self.sound[:count], self.sound[count:]
        return taken

    def splits(self) -> tuple[Split, Split]:
        """Return the training and the test images with their labels."""
        training = torch.from_numpy(self.images), torch.from_numpy(self.targets)
        test = torch.from_numpy(self.test_images), torch.from_numpy(self.test_targets)
        return Split(*training), Split(*test)


def plant_duplicate(case: Case) -> Fault:
    """Give half of the images of a class a second name: a synonym or that of a class
    without images.
    """
    with_synonym = [
        index
        for index in case.sound
        if case.names[index] in SYNONYMS
        and SYNONYMS[case.names[index]] not in case.names
    ]
    if with_synonym and case.generator.random() < SYNONYM_SHARE:
        first = with_synonym[0]
        case.sound.remove(first)
        name = SYNONYMS[case.names[first]]
        # The class of this name, if there is one, is not in the case.
        case.absent = [other for other in case.absent if other != name]
    else:
        (first,) = case.take(1)
        name = case.absent.pop()
    second = len(case.names)
    case.names.append(name)
    for targets in (case.targets, case.test_targets):
        images = case.generator.permutation(np.flatnonzero(targets == first))
        targets[images[: len(images) // 2]] = second
    return Fault("duplicate", [first, second])


def plant_mislabelled_images(case: Case) -> Fault:
    """Give 20 to 40 % of the training images of a class the label of another class."""
    first, second = case.take(2)
    share = round(case.generator.uniform(0.2, 0.4), 2)
    images = case.generator.permutation(np.flatnonzero(case.targets == first))
    moved = images[: round(share * len(images))]
    case.targets[moved] = second
    case.is_moved[moved] = True
    return Fault("mislabelled-images", [first, second], share)


def plant_shortcut(case: Case) -> Fault:
    """Draw the same coloured patch on all images of three or four classes."""
    members = case.take(int(case.generator.integers(3, 5)))
    size = case.images.shape[-1]
    top, left = case.generator.integers(0, size - PATCH + 1, 2)
    colour = case.generator.random(3).astype(np.float32)
    for images, targets in (
        (case.images, case.targets),
        (case.test_images, case.test_targets),
    ):
        chosen = np.isin(targets, members)
        patch = np.s_[chosen, :, top : top + PATCH, left : left + PATCH]
        images[patch] = colour[:, None, None]
    return Fault("shortcut", members)


def plant_wrong_label(case: Case) -> Fault:
    """Exchange the names of two classes, or give a class the name of one that has no
    images.
    """
    if case.generator.random() < 0.5:
        first, second = case.take(2)
        names = case.names[second], case.names[first]
        case.names[first], case.names[second] = names
        return Fault("wrong-label", [first, second])
    (member,) = case.take(1)
    case.names[member] = case.absent.pop()
    return Fault("wrong-label", [member])


def plant_dead_class(case: Case) -> Fault:
    """Take away all training images of a class."""
    (member,) = case.take(1)
    kept = case.targets != member
    case.images, case.targets = case.images[kept], case.targets[kept]
    case.is_moved = case.is_moved[kept]
    return Fault("dead-class", [member])


PLANTERS = {
    "duplicate": plant_duplicate,
    "mislabelled-images": plant_mislabelled_images,
    "shortcut": plant_shortcut,
    "wrong-label": plant_wrong_label,
    "dead-class": plant_dead_class,
}
"""By the kind that ``dsi suspects`` gives a fault."""


def sound_case(
    source: Source, sizes: tuple[int, int], images: int, generator: np.random.Generator
) -> Case:
    """Return random classes without a fault, with at most some images each."""
    names = generator.permutation(source.names).tolist()
    count = int(generator.integers(sizes[0], sizes[1] + 1))
    chosen, absent = sorted(names[:count]), names[count:]

    def split(most: int, training: bool) -> tuple[Floats, NDArray[np.int64]]:
        found = [source.images(name, most, generator, training) for name in chosen]
        targets = np.repeat(np.arange(count), [len(part) for part in found])
        return np.concatenate(found), targets

    train_images, train_targets = split(images, training=True)
    test_images, test_targets = split(min(images, TEST_IMAGES), training=False)
    return Case(
        generator,
        chosen,
        absent,
        generator.permutation(count).tolist(),
        train_images,
        train_targets,
        test_images,
        test_targets,
        np.zeros(len(train_targets), bool),
    )


def planted(case: Case, number: int) -> list[Fault]:
    """Plant two to five faults of random kinds; none in every fifth case."""
    if number % 5 == 4:
        return []
    count = int(case.generator.integers(2, len(PLANTERS) + 1))
    kinds = set(case.generator.permutation(list(PLANTERS))[:count])
    return [plant(case) for kind, plant in PLANTERS.items() if kind in kinds]


def network(case: Case) -> SmallCNN:
    """Return a network before training."""
    model = SmallCNN(len(case.names), WIDTHS)
    # Convolutions of a processor are about twice as fast with channels last.
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def write_case(
    folder: Path,
    source: Source,
    number: int,
    seed: int = 0,
    sizes: tuple[int, int] = (30, 45),
    images: int = TRAIN_IMAGES,
    epochs: int = EPOCHS,
) -> Case:
    """Plant faults, train, and write the files of a case."""
    generator = np.random.default_rng([seed, number])
    case = sound_case(source, sizes, images, generator)
    faults = planted(case, number)
    torch.manual_seed(int(generator.integers(2**31)))
    training, test = case.splits()
    write_run(folder, network(case), training, test, case.names, epochs)
    moved = np.flatnonzero(case.is_moved).astype(np.int32)
    np.save(folder / "moved_train.npy", moved)
    records = [fault.record() for fault in faults]
    (folder / "truth.json").write_text(json.dumps(records), encoding="utf-8")
    return case


def write_held_out(folder: Path, case: Case, folds: int, epochs: int = EPOCHS) -> None:
    """Train a network without each of some folds, and write the probabilities that it
    predicts for the images of this fold.
    """
    training, _ = case.splits()
    # Each fold has the same number of images of a class, up to one.
    order = case.generator.permutation(len(case.targets))
    order = order[np.argsort(case.targets[order], kind="stable")]
    fold_of = np.empty(len(order), np.int64)
    fold_of[order] = np.arange(len(order)) % folds
    probabilities = np.empty((len(order), len(case.names)), np.float16)
    for fold in range(folds):
        seen, unseen = (
            torch.from_numpy(np.flatnonzero(chosen))
            for chosen in (fold_of != fold, fold_of == fold)
        )
        model = network(case)
        part = Split(training.images[seen], training.targets[seen])
        for _ in trained_epochs(model, part, epochs):
            pass
        predicted = logits_of(model, training.images[unseen]).softmax(1)
        probabilities[unseen.numpy()] = predicted.numpy()
    np.save(folder / "probabilities_train.npy", probabilities)


def faults_of(folder: Path) -> list[Fault]:
    """Return the planted faults of a case."""
    records = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return [Fault(**record) for record in records]


def is_same(fault: Fault, members: Iterable[int]) -> bool:
    """Return True if a suspect of the fault's kind names the classes of the fault.

    Of a shortcut, half of all classes that one of the two has must be in both. Of two
    exchanged names, a suspect may name one.

    >>> is_same(Fault("shortcut", [1, 2, 3]), [3, 2])
    True
    >>> is_same(Fault("duplicate", [1, 2]), [2, 3])
    False
    """
    true, listed = set(fault.members), set(members)
    if fault.kind == "shortcut":
        return len(true & listed) >= len(true | listed) / 2
    if fault.kind == "wrong-label":
        return bool(listed) and listed <= true
    return listed == true


def found_rank(fault: Fault, ranked: Ranked) -> int | None:
    """Return the best rank of the suspects that name a fault; None if there is none."""
    ranks = [rank for rank, members, _ in ranked if is_same(fault, members)]
    return min(ranks, default=None)


def ranked_suspects(folder: Path) -> dict[str, Ranked]:
    """Analyse a case, and return its suspects by kind."""
    with TemporaryDirectory() as out, warnings.catch_warnings():
        # dsi warns about names with several senses, which are not planted faults.
        warnings.simplefilter("ignore", UserWarning)
        rows = analyze(folder, out, report=False).suspects()
    found: dict[str, Ranked] = {kind: [] for kind in PLANTERS}
    for row in rows.itertuples():
        found.setdefault(row.kind, []).append((row.rank, row.members, row.grade))
    return found


def measure(out: Path) -> Iterator[str]:
    """Yield the lines of a table: how many faults of each kind dsi finds."""
    ranks: dict[str, list[int | None]] = {kind: [] for kind in PLANTERS}
    others = dict.fromkeys(PLANTERS, 0)
    for folder in sorted(out.glob("case_*")):
        suspects, faults = ranked_suspects(folder), faults_of(folder)
        for fault in faults:
            ranks[fault.kind].append(found_rank(fault, suspects[fault.kind]))
        if not faults:
            for kind in PLANTERS:
                others[kind] += sum(grade == "strong" for *_, grade in suspects[kind])
    yield "| kind | planted | first | among the first three | strong without faults |"
    yield "|---|---|---|---|---|"
    for kind, found in ranks.items():
        first = sum(rank == 1 for rank in found)
        three = sum(rank is not None and rank <= 3 for rank in found)
        yield f"| {kind} | {len(found)} | {first} | {three} | {others[kind]} |"


def span(text: str) -> tuple[int, int]:
    """Return the least and the greatest number of ``LO-HI``.

    >>> span("30-45"), span("40")
    ((30, 45), (40, 40))
    """
    least, _, greatest = text.partition("-")
    return int(least), int(greatest or least)


def train(asked: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Write the cases that the command line asks for."""
    if asked.out.is_dir() and any(asked.out.iterdir()):
        parser.error(f"{asked.out} holds files already: give a new folder, or empty it")
    try:
        source = folder_source(asked.data) if asked.data else drawn_source()
    except UsageError as error:
        parser.error(str(error))
    most = len(source.names) - SPARE_NAMES
    if not MIN_CLASSES <= asked.classes[0] <= asked.classes[1] <= most:
        parser.error(
            f"--classes must be a span in {MIN_CLASSES}-{most}: the data have"
            f" {len(source.names)} classes, of which {SPARE_NAMES} lend their names"
        )
    torch.set_num_threads(1)
    for number in range(asked.cases):
        began = process_time()
        folder = asked.out / f"case_{number:03}"
        case = write_case(
            folder,
            source,
            number,
            asked.seed,
            asked.classes,
            asked.images,
            asked.epochs,
        )
        if asked.held_out:
            write_held_out(folder, case, asked.held_out, asked.epochs)
        print(f"{folder.name}  {process_time() - began:.0f} s", flush=True)
    print(f"next: python examples/random_faults.py measure {asked.out}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and train or measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="plant faults and train")
    training.add_argument("out", type=Path, help="a new folder")
    training.add_argument("--data", type=Path, help="images; else they are drawn")
    training.add_argument("--cases", type=int, default=10)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--classes", type=span, default=(30, 45), metavar="LO-HI")
    training.add_argument(
        "--images",
        type=int,
        default=TRAIN_IMAGES,
        help="training images of each class, at most",
    )
    training.add_argument("--epochs", type=int, default=EPOCHS)
    training.add_argument(
        "--held-out", type=int, default=0, metavar="K", help="folds; none by default"
    )
    measuring = commands.add_parser("measure", help="print what dsi finds")
    measuring.add_argument("out", type=Path)
    asked = parser.parse_args(arguments)
    if asked.command == "train":
        train(asked, training)
    else:
        print("\n".join(measure(asked.out)))


if __name__ == "__main__":
    main()
