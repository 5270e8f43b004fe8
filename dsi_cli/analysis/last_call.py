"""The state that the last call left, in ``OUT/.cache/last.json``: a call that finds it
unchanged has nothing to do.

The state is the key of everything that the results are made from, and of the names,
sizes and times of their files and of the cache. So a file that was removed, damaged or
written by another program is made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.plan import Plan
from dsi_cli.analysis.tables.facts import of_labels
from dsi_cli.analysis.tables.result_tables import RunRows
from dsi_cli.facts import Fact
from dsi_cli.queries import facts
from dsi_cli.store import atomic_write, layout

FILE = "last.json"


def facts_if_unchanged(plan: Plan, runs: Sequence[RunRows]) -> list[Fact] | None:
    """Return what the last call noticed, if this call would write the same results;
    None if something is different.
    """
    path = plan.cache.folder / FILE
    last = json.loads(path.read_bytes()) if path.is_file() else {}
    if last.get("state") != _state(plan, runs):
        return None
    return facts.from_rows(last["facts"])


def write(plan: Plan, runs: Sequence[RunRows], noticed: Sequence[Fact]) -> None:
    """Record the state after a call, and what the call noticed."""
    last = {"state": _state(plan, runs), "facts": facts.rows(noticed)}
    atomic_write.write_atomically(
        plan.cache.folder / FILE,
        json.dumps(last).encode(),
        layout.temporary_folder(plan.out),
    )


def _state(plan: Plan, runs: Sequence[RunRows]) -> str:
    evaluations = plan.evaluations
    of_runs: list[Any] = []
    for one in runs:
        splits = evaluations.splits[one.run.name]
        failed = {split.split: split.failed for split in splits}
        of_runs.append([one.key, facts.rows(of_labels(one)), failed])
    noticed = facts.rows([*plan.facts, *evaluations.facts])
    return key_of(
        of_runs, noticed, plan.settings, plan.curve_options, sorted(_files(plan.out))
    )


def _files(out: Path) -> Iterator[tuple[str, int, int]]:
    """Yield the path, size and time of each file of the tables and of the cache."""
    for pattern in ("*.parquet", "*/**/*.parquet", f"{layout.CACHE}/*/*"):
        for path in out.glob(pattern):
            stat = path.stat()
            yield str(path.relative_to(out)), stat.st_size, stat.st_mtime_ns
