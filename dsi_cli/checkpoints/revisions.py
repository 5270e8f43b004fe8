"""Find the checkpoint of each revision of a repository, with its epoch and step."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from math import floor
from pathlib import Path
from typing import Any

from dsi_cli.checkpoints import file_names, folders
from dsi_cli.checkpoints.epochs import EpochAndStep
from dsi_cli.checkpoints.file_access import read_json_or_none
from dsi_cli.checkpoints.file_names import natural_key, read_names
from dsi_cli.checkpoints.folders import FolderContents, Folders
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import NothingToAnalyseError, count
from dsi_cli.remote import urls
from dsi_cli.remote.locations import Place, Version

_EPOCH_IN_TITLE = re.compile(
    r"(?<![a-z])epochs?[\W_]{0,3}(\d{1,9})(?!\d)", re.IGNORECASE
)
_STEP_IN_TITLE = re.compile(
    r"(?<![a-z])(?:steps?|iter(?:ation)?s?|checkpoint)[\W_]{0,3}(\d{1,9})(?!\d)",
    re.IGNORECASE,
)
_FINAL_TITLE = re.compile(r"end of training|model save|best", re.IGNORECASE)
"""Titles of commits whose weights may be those of an earlier epoch than their metadata
state.
"""
_MAX_STEP = 10**9


def search_revisions(
    url: str, wanted: str, runs: Folders, progress: Callable[[int, int], None]
) -> None:
    """Add the checkpoint of each revision of a repository that differs from those of
    the earlier revisions.
    """
    from dsi_cli.remote import hub

    history = hub.list_revisions(url, wanted, progress)
    revisions = history.revisions
    if not history.are_commits:
        revisions = sorted(revisions, key=lambda revision: natural_key(revision.text))
        # A tag with a number has precedence over a branch like main at the same commit.
        revisions.sort(key=lambda revision: not _has_number(revision.text))
    contents = _contents(revisions, are_commits=history.are_commits)
    if not contents.files:
        shown = urls.without_secrets(url)
        found = count(len(revisions), "revision")
        message = (
            f"no checkpoint at {found} of {shown}; if they are in a folder, give"
            f" {shown}/FOLDER"
        )
        raise NothingToAnalyseError(message, code="no-checkpoints", path=shown)
    runs[history.folder.parent if history.folder.is_file() else history.folder] = (
        contents
    )


def _contents(revisions: Sequence[Version], *, are_commits: bool) -> FolderContents:
    """Return the checkpoints of revisions, the oldest first, without those that are the
    same as at an earlier revision.
    """
    contents = FolderContents()
    texts: list[str] = []
    have_state: list[bool] = []
    seen: dict[object, str] = {}  # the revision of each file
    last_state: Place | None = None
    for revision in revisions:
        folder, files = _files_of_revision(revision)
        state = folder / folders.STATE_FILES[0]
        if revision.error is None and not isinstance(state, Path) and state.is_file():
            state_tag = state.tag()
        else:
            state_tag = None
        for path, status in files:
            parts = [path, *folders.other_parts(path)] if revision.error is None else []
            identity = tuple(
                (part.name, part.tag()) for part in parts if not isinstance(part, Path)
            ) or (str(path),)
            if identity in seen:
                # Commits often leave the weights as they are, but the name of a step
                # means other weights.
                are_steps = all(map(_has_number, (revision.text, seen[identity])))
                if are_steps and not are_commits:
                    contents.repeated.append((revision.text, seen[identity]))
                continue
            seen[identity] = revision.text
            contents.files.append((path, status, folder))
            is_named = are_commits and path.name not in folders.MODEL_FILES
            texts.append(f"{revision.text} {path.name}" if is_named else revision.text)
            have_state.append(state_tag is not None and state_tag not in seen)
        last_state = last_state if state_tag is None else state
        seen[state_tag] = revision.text
    if last_state is None:
        log = None
    else:
        log = as_dict(read_json_or_none(last_state)).get("log_history")
    contents.moments = _moments(
        texts, have_state, log if isinstance(log, list) else [], are_commits=are_commits
    )
    return contents


def _has_number(text: str) -> bool:
    return any(map(str.isdigit, text))


def _files_of_revision(
    revision: Version,
) -> tuple[Place, list[tuple[Place, os.stat_result]]]:
    """Return the folder of a revision and the checkpoints in it; one that fails to be
    read if the folder cannot be listed.
    """
    path = revision.folder
    if revision.error is not None:
        file = path / folders.MODEL_FILES[1]
        return path, [(file, os.stat_result((0,) * 10, {"st_mtime_ns": 0}))]
    if isinstance(path, Path) or path.is_file():
        return path.parent, [(path, path.stat())]
    found: Folders = {}
    folders.add_folder(path, next(path.walk())[2], found, is_top=True)
    return path, [
        (file, status)
        for contents in found.values()
        for file, status, _ in contents.files
    ]


def _moments(
    texts: Sequence[str],
    have_state: Sequence[bool],
    log: list[Any],
    *,
    are_commits: bool,
) -> list[EpochAndStep]:
    """Return epoch and step of each revision, the oldest first, if its contents do not
    state them.

    If no revision has a number or a trainer's state (``have_state``), they are numbered
    from 1. The texts are titles of commits, or names of tags and branches. A trainer's
    log gives the epochs of steps.

    >>> [moment[:3:2] for moment in _moments(["epoch 1", "Training, step 20", "typo"], [False] * 3, [], are_commits=True)]
    [(1, None), (None, 20), (None, None)]
    >>> _moments(["v1.0", "v1.1"], [False, False], [], are_commits=False)[1]
    EpochAndStep(epoch=2, source='order', step=None, has_state=False)
    """
    numbers: list[tuple[int | None, int | None]] = []
    if are_commits:
        for text in texts:
            epoch_match = _EPOCH_IN_TITLE.search(text)
            step_match = _STEP_IN_TITLE.search(text)
            epoch = None if epoch_match is None else int(epoch_match[1])
            step = None if step_match is None else int(step_match[1])
            numbers.append((epoch, step))
    else:
        plain = [re.sub(r"^checkpoint-(?=\d+$)", "step", text) for text in texts]
        numbers = [reading.moment for reading in read_names(plain)]
    rate = _epochs_per_step(log)
    are_numbered = any(number != (None, None) for number in numbers)
    moments = []
    for index, (text, (epoch, step), has_state) in enumerate(
        zip(texts, numbers, have_state, strict=True), start=1
    ):
        if rate is not None and epoch is None and step is not None:
            epoch = floor(step * rate + 1e-6)
        if are_numbered or any(have_state):
            is_final = (
                are_numbered
                and (epoch, step) == (None, None)
                and _FINAL_TITLE.search(text)
            )
            source = (
                file_names.COMMIT_TITLE if are_commits else file_names.REVISION_NAME
            )
            moments.append(
                EpochAndStep(epoch, source, step, has_state and not is_final)
            )
        else:
            moments.append(EpochAndStep(index, file_names.ORDER, None))
    return moments


def _epochs_per_step(log: Sequence[Any]) -> float | None:
    """Return the number of epochs per step in the last row of a log that states
    both.
    """
    for row in reversed(log):
        step, epoch = as_dict(row).get("step"), as_dict(row).get("epoch")
        if (
            type(step) is int
            and 0 < step < _MAX_STEP
            and isinstance(epoch, int | float)
            and 0 <= epoch < _MAX_STEP
        ):
            return epoch / step
    return None
