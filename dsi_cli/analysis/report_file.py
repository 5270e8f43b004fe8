"""Write the HTML report of a results folder, unless it is up to date."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.analysis.evaluation.collect import ReportProgress
from dsi_cli.analysis.semantics.class_clusters import read_clusters
from dsi_cli.analysis.summary import Summary, digest_of_tables
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.errors import OutputError, UsageError, wrong
from dsi_cli.report import html
from dsi_cli.store import atomic_write, layout, lock
from dsi_cli.store.schema import TABLES
from dsi_cli.version import __version__

_log = logging.getLogger(__name__)

STAGE = "writing the report"
HEAD_BYTES = 4096  # the size of the beginning of a page, which contains its digest

if TYPE_CHECKING:
    from PIL.Image import Image

    from dsi_cli.queries.comparison.clusters import Clusters
    from dsi_cli.store.results import Results

# ``dsi watch`` waits this many times as long as a report took before it writes the next
# one
IDLE_FACTOR = 9


def write_report(
    out: Path,
    file: Path | None = None,
    progress: ReportProgress = lambda *_: None,
    group: str | None = None,
    clusters: str | None = None,
) -> Path:
    """Write the report of a results folder, by default to ``report.html`` in it, unless
    it is up to date; return its path.

    ``group`` is the pattern of repetitions; the usual names of seeds by default.
    ``clusters`` names the clusters of classes of their intervals; those of the analysis
    by default. Raise `UsageError` if they are given for a folder without repetitions
    (code ``no-repetitions``), and for the errors of `read_clusters`.
    """
    layout.require_output(out)
    write = partial(
        _write_if_outdated, out, progress=progress, group=group, clusters=clusters
    )
    if file is not None:
        return write(file, file.parent)
    with lock.exclusive(out):
        return write(out / layout.REPORT, layout.temporary_folder(out))


def add_report(summary: Summary, progress: ReportProgress = lambda *_: None) -> None:
    """Write the report of an analysis, and record its path in the summary, or why it
    could not be written.
    """
    summary.report = summary.report_problem = None
    try:
        summary.report = printable(
            str(write_report(Path(summary.out), progress=progress))
        )
    except OutputError as error:
        summary.report_problem = str(error)


class ThrottledReport:
    """A writer of reports that spends no more than a tenth of the time on them, for one
    analysis after another.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_time: float | None = None

    def add(self, summary: Summary, progress: ReportProgress = lambda *_: None) -> None:
        """Call `add_report`, unless the last report was written too recently."""
        started = self._clock()
        if self._next_time is not None and started < self._next_time:
            return
        add_report(summary, progress)
        ended = self._clock()
        self._next_time = ended + IDLE_FACTOR * (ended - started)


def _write_if_outdated(
    out: Path,
    file: Path,
    temporary: Path,
    progress: ReportProgress,
    group: str | None,
    clusters: str | None,
) -> Path:
    # The digest changes with dsi, with the contents of the tables at the top, and with
    # the names of the files of single epochs. What these files were made from is
    # recorded in the curves table.
    chosen = f"{digest_of_tables(out)} {group} {clusters}"
    digest = hashlib.sha256(f"{__version__} {chosen}".encode())
    for name in html.PARTS:
        digest.update(html.part(name).encode())
    for table in TABLES:
        for path in sorted((out / table.path).glob("**/*.parquet")):
            digest.update(os.fsencode(path.relative_to(out)))
    with suppress(OSError), file.open("rb") as existing:
        beginning = existing.read(HEAD_BYTES).decode(errors="replace")
        if f'name="{html.DIGEST}" content="{digest.hexdigest()}"' in beginning:
            _log.debug("%s is up to date", file)
            return file
    # These imports are slow, and a page that is up to date does not need them.
    from dsi_cli.report import page_data
    from dsi_cli.store.results import Results

    results = Results(out)
    data = page_data.page_data(
        results,
        _open_image,
        partial(progress, STAGE),
        group,
        _clusters_of_seeds(results, group, clusters),
    )
    page = html.render(data, out.resolve().name, digest.hexdigest())
    atomic_write.write_atomically(
        file, page.encode("utf-8", "backslashreplace"), temporary
    )
    _log.debug("%s: %d characters", file, len(page))
    return file


def _clusters_of_seeds(
    results: Results, group: str | None, choice: str | None
) -> Clusters | None:
    """Return the clusters of classes for intervals over seeds."""
    from dsi_cli.queries.comparison.repetitions import repeated_runs
    from dsi_cli.queries.run_classes import class_rows

    run = results.names[0]
    names = class_rows(results, run)["name"].tolist()
    if choice is None:
        of_analysis = layout.curve_options(results.path, run).get("clusters")
        if of_analysis is None:
            return None
        # Its file may be gone, and the page says what its intervals stand for.
        with suppress(UsageError):
            return read_clusters(of_analysis, names)
        return None
    if group is None and not repeated_runs(results.names):
        raise UsageError(
            "no training has repetitions, so --clusters would change no interval",
            hint=f"give it to dsi analyze with -o {results.path}",
            code="no-repetitions",
        )
    return read_clusters(choice, names)


def _open_image(path: str) -> Image:
    """Return the image of a sample; the path may come from a file of predictions, and
    must not be a pipe or a device.
    """
    paths = [Path(path), Path(path.rpartition("#")[0] or path), *Path(path).parents]
    if any(
        other.exists() and not (other.is_file() or other.is_dir()) for other in paths
    ):
        raise wrong(path, "an image", "no regular file", code="not-an-image", path=path)
    from dsi_cli.inference.open_dataset import image_at

    return image_at(path)
