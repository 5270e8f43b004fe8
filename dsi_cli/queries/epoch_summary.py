"""Summaries of a run by epoch: alignment with WordNet and its chance level, WSI, accuracy, and mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsi_cli.metrics import MEASURES
from dsi_cli.metrics.hierarchical_scores import HIERARCHY_METRICS
from dsi_cli.queries.findings import Row, network_matrix, table_rows
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, EXTRA_CURVES, MatrixId


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


def epoch_summaries(out: Path, run: str) -> list[EpochSummary]:
    """Return a summary of each epoch of a run, in order; the last checkpoint of an epoch counts.

    Raises
    ------
    OutputError
        The curves cannot be read.
    """
    rows, own, measure = _rows_matrix_and_measure(out, run)
    kind, split = MatrixId.parse(own)
    sai = {"measure": "variant", "value": "value", "chance": "null_mean", "excess": "excess", "z": "z", "reason": "reason"}
    columns = {
        ("sai", f"{own},scsm", None, measure): sai,
        ("wsi", kind, split, "max"): {"max_wsi": "value"},
        ("wsi", kind, split, "min"): {"min_wsi": "value"},
        ("accuracy", None, "test", None): {"accuracy": "value"},
    }
    return [EpochSummary(epoch, **fields) for epoch, fields in _fields_by_epoch(rows, columns).items()]


def mistake_summaries(out: Path, run: str) -> dict[str, list[MistakeSummary]]:
    """Return the mistakes of each epoch, in order, for each split with predictions; `epoch_summaries` documents the errors."""
    rows, own, measure = _rows_matrix_and_measure(out, run)
    summaries: dict[str, list[MistakeSummary]] = {}
    for split in sorted({row["split"] for row in rows if row["metric"] == "mistakes"}, reverse=True):
        columns = {
            ("gap", "ncsm,tncsm", None, measure): {"gap": "value"},
            ("sai", f"{own},ccsm-{split}", None, measure): {"ccsm": "excess", "ccsm_z": "z"},
            ("mistakes", None, split, None): {"mistakes": "value"},
            ("idm", "scsm", split, "errors"): {"widm": "value", "widm_z": "z"},
            ("idm", MatrixId.parse(own).kind, split, "errors"): {"nidm": "value", "nidm_z": "z", "chance": "null_mean"},
        }
        scores: dict[int | None, dict[str, dict[str, float | None]]] = {}
        for row in rows:
            if row["metric"] in HIERARCHY_METRICS and row["split"] == split and row["value"] is not None:
                name = "/".join(filter(None, (row["metric"], row["variant"])))
                scores.setdefault(row["epoch"], {})[name] = {"value": row["value"], "chance": row["null_mean"]}
        summaries[split] = [
            MistakeSummary(epoch, **fields, hierarchy=scores.get(epoch, {}))
            for epoch, fields in _fields_by_epoch(rows, columns).items()
            if "mistakes" in fields
        ]
    return summaries


def _rows_matrix_and_measure(out: Path, run: str) -> tuple[list[Row], str, str | None]:
    """Return a run's rows for its main reference, the matrix of the network's similarity, and the measure of the SAI."""
    others = set(layout.references_of(out, run)[1:])
    rows = [*table_rows(out, CURVES, run), *table_rows(out, EXTRA_CURVES, run)]
    rows = [row for row in rows if row["reference"] not in others and "|" not in (row["reference"] or "")]
    variants = {row["variant"] for row in rows if row["metric"] == "sai"}
    measure = next((measure.name for measure in MEASURES if measure.name in variants), None)
    return rows, network_matrix(rows), measure


def _fields_by_epoch(rows: list[Row], columns: Mapping[Any, Mapping[str, str]]) -> dict[int | None, Row]:
    """Return the fields of each epoch, in order.

    Parameters
    ----------
    columns : the column of each field, by the (metric, of, split, variant) of the rows
    """
    fields: dict[int | None, Row] = {}
    for row in rows:
        chosen = columns.get((row["metric"], row["of"], row["split"], row["variant"]), {})
        fields.setdefault(row["epoch"], {}).update({field: row[column] for field, column in chosen.items()})
    return dict(sorted(fields.items(), key=lambda item: item[0] or 0))
