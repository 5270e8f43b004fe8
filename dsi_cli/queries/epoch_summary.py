"""Summaries of a run by epoch: alignment with WordNet and its chance level, WSI, accuracy, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dsi_cli.metrics import MEASURES
from dsi_cli.metrics.hierarchical_scores import HIERARCHY_METRICS
from dsi_cli.queries.findings import Row, network_matrix, table_rows
from dsi_cli.store import layout
from dsi_cli.store.matrix_id import MatrixId
from dsi_cli.store.schema import CURVES, EXTRA_CURVES


@dataclass(frozen=True)
class EpochSummary:
    """One epoch; missing values are None, and so is the epoch of a single checkpoint without an epoch number."""

    epoch: int | None
    excess: float | None = None
    """The excess of SAI(NCSM, SCSM): 0 at chance, 1 at identity."""
    z: float | None = None
    measure: str | None = None
    """The measure of the SAI: the first of the table in the order of `dsi_cli.metrics.MEASURES`."""
    value: float | None = None
    chance: float | None = None
    """The chance level of the SAI."""
    max_wsi: float | None = None
    min_wsi: float | None = None
    accuracy: float | None = None
    reason: str | None = None
    """The reason for a missing SAI."""


@dataclass(frozen=True)
class MistakeSummary:
    """The mistakes of one epoch on one split; missing values are None."""

    epoch: int | None
    mistakes: float | None = None
    nidm: float | None = None
    """The IDM over mistakes alone by the network's similarity (NCSM, or TNCSM without a classifier)."""
    nidm_z: float | None = None
    widm: float | None = None
    """The IDM over mistakes alone by WordNet similarity."""
    widm_z: float | None = None
    chance: float | None = None
    """The chance level of both IDMs."""
    ccsm: float | None = None
    """The excess of SAI(NCSM, CCSM) over chance, by the measure of `EpochSummary`."""
    ccsm_z: float | None = None
    gap: float | None = None
    """The excess of SAI(NCSM, TNCSM) on train minus that on test, from equally many images: the paper's sign of overfitting."""
    hierarchy: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Value and chance level of the scores by the hierarchy: ``hierarchical_f1/micro``, ``level_accuracy/1``, ..."""


_SAI = {"variant": "measure", "value": "value", "null_mean": "chance", "excess": "excess", "z": "z", "reason": "reason"}


def epoch_summaries(out: Path, run: str) -> list[EpochSummary]:
    """Return a summary of each epoch of a run, in order; the last checkpoint of an epoch counts.

    Raises
    ------
    OutputError
        The curves cannot be read.
    """
    rows, own, measure = _rows_matrix_and_measure(out, run)
    fields_by_epoch = _collect_by_epoch(rows, lambda row: _fields(row, own, measure))
    return [EpochSummary(epoch, **fields) for epoch, fields in fields_by_epoch.items()]


def mistake_summaries(out: Path, run: str) -> dict[str, list[MistakeSummary]]:
    """Return the mistakes of each epoch, in order, for each split with predictions; `epoch_summaries` documents the errors."""
    rows, own, measure = _rows_matrix_and_measure(out, run)
    summaries: dict[str, list[MistakeSummary]] = {}
    for split in sorted({row["split"] for row in rows if row["metric"] == "mistakes"}, reverse=True):
        by_epoch = _collect_by_epoch(rows, lambda row, split=split: _mistake_fields(row, own, measure, split))  # type: ignore[misc]
        summaries[split] = []
        for epoch, fields in by_epoch.items():
            scores = {name: fields.pop(name) for name in list(fields) if name.split("/")[0] in HIERARCHY_METRICS}
            if "mistakes" in fields:
                summaries[split].append(MistakeSummary(epoch, **fields, hierarchy=scores))
    return summaries


def _rows_matrix_and_measure(out: Path, run: str) -> tuple[list[Row], str, str | None]:
    """Return a run's rows for its main reference, the matrix of the network's similarity, and the measure of the SAI."""
    others = set(layout.references_of(out, run)[1:])
    tables = (CURVES, EXTRA_CURVES)
    rows = [row for table in tables for row in table_rows(out, table, run) if row["reference"] not in others]
    rows = [row for row in rows if "|" not in (row["reference"] or "")]
    variants = {row["variant"] for row in rows if row["metric"] == "sai"}
    measure = next((measure.name for measure in MEASURES if measure.name in variants), None)
    return rows, network_matrix(rows), measure


def _collect_by_epoch(rows: list[Row], fields: Callable[[Row], Row]) -> dict[int | None, Row]:
    """Return the union of the fields of all rows of each epoch, in order of the epochs."""
    collected: dict[int | None, Row] = {}
    for row in rows:
        collected.setdefault(row["epoch"], {}).update(fields(row))
    return dict(sorted(collected.items(), key=lambda item: item[0] or 0))


def _fields(row: Row, own: str, measure: str | None) -> Row:
    kind, split = MatrixId.parse(own)
    if row["metric"] == "sai" and row["of"] == f"{own},scsm" and row["variant"] == measure:
        return {field: row[column] for column, field in _SAI.items()}
    if row["metric"] == "wsi" and row["of"] == kind and row["split"] == split and row["variant"] in ("max", "min"):
        return {f"{row['variant']}_wsi": row["value"]}
    if row["metric"] == "accuracy" and row["split"] == "test":
        return {"accuracy": row["value"]}
    return {}


def _mistake_fields(row: Row, own: str, measure: str | None, split: str) -> Row:
    if row["metric"] == "gap" and row["variant"] == measure:
        return {"gap": row["value"]}
    if row["metric"] == "sai" and row["variant"] == measure and row["of"] == f"{own},ccsm-{split}":
        return {"ccsm": row["excess"], "ccsm_z": row["z"]}
    if row["split"] != split:
        return {}
    if row["metric"] == "mistakes":
        return {"mistakes": row["value"]}
    if row["metric"] in HIERARCHY_METRICS and row["value"] is not None:
        name = "/".join(filter(None, (row["metric"], row["variant"])))
        return {name: {"value": row["value"], "chance": row["null_mean"]}}
    if row["metric"] == "idm" and row["variant"] == "errors" and row["of"] == "scsm":
        return {"widm": row["value"], "widm_z": row["z"]}
    if row["metric"] == "idm" and row["variant"] == "errors" and row["of"] == MatrixId.parse(own).kind:
        return {"nidm": row["value"], "nidm_z": row["z"], "chance": row["null_mean"]}
    return {}
