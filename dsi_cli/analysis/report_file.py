"""``report.html`` in an output folder, or anywhere: made where the tables have changed since."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.analysis.summary import Progress, Summary
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.report import html, page_data
from dsi_cli.store import atomic_write, layout, lock
from dsi_cli.store.results import Results
from dsi_cli.store.schema import TABLES
from dsi_cli.version import __version__

_log = logging.getLogger(__name__)

STAGE = "writing the report"
HEAD = 4096
"""Bytes at the beginning of a page that hold its digest."""

if TYPE_CHECKING:
    from PIL.Image import Image

Tell = Callable[[str, int, int], None]
IDLE_FACTOR = 9
"""While training still writes: how many times as long as a report took passes before the next."""


def write_report(out: Path, file: Path | None = None, progress: Tell = lambda *_: None) -> Path:
    """Write the report of an output and return its path; nothing is done where it is there and the tables are the same.

    Parameters
    ----------
    out : the output folder
    file : where the page is to lie; ``report.html`` in the output if None
    progress : called with (stage, done, total)

    Raises
    ------
    UsageError
        The folder is no output.
    OutputError
        A table cannot be read, the page cannot be written, or another process writes to the output.
    """
    layout.require_output(out)
    if file is not None:
        return _written(out, file, file.parent, progress)
    with lock.exclusive(out):
        return _written(out, layout.report_path(out), layout.temporary_folder(out), progress)


def add_report(summary: Summary, progress: Callable[[Progress], None] = lambda _: None) -> None:
    """Write the report of an analysis, and note in its summary where it is, or why it could not be written."""
    try:
        path = write_report(Path(summary.out), progress=lambda *told: progress(Progress(*told)))
    except OutputError as error:
        summary.report, summary.report_problem = None, str(error)
    else:
        summary.report, summary.report_problem = printable(str(path)), None


class ThrottledReport:
    """Writes the report of one analysis after another, but spends no more than a tenth of the time on it.

    Parameters
    ----------
    clock : seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: float | None = None

    def add(self, summary: Summary, progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Do as `add_report`, unless the last report was written too short a time ago."""
        began = self._clock()
        if self._next is not None and began < self._next:
            return
        add_report(summary, progress)
        ended = self._clock()
        self._next = ended + IDLE_FACTOR * (ended - began)


def _written(out: Path, file: Path, scratch: Path, progress: Tell) -> Path:
    digest = digest_of(out)
    if digest == digest_in(file):
        _log.debug("%s is up to date", file)
        return file
    run = Results(out)
    found = page_data.page_data(run, _open_image, lambda done, total: progress(STAGE, done, total))
    page = html.render(found, out.resolve().name, digest)
    atomic_write.write_atomically(file, page.encode(), scratch)
    _log.debug("%s: %d characters", file, len(page))
    return file


def _open_image(path: str) -> Image:
    """Return a sample's image; predictions that others made may name a pipe or a device, which would never end."""
    places = [Path(path), Path(path.rpartition("#")[0] or path), *Path(path).parents]
    if any(place.exists() and not (place.is_file() or place.is_dir()) for place in places):
        raise UsageError(f"{path}: expected an image, found no regular file")
    from dsi_cli.inference.open_dataset import image_at

    return image_at(path)


def digest_of(out: Path) -> str:
    """Return text that changes when the tables or dsi do.

    The tables at the top are read; of the files of an epoch the names count, since the curves table says what they were made from.
    """
    found = hashlib.sha256(__version__.encode())
    for name in html.PARTS:
        found.update(html.part(name).encode())
    for path in sorted(out.glob("*.parquet")):
        found.update(path.read_bytes())
    for table in TABLES:
        for path in sorted((out / table.path).glob("**/*.parquet")):
            found.update(os.fsencode(path.relative_to(out)))
    return found.hexdigest()


def digest_in(file: Path) -> str | None:
    """Return the digest in a page; None where there is no page of ours."""
    try:
        with file.open("rb") as page:
            head = page.read(HEAD).decode(errors="replace")
    except OSError:
        return None
    found = re.search(rf'name="{html.DIGEST}" content="([0-9a-f]+)"', head)
    return found[1] if found else None
