"""The agreement by several WordNet measures and correlations, within and between groups
of classes, to see whether a conclusion depends on the choice **[ours]**.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.analysis.semantics import references, wordnet_matrix
from dsi_cli.analysis.semantics.class_clusters import read_clusters
from dsi_cli.errors import UsageError
from dsi_cli.metrics.cluster_jackknife import CorrelatedMatrices
from dsi_cli.metrics.measures import Values, mid_ranks, off_diagonal
from dsi_cli.queries.comparison.clusters import cluster_indices
from dsi_cli.queries.matrices import matrix_frames
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.wordnet.database.wordnet import load_wordnet

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

RELABELLINGS = 200  # for the chance level


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
    name = results.run_name(run)
    frames = matrix_frames(results, name)
    classes = class_rows(results, name).reset_index(drop=True)
    if frames is None or classes["synset"].isna().all():
        message = f"{name} has no matrix of a network with WordNet labels"
        raise UsageError(message, code="no-wordnet-labels", run=name)
    at = frames.epochs[-1] if epoch is None else epoch
    network = results.csm(frames.kind.name, at, frames.split, name).to_numpy()
    of_class = None
    if clusters is not None:
        chosen = read_clusters(clusters, classes["name"].tolist())
        of_class = cluster_indices(classes, chosen)

    database = load_wordnet("noun", None)
    has_synset = classes["synset"].notna().to_numpy()
    known = np.flatnonzero(has_synset & ~np.isnan(np.diagonal(network)))
    synsets = classes["synset"].iloc[known].tolist()
    resolved = wordnet_matrix.resolve_label_list(synsets, None, database)
    groups = classes["group"].to_numpy(dtype=object)
    same_group = groups[:, None] == groups[None]
    masks = {"all": None, "within groups": same_group, "between groups": ~same_group}
    rows = []
    for measure in measures:
        opened = references.open_measure(measure, None, database)
        reference = opened.similarity(resolved)
        has_value = ~np.isnan(np.diagonal(reference))
        kept = known[has_value]
        square = np.ix_(kept, kept)
        values = [network[square], reference[np.ix_(has_value, has_value)]]
        by_correlation = {
            "pearson": values,
            "spearman": [_ranks(csm) for csm in values],
        }
        for correlation, (pairs, mask) in product(by_correlation, masks.items()):
            matrices = CorrelatedMatrices(
                by_correlation[correlation],
                None if of_class is None else of_class[kept],
                None if mask is None else mask[square],
            )
            row = {"measure": measure, "pairs": pairs, "correlation": correlation}
            rows.append(row | _agreement_columns(matrices))
    table = pd.DataFrame(rows)
    excludes = (table["low"] > 0) | (table["high"] < 0)
    sign = np.sign(table["agreement"])
    differs = (excludes != excludes.iloc[0]) | (sign != sign.iloc[0])
    table.insert(len(table.columns) - 1, "differs", differs)
    return table


def _agreement_columns(matrices: CorrelatedMatrices) -> dict[str, float]:
    """Return the correlation of two matrices with its interval and chance level."""
    value = float(matrices.whole[0, 1])
    low, high = matrices.interval(_agreement) or (np.nan, np.nan)
    null = _relabelled(matrices)
    mean, std = null.mean(), null.std(ddof=1)
    return {
        "agreement": value,
        "low": low,
        "high": high,
        "null_mean": mean,
        "null_std": std,
        "z": (value - mean) / std,
        "classes_used": len(matrices.counted),
    }


def _agreement(correlations: Values) -> Values:
    return np.asarray(correlations[..., 0, 1])


def _ranks(csm: NDArray[np.floating]) -> Values:
    """Return the mid-ranks of the off-diagonal values ``(C, C)``, with a diagonal of
    0.
    """
    ranks = np.zeros(csm.shape)
    ranks[~np.eye(len(csm), dtype=bool)] = mid_ranks(off_diagonal(csm).ravel())
    return ranks


def _relabelled(matrices: CorrelatedMatrices) -> Values:
    """Return the correlation of two matrices for random relabellings of the first."""
    rng = np.random.default_rng(0)
    network, reference = matrices.csms
    counted = matrices.counted > 0
    of_reference = reference[counted]
    found = []
    for _ in range(RELABELLINGS):
        order = rng.permutation(len(network))
        relabelled = network[np.ix_(order, order)]
        found.append(np.corrcoef(relabelled[counted], of_reference)[0, 1])
    return np.array(found)
