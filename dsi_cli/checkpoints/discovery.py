"""Paths -> the checkpoints that lie there, run by run.

A run is the nearest folder that holds checkpoints, step folders (``checkpoint-500/``, one checkpoint each) collapsed into it.
Its name is the shortest suffix of its path that no other run shares. A file is a checkpoint by its contents, whatever its name
is; one that only has a checkpoint's suffix is listed too, so that a damaged file is named and not overlooked. What else lies
there is counted.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.checkpoints.epochs import is_step_folder, natural_key
from dsi_cli.checkpoints.formats import WHOLE_FOLDERS, is_checkpoint
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.errors import CheckpointError, UsageError, nearest
from dsi_cli.remote import locations, urls
from dsi_cli.remote.locations import Place

if TYPE_CHECKING:
    from dsi_cli.remote.remote_path import RemotePath

SUFFIXES = (
    ".pt", ".pth", ".ckpt", ".tar", ".bin", ".safetensors", ".pkl", ".pickle", ".th", ".pt2", ".keras", ".h5", ".hdf5", ".onnx",
    ".msgpack", ".t7",
)  # fmt: skip
"""Suffixes of checkpoints: a file with one of them is listed even if it is damaged."""
MODEL_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "adapter_model.bin",
    *WHOLE_FOLDERS,
)
"""The files that make a folder one checkpoint, the best first."""
_NOT_CHECKPOINTS = (
    ".json", ".txt", ".csv", ".tsv", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf", ".md", ".py", ".ipynb",
    ".yaml", ".yml", ".toml", ".npy", ".html", ".parquet", ".xml", ".sh", ".jsonl",
)  # fmt: skip
"""Suffixes of formats that hold no weights; such files are not opened."""
_OF_WEIGHTS = ("", ".model", ".weights", ".npz")
"""Other suffixes that a remote file is opened for, to see whether it is a checkpoint."""
STATE_FILES = ("trainer_state.json", "config.json")
"""What a folder that is one checkpoint says beside the model's file."""
LABEL_ENCODER = "label_encoder.pkl"
"""Class names that scikit-learn pickled, see `dsi_cli.checkpoints.encoders`."""
OUR_TABLE = "checkpoints.parquet"
"""What tells an output of dsi among the folders: it is passed over."""
_IGNORED_FOLDERS = frozenset({".git", "__pycache__", ".ipynb_checkpoints", "wandb", "mlruns", ".cache", "node_modules"})

_OF_CONTENTS = re.compile(r"checkpoints?|weights|models|version_\d+", re.IGNORECASE)
"""Names of folders that say what lies in them and not of which training it is."""
_OPTIMISER_FOLDER = re.compile(r"optimizer(_\d+)?")
"""Accelerate's, beside the folder with the model's parts."""


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint before it is opened."""

    run: str
    folder: Place
    """The run's folder."""
    path: Place
    """The file to open."""
    step_folder: Place | None
    """The folder that is the checkpoint, where it is one."""
    bytes: int
    modified_ns: int
    entry: str | None = None
    """The label of a `dsi_cli.checkpoints.trainers.SavedEpoch` if the file holds several epochs; None for a single checkpoint."""

    @property
    def place(self) -> Place:
        """What is the checkpoint: the file, or the step folder."""
        return self.step_folder if self.step_folder is not None and self.path.name in MODEL_FILES else self.path

    @property
    def shown(self) -> str:
        """The place as text that can be stored and printed: absolute, bytes that are no UTF-8 escaped."""
        return printable(str(self.place)) + ("" if self.entry is None else f"[{self.entry}]")


@dataclass(frozen=True)
class TrainingRun:
    """A run's checkpoints, in natural order of their names."""

    name: str
    folder: Place
    checkpoints: tuple[CheckpointFile, ...]
    ignored: int = 0
    """Files in its folder that are no checkpoints."""
    is_part: bool = False
    """Whether it is one of several training runs in a folder and named after its files: what lies beside may not be its own."""


@dataclass
class _Folder:
    files: list[tuple[Place, os.stat_result, Place | None]] = field(default_factory=list)
    ignored: int = 0


def discover(paths: Sequence[str | os.PathLike[str]], known: dict[str, str] | None = None) -> list[TrainingRun]:
    """Return the runs under the given paths, sorted by name.

    Parameters
    ----------
    paths : files, folders (searched to any depth, links followed once), glob patterns, or URLs of these
    known : run name -> folder, from an output that exists: a folder keeps the name that it has there

    Raises
    ------
    UsageError
        A path does not exist, or a run would take a name that ``known`` has for another folder.
    """
    folders: dict[Place, _Folder] = {}
    for path in _expanded(paths):
        if path.is_dir():
            _walk(path, folders)
        else:
            _add_file(path, path.parent, folders, asked=True)
    holding = {folder: entry for folder, entry in folders.items() if entry.files}
    names = _names(holding, known or {})
    runs = [_run(names[folder], folder, entry) for folder, entry in holding.items()]
    return sorted(runs, key=lambda run: natural_key(run.name))


