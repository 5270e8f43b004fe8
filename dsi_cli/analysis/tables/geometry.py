"""The geometry of the classifier's vectors: its rows of the curves table, its spectrum,
and the table of classes by checkpoint.

The rows of the geometry table at a checkpoint need its head and the previous one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.heads import UNNAMED, HeadParameters
from dsi_cli.metrics.head_geometry import (
    angles_of_units,
    geometry_and_spectrum,
    random_heads,
    row_lengths,
    spectrum_shares,
)
from dsi_cli.similarity import centre
from dsi_cli.store import parquet
from dsi_cli.store.schema import GEOMETRY, SPECTRUM

INDICES = {
    "effective_rank": ("effective_rank", "raw"),
    "stable_rank": ("stable_rank", "raw"),
    "norm_variation": ("nc2_norms", "raw"),
    "centred_effective_rank": ("effective_rank", "centred"),
    "centred_stable_rank": ("stable_rank", "centred"),
    "centred_norm_variation": ("nc2_norms", "centred"),
    "angle_deviation": ("nc2_angles", "deviation"),
    "angle_spread": ("nc2_angles", "spread"),
}
"""Metric and variant in the curves table, by the field of
`dsi_cli.metrics.head_geometry.HeadGeometry`.
"""
METRICS = (
    *dict.fromkeys(metric for metric, _ in INDICES.values()),
    "nc1",
    "nc3",
    "nc4",
)
REASON_NO_DIRECTION = (
    "the class vectors are zero or equal, or there are more than 4,096 classes"
)


def head_rows(weight: NDArray[np.float32]) -> tuple[list[dict[str, Any]], pa.Table]:
    """Return the rows of the curves table and of the spectrum table for a head ``(C,
    d)``.

    The chance levels are those of random heads of the same shape. A head without
    directions has no rows in the spectrum table.
    """
    classes, features = weight.shape
    values, spectrum = geometry_and_spectrum(weight)
    random = random_heads(classes, features)
    rows = []
    for name, (metric, variant) in INDICES.items():
        value = getattr(values, name)
        ceiling = None
        if metric.endswith("rank"):
            directions = classes - 1 if variant == "centred" else classes
            ceiling = min(directions, features)
        rows.append(
            {
                "metric": metric,
                "of": "weight",
                "variant": variant,
                "value": value,
                "classes_used": classes,
                "null_mean": getattr(random.means, name),
                "null_std": getattr(random.deviations, name),
                "ceiling": ceiling,
                "reason": REASON_NO_DIRECTION if value is None else None,
            }
        )
    if not spectrum.any():
        return rows, parquet.from_rows(SPECTRUM, [])
    shares = spectrum_shares(spectrum)
    columns = {
        "index": np.arange(1, len(spectrum) + 1),
        "singular_value": spectrum,
        "share": shares,
        "cumulative_share": np.cumsum(shares),
        "null_mean": random.shares,
        "null_std": random.share_deviations,
    }
    constants = {"classes_used": classes}
    return rows, parquet.from_columns(SPECTRUM, len(spectrum), constants, columns)


def rows_of_head(
    head: HeadParameters,
    before: HeadParameters | None,
    collapse: Mapping[str, Mapping[str, Any]],
) -> pa.Table:
    """Return the rows of a checkpoint in the geometry table, without its name.

    ``before`` is the head of the checkpoint before it, if any, and ``collapse`` has the
    values by class of neural collapse by split.
    """
    weight = head.weight.astype(np.float64)
    columns = {
        "class_index": np.arange(len(weight)),
        "norm": row_lengths(weight),
        "centred_norm": row_lengths(centre(weight)),
    }
    if before is not None:
        drift = angles_of_units(_units(weight), _units(before.weight))
        columns["angle_previous"] = pa.array(drift, from_pandas=True)
    if head.bias is not None:
        columns["bias"] = head.bias.astype(np.float64)
    for split, values in collapse.items():
        for name in {"self_duality", "nearest_centre"} & values.keys():
            column = np.full(len(weight), np.nan)
            column[values["classes"]] = np.array(values[name], dtype=np.float64)
            columns[f"{name}_{split}"] = pa.array(column, from_pandas=True)
    return parquet.from_columns(GEOMETRY, len(weight), UNNAMED.key_columns, columns)


def _units(weight: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return class vectors of length 1, or zero."""
    rows = weight.astype(np.float64)
    norm = row_lengths(rows)
    return rows / np.where(norm > 0, norm, 1.0)[:, None]


def angles_between_checkpoints(
    out: Path, run: str
) -> dict[tuple[int | None, int | None], float]:
    """Return the mean angle of all class vectors to those of the checkpoint before, in
    degrees, by the epoch and step of each stored checkpoint that has one.
    """
    if not (out / GEOMETRY.path).is_file():
        return {}
    table = parquet.read(out / GEOMETRY.path, run, ["epoch", "step", "angle_previous"])
    means = table.group_by(["epoch", "step"]).aggregate([("angle_previous", "mean")])
    return {
        (row["epoch"], row["step"]): row["angle_previous_mean"]
        for row in means.to_pylist()
        if row["angle_previous_mean"] is not None
    }
