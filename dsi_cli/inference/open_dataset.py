"""A data source as the user names it -> the samples of a labelled split.

These are tried in this order: a folder (of class folders, of Parquet or tar shards, or of a saved data set), Parquet or tar
files by name or pattern, a name that torchvision knows, the user's own function. With ``root``, such a name comes first, since
torchvision keeps a data set in a folder of the same name.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference import image_folder, images, sharded_dataset
from dsi_cli.inference.dataset import SPLITS, Samples, pick_split
from dsi_cli.inference.torchvision_datasets import NAMED, find_named, open_named
from dsi_cli.inference.user_code import is_function

__all__ = ["Samples", "image_at", "open_samples"]

SHARDS = (".parquet", ".tar")
EXPECTED = (
    "a data set: a folder of class folders, .parquet or .tar shards, a name ("
    + ", ".join(row.name for row in NAMED)
    + "), "
    "or module:function"
)
_SPLIT = re.compile(rf"({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?![a-z])", re.IGNORECASE)
_ROW = re.compile(r"(?P<file>.+\.parquet)#(?P<row>\d+)", re.IGNORECASE)
_MEMBER = re.compile(r"(?P<shard>.+?\.tar)/(?P<name>.+)", re.IGNORECASE)


def open_samples(
    spec: str, *, root: str | None = None, download: bool = False, train: bool = False, labels: str | None = None
) -> Samples:
    """Return the samples of a labelled split.

    Parameters
    ----------
    spec
        A folder of class folders, of Parquet or tar shards, or that ``Dataset.save_to_disk`` wrote; a ``.parquet`` or ``.tar``
        file, or a pattern of them; a name in ``named.NAMED``; ``module:function`` or ``file.py:function``.
    root
        Where a data set by name lies; with it a name wins over a folder of that name (``./MNIST`` is the folder).
    download
        Whether a data set by name may be fetched into ``root``.
    train
        The training split, where the source has splits; else the test split (or the validation split, if that is all).
    labels
        The label column of Parquet files and saved data sets; None to find it by its name.

    Raises
    ------
    UsageError
        There is nothing of that name, no image or no label in it, or it is not clear which split or column is meant.
    """
    named = find_named(spec)
    if named is not None and root is not None:
        return open_named(named, root, download, train)
    path = Path(spec)
    if _is_there(path):
        return _open_folder(path, train, labels) if path.is_dir() else _open_shards(spec, [path], labels)
    if glob.has_magic(spec):
        return _open_shards(spec, [Path(found) for found in sorted(glob.glob(spec, recursive=True))], labels)  # noqa: PTH207
    if named is not None:
        return open_named(named, root, download, train)
    if is_function(spec):
        from dsi_cli.inference.custom_dataset import open_own  # imports torch

        return open_own(spec, train)
    raise UsageError(f"expected {EXPECTED}; found nothing at {spec[:200]!a}; check the path")


def image_at(path: str) -> Image:
    """Return the image that lies where ``Samples.paths`` says: a file, ``FILE.parquet#ROW`` or ``FILE.tar/MEMBER``.

    Raises
    ------
    UsageError
        It is not there any more, or cannot be decoded.
    """
    try:
        if not os.path.isfile(path):  # noqa: PTH113 (a text that is no path is no file)
            if match := _ROW.fullmatch(path):
                return images.open_bytes(sharded_dataset.row_bytes(Path(match["file"]), int(match["row"])))
            if match := _MEMBER.fullmatch(path):
                return images.open_bytes(sharded_dataset.member_bytes(Path(match["shard"]), match["name"]))
        return images.open_file(path)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{path}: expected an image, found none that can be read ({images.reason(error)}); check the file"
        ) from error


def _open_folder(folder: Path, train: bool, labels: str | None) -> Samples:
    folder = image_folder.split_folder(folder, train)
    saved = sorted(folder.glob("*.arrow"))
    if saved and (folder / "state.json").is_file():  # written by `Dataset.save_to_disk` of Hugging Face's library
        return sharded_dataset.open_shards(str(folder), saved, labels)
    if not image_folder.has_images(folder):
        for place in (folder, folder / "data"):
            for suffix in SHARDS:
                found = sorted(place.glob(f"[!.]*{suffix}"))
                if found:
                    return _open_shards(str(folder), _of_split(found, train, place), labels)
    return image_folder.open_image_folder(folder)


def _of_split(files: Sequence[Path], train: bool, folder: Path) -> list[Path]:
    """Return the shards of a split, where names begin with one (``test-00000-of-00002.parquet``); else all."""
    split_of = {file: match[1].lower() for file in files if (match := _SPLIT.match(file.name))}
    if not split_of:
        return list(files)
    wanted = pick_split(split_of.values(), train, folder)
    return [file for file, split in split_of.items() if split == wanted]


def _open_shards(spec: str, files: list[Path], labels: str | None) -> Samples:
    suffixes = {file.suffix.lower() for file in files}
    if len(suffixes) == 1 and suffixes <= set(SHARDS):
        return sharded_dataset.open_shards(spec, files, labels)
    what = f"files of {', '.join(sorted(suffix or 'no suffix' for suffix in suffixes))}" if files else "no file that fits"
    raise UsageError(
        f"{spec}: expected .parquet files or uncompressed .tar files, all of one kind, found {what}; name others"
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False  # a text that the system takes for no path at all
