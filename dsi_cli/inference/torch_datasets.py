"""Map-style data sets of torch: those of torchvision by name, and those from the user's
function.

torchvision's data sets are downloaded or unpacked only on request. The user's function
``file.py:function`` returns a data set of (image, target)
pairs, and its code is run. An image is a PIL image or a tensor that is ready for the
model; a target is a class number. Targets come from ``.targets`` if it has a number for
each item and there is no ``target_transform``. Otherwise each item is read once for its
target, which decodes all images.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, wrong
from dsi_cli.inference import user_code
from dsi_cli.inference.dataset import (
    Samples,
    file_stamps,
    fingerprint,
    require_range,
    size_note,
)
from dsi_cli.inference.image_folder import open_file

TARGETS_TO_COMPARE = 8
"""About this many of ``.targets`` are compared with those of the items, which may have
another order.
"""
EXPECTED = "a map-style data set of (image, target) pairs"


@dataclass(frozen=True)
class TorchvisionDataset:
    """A data set of torchvision.

    Attributes
    ----------
    name : the name of torchvision's class.
    other : other names of the data set.
    test : the name of the test split for the parameter ``split``; None if the class has
        the parameter ``train`` instead.
    is_fetched : True if torchvision can download it.
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
    """Return the data set of that name, or None; case, hyphens and underscores are
    ignored.

    >>> find_dataset("cifar-100").name
    'CIFAR100'
    """
    bare = spec.lower().replace("-", "").replace("_", "")
    return next(
        (
            row
            for row in DATASETS
            if bare in (row.name.lower(), *(other.lower() for other in row.other))
        ),
        None,
    )


def open_dataset(
    named: TorchvisionDataset, root: str | None, download: bool, train: bool
) -> Samples:
    """Return the samples of a split of a torchvision data set; raise `UsageError` if it
    is not in the folder.
    """
    if root is None:
        message = (
            f"{named.name}: expected the folder of the data set (in Python, download=True"
            " creates it), found none; give "
        )
        message += "--data-root FOLDER"
        raise UsageError(message, code="no-data-root", name=named.name)
    split = "train" if train else named.test or "test"
    dataset = _load(named, root, split, download)
    # torchvision stores targets under one of three names, as a list, an array or a
    # tensor.
    candidates = (
        getattr(dataset, name, None) for name in ("targets", "labels", "_labels")
    )
    targets = np.fromiter(
        next(targets for targets in candidates if targets is not None), dtype=np.int64
    )
    names, wnids = getattr(dataset, "classes", None), getattr(dataset, "wnids", None)
    if names is not None:  # ImageNet's synonyms are tuples
        names = tuple(
            name if isinstance(name, str) else ", ".join(name) for name in names
        )
    require_range(targets, names, lambda sample: f"{named.name}, sample {sample}")
    files = file_paths(dataset)

    def image(sample: int) -> Any:
        return open_file(files[sample]) if files else dataset[sample][0]

    return Samples(
        source=f"{named.name} {split} split in {root} {size_note(targets, names)}",
        id=fingerprint("torchvision", named.name, split, targets.tolist()),
        names=names,
        targets=targets,
        paths=files or (None,) * len(targets),
        image=image,
        is_threadsafe=True,
        wnids=None if names is None or wnids is None else tuple(wnids),
    )


def file_paths(dataset: Any) -> Sequence[str]:
    """Return the absolute paths of the images if a torchvision data set has files, else
    an empty list.
    """
    from torchvision.datasets import DatasetFolder, Flowers102, Food101

    if isinstance(dataset, DatasetFolder):
        return [os.path.abspath(path) for path, _ in dataset.samples]  # noqa: PTH100 (links stay as they are)
    if isinstance(dataset, Flowers102 | Food101):
        return [os.path.abspath(path) for path in dataset._image_files]  # noqa: PTH100
    return []


def _load(named: TorchvisionDataset, root: str, split: str, download: bool) -> Any:
    options: dict[str, Any] = (
        {"train": split == "train"} if named.test is None else {"split": split}
    )
    if named.is_fetched:
        options["download"] = download
    elif not Path(
        root, split
    ).is_dir():  # torchvision would unpack 150 GB of archives here
        raise wrong(
            named.name,
            f"the unpacked folder {split} in {root}",
            "none",
            "give another --data-root",
            code="data-set-not-readable",
            name=named.name,
        )
    try:
        return getattr(importlib.import_module("torchvision.datasets"), named.name)(
            root, **options
        )
    except (RuntimeError, OSError, ValueError) as error:
        remedy = "give another --data-root"
        if named.is_fetched and not download:
            remedy += ", or download=True in Python to fetch it"
        text = str(error).split("\n")[0].split(". You")[0]
        raise wrong(
            named.name,
            f"the data set in {root}",
            f"it missing or damaged ({text}); {remedy}",
            code="data-set-not-readable",
            name=named.name,
        ) from None


