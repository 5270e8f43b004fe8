"""The rows of the curves table that go into the agreement: its part within and between
coarse groups of classes, and the shares of several references.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics.epoch_context import (
    SCSM,
    EpochMatrix,
    network_matrix,
)
from dsi_cli.errors import UsageError
from dsi_cli.metrics.alignment import MAX_DEFAULT_CLASSES, MIN_CLASSES
from dsi_cli.metrics.blockwise import WHOLE_MATRICES
from dsi_cli.metrics.cluster_jackknife import CorrelatedMatrices, agreement_columns
from dsi_cli.metrics.variance_partition import (
    MAX_REFERENCES,
    PERMUTATIONS,
    part_titles,
    variance_partition,
)

Row = dict[str, Any]
GROUP_AGREEMENT = "group_agreement"
PARTITION = "variance_partition"
NO_GROUPS = "no level of the hierarchy divides the classes into groups"


def group_rows(matrices: Sequence[EpochMatrix], plan: RowsPlan) -> list[Row]:
    """Return the agreement with the main reference over the pairs of classes within the
    coarse groups of the hierarchy, and over the pairs between them.
    """
    network = network_matrix(matrices)
    if network is None or not plan.references:
        return []
    reference = plan.references[0]
    if reference.reason_missing is not None:
        return []
    groups = plan.labels.coarse_groups
    rows: list[Row] = []
    for variant in ("within", "between"):
        row: Row = {
            "metric": GROUP_AGREEMENT,
            "of": f"{network.name},{SCSM}",
            "reference": reference.reference,
            "variant": variant,
        }
        if plan.is_vast:
            row["reason"] = f"the agreement of groups needs {WHOLE_MATRICES}"
        elif groups is None:
            row["reason"] = NO_GROUPS
        else:
            is_known = np.isin(reference.classes, np.flatnonzero(groups >= 0))
            kept = np.intersect1d(network.classes, reference.classes[is_known])
            is_within = groups[kept, None] == groups[kept]
            pairs = is_within if variant == "within" else ~is_within
            csms = [one.dense[np.ix_(kept, kept)] for one in (network, reference)]
            clusters = None if plan.clusters is None else plan.clusters[kept]
            of_pairs = CorrelatedMatrices(csms, clusters, pairs)
            row |= {"classes_used": len(kept)} | agreement_columns(of_pairs)
            row["excess"] = row["value"]
        rows.append(row)
    return rows


def partition_rows(matrices: Sequence[EpochMatrix], plan: RowsPlan) -> list[Row]:
    """Return the shares of the variance of the network's similarity that the first two
    or three references explain alone and together; none with one reference.
    """
    network, references = network_matrix(matrices), plan.references[:MAX_REFERENCES]
    if network is None or len(references) < 2:
        return []
    names = [str(one.reference) for one in references]
    kept = reduce(np.intersect1d, [one.classes for one in (network, *references)])
    common: Row = {
        "metric": PARTITION,
        "of": f"{network.name},{SCSM}",
        "classes_used": len(kept),
    }
    missing = common | {"variant": "total"}
    for one in references:
        if one.reason_missing is not None:
            return [missing | {"reason": one.reason_missing}]
    if plan.is_vast:
        return [missing | {"reason": f"a partition needs {WHOLE_MATRICES}"}]
    if len(kept) < MIN_CLASSES:
        reason = f"{len(kept)} classes in all references: {MIN_CLASSES} are needed"
        return [missing | {"reason": reason}]
    permutations = plan.options.permutations
    if permutations is None:
        permutations = PERMUTATIONS if len(kept) <= MAX_DEFAULT_CLASSES else 0
    csms = [one.dense[np.ix_(kept, kept)] for one in (network, *references)]
    try:
        shares = variance_partition(
            csms[0],
            csms[1:],
            None if plan.clusters is None else plan.clusters[kept],
            permutations=permutations,
            seed=plan.options.seed,
        )
    except UsageError as error:
        return [missing | {"reason": str(error)}]
    titles = part_titles(shares, names)
    rows = []
    for title, share in zip(titles, shares, strict=True):
        columns = share._asdict()
        del columns["references"]
        rows.append(common | {"variant": title} | columns)
    return rows
