"""A run at a glance, a line per few epochs: alignment with WordNet beside its chance level, WSI, accuracy; its mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dsi_cli.metrics import MEASURES
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES

MOST_LINES = 12
OWN = ("ncsm", "tncsm-test", "tncsm-train")
"""The network's own similarity: the first of these that a run has."""


@dataclass(frozen=True)
class EpochSummary:
    """One epoch; None where the table has no value, and for the epoch of a run's only checkpoint without one."""

    epoch: int | None
    excess: float | None = None
    """Of SAI(NCSM, SCSM): 0 at chance, 1 at identity."""
    z: float | None = None
    measure: str | None = None
    """Of the SAI: cosine where it was asked for, else the first that was."""
    value: float | None = None
    chance: float | None = None
    max_wsi: float | None = None
    min_wsi: float | None = None
    accuracy: float | None = None
    reason: str | None = None
    """Why there is no SAI."""


@dataclass(frozen=True)
class MistakeSummary:
    """The mistakes of one epoch on one split; None where the table has no value."""

    epoch: int | None
    mistakes: float | None = None
    nidm: float | None = None
    """IDM over mistakes alone, by the network's own similarity (by that of its templates, without a classifier)."""
    nidm_z: float | None = None
    widm: float | None = None
    """The same by WordNet's."""
    widm_z: float | None = None
    chance: float | None = None
    """What both are by chance."""
    ccsm: float | None = None
    """Excess of SAI(NCSM, CCSM) over chance, by the measure of the first table."""
    ccsm_z: float | None = None
    gap: float | None = None
    """Excess of SAI(NCSM, TNCSM) on the train split less that on the test split: the paper's sign of overfitting."""


Row = dict[str, Any]
_SAI = {"variant": "measure", "value": "value", "null_mean": "chance", "excess": "excess", "z": "z", "reason": "reason"}


def epoch_summaries(out: Path, run: str) -> list[EpochSummary]:
    """Return every epoch of a run (its last save where it has several), in order.

    Raises
    ------
    OutputError
        The curves cannot be read.
    """
    rows = _rows(out, run)
    own, measure = _own(rows), _measure(rows)
    return [
        EpochSummary(epoch, **fields) for epoch, fields in _by_epoch(rows, lambda row: _fields(row, own, measure)).items()
    ]


def mistakes(out: Path, run: str) -> dict[str, list[MistakeSummary]]:
    """Return, for each split with answers, every epoch's mistakes, in order; errors as for `epoch_summaries`."""
    rows = _rows(out, run)
    own, measure = _own(rows), _measure(rows)
    found = {}
    for split in sorted({row["split"] for row in rows if row["metric"] == "mistakes"}, reverse=True):
        by_epoch = _by_epoch(rows, lambda row, split=split: _mistake_fields(row, own, measure, split))  # type: ignore[misc]
        found[split] = [_with_gap(epoch, fields) for epoch, fields in by_epoch.items() if "mistakes" in fields]
    return found


def _rows(out: Path, run: str) -> list[Row]:
    """Return a run's rows, of the references that of the main one alone."""
    from dsi_cli.store import parquet

    others = set(layout.references_of(out, run)[1:])
    rows = parquet.read(layout.table_path(out, CURVES), run).to_pylist()
    return [row for row in rows if row["reference"] not in others and "|" not in (row["reference"] or "")]


def _own(rows: list[Row]) -> str:
    """Return the matrix that is the network's own similarity: the NCSM, or templates where it has no classifier."""
    there = {row["of"] for row in rows if row["metric"] == "sai"}
    return next((name for name in OWN if f"{name},scsm" in there), OWN[0])


def _measure(rows: list[Row]) -> str | None:
    there = {row["variant"] for row in rows if row["metric"] == "sai"}
    return next((one.name for one in MEASURES if one.name in there), None)


def _by_epoch(rows: list[Row], fields: Callable[[Row], Row]) -> dict[int | None, Row]:
    found: dict[int | None, Row] = {}
    for row in rows:
        found.setdefault(row["epoch"], {}).update(fields(row))
    return dict(sorted(found.items(), key=lambda item: item[0] or 0))


AnyLine = TypeVar("AnyLine")


def thin_epochs(found: list[AnyLine], most: int = MOST_LINES) -> list[AnyLine]:
    """Return at most ``most`` lines, the first and the last among them, closer together where the curves begin.

    >>> [line.epoch for line in thin_epochs([EpochSummary(epoch) for epoch in range(31)], 8)]
    [0, 2, 5, 8, 13, 18, 24, 30]
    """
    if len(found) <= most:
        return found
    places = {round((len(found) - 1) * (step / (most - 1)) ** 1.5) for step in range(most)}
    return [found[place] for place in sorted(places)]


def _fields(row: Row, own: str, measure: str | None) -> Row:
    kind, _, split = own.partition("-")
    if row["metric"] == "sai" and row["of"] == f"{own},scsm" and row["variant"] == measure:
        return {field: row[column] for column, field in _SAI.items()}
    if (
        row["metric"] == "wsi"
        and row["of"] == kind
        and row["split"] == (split or None)
        and row["variant"] in ("max", "min")
    ):
        return {f"{row['variant']}_wsi": row["value"]}
    if row["metric"] == "accuracy" and row["split"] == "test":
        return {"accuracy": row["value"]}
    return {}


def _mistake_fields(row: Row, own: str, measure: str | None, split: str) -> Row:
    if row["metric"] == "sai" and row["variant"] == measure:
        if row["of"] == f"{own},ccsm-{split}":
            return {"ccsm": row["excess"], "ccsm_z": row["z"]}
        of_templates = {f"ncsm,tncsm-{one}": one for one in ("train", "test")}
        return {of_templates[row["of"]]: row["excess"]} if row["of"] in of_templates else {}
    if row["split"] != split:
        return {}
    if row["metric"] == "mistakes":
        return {"mistakes": row["value"]}
    name = {own.partition("-")[0]: "nidm", "scsm": "widm"}.get(row["of"])
    if row["metric"] == "idm" and row["variant"] == "errors" and name is not None:
        return {name: row["value"], f"{name}_z": row["z"]} | ({"chance": row["null_mean"]} if name == "nidm" else {})
    return {}


def _with_gap(epoch: int | None, fields: Row) -> MistakeSummary:
    train, test = fields.pop("train", None), fields.pop("test", None)
    return MistakeSummary(epoch, **fields, gap=train - test if None not in (train, test) else None)


def surge_epoch(summaries: list[EpochSummary]) -> int | None:
    """Return the first epoch at which the SAI's excess over chance is half of its highest or more; None where it has none."""
    known = [(line.epoch, line.excess) for line in summaries if line.excess is not None]
    half = max((excess for _, excess in known), default=0.0) / 2
    return next((epoch for epoch, excess in known if excess >= half > 0), None)
