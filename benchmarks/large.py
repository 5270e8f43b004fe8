"""One epoch of 1,000 classes of width 2,048 within a whole analysis."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import interpolated
from benchmarks.rows import Row, seconds
from benchmarks.scratch import Setup

PART = "large"
LABELS, FEATURES = "imagenet1k", 2048
WEIGHTS_ALONE, WITH_ANSWERS = 0.8, 1.6
EPOCHS = (4, 12)
"""The numbers of epochs of two analyses; the difference of their times is that of the
epochs alone.
"""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    labels, features = ("cifar100", 64) if setup.quick else (LABELS, FEATURES)
    few, many = (1, 3) if setup.quick else EPOCHS
    run = interpolated.write(setup.folder / f"large-{labels}", labels, many, features)
    alone = _epoch(setup, run, labels, (few, many), with_answers=False)
    answers = _epoch(setup, run, labels, (few, many), with_answers=True)
    size = f"{labels}, width {features:,}"
    return [
        Row(
            PART,
            f"an epoch of an analysis, {size}: NCSM, WSI, SAI(NCSM, SCSM) with its nulls, Parquet",
            seconds(alone),
            f"{many} epochs less {few}",
            None,
            f"below {WEIGHTS_ALONE:g} s",
            alone < WEIGHTS_ALONE,
        ),
        Row(
            PART,
            "the same with predictions on a test set: three pairs, two IDMs",
            seconds(answers),
            f"{many} epochs less {few}",
            None,
            f"below {WITH_ANSWERS:g} s",
            answers < WITH_ANSWERS,
        ),
    ]


def _epoch(
    setup: Setup, run: Path, labels: str, epochs: tuple[int, int], *, with_answers: bool
) -> float:
    """Return the seconds of one more epoch in an analysis of many, on all cores."""
    from dsi_cli.analysis.analyze import analyze
    from dsi_cli.analysis.options import Options

    few, many = epochs
    took: dict[int, list[float]] = {few: [], many: []}
    for _ in range(setup.rounds(3)):
        for number, found in took.items():
            folder, out = (
                _part_of(
                    run, setup.folder / "large-run", number, with_answers=with_answers
                ),
                setup.folder / "out",
            )
            shutil.rmtree(out, ignore_errors=True)
            began = time.perf_counter()
            analyze([folder], out, Options(labels=labels))
            found.append(time.perf_counter() - began)
    return (median(took[many]) - median(took[few])) / (many - few)


def _part_of(run: Path, folder: Path, epochs: int, *, with_answers: bool) -> Path:
    """Return a new folder with the first epochs of a run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in sorted(run.glob("*.safetensors"))[:epochs]:
        os.link(path, folder / path.name)
    if with_answers:
        np.save(folder / "preds.npy", np.load(run / "preds.npy")[:epochs])
        shutil.copy(run / "targets.npy", folder)
    return folder
