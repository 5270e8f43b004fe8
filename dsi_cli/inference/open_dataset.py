"""Open a data source by its specification as the samples of a labelled split.

The first match counts: a folder of class folders, the name of a data set of
torchvision, and the user's function. With ``root``, names of data sets come first,
because torchvision stores a data set in a folder of the same name.
"""

from __future__ import annotations

import os
from pathlib import Path

from PIL.Image import Image

from dsi_cli.errors import UsageError, wrong
from dsi_cli.inference import image_folder
from dsi_cli.inference.dataset import Samples
from dsi_cli.inference.torch_datasets import (
    DATASETS,
    find_dataset,
    open_custom,
    open_dataset,
)
from dsi_cli.inference.user_code import is_function

__all__ = ["Samples", "image_at", "open_samples"]

_NAMES = ", ".join(row.name for row in DATASETS)
EXPECTED = (
    f"a folder of class folders, a name ({_NAMES}), or file.py:function that returns a"
    " torch data set"
)


def open_samples(
    spec: str, *, root: str | None = None, download: bool = False, train: bool = False
) -> Samples:
    """Return the samples of a labelled split.

    Raise `UsageError` if the source is unknown, has no images or labels, or if its
    split is ambiguous.

    Parameters
    ----------
    spec : a folder of class folders, a name in `torch_datasets.DATASETS`, or
        ``file.py:function``.
    root : the folder of a data set by name. With it, a name has priority over a folder
        of that name (``./MNIST`` is the folder).
    download : True to download a data set by name into ``root``.
    train : True for the training split; otherwise the test split, or else the
        validation split.
    """
    dataset = find_dataset(spec)
    exists = os.path.exists(spec)  # noqa: PTH110 (any text is accepted)
    if dataset is not None and (root is not None or not exists):
        return open_dataset(dataset, root, download, train)
    if exists:
        folder = image_folder.split_folder(Path(spec), train)
        return image_folder.open_image_folder(folder)
    if is_function(spec):
        return open_custom(spec, train)
    raise UsageError(
        f"expected {EXPECTED}; found nothing at {spec[:200]!a}",
        hint="check the path",
        code="no-such-data",
    )


def image_at(path: str) -> Image:
    """Return the image at a path of ``Samples.paths``; raise `UsageError` if it is gone
    or cannot be decoded.
    """
    try:
        return image_folder.open_file(path)
    except Exception as error:
        reason = image_folder.reason_not_decoded(error)
        raise wrong(
            path,
            "an image",
            f"none that can be read ({reason})",
            "check the file",
            code="image-not-readable",
            path=path,
            reason=reason,
        ) from error
