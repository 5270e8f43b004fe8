"""The classes of a run: their names, the class that a name means, display orders and
groups, and the geometry of class vectors.

An order is an array of class indices; the first class shown is the first. The orders
are ``given``, that of the classifier, ``taxonomy``, the display order of the classes
table, ``name``, that of the alphabet, and ``cluster``, that of a hierarchical
clustering of a similarity matrix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

MAX_LISTED_CLASSES = 12  # classes that an error message lists
_INDEX = " (class {})"  # suffix that distinguishes classes of one name
_WITH_WNID = re.compile(r"(.+) \((n\d{8})\)(?: \(class \d+\))?")
ORDERS = ("taxonomy", "given", "name", "cluster")
Order = NDArray[np.intp]


def class_rows(results: Results, run: str | None) -> pd.DataFrame:
    """Return a run's rows of the classes table by class index."""
    return results.rows_of("classes", run).sort_values("class_index")


def class_names(results: Results, run: str | None) -> list[str]:
    """Return a name for each class of a run: its label, followed by its index if
    several classes share it, or else its index.

    A label that is a WordNet id follows a word for it, as in ``tabby (n02123045)``.
    """
    rows = class_rows(results, run)
    labels = [
        label if isinstance(label, str) else str(index)
        for index, label in enumerate(readable_names(rows))
    ]
    uses = Counter(labels)
    return [
        f"{label}{_INDEX.format(index)}" if uses[label] > 1 else label
        for index, label in enumerate(labels)
    ]


def readable_names(classes: pd.DataFrame) -> list[Any]:
    """Return the labels in rows of the classes table; a word precedes a label that is
    the WordNet id of its class.
    """
    return list(
        map(
            readable_name,
            *(classes[column].tolist() for column in ("name", "wnid", "synset")),
        )
    )


def readable_name(label: Any, wnid: Any, synset: Any) -> Any:
    """Return a label; a word precedes it if it is the WordNet id of its class."""
    is_id = label == wnid and isinstance(synset, str)
    return f"{synset.split('.')[0].replace('_', ' ')} ({label})" if is_id else label


