"""Answers of a made-up run, written by hand into its output: what the tests of ``mistakes`` share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS


def write_predictions(
    out: Path,
    target: Sequence[int],
    prediction: Sequence[int],
    *,
    score: Sequence[float | None] | None = None,
    path: Sequence[str | None] | None = None,
    epoch: int = 0,
    split: str = "test",
    run: str = "run",
) -> None:
    """Write the predictions of an epoch; samples are numbered in order."""
    size = len(target)
    varying = {
        "sample": np.arange(size),
        "target": target,
        "prediction": prediction,
        "score": score if score is not None else [None] * size,
        "path": path if path is not None else [None] * size,
    }
    table = parquet.from_columns(PREDICTIONS, size, {"run": run, "split": split, "epoch": epoch}, varying)
    parquet.write(table, layout.split_path(out, PREDICTIONS, run, split, epoch), {}, out / ".tmp")


def write_counts(out: Path, counts: np.ndarray, *, epoch: int = 0, split: str = "test", run: str = "run") -> None:
    """Write the confusion counts of an epoch."""
    constants = {"run": run, "split": split, "epoch": epoch}
    table = parquet.from_matrix(CONFUSIONS, counts, constants, {"class_index": np.arange(len(counts))})
    parquet.write(table, layout.split_path(out, CONFUSIONS, run, split, epoch), {}, out / ".tmp")


def write_csm(out: Path, matrix: np.ndarray, kind: str, split: str | None, *, epoch: int = 0, run: str = "run") -> None:
    """Write a matrix of an epoch."""
    constants = {"run": run, "kind": kind, "split": split, "epoch": epoch}
    table = parquet.from_matrix(CSMS, matrix, constants, {"class_index": np.arange(len(matrix))})
    parquet.write(table, layout.csm_path(out, run, kind, split, epoch), {}, out / ".tmp")
