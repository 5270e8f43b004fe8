"""The variance partition of a run's similarity by its references, by epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError
from dsi_cli.metrics.measures import common_classes
from dsi_cli.metrics.variance_partition import (
    MAX_REFERENCES,
    PERMUTATIONS,
    part_titles,
    variance_partition,
)
from dsi_cli.queries.conclusions import partition_sentence
from dsi_cli.queries.matrices import matrix_frames
from dsi_cli.store.results import Results

COLUMNS = (
    "run",
    "epoch",
    "part",
    "share",
    "low",
    "high",
    "p_value",
    "classes_used",
)


def partition_by_epoch(
    results: Results, run: str | None = None, permutations: int = PERMUTATIONS
) -> pd.DataFrame:
    """Return the partition by the first two or three references of a run, by epoch;
    `Results.variance_partition` describes the columns.

    The text of the last epoch is in ``attrs["sentence"]``. Raise `UsageError` if the
    run has only one reference or no matrix (code ``wrong-references``).
    """
    name = results.run_name(run)
    names = results.references(name)[:MAX_REFERENCES]
    frames = matrix_frames(results, name)
    if frames is None or len(names) < 2:
        raise UsageError(
            f"{name} has {len(names)} reference, and a partition needs two or three",
            hint="analyse it again with a second --reference",
            code="wrong-references",
            count=len(names),
        )
    references = [
        results.csm("scsm", run=name, reference=one).to_numpy() for one in names
    ]
    rows: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for epoch in frames.epochs:
        network = results.csm(frames.kind.name, epoch, frames.split, name).to_numpy()
        known = common_classes([network, *references])
        kept = np.ix_(known, known)
        shares = variance_partition(
            network[kept],
            [reference[kept] for reference in references],
            permutations=permutations,
        )
        titles = part_titles(shares, names)
        parts = []
        for title, share in zip(titles, shares, strict=True):
            parts.append(share._asdict() | {"variant": title})
            row: dict[str, Any] = {
                "run": name,
                "epoch": epoch,
                "part": title,
                "share": share.value,
                "low": share.low,
                "high": share.high,
                "p_value": share.p_value,
                "classes_used": len(known),
            }
            rows.append(row)
    numbers = dict.fromkeys(("share", "low", "high", "p_value"), "float64")
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(numbers)
    table.attrs["sentence"] = partition_sentence(parts)
    return table
