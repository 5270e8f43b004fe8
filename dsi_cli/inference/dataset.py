"""The record of a labelled split, and helpers for all sources of such splits.

A target is an index of the data's own classes; `class_matching` matches these with the
classifier's. Errors of sources have the form ``expected ..., found ...; do ...``.
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

from dsi_cli.errors import count, wrong

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL import Image

# names of folders with one split
SPLITS = ("train", "test", "val", "valid", "validation")


@dataclass(frozen=True, eq=False)
class Samples:
    """A labelled split with a function that decodes an image.

    Attributes
    ----------
    source : a description for messages: ``image folder images/cifar100 (1,000 images,
        100 classes)``.
    id : 12 hex digits that change with the data: the names, sizes and times of files,
        or the split of a data set by name.
    names : the data's class names, by target; None if the data have only class numbers.
    targets : ``(N,)``, the index of each sample's class in the data's own classes, from
        0 to ``len(names) - 1``.
    paths : ``(N,)``, the absolute path of each sample's file; None for samples without
        one.
    image : a function from a sample's number to its decoded image without transforms,
        in the file's colour mode, or to the tensor of a custom data set. It raises the
        exceptions of the decoder.
    is_threadsafe : True if several threads may call ``image`` at the same time.
    wnids : the WordNet id of each class, if the source has ids in addition to names.
    is_sorted : True if the source does not order its names, so that ``names`` are
        sorted.
    returns_tensors : True if ``image`` returns floats that the model takes as they are.
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
    returns_tensors: bool = False

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.targets)

    @property
    def classes(self) -> int:
        """The number of class names, or without names the highest target plus 1."""
        if self.names is not None:
            return len(self.names)
        return int(self.targets.max()) + 1

    def locate(self, sample: int) -> str:
        """Return the path of a sample, or ``sample 12``, for messages."""
        return self.paths[sample] or f"sample {sample}"


def fingerprint(*parts: object) -> str:
    """Return 12 hex digits of texts, numbers and lists of them.

    >>> fingerprint("a", ["b", 1]) == fingerprint("a", ("b", 1)), len(fingerprint())
    (True, 12)
    """
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:12]


def file_stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return the name, the size in bytes and the modification time in ns of each
    file.
    """
    return [
        (file.name, stat.st_size, stat.st_mtime_ns)
        for file in files
        for stat in [file.stat()]
    ]


def size_note(targets: NDArray[np.int64], names: Sequence[str] | None) -> str:
    """Return ``(1,000 images, 100 classes)``; without names, the classes are those that
    have images.
    """
    classes = len(names or np.unique(targets))
    return f"({count(len(targets), 'image')}, {count(classes, 'class')})"


def require_range(
    targets: NDArray[np.int64],
    names: Sequence[str] | None,
    locate: Callable[[int], str],
) -> None:
    """Raise `UsageError` if a target is negative (its label is not public), or not
    below the number of names.
    """
    allowed, end = "0 or more", np.iinfo(np.int64).max
    if names is not None:
        allowed, end = f"0 to {len(names) - 1} (it has {len(names)} names)", len(names)
    outside = np.flatnonzero((targets < 0) | (targets >= end)).tolist()
    if outside:
        number = int(targets[outside[0]])
        raise wrong(
            locate(outside[0]),
            f"a class number of {allowed}",
            number,
            "use a split whose labels are public, or correct them",
            code="class-number",
            number=number,
        )


def pick_split(names: Iterable[str], train: bool, source: object) -> str:
    """Return the training or the test split among the splits of a source.

    Raise `UsageError` if the split is missing, or if several splits could be the test
    set.

    >>> pick_split(["train", "val"], False, "data")
    'val'
    """
    splits = sorted(set(names))
    candidates = [name for name in splits if (name == "train") == train]
    if not candidates:
        missing = "train" if train else "test"
        raise wrong(
            source,
            f"a {missing} split",
            f"only {', '.join(splits)}",
            "name its folder or file",
            code="no-split",
            split=missing,
        )
    if len(candidates) > 1:
        example = f"{source}{os.sep}{candidates[0]}"
        raise wrong(
            source,
            "one test split",
            " and ".join(candidates),
            f"name one, such as {example}",
            code="several-splits",
            splits=candidates,
        )
    return candidates[0]
