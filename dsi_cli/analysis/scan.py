"""Find and scan the checkpoints of training runs: heads, epochs, duplicates and training logs. Nothing is written."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from dsi_cli.analysis.classifiers.checkpoint_scanner import CheckpointScanner, Weights, scan_run, split_trainings
from dsi_cli.analysis.classifiers.earlier_output import KnownCheckpoints
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
    fail_backbones,
    fail_other_networks,
    resolve_duplicates,
)
from dsi_cli.analysis.semantics import label_files
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, require_file, scan_checkpoint
from dsi_cli.checkpoints.deduplication import stores_next_epoch
from dsi_cli.checkpoints.discovery import TrainingRun, discover, find_other_files
from dsi_cli.checkpoints.epochs import ORDER, natural_key
from dsi_cli.checkpoints.folders import TRACKER_FOLDERS
from dsi_cli.checkpoints.formats import EXPECTED
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import TrainingLog, find_log, read_tracked_log
from dsi_cli.engines import Engine
from dsi_cli.errors import NothingToAnalyseError, count
from dsi_cli.labels.label_list import LabelList
from dsi_cli.remote import urls
from dsi_cli.store import layout


def scan_paths(
    paths: Sequence[str | PathLike[str]],
    choice: HeadOptions,
    labels: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    revisions: str | None = None,
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the runs under the paths, each with the records of its checkpoints, as an analysis would find them.

    The number of labels, from a file or a preset, is evidence for the head. `progress` takes the number of files read and their
    total, and `revisions` are those of `dsi_cli.remote.hub.list_revisions`.

    Raise `UsageError` if a path does not exist, or the labels cannot be read or do not fit, and `NothingToAnalyseError` if the
    paths contain no checkpoint.
    """
    found = find_runs(paths, revisions=revisions)
    listed = None if labels is None else label_files.read_labels_option(labels)
    runs, _ = scan_resolved(found, choice, listed, range(0), progress)  # no head needs to stay in memory
    if listed is not None:
        runs = fail_other_networks(runs, listed)
        for run in runs:
            check_class_count(run, choice, listed)
    return [(run.training, list(run.resolved)) for run in runs]


def find_runs(
    paths: Sequence[str | PathLike[str]],
    folders: dict[str, str] | None = None,
    revisions: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[TrainingRun]:
    """Return the training runs under some paths; raise `NothingToAnalyseError` if they contain no checkpoint.

    `folders` has the folder of each run of an earlier call, by its name. `progress` takes the number of listed revisions and
    their total.
    """
    runs = discover(paths, folders, revisions, progress)
    if not runs:
        listed = ", ".join(urls.without_secrets(str(path)) for path in paths)
        if any(layout.is_output(Path(path)) for path in paths if urls.scheme_of(path) is None):
            message = f"{listed} is a results folder; give the folder of the checkpoints"
            raise NothingToAnalyseError(message, code="is-results-folder")
        others, unread = find_other_files(paths)
        where = f"under {listed} ({count(others, 'other file')})" if paths else "in an empty list of paths"
        message = f"no checkpoints {where}: expected {EXPECTED}"
        if unread is not None:
            # The reason why the file cannot be read says how to convert it.
            message += f"; {unread.name}: {scan_checkpoint(require_file(unread)).record.reason}"
        trackers = [Path(path, name) for path in paths if urls.scheme_of(path) is None for name in TRACKER_FOLDERS]
        if tracker := next((folder for folder in trackers if folder.is_dir()), None):
            message += f"; dsi searches {tracker} only if you name it"
        raise NothingToAnalyseError(message, code="no-checkpoints")
    return runs


def scan_resolved(
    found: Sequence[TrainingRun],
    choice: HeadOptions,
    listed: LabelList | None,
    epochs: range | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[list[RunCheckpoints], Weights]:
    """Return the runs with resolved epochs and duplicates, and the heads in memory, without results of earlier calls.

    The number of the user's labels (`listed`) is evidence for the head; `epochs` and `progress` are those of `scan_all`.
    """
    scanner = CheckpointScanner(choice, None if listed is None else len(listed.names))
    runs, weights = scan_all([(run, scanner, KnownCheckpoints()) for run in found], None, epochs, progress)
    resolved, _ = resolve_all_duplicates(runs, None)
    return resolved, weights


def scan_all(
    found: Sequence[tuple[TrainingRun, CheckpointScanner, KnownCheckpoints]],
    engine: Engine | None,
    epochs: range | None,
    progress: Callable[[int, int], None],
) -> tuple[list[RunCheckpoints], Weights]:
    """Scan the checkpoints of some folders; return their training runs, and the heads that stay in memory.

    Each folder has its scanner and the records of an earlier call. Only heads of the epochs stay in memory, or of all epochs
    if None. `progress` takes the number of files read and their total.
    """
    runs: list[RunCheckpoints] = []
    weights: Weights = {}
    done, total = itertools.count(1), sum(len(run.checkpoints) for run, _, _ in found)
    for run, scanner, known in found:
        scanned, heads = scan_run(run, known, scanner.for_run(run), epochs, engine, lambda: progress(next(done), total))
        runs += split_trainings(scanned, known, scanner.options, heads)
        weights |= heads
    # A folder with states of optimisers alone is no run.
    with_networks = [run for run in runs if any(record.code != "no-network" for record in run.records)]
    return with_networks or runs, weights


def resolve_all_duplicates(
    runs: Sequence[RunCheckpoints], epochs: range | None, log: TrainingLog | None = None
) -> tuple[list[RunCheckpoints], dict[str, TrainingLog | None]]:
    """Return the runs with resolved epochs and duplicates, and the training log of each; a run without epochs has no log.

    The log is that of all runs, or else the one next to each run's checkpoints.
    """
    folders = {run.training.folder for run in runs}
    siblings = Counter(folder.parent for folder in folders)
    resolved: list[RunCheckpoints] = []
    logs: dict[str, TrainingLog | None] = {}
    for run in runs:
        found = log or _find_log(run.training, is_only_child=siblings[run.training.folder.parent] == 1)
        run = resolve_duplicates(run, epochs, found is not None and found.begins_before_training)
        resolved.append(run)
        epochs_of_run = {record.epoch for record in run.usable if record.epoch is not None}
        found = found and found.counted_like(epochs_of_run)
        if found is not None and stores_next_epoch(run.usable):
            found = found.counted_from_next(epochs_of_run)
        has_epochs = all(record.epoch_source != ORDER for record in run.usable)
        logs[run.name] = found if has_epochs else None
    return fail_backbones(resolved), logs


def _find_log(training: TrainingRun, *, is_only_child: bool) -> TrainingLog | None:
    """Return the log next to the checkpoints of a run.

    A log in the parent folder counts only if a single folder with checkpoints is in it. A log next to the checkpoints of
    several trainings counts only for the training with the folder's name, since nothing says which training wrote it.
    """
    if training.is_part:
        return None
    if training.tracked is not None and (log := read_tracked_log(training.tracked)) is not None:
        return log
    # The final model may be next to the step folders.
    step_folders = {file.step_folder for file in training.checkpoints if file.step_folder} - {training.folder}
    last_step = sorted(step_folders, key=lambda path: natural_key(path.name))[-1:]
    if training.checkpoints and training.checkpoints[-1].moment is not None:
        last_step = [training.checkpoints[-1].step_folder or training.folder]
    parent = [training.folder.parent] if is_only_child else []
    return find_log([training.folder, *parent, *last_step])
