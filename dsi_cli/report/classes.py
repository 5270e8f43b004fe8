"""Class tables, orders and groups of classes for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dsi_cli import similarity
from dsi_cli.queries import class_order
from dsi_cli.queries.class_names import readable_names
from dsi_cli.report.matrix_sources import Matrix

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

Orders = dict[str, list[int]]
"""Class indices in display order, by the name of the order; the page starts with the first."""
COLUMNS = (
    "name",
    "synset",
    "definition",
    "resolved_by",
    "confidence",
    "candidates",
    "group",
    "samples_train",
    "samples_test",
)
LONG_COLUMNS = ("definition", "candidates")
MAX_CANDIDATES = 6
"""Maximum number of candidate synsets per label in the table."""
TITLES = {"taxonomy": "WordNet's taxonomy", "given": "order of the classifier", "cluster": "clusters of the last {matrix}"}


def class_rows(results: Results, run: str) -> pd.DataFrame:
    """Return a run's rows of the classes table by class index."""
    return results.classes[results.classes["run"] == run].sort_values("class_index")


def class_table(classes: pd.DataFrame) -> list[list[Any]]:
    """Return one row per class with the values of `COLUMNS`; the long columns are empty if there are very many classes."""
    empty = LONG_COLUMNS if len(classes) > similarity.MAX_DENSE_CLASSES else ()
    return [
        [None if column in empty else _json_value(row.get(column)) for column in COLUMNS]
        for row in classes.assign(name=readable_names(classes)).to_dict("records")
    ]


def _json_value(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist"):
        return value.tolist()[:MAX_CANDIDATES]
    return None if pd.isna(value) else value


def class_orders(classes: pd.DataFrame, last_matrix: Matrix | None) -> Orders:
    """Return the display orders of a run's classes; the order by clusters needs the network's last matrix."""
    orders: Orders = {}
    given = class_order.given_order(len(classes)).tolist()
    taxonomy = class_order.taxonomy_order(classes).tolist()
    if classes["synset"].notna().any() or taxonomy != given:
        orders["taxonomy"] = taxonomy
    orders["given"] = given
    if last_matrix is not None and len(classes) > 2:
        orders["cluster"] = class_order.cluster_order(last_matrix).tolist()
    return orders


def describe_orders(classes: pd.DataFrame, orders: Orders, matrix: str) -> list[dict[str, Any]]:
    """Return each order with its title and its groups of neighbouring classes."""
    return [
        {
            "name": name,
            "title": TITLES[name].format(matrix=matrix),
            "order": order,
            "groups": [list(group) for group in class_order.class_groups(classes, np.asarray(order))],
        }
        for name, order in orders.items()
    ]
