"""Find and scan the checkpoints of training runs: heads, epochs, duplicates and
training logs. Nothing is written.
"""

from __future__ import annotations

import itertools
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.checkpoint_scanner import (
    CheckpointScanner,
    scan_run,
    split_trainings,
)
from dsi_cli.analysis.classifiers.heads import Heads
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
    fail_backbones,
    fail_other_networks,
    resolve_duplicates,
)
from dsi_cli.analysis.history import break_facts, history_facts
from dsi_cli.analysis.previous_plan import PlannedRun
from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.deduplication import stores_next_epoch
from dsi_cli.checkpoints.discovery import (
    TrainingRun,
    discover,
    find_other_files,
    printable,
)
from dsi_cli.checkpoints.file_names import ORDER, natural_key
from dsi_cli.checkpoints.formats import EXPECTED
from dsi_cli.checkpoints.log_numbers import find_shift, shift_by_values
from dsi_cli.checkpoints.records import OK, Record
from dsi_cli.checkpoints.trainers import HUGGING_FACE
from dsi_cli.checkpoints.training_logs import (
    TrainingLog,
    find_log,
    other_logs,
)
from dsi_cli.engines import Engine
from dsi_cli.errors import NothingToAnalyseError, count
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.labels.files import read_labels_or_preset
from dsi_cli.labels.label_list import LabelList
from dsi_cli.remote import urls
from dsi_cli.remote.locations import Place
from dsi_cli.store import layout


