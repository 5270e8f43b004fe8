"""Summaries of a run by epoch: alignment, WSI, accuracy, mistakes and typicality.

The typicality of correctly and wrongly classified samples is a mean over classes, as in
table H.1 of arXiv 2505.21338.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from dsi_cli.metrics import MEASURES
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.queries.findings import Row, network_matrix, table_rows
from dsi_cli.queries.matrices import none_if_nan
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, EXTRA_CURVES, TYPICALITY, MatrixId

_FIELDS = {"group_cosine": "", "null_mean": "_chance", "sample_cosine": "_sample"}
"""The suffix of the fields by column of the table."""


class EpochField(NamedTuple):
    """A value of an epoch: its key, the title and format of its column in tables, and
    the point of a curve that holds it.
    """

    key: str
    title: str  # empty for a value that only JSON has
    form: str
    # metric, of, split and variant, with names in braces
    curve: tuple[str, str | None, str | None, str | None]
    column: str = "value"


_SAI, _SAI_CCSM = (
    ("sai", "{own},scsm", None, "{measure}"),
    (
        "sai",
        "{own},ccsm-{split}",
        None,
        "{measure}",
    ),
)
_NIDM, _WIDM = (
    ("idm", "{kind}", "{split}", "errors"),
    (
        "idm",
        "scsm",
        "{split}",
        "errors",
    ),
)
EPOCH_FIELDS = (
    EpochField(
        "agreement", "agreement", "z.3f", ("sai", "{own},scsm", None, "pearson")
    ),
    EpochField("excess", "", "", _SAI, "excess"),
    EpochField("measure", "", "", _SAI, "variant"),
    EpochField("value", "SAI ({measure})", "z.3f", _SAI),
    EpochField("chance", "by chance", "z.3f", _SAI, "null_mean"),
    EpochField("z", "z", "z.1f", _SAI, "z"),
    EpochField("max_wsi", "Max WSI", "z.3f", ("wsi", "{kind}", "{own_split}", "max")),
    EpochField("min_wsi", "Min WSI", "z.3f", ("wsi", "{kind}", "{own_split}", "min")),
    EpochField("accuracy", "accuracy", "z.3f", ("accuracy", None, "test", None)),
    EpochField("reason", "", "", _SAI, "reason"),
)
TRAIN_ACCURACY = EpochField("train_accuracy", "", "", ("accuracy", None, "train", None))
MISTAKE_FIELDS = (
    EpochField("mistakes", "mistakes", "z.0f", ("mistakes", None, "{split}", None)),
    EpochField("nidm", "NIDM", "z.1%", _NIDM),
    EpochField("nidm_z", "z", "z.1f", _NIDM, "z"),
    EpochField("widm", "WIDM", "z.1%", _WIDM),
    EpochField("widm_z", "z", "z.1f", _WIDM, "z"),
    EpochField("chance", "by chance", "z.1%", _NIDM, "null_mean"),
    EpochField("ccsm", "SAI with CCSM", "z.3f", _SAI_CCSM, "excess"),
    EpochField("ccsm_z", "z", "z.1f", _SAI_CCSM, "z"),
    EpochField("gap", "gap", "z.3f", ("gap", "ncsm,tncsm", None, "{measure}")),
)


def epoch_summaries(
    out: Path, run: str, fields: Sequence[EpochField] = EPOCH_FIELDS
) -> list[Row]:
    """Return the fields of each epoch's last checkpoint, in order; raise `OutputError`
    if the curves are unreadable.

    The epoch of a single checkpoint without an epoch number is None, and so are missing
    values.
    """
    rows, names = _run_curves(out, run)
    return _summaries(rows, fields, names)


def mistake_summaries(out: Path, run: str) -> dict[str, list[Row]]:
    """Return `MISTAKE_FIELDS` of each epoch, in order, and the scores by the hierarchy,
    for each split with predictions.
    """
    rows, names = _run_curves(out, run)
    summaries: dict[str, list[Row]] = {}
    for split in sorted(
        {row["split"] for row in rows if row["metric"] == "mistakes"}, reverse=True
    ):
        scores: dict[int | None, dict[str, dict[str, float | None]]] = {}
        for row in rows:
            if (
                row["metric"] in HIERARCHY_METRICS
                and row["split"] == split
                and row["value"] is not None
            ):
                name = "/".join(filter(None, (row["metric"], row["variant"])))
                scores.setdefault(row["epoch"], {})[name] = {
                    "value": row["value"],
                    "chance": row["null_mean"],
                }
        found = _summaries(rows, MISTAKE_FIELDS, names | {"split": split})
        summaries[split] = [
            row | {"hierarchy": scores.get(row["epoch"], {})}
            for row in found
            if row["mistakes"] is not None
        ]
    return summaries


def _run_curves(out: Path, run: str) -> tuple[list[Row], dict[str, str | None]]:
    """Return a run's rows for its main reference, and the names that the curves of
    fields contain.
    """
    others = set(layout.references_of(out, run)[1:])
    rows = [*table_rows(out, CURVES, run), *table_rows(out, EXTRA_CURVES, run)]
    rows = [
        row
        for row in rows
        if row["reference"] not in others and "|" not in (row["reference"] or "")
    ]
    variants = {row["variant"] for row in rows if row["metric"] == "sai"}
    own = network_matrix(rows)
    kind, split = MatrixId.parse(own)
    measure = next((measure for measure in MEASURES if measure in variants), None)
    return rows, {"own": own, "kind": kind, "own_split": split, "measure": measure}


def _summaries(
    rows: list[Row], fields: Sequence[EpochField], names: Mapping[str, str | None]
) -> list[Row]:
    """Return the values of the fields of each epoch by key, in order."""
    fields_of: dict[tuple[str, ...], list[EpochField]] = {}
    for field in fields:
        fields_of.setdefault(
            tuple(str(part).format(**names) for part in field.curve), []
        ).append(field)
    epochs: dict[int | None, Row] = {}
    for row in rows:
        values = epochs.setdefault(
            row["epoch"],
            {"epoch": row["epoch"]} | dict.fromkeys(field.key for field in fields),
        )
        curve = tuple(str(row[name]) for name in ("metric", "of", "split", "variant"))
        values |= {field.key: row[field.column] for field in fields_of.get(curve, [])}
    return sorted(epochs.values(), key=lambda values: values["epoch"] or 0)


@dataclass(frozen=True)
class TypicalitySummary:
    """One epoch on one split: means over the classes with such samples, or None without
    such classes.
    """

    epoch: int | None
    right: float | None = None
    """The cosine of a class's template with the mean feature of its correctly
    classified samples (the paper's figure).
    """
    right_chance: float | None = (
        None  # the cosine with the mean of as many random samples of the class
    )
    right_sample: float | None = (
        # the cosine of a single such sample with the template of the other samples
        None
    )
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
    summaries: dict[str, list[TypicalitySummary]] = {}
    # Of several checkpoints of an epoch, only the last step counts. A missing epoch or
    # step comes first.
    rows = rows.assign(epoch=rows["epoch"].fillna(-1), step=rows["step"].fillna(-1))
    rows = rows[
        rows["step"] == rows.groupby(["split", "epoch"])["step"].transform("max")
    ]
    for (split, epoch), group in cast(
        "Iterable[Any]", rows.groupby(["split", "epoch"])
    ):
        fields: dict[str, Any] = {}
        for name, is_right in (("right", True), ("wrong", False)):
            of_kind = group[(group["correct"] == is_right) & (group["samples"] > 0)]
            fields[f"{name}_classes"] = len(of_kind)
            for column, suffix in _FIELDS.items():
                fields[name + suffix] = none_if_nan(of_kind[column].mean())
        summaries.setdefault(split, []).append(
            TypicalitySummary(None if epoch < 0 else int(epoch), **fields)
        )
    return dict(sorted(summaries.items()))
