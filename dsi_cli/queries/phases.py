"""Sentences about the phases of a run (arXiv 2505.21338, section 5); each requires evidence in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dsi_cli.queries import epoch_summary
from dsi_cli.queries.findings import AGREEMENT_PREFIXES, MIN_Z, PHASE_NAMES, WIDE_CHANCE, Row, table_rows
from dsi_cli.store.schema import CLASSES, PHASES

MIN_EPOCHS = 8
"""The number of epochs with an alignment for a statement that it stays within chance."""
MIN_LEARNT_FACTOR = 2.0
"""A network has learnt if its accuracy is at least this multiple of chance."""
_TITLES = {"wsi max": "Max WSI", "widm test": "WIDM of mistakes", "widm train": "WIDM of mistakes on train"}


@dataclass(frozen=True)
class PhaseSentences:
    """The phases of a run with sentences about them."""

    rows: list[Row] = field(default_factory=list)
    """The run's rows of the phases table."""
    phases: str | None = None
    """One line with the phases of the first curve that has any, or with the reason why none has."""
    hints: list[str] = field(default_factory=list)
    """Sentences; the most important is first."""


def phase_sentences(out: Path, run: str) -> PhaseSentences:
    """Return sentences about the phases of a run; none if the results folder has no phases table.

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    rows = table_rows(out, PHASES, run)
    if not rows:
        return PhaseSentences()
    lines = epoch_summary.epoch_summaries(out, run)
    classes = len(table_rows(out, CLASSES, run))
    return PhaseSentences(rows, phases_line(rows), hints(rows, lines, classes))


def is_agreement(curve: str) -> bool:
    """Return True for the name of a curve of the agreement with the reference matrix."""
    return curve.startswith(AGREEMENT_PREFIXES)


def phases_line(rows: Sequence[Row]) -> str:
    """Return a line with the phases of the first curve that has any, or with the reason why the first curve has none.

    >>> surge = {"curve": "wsi max", "phase": "surge", "first_epoch": 0, "last_epoch": 2.72, "low": 1.8, "high": 4.03, "gain": 0.3}
    >>> rest = surge | {"phase": "refinement", "first_epoch": 2.72, "last_epoch": 20, "low": 17, "high": 30, "gain": -0.007}
    >>> phases_line([surge, rest])
    'phases of Max WSI: surge to epoch 2.7 (95 % CI 1.8 to 4.0), refinement to epoch 20 (17 to 30), change since the peak -0.007'
    """
    curve = next((row["curve"] for row in rows if row["phase"]), None)
    if curve is None:
        return f"no phases in {_title(rows[0]['curve'])}: {rows[0]['reason']}"
    parts = []
    for row in rows:
        if row["curve"] != curve or row["phase"] not in PHASE_NAMES:
            continue
        if row["phase"] == "stabilisation":
            parts.append("then stabilisation")
            continue
        digits = 1 if row["phase"] == "surge" else 0
        end, low, high = (f"{row[name]:.{digits}f}" for name in ("last_epoch", "low", "high"))
        label = "" if parts else "95 % CI "
        parts.append(f"{row['phase']} to epoch {end} ({label}{low} to {high})")
        if row["phase"] == "refinement":
            parts.append(f"change since the peak {row['gain']:+.3f}")
    return f"phases of {_title(curve)}: {', '.join(parts)}"


def _title(curve: str) -> str:
    return "the agreement" if is_agreement(curve) else _TITLES.get(curve, curve)


def hints(rows: Sequence[Row], lines: Sequence[epoch_summary.EpochSummary], classes: int = 0) -> list[str]:
    """Return sentences that interpret the phases and curves of a run.

    Parameters
    ----------
    rows : the run's rows of the phases table
    lines : the run's epochs
    classes : the number of classes, for the chance level of the accuracy; 0 if unknown
    """
    within_chance = _sentence_within_chance(lines, classes)
    if within_chance is not None:
        return [within_chance]
    for row in reversed(rows):
        if row["phase"] == "stabilisation" and is_agreement(row["curve"]):
            return [f"agreement with WordNet has stayed within its noise since epoch {row['first_epoch']:.0f}"]
    return []


def _sentence_within_chance(lines: Sequence[epoch_summary.EpochSummary], classes: int) -> str | None:
    """Return a sentence if the alignment was within chance at every epoch; None if not or if that has no meaning."""
    known = [(line.excess, line.z) for line in lines if line.excess is not None and line.z]
    if len(known) < MIN_EPOCHS or max(z for _, z in known) >= MIN_Z:
        return None
    if MIN_Z * float(np.median([abs(excess / z) for excess, z in known])) > WIDE_CHANCE:
        return None
    best = max((line.accuracy for line in lines if line.accuracy is not None), default=None)
    sentence = f"alignment with WordNet was within chance at every epoch (z at most {max(z for _, z in known):.1f})"
    if best is not None and classes and best >= MIN_LEARNT_FACTOR / classes:
        return f"{sentence}, though accuracy reached {best:.3f}"
    return f"looks like a run that never learnt: {sentence}"
