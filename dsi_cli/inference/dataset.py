"""The record of a labelled split, and what every source of one needs.

Conventions. A target is a position in the data's own classes, whatever the classifier's order is (``matching`` joins the
two). ``expected ..., found ...; do ...`` is how each source says that it cannot be used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsi_cli.errors import UsageError, count

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL import Image

TEST_SPLITS = ("test", "val", "valid", "validation")
SPLITS = ("train", *TEST_SPLITS)
"""What a folder or a shard is called that holds one split."""


@dataclass(frozen=True, eq=False)
class Samples:
    """A labelled split: what is known without decoding an image, and how to decode one.

    Attributes
    ----------
    source : str
        For a person to read: ``image folder images/cifar100 (1,000 images, 100 classes)``.
    id : str
        12 hex digits that change when the data change: files by name, size and time; a set by name by its split.
    names : tuple of str, or None
        The data's class names, by target; None where the data have numbers alone.
    targets : (N,) int64
        Each sample's position in the data's own classes; never negative, below ``len(names)``.
    paths : (N,) str or None
        Where each sample lies, absolute: a file, ``FILE.parquet#ROW``, ``FILE.tar/MEMBER``; None where it is no file.
    image : callable
        A sample's number -> its decoded image, not transformed, in the file's own colour mode; or the tensor that the
        user's data set gives. Whatever the decoder raises comes through.
    is_threadsafe : bool
        Whether ``image`` may be called by several threads at once.
    wnids : tuple of (str or None), or None
        A WordNet id beside each class, where the source has them besides the names.
    is_sorted : bool
        Whether the source gives names without an order, so that their sorted order stands for it.
    """

    source: str
    id: str
    names: tuple[str, ...] | None
    targets: NDArray[np.int64]
    paths: Sequence[str | None]
    image: Callable[[int], Image.Image | torch.Tensor]
    is_threadsafe: bool
    wnids: tuple[str | None, ...] | None = None
    is_sorted: bool = False

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.targets)

    @property
    def classes(self) -> int:
        """Return the number of classes: of the names, or else the highest target plus 1."""
        return len(self.names) if self.names is not None else int(self.targets.max()) + 1

    def place(self, sample: int) -> str:
        """Return where a sample lies, for a person: its path, or ``sample 12``."""
        return self.paths[sample] or f"sample {sample}"


def fingerprint(*parts: object) -> str:
    """Return 12 hex digits of texts, numbers and lists of them.

    Examples
    --------
    >>> fingerprint("a", ["b", 1]) == fingerprint("a", ("b", 1)), len(fingerprint())
    (True, 12)
    """
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:12]


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return each file's name, size in bytes and time of change in ns."""
    found = ((file.name, file.stat()) for file in files)
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def counted(images: int, classes: int) -> str:
    """Return ``(1,000 images, 100 classes)``."""
    return f"({count(images, 'image')}, {count(classes, 'class')})"


def numbered(
    labels: Sequence[int | str], names: tuple[str, ...] | None, place: Callable[[int], str]
) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Return labels as targets, and the classes' names.

    Parameters
    ----------
    labels : (N,) int or str
        Numbers stay as they are; names are numbered in sorted order.
    names
        The names that the source states for numbers.
    place
        A sample's number -> where it lies, for the message.

    Raises
    ------
    UsageError
        Numbers and names are mixed; a number is negative, or has no name though names are stated.

    Examples
    --------
    >>> numbered(["dog", "cat"], None, str)
    (array([1, 0]), ('cat', 'dog'))
    """
    is_name = [isinstance(label, str) for label in labels]
    if all(is_name):
        names = tuple(sorted({str(label) for label in labels}))
        position = {name: number for number, name in enumerate(names)}
        return np.array([position[str(label)] for label in labels], dtype=np.int64), names
    if any(is_name):
        other = is_name.index(not is_name[0])
        raise UsageError(
            f"{place(other)}: expected every label to be a number, or every one a name, found {labels[0]!a} in "
            f"{place(0)} and {labels[other]!a} here; make them alike"
        )
    targets = np.array(labels, dtype=np.int64)
    require_range(targets, names, place)
    return targets, names


def require_range(targets: NDArray[np.int64], names: Sequence[str] | None, place: Callable[[int], str]) -> None:
    """Return if every target is a class's number.

    Raises
    ------
    UsageError
        One is negative (a split whose labels are withheld), or not below the number of names.
    """
    below = len(names) if names is not None else np.iinfo(np.int64).max
    wrong = np.flatnonzero((targets < 0) | (targets >= below))
    if len(wrong):
        allowed = f"0 to {len(names) - 1} (it has {len(names)} names)" if names is not None else "0 or more"
        raise UsageError(
            f"{place(int(wrong[0]))}: expected a class number of {allowed}, found {targets[wrong[0]]}; "
            "use a split whose labels are public, or correct them"
        )


def pick_split(found: Iterable[str], train: bool, where: object) -> str:
    """Return the split to use, of those that are there.

    Raises
    ------
    UsageError
        It is not there, or several splits could be the test set; the message names them.

    Examples
    --------
    >>> pick_split(["train", "val"], False, "data")
    'val'
    """
    there = sorted(set(found))
    wanted = [name for name in there if (name == "train") == train]
    listed = ", ".join(there)
    if not wanted:
        raise UsageError(
            f"{where}: expected a {'train' if train else 'test'} split, found only {listed}; name its folder or file"
        )
    if len(wanted) > 1:
        raise UsageError(
            f"{where}: expected one test split, found {' and '.join(wanted)}; name one, such as {where}{os.sep}{wanted[0]}"
        )
    return wanted[0]