def match_class_name(name: str | None, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return a mask of the classes with a name, of those with a synonym in their label,
    or of all classes if the name is None.

    Raise `UsageError` if no class has the name (code ``unknown-class``); the message
    suggests a similar name.
    """
    if name is None:
        return np.ones(len(names), dtype=bool)
    name = str(name)  # a class without a label is named after its index
    mask = np.array(
        [
            label in (name, name + _INDEX.format(index))
            for index, label in enumerate(names)
        ]
    )
    if not mask.any():
        mask = np.array([name.casefold() in _spellings(label) for label in names])
    if not mask.any():
        synonyms = [
            label.casefold().partition(" (class ")[0].split(", ") for label in names
        ]
        mask = np.array([name.casefold() in texts for texts in synonyms])
    if mask.any():
        return mask
    similar = nearest(name, names) or ""
    hint = f"expected a name such as {', '.join(names[:MAX_LISTED_CLASSES])}"
    if similar:
        hint = f"try {similar}"
    raise UsageError(
        f"no class {name!r}: {hint}", code="unknown-class", name=name, similar=similar
    )


def _spellings(label: str) -> tuple[str, ...]:
    """Return the texts in lower case that name a class: its label, or the word and the
    WordNet id in its label.
    """
    parts = _WITH_WNID.fullmatch(label)
    if parts:
        return (label.casefold(), *(part.casefold() for part in parts.groups()))
    return (label.casefold(),)


def class_index_by_name(name: str, names: Sequence[str]) -> int:
    """Return the index of the class with a name; raise `UsageError` if no class has the
    name, or several do.
    """
    indices = np.flatnonzero(match_class_name(name, names))
    if len(indices) > 1:
        listed = " or ".join(repr(names[int(index)]) for index in indices)
        message = f"{len(indices)} classes are called {name!r}"
        raise UsageError(
            message,
            hint=f"write {listed}",
            code="ambiguous-class",
            name=name,
            count=len(indices),
        )
    return int(indices[0])


class ClassGroup(NamedTuple):
    """Adjacent classes of an order that share a group."""

    # the readable name: the word of the hypernym without the rest of its synset name
    name: str
    first: int  # the index of the first class in the order
    last: int  # the index of the last class in the order, inclusive


def taxonomy_order(classes: pd.DataFrame) -> Order:
    """Return the display order of one run's rows of the classes table."""
    rows = classes.sort_values("class_index")
    return np.argsort(rows["display_order"].to_numpy(dtype=np.int64), kind="stable")


def clustering(similarity: NDArray[Any]) -> NDArray[np.float64]:
    """Return SciPy's linkage ``(C-1, 4)`` of a matrix: average linkage of 1 -
    similarity with optimal leaf order.

    Optimal leaf order makes adjacent leaves as similar as the tree allows (Bar-Joseph
    et al. 2001). The matrix ``(C, C)`` has two or more classes. NaN counts as the
    lowest similarity. An asymmetric matrix is averaged with its transpose.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    values = np.asarray(similarity, dtype=np.float64)
    values = np.nan_to_num(values, nan=float(np.nanmin(values)))
    distance = 1.0 - (values + values.T) / 2
    distance -= distance.min()
    np.fill_diagonal(distance, 0.0)
    return linkage(squareform(distance, checks=False), "average", optimal_ordering=True)


def leaf_order(tree: NDArray[Any]) -> Order:
    """Return the order of the leaves of a linkage."""
    from scipy.cluster.hierarchy import leaves_list

    return np.asarray(leaves_list(tree), dtype=np.intp)


def cluster_order(similarity: NDArray[Any]) -> Order:
    """Return the order of the leaves of `clustering`."""
    if len(similarity) < 2:
        return np.arange(len(similarity))
    return leaf_order(clustering(similarity))


def class_groups(classes: pd.DataFrame, order: Order) -> list[ClassGroup]:
    """Return the runs of two or more adjacent classes of ``order`` with one group of
    the classes table.

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"class_index": [0, 1, 2, 3], "group": ["carnivore.n.01", None, "carnivore.n.01", "tree.n.01"]})
    >>> class_groups(rows, np.array([1, 0, 2, 3]))
    [ClassGroup(name='carnivore', first=1, last=2)]
    """
    group_of_class = classes.sort_values("class_index")["group"].tolist()
    groups, start = [], 0
    for name, members in groupby(group_of_class[index] for index in order):
        end = start + len(list(members))
        if isinstance(name, str) and end - start > 1:
            groups.append(ClassGroup(synset_words(name), start, end - 1))
        start = end
    return groups


def synset_words(synset: str) -> str:
    """Return the readable name of a synset: ``domestic animal`` for
    ``domestic_animal.n.01``.
    """
    return synset.rsplit(".", 2)[0].replace("_", " ")


def by_class(results: Results, run: str, value: str) -> pd.DataFrame:
    """Return a value of the geometry table by class index and epoch, of the last saves;
    empty without a classifier.
    """
    rows = results.last_saves(results.rows_of("geometry", run), "class_index")
    return rows.pivot(index="class_index", columns="epoch", values=value).astype(
        "float64"
    )


def angle_last(
    results: Results, run: str, epochs: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return the angle in degrees of each class vector to that at the last epoch, by
    class index and epoch, from the stored heads.

    The epochs are all with a head by default. An angle is in [0, 180]; 90 is chance,
    and NaN if one of the vectors is zero or missing.
    """
    import pandas as pd

    from dsi_cli.metrics.head_geometry import angles_of_units
    from dsi_cli.similarity import as_rows, unit_rows
    from dsi_cli.store import layout, parquet

    def unit(epoch: int) -> NDArray[np.float64]:
        path = layout.head_path(results.path, run, epoch)
        return unit_rows(as_rows(parquet.read_weight(path)))

    known = [int(epoch) for epoch in by_class(results, run, "norm").columns]
    columns = {}
    for epoch in known if epochs is None else epochs:
        angles = angles_of_units(unit(epoch), unit(known[-1]))
        columns[epoch] = pd.Series(angles)
    return pd.DataFrame(columns).rename_axis("class_index").rename_axis("epoch", axis=1)
