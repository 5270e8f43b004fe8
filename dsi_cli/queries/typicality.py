"""The typicality of correctly and wrongly classified samples by epoch: means over classes, as in the paper's table H.1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import TYPICALITY


@dataclass(frozen=True)
class TypicalitySummary:
    """One epoch on one split: means over the classes with such samples, or None if there are none."""

    epoch: int | None
    right: float | None = None
    """The cosine of a class's template with the mean feature of its correctly classified samples (the paper's figure)."""
    right_chance: float | None = None
    """The chance level of ``right``: the cosine with the mean of as many random samples of the class."""
    right_sample: float | None = None
    """The cosine of a single such sample with the template of the other samples."""
    right_classes: int = 0
    """The number of classes with such samples."""
    wrong: float | None = None
    wrong_chance: float | None = None
    wrong_sample: float | None = None
    wrong_classes: int = 0


_FIELDS = {"group_cosine": "", "null_mean": "_chance", "sample_cosine": "_sample"}
"""The suffix of the fields by column of the table."""


def typicality_summary(out: Path, run: str) -> dict[str, list[TypicalitySummary]]:
    """Return the epochs of a run, in order, for each split with templates.

    Raises
    ------
    OutputError
        The table cannot be read.
    """
    path = layout.table_path(out, TYPICALITY)
    rows = parquet.read(path, run).to_pandas() if path.is_file() else pd.DataFrame()
    summaries: dict[str, list[TypicalitySummary]] = {}
    if rows.empty:
        return summaries
    # Of several checkpoints of an epoch, only the last step counts. A missing epoch or step comes first.
    rows = rows.assign(epoch=rows["epoch"].fillna(-1), step=rows["step"].fillna(-1))
    rows = rows[rows["step"] == rows.groupby(["split", "epoch"])["step"].transform("max")]
    for (split, epoch), group in cast("Iterable[Any]", rows.groupby(["split", "epoch"])):
        fields: dict[str, Any] = {}
        for name, is_right in (("right", True), ("wrong", False)):
            of_kind = group[(group["correct"] == is_right) & (group["samples"] > 0)]
            fields[f"{name}_classes"] = len(of_kind)
            for column, suffix in _FIELDS.items():
                mean = of_kind[column].mean()
                fields[name + suffix] = None if np.isnan(mean) else float(mean)
        summaries.setdefault(split, []).append(TypicalitySummary(None if epoch < 0 else int(epoch), **fields))
    return dict(sorted(summaries.items()))
