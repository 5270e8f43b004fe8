"""The suspects as rows with text, which terminal and report share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dsi_cli.metrics.suspects import MIN_CLASSES
from dsi_cli.similarity import MAX_DENSE_CLASSES
from dsi_cli.store import layout
from dsi_cli.store.schema import CLASSES, SUSPECTS

RATE = "at a false discovery rate of 10 %"
NO_SUSPECTS = f"no suspects {RATE}"
NOT_SOUGHT = {
    "no-head": "suspects are not sought without a classifier head",
    "many-classes": (
        f"suspects are not sought above {MAX_DENSE_CLASSES:,} classes, because no matrix"
        " is stored"
    ),
    "few-classes": (
        f"only dead classes are sought below {MIN_CLASSES} classes, because the other"
        " classes are the chance level"
    ),
    "no-reference": "only duplicates and dead classes are sought without a reference",
    "within-chance": (
        "only dead classes are sought, because the agreement with the reference stays"
        " within chance"
    ),
}
"""The reasons why only some kinds of suspects are sought in a run, by code."""


def not_sought(out: Path) -> list[str]:
    """Return why some kinds of suspects are not sought in a results folder, a line for
    each reason with its runs.
    """
    runs_of: dict[str, list[str]] = {}
    reasons = layout.earlier_options(out, SUSPECTS).get("reasons", {})
    for run, code in reasons.items():
        runs_of.setdefault(code, []).append(run)
    return [f"{', '.join(runs)}: {NOT_SOUGHT[code]}" for code, runs in runs_of.items()]


def suspects_or_none(out: Path) -> list[dict[str, Any]] | None:
    """Return the suspects of a results folder as `described` does, each with the names
    of its ``classes``; None if an older version of dsi wrote the results.
    """
    if not (out / SUSPECTS.path).is_file():
        return None
    rows = described(layout.read_table(out, SUSPECTS).to_pylist())
    names = {
        (one["run"], one["class_index"]): one["name"]
        for one in layout.read_table(out, CLASSES).to_pylist()
        if rows
    }
    for row in rows:
        of_row = [names[row["run"], member] for member in row["members"]]
        row["classes"] = ", ".join(
            f"class {member}" if name is None else name
            for member, name in zip(row["members"], of_row, strict=True)
        )
    return rows


def described(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of the table of suspects, each with its false discovery rate as text,
    ``rate``.
    """
    return [{**row, "rate": f"q = {row['q_value']:.2g}"} for row in rows]
