"""The phases of a run in words (arXiv 2505.21338, section 5). Each sentence is given only if the tables bear it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.queries import epoch_summary
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CLASSES, PHASES, Table

Row = dict[str, Any]

PARTS = ("surge", "refinement", "stabilisation")
"""The phases in their order; the other rows are the times t50, t90 and t95."""
AGREEMENT = ("agreement", "excess of")
"""How the names of the curves of the agreement with the reference begin."""
SURELY_ABOVE = 3.0
"""Deviations above chance from which an alignment counts as one."""
WIDE_CHANCE = 0.2
"""If chance alone reaches that excess, as with few classes, no hint is given about an alignment that stays within it."""
LEAST_EPOCHS = 8
LEARNT = 2.0
"""Times chance from which an accuracy counts as learnt."""
_TITLES = {"wsi max": "Max WSI", "widm test": "WIDM", "widm train": "WIDM on train"}


@dataclass(frozen=True)
class PhaseSentences:
    """What is known of a run's phases."""

    rows: list[Row] = field(default_factory=list)
    """Of the phases table."""
    phases: str | None = None
    """The phases of the first curve that has any, or why there are none, in a line."""
    hints: list[str] = field(default_factory=list)
    """Plain sentences, most telling first."""


def phase_sentences(out: Path, run: str) -> PhaseSentences:
    """Return the phases of a run in words; nothing if the output has no phases table.

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    rows = _rows(out, PHASES, run)
    if not rows:
        return PhaseSentences()
    lines = epoch_summary.epoch_summaries(out, run)
    classes = len(_rows(out, CLASSES, run))
    return PhaseSentences(rows, phases_line(rows), hints(rows, lines, classes))


def is_agreement(curve: str) -> bool:
    """Return whether a curve of the phases table is that of the agreement with the reference."""
    return curve.startswith(AGREEMENT)


def phases_line(rows: Sequence[Row]) -> str:
    """Return the phases of the first curve that has any, else why the first curve has none.

    >>> surge = {"curve": "wsi max", "phase": "surge", "first_epoch": 0, "last_epoch": 2.72, "low": 1.8, "high": 4.03, "gain": 0.3}
    >>> rest = surge | {"phase": "refinement", "first_epoch": 2.72, "last_epoch": 20, "low": 17, "high": 30, "gain": -0.007}
    >>> phases_line([surge, rest])
    'phases of Max WSI: surge to epoch 2.7 (95 % CI 1.8 to 4.0), refinement to epoch 20 (17 to 30), change since the peak -0.007'
    """
    curve = next((row["curve"] for row in rows if row["phase"]), None)
    if curve is None:
        return f"no phases in {_title(rows[0]['curve'])}: {rows[0]['reason']}"
    mine = [row for row in rows if row["curve"] == curve and row["phase"] in PARTS]
    said = []
    for row in mine:
        if row["phase"] == "stabilisation":
            said.append("then stabilisation")
            continue
        interval = (
            f"{row['low']:.1f} to {row['high']:.1f}"
            if row["phase"] == "surge"
            else f"{row['low']:.0f} to {row['high']:.0f}"
        )
        end = f"{row['last_epoch']:.1f}" if row["phase"] == "surge" else f"{row['last_epoch']:.0f}"
        said.append(f"{row['phase']} to epoch {end} ({'' if said else '95 % CI '}{interval})")
        if row["phase"] == "refinement":
            said.append(f"change since the peak {row['gain']:+.3f}")
    return f"phases of {_title(curve)}: {', '.join(said)}"


def _title(curve: str) -> str:
    return "the agreement" if is_agreement(curve) else _TITLES.get(curve, curve)


def hints(rows: Sequence[Row], lines: Sequence[epoch_summary.EpochSummary], classes: int = 0) -> list[str]:
    """Return what the phases and curves of a run mean, in sentences.

    Parameters
    ----------
    rows : of the phases table, of one run
    lines : the run's epochs
    classes : how many there are, for the chance level of the accuracy; 0 if that is not known
    """
    never = _within_chance(lines, classes)
    if never is not None:
        return [never]
    last = next((row for row in reversed(rows) if row["phase"] == "stabilisation" and is_agreement(row["curve"])), None)
    return (
        []
        if last is None
        else [f"agreement with WordNet has stayed within its noise since epoch {last['first_epoch']:.0f}"]
    )


def _within_chance(lines: Sequence[epoch_summary.EpochSummary], classes: int) -> str | None:
    """Return what it means that the alignment was within chance at every epoch; None if it was not, or cannot be told."""
    known = [(line.excess, line.z) for line in lines if line.excess is not None and line.z]
    if len(known) < LEAST_EPOCHS or max(z for _, z in known) >= SURELY_ABOVE:
        return None
    if SURELY_ABOVE * float(np.median([abs(excess / z) for excess, z in known])) > WIDE_CHANCE:
        return None
    best = max((line.accuracy for line in lines if line.accuracy is not None), default=None)
    within = f"alignment with WordNet was within chance at every epoch (z at most {max(z for _, z in known):.1f})"
    if best is not None and classes and best >= LEARNT / classes:
        return f"{within}, though accuracy reached {best:.3f}"
    return f"looks like a run that never learnt: {within}"


def _rows(out: Path, table: Table, run: str) -> list[Row]:
    path = layout.table_path(out, table)
    return parquet.read(path, run).to_pylist() if path.is_file() else []
