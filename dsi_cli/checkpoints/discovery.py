"""Find the checkpoints under given paths, grouped by training run.

A run is the nearest folder that contains checkpoints. A step folder
(``checkpoint-500/``) is one checkpoint of the folder above. The run's name is the
shortest suffix of its path that no other run shares.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from pathlib import Path, PurePath

from dsi_cli.checkpoints import folders
from dsi_cli.checkpoints.epochs import EpochAndStep
from dsi_cli.checkpoints.file_names import natural_key
from dsi_cli.checkpoints.folders import (
    FolderContents,
    Folders,
    file_status,
    other_parts,
)
from dsi_cli.checkpoints.name_pattern import NamePattern, example_of, option_text
from dsi_cli.checkpoints.revisions import search_revisions
from dsi_cli.errors import UsageError, nearest
from dsi_cli.facts import Fact, fact
from dsi_cli.remote import locations, urls
from dsi_cli.remote.locations import Place
from dsi_cli.store.layout import folder_key, unique_run

_NANO = 10**9
_CONTENT_FOLDER = re.compile(r"checkpoints?|weights|models|version_\d+", re.IGNORECASE)
"""Names of folders that describe the contents and do not identify a training."""


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint before it is opened."""

    run: str
    folder: Place  # the run's folder
    path: Place  # the file to open
    step_folder: Place | None  # the folder that is the checkpoint, if it is a folder
    bytes: int
    modified_ns: int
    moment: EpochAndStep | None = None
    """Epoch and step of a revision if its contents do not state them; None for an
    ordinary file.
    """
    identity: tuple[int, ...] = ()
    """The change time and the inode of each local file. They differ after a replacement
    that keeps size and time of modification (``cp -p``), but also after a copy.
    """

    @property
    def metadata_folder(self) -> Place:
        """The folder of ``config.json`` and the like: the step folder, or else the
        run's folder.
        """
        return self.step_folder or self.folder

    @property
    def checkpoint_path(self) -> Place:
        """The path of the checkpoint: the file, or the step folder."""
        if self.step_folder is not None and (
            self.path.name in folders.MODEL_FILES or self.step_folder.name.isdecimal()
        ):
            return self.step_folder
        return self.path

    def names_in(self, folder: Place) -> list[str]:
        """Return the names by which a pattern may refer to the checkpoint: its path in
        a folder, and that of its file.
        """
        names = [
            relative_name(printable(str(path)), folder)
            for path in (self.checkpoint_path, self.path)
        ]
        return list(dict.fromkeys(names))

    @property
    def display_path(self) -> str:
        """The absolute path as text that can be stored and printed."""
        return printable(str(self.checkpoint_path))


@dataclass(frozen=True)
class TrainingRun:
    """A run's checkpoints, in natural order of their names."""

    name: str
    folder: Place
    checkpoints: tuple[CheckpointFile, ...]
    ignored: int = 0  # the number of other files in its folder
    is_part: bool = False
    """True for one of several runs in a folder. Its name follows from its files, and
    other files may belong to another run.
    """
    names: NamePattern | None = None  # the pattern of ``--names``
    question: str | None = None
    """The reason why dsi asks for ``--names``, and uses none of the checkpoints."""
    facts: tuple[Fact, ...] = ()  # what was noticed about the names


