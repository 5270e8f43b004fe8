"""The agreement by several WordNet measures and correlations, within and between groups
of classes, to see whether a conclusion depends on the choice **[ours]**.
"""

from __future__ import annotations

from collections.abc import Sequence
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

COLUMNS = (
    "measure",
    "pairs",
    "correlation",
    "agreement",
    "low",
    "high",
    "null_mean",
    "null_std",
    "z",
    "differs",
    "classes_used",
)
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
    square = np.ix_(known, known)
    groups = classes["group"].iloc[known].to_numpy(dtype=object)
    same_group = groups[:, None] == groups[None]
    masks = {"all": None, "within groups": same_group, "between groups": ~same_group}
    rows = []
    for measure in measures:
        reference = references.open_measure(measure, None, database).similarity(
            resolved
        )
        kept = np.flatnonzero(~np.isnan(np.diagonal(reference)))
        block = np.ix_(kept, kept)
        pair = [network[square][block], reference[block]]
        for correlation in ("pearson", "spearman"):
            csms = pair
            if correlation == "spearman":
                csms = [_ranks(csm) for csm in pair]
            for pairs, mask in masks.items():
                matrices = CorrelatedMatrices(
                    csms,
                    None if of_class is None else of_class[known][kept],
                    None if mask is None else mask[block],
                )
                low, high = matrices.interval(_agreement) or (np.nan, np.nan)
                null = _relabelled(csms, matrices.pairs)
                value = float(matrices.whole[0, 1])
                row = {
                    "measure": measure,
                    "pairs": pairs,
                    "correlation": correlation,
                    "agreement": value,
                    "low": low,
                    "high": high,
                    "null_mean": null.mean(),
                    "null_std": null.std(ddof=1),
                    "z": (value - null.mean()) / null.std(ddof=1),
                    "classes_used": len(kept),
                }
                rows.append(row)
    table = pd.DataFrame(rows)
    excludes = (table["low"] > 0) | (table["high"] < 0)
    sign = np.sign(table["agreement"])
    table["differs"] = (excludes != excludes.iloc[0]) | (sign != sign.iloc[0])
    return table[list(COLUMNS)]


def _agreement(correlations: Values) -> Values:
    return np.asarray(correlations[..., 0, 1])


def _ranks(csm: NDArray[np.floating]) -> Values:
    """Return the mid-ranks of the off-diagonal values ``(C, C)``, with a diagonal of
    0.
    """
    ranks = np.zeros(csm.shape)
    ranks[~np.eye(len(csm), dtype=bool)] = mid_ranks(off_diagonal(csm).ravel())
    return ranks


def _relabelled(csms: Sequence[Values], pairs: NDArray[np.bool_] | None) -> Values:
    """Return the correlation over some pairs for random relabellings of the first
    matrix.
    """
    rng = np.random.default_rng(0)
    network, reference = csms
    counted = ~np.eye(len(network), dtype=bool)
    if pairs is not None:
        counted &= pairs
    of_reference = reference[counted]
    found = []
    for _ in range(RELABELLINGS):
        order = rng.permutation(len(network))
        relabelled = network[np.ix_(order, order)]
        found.append(np.corrcoef(relabelled[counted], of_reference)[0, 1])
    return np.array(found)
