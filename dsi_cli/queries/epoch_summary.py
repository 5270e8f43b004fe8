"""Summaries of runs by epoch, as tables: alignment, WSI and accuracy; mistakes; and
typicality.

The typicality of correctly and wrongly classified samples is a mean over classes, as in
table H.1 of arXiv 2505.21338.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dsi_cli.queries.findings import Row, table_rows
from dsi_cli.queries.quantities import (
    QUANTITIES,
    SAI,
    CurveKey,
    measures,
    network_matrix,
    select,
)
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, EXTRA_CURVES, SPLITS

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

Columns = Mapping[str, tuple[str, str]]
"""By the name of a column, the curve that it shows, which is a quantity or one of the
further curves of `_curve_keys`, and the column of the curves table.
"""
SUMMARY: Columns = {
    "agreement": ("agreement", "value"),
    "excess": (SAI, "excess"),
    "measure": (SAI, "variant"),
    "value": (SAI, "value"),
    "chance": (SAI, "null_mean"),
    "z": (SAI, "z"),
    "max_wsi": ("max_wsi", "value"),
    "min_wsi": ("min_wsi", "value"),
    "accuracy": ("accuracy", "value"),
    "train_accuracy": ("train_accuracy", "value"),
    "reason": (SAI, "reason"),
}
MISTAKES: Columns = {
    "mistakes": ("mistakes", "value"),
    "nidm": ("nidm", "value"),
    "nidm_z": ("nidm", "z"),
    "widm": ("widm", "value"),
    "widm_z": ("widm", "z"),
    "chance": ("nidm", "null_mean"),
    "ccsm": ("ccsm", "excess"),
    "ccsm_z": ("ccsm", "z"),
    "gap": ("gap_by_measure", "value"),
}
_TEXTS = ("run", "split", "measure", "reason")
_TYPICALITY = {
    "group_cosine": "",
    "null_mean": "_chance",
    "sample_cosine": "_sample",
    "class_index": "_classes",
}


def summary(results: Results) -> pd.DataFrame:
    """Return ``run``, ``epoch`` and the columns of `SUMMARY` of each epoch's last
    checkpoint; `dsi_cli.Results.summary` documents them.
    """
    rows = []
    for run in results.names:
        rows += _summary_rows(_run_curves(results, run), SUMMARY, "test")
    return _frame(results, rows, ["run", "epoch", *SUMMARY])


def mistake_summary(results: Results) -> pd.DataFrame:
    """Return ``run``, ``split``, ``epoch`` and the columns of `MISTAKES` of each epoch
    with predictions.

    ``nidm`` and ``widm`` are over mistakes alone, and ``chance`` is the level of both.
    ``ccsm`` is the excess of the SAI with the confusions, and ``gap`` that on train
    minus that on test of the templates. ``nidm_z``, ``widm_z`` and ``ccsm_z`` are
    standard deviations above chance.
    """
    rows = []
    for run in results.names:
        curves = _run_curves(results, run)
        for split in SPLITS:
            of_split = _summary_rows(curves, MISTAKES, split)
            rows += [row for row in of_split if row["mistakes"] is not None]
    return _frame(results, rows, ["run", "split", "epoch", *MISTAKES])


def _frame(
    results: Results, rows: Sequence[Row], columns: Sequence[str]
) -> pd.DataFrame:
    """Return rows as a table, in which the epoch of a run without epochs is missing."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(columns))
    numbers = [name for name in columns if name not in (*_TEXTS, "epoch")]
    frame = frame.astype(dict.fromkeys(numbers, "float64") | {"epoch": "Int64"})
    unnumbered = [run for run in results.names if not results.has_epochs(run)]
    frame["epoch"] = frame["epoch"].mask(frame["run"].isin(unnumbered))
    return frame


def _run_curves(results: Results, run: str) -> list[Row]:
    """Return a run's rows for its main reference."""
    others = layout.references_of(results.path, run)[1:]
    rows = [
        *table_rows(results.path, CURVES, run),
        *table_rows(results.path, EXTRA_CURVES, run),
    ]
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


def _summary_rows(rows: list[Row], columns: Columns, split: str) -> list[Row]:
    """Return the columns of each epoch of a run, in order."""
    keys = _curve_keys(rows, split)
    epochs: dict[int, Row] = {}
    for row in rows:
        place = {"run": row["run"], "split": split, "epoch": row["epoch"]}
        epochs[row["epoch"]] = place | dict.fromkeys(columns)
    curves = dict.fromkeys(curve for curve, _ in columns.values())
    selected = {curve: select(rows, keys[curve]) for curve in curves}
    for name, (curve, column) in columns.items():
        for row in selected[curve]:
            epochs[row["epoch"]][name] = row[column]
    return sorted(epochs.values(), key=lambda values: values["epoch"])


def typicality(results: Results) -> pd.DataFrame:
    """Return the typicality of samples by ``run``, ``split`` and ``epoch``, over the
    classes with such samples; NaN without any.

    ``right`` is the mean cosine of a class's template with the mean feature of its
    correctly classified samples. ``right_chance`` is that with as many random samples
    of the class, and ``right_sample`` that of a single such sample with the template of
    the other samples. ``right_classes`` is the number of classes. ``wrong`` and the
    columns that begin with it are those of wrongly classified samples.
    """
    import pandas as pd

    keys = ["run", "split", "epoch"]
    rows = results.typicality
    # Of several checkpoints of an epoch, only the last step counts. A missing step
    # comes first.
    rows = rows.assign(epoch=rows["epoch"].fillna(0), step=rows["step"].fillna(-1))
    rows = rows[rows["step"] == rows.groupby(keys)["step"].transform("max")]
    found = rows[keys].drop_duplicates().set_index(keys).sort_index()
    for name, is_right in (("right", True), ("wrong", False)):
        counted = rows[(rows["correct"] == is_right) & (rows["samples"] > 0)]
        groups = counted.groupby(keys)
        means = groups[list(_TYPICALITY)].mean()
        means["class_index"] = groups.size()
        means.columns = pd.Index([name + ending for ending in _TYPICALITY.values()])
        found = found.join(means)
        found[f"{name}_classes"] = found[f"{name}_classes"].fillna(0).astype(int)
    return found.reset_index()