def discover(
    paths: Sequence[str | os.PathLike[str]],
    known: dict[str, str] | None = None,
    revisions: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    names: str | None = None,
) -> list[TrainingRun]:
    """Return the runs under the given paths, sorted by name.

    Raise `NothingToAnalyseError` if no revision has a checkpoint (``no-checkpoints``),
    or a server does not respond. Raise `UsageError` if a path does not exist
    (``no-such-path``), no revision fits (``no-such-revision``), ``known`` has a run's
    name for another folder (``run-name-taken``), or ``names`` is malformed
    (``malformed-names``) or fits no file (``names-fit-nothing``).

    Parameters
    ----------
    paths : files, folders (searched to any depth, links followed once), glob patterns,
        or URLs of these.
    known : ``{run name: folder}`` of an existing output; a folder keeps its name.
    revisions : read the paths, which are repositories, at these revisions
        (`dsi_cli.remote.hub.list_revisions`).
    progress : called with the number of listed revisions and their total.
    names : a pattern (`dsi_cli.checkpoints.name_pattern`). The files under each given
        folder are then one `TrainingRun`, until their names are read.
    """
    pattern = None if names is None else NamePattern(names)
    found: Folders = {}
    if revisions is None:
        expanded = list(_expand(paths))
        found = _search(expanded)
        if pattern is not None:
            found = _join_given_folders(found, expanded)
    else:
        for url in paths:
            search_revisions(os.fspath(url), revisions, found, progress)
    found = {folder: contents for folder, contents in found.items() if contents.files}
    known = known or {}
    if pattern is not None:
        # The names of the folders do not depend on the runs of an earlier pattern.
        texts = {printable(str(folder)) for folder in found}
        known = {name: folder for name, folder in known.items() if folder not in texts}
    run_names = _run_names(found, known)
    runs = []
    for folder, contents in found.items():
        runs.append(_training_run(run_names[folder], folder, contents))
    runs.sort(key=lambda run: natural_key(run.name))
    runs = _with_facts_about_numbers(runs)
    if pattern is None or not runs:
        return runs
    return _select_named(runs, pattern)


def _with_facts_about_numbers(runs: Sequence[TrainingRun]) -> list[TrainingRun]:
    """Return the runs; the first of several that are numbered folders with a single
    checkpoint each has a fact, because they may be epochs.
    """
    groups: dict[tuple[Place, str], list[int]] = {}
    for index, run in enumerate(runs):
        if run.folder.name.isdecimal() and len(run.checkpoints) == 1:
            name = run.checkpoints[0].path.name
            groups.setdefault((run.folder.parent, name), []).append(index)
    noted = list(runs)
    for (parent, name), indices in groups.items():
        if len(indices) > 1:
            numbered = fact(
                "folders-numbered",
                name=printable(parent.name),
                path=printable(str(parent)),
                option=option_text(f"{{epoch}}/{name}"),
            )
            noted[indices[0]] = replace(runs[indices[0]], facts=(numbered,))
    return noted


def _join_given_folders(found: Folders, given: Sequence[Place]) -> Folders:
    """Return the checkpoints under each given folder as those of one folder."""
    tops = [path for path in given if path.is_dir()]
    tops.sort(key=lambda path: len(path.parts))
    joined: Folders = {}
    for folder, contents in found.items():
        around = [top for top in tops if top == folder or top in folder.parents]
        if not around:
            joined[folder] = contents
            continue
        whole = joined.setdefault(around[0], FolderContents())
        whole.files += contents.files
        whole.ignored += contents.ignored
    return joined


def _select_named(
    runs: Sequence[TrainingRun], pattern: NamePattern
) -> list[TrainingRun]:
    """Return the runs with the files that fit a pattern, and a fact about the others.

    Raise `UsageError` if no file fits (``names-fit-nothing``).
    """
    selected = []
    for run in runs:
        fitting: list[CheckpointFile] = []
        others: list[CheckpointFile] = []
        for file in run.checkpoints:
            is_fitting = pattern.read(file.names_in(run.folder)) is not None
            (fitting if is_fitting else others).append(file)
        facts: tuple[Fact, ...] = ()
        if others:
            left_out = fact(
                "names-do-not-fit",
                others=len(others),
                files=len(run.checkpoints),
                option=option_text(pattern.text),
                example=others[0].names_in(run.folder)[0],
            )
            facts = (left_out,)
        if fitting:
            selected.append(
                replace(run, checkpoints=tuple(fitting), names=pattern, facts=facts)
            )
    if not selected:
        name = runs[0].checkpoints[0].names_in(runs[0].folder)[0]
        example = example_of(name)
        raise UsageError(
            f"no file fits {option_text(pattern.text)}; for {name}, write for example"
            f" {option_text(example)}",
            code="names-fit-nothing",
            names=pattern.text,
            path=name,
            example=example,
        )
    return selected


