"""The growth of time and memory with the number of checkpoints, and of time with that
of classes, in separate processes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import timing
from benchmarks.rows import Row, megabytes, seconds
from benchmarks.scratch import Setup, small_run
from dsi_cli.labels.presets import load_preset

PART = "growth"
LABELS, CLASSES = "cifar100", 100
NUMBERS = (10, 30, 100, 300, 1000)
OF_CLASSES, FEW, WIDTH = (300, 600, 1200, 2400), 4, 512
OFF_ONE, MOST_GROWTH = 0.1, 1.5
"""The allowed difference of the slope from 1, and the allowed ratio of memory for the
most and the fewest checkpoints.
"""
CORES = {"one core": 1, "all cores": None}
"""The number of cores. All cores are used only after some work, so the growth is
measured on one.
"""
_PROGRAM = """
import os, sys, time
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
labels, warm, run, out, *cores = sys.argv[1:]
if cores:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores[0])])
options = Options(labels=labels)
analyze([warm], out + "-warm", options)
began = time.perf_counter()
analyze([run], out, options)
print(time.perf_counter() - began)
"""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    numbers, classes = ((2, 4), (20, 40)) if setup.quick else (NUMBERS, OF_CLASSES)
    return [*_checkpoints_rows(setup, numbers), _classes_row(setup, classes)]


def _checkpoints_rows(setup: Setup, numbers: tuple[int, ...]) -> list[Row]:
    runs = {
        number: small_run(setup.folder / "growth" / f"run-{number}", number, CLASSES)
        for number in numbers
    }
    took: dict[str, dict[int, list[float]]] = {
        name: {number: [] for number in numbers} for name in CORES
    }
    peaks: dict[int, list[int]] = {number: [] for number in numbers}
    for _ in range(setup.rounds(3)):
        for number, run in runs.items():
            for name, cores in CORES.items():
                time, peak = _analysis(
                    LABELS,
                    runs[numbers[0]],
                    run,
                    setup.folder / "growth" / "out",
                    cores,
                )
                took[name][number].append(time)
            peaks[number].append(peak)
    what = f"checkpoints of {CLASSES} classes"
    return [
        _time_row(what, "one core", took["one core"], None if setup.quick else OFF_ONE),
        _time_row(what, "all cores", took["all cores"]),
        _memory_row(numbers, peaks, setup.quick),
    ]


def _classes_row(setup: Setup, numbers: tuple[int, ...]) -> Row:
    """Return the row of analyses of a few checkpoints each, of more and more of
    ImageNet-12k's classes.
    """
    ids = [str(wnid) for wnid in load_preset("imagenet12k").wnids or ()]
    took: dict[int, list[float]] = {number: [] for number in numbers}
    for number in numbers:
        labels = setup.folder / "growth" / f"labels-{number}.txt"
        labels.write_text("\n".join(ids[:number]))
        run = small_run(
            setup.folder / "growth" / f"classes-{number}", FEW, number, WIDTH
        )
        for _ in range(setup.rounds(3)):
            took[number].append(
                _analysis(
                    str(labels),
                    run,
                    run,
                    setup.folder / "growth" / "out",
                    CORES["one core"],
                )[0]
            )
    return _time_row(f"classes of width {WIDTH}, {FEW} checkpoints", "one core", took)


def _analysis(
    labels: str, warm: Path, run: Path, out: Path, cores: int | None
) -> tuple[float, int]:
    """Return the seconds of an analysis in a process that did one before, and the
    process's peak memory.
    """
    for folder in (out, out.with_name(f"{out.name}-warm")):
        shutil.rmtree(folder, ignore_errors=True)
    done = timing.python(
        _PROGRAM,
        labels,
        str(warm),
        str(run),
        str(out),
        *([] if cores is None else [str(cores)]),
    )
    return float(done.said), done.peak


def _time_row(
    what: str, cores: str, times: dict[int, list[float]], off_one: float | None = None
) -> Row:
    """Return the slope of the time over a number, and whether it is near enough to 1,
    if that is required.
    """
    numbers, found = list(times), [median(some) for some in times.values()]
    slope = float(np.polyfit(np.log(numbers), np.log(found), 1)[0])
    beside = ", ".join(
        f"{number:,}: {seconds(one)}"
        for number, one in zip(numbers, found, strict=True)
    )
    required, holds = (
        ("", None)
        if off_one is None
        else (f"1.0 within {off_one:g}", abs(slope - 1) <= off_one)
    )
    what = (
        f"time over number of {what}, {numbers[0]:,} to {numbers[-1]:,}, {cores}:"
        " log-log slope"
    )
    return Row(PART, what, f"{slope:.2f}", beside, None, required, holds)


def _memory_row(
    numbers: tuple[int, ...], peaks: dict[int, list[int]], quick: bool
) -> Row:
    found = [median(peaks[number]) for number in numbers]
    beside = ", ".join(
        f"{number:,}: {megabytes(one)}"
        for number, one in zip(numbers, found, strict=True)
    )
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
