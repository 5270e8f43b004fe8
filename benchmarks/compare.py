"""A comparison of 24 runs of the shared data: ``dsi compare`` on their results."""

from __future__ import annotations

import shutil

from benchmarks import timing
from benchmarks.rows import Row, seconds, skipped
from benchmarks.scratch import Setup, small_run

PART = "compare"
RUNS = 24
MOST_SECONDS = 2.0


def measure(setup: Setup) -> list[Row]:
    """Return the row of this part; in quick mode of two small runs."""
    required = f"below {MOST_SECONDS:g} s"
    runs = setup.folder / "compared"
    if setup.quick:
        for name in ("first", "second"):
            small_run(runs / name, 1)
    elif setup.shared is None:
        what = f"`dsi compare` of {RUNS} runs"
        return [skipped(PART, what, "DSI_SHARED is not set", required)]
    else:
        runs = setup.shared / "data" / "seeds"
    out = setup.folder / "compared-out"
    shutil.rmtree(out, ignore_errors=True)
    timing.run(timing.dsi("analyze", str(runs), "-o", str(out), "--no-report"))
    command = timing.dsi("compare", str(out))
    took = timing.command_turns({"ours": command}, setup.rounds(5))["ours"]
    number = len([path for path in runs.iterdir() if path.is_dir()])
    what = f"`dsi compare` of {number} runs, whole command"
    holds = None if setup.quick else took < MOST_SECONDS
    return [Row(PART, what, seconds(took), "", None, required, holds)]
