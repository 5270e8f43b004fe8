"""The phases of a run in words, and what the paper would say of it (arXiv 2505.21338, section 5 and appendix E).

Each sentence is said only where the tables bear it out. A phase whose confidence is below `DOUBTFUL` is said with "perhaps".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.store import output, parquet
from dsi_cli.store.schema import CLASSES, PHASES, Table
from dsi_cli.views import overview

Row = dict[str, Any]

ALIGNMENT = "sai excess"
"""How the name of the alignment's curve begins."""
SURELY_ABOVE = 3.0
"""Deviations above chance from which an alignment counts as one."""
WIDE_CHANCE = 0.2
"""Where chance alone reaches that excess, as with few classes, nothing is said of an alignment that stays within it."""
LEAST_EPOCHS = 8
LEARNT = 2.0
"""Times chance from which an accuracy counts as learnt."""
SURE = 0.9
"""Confidence from which a curve is said not to be flat yet."""
GOES_ON = 0.25
"""Share of what the middle third of a phase adds that its last third must add to be called not flat yet."""
DOUBTFUL = 0.5
"""Confidence below which a phase is said with "perhaps": it is likelier elsewhere, or not there, than where it is stated."""
_TITLES = {"wsi max": "Max WSI", "wsi min": "Min WSI"}


@dataclass(frozen=True)
class Told:
    """What is known of a run's phases."""

    rows: list[Row] = field(default_factory=list)
    """Of the phases table."""
    phases: str | None = None
    """The phases of the curve that tells most, or why there are none, in a line."""
    hints: list[str] = field(default_factory=list)
    """Plain sentences, most telling first."""


def told(out: Path, run: str) -> Told:
    """Return the phases of a run in words; nothing where the output has no phases table.

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    rows = _rows(out, PHASES, run)
    if not rows:
        return Told()
    lines = overview.lines(out, run)
    classes = len(_rows(out, CLASSES, run))
    return Told(rows, phases_line(rows), hints(rows, lines, classes))


def phases_line(rows: Sequence[Row]) -> str:
    """Return the phases of the first curve that has any: the alignment, Max WSI, Min WSI; else why the first has none.

    In brackets stand the 95 % interval of an end, where that is more than an epoch, and the confidence.

    >>> surge = {"curve": "wsi max", "phase": "surge", "first_epoch": 0, "last_epoch": 3, "low": 2, "high": 4, "confidence": 0.9}
    >>> phases_line([surge, surge | {"phase": "refinement", "first_epoch": 3, "last_epoch": 30, "confidence": 0.2}])
    'phases of Max WSI: surge to epoch 3 (95 % interval 2 to 4, confidence 0.90), then perhaps refinement (confidence 0.20)'
    """
    curve = next((row["curve"] for row in rows if row["phase"]), None)
    if curve is None:
        return f"no phases in {_title(rows[0]['curve'])}: {rows[0]['reason']}"
    mine = [row for row in rows if row["curve"] == curve]
    begins = mine[0]["first_epoch"] > min(row["first_epoch"] for row in rows if row["phase"])
    said = [_said(row, is_last=row is mine[-1], begins=begins and row is mine[0]) for row in mine]
    return f"phases of {_title(curve)}: {', '.join(said)}"


def _said(row: Row, *, is_last: bool, begins: bool) -> str:
    name = f"perhaps {row['phase']}" if _is_doubtful(row) else row["phase"]
    confidence = f"confidence {row['confidence']:.2f}"
    if is_last and not begins and row["phase"] != "surge":
        return f"then {name} ({confidence})"
    start = f" from epoch {row['first_epoch']} to" if begins or is_last else " to epoch"
    return f"{name}{start} {row['last_epoch']} ({', '.join([*_interval(row), confidence])})"


def _is_doubtful(row: Row) -> bool:
    return bool(row["confidence"] < DOUBTFUL)


def _interval(row: Row) -> list[str]:
    """Return the 95 % interval of the end, where it is more than an epoch."""
    return [] if row["low"] == row["high"] else [f"95 % interval {row['low']} to {row['high']}"]


def _title(curve: str) -> str:
    return "the alignment" if curve.startswith(ALIGNMENT) else _TITLES.get(curve, curve)


def hints(rows: Sequence[Row], lines: Sequence[overview.Line], classes: int = 0) -> list[str]:
    """Return what the phases and curves of a run mean, in sentences; none where they do not say.

    Parameters
    ----------
    rows : of the phases table, of one run
    lines : the run's epochs
    classes : how many there are, for the chance level of the accuracy; 0 if that is not known
    """
    never = _within_chance(lines, classes)
    if never is not None:
        return [never + _drop(rows)]
    mine = [row for row in rows if row["phase"] and row["curve"].startswith(ALIGNMENT)]
    if mine:
        doubt = f"perhaps (confidence {mine[-1]['confidence']:.2f}): " if _is_doubtful(mine[-1]) else ""
        return [f"{doubt}{_of_last(mine, lines)}"]
    is_known = any(line.excess is not None for line in lines)
    dropped = "" if is_known else _drop(rows)
    return [f"looks like a run that hardly learns{dropped}"] if dropped else []


def _of_last(mine: Sequence[Row], lines: Sequence[overview.Line]) -> str:
    """Return what the alignment's last phase means."""
    last, before = mine[-1], mine[-2] if len(mine) > 1 else mine[-1]
    since = f"since epoch {last['first_epoch']}"
    if last["phase"] == "surge":
        return f"still in the surge: alignment with WordNet has risen steeply {since}, up to the last epoch"
    if last["phase"] == "growth":
        return f"alignment with WordNet dropped at first and has grown slowly {since}, as in appendix E of the paper"
    if last["phase"] == "stabilisation":
        return f"alignment with WordNet has been flat {since}" + "".join(f" ({one})" for one in _interval(before))
    goes = "risen" if last["slope"] > 0 else "fallen"
    still = ", and is not flat yet" if last["confidence"] >= SURE and _goes_on(last, lines) else ""
    return f"alignment with WordNet has {goes} slowly {since}{still}"


def _goes_on(last: Row, lines: Sequence[overview.Line]) -> bool:
    """Return whether a phase that lasts to the end goes on in its last third as before: a quarter of what the middle adds, or more.

    A curve that bends smoothly has one phase for its slow part, whose end may be flat all the same.
    """
    known = [x.excess for x in lines if x.excess is not None and last["first_epoch"] <= x.epoch <= last["last_epoch"]]
    first, middle, end = (float(np.mean(part)) if len(part) else 0.0 for part in np.array_split(known, 3))
    direction = np.sign(last["slope"])
    return bool(direction * (end - middle) >= GOES_ON * direction * (middle - first))


def _drop(rows: Sequence[Row]) -> str:
    """Return the words for appendix E's two phases, where a curve has them."""
    row = next((row for row in rows if row["phase"] == "growth"), None)
    if row is None:
        return ""
    what = f"{_title(row['curve'])} dropped at first and has grown slowly since epoch {row['first_epoch']}"
    doubt = f"perhaps (confidence {row['confidence']:.2f}) " if _is_doubtful(row) else ""
    return f" (appendix E of the paper): {doubt}{what}"


def _within_chance(lines: Sequence[overview.Line], classes: int) -> str | None:
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
    path = output.table_path(out, table)
    return parquet.read(path, run).to_pylist() if path.is_file() else []
