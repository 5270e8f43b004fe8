"""An output's curves into trackers (`dsi_cli.tracking`): of tables that are there, or at the end of an analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dsi_cli.analysis.summary import Summary
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store.results import Results
from dsi_cli.tracking import points
from dsi_cli.tracking.destinations import Destination, Logged


def send_curves(out: Path, where: Iterable[Destination], run: str | None = None) -> Iterator[Logged]:
    """Log the curves of an output to one tracker after another, and yield what was logged.

    Parameters
    ----------
    out : the output folder
    where : as `dsi_cli.tracking.destinations.destinations` gives them
    run : a run in it; all if None

    Raises
    ------
    UsageError
        The folder is no output, there is no such run, or a tracker's place cannot be right.
    OutputError
        A table cannot be read, or a tracker could not be written to.
    """
    found = points.points_of_results(Results(out), run)
    for one in where:
        yield one.send(found)


def track_summary(summary: Summary, where: Iterable[Destination]) -> None:
    """Log the curves of an analysis, and note in its summary where they are, or why they are not."""
    for one in where:
        try:
            summary.logged += send_curves(Path(summary.out), [one])
        except (OutputError, UsageError) as error:
            summary.logging_problems.append(str(error))
