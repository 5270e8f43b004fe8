"""Data sets of torchvision by name. They are downloaded or unpacked only on request."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.inference.dataset import Samples, fingerprint, require_range, size_note
from dsi_cli.inference.images import open_file


@dataclass(frozen=True)
class TorchvisionDataset:
    """A data set of torchvision.

    Attributes
    ----------
    name : the name of torchvision's class
    other : other names of the data set
    test : the name of the test split for the parameter ``split``; None if the class has the parameter ``train`` instead
    is_fetched : True if torchvision can download it
    """

    name: str
    other: tuple[str, ...] = ()
    test: str | None = None
    is_fetched: bool = True


DATASETS = (
    TorchvisionDataset("CIFAR10"),
    TorchvisionDataset("CIFAR100"),
    TorchvisionDataset("FashionMNIST"),
    TorchvisionDataset("MNIST"),
    TorchvisionDataset("STL10", test="test"),
    TorchvisionDataset("Flowers102", ("Flowers",), test="test"),
    TorchvisionDataset("Food101", ("Food",), test="test"),
    TorchvisionDataset("ImageNet", test="val", is_fetched=False),
)
"""The data sets that are available by name."""


def find_dataset(spec: str) -> TorchvisionDataset | None:
    """Return the data set of that name, or None; case, hyphens and underscores are ignored.

    Examples
    --------
    >>> find_dataset("cifar-100").name
    'CIFAR100'
    """
    bare = spec.lower().replace("-", "").replace("_", "")
    return next((row for row in DATASETS if bare in (row.name.lower(), *(other.lower() for other in row.other))), None)


def open_dataset(named: TorchvisionDataset, root: str | None, download: bool, train: bool) -> Samples:
    """Return the samples of a split of a torchvision data set.

    Raise `UsageError` if the folder is not given or lacks the data set, or if the download failed.
    """
    if root is None:
        raise UsageError(
            f"{named.name}: expected the folder of the data set (with --download, it is created), found none; "
            "give --data-root FOLDER",
            code="no-data-root",
            name=named.name,
        )
    split = "train" if train else named.test or "test"
    dataset = _load(named, root, split, download)
    # torchvision stores targets under one of three names, as a list, an array or a tensor.
    candidates = (getattr(dataset, name, None) for name in ("targets", "labels", "_labels"))
    targets = np.fromiter(next(targets for targets in candidates if targets is not None), dtype=np.int64)
    names, wnids = getattr(dataset, "classes", None), getattr(dataset, "wnids", None)
    if names is not None:  # ImageNet's synonyms are tuples
        names = tuple(name if isinstance(name, str) else ", ".join(name) for name in names)
    require_range(targets, names, lambda sample: f"{named.name}, sample {sample}")
    files = file_paths(dataset)
    return Samples(
        source=f"{named.name} {split} split in {root} {size_note(len(targets), len(names) if names else len(np.unique(targets)))}",
        id=fingerprint("torchvision", named.name, split, targets.tolist()),
        names=names,
        targets=targets,
        paths=files or (None,) * len(targets),
        image=(lambda sample: open_file(files[sample])) if files else (lambda sample: dataset[sample][0]),
        is_threadsafe=True,
        wnids=None if names is None or wnids is None else tuple(wnids),
    )


def file_paths(dataset: Any) -> Sequence[str]:
    """Return the absolute paths of the images if a torchvision data set has files, else an empty list."""
    from torchvision.datasets import DatasetFolder, Flowers102, Food101

    if isinstance(dataset, DatasetFolder):
        return [os.path.abspath(path) for path, _ in dataset.samples]  # noqa: PTH100 (links stay as they are)
    if isinstance(dataset, Flowers102 | Food101):
        return [os.path.abspath(path) for path in dataset._image_files]  # noqa: PTH100
    return []


def _load(named: TorchvisionDataset, root: str, split: str, download: bool) -> Any:
    options: dict[str, Any] = {"train": split == "train"} if named.test is None else {"split": split}
    if named.is_fetched:
        options["download"] = download
    elif not Path(root, split).is_dir():  # torchvision would unpack 150 GB of archives here
        message = f"{named.name}: expected the unpacked folder {split} in {root}, found none; give another --data-root"
        raise UsageError(message, code="data-set-not-readable", name=named.name)
    try:
        return getattr(importlib.import_module("torchvision.datasets"), named.name)(root, **options)
    except (RuntimeError, OSError, ValueError) as error:
        remedy = "give another --data-root"
        if named.is_fetched and not download:
            remedy += ", or --download to fetch it"
        text = str(error).split("\n")[0].split(". You")[0]
        message = f"{named.name}: expected the data set in {root}, found it missing or damaged ({text}); {remedy}"
        raise UsageError(message, code="data-set-not-readable", name=named.name) from None
