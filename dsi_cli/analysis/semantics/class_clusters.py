"""The clusters of classes that ``--clusters`` names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.errors import UsageError
from dsi_cli.labels.files import read_labels
from dsi_cli.labels.presets import recognise, superclasses_of
from dsi_cli.queries.comparison.clusters import GROUP, Clusters, cluster_numbers

SUPERCLASS = "superclass"


def clusters_of_labels(choice: str, labels: ClassLabels) -> NDArray[np.intp]:
    """Return the cluster of each class of a run ``(C,)``; the choice and the errors are
    those of `read_clusters` and `cluster_numbers`.
    """
    if choice == GROUP:
        return cluster_numbers(labels.groups)
    if choice == SUPERCLASS and labels.dataset_superclasses:
        return cluster_numbers(labels.dataset_superclasses)
    clusters = read_clusters(choice, [entry.label for entry in labels.resolutions])
    assert not isinstance(clusters, str)
    return cluster_numbers(
        [
            clusters.get(entry.label) or clusters.get(entry.wnid or "")
            for entry in labels.resolutions
        ]
    )


def read_clusters(choice: str, names: Sequence[str]) -> Clusters:
    """Return the clusters that an option names: ``group``, ``superclass`` or a label
    file with a column of superclasses.

    ``names`` are the class names of a run. Raise `UsageError` if the preset of the
    classes has no superclasses, or the file has none (code ``no-superclasses``).
    """
    if choice == GROUP:
        return GROUP
    if choice == SUPERCLASS:
        found = superclasses_of(recognise(tuple(names)))
        if found is None:
            raise UsageError(
                "dsi knows no superclasses of these classes",
                hint="give a CSV file with the columns name and superclass, or group",
                code="no-superclasses",
            )
        return dict(zip(names, found, strict=True))
    if not Path(choice).exists():
        expected = "expected superclass, group, or a CSV file of name,superclass"
        message = f"there is no file {choice}, which --clusters names; {expected}"
        raise UsageError(message, code="unknown-clusters", clusters=choice)
    labels = read_labels(choice)
    if labels.superclasses is None:
        raise UsageError(
            f"{choice} has no column superclass",
            hint="its first line may be name,superclass",
            code="no-superclasses",
        )
    clusters = {}
    ids = labels.wnids or labels.names
    for name, wnid, superclass in zip(
        labels.names, ids, labels.superclasses, strict=True
    ):
        if superclass is not None:
            clusters[name] = superclass
            clusters[wnid or name] = superclass
    return clusters
