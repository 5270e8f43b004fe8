"""Fixtures: real runs that are analysed once, small runs on request, and the command line in and out of the process.

A test module uses them by ``pytest_plugins = ("helpers.analysed_runs",)``. Each session-scoped fixture is then made once for
all modules.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import made_once

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.summary import Progress, Summary
from dsi_cli.cli.app import main_with_exit_code
from dsi_cli.store.results import Results
from helpers.outputs import ANIMALS, RUNS, head_of, heads, save_head


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
MakeRun = Callable[..., Path]


@dataclass(frozen=True)
class Analysed:
    """An analysis that was done."""

    out: Path
    run: Results
    summary: Summary
    events: Sequence[Progress]


@pytest.fixture(scope="session")
def analysed(four_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    """Return the analysis of the four runs of the fixture `four_runs`, with default options; do not write to it."""

    def make(folder: Path) -> None:
        events: list[Progress] = []
        summary = analyze([four_runs], folder / "out", progress=events.append)
        (folder / "summary.pickle").write_bytes(pickle.dumps((summary, events)))

    folder = made_once(tmp_path_factory, "analysed", make)
    summary, events = pickle.loads((folder / "summary.pickle").read_bytes())
    return Analysed(folder / "out", Results(folder / "out"), summary, events)


@pytest.fixture(scope="session")
def real_heads(four_runs: Path) -> dict[str, list[np.ndarray]]:
    """Return the classifier heads of each of the four runs, epoch by epoch, as torch loads them."""
    return {run: [head_of(path) for path in sorted((four_runs / run).glob("*.pt"))] for run in RUNS}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return ``make_run(name="run", epochs=4, labels=ANIMALS, seed=0)``: it makes a run's folder in ``tmp_path``."""

    def made(name: str = "run", epochs: int = 4, labels: Sequence[str] | None = ANIMALS, seed: int = 0) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for epoch, weight in enumerate(heads(epochs, seed=seed)):
            save_head(folder / f"epoch_{epoch}.pt", weight, epoch=epoch)
        if labels is not None:
            (folder / "classes.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        return folder

    return made


@pytest.fixture
def dsi(capfd: pytest.CaptureFixture[str]) -> Command:
    """Return ``dsi(*arguments)``: the command, in this process."""

    def called(*arguments: object) -> Ended:
        capfd.readouterr()
        code = main_with_exit_code([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return called


@pytest.fixture(scope="session")
def dsi_process() -> Command:
    """Return ``dsi_process(*arguments, **options)``: the command in a process of its own; options as for ``subprocess.run``."""

    def called(*arguments: object, **options: object) -> Ended:
        command = [sys.executable, "-m", "dsi_cli", *map(str, arguments)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return called