def open_custom(spec: str, train: bool) -> Samples:
    """Return the samples of the data set from the user's function.

    Raise `UsageError` if the function is unknown or fails, or its result is not a
    map-style data set of images or tensors with class numbers. The function gets
    ``train=``, or ``split="train"`` or ``"test"``, if it has such a parameter.
    """
    from torch import Tensor
    from torch.utils.data import IterableDataset

    # Call the function, and check that the result is a map-style data set.
    with user_code.importable(spec):
        function = user_code.load_object(spec)
        known: Collection[str] = ()
        with suppress(TypeError, ValueError):  # a C function has no signature
            known = inspect.signature(function).parameters
        options: dict[str, Any] = {
            "train": train,
            "split": "train" if train else "test",
        }
        chosen = next(({name: options[name]} for name in options if name in known), {})
        with user_code.call_user_code(spec, "a function that gives a data set"):
            dataset: Any = function(**chosen)
    with user_code.call_user_code(spec, EXPECTED):
        kind = type(dataset).__name__
        if isinstance(dataset, IterableDataset) or not (
            hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        ):
            raise wrong(
                spec,
                EXPECTED,
                f"{kind}, which has no numbered items; return one that has",
                code="not-a-data-set",
                type=kind,
            )
        size = len(dataset)
        if not size:
            raise wrong(
                spec,
                EXPECTED,
                f"an empty {kind}; return one with items",
                code="empty-data-set",
            )
        first_image, first = _item(spec, dataset, 0)
        targets = _stated_targets(spec, dataset, first)
        if targets is None:
            others = (_item(spec, dataset, number)[1] for number in range(1, size))
            targets = np.array([first, *others], dtype=np.int64)
        names = _class_names(spec, dataset, targets)
    require_range(targets, names, lambda sample: f"{spec}, sample {sample}")

    def image(sample: int) -> Any:
        decoded = dataset[sample][0]
        if hasattr(
            decoded, "load"
        ):  # a lazily loaded image could fail later, in the transform
            decoded.load()
        return decoded

    code, files = file_stamps(user_code.code_files(spec)), file_paths(dataset)
    stamps = file_stamps(path for path in map(Path, files) if path.is_file())
    return Samples(
        source=f"{spec} {size_note(targets, names)}",
        id=fingerprint("own", spec, train, code, names, targets.tolist(), stamps),
        names=names,
        targets=targets,
        paths=files or (None,) * size,
        image=image,
        is_threadsafe=False,
        returns_tensors=isinstance(first_image, Tensor)
        and first_image.is_floating_point(),
    )


def _class_names(
    spec: str, dataset: Any, targets: NDArray[np.int64]
) -> tuple[str, ...] | None:
    """Return ``.classes`` in the order of the targets ``(N,)`` of the items; None
    without names, or if they have other numbers.
    """
    names = getattr(dataset, "classes", None)
    numbers = getattr(dataset, "class_to_idx", None)
    if names is None:
        return None
    if not isinstance(names, list | tuple) or not all(
        isinstance(name, str) for name in names
    ):
        raise wrong(
            spec,
            "a list of names in .classes",
            f"{str(names)[:40]!a}",
            "correct or remove it",
            code="not-class-names",
        )
    # A `target_transform`, for example, gives each class another number.
    stated = _integers(getattr(dataset, "targets", None))
    if stated is not None and stated.shape == targets.shape:
        pairs = np.unique([stated, targets], axis=1)
        if pairs.shape[1] == len(np.unique(stated)) and (pairs[0] != pairs[1]).any():
            return None
    if (
        isinstance(numbers, dict)
        and {*numbers} == {*names}
        and len(numbers) == len(names)
    ):
        if sorted(numbers.values()) != list(range(len(names))):
            return None
        names = sorted(names, key=numbers.__getitem__)
    return tuple(names)


def _stated_targets(spec: str, dataset: Any, first: int) -> NDArray[np.int64] | None:
    """Return ``.targets`` if it has an integer for each item, and some items have the
    same; None if each item must be read.
    """
    size, targets = len(dataset), _integers(getattr(dataset, "targets", None))
    if (
        targets is None
        or targets.shape != (size,)
        or getattr(dataset, "target_transform", None) is not None
    ):
        return None
    step = max(2, size // TARGETS_TO_COMPARE)
    is_same = targets[0] == first and all(
        _item(spec, dataset, n)[1] == targets[n] for n in range(step, size, step)
    )
    return targets if is_same else None


def _item(spec: str, dataset: Any, number: int) -> tuple[Any, int]:
    """Return an item's image and target, after checking that the item is an image with
    a class number.
    """
    import torch
    from PIL import Image

    location = f"{spec}, sample {number}"
    with user_code.call_user_code(location, "an (image, target) pair"):
        item = dataset[number]
    if not isinstance(item, tuple | list) or len(item) != 2:
        kind = type(item).__name__
        raise wrong(
            location,
            "an (image, target) pair",
            f"{kind}; return a tuple of two",
            code="not-a-pair",
            sample=number,
            type=kind,
        )
    if not isinstance(item[0], Image.Image | torch.Tensor):
        kind = type(item[0]).__name__
        raise wrong(
            location,
            "a PIL image or a tensor",
            kind,
            "convert it",
            code="not-an-image",
            sample=number,
            type=kind,
        )
    target = _integers(item[1])
    if target is None or target.shape not in ((), (1,)):
        raise wrong(
            location,
            "a class number",
            f"{str(item[1])[:40]!a}; return an int",
            code="not-a-class-number",
            sample=number,
        )
    return item[0], int(target.item())


def _integers(values: Any) -> NDArray[np.int64] | None:
    """Return integers, or a list, an array or a tensor of them, as an array; None for
    other values.
    """
    try:
        array = np.array(values.tolist() if hasattr(values, "tolist") else values)
    except (TypeError, ValueError, RuntimeError):
        return None
    return array.astype(np.int64) if array.dtype.kind in "iu" else None
