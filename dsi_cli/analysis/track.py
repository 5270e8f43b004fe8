"""Send the curves of a results folder to experiment trackers (`dsi_cli.tracking`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dsi_cli.analysis.summary import Summary
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store.results import Results
from dsi_cli.tracking import Destination, Logged, points


def send_curves(out: Path, destinations: Iterable[Destination], run: str | None = None) -> Iterator[Logged]:
    """Send the curves of a results folder to one tracker after another, and yield what each has received.

    Parameters
    ----------
    out : the results folder.
    destinations : from `dsi_cli.tracking`.
    run : the name of one run; all runs if None.
    """
    curves = points.points_of_results(Results(out), run)
    for destination in destinations:
        yield destination.send(curves)


def track_summary(summary: Summary, destinations: Iterable[Destination]) -> None:
    """Send the curves of an analysis to trackers, and record in its summary which have them, or why one has not."""
    for destination in destinations:
        try:
            summary.logged += send_curves(Path(summary.out), [destination])
        except (OutputError, UsageError) as error:
            summary.logging_problems.append(str(error))
