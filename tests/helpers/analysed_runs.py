"""Fixtures: real runs that are analysed once, small runs on request, and the command
line in and out of the process.
"""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import made_once

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.summary import Summary
from dsi_cli.cli.app import main_with_exit_code
from dsi_cli.store.results import Results
from helpers.outputs import ANIMALS, RUNS, head_of, write_checkpoints


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
    events: Sequence[tuple[str, int, int]]


@pytest.fixture(scope="session")
def analysed(four_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Analysed:
    """Return the analysis of the four runs of the fixture `four_runs`, with default
    options; do not write to it.
    """

    def make(folder: Path) -> None:
        events: list[tuple[str, int, int]] = []
        summary = analyze(
            [four_runs], folder / "out", progress=lambda *event: events.append(event)
        )
        (folder / "summary.pickle").write_bytes(pickle.dumps((summary, events)))

    folder = made_once(tmp_path_factory, "analysed", make)
    summary, events = pickle.loads((folder / "summary.pickle").read_bytes())
    return Analysed(folder / "out", Results(folder / "out"), summary, events)


@pytest.fixture(scope="session")
def real_heads(four_runs: Path) -> dict[str, list[np.ndarray]]:
    """Return the classifier heads of each of the four runs, epoch by epoch, as torch
    loads them.
    """
    return {
        run: [head_of(path) for path in sorted((four_runs / run).glob("*.pt"))]
        for run in RUNS
    }


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return ``make_run(name="run", epochs=4, labels=ANIMALS, seed=0)``: it makes a
    run's folder in ``tmp_path``.
    """

    def made(
        name: str = "run",
        epochs: int = 4,
        labels: Sequence[str] | None = ANIMALS,
        seed: int = 0,
    ) -> Path:
        return write_checkpoints(tmp_path / name, epochs, labels, seed)

    return made


@pytest.fixture(scope="session")
def _analysed_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[int, Sequence[str] | None, Options], Path]:
    """Return a function that analyses a made-up run, once for each number of epochs,
    labels and options.
    """

    @cache
    def made(epochs: int, labels: Sequence[str] | None, options: Options) -> Path:
        folder = tmp_path_factory.mktemp("made")
        analyze(
            [write_checkpoints(folder / "run", epochs, labels)], folder / "out", options
        )
        return folder / "out"

    return made


@pytest.fixture
def make_results(
    _analysed_once: Callable[[int, Sequence[str] | None, Options], Path], tmp_path: Path
) -> MakeRun:
    """Return ``make_results(epochs=4, labels=ANIMALS, **options)``: a copy of the
    results of a made-up run, to write to.
    """

    def made(
        epochs: int = 4, labels: Sequence[str] | None = ANIMALS, **options: Any
    ) -> Path:
        return shutil.copytree(
            _analysed_once(epochs, labels, Options(**{"draws": 0} | options)),
            tmp_path / "out",
        )

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


@pytest.fixture
def dsi_on_terminal() -> Command:
    """Return ``dsi_on_terminal(*arguments, typed="")``: the command in a process whose
    stdin and stderr are a terminal.
    """
    fcntl, pty, termios = (
        pytest.importorskip(name, reason="only POSIX has it")
        for name in ("fcntl", "pty", "termios")
    )

    def called(*arguments: object, typed: str = "") -> Ended:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\x00\x64\x00\x00\x00\x00\x00")
        command = [sys.executable, "-m", "dsi_cli", *map(str, arguments)]
        environment = {**os.environ, "TERM": "xterm"}
        process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=environment,
        )
        os.close(theirs)
        os.write(ours, typed.encode())
        seen = b""
        with suppress(OSError):  # Linux's way to say that the other side has closed
            while part := os.read(ours, 65536):
                seen += part
        os.close(ours)
        out, _ = process.communicate()
        return Ended(process.returncode, out.decode(), seen.decode())

    return called


@pytest.fixture(scope="session")
def dsi_process() -> Command:
    """Return ``dsi_process(*arguments, **options)``: the command in a process of its
    own; options as for ``subprocess.run``.
    """

    def called(*arguments: object, **options: object) -> Ended:
        command = [sys.executable, "-m", "dsi_cli", *map(str, arguments)]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, **options
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return called
