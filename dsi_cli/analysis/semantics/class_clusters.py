"""The clusters of classes that ``--clusters`` names."""

from __future__ import annotations

from collections.abc import Sequence

from dsi_cli.errors import UsageError
from dsi_cli.labels.files import read_labels
from dsi_cli.labels.presets import recognise, superclasses_of
from dsi_cli.queries.comparison.clusters import GROUP, Clusters

SUPERCLASS = "superclass"


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
