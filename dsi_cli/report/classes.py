"""Data of single classes for the page: tables, orders and groups, and agreement with the
reference.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from dsi_cli import similarity
from dsi_cli.queries import run_classes
from dsi_cli.queries.epoch_sampling import evenly_spaced
from dsi_cli.queries.records import records
from dsi_cli.queries.run_classes import readable_names, synset_words
from dsi_cli.report.matrix_sources import MatrixSeries
from dsi_cli.store.results import Results

COLUMNS = (
    *("name", "synset", "definition", "confidence", "group"),
    *("samples_train", "samples_test"),
)
# agreements of single classes and groups on the page, of all runs and epochs
MAX_AGREEMENTS = 40_000


def class_table(classes: pd.DataFrame) -> list[list[Any]]:
    """Return one row per class with the values of `COLUMNS`; definitions are empty if
    there are very many classes.
    """
    table = classes.assign(name=readable_names(classes)).reindex(columns=[*COLUMNS])
    if len(classes) > similarity.MAX_DENSE_CLASSES:
        table["definition"] = None
    return [list(row.values()) for row in records(table)]


def display_orders(
    classes: pd.DataFrame, own: MatrixSeries | None
) -> list[dict[str, Any]]:
    """Return the orders of a run's classes, the first one shown, with their titles."""
    given = list(range(len(classes)))
    taxonomy = run_classes.taxonomy_order(classes).tolist()
    orders = [("given", "order of the classifier", given)]
    if classes["synset"].notna().any() or taxonomy != given:
        orders.insert(0, ("taxonomy", "taxonomy", taxonomy))
    if own is not None and len(classes) > 2:
        clusters = run_classes.cluster_order(own.read(own.frames.epochs[-1])).tolist()
        orders.append(
            ("cluster", "clusters of the network at the last epoch", clusters)
        )
    return [
        {"name": name, "title": title, "order": order} for name, title, order in orders
    ]


def class_agreements(results: Results, run: str, runs: int) -> list[dict[str, Any]]:
    """Return the agreement of each class and group with the main reference at each
    epoch, lowest first; empty without values.

    The page has at most `MAX_AGREEMENTS` values of all ``runs`` together, or else fewer
    epochs, with the first and the last.
    """
    rows = results.rows_of("alignment_by_class", run)
    rows = rows[rows["reference"].isin(results.references(run)[:1])]
    rows = results.fill_missing_epochs(rows)
    rows = rows.drop_duplicates(["epoch", "class_index", "group"], keep="last")
    counts = rows.groupby("epoch")["pearson"].agg(["size", "count"])
    counts = counts[counts["count"] > 0]
    if counts.empty:
        return []
    epochs_shown = MAX_AGREEMENTS // (runs * int(counts["size"].max()))
    shown = evenly_spaced(counts.index.tolist(), max(2, epochs_shown))
    rows = rows[rows["epoch"].isin(shown)].sort_values(["epoch", "pearson"])
    rows = rows[["epoch", "of", "class_index", "group", "pearson", "z", "classes_used"]]

    found: dict[int, dict[str, Any]] = {}
    for row in records(rows):
        epoch = int(row["epoch"])
        empty = {"epoch": epoch, "of": row["of"], "classes": [], "groups": []}
        of_epoch = found.setdefault(epoch, empty | {"small": 0})
        # A row belongs either to a class or to a group; a group that is too small has
        # no value.
        if row["class_index"] is not None:
            of_epoch["classes"].append([row["class_index"], *_rounded(row)])
        elif row["pearson"] is not None:
            name = synset_words(row["group"])
            of_epoch["groups"].append([name, *_rounded(row), row["classes_used"]])
        else:
            of_epoch["small"] += 1
    return list(found.values())


def _rounded(row: dict[str, Any]) -> list[float | None]:
    """Return the agreement and its z with four decimals; the page shows three."""
    values = (row["pearson"], row["z"])
    return [None if value is None else round(value, 4) for value in values]
