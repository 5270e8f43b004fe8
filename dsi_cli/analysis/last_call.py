"""The state that the last call left, as an entry of the cache: a call that finds it
unchanged has nothing to do.

The state is the key of everything that the results are made from, and of the names,
sizes and times of their files and of the cache. So a file that was removed, damaged or
written by another program is made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dsi_cli.analysis.cache import EVALUATIONS, GEOMETRY, HEADS, ROWS, key_of
from dsi_cli.analysis.plan import Plan
from dsi_cli.analysis.tables.facts import of_labels
from dsi_cli.analysis.tables.result_tables import RunRows
from dsi_cli.facts import Fact
from dsi_cli.queries import facts
from dsi_cli.store import layout

LAST = "last"
"""The kind of the entry, which the next call that writes results removes."""


def facts_if_unchanged(plan: Plan, runs: Sequence[RunRows]) -> list[Fact] | None:
    """Return what the last call noticed, if this call would write the same results;
    None if something is different.
    """
    entry = plan.cache.get(LAST, _state(plan, runs))
    return None if entry is None else facts.from_rows(entry["facts"])


def write(plan: Plan, runs: Sequence[RunRows], noticed: Sequence[Fact]) -> None:
    """Record the state after a call, and what the call noticed."""
    plan.cache.put(LAST, _state(plan, runs), {"facts": facts.rows(noticed)})


def _state(plan: Plan, runs: Sequence[RunRows]) -> str:
    evaluations = plan.evaluations
    of_runs: list[Any] = []
    for one in runs:
        splits = evaluations.splits[one.run.name]
        failed = [
            [split.split, path, str(error)]
            for split in splits
            for path, error in split.failed.items()
        ]
        of_runs.append([one.key, facts.rows(of_labels(one)), failed])
    noticed = facts.rows([*plan.facts, *evaluations.facts])
    return key_of(
        of_runs, noticed, plan.settings, plan.curve_options, sorted(_files(plan.out))
    )


def _files(out: Path) -> Iterator[tuple[str, int, int]]:
    """Yield the path, size and time of each file of the tables and of the cache."""
    kinds = (HEADS, EVALUATIONS, ROWS, GEOMETRY)
    entries = [f"{layout.CACHE}/{kind}/*" for kind in kinds]
    for pattern in ("*.parquet", "*/**/*.parquet", *entries):
        for path in out.glob(pattern):
            stat = path.stat()
            yield str(path.relative_to(out)), stat.st_size, stat.st_mtime_ns