def scan_paths(
    paths: Sequence[str | PathLike[str]],
    choice: HeadOptions,
    labels: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    revisions: str | None = None,
    names: str | None = None,
    *,
    history: bool = False,
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the runs under the paths, each with the records of its checkpoints, as an
    analysis would find them.

    With ``history``, the facts of a run also name the checkpoints that do not fit its
    order (`history_facts`).

    The number of labels, from a file or a preset, is evidence for the head. `progress`
    takes the number of files read and their total, and `revisions` are those of
    `dsi_cli.remote.hub.list_revisions`. `names` is the pattern of ``--names``.

    Raise `UsageError` if a path does not exist, or the labels cannot be read or do not
    fit, and `NothingToAnalyseError` if the paths contain no checkpoint.
    """
    found = find_runs(paths, revisions=revisions, names=names)
    listed = None if labels is None else read_labels_or_preset(labels)
    runs, heads = scan_resolved(found, choice, listed, progress)
    runs = fail_other_networks([replace(run, given=listed) for run in runs])
    for run in runs:
        check_class_count(run, choice)
    scanned = []
    for run in runs:
        training = run.training
        if history:
            noticed = history_facts(run, head_reader(run, heads, choice))
        else:
            noticed = break_facts(run, heads_in_memory(run, heads))
        training = replace(training, facts=(*training.facts, *noticed))
        scanned.append((training, list(run.resolved)))
    return scanned


def heads_in_memory(
    run: RunCheckpoints, heads: Heads
) -> Callable[[Record], NDArray[np.float32] | None]:
    """Return the function from a record to the weight of the classes that all heads of
    the run have; None for a head that is not in memory.
    """

    def weight_of(record: Record) -> NDArray[np.float32] | None:
        head = heads.get(record.path)
        return None if head is None else head.weight[: run.common_classes]

    return weight_of


def head_reader(
    run: RunCheckpoints, heads: Heads, choice: HeadOptions
) -> Callable[[Record], NDArray[np.float32] | None]:
    """Return the function from a record to the weight of the classes that all heads of
    the run have; a head that is not in memory is read again.
    """
    files = {file.display_path: file for file in run.training.checkpoints}
    known = heads_in_memory(run, heads)

    def weight_of(record: Record) -> NDArray[np.float32] | None:
        weight = known(record)
        file = files.get(record.path)
        if weight is None and file is not None:
            weight = scan_checkpoint(file, choice, record.classes).weight
        return None if weight is None else weight[: run.common_classes]

    return weight_of


def find_runs(
    paths: Sequence[str | PathLike[str]],
    folders: dict[str, str] | None = None,
    revisions: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    names: str | None = None,
) -> list[TrainingRun]:
    """Return the training runs under some paths; raise `NothingToAnalyseError` if they
    contain no checkpoint.

    `folders` has the folder of each run of an earlier call, by its name. `progress`
    takes the number of listed revisions and their total, and `names` is the pattern of
    ``--names``.
    """
    runs = discover(paths, folders, revisions, progress, names)
    if not runs:
        listed = ", ".join(urls.without_secrets(str(path)) for path in paths)
        if any(
            layout.is_output(Path(path))
            for path in paths
            if urls.scheme_of(path) is None
        ):
            message = f"{listed} is a results folder"
            raise NothingToAnalyseError(
                message,
                hint="give the folder of the checkpoints",
                code="is-results-folder",
            )
        others, unread = find_other_files(paths)
        if paths:
            where = f"under {listed} ({count(others, 'other file')})"
        else:
            where = "in an empty list of paths"
        message = f"no checkpoints {where}: expected {EXPECTED}"
        if unread is not None:
            # The reason why the file cannot be read says how to convert it.
            message += (
                f"; {unread.name}:"
                f" {scan_checkpoint(require_file(unread)).record.reason}"
            )
        raise NothingToAnalyseError(message, code="no-checkpoints")
    return runs


def scan_resolved(
    found: Sequence[TrainingRun],
    choice: HeadOptions,
    listed: LabelList | None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[list[RunCheckpoints], Heads]:
    """Return the runs with resolved epochs and duplicates, and the heads in memory,
    without results of earlier calls.

    The number of the user's labels (`listed`) is evidence for the head; `progress` is
    that of `scan_all`.
    """
    scanner = CheckpointScanner(choice, None if listed is None else len(listed.names))
    heads = Heads()
    runs = scan_all([(run, scanner, {}) for run in found], heads, None, progress)
    resolved, _, _ = resolve_all_duplicates(runs, None)
    return resolved, heads


def scan_all(
    found: Sequence[tuple[TrainingRun, CheckpointScanner, Mapping[str, PlannedRun]]],
    heads: Heads,
    engine: Engine | None,
    progress: Callable[[int, int], None],
) -> list[RunCheckpoints]:
    """Scan the checkpoints of some folders that `heads` does not have, and return their
    training runs.

    Each folder has its scanner and its runs in an earlier call. `progress` takes the
    number of files read and their total.
    """
    runs: list[RunCheckpoints] = []
    done, total = itertools.count(1), sum(len(run.checkpoints) for run, _, _ in found)
    for run, scanner, previous in found:
        scanned = scan_run(
            run,
            scanner.for_run(run),
            heads,
            previous,
            engine,
            lambda: progress(next(done), total),
        )
        runs += split_trainings(scanned, heads, previous)
    # A folder with states of optimisers alone is no run.
    with_networks = [
        run
        for run in runs
        if any(record.code != "no-network" for record in run.records)
    ]
    return with_networks or runs


def resolve_all_duplicates(
    runs: Sequence[RunCheckpoints], epochs: range | None, log: TrainingLog | None = None
) -> tuple[list[RunCheckpoints], dict[str, TrainingLog | None], list[Fact]]:
    """Return the runs with resolved epochs and duplicates, the training log of each,
    and facts about logs.

    The log is that of all runs, or else the one next to each run's checkpoints. It is
    None if there is none, and if its epochs cannot be those of the checkpoints.
    """
    folders = {run.training.folder for run in runs}
    siblings = Counter(folder.parent for folder in folders)
    resolved: list[RunCheckpoints] = []
    logs: dict[str, TrainingLog | None] = {}
    facts: list[Fact] = []
    for run in runs:
        places = _places_of_log(
            run.training, is_only_child=siblings[run.training.folder.parent] == 1
        )
        found = _find_log(run.training, places) if log is None else log
        run = resolve_duplicates(
            run, epochs, found is not None and found.begins_before_training
        )
        resolved.append(run)
        joined = None
        of_run: list[Fact] = []
        if run.usable and all(record.epoch_source != ORDER for record in run.usable):
            if found is not None:
                joined, of_run = _join_log(run, found, is_named=log is not None)
            elif run.epochs((OK,)):
                of_run = list(_other_logs(run, places))
        logs[run.name] = joined
        facts += about_run(run.name, of_run)
    for run in runs:
        facts += about_run(run.name, run.training.facts)
    return fail_backbones(resolved), logs, facts


def _join_log(
    run: RunCheckpoints, log: TrainingLog, *, is_named: bool
) -> tuple[TrainingLog | None, list[Fact]]:
    """Return a log with the numbers of a run's checkpoints, or None if it may number
    the epochs differently, and what was noticed.
    """
    shift, epochs = _shift_of_log(run, log), run.epochs((OK,))
    numbers: dict[str, Any] = {"log": log.path.name, "of_run": _range(epochs)}
    if shift is None and not is_named:
        option = _log_option(log.path)
        if log.has_numbers:
            of_log = _range(log.by_epoch)
            return None, [
                fact("log-not-joined", of_log=of_log, option=option, **numbers)
            ]
        rows = len(log.by_epoch)
        return None, [fact("log-without-epochs", rows=rows, option=option, **numbers)]
    if not shift or not log.has_numbers:
        return log.shifted(shift or 0), []
    first = min(epoch for epoch in epochs if epoch + shift in log.by_epoch)
    shifted = fact(
        "log-shifted",
        of_log=_range(log.by_epoch),
        epoch_of_log=first + shift,
        epoch_of_run=first,
        **numbers,
    )
    return log.shifted(shift), [shifted]


def _log_option(path: Place) -> str:
    """Return the option that names a log."""
    return shlex.join(["--log", printable(str(path))])


def _range(epochs: Collection[int]) -> str:
    return f"{min(epochs)} to {max(epochs)}" if len(epochs) > 1 else str(*epochs)


def _other_logs(run: RunCheckpoints, places: Sequence[Place]) -> Iterator[Fact]:
    """Yield a fact for each log near a run's checkpoints that dsi does not join, with
    the option that does.
    """
    folder = run.training.folder
    paths = other_logs(folder, is_shared=False) + other_logs(
        folder.parent, is_shared=folder.parent not in places
    )
    for path in paths:
        yield fact("log-nearby", log=path.name, option=_log_option(path))


def _shift_of_log(run: RunCheckpoints, log: TrainingLog) -> int | None:
    """Return the number of an epoch in a log less that of its checkpoint, or None if it
    is unknown.
    """
    trainers = {record.trainer for record in run.usable}
    # Hugging Face's log and checkpoints state fractions of epochs.
    if HUGGING_FACE in trainers or not run.epochs((OK,)):
        return 0
    finished = [record for record in run.usable if record.epochs_completed]
    firsts = {
        record.epoch_number - (record.epochs_completed or 0) + 1 for record in finished
    }
    counts_from = firsts.pop() if len(firsts) == 1 else None
    # Keras counts the epochs in names from 1, and those in its log from 0.
    is_one_less = "keras" in trainers or stores_next_epoch(run.usable)
    first_of_log = 1 if log.begins_before_training else min(log.by_epoch)
    by_numbers = find_shift(
        run.epochs((OK,)),
        log.by_epoch.keys(),
        counts_from,
        first_of_log,
        -1 if is_one_less else None,
    )
    stated = {record.epoch_number: record.scalars for record in run.usable}
    by_values = shift_by_values(stated, log.by_epoch)
    # A checkpoint may state the accuracy of the epoch before.
    found = {by_numbers, by_values} - {None}
    return found.pop() if len(found) == 1 else None


def _places_of_log(training: TrainingRun, *, is_only_child: bool) -> list[Place]:
    """Return the folders in which the log of a run may be.

    A log in the parent folder counts only if a single folder with checkpoints is in it.
    """
    # The final model may be next to the step folders.
    step_folders = {
        file.step_folder for file in training.checkpoints if file.step_folder
    } - {training.folder}
    last_step = sorted(step_folders, key=lambda path: natural_key(path.name))[-1:]
    if training.checkpoints and training.checkpoints[-1].moment is not None:
        last_step = [training.checkpoints[-1].step_folder or training.folder]
    parent = [training.folder.parent] if is_only_child else []
    return [training.folder, *parent, *last_step]


def _find_log(training: TrainingRun, places: Sequence[Place]) -> TrainingLog | None:
    """Return the log of a run in one of these folders.

    A log next to the checkpoints of several trainings counts only for the training with
    the folder's name, since nothing says which training wrote it.
    """
    if training.is_part:
        return None
    return find_log(places)
