"""List the checkpoints and heads that an analysis would read; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

from dsi_cli.analysis.analyze import logs_of, no_checkpoints, resolve_all_duplicates
from dsi_cli.analysis.classifiers.earlier_output import KnownCheckpoints
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints, check_class_count, fail_other_networks
from dsi_cli.analysis.classifiers.scan import CheckpointScanner, scan_run, split
from dsi_cli.checkpoints.discovery import TrainingRun, discover
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.scan import HeadOptions
from dsi_cli.engines import EngineOptions, open_engine
from dsi_cli.errors import NothingToAnalyseError
from dsi_cli.labels import files

_NO_EPOCHS = range(0)
"""The epochs whose heads stay in memory after scanning."""


def scan_paths(
    paths: Sequence[str | PathLike[str]],
    choice: HeadOptions,
    labels: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    revisions: str | None = None,
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the runs under the paths, each with the records of its checkpoints, as an analysis would find them.

    Parameters
    ----------
    paths : files, folders or glob patterns
    choice : the name of the head, and averaged or raw weights
    labels : a file or a preset, whose number of classes is evidence for the head
    progress : called with the number of files read and their total
    revisions : the revisions of repositories to read (`dsi_cli.remote.hub.list_revisions`)

    Raises
    ------
    UsageError
        A path does not exist, or the labels cannot be read or do not fit.
    NothingToAnalyseError
        There is no checkpoint under the paths.
    """
    runs = discover(paths, revisions=revisions)
    if not runs:
        raise NothingToAnalyseError(no_checkpoints(paths), code="no-checkpoints")
    total, done = sum(len(run.checkpoints) for run in runs), 0
    listed = None if labels is None else files.read_labels_or_preset(labels)
    scanned: list[RunCheckpoints] = []

    def count_file() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    with open_engine(EngineOptions()) as engine:
        for run in runs:
            given = None if listed is None else len(listed.names)
            scanner = CheckpointScanner(choice, given).for_run(run)
            folder, weights = scan_run(run, KnownCheckpoints(), scanner, _NO_EPOCHS, engine, count_file)
            scanned += split(folder, KnownCheckpoints(), choice, weights)
    resolved, _ = resolve_all_duplicates(scanned, logs_of(scanned), None)
    if listed is not None:
        resolved = fail_other_networks(resolved, len(listed.names), listed.source)
        for part in resolved:
            check_class_count(part, choice, listed.names, listed.source)
    return [(part.training, list(part.settled)) for part in resolved]