def ignored_files(paths: Sequence[str | os.PathLike[str]]) -> int:
    """Return how many files under the paths are no checkpoints: what to say where no run was found."""
    folders: dict[Place, _Folder] = {}
    for path in _expanded(paths):
        if path.is_dir():
            _walk(path, folders)
    return sum(entry.ignored for entry in folders.values())


def printable(text: str) -> str:
    """Return text without surrogates (bytes of a name that are no UTF-8), which neither Parquet nor a terminal takes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _expanded(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Place]:
    for given in paths:
        if urls.scheme_of(given) is not None:
            yield from _remote(os.fspath(given))
            continue
        text = os.path.expanduser(urls.local_path(given))
        if os.path.lexists(text):
            yield Path(os.path.abspath(text))
            continue
        found = sorted(glob.glob(text, recursive=True), key=natural_key)
        if not found:
            raise UsageError(_no_such(text))
        yield from (Path(os.path.abspath(one)) for one in found)


def _remote(url: str) -> list[RemotePath]:
    found = locations.match_url(url)
    if not found:
        raise UsageError(f"no such file or folder: {urls.without_secrets(url)}")
    return sorted(found, key=lambda one: natural_key(str(one)))


def _no_such(text: str) -> str:
    if glob.has_magic(text):
        return f"no file or folder fits the pattern {text}"
    parent = Path(text).parent
    near = nearest(Path(text).name, os.listdir(parent) if parent.is_dir() else [])
    return f"no such file or folder: {text}" + (f"; did you mean {parent / near}?" if near else "")


def _walk(top: Place, folders: dict[Place, _Folder]) -> None:
    """Search a folder to any depth."""
    for folder, inner, files in _local_walk(top) if isinstance(top, Path) else top.walk():
        if OUR_TABLE in files:
            inner.clear()
            continue
        if any(mark in files and _marks_a_checkpoint(mark, files) for mark in WHOLE_FOLDERS):
            inner.clear()
        inner[:] = [name for name in inner if name not in _IGNORED_FOLDERS and not _OPTIMISER_FOLDER.fullmatch(name)]
        _add_folder(folder, files, folders, is_top=folder == top)


def _local_walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield folder, names of folders and of files; a folder that links lead back to is searched once."""
    seen: set[tuple[int, int]] = set()
    for here, inner, files in os.walk(top, followlinks=True, onerror=None):
        folder = Path(here)
        try:
            identity = folder.stat()
        except OSError:  # gone since it was listed: a trainer that keeps the last few step folders removes them at any time
            inner.clear()
            continue
        if (identity.st_dev, identity.st_ino) in seen:
            inner.clear()
            continue
        seen.add((identity.st_dev, identity.st_ino))
        # Real folders before links to them: a run is not called "latest" after a link.
        inner.sort(key=lambda name: (os.path.islink(os.path.join(here, name)), name))
        yield folder, inner, files


def _add_folder(folder: Place, files: list[str], folders: dict[Place, _Folder], *, is_top: bool) -> None:
    """Sort a folder's files into its run: its own, or its parent's where the folder is one checkpoint."""
    model = next((name for name in MODEL_FILES if name in files and _marks_a_checkpoint(name, files)), None)
    is_step = model in WHOLE_FOLDERS or (is_step_folder(folder.name) and not (is_top and model is None))
    step = _outermost_step(folder) if is_step else folder
    run = step.parent if is_step else folder
    if model is not None:
        found = _stat(folder / model)
        entry = folders.setdefault(run, _Folder())
        entry.ignored += len(files) - 1
        if found is not None:
            entry.files.append((folder / model, found, step))
        return
    for name in files:
        _add_file(folder / name, run, folders, step_folder=folder if is_step else None)


def _marks_a_checkpoint(name: str, files: list[str]) -> bool:
    """Whether a file of that name marks a checkpoint: ``.metadata`` is a common name, and torch's stands beside its parts."""
    return name != ".metadata" or any(file.endswith(".distcp") for file in files)


def _outermost_step(folder: Place) -> Place:
    """Return the folder that is the checkpoint: ``checkpoint-500`` of ``checkpoint-500/global_step500``, ``7`` of ``7/default``."""
    while is_step_folder(folder.parent.name) or (folder.name == "default" and folder.parent.name.isdecimal()):
        folder = folder.parent
    return folder


def _add_file(
    path: Place, run: Place, folders: dict[Place, _Folder], *, step_folder: Place | None = None, asked: bool = False
) -> None:
    entry = folders.setdefault(run, _Folder())
    found = _stat(path)
    if asked or (found is not None and _is_candidate(path, found)):
        entry.files.append((path, found or os.stat_result((0,) * 10), step_folder))
    else:
        entry.ignored += 1


