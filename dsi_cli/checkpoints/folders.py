"""Find the checkpoints in folders.

The contents of a file decide whether it is a checkpoint, not its name. A file with a
checkpoint's suffix is always listed, so that a damaged checkpoint is reported and not
overlooked. All other files are counted.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dsi_cli.checkpoints import file_names
from dsi_cli.checkpoints.epochs import EpochAndStep
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.checkpoints.formats import UNREAD_SUFFIXES, WHOLE_FOLDERS, is_checkpoint
from dsi_cli.errors import CheckpointError
from dsi_cli.remote import locations
from dsi_cli.remote.locations import Place

SUFFIXES = (
    ".pt",
    ".pth",
    ".ckpt",
    ".tar",
    ".bin",
    ".safetensors",
    ".pkl",
    ".pickle",
    ".th",
    ".pt2",
    ".keras",
    ".h5",
    ".hdf5",
    ".onnx",
    ".msgpack",
    ".t7",
)
"""Suffixes of checkpoints: a file with one of them is listed even if it is damaged."""
MODEL_FILES = (
    *("model.safetensors.index.json", "model.safetensors", "adapter_model.safetensors"),
    *("pytorch_model.bin.index.json", "pytorch_model.bin", "adapter_model.bin"),
    *WHOLE_FOLDERS,
)
"""The files that make a folder one checkpoint, the best first."""
# the files with metadata in a folder that is one checkpoint
STATE_FILES = ("trainer_state.json", "config.json")
_OTHER_SUFFIXES = (
    ".json",
    ".txt",
    ".csv",
    ".tsv",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".svg",
    ".pdf",
    ".md",
    ".py",
    ".ipynb",
    ".yaml",
    ".yml",
    ".toml",
    ".npy",
    ".html",
    ".parquet",
    ".xml",
    ".sh",
    ".jsonl",
)
"""Suffixes of formats that hold no weights; such files are not opened."""
_REMOTE_SUFFIXES = ("", ".model", ".weights", ".npz")
"""Further suffixes of remote files whose contents are checked; a request for every
remote file would be slow.
"""
# the file of class names that scikit-learn pickled, which does not hold weights
LABEL_ENCODER = "label_encoder.pkl"
_OUTPUT_TABLE = (  # the file that marks a results folder of dsi, which is skipped
    "checkpoints.parquet"
)
# folders with copies of checkpoints, which are searched only if the user names them
TRACKER_FOLDERS = ("wandb", "mlruns")
_IGNORED_FOLDERS = frozenset(
    {
        ".git",
        "__pycache__",
        ".ipynb_checkpoints",
        ".cache",
        "node_modules",
        *TRACKER_FOLDERS,
    }
)
_OPTIMISER = re.compile(r"optimizer(_\d+)?")
"""Accelerate's folder of the optimiser's state, next to the folder with the model's
parts.
"""


@dataclass
class FolderContents:
    """The checkpoints of one run's folder."""

    files: list[tuple[Place, os.stat_result, Place | None]] = field(
        default_factory=list
    )
    """The path, status and step folder of each checkpoint."""
    moments: list[EpochAndStep] = field(default_factory=list)
    """Epoch and step of each file if the files are revisions, the oldest first."""
    # the revisions with the file of an earlier one, of which only that is a checkpoint
    repeated: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0  # the number of other files
    # the first of the other files that may contain weights in a form that dsi does not
    # read
    unread: Place | None = None


Folders = dict[Place, FolderContents]


def search_folder(top: Place, folders: Folders) -> None:
    """Add the checkpoints in a folder, at any depth, to their runs."""
    for folder, subfolders, files in locations.walk(top):
        if _OUTPUT_TABLE in files:
            subfolders.clear()
            continue
        if any(_marks_a_checkpoint(mark, files) for mark in WHOLE_FOLDERS):
            subfolders.clear()
        subfolders[:] = [
            name
            for name in subfolders
            if name not in _IGNORED_FOLDERS and not _OPTIMISER.fullmatch(name)
        ]
        add_folder(folder, files, folders, is_top=folder == top)


def model_file(files: Collection[str]) -> str | None:
    """Return the one of some files that makes their folder one checkpoint, or None."""
    has_epochs = any(
        name.lower().endswith(SUFFIXES) and file_names.parse(name).epoch is not None
        for name in files
    )
    for name in MODEL_FILES:
        # The last weights may be next to the epochs of their training.
        is_last = has_epochs and name.endswith(SUFFIXES) and name not in WHOLE_FOLDERS
        if _marks_a_checkpoint(name, files) and not is_last:
            return name
    return None


