"""Summaries of a run by epoch: alignment, WSI, accuracy, mistakes and typicality.

The typicality of correctly and wrongly classified samples is a mean over classes, as in
table H.1 of arXiv 2505.21338.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.queries.findings import Row, table_rows
from dsi_cli.queries.matrices import none_if_nan
from dsi_cli.queries.quantities import (
    QUANTITIES,
    SAI,
    CurveKey,
    measures,
    network_matrix,
    select,
)
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, EXTRA_CURVES, SPLITS, TYPICALITY

if TYPE_CHECKING:
    import pandas as pd


class EpochField(NamedTuple):
    """A value of an epoch: its key, the title and format of its column in tables, and
    its place in the curves table.
    """

    key: str
    title: str  # empty for a value that only JSON has
    form: str
    # a quantity, or one of the further curves of `_curve_keys`
    curve: str
    column: str = "value"


EPOCH_FIELDS = (
    EpochField("agreement", "agreement", "z.3f", "agreement"),
    EpochField("excess", "", "", SAI, "excess"),
    EpochField("measure", "", "", SAI, "variant"),
    EpochField("value", "SAI ({measure})", "z.3f", SAI),
    EpochField("chance", "by chance", "z.3f", SAI, "null_mean"),
    EpochField("z", "z", "z.1f", SAI, "z"),
    EpochField("max_wsi", "Max WSI", "z.3f", "max_wsi"),
    EpochField("min_wsi", "Min WSI", "z.3f", "min_wsi"),
    EpochField("accuracy", "accuracy", "z.3f", "accuracy"),
    EpochField("reason", "", "", SAI, "reason"),
)
TRAIN_ACCURACY = EpochField("train_accuracy", "", "", "train_accuracy")
MISTAKE_FIELDS = (
    EpochField("mistakes", "mistakes", "z.0f", "mistakes"),
    EpochField("nidm", "NIDM", "z.1%", "nidm"),
    EpochField("nidm_z", "z", "z.1f", "nidm", "z"),
    EpochField("widm", "WIDM", "z.1%", "widm"),
    EpochField("widm_z", "z", "z.1f", "widm", "z"),
    EpochField("chance", "by chance", "z.1%", "nidm", "null_mean"),
    EpochField("ccsm", "SAI with CCSM", "z.3f", "ccsm", "excess"),
    EpochField("ccsm_z", "z", "z.1f", "ccsm", "z"),
    EpochField("gap", "gap", "z.3f", "gap_by_measure"),
)


def epoch_summaries(
    out: Path, run: str, fields: Sequence[EpochField] = EPOCH_FIELDS
) -> list[Row]:
    """Return the fields of each epoch's last checkpoint, in order; raise `OutputError`
    if the curves are unreadable.

    The epoch of a single checkpoint without an epoch number is 0. Missing values are
    None.
    """
    return _summaries(_run_curves(out, run), fields, "test")


def mistake_summaries(out: Path, run: str) -> dict[str, list[Row]]:
    """Return `MISTAKE_FIELDS` of each epoch, in order, and the scores by the hierarchy,
    for each split with predictions.
    """
    rows = _run_curves(out, run)
    summaries = {}
    for split in SPLITS:
        scores: dict[int, Row] = {}
        for row in rows:
            is_score = row["metric"] in HIERARCHY_METRICS and row["split"] == split
            if is_score and row["value"] is not None:
                name = "/".join(filter(None, (row["metric"], row["variant"])))
                value = {"value": row["value"], "chance": row["null_mean"]}
                scores.setdefault(row["epoch"], {})[name] = value
        found = [
            row | {"hierarchy": scores.get(row["epoch"], {})}
            for row in _summaries(rows, MISTAKE_FIELDS, split)
            if row["mistakes"] is not None
        ]
        if found:
            summaries[split] = found
    return summaries


def _run_curves(out: Path, run: str) -> list[Row]:
    """Return a run's rows for its main reference."""
    others = layout.references_of(out, run)[1:]
    rows = [*table_rows(out, CURVES, run), *table_rows(out, EXTRA_CURVES, run)]
    return [row for row in rows if row["reference"] not in others]


def _curve_keys(rows: list[Row], split: str) -> dict[str, CurveKey]:
    """Return the keys of all quantities, and of curves by the first measure."""
    own = network_matrix(rows)
    keys = {name: entry.key(own, split) for name, entry in QUANTITIES.items()}
    keys["train_accuracy"] = QUANTITIES["accuracy"].key(own, "train")
    measure = next(iter(measures(rows)), None)
    sai: CurveKey = {"metric": SAI, "split": None, "variant": measure}
    keys[SAI] = sai | {"of": f"{own},scsm"}
    keys["ccsm"] = sai | {"of": f"{own},ccsm-{split}"}
    keys["gap_by_measure"] = keys["gap"] | {"variant": measure}
    return keys


def _summaries(rows: list[Row], fields: Sequence[EpochField], split: str) -> list[Row]:
    """Return the values of the fields of each epoch by key, in order."""
    keys = _curve_keys(rows, split)
    empty = dict.fromkeys(field.key for field in fields)
    epochs = {row["epoch"]: {"epoch": row["epoch"]} | empty for row in rows}
    for field in fields:
        for row in select(rows, keys[field.curve]):
            epochs[row["epoch"]][field.key] = row[field.column]
    return sorted(epochs.values(), key=lambda values: values["epoch"])


@dataclass(frozen=True)
class TypicalitySummary:
    """One epoch on one split: means over the classes with such samples, or None without
    such classes.
    """

    epoch: int
    right: float | None = None
    """The cosine of a class's template with the mean feature of its correctly
    classified samples (the paper's figure).
    """
    # the cosine with the mean of as many random samples of the class
    right_chance: float | None = None
    # the cosine of a single such sample with the template of the other samples
    right_sample: float | None = None
    right_classes: int = 0  # the number of classes with such samples
    wrong: float | None = None
    wrong_chance: float | None = None
    wrong_sample: float | None = None
    wrong_classes: int = 0


def typicality_summary(out: Path, run: str) -> dict[str, list[TypicalitySummary]]:
    """Return the epochs of a run, in order, for each split with templates; raise
    `OutputError` if the table cannot be read.
    """
    rows = layout.read_table(out, TYPICALITY, run).to_pandas()
    # Of several checkpoints of an epoch, only the last step counts. A missing step
    # comes first.
    rows = rows.assign(epoch=rows["epoch"].fillna(0), step=rows["step"].fillna(-1))
    last_steps = rows.groupby(["split", "epoch"])["step"].transform("max")
    rows = rows[rows["step"] == last_steps]
    summaries: dict[str, list[TypicalitySummary]] = {}
    for split in sorted(rows["split"].unique()):
        of_split = rows[rows["split"] == split]
        summaries[split] = [
            TypicalitySummary(
                int(epoch),
                *_class_means(of_split[of_split["epoch"] == epoch], correct=True),
                *_class_means(of_split[of_split["epoch"] == epoch], correct=False),
            )
            for epoch in sorted(of_split["epoch"].unique())
        ]
    return summaries


def _class_means(rows: pd.DataFrame, *, correct: bool) -> list[Any]:
    """Return the means over the classes with correct or with wrong samples, and their
    number.
    """
    counted = rows[(rows["correct"] == correct) & (rows["samples"] > 0)]
    columns = ("group_cosine", "null_mean", "sample_cosine")
    return [*(none_if_nan(counted[column].mean()) for column in columns), len(counted)]
