"""How time and memory grow with the number of checkpoints, each number in a process of its own."""

from __future__ import annotations

import shutil
from statistics import median

import numpy as np

from benchmarks import timing
from benchmarks.rows import Row, megabytes, seconds
from benchmarks.scratch import Setup, small_run

PART = "growth"
NUMBERS = (10, 30, 100, 300, 1000)
OFF_ONE, MOST_GROWTH = 0.1, 1.5
"""How far the slope may lie from 1, and how many times the memory of the fewest checkpoints the most may take."""
_PROGRAM = """
import sys, time
from dsi_cli.pipeline.analysis import analyze
from dsi_cli.pipeline.options import Options
warm, run, out = sys.argv[1:]
options = Options(labels="cifar10")
analyze([warm], out + "-warm", options)
began = time.perf_counter()
analyze([run], out, options)
print(time.perf_counter() - began)
"""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    numbers = (2, 4) if setup.quick else NUMBERS
    runs = {number: small_run(setup.folder / "growth" / f"run-{number}", number) for number in numbers}
    took: dict[int, list[float]] = {number: [] for number in numbers}
    peaks: dict[int, list[int]] = {number: [] for number in numbers}
    for turn in range(setup.rounds(3)):
        for number in numbers:
            out = setup.folder / "growth" / f"out-{turn}-{number}"
            shutil.rmtree(out, ignore_errors=True)
            done = timing.python(_PROGRAM, str(runs[numbers[0]]), str(runs[number]), str(out))
            took[number].append(float(done.said))
            peaks[number].append(done.peak)
    return [
        _time_row(numbers, [median(took[one]) for one in numbers], setup.quick),
        _memory_row(numbers, peaks, setup.quick),
    ]


def _time_row(numbers: tuple[int, ...], found: list[float], quick: bool) -> Row:
    slope = float(np.polyfit(np.log(numbers), np.log(found), 1)[0])
    what = f"time over number of checkpoints, {numbers[0]} to {numbers[-1]:,} of 10 classes: log-log slope"
    beside = ", ".join(f"{number:,}: {seconds(one)}" for number, one in zip(numbers, found, strict=True))
    return Row(PART, what, f"{slope:.2f}", beside, None, "1.0 within 0.1", None if quick else abs(slope - 1) <= OFF_ONE)


def _memory_row(numbers: tuple[int, ...], peaks: dict[int, list[int]], quick: bool) -> Row:
    found = [median(peaks[number]) for number in numbers]
    beside = ", ".join(f"{number:,}: {megabytes(one)}" for number, one in zip(numbers, found, strict=True))
    growth = found[-1] / found[0] if found[0] else float("nan")
    what = f"peak memory, {numbers[-1]:,} checkpoints times {numbers[0]}"
    return Row(
        PART,
        what,
        megabytes(found[-1]),
        beside,
        growth,
        f"at most {MOST_GROWTH:g}x",
        None if quick else growth <= MOST_GROWTH,
    )
