"""What an analysis would find: every checkpoint with its head, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

from dsi_cli.checkpoints import logs, timeline, trainings
from dsi_cli.checkpoints.discover import Run, discover
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.scan import Choice
from dsi_cli.engines import Chosen, opened
from dsi_cli.errors import NothingToAnalyseError
from dsi_cli.pipeline import reading
from dsi_cli.pipeline.analysis import no_checkpoints


def scan_paths(
    paths: Sequence[str | PathLike[str]],
    choice: Choice,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[tuple[Run, list[Record]]]:
    """Return the runs under the paths, each with the records of its checkpoints, epochs and duplicates settled.

    Raises
    ------
    UsageError
        A path does not exist.
    NothingToAnalyseError
        There is no checkpoint under the paths.
    """
    runs = discover(paths)
    if not runs:
        raise NothingToAnalyseError(no_checkpoints(paths))
    total, done = sum(len(run.checkpoints) for run in runs), 0
    out = []
    with opened(Chosen()) as engine:
        for run in runs:
            records = []
            for found in reading.scanned(reading.Scanner(choice), run.checkpoints, engine):
                records += [scanned.record for scanned in found]
                done += 1
                progress(done, total)
            log = logs.find_log([run.folder])
            before = log is not None and log.begins_before_training
            for part, own in trainings.split(run, records):
                has_log = before and part.name == run.name
                out.append((part, timeline.settle(own, begins_before_training=has_log)))
    return out
