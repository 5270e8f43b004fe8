"""Summaries of a run by epoch: alignment, WSI, accuracy, mistakes and typicality.

The typicality of correctly and wrongly classified samples is a mean over classes, as in table H.1 of arXiv 2505.21338.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from dsi_cli.metrics import MEASURES
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.queries.findings import Row, network_matrix, table_rows
from dsi_cli.queries.matrices import none_if_nan
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, EXTRA_CURVES, TYPICALITY, MatrixId

_FIELDS = {"group_cosine": "", "null_mean": "_chance", "sample_cosine": "_sample"}
"""The suffix of the fields by column of the table."""


@dataclass(frozen=True)
class EpochSummary:
    """One epoch; missing values are None, and so is the epoch of a single checkpoint without an epoch number."""

    epoch: int | None
    agreement: float | None = None
    """Pearson's correlation of NCSM and SCSM: 0 at chance, 1 if they are equal up to a positive linear rescaling."""
    excess: float | None = None  # the excess of SAI(NCSM, SCSM): 0 at chance, 1 at identity
    z: float | None = None
    measure: str | None = None  # the measure of the SAI: the first of the table in the order of `MEASURES`
    value: float | None = None
    chance: float | None = None  # the chance level of the SAI
    max_wsi: float | None = None
    min_wsi: float | None = None
    accuracy: float | None = None
    reason: str | None = None  # the reason for a missing SAI


@dataclass(frozen=True)
class MistakeSummary:
    """The mistakes of one epoch on one split; missing values are None."""

    epoch: int | None
    mistakes: float | None = None
    nidm: float | None = None  # the IDM over mistakes alone by the network's similarity (NCSM or TNCSM)
    nidm_z: float | None = None
    widm: float | None = None  # the IDM over mistakes alone by WordNet similarity
    widm_z: float | None = None
    chance: float | None = None  # the chance level of both IDMs
    ccsm: float | None = None  # the excess of SAI(NCSM, CCSM) over chance, by the measure of `EpochSummary`
    ccsm_z: float | None = None
    gap: float | None = None
    """The excess of SAI(NCSM, TNCSM) on train minus that on test, from equally many images: the paper's sign of overfitting."""
    hierarchy: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Value and chance level of the scores by the hierarchy: ``hierarchical_f1/micro``, ``level_accuracy/1``, ..."""


def epoch_summaries(out: Path, run: str) -> list[EpochSummary]:
    """Return a summary of each epoch's last checkpoint, in order; raise `OutputError` if the curves are unreadable."""
    rows, own, measure = _run_curves(out, run)
    kind, split = MatrixId.parse(own)
    sai = {"measure": "variant", "value": "value", "chance": "null_mean", "excess": "excess", "z": "z", "reason": "reason"}
    columns = {
        ("sai", f"{own},scsm", None, "pearson"): {"agreement": "value"},
        ("sai", f"{own},scsm", None, measure): sai | ({"agreement": "value"} if measure == "pearson" else {}),
        ("wsi", kind, split, "max"): {"max_wsi": "value"},
        ("wsi", kind, split, "min"): {"min_wsi": "value"},
        ("accuracy", None, "test", None): {"accuracy": "value"},
    }
    return [EpochSummary(epoch, **fields) for epoch, fields in _fields_by_epoch(rows, columns).items()]


def mistake_summaries(out: Path, run: str) -> dict[str, list[MistakeSummary]]:
    """Return the mistakes of each epoch, in order, for each split with predictions; `epoch_summaries` documents the errors."""
    rows, own, measure = _run_curves(out, run)
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


def _run_curves(out: Path, run: str) -> tuple[list[Row], str, str | None]:
    """Return a run's rows for its main reference, the matrix of the network's similarity, and the first measure of the SAI."""
    others = set(layout.references_of(out, run)[1:])
    rows = [*table_rows(out, CURVES, run), *table_rows(out, EXTRA_CURVES, run)]
    rows = [row for row in rows if row["reference"] not in others and "|" not in (row["reference"] or "")]
    variants = {row["variant"] for row in rows if row["metric"] == "sai"}
    measure = next((measure for measure in MEASURES if measure in variants), None)
    return rows, network_matrix(rows), measure


def _fields_by_epoch(rows: list[Row], columns: Mapping[Any, Mapping[str, str]]) -> dict[int | None, Row]:
    """Return the fields of each epoch, in order; ``columns`` has their columns by (metric, of, split, variant)."""
    fields: dict[int | None, Row] = {}
    for row in rows:
        chosen = columns.get((row["metric"], row["of"], row["split"], row["variant"]), {})
        fields.setdefault(row["epoch"], {}).update({field: row[column] for field, column in chosen.items()})
    return dict(sorted(fields.items(), key=lambda item: item[0] or 0))


@dataclass(frozen=True)
class TypicalitySummary:
    """One epoch on one split: means over the classes with such samples, or None without such classes."""

    epoch: int | None
    right: float | None = None
    """The cosine of a class's template with the mean feature of its correctly classified samples (the paper's figure)."""
    right_chance: float | None = None  # the cosine with the mean of as many random samples of the class
    right_sample: float | None = None  # the cosine of a single such sample with the template of the other samples
    right_classes: int = 0  # the number of classes with such samples
    wrong: float | None = None
    wrong_chance: float | None = None
    wrong_sample: float | None = None
    wrong_classes: int = 0


def typicality_summary(out: Path, run: str) -> dict[str, list[TypicalitySummary]]:
    """Return the epochs of a run, in order, for each split with templates; raise `OutputError` if the table cannot be read."""
    rows = layout.read_table(out, TYPICALITY, run).to_pandas()
    summaries: dict[str, list[TypicalitySummary]] = {}
    # Of several checkpoints of an epoch, only the last step counts. A missing epoch or step comes first.
    rows = rows.assign(epoch=rows["epoch"].fillna(-1), step=rows["step"].fillna(-1))
    rows = rows[rows["step"] == rows.groupby(["split", "epoch"])["step"].transform("max")]
    for (split, epoch), group in cast("Iterable[Any]", rows.groupby(["split", "epoch"])):
        fields: dict[str, Any] = {}
        for name, is_right in (("right", True), ("wrong", False)):
            of_kind = group[(group["correct"] == is_right) & (group["samples"] > 0)]
            fields[f"{name}_classes"] = len(of_kind)
            for column, suffix in _FIELDS.items():
                fields[name + suffix] = none_if_nan(of_kind[column].mean())
        summaries.setdefault(split, []).append(TypicalitySummary(None if epoch < 0 else int(epoch), **fields))
    return dict(sorted(summaries.items()))
