"""The cluster of each class of a run, for intervals over clusters of classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

GROUP = "group"
Clusters = str | Mapping[str, str]
"""``group`` for the column of the classes table, or the cluster by the name or the
WordNet id of a class.
"""
MIN_CLUSTERS = 4


def cluster_indices(classes: pd.DataFrame, clusters: Clusters) -> NDArray[np.intp]:
    """Return the index of the cluster of each class ``(C,)`` of some rows of the
    classes table.

    A class without a cluster is one of its own. Raise `UsageError` if there are fewer
    than `MIN_CLUSTERS` clusters, or none holds two classes (code ``bad-clusters``).
    """
    if isinstance(clusters, str):
        found = classes[clusters]
    else:
        found = classes["name"].map(clusters)
        found = found.fillna(classes["wnid"].map(clusters))
    own = pd.Series([f"class {index}" for index in range(len(classes))], found.index)
    indices, names = pd.factorize(found.astype(object).where(found.notna(), own))
    if len(names) < MIN_CLUSTERS or len(names) == len(classes):
        message = (
            f"{len(classes)} classes have {len(names)} clusters: an interval over"
            f" clusters needs at least {MIN_CLUSTERS}, and fewer than classes"
        )
        raise UsageError(message, code="bad-clusters", clusters=len(names))
    return indices
