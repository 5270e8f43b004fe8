"""The time of a command before it does anything, and of a small analysis."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

from benchmarks import timing
from benchmarks.rows import Row, seconds, skipped
from benchmarks.scratch import Setup, small_run

PART = "startup"
OVER_PASS = 8.0
_SCAN = "`dsi scan` of one small file"
SMALL_ANALYSIS_S = 1.2


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    run = small_run(setup.folder / "startup", 1)
    commands = {
        "pass": [sys.executable, "-c", "pass"],
        "help": timing.dsi("--help"),
        "scan": timing.dsi("scan", str(next(run.iterdir()))),
    }
    found = timing.command_turns(commands, setup.rounds(15))
    beside = f"python -c pass: {seconds(found['pass'])}"
    over = {name: found[name] / found["pass"] for name in ("help", "scan")}
    required = (f"at most {OVER_PASS:g}x", over["help"] <= OVER_PASS)
    rows = [
        Row(
            PART,
            "`dsi --help`, times a bare interpreter",
            seconds(found["help"]),
            beside,
            over["help"],
            *required,
        ),
        Row(
            PART,
            f"{_SCAN}, times a bare interpreter",
            seconds(found["scan"]),
            beside,
            over["scan"],
        ),
    ]
    if find_spec("torch") is None:
        return [
            *rows,
            _analysis_row(setup),
            skipped(
                PART, f"{_SCAN}, beside the import of torch", "torch is not installed"
            ),
        ]
    torch = timing.command_turns(
        {"torch": [sys.executable, "-c", "import torch"]}, setup.rounds(3)
    )["torch"]
    return [
        *rows,
        _analysis_row(setup),
        Row(
            PART,
            _SCAN,
            seconds(found["scan"]),
            f"import torch: {seconds(torch)}",
            torch / found["scan"],
        ),
    ]


def _analysis_row(setup: Setup) -> Row:
    """Return the row of a first analysis of three small checkpoints."""
    run, out = small_run(setup.folder / "three", 3, 100), setup.folder / "three-out"
    command = timing.dsi("analyze", str(run), "--labels", "cifar100", "-o", str(out))

    def analyze() -> None:
        shutil.rmtree(out, ignore_errors=True)
        timing.run(command)

    took = timing.turns({"ours": analyze}, setup.rounds(5), warm_up=False)["ours"]
    return Row(
        PART,
        "`dsi analyze` of 3 checkpoints, whole command",
        seconds(took),
        "",
        None,
        f"below {SMALL_ANALYSIS_S:g} s",
        took < SMALL_ANALYSIS_S,
    )
