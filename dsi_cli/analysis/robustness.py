"""The agreement by several WordNet measures and correlations, within and between groups
of classes, to see whether a conclusion depends on the choice **[ours]**.

Path similarity and Pearson's correlation, over all pairs of classes, are the main
choice. They are those of the paper (arXiv 2505.21338), so they were chosen before any
result was known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics import references, wordnet_matrix
from dsi_cli.analysis.semantics.class_clusters import read_clusters
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.errors import UsageError
from dsi_cli.metrics.alignment import MIN_CLASSES
from dsi_cli.metrics.cluster_jackknife import (
    CorrelatedMatrices,
    Csm,
    agreement_columns,
    rank_matrix,
)
from dsi_cli.metrics.differences import (
    Difference,
    agreement_estimate,
    difference_of_estimates,
    mean_difference,
)
from dsi_cli.metrics.intervals import LEVEL
from dsi_cli.metrics.reliability import joint_difference

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracy
    from dsi_cli.store.results import Results

Row = dict[str, Any]
MEASURES = ("path", "lch", "wup", "lin")
"""The similarities of synsets, the main one first."""
COMPARED_COLUMNS = (
    *("first", "second", "measure", "pairs", "correlation"),
    *("first_value", "second_value", "difference", "low", "high", "differs"),
)
"""The columns of the difference in agreement of two networks by several choices."""


def choices(
    csms: Sequence[Csm],
    labels: ClassLabels,
    clusters: NDArray[np.intp] | None,
    measures: Sequence[str] = MEASURES,
) -> Iterator[tuple[Row, CorrelatedMatrices]]:
    """Yield the columns ``measure``, ``pairs`` and ``correlation`` of each choice, and
    some CSMs ``(C, C)`` with the reference of this choice as the last one.

    The CSMs and the clusters ``(C,)`` are of the classes of the labels. There are none
    with fewer than `MIN_CLASSES` classes that all have.
    """
    groups = labels.coarse_groups
    for measure in measures:
        source = references.open_measure(measure, None, labels.wordnet)
        everything = [*csms, source.similarity(labels)]
        is_known = ~np.isnan([np.diagonal(csm) for csm in everything]).any(axis=0)
        masks: dict[str, NDArray[np.bool_] | None] = {"all": None}
        if groups is not None:
            is_known &= groups >= 0
            is_within = groups[is_known, None] == groups[is_known]
            masks |= {"within groups": is_within, "between groups": ~is_within}
        if is_known.sum() < MIN_CLASSES:
            return
        values = [csm[np.ix_(is_known, is_known)] for csm in everything]
        by_correlation: dict[str, list[Csm]] = {
            "pearson": values,
            "spearman": list(map(rank_matrix, values)),
        }
        of_class = None if clusters is None else clusters[is_known]
        for correlation, (pairs, mask) in product(by_correlation, masks.items()):
            choice = {"measure": measure, "pairs": pairs, "correlation": correlation}
            found = by_correlation[correlation]
            yield choice, CorrelatedMatrices(found, of_class, mask)


def robustness_rows(
    network: Csm,
    labels: ClassLabels,
    clusters: NDArray[np.intp] | None,
    measures: Sequence[str] = MEASURES,
) -> list[Row]:
    """Return a row for each of the `choices` of a network's CSM ``(C, C)``; the columns
    are those of `dsi_cli.api.Results.robustness`.
    """
    rows = []
    for choice, matrices in choices([network], labels, clusters, measures):
        values: Row = agreement_columns(matrices)
        values["agreement"] = values.pop("value")
        rows.append(choice | values | {"classes_used": len(matrices.counted)})
    return with_differences(rows, "agreement")


def with_differences(rows: Sequence[Row], quantity: str) -> list[Row]:
    """Return rows with a column ``differs``: whether the sign of a quantity, or whether
    its interval excludes 0, is another than in the first row.
    """

    def conclusion(row: Row) -> tuple[bool, bool]:
        has_interval = row["low"] is not None
        excludes = has_interval and not row["low"] <= 0 <= row["high"]
        return excludes, (row[quantity] or 0.0) > 0

    return [row | {"differs": conclusion(row) != conclusion(rows[0])} for row in rows]


def main_measure_first(reference: str) -> tuple[str, ...]:
    """Return the measures, first that of a reference by its name in the tables.

    >>> main_measure_first("wordnet3.0-wup")
    ('wup', 'path', 'lch', 'lin')
    """
    main = reference.rpartition("-")[2]
    others = [measure for measure in MEASURES if measure != main]
    return (main, *others) if main in MEASURES else MEASURES


def robustness(
    results: Results,
    run: str | None,
    epoch: int | None,
    measures: Sequence[str],
    clusters: str | None,
) -> pd.DataFrame:
    """Return the agreement of a run by several measures; `Results.robustness` describes
    the parameters and columns.
    """
    import pandas as pd

    from dsi_cli.queries.comparison.clusters import cluster_indices
    from dsi_cli.queries.matrices import matrix_frames
    from dsi_cli.queries.run_classes import class_rows

    name = results.run_name(run)
    frames = matrix_frames(results, name)
    classes = class_rows(results, name).reset_index(drop=True)
    if frames is None or classes["synset"].isna().all():
        message = f"{name} has no matrix of a network with WordNet labels"
        raise UsageError(message, code="no-wordnet-labels", run=name)
    at = frames.at(epoch)
    network = results.csm(frames.kind.name, at, frames.split, name).to_numpy()
    known = np.flatnonzero(classes["synset"].notna())
    of_class = None
    if clusters is not None:
        chosen = read_clusters(clusters, classes["name"].tolist())
        of_class = cluster_indices(classes, chosen)[known]
    labels = wordnet_matrix.resolve_label_list(classes["synset"].iloc[known].tolist())
    square = np.ix_(known, known)
    table = pd.DataFrame(robustness_rows(network[square], labels, of_class, measures))
    columns = ("agreement", "low", "high", "null_mean", "null_std", "z")
    ordered = ["measure", "pairs", "correlation", *columns, "differs", "classes_used"]
    return table.astype(dict.fromkeys(columns, "float64"))[ordered]


def compared_choices(equal: EqualAccuracy) -> list[Row]:
    """Return the difference in agreement of two networks at equal accuracy by each of
    the `choices`; none without WordNet labels or matrices.

    The columns are `COMPARED_COLUMNS`. ``low`` to ``high`` is the 95 % confidence
    interval of the ``difference``, which is not corrected for several criteria.
    """
    if equal.sides is None or not equal.main_rows:
        return []
    at_epochs = [*equal.sides[0], *equal.sides[1]]
    main = at_epochs[0]
    known = np.flatnonzero(main.run.classes["synset"].notna())
    if len(known) < MIN_CLASSES or any(one.run.is_vast for one in at_epochs):
        return []
    synsets = main.run.classes["synset"].iloc[known].tolist()
    labels = wordnet_matrix.resolve_label_list(synsets)
    csms = [one.csm("own")[np.ix_(known, known)] for one in at_epochs]
    clusters = main.clusters()
    of_class = None if clusters is None else clusters[known]
    measures = main_measure_first(main.run.results.references(main.run.name)[0])
    rows = []
    for choice, matrices in choices(csms, labels, of_class, measures):
        found = _difference(matrices, len(equal.sides[0]))
        low, high = found.interval(LEVEL) or (None, None)
        columns = {"first": equal.first, "second": equal.second} | choice
        values = {"first_value": found.first, "second_value": found.second}
        values |= {"difference": found.value, "low": low, "high": high}
        rows.append(columns | values)
    return with_differences(rows, "difference")


def robustness_table(
    choices: Sequence[tuple[EqualAccuracy, Sequence[Row]]],
) -> pd.DataFrame:
    """Return the rows of `compared_choices` of several pairs of networks."""
    import pandas as pd

    rows = [row for _, of_pair in choices for row in of_pair]
    return pd.DataFrame(rows, columns=list(COMPARED_COLUMNS))


def _difference(matrices: CorrelatedMatrices, number: int) -> Difference:
    """Return the difference of the mean agreements of the first CSMs, whose number is
    given, and of the others; with an error over classes, and over seeds if there are
    several.
    """
    values = matrices.whole[:-1, -1].tolist()
    estimates = [
        agreement_estimate(matrices, index, is_repeated=len(values) > 2)
        for index in range(len(values))
    ]
    first, second = estimates[:number], estimates[number:]
    if len(values) == 2:
        return difference_of_estimates(*estimates)
    over_seeds = mean_difference(values[:number], values[number:])
    return joint_difference(first, second, difference_of_estimates, over_seeds)
