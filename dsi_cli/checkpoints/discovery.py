"""Find the checkpoints under given paths, grouped by training run.

A run is the nearest folder that contains checkpoints. A step folder (``checkpoint-500/``) is one checkpoint of the folder above.
The run's name is the shortest suffix of its path that no other run shares.

The contents of a file decide whether it is a checkpoint, not its name. A file with a checkpoint's suffix is always listed, so that
a damaged checkpoint is reported and not overlooked. All other files are counted.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.checkpoints.epochs import EpochAndStep, is_step_folder, moments_of_revisions, natural_key
from dsi_cli.checkpoints.formats import WHOLE_FOLDERS, is_checkpoint
from dsi_cli.checkpoints.io.bounded_json import parse_json
from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import CheckpointError, NothingToAnalyseError, UsageError, count, nearest
from dsi_cli.remote import locations, urls
from dsi_cli.remote.locations import Place
from dsi_cli.remote.trackers import TrackedRun, find_tracked_runs

if TYPE_CHECKING:
    from dsi_cli.remote.hub import Revision
    from dsi_cli.remote.trackers import Version

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
_OTHER_SUFFIXES = (
    ".json", ".txt", ".csv", ".tsv", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf", ".md", ".py", ".ipynb",
    ".yaml", ".yml", ".toml", ".npy", ".html", ".parquet", ".xml", ".sh", ".jsonl",
)  # fmt: skip
"""Suffixes of formats that hold no weights; such files are not opened."""
_REMOTE_SUFFIXES = ("", ".model", ".weights", ".npz")
"""Further suffixes of remote files whose contents are checked; a request for every remote file would be slow."""
STATE_FILES = ("trainer_state.json", "config.json")
"""The files with metadata in a folder that is one checkpoint."""
_MAX_STATE_BYTES = 16 << 20
LABEL_ENCODER = "label_encoder.pkl"
"""The file of class names that scikit-learn pickled, read by `dsi_cli.checkpoints.encoders`."""
_NANO = 10**9
OUTPUT_TABLE = "checkpoints.parquet"
"""The file that marks a results folder of dsi, which is skipped."""
_IGNORED_FOLDERS = frozenset({".git", "__pycache__", ".ipynb_checkpoints", "wandb", "mlruns", ".cache", "node_modules"})

_CONTENT_FOLDER = re.compile(r"checkpoints?|weights|models|version_\d+", re.IGNORECASE)
"""Names of folders that describe the contents and do not identify a training."""
_OPTIMISER_FOLDER = re.compile(r"optimizer(_\d+)?")
"""Accelerate's folder of the optimiser's state, next to the folder with the model's parts."""


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint before it is opened."""

    run: str
    folder: Place
    """The run's folder."""
    path: Place
    """The file to open."""
    step_folder: Place | None
    """The folder that is the checkpoint, if it is a folder."""
    bytes: int
    modified_ns: int
    moment: EpochAndStep | None = None
    """Epoch and step of a revision if its contents do not state them; None for a file that is no revision."""
    entry: str | None = None
    """The label of a `dsi_cli.checkpoints.trainers.SavedEpoch` if the file holds several epochs; None for a single checkpoint."""

    @property
    def checkpoint_path(self) -> Place:
        """The path of the checkpoint: the file, or the step folder."""
        if self.step_folder is not None and self.path.name in MODEL_FILES:
            return self.step_folder
        return self.path

    @property
    def display_path(self) -> str:
        """The absolute path as text that can be stored and printed, followed by ``[label]`` for one of several epochs."""
        path = printable(str(self.checkpoint_path))
        return path if self.entry is None else f"{path}[{self.entry}]"


@dataclass(frozen=True)
class TrainingRun:
    """A run's checkpoints, in natural order of their names."""

    name: str
    folder: Place
    checkpoints: tuple[CheckpointFile, ...]
    ignored: int = 0
    """The number of other files in its folder."""
    is_part: bool = False
    """True for one of several runs in a folder that is named after its files. Other files there may belong to another run."""
    tracked: TrackedRun | None = None
    """The run of an experiment tracker, which has the curves."""