def _stat(path: Place) -> os.stat_result | None:
    """Return what a path is; for a link that leads nowhere, the link itself."""
    try:
        return path.stat()
    except OSError:
        try:
            return path.lstat()
        except OSError:
            return None


def _is_candidate(path: Place, status: os.stat_result) -> bool:
    suffix = path.suffix.lower()
    if path.name == LABEL_ENCODER:
        return False
    if suffix in SUFFIXES:
        return True
    if suffix in _NOT_CHECKPOINTS or not stat.S_ISREG(status.st_mode) or status.st_size < 16:
        return False
    if not isinstance(path, Path) and suffix not in _OF_WEIGHTS:
        return False  # a request for each file that is something else would cost more than all checkpoints
    try:
        with RandomAccessFile(path) as source:
            return is_checkpoint(source)
    except (CheckpointError, RecursionError, MemoryError):
        return False


def _run(name: str, folder: Place, entry: _Folder) -> TrainingRun:
    files = sorted(entry.files, key=lambda item: natural_key(str(item[0]).removeprefix(f"{folder}/")))
    checkpoints = [
        CheckpointFile(name, folder, path, step, _bytes(path, found), _modified(path, found)) for path, found, step in files
    ]
    often = Counter(one.shown for one in checkpoints)  # two models in one step folder are two checkpoints
    apart = (replace(one, step_folder=one.path.parent) if often[one.shown] > 1 else one for one in checkpoints)
    return TrainingRun(name, folder, tuple({one.path: one for one in apart}.values()), entry.ignored)


def _bytes(path: Place, status: os.stat_result) -> int:
    return status.st_size + sum(part.st_size for part in _shards(path))


def _modified(path: Place, status: os.stat_result) -> int:
    """Return the time of the last change of all that a checkpoint's record is made from."""
    said = [_stat(path.parent / name) for name in STATE_FILES] if path.name in MODEL_FILES else []
    return max([status.st_mtime_ns, *(part.st_mtime_ns for part in [*_shards(path), *said] if part is not None)])


def _shards(path: Place) -> list[os.stat_result]:
    patterns = {".safetensors.index.json": "*.safetensors", ".bin.index.json": "*.bin"}
    patterns |= dict.fromkeys(WHOLE_FOLDERS, "**/*")
    pattern = next((pattern for end, pattern in patterns.items() if path.name.endswith(end)), None)
    if pattern is None:
        return []
    parts: Iterable[Place] = path.parent.glob(pattern)
    found = [_stat(part) for part in sorted(parts, key=str) if part != path]
    return [one for one in found if one is not None and stat.S_ISREG(one.st_mode)]


def _names(folders: Iterable[Place], known: dict[str, str]) -> dict[Place, str]:
    """Return each folder's name: the one it has already, else its shortest path suffix that is unique.

    A folder that is named after its contents (``checkpoints``) has the name of the folder above, unless others share that.
    """
    names: dict[Place, str] = {}
    meant = _meant(list(folders))
    often = Counter(place[-length:] for place in meant.values() for length in range(1, len(place)))
    for folder in folders:
        of_folder = [name for name, place in known.items() if place == printable(str(folder))]
        if of_folder:
            names[folder] = _common_name(of_folder)
            continue
        names[folder] = _shortest(meant[folder], often)
        if names[folder] in known:
            raise UsageError(
                f"the output has a run {names[folder]!r} from {known[names[folder]]}, and {printable(str(folder))} would be"
                " another of that name: choose another output with -o, or rename a folder"
            )
    return names


def _common_name(names: Sequence[str]) -> str:
    """Return the name of a folder of which an output has one run, or several: ``ckpts`` of ``ckpts/runA`` and ``ckpts/runB``."""
    if len(names) == 1:
        return names[0]
    columns = takewhile(lambda parts: len(set(parts)) == 1, zip(*(name.split("/") for name in names), strict=False))
    return "/".join(parts[0] for parts in columns) or min(names, key=len)


def _meant(folders: Sequence[Place]) -> dict[Place, tuple[str, ...]]:
    """Return the parts of the path that each folder is named by: without ``checkpoints`` and the like, as far as all differ."""
    meant = {folder: folder.parts for folder in folders}
    while True:
        shorter = {
            folder: parts[:-1] if len(parts) > 2 and _OF_CONTENTS.fullmatch(parts[-1]) else parts
            for folder, parts in meant.items()
        }
        often = Counter(shorter.values())
        shorter = {folder: parts if often[parts] == 1 else meant[folder] for folder, parts in shorter.items()}
        if shorter == meant:
            return meant
        meant = shorter


def _shortest(parts: tuple[str, ...], often: Counter[tuple[str, ...]]) -> str:
    suffixes = (parts[-length:] for length in range(1, len(parts)))
    unique = next((suffix for suffix in suffixes if often[suffix] == 1), parts[1:])
    return printable("/".join(unique)) or "root"
