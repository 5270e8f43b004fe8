"""A data set from the user's own function, ``module:function`` or ``file.py:function``. It runs the user's code.

The function returns a map-style data set of (image, target) pairs: a PIL image or a tensor that is ready for the model, and
a class number. Its targets are taken from ``.targets``, if that holds a number for each item and nothing changes them
afterwards; otherwise each item is read once to know its target, which decodes all images.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.inference import user_code
from dsi_cli.inference.dataset import Samples, counted, fingerprint, require_range, stamps
from dsi_cli.inference.torchvision_datasets import file_paths

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPECTED = "a map-style data set of (image, target) pairs"


def open_own(spec: str, train: bool) -> Samples:
    """Return the samples of the data set that the user's function gives.

    Parameters
    ----------
    spec
        As ``functions.is_function``.
    train
        Passed on as ``train=``, or as ``split="train"`` or ``"test"``, where the function has such a parameter.

    Raises
    ------
    UsageError
        There is no such function; it fails, with its exception's type and message; what it gives is no map-style data set
        of images or tensors with class numbers.
    """
    with user_code.findable(spec):
        dataset = _called(spec, user_code.find(spec), train)
    with user_code.call_user_code(spec, EXPECTED):
        size = _size(spec, dataset)
        targets = _targets(spec, dataset, size)
        names = _names(spec, dataset)
    require_range(targets, names, lambda sample: f"{spec}, sample {sample}")
    code = stamps(user_code.files_of(spec))
    return Samples(
        source=f"{spec} {counted(size, len(names) if names is not None else len(np.unique(targets)))}",
        id=fingerprint("own", spec, train, code, names, targets.tolist()),
        names=names,
        targets=targets,
        paths=file_paths(dataset) or (None,) * size,
        image=lambda sample: _image(dataset[sample]),
        is_threadsafe=False,
    )


def _called(spec: str, function: Callable[..., Any], train: bool) -> Any:
    try:
        known = inspect.signature(function).parameters
    except (TypeError, ValueError):  # a function of C says nothing of its parameters
        known = {}  # type: ignore[assignment]
    options: dict[str, Any] = {"train": train, "split": "train" if train else "test"}
    chosen = next(({name: options[name]} for name in options if name in known), {})
    with user_code.call_user_code(spec, "a function that gives a data set"):
        return function(**chosen)


def _size(spec: str, dataset: Any) -> int:
    from torch.utils.data import IterableDataset

    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        raise UsageError(f"{spec}: expected {EXPECTED}, found {kind}, which has no numbered items; return one that has")
    if not len(dataset):
        raise UsageError(f"{spec}: expected {EXPECTED}, found an empty {kind}; return one with items")
    return len(dataset)


def _targets(spec: str, dataset: Any, size: int) -> NDArray[np.int64]:
    """Return ``.targets`` if it holds an integer for each item; else the target of each item."""
    first = _target(spec, dataset, 0)
    stated = _integers(getattr(dataset, "targets", None))
    is_usable = stated is not None and stated.shape == (size,) and stated[0] == first
    if stated is not None and is_usable and getattr(dataset, "target_transform", None) is None:
        return stated
    return np.array([first, *(_target(spec, dataset, number) for number in range(1, size))], dtype=np.int64)


def _target(spec: str, dataset: Any, number: int) -> int:
    """Return an item's target, after checking that the item is an image with a class number."""
    import torch
    from PIL import Image

    with user_code.call_user_code(f"{spec}, sample {number}", "an (image, target) pair"):
        item = dataset[number]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise UsageError(
            f"{spec}, sample {number}: expected an (image, target) pair, found {type(item).__name__}; return a tuple of two"
        )
    if not isinstance(item[0], Image.Image | torch.Tensor):
        kind = type(item[0]).__name__
        raise UsageError(f"{spec}, sample {number}: expected a PIL image or a tensor, found {kind}; convert it")
    target = _integers(item[1])
    if target is None or target.shape not in ((), (1,)):
        raise UsageError(f"{spec}, sample {number}: expected a class number, found {str(item[1])[:40]!a}; return an int")
    return int(target.item())


def _integers(values: Any) -> NDArray[np.int64] | None:
    """Return integers, a list of them, an array or a tensor as an array; None for anything else."""
    try:
        array = np.array(values.tolist() if hasattr(values, "tolist") else values)
    except (TypeError, ValueError, RuntimeError):
        return None
    return array.astype(np.int64) if array.dtype.kind in "iu" else None


def _names(spec: str, dataset: Any) -> tuple[str, ...] | None:
    names = getattr(dataset, "classes", None)
    if names is None:
        return None
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{spec}: expected a list of names in .classes, found {str(names)[:40]!a}; correct or remove it")
    return tuple(names)


def _image(item: Any) -> Any:
    """Return an item's image, decoded: a lazy one would fail later, in the transform."""
    image = item[0]
    if hasattr(image, "load"):
        image.load()
    return image
