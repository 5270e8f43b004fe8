"""Class tables, orders and groups, as the page wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli import similarity
from dsi_cli.queries import class_order
from dsi_cli.report.matrix_sources import Matrix

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

Orders = dict[str, list[int]]
"""Class indices in the order in which they are shown, by the order's name; the first is the one to begin with."""
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
LONG = ("definition", "candidates")
CANDIDATES = 6
"""Of a label that are shown."""
TITLES = {"taxonomy": "WordNet's taxonomy", "given": "the classifier's own", "cluster": "clusters of the last {own}"}


def rows(run: Results, name: str) -> pd.DataFrame:
    """Return a run's rows of the classes table, in order of their index."""
    return run.classes[run.classes["run"] == name].sort_values("class_index")


def table(classes: pd.DataFrame) -> list[list[Any]]:
    """Return a row a class, its values in the order of `COLUMNS`; of very many classes without the long ones."""
    left_out = LONG if len(classes) > similarity.MAX_DENSE_CLASSES else ()
    return [
        [None if column in left_out else _plain(row.get(column)) for column in COLUMNS]
        for row in classes.to_dict("records")
    ]


def _plain(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist"):
        return value.tolist()[:CANDIDATES]
    return None if pd.isna(value) else value


def orders(classes: pd.DataFrame, last_own: Matrix | None) -> Orders:
    """Return the orders that a run's classes can be shown in."""
    found: Orders = {}
    given = class_order.given_order(len(classes)).tolist()
    taxonomy = class_order.taxonomy_order(classes).tolist()
    if classes["synset"].notna().any() or taxonomy != given:
        found["taxonomy"] = taxonomy
    found["given"] = given
    if last_own is not None and len(classes) > 2:
        found["cluster"] = class_order.cluster_order(last_own).tolist()
    return found


def described(classes: pd.DataFrame, orders: Orders, own: str) -> list[dict[str, Any]]:
    """Return the orders with their titles, and the groups that are neighbours in each."""
    import numpy as np

    return [
        {
            "name": name,
            "title": TITLES[name].format(own=own),
            "order": order,
            "groups": [list(group) for group in class_order.class_groups(classes, np.asarray(order))],
        }
        for name, order in orders.items()
    ]
