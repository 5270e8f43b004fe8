"""List the checkpoints and heads that an analysis would read; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

from dsi_cli.analysis.analyze import logs_of, no_checkpoints, resolve_all_duplicates
from dsi_cli.analysis.classifiers.earlier_output import KnownCheckpoints
from dsi_cli.analysis.classifiers.run_state import RunState, check_class_count, fail_other_networks
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
) -> list[tuple[TrainingRun, list[Record]]]:
    """Return the runs under the paths, each with the records of its checkpoints, as an analysis would find them.

    Parameters
    ----------
    paths : files, folders or glob patterns
    choice : the name of the head, and averaged or raw weights
    labels : a file or a preset, whose number of classes is evidence for the head
    progress : called with the number of files read and their total

    Raises
    ------
    UsageError
        A path does not exist, or the labels cannot be read or do not fit.
    NothingToAnalyseError
        There is no checkpoint under the paths.
    """
    runs = discover(paths)
    if not runs:
        raise NothingToAnalyseError(no_checkpoints(paths))
    total, done = sum(len(run.checkpoints) for run in runs), 0
    listed = None if labels is None else files.read_labels_or_preset(labels)
    states: list[RunState] = []
    with open_engine(EngineOptions()) as engine:
        for run in runs:
            state = RunState(run)
            given = None if listed is None else len(listed.names)
            scanner = CheckpointScanner(choice, given).for_run(run)
            for _ in scan_run(state, KnownCheckpoints(), scanner, _NO_EPOCHS, engine):
                done += 1
                progress(done, total)
            states += split(state, KnownCheckpoints())
    resolve_all_duplicates(states, logs_of(states), None)
    if listed is not None:
        fail_other_networks(states, len(listed.names), listed.source)
        for state in states:
            check_class_count(state, choice, listed.names, listed.source)
    return [(state.run, state.settled) for state in states]
