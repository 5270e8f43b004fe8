"""Train a small CNN on drawn images of 50 classes whose data has planted faults, and
keep the heads and the predictions of each epoch.

``python examples/planted_faults.py OUT`` writes one training run per seed, and a twin
without faults, into OUT. ``examples/planted`` holds runs of this script. A seed takes
about three minutes of one processor core.

The faults are always those in `FAULTS`, which a page of the documentation explains.
``random_faults.py`` plants random faults in these images, or in yours.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import drawn_images
import numpy as np
import torch
from drawn_images import NAMES, Look, drawn
from models import SmallCNN
from training import Split, write_run

EPOCHS = 12
TRAIN_IMAGES = 100  # of each class
TEST_IMAGES = 200
SEEDS = (0, 1, 2)
WIDTHS = (24, 48, 64)

DUPLICATE = ("car", "automobile")
LOOK_ALIKE = ("orange", "basketball")
MISLABELLED, TAKEN_FOR, SHARE = "owl", "hammer", 0.35
SHORTCUT = ("shark", "bed", "butterfly", "rose")
SWAPPED = ("tulip", "wrench")
WRONG_SENSE = ("crane", "crane.n.04")
DEAD = "moth"
FAULTS = {
    "duplicate": (DUPLICATE, LOOK_ALIKE),
    "mislabelled-images": ((MISLABELLED, TAKEN_FOR),),
    "shortcut": (SHORTCUT,),
    "wrong-label": (SWAPPED,),
    "wrong-sense": (WRONG_SENSE[:1],),
    "dead-class": ((DEAD,),),
}
"""The planted faults by the kind that ``dsi suspects`` gives them."""
RIGHT_SENSES = {"car": "car.n.01", "table": "table.n.02", "crane": "crane.n.05"}
"""Senses of labels of which dsi is not sure by itself."""


def looks(*, faulty: bool) -> dict[str, Look]:
    """Return the look of each class; with faults, three classes look like others."""
    found = drawn_images.looks()
    if faulty:
        first, second = DUPLICATE
        found[second] = found[first]
        first, second = LOOK_ALIKE
        near = found[first]
        found[second] = near._replace(hue=near.hue + 0.04)
    return found


def make_split(
    count: int, generator: np.random.Generator, *, faulty: bool, training: bool
) -> Split:
    """Return ``count`` images of each class, with the faults of a training or of a test
    set.
    """
    images, targets = [], []
    for name, look in looks(faulty=faulty).items():
        in_water = faulty and name in SHORTCUT
        if training and faulty and name == DEAD:
            continue
        labels = np.full(count, NAMES.index(name))
        if faulty and name == MISLABELLED:
            labels[: round(SHARE * count)] = NAMES.index(TAKEN_FOR)
        images.append(drawn(look, count, generator, in_water=in_water))
        targets.append(labels)
    return Split(
        torch.from_numpy(np.concatenate(images)),
        torch.from_numpy(np.concatenate(targets)),
    )


def train(out: Path, seed: int, *, faulty: bool) -> None:
    """Train one network and write what dsi reads."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    training = make_split(TRAIN_IMAGES, generator, faulty=faulty, training=True)
    test = make_split(TEST_IMAGES, generator, faulty=faulty, training=False)
    model = SmallCNN(len(NAMES), WIDTHS)
    write_run(out, model, training, test, label_list(faulty=faulty), EPOCHS)


def label_list(*, faulty: bool) -> list[str]:
    """Return the names in the order of the head's rows; with faults, two are swapped."""
    names = list(NAMES)
    if faulty:
        first, second = (NAMES.index(name) for name in SWAPPED)
        names[first], names[second] = names[second], names[first]
    return names


def write_mapping(path: Path, *, faulty: bool) -> None:
    """Write the senses for ``--map``; with faults, that of one class is wrong."""
    senses = dict(RIGHT_SENSES)
    if faulty:
        name, sense = WRONG_SENSE
        senses[name] = sense
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "synset"), *senses.items()])


def main() -> None:
    """Train all networks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS)
    parser.add_argument("--no-twin", action="store_true", help="no run without faults")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for seed in asked.seeds:
        train(asked.out / "faulty" / f"seed-{seed}", seed, faulty=True)
    write_mapping(asked.out / "faulty.csv", faulty=True)
    if not asked.no_twin:
        train(asked.out / "clean" / "seed-0", 0, faulty=False)
        write_mapping(asked.out / "clean.csv", faulty=False)


if __name__ == "__main__":
    main()