def relative_name(path: str, folder: Place) -> str:
    """Return the path of a checkpoint relative to a folder, with ``/``; empty for the
    folder itself and for a revision of a repository, whose name is no evidence.
    """
    text = PurePath(path).as_posix()
    top = PurePath(printable(str(folder))).as_posix()
    if text == top or (path.startswith("hf://") and "@" in text):
        return ""
    if not text.startswith(f"{top}/"):
        return PurePath(text).name
    return text.removeprefix(f"{top}/")


def find_other_files(
    paths: Sequence[str | os.PathLike[str]],
) -> tuple[int, Place | None]:
    """Return the number of files in the given folders that are not checkpoints, for the
    message that no run was found.

    Also return one of them that may contain weights in a form that dsi does not read,
    or None.
    """
    folders = _search(_expand(paths)).values()
    unread = next(
        (contents.unread for contents in folders if contents.unread is not None), None
    )
    return sum(contents.ignored for contents in folders), unread


def printable(text: str) -> str:
    """Return text with surrogates (bytes of a file name that are not UTF-8) escaped for
    Parquet and terminals.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _search(paths: Iterable[Place]) -> Folders:
    found: Folders = {}
    for path in paths:
        if path.is_dir():
            folders.search_folder(path, found)
        else:
            # A file that the user named is a checkpoint, whatever it contains.
            status = file_status(path) or os.stat_result((0,) * 10)
            step = folders.step_folder(path.parent, [path.name])
            found.setdefault((step or path).parent, FolderContents()).files.append(
                (path, status, step)
            )
    folders.join_copies(found)
    return found


def _expand(paths: Sequence[str | os.PathLike[str]]) -> Iterator[Place]:
    """Yield the files and folders to which paths, patterns and URLs refer."""
    for path in paths:
        if urls.scheme_of(path) is not None:
            url = os.fspath(path)
            matches = locations.match_url(url)
            if not matches:
                shown = urls.without_secrets(url)
                raise UsageError(
                    f"no such file or folder: {shown}", code="no-such-path", path=shown
                )
            yield from sorted(matches, key=lambda match: natural_key(str(match)))
        else:
            text = urls.local_path(path)
            if os.path.lexists(text):
                names = [text]
            else:
                names = sorted(glob.glob(text, recursive=True), key=natural_key)
            if not names and glob.has_magic(text):
                raise UsageError(
                    f"no file or folder fits the pattern {text}",
                    code="no-such-path",
                    path=text,
                )
            if not names:
                parent = Path(text).parent
                similar = nearest(
                    Path(text).name, os.listdir(parent) if parent.is_dir() else []
                )
                raise UsageError(
                    f"no such file or folder: {text}",
                    hint=f"try {parent / similar}" if similar else None,
                    code="no-such-path",
                    path=text,
                    similar=similar,
                )
            for name in names:
                yield Path(os.path.abspath(name))


def _training_run(name: str, folder: Place, contents: FolderContents) -> TrainingRun:
    files, moments = contents.files, contents.moments
    if not moments:
        files = sorted(
            files, key=lambda file: natural_key(str(file[0]).removeprefix(f"{folder}/"))
        )
    checkpoints = []
    for index, (path, status, step_folder) in enumerate(files):
        # A checkpoint has the size of all its parts, and the time of the last change of
        # parts and metadata.
        parts = [
            part
            for part in map(file_status, other_parts(path))
            if part is not None and stat.S_ISREG(part.st_mode)
        ]
        names = folders.STATE_FILES if path.name in folders.MODEL_FILES else ()
        metadata = [
            found
            for found in (file_status(path.parent / name) for name in names)
            if found is not None
        ]
        size = status.st_size + sum(part.st_size for part in parts)
        times = [file.st_mtime_ns for file in (status, *parts, *metadata)]
        # A server without times gives tags of less than a second, each of which may
        # change.
        modified = max(times) if max(times) >= _NANO else sum(times) % _NANO
        moment = moments[index] if moments else None
        identity: tuple[int, ...] = ()
        if isinstance(path, Path):
            of_files = ((one.st_ctime_ns, one.st_ino) for one in (status, *parts))
            identity = tuple(chain.from_iterable(of_files))
        file = CheckpointFile(
            name,
            folder,
            path,
            step_folder,
            size,
            modified,
            moment,
            identity,
        )
        checkpoints.append(file)
    # Two models in one step folder are two checkpoints.
    counts = Counter(file.display_path for file in checkpoints)
    distinct: dict[Place, CheckpointFile] = {}
    for file in checkpoints:
        shares_folder = counts[file.display_path] > 1
        distinct[file.path] = (
            replace(file, step_folder=file.path.parent) if shares_folder else file
        )
    facts: tuple[Fact, ...] = ()
    if contents.repeated:
        facts = (fact("files-repeated", revisions=contents.repeated),)
    return TrainingRun(
        name,
        folder,
        tuple(distinct.values()),
        contents.ignored,
        facts=facts,
    )


def _run_names(found: Folders, known: dict[str, str]) -> dict[Place, str]:
    """Return the name of each folder's run: its known name, else the shortest suffix of
    its path that is unique.
    """
    names: dict[Place, str] = {}
    known_keys, taken = frozenset(map(folder_key, known)), set[str]()
    suffixes = _unique_suffixes(_name_parts(list(found)))
    for folder in found:
        text = printable(str(folder))
        known_names = [
            name for name, known_folder in known.items() if known_folder == text
        ]
        if known_names:
            # The name of a folder is the common part of its runs' names: ``ckpts`` for
            # ``ckpts/runA`` and ``ckpts/runB``.
            columns = zip(*(name.split("/") for name in known_names), strict=False)
            common = [
                parts[0]
                for parts in takewhile(lambda parts: len(set(parts)) == 1, columns)
            ]
            names[folder] = "/".join(common) or min(known_names, key=len)
            taken.add(folder_key(names[folder]))
            continue
        name = printable("/".join(suffixes[folder])) or "root"
        if name in known:
            message = (
                f"the output has a run {name!r} from {known[name]}, and {text} would be"
                " another of that name; choose "
            )
            message += "another output with -o, or rename a folder"
            raise UsageError(
                message,
                code="run-name-taken",
                run=name,
                folder=text,
                known_folder=known[name],
            )
        names[folder] = unique_run(name, taken, known_keys)
        taken.add(folder_key(names[folder]))
    return names


def _unique_suffixes(
    name_parts: dict[Place, tuple[str, ...]],
) -> dict[Place, tuple[str, ...]]:
    """Return the shortest suffix of each folder's parts that no other folder has."""
    counts = Counter(
        parts[-length:]
        for parts in name_parts.values()
        for length in range(1, len(parts))
    )
    suffixes = {}
    for folder, parts in name_parts.items():
        unique = [
            parts[-length:]
            for length in range(1, len(parts))
            if counts[parts[-length:]] == 1
        ]
        suffixes[folder] = unique[0] if unique else parts[1:]
    return suffixes


def _name_parts(folders: Sequence[Place]) -> dict[Place, tuple[str, ...]]:
    """Return the parts of the path by which each folder is named: without
    ``checkpoints`` and the like, if all still differ.
    """
    names = {folder: folder.parts for folder in folders}
    while True:
        shorter = {
            folder: (
                parts[:-1]
                if len(parts) > 2 and _CONTENT_FOLDER.fullmatch(parts[-1])
                else parts
            )
            for folder, parts in names.items()
        }
        counts = Counter(shorter.values())
        shorter = {
            folder: parts if counts[parts] == 1 else names[folder]
            for folder, parts in shorter.items()
        }
        if shorter == names:
            return names
        names = shorter