@dataclass
class _Folder:
    files: list[tuple[Place, os.stat_result, Place | None]] = field(default_factory=list)
    """The path, status and step folder of each checkpoint."""
    moments: list[EpochAndStep] = field(default_factory=list)
    """Epoch and step of each file if the files are revisions, the oldest first."""
    ignored: int = 0
    name: str | None = None
    """The name of the run in its tracker."""
    tracked: TrackedRun | None = None


def discover(
    paths: Sequence[str | os.PathLike[str]],
    known: dict[str, str] | None = None,
    revisions: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[TrainingRun]:
    """Return the runs under the given paths, sorted by name.

    Parameters
    ----------
    paths : files, folders (searched to any depth, links followed once), glob patterns, or URLs of these
    known : ``{run name: folder}`` of an existing output; a folder keeps its name
    revisions : read the paths, which are repositories, at these revisions (`dsi_cli.remote.hub.list_revisions`)
    progress : called with the number of listed revisions and their total

    Raises
    ------
    NothingToAnalyseError
        No revision has a checkpoint (``no-checkpoints``), or a server does not respond.
    UsageError
        A path does not exist (``no-such-path``), no revision fits (``no-such-revision``), or ``known`` has a run's name for
        another folder (``run-name-taken``).
    """
    folders: dict[Place, _Folder] = {}
    for url in paths if revisions is not None else ():
        _search_revisions(os.fspath(url), revisions or "", folders, progress)
    for path in _expand(paths if revisions is None else ()):
        if isinstance(path, TrackedRun):
            _search_tracked_run(path, folders)
        elif path.is_dir():
            _search_folder(path, folders)
        else:
            # A file that the user named is a checkpoint, whatever it contains.
            status = _stat(path) or os.stat_result((0,) * 10)
            folders.setdefault(path.parent, _Folder()).files.append((path, status, None))
    with_checkpoints = {folder: contents for folder, contents in folders.items() if contents.files}
    names = _run_names(with_checkpoints, known or {})
    runs = [_training_run(names[folder], folder, contents) for folder, contents in with_checkpoints.items()]
    return sorted(runs, key=lambda run: natural_key(run.name))


def count_ignored_files(paths: Sequence[str | os.PathLike[str]]) -> int:
    """Return the number of files in the given folders that are not checkpoints, for the message that no run was found."""
    folders: dict[Place, _Folder] = {}
    for path in _expand(paths):
        if isinstance(path, TrackedRun):
            _search_tracked_run(path, folders)
        elif path.is_dir():
            _search_folder(path, folders)
    return sum(contents.ignored for contents in folders.values())


def printable(text: str) -> str:
    """Return text with surrogates (bytes of a file name that are not UTF-8) escaped for Parquet and terminals."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _expand(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Place | TrackedRun]:
    for path in paths:
        runs = find_tracked_runs(os.fspath(path))
        if runs is not None:
            yield from runs
            continue
        if urls.scheme_of(path) is not None:
            url = os.fspath(path)
            matches = locations.match_url(url)
            if not matches:
                raise UsageError(
                    f"no such file or folder: {urls.without_secrets(url)}",
                    code="no-such-path",
                    path=urls.without_secrets(url),
                )
            yield from sorted(matches, key=lambda match: natural_key(str(match)))
            continue
        text = os.path.expanduser(urls.local_path(path))
        if os.path.lexists(text):
            yield Path(os.path.abspath(text))
            continue
        names = sorted(glob.glob(text, recursive=True), key=natural_key)
        if not names:
            raise _no_such_path(text)
        for name in names:
            yield Path(os.path.abspath(name))


def _no_such_path(text: str) -> UsageError:
    if glob.has_magic(text):
        return UsageError(f"no file or folder fits the pattern {text}", code="no-such-path", path=text)
    parent = Path(text).parent
    similar = nearest(Path(text).name, os.listdir(parent) if parent.is_dir() else [])
    message = f"no such file or folder: {text}"
    if similar:
        message += f"; try {parent / similar}"
    return UsageError(message, code="no-such-path", path=text, similar=similar)


def _search_folder(top: Place, folders: dict[Place, _Folder]) -> None:
    for folder, subfolders, files in _walk_local(top) if isinstance(top, Path) else top.walk():
        if OUTPUT_TABLE in files:
            subfolders.clear()
            continue
        if any(mark in files and _marks_a_checkpoint(mark, files) for mark in WHOLE_FOLDERS):
            subfolders.clear()
        subfolders[:] = [
            name for name in subfolders if name not in _IGNORED_FOLDERS and not _OPTIMISER_FOLDER.fullmatch(name)
        ]
        _add_folder(folder, files, folders, is_top=folder == top)


def _search_revisions(url: str, wanted: str, folders: dict[Place, _Folder], progress: Callable[[int, int], None]) -> None:
    """Add the checkpoint of each revision of a repository that differs from those of the earlier revisions."""
    from dsi_cli.remote import hub

    history = hub.list_revisions(url, wanted, progress)
    revisions = history.revisions
    if not history.are_commits:
        revisions = sorted(revisions, key=lambda revision: natural_key(revision.text))
        # A tag with a number has precedence over a branch like main at the same commit.
        revisions.sort(key=lambda revision: not any(map(str.isdigit, revision.text)))
    contents = _revisions(revisions, are_commits=history.are_commits)
    if not contents.files:
        shown = urls.without_secrets(url)
        raise NothingToAnalyseError(
            f"no checkpoint at {count(len(revisions), 'revision')} of {shown}: if they are in a folder, give {shown}/FOLDER",
            code="no-checkpoints",
            path=shown,
        )
    folders[history.folder.parent if history.folder.is_file() else history.folder] = contents


def _search_tracked_run(run: TrackedRun, folders: dict[Place, _Folder]) -> None:
    """Add the checkpoints among the artifacts of a tracker's run."""
    found: dict[Place, _Folder] = {}
    if run.versions:
        found[run.folder] = _revisions(run.versions, are_commits=False)
    elif run.folder.is_dir():
        _search_folder(run.folder, found)
    for folder, contents in found.items():
        contents.tracked = run
        contents.name = run.name if len(found) == 1 else f"{run.name}/{folder.relative_to(run.folder).as_posix()}"
    folders |= found


def _revisions(revisions: Sequence[Revision | Version], *, are_commits: bool) -> _Folder:
    """Return the checkpoints of revisions, the oldest first, without those that are the same as at an earlier revision."""
    contents = _Folder()
    texts: list[str] = []
    have_state: list[bool] = []
    seen: set[object] = set()
    last_state: Place | None = None
    for revision in revisions:
        folder, files = _files_of_revision(revision)
        state = folder / STATE_FILES[0]
        state_tag = state.tag() if revision.error is None and not isinstance(state, Path) and state.is_file() else None
        for path, status in files:
            parts = [path, *_parts(path)] if revision.error is None else []
            identity = tuple((part.name, part.tag()) for part in parts if not isinstance(part, Path)) or (str(path),)
            if identity in seen:
                continue
            seen.add(identity)
            contents.files.append((path, status, folder))
            texts.append(f"{revision.text} {path.name}" if are_commits and path.name not in MODEL_FILES else revision.text)
            have_state.append(state_tag is not None and state_tag not in seen)
        last_state = last_state if state_tag is None else state
        seen.add(state_tag)
    log: object = None
    if last_state is not None:
        with suppress(OSError, ValueError, RecursionError):
            if last_state.stat().st_size <= _MAX_STATE_BYTES:
                log = as_dict(parse_json(last_state.read_bytes())).get("log_history")
    contents.moments = moments_of_revisions(
        texts, have_state, log if isinstance(log, list) else [], are_commits=are_commits
    )
    return contents


def _files_of_revision(revision: Revision | Version) -> tuple[Place, list[tuple[Place, os.stat_result]]]:
    """Return the folder of a revision and the checkpoints in it; one that fails to be read if the folder cannot be listed."""
    path, name = revision.folder, getattr(revision, "name", None)
    if name is not None and Path(name).suffix.lower() not in SUFFIXES:
        return path.parent, []
    if revision.error is not None:
        folder = path if name is None else path.parent
        return folder, [
            (folder / (MODEL_FILES[1] if name is None else path.name), os.stat_result((0,) * 10, {"st_mtime_ns": 0}))
        ]
    if isinstance(path, Path) or path.is_file():
        return path.parent, [(path, path.stat())]
    found: dict[Place, _Folder] = {}
    _add_folder(path, next(path.walk())[2], found, is_top=True)
    return path, [(file, status) for contents in found.values() for file, status, _ in contents.files]


def _walk_local(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield each folder with the names of its folders and files. Links back to a folder do not repeat it."""
    seen: set[tuple[int, int]] = set()
    for name, subfolders, files in os.walk(top, followlinks=True, onerror=None):
        folder = Path(name)
        try:
            status = folder.stat()
        except OSError:  # A trainer that keeps only the newest step folders may remove one at any time.
            subfolders.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Folders come before links to them, so that a run is not named "latest" after a link.
        links = {subfolder for subfolder in subfolders if os.path.islink(os.path.join(folder, subfolder))}
        subfolders.sort(key=lambda subfolder: (subfolder in links, subfolder))
        yield folder, subfolders, files


def _add_folder(folder: Place, files: list[str], folders: dict[Place, _Folder], *, is_top: bool) -> None:
    """Add a folder's files to its run, or to the run of its parent if the folder is one checkpoint."""
    model = next((name for name in MODEL_FILES if name in files and _marks_a_checkpoint(name, files)), None)
    is_step = model in WHOLE_FOLDERS or (is_step_folder(folder.name) and not (is_top and model is None))
    step = _outermost_step(folder) if is_step else folder
    run = step.parent if is_step else folder
    # A folder with a model's file is one checkpoint, and its other files belong to it.
    if model is not None:
        status = _stat(folder / model)
        contents = folders.setdefault(run, _Folder())
        contents.ignored += len(files) - 1
        if status is not None:
            contents.files.append((folder / model, status, step))
        return
    for name in files:
        path = folder / name
        status = _stat(path)
        contents = folders.setdefault(run, _Folder())
        if status is not None and _may_be_checkpoint(path, status):
            contents.files.append((path, status, folder if is_step else None))
        else:
            contents.ignored += 1


def _marks_a_checkpoint(name: str, files: list[str]) -> bool:
    """Return whether one of `MODEL_FILES` marks a checkpoint; ``.metadata`` does so only next to torch's ``.distcp`` files."""
    return name != ".metadata" or any(file.endswith(".distcp") for file in files)


def _outermost_step(folder: Place) -> Place:
    """Return the folder that is the checkpoint: ``checkpoint-500`` of ``checkpoint-500/global_step500``, ``7`` of ``7/default``."""
    while is_step_folder(folder.parent.name) or (folder.name == "default" and folder.parent.name.isdecimal()):
        folder = folder.parent
    return folder


def _stat(path: Place) -> os.stat_result | None:
    """Return the status of a file, or of the link itself if a link is broken."""
    try:
        return path.stat()
    except OSError:
        try:
            return path.lstat()
        except OSError:
            return None


def _may_be_checkpoint(path: Place, status: os.stat_result) -> bool:
    suffix = path.suffix.lower()
    if path.name == LABEL_ENCODER:
        return False
    if suffix in SUFFIXES:
        return True
    if suffix in _OTHER_SUFFIXES or not stat.S_ISREG(status.st_mode) or status.st_size < 16:
        return False
    if not isinstance(path, Path) and (suffix not in _REMOTE_SUFFIXES or path.name.startswith(".")):
        return False
    try:
        with RandomAccessFile(path) as source:
            return is_checkpoint(source)
    except (CheckpointError, RecursionError, MemoryError):
        return False


def _training_run(name: str, folder: Place, contents: _Folder) -> TrainingRun:
    files = sorted(contents.files, key=lambda file: natural_key(str(file[0]).removeprefix(f"{folder}/")))
    checkpoints = [_checkpoint_file(name, folder, *file) for file in files]
    if contents.moments:
        checkpoints = [
            replace(_checkpoint_file(name, folder, *file), moment=moment)
            for file, moment in zip(contents.files, contents.moments, strict=True)
        ]
    # Two models in one step folder are two checkpoints.
    counts = Counter(file.display_path for file in checkpoints)
    distinct: dict[Place, CheckpointFile] = {}
    for file in checkpoints:
        shares_folder = counts[file.display_path] > 1
        distinct[file.path] = replace(file, step_folder=file.path.parent) if shares_folder else file
    return TrainingRun(name, folder, tuple(distinct.values()), contents.ignored, tracked=contents.tracked)


def _checkpoint_file(
    run: str, folder: Place, path: Place, status: os.stat_result, step_folder: Place | None
) -> CheckpointFile:
    """Return a checkpoint with the size of all its parts, and the time of the last change of parts and metadata."""
    parts = [found for part in _parts(path) if (found := _stat(part)) is not None and stat.S_ISREG(found.st_mode)]
    metadata = []
    if path.name in MODEL_FILES:
        metadata = [found for name in STATE_FILES if (found := _stat(path.parent / name)) is not None]
    size = status.st_size + sum(part.st_size for part in parts)
    times = [file.st_mtime_ns for file in (status, *parts, *metadata)]
    # A server without times gives tags of less than a second, each of which may change.
    modified = max(times) if max(times) >= _NANO else sum(times) % _NANO
    return CheckpointFile(run, folder, path, step_folder, size, modified)


def _parts(path: Place) -> list[Place]:
    """Return the other files of a checkpoint that consists of several."""
    patterns = {".safetensors.index.json": "*.safetensors", ".bin.index.json": "*.bin"}
    patterns |= dict.fromkeys(WHOLE_FOLDERS, "**/*")
    pattern = next((pattern for suffix, pattern in patterns.items() if path.name.endswith(suffix)), None)
    if pattern is None:
        return []
    files: Iterable[Place] = path.parent.glob(pattern)
    return [file for file in sorted(files, key=str) if file != path]


def _run_names(folders: dict[Place, _Folder], known: dict[str, str]) -> dict[Place, str]:
    """Return the name of each folder's run: its known name, else the shortest suffix of its path that is unique.

    A folder that is named after its contents (``checkpoints``) takes the name of the folder above, unless others share that.
    """
    names: dict[Place, str] = {}
    name_parts = _name_parts(list(folders))
    counts = Counter(parts[-length:] for parts in name_parts.values() for length in range(1, len(parts)))
    for folder in folders:
        text = printable(str(folder))
        known_names = [name for name, known_folder in known.items() if known_folder == text]
        if known_names:
            names[folder] = _common_name(known_names)
            continue
        parts = name_parts[folder]
        suffixes = (parts[-length:] for length in range(1, len(parts)))
        unique = next((suffix for suffix in suffixes if counts[suffix] == 1), parts[1:])
        name = printable(folders[folder].name or "/".join(unique)) or "root"
        if name in names.values():  # two runs of a tracker
            name += "/" + "/".join(unique)
        if name in known:
            raise UsageError(
                f"the output has a run {name!r} from {known[name]}, and {text} would be another of that name:"
                " choose another output with -o, or rename a folder",
                code="run-name-taken",
                run=name,
                folder=text,
                known_folder=known[name],
            )
        names[folder] = name
    return names


def _common_name(names: Sequence[str]) -> str:
    """Return the name of a folder from the names of its runs: ``ckpts`` for ``ckpts/runA`` and ``ckpts/runB``."""
    if len(names) == 1:
        return names[0]
    columns = takewhile(lambda parts: len(set(parts)) == 1, zip(*(name.split("/") for name in names), strict=False))
    return "/".join(parts[0] for parts in columns) or min(names, key=len)


def _name_parts(folders: Sequence[Place]) -> dict[Place, tuple[str, ...]]:
    """Return the parts of the path by which each folder is named: without ``checkpoints`` and the like, if all still differ."""
    names = {folder: folder.parts for folder in folders}
    while True:
        shorter = {
            folder: parts[:-1] if len(parts) > 2 and _CONTENT_FOLDER.fullmatch(parts[-1]) else parts
            for folder, parts in names.items()
        }
        counts = Counter(shorter.values())
        shorter = {folder: parts if counts[parts] == 1 else names[folder] for folder, parts in shorter.items()}
        if shorter == names:
            return names
        names = shorter
