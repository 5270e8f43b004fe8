"""The display order of classes, and the groups that they form in it, for heat maps and their brackets.

An order is an array of class indices; the first class shown is the first. The orders are ``given``, that of the classifier,
``taxonomy``, the display order of the classes table, and ``cluster``, that of a hierarchical clustering of a similarity matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

ORDERS = ("taxonomy", "given", "cluster")
Order = NDArray[np.intp]


class ClassGroup(NamedTuple):
    """Adjacent classes of an order that share a group."""

    name: str
    """The readable name: the word of the hypernym without the rest of its synset name."""
    first: int
    """The index of the first class in the order."""
    last: int
    """The index of the last class in the order, inclusive."""


def taxonomy_order(classes: pd.DataFrame) -> Order:
    """Return the display order of one run's rows of the classes table."""
    rows = classes.sort_values("class_index")
    return np.argsort(rows["display_order"].to_numpy(dtype=np.int64), kind="stable")


def clustering(similarity: NDArray[Any]) -> NDArray[np.float64]:
    """Return SciPy's linkage ``(C-1, 4)`` of a matrix: average linkage of 1 - similarity with optimal leaf order.

    Optimal leaf order makes adjacent leaves as similar as the tree allows (Bar-Joseph et al. 2001).

    Parameters
    ----------
    similarity : (C, C)
        The similarities of two or more classes. NaN counts as the lowest similarity. An asymmetric matrix is averaged with its
        transpose.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    values = np.asarray(similarity, dtype=np.float64)
    values = np.nan_to_num(values, nan=float(np.nanmin(values)))
    distance = 1.0 - (values + values.T) / 2
    distance -= distance.min()
    np.fill_diagonal(distance, 0.0)
    tree: NDArray[np.float64] = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return tree


def leaf_order(tree: NDArray[Any]) -> Order:
    """Return the order of the leaves of a linkage."""
    from scipy.cluster.hierarchy import leaves_list

    return np.asarray(leaves_list(tree), dtype=np.intp)


def cluster_order(similarity: NDArray[Any]) -> Order:
    """Return the order of the leaves of `clustering`."""
    return np.arange(len(similarity)) if len(similarity) < 2 else leaf_order(clustering(similarity))


def class_groups(classes: pd.DataFrame, order: Order) -> list[ClassGroup]:
    """Return the runs of two or more adjacent classes of ``order`` with one group of the classes table.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"class_index": [0, 1, 2, 3], "group": ["carnivore.n.01", None, "carnivore.n.01", "tree.n.01"]})
    >>> class_groups(rows, np.array([1, 0, 2, 3]))
    [ClassGroup(name='carnivore', first=1, last=2)]
    """
    group_of_class = classes.sort_values("class_index")["group"].tolist()
    names = [group_of_class[index] for index in order]
    groups, start = [], 0
    for end in range(1, len(names) + 1):
        if end == len(names) or names[end] != names[start]:
            if isinstance(names[start], str) and end - start > 1:
                groups.append(ClassGroup(synset_words(names[start]), start, end - 1))
            start = end
    return groups


def synset_words(synset: str) -> str:
    """Return the readable name of a synset: ``domestic animal`` for ``domestic_animal.n.01``."""
    return synset.rsplit(".", 2)[0].replace("_", " ")