def step_folder(
    folder: Place, files: Collection[str], *, is_top: bool = False
) -> Place | None:
    """Return the folder that is one checkpoint and holds the given files of a folder;
    None if they are several checkpoints.

    ``is_top`` means that the user named the folder.
    """
    model = model_file(files)
    is_step = model in WHOLE_FOLDERS or (
        file_names.is_step_folder(folder.name) and not (is_top and model is None)
    )
    # A part of a checkpoint is alone in its folder: ``iter_500/mp_rank_00/model.pt``.
    if (
        not is_top
        and file_names.is_step_folder(folder.parent.name)
        and not file_names.parse(folder.name).of_kind("setting")
    ):
        weights = [name for name in files if name.lower().endswith(SUFFIXES)]
        is_step = (
            is_step
            or model is not None
            or (len(weights) == 1 and not file_names.is_copy(weights[0]))
        )
    # The checkpoint is ``checkpoint-500`` of ``checkpoint-500/global_step500``, and
    # ``7`` of ``7/default``.
    step = folder
    while is_step and (
        file_names.is_step_folder(step.parent.name)
        or (step.name == "default" and step.parent.name.isdecimal())
    ):
        step = step.parent
    return step if is_step else None


def add_folder(
    folder: Place, files: list[str], folders: Folders, *, is_top: bool
) -> None:
    """Add a folder's files to its run, or to the run of its parent if the folder is one
    checkpoint.
    """
    model, step = model_file(files), step_folder(folder, files, is_top=is_top)
    run = folder if step is None else step.parent
    # A folder with a model's file is one checkpoint, and its other files belong to it.
    if model is not None:
        contents = folders.setdefault(run, FolderContents())
        contents.ignored += len(files) - 1
        status = file_status(folder / model)
        if status is not None:
            contents.files.append((folder / model, status, step or folder))
        return
    for name in files:
        path = folder / name
        status = file_status(path)
        contents = folders.setdefault(run, FolderContents())
        if status is not None and _may_be_checkpoint(path, status):
            contents.files.append((path, status, step))
        else:
            contents.ignored += 1
            if contents.unread is None and path.suffix.lower() in UNREAD_SUFFIXES:
                contents.unread = path


def join_copies(folders: Folders) -> None:
    """Join folders such as ``final`` and ``best_model`` with the step folders next to
    them, one of which they repeat.
    """
    for folder, contents in list(folders.items()):
        run = folders.get(folder.parent)
        has_steps = run is not None and any(
            step is not None and file_names.is_step_folder(step.name)
            for _, _, step in run.files
        )
        is_model = [step for _, _, step in contents.files] == [folder]
        if (
            run is not None
            and has_steps
            and is_model
            and file_names.is_copy(folder.name)
        ):
            run.files += contents.files
            run.ignored += contents.ignored
            del folders[folder]


def _marks_a_checkpoint(name: str, files: Collection[str]) -> bool:
    """Return whether a folder has one of `MODEL_FILES`; ``.metadata`` counts only next
    to torch's ``.distcp`` files.
    """
    return name in files and (
        name != ".metadata" or any(file.endswith(".distcp") for file in files)
    )


def _may_be_checkpoint(path: Place, status: os.stat_result) -> bool:
    suffix = path.suffix.lower()
    if path.name == LABEL_ENCODER or path.name.startswith(
        "._"
    ):  # macOS keeps attributes of a file in "._" and its name
        return False
    if suffix in SUFFIXES:
        return True
    if (
        suffix in _OTHER_SUFFIXES
        or not stat.S_ISREG(status.st_mode)
        or status.st_size < 16
    ):
        return False
    if not isinstance(path, Path) and (
        suffix not in _REMOTE_SUFFIXES or path.name.startswith(".")
    ):
        return False
    try:
        with RandomAccessFile(path) as source:
            return is_checkpoint(source)
    except (CheckpointError, RecursionError, MemoryError):
        return False


def file_status(path: Place) -> os.stat_result | None:
    """Return the status of a file, or of the link itself if a link is broken; None if
    the file does not exist.
    """
    for status_of in (path.stat, path.lstat):
        try:
            return status_of()
        except OSError:
            continue
    return None


def other_parts(path: Place) -> list[Place]:
    """Return the other files of a checkpoint that consists of several."""
    patterns = {".safetensors.index.json": "*.safetensors", ".bin.index.json": "*.bin"}
    patterns |= dict.fromkeys(WHOLE_FOLDERS, "**/*")
    pattern = next(
        (pattern for suffix, pattern in patterns.items() if path.name.endswith(suffix)),
        None,
    )
    if pattern is None:
        return []
    files: Iterable[Place] = path.parent.glob(pattern)
    return [file for file in sorted(files, key=str) if file != path]
