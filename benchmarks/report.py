"""The HTML report and the figures of large outputs: seconds, memory, size, and how soon
a browser shows the page.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from statistics import median

from benchmarks import interpolated, timing
from benchmarks.rows import Row, megabytes, seconds, skipped
from benchmarks.scratch import Setup

PART = "report"
LARGEST, LATEST = 25e6, 2.0
"""Bytes of a page, and seconds until its finding is painted."""
SIZES = (("imagenet1k", 100, 60.0, 1.5e9), ("cifar100", 400, None, None))
"""Labels, epochs, and where there are any the seconds and bytes of memory that are
required.
"""
_VERB = (
    "import sys; from dsi_cli.cli.app import main_with_exit_code; assert"
    " main_with_exit_code(sys.argv[1:]) == 0"
)


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    sizes = [("cifar10", 3, None, None)] if setup.quick else SIZES
    return [row for size in sizes for row in _rows(setup, *size)]


def _rows(
    setup: Setup,
    labels: str,
    epochs: int,
    most_seconds: float | None,
    most_bytes: float | None,
) -> list[Row]:
    out = _analysed(setup, labels, epochs)
    page = setup.folder / "report.html"
    what = f"{epochs} epochs of the classes of {labels}, with predictions"
    done = timing.python(_VERB, "report", str(out), "-o", str(page))
    required = (
        ""
        if most_seconds is None or most_bytes is None
        else f"{most_seconds:.0f} s, {megabytes(most_bytes)}"
    )
    holds = (
        None
        if most_seconds is None or most_bytes is None
        else done.seconds < most_seconds and done.peak < most_bytes
    )
    size = page.stat().st_size
    rows = [
        Row(
            PART,
            f"`dsi report`, {what}",
            f"{seconds(done.seconds)}, {megabytes(done.peak)} of memory",
            required=required,
            holds=holds,
        ),
        Row(
            PART,
            "its page",
            megabytes(size),
            required=f"at most {megabytes(LARGEST)}",
            holds=size <= LARGEST,
        ),
        *_shown(page),
    ]
    figures = timing.python(
        _VERB, "plot", str(out), "-o", str(setup.folder / "figures")
    )
    rows.append(
        Row(
            PART,
            "`dsi plot`, all its figures",
            f"{seconds(figures.seconds)}, {megabytes(figures.peak)} of memory",
        )
    )
    return rows


def _analysed(setup: Setup, labels: str, epochs: int) -> Path:
    folder, out = (
        setup.folder / f"run-{labels}-{epochs}",
        setup.folder / f"out-{labels}-{epochs}",
    )
    if not folder.is_dir():
        interpolated.write(folder, labels, epochs)
    timing.run(
        timing.dsi(
            "analyze",
            str(folder),
            "--labels",
            labels,
            "--no-report",
            "-o",
            str(out),
        )
    )
    return out


def _shown(page: Path) -> list[Row]:
    """Return how long a headless browser takes until it paints the finding, and until
    the first screen has its matrices.
    """
    what, required = (
        "the page in Chromium, until its finding is painted",
        f"{LATEST:g} s",
    )
    browser = shutil.which("chromium")
    if browser is None:
        return [skipped(PART, what, "no Chromium", required)]
    from playwright.sync_api import sync_playwright

    painted, complete = [], []
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        for _ in range(5):
            tab = chromium.new_page(viewport={"width": 1280, "height": 900})
            began = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="load")
            tab.wait_for_selector(".thumbnail")
            complete.append(time.perf_counter() - began)
            paint = (
                "performance.getEntriesByName('first-contentful-paint')[0].startTime /"
                " 1000"
            )
            painted.append(tab.evaluate(paint))
            tab.close()
        chromium.close()
    return [
        Row(
            PART,
            what,
            seconds(median(painted)),
            required=required,
            holds=median(painted) < LATEST,
        ),
        Row(PART, "until its first screen has all matrices", seconds(median(complete))),
    ]
