"""In which order classes are shown, and which of them form a group: what heat maps and their brackets need.

An order is an array of class indices, the first shown first. ``given_order`` is the classifier's own, ``taxonomy`` the classes
table's display order, ``cluster`` that of the leaves of a hierarchical clustering of a similarity matrix.
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
    """Neighbours in an order that share a group."""

    name: str
    """As a person reads it: the hypernym's word, not its synset."""
    first: int
    """Place in the order."""
    last: int
    """Included."""


def given_order(classes: int) -> Order:
    """Return the classifier's own order."""
    return np.arange(classes)


def taxonomy(classes: pd.DataFrame) -> Order:
    """Return the display order of one run's rows of the classes table."""
    rows = classes.sort_values("class_index")
    return np.argsort(rows["display_order"].to_numpy(dtype=np.int64), kind="stable")


def clustering(similarity: NDArray[Any]) -> NDArray[np.float64]:
    """Return SciPy's linkage ``(C-1, 4)`` of a matrix: average linkage of 1 - similarity, leaves in optimal order.

    Parameters
    ----------
    similarity : (C, C)
        NaN counts as the lowest similarity, an asymmetric matrix as its mean with its transpose; C is 2 or more.

    Notes
    -----
    Bar-Joseph et al. 2001 for the order of the leaves, which has neighbours as alike as the tree allows.
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


def leaves(tree: NDArray[Any]) -> Order:
    """Return the order of the leaves of a linkage."""
    from scipy.cluster.hierarchy import leaves_list

    return np.asarray(leaves_list(tree), dtype=np.intp)


def cluster(similarity: NDArray[Any]) -> Order:
    """Return the order of the leaves of `clustering`; a single class has only one."""
    return given_order(len(similarity)) if len(similarity) < 2 else leaves(clustering(similarity))


def groups(classes: pd.DataFrame, order: Order) -> list[ClassGroup]:
    """Return the stretches of two or more neighbours in ``order`` that share a group of the classes table.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"class_index": [0, 1, 2, 3], "group": ["carnivore.n.01", None, "carnivore.n.01", "tree.n.01"]})
    >>> groups(rows, np.array([1, 0, 2, 3]))
    [ClassGroup(name='carnivore', first=1, last=2)]
    """
    of_class = classes.sort_values("class_index")["group"].tolist()
    names: list[str] = [one if isinstance(one := of_class[index], str) else "" for index in order]
    found, start = [], 0
    for place in range(1, len(names) + 1):
        if place == len(names) or names[place] != names[start]:
            if names[start] and place - start > 1:
                found.append(ClassGroup(words(names[start]), start, place - 1))
            start = place
    return found


def words(synset: str) -> str:
    """Return a synset's name as a person reads it: ``domestic_animal.n.01`` is ``domestic animal``."""
    return synset.rsplit(".", 2)[0].replace("_", " ")
