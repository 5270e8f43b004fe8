"""The cluster of each class of a run, for intervals over clusters of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

GROUP = "group"
Clusters = str | Mapping[str, str]
"""``group`` for the column of the classes table, or the cluster by the name or the
WordNet id of a class.
"""
MIN_CLUSTERS = 4


def cluster_indices(classes: pd.DataFrame, clusters: Clusters) -> NDArray[np.intp]:
    """Return the index of the cluster of each class ``(C,)`` of some rows of the
    classes table; errors as `cluster_numbers`.
    """
    if isinstance(clusters, str):
        found = classes[clusters]
    else:
        found = classes["name"].map(clusters)
        found = found.fillna(classes["wnid"].map(clusters))
    return cluster_numbers(found.astype(object).where(found.notna(), None).tolist())


def cluster_numbers(names: Sequence[str | None]) -> NDArray[np.intp]:
    """Return the number of the cluster of each class ``(C,)``, which is given by name.

    A class without a cluster is one of its own. Raise `UsageError` if there are fewer
    than `MIN_CLUSTERS` clusters, or none holds two classes (code ``bad-clusters``).
    """
    numbers: dict[str | int, int] = {}
    of_class = [
        numbers.setdefault(name or index, len(numbers))
        for index, name in enumerate(names)
    ]
    if len(numbers) < MIN_CLUSTERS or len(numbers) == len(names):
        message = (
            f"{len(names)} classes have {len(numbers)} clusters: an interval over"
            f" clusters needs at least {MIN_CLUSTERS}, and fewer than classes"
        )
        raise UsageError(message, code="bad-clusters", clusters=len(numbers))
    return np.array(of_class, dtype=np.intp)
