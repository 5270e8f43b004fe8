"""Open a data source by its specification as the samples of a labelled split.

The first match counts. A folder has class folders, Parquet or tar shards, or a saved
data set. Then follow Parquet or tar files by name or pattern, names of torchvision's
data sets, and the user's function. With ``root``, names of data sets come first,
because torchvision stores a data set in a folder of the same name.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from PIL.Image import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference import image_folder, sharded_dataset
from dsi_cli.inference.dataset import SPLITS, Samples, pick_split
from dsi_cli.inference.torch_datasets import (
    DATASETS,
    find_dataset,
    open_custom,
    open_dataset,
)
from dsi_cli.inference.user_code import is_function

__all__ = ["Samples", "image_at", "open_samples"]

SHARDS = (".parquet", ".tar")
_NAMES = ", ".join(row.name for row in DATASETS)
EXPECTED = (
    "a data set: a folder of class folders, .parquet or .tar shards, a name"
    f" ({_NAMES}), or module:function"
)
_SPLIT = re.compile(
    rf"({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?![a-z])", re.IGNORECASE
)
_ROW = re.compile(r"(?P<file>.+\.parquet)#(?P<row>\d+)", re.IGNORECASE)
_MEMBER = re.compile(r"(?P<shard>.+?\.tar)/(?P<name>.+)", re.IGNORECASE | re.DOTALL)


def open_samples(
    spec: str,
    *,
    root: str | None = None,
    download: bool = False,
    train: bool = False,
    labels: str | None = None,
) -> Samples:
    """Return the samples of a labelled split.

    Raise `UsageError` if the source is unknown, has no images or labels, or if its
    split or columns are ambiguous.

    Parameters
    ----------
    spec : a folder of class folders, of Parquet or tar shards, or from
        ``Dataset.save_to_disk``. Or a ``.parquet`` or ``.tar`` file or a pattern of
        them, a name in `torch_datasets.DATASETS`, ``module:function`` or
        ``file.py:function``.
    root : the folder of a data set by name. With it, a name has priority over a folder
        of that name (``./MNIST`` is the folder).
    download : True to download a data set by name into ``root``.
    train : True for the training split; otherwise the test split, or else the
        validation split.
    labels : the label column of Parquet files and saved data sets; None to find it by
        its name.
    """
    dataset = find_dataset(spec)
    if dataset is not None and root is not None:
        return open_dataset(dataset, root, download, train)
    path = Path(spec)
    if os.path.exists(path):  # noqa: PTH110 (any text is accepted)
        return (
            _open_folder(path, train, labels)
            if path.is_dir()
            else _open_shards(spec, [path], labels)
        )
    if glob.has_magic(spec):
        names = sorted(glob.glob(spec, recursive=True))  # noqa: PTH207
        return _open_shards(spec, [Path(name) for name in names], labels)
    if dataset is not None:
        return open_dataset(dataset, root, download, train)
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
        if not os.path.isfile(path):  # noqa: PTH113 (any text is accepted)
            if match := _ROW.fullmatch(path):
                return image_folder.open_bytes(
                    sharded_dataset.row_bytes(Path(match["file"]), int(match["row"]))
                )
            if match := _MEMBER.match(path):
                return image_folder.open_bytes(
                    sharded_dataset.member_bytes(Path(match["shard"]), match["name"])
                )
        return image_folder.open_file(path)
    except UsageError:
        raise
    except Exception as error:
        message = (
            f"{path}: expected an image, found none that can be read"
            f" ({image_folder.reason_not_decoded(error)}); "
        )
        message += "check the file"
        raise UsageError(message, code="image-not-readable", path=path) from error


def _open_folder(folder: Path, train: bool, labels: str | None) -> Samples:
    folder = image_folder.split_folder(folder, train)
    saved = sorted(folder.glob("*.arrow"))
    if (
        saved and (folder / "state.json").is_file()
    ):  # from `Dataset.save_to_disk` of Hugging Face's library
        return sharded_dataset.open_shards(str(folder), saved, labels)
    if not image_folder.has_images(folder):
        for parent in (folder, folder / "data"):
            for suffix in SHARDS:
                shards = sorted(parent.glob(f"[!.]*{suffix}"))
                # If names begin with a split (``test-00000-of-00002.parquet``), only
                # the shards of one split count.
                splits = {
                    file: match[1].lower()
                    for file in shards
                    if (match := _SPLIT.match(file.name))
                }
                if splits:
                    split = pick_split(splits.values(), train, parent)
                    shards = [file for file in splits if splits[file] == split]
                if shards:
                    return _open_shards(str(folder), shards, labels)
    return image_folder.open_image_folder(folder)


def _open_shards(spec: str, files: list[Path], labels: str | None) -> Samples:
    suffixes = {file.suffix.lower() for file in files}
    if len(suffixes) == 1 and suffixes <= set(SHARDS):
        return sharded_dataset.open_shards(spec, files, labels)
    what = (
        f"files of {', '.join(sorted(suffix or 'no suffix' for suffix in suffixes))}"
        if files
        else "no file that fits"
    )
    message = (
        f"{spec}: expected .parquet files or uncompressed .tar files, all of one kind,"
        f" found {what}"
    )
    raise UsageError(message, hint="name others", code="not-shards")
