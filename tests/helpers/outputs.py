"""Small made-up runs, tables that are written by hand, and what an output folder
holds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.classifiers import checkpoint_scanner
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.summary import Summary
from dsi_cli.checkpoints.checkpoint_reader import ScanResult
from dsi_cli.checkpoints.discovery import CheckpointFile
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS, SUSPECTS

ANIMALS = ("cat", "dog", "horse", "frog", "bird", "lion", "whale", "bee")
"""Eight: with fewer, chance levels are enumerated, which takes its time."""
LONG = "a very long label, [bold]with markup[/bold], that no table has room for"
MARKED = ("cat", "dog", "[red]horse", "frog", LONG, "lion", "whale", "bee")
"""Labels that a terminal must show as they are."""
RUNS = ("cifar100-cnn", "cifar100-vit", "collapsed", "garments")
TABLES = ("checkpoints", "classes", "curves")


def heads(
    epochs: int, classes: int = len(ANIMALS), features: int = 8, seed: int = 0
) -> list[torch.Tensor]:
    """Return classifiers' weights of a made-up run: a start, and steps away from it."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(epochs, classes, features, generator=generator)
    return list(torch.cumsum(steps, dim=0))


def save_head(path: Path, weight: torch.Tensor, **beside: object) -> Path:
    """Save a classifier's weight the way an own training loop does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "state_dict": {"fc.weight": weight, "fc.bias": torch.zeros(len(weight))},
            **beside,
        },
        path,
    )
    return path


def write_checkpoints(
    folder: Path, epochs: int = 4, labels: Sequence[str] | None = ANIMALS, seed: int = 0
) -> Path:
    """Write a made-up run with a label file next to it, and return its folder."""
    folder.mkdir(parents=True)
    for epoch, weight in enumerate(heads(epochs, seed=seed)):
        save_head(folder / f"epoch_{epoch}.pt", weight, epoch=epoch)
    if labels is not None:
        (folder / "classes.txt").write_text(
            "".join(f"{label}\n" for label in labels), encoding="utf-8"
        )
    return folder


def head_of(path: Path) -> npt.NDArray[np.float32]:
    """Return the classifier head that torch loads from a checkpoint of one of the
    runs.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    (weight,) = (state[name] for name in ("fc.weight", "head.weight") if name in state)
    return weight.numpy()


def refuse_scans(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let whoever scans one of the checkpoints that a folder has now fail."""
    paths = {*folder.rglob("*.pt")}
    real = checkpoint_scanner.scan_checkpoint

    def scan(file: CheckpointFile, *arguments: Any, **options: Any) -> ScanResult:
        assert file.path not in paths, f"{file.path} is scanned again"
        return real(file, *arguments, **options)

    monkeypatch.setattr(checkpoint_scanner, "scan_checkpoint", scan)


def tables(out: Path) -> dict[str, pd.DataFrame]:
    """Return the three tables at the top of an output, read by pandas alone."""
    return {name: pd.read_parquet(out / f"{name}.parquet") for name in TABLES}


def all_curves(out: Path) -> pd.DataFrame:
    """Return the rows of both tables of curves, read by pandas alone."""
    return pd.concat(
        [
            pd.read_parquet(out / f"{name}.parquet")
            for name in ("curves", "extra_curves")
        ],
        ignore_index=True,
    )


def contents(out: Path) -> dict[str, bytes]:
    """Return every file of an output, without its cache."""
    files = {
        str(path.relative_to(out)): path
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if not name.startswith(".cache")
    }


def assert_same_output(out: Path, other: Path) -> None:
    """Assert that two outputs hold the same tables, matrices and answers, and nothing
    else.

    Both have a report or neither; its bytes are a function of the tables and of where
    they lie, which the page names.
    """
    first, second = contents(out), contents(other)
    assert set(first) == set(second)
    for name in (
        name
        for name in first
        if name.endswith(".parquet") and first[name] != second[name]
    ):
        pd.testing.assert_frame_equal(
            pd.read_parquet(out / name), pd.read_parquet(other / name), obj=name
        )


def assert_like_a_first_call(out: Path, runs: Sequence[Path], options: Options) -> None:
    """Assert that an output equals that of a first call with these options, which is
    made next to it.
    """
    analyze(runs, out.with_name("fresh"), options)
    assert_same_output(out, out.with_name("fresh"))


def curve(frame: pd.DataFrame, run: str, **where: object) -> pd.DataFrame:
    """Return the rows of one run's curve that fit, by epoch."""
    rows = frame[frame["run"] == run]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.set_index("epoch")


def stored(out: Path, run: str, kind: str, epoch: int) -> npt.NDArray[np.float32]:
    """Return a stored matrix of a kind (``ncsm``, ``ccsm-test``), read by pandas
    alone.
    """
    return np.stack(
        pd.read_parquet(out / "csms" / run / kind / f"{epoch}.parquet")["similarity"]
    )


def stored_counts(
    out: Path, run: str, epoch: int, split: str = "test"
) -> npt.NDArray[np.int64]:
    """Return stored confusion counts, read by pandas alone."""
    return np.stack(
        pd.read_parquet(out / "confusions" / run / split / f"{epoch}.parquet")["count"]
    )


def stored_reference(
    out: Path, run: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return a run's stored reference matrix, and its classes in display order."""
    classes = (
        pd.read_parquet(out / "classes.parquet")
        .query("run == @run")
        .sort_values("class_index")
    )
    (labels_id,) = classes["labels_id"].unique()
    path = out / "references" / f"wordnet3.0-path-{labels_id}.parquet"
    return np.stack(pd.read_parquet(path)["similarity"]), np.argsort(
        classes["display_order"].to_numpy()
    )


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
    table = parquet.from_columns(
        PREDICTIONS, size, {"run": run, "split": split, "epoch": epoch}, varying
    )
    parquet.write(
        table, layout.split_path(out, PREDICTIONS, run, split, epoch), {}, out / ".tmp"
    )


def write_counts(
    out: Path,
    counts: np.ndarray,
    *,
    epoch: int = 0,
    split: str = "test",
    run: str = "run",
) -> None:
    """Write the confusion counts of an epoch."""
    constants = {"run": run, "split": split, "epoch": epoch}
    table = parquet.from_matrix(
        CONFUSIONS, counts, constants, {"class_index": np.arange(len(counts))}
    )
    parquet.write(
        table, layout.split_path(out, CONFUSIONS, run, split, epoch), {}, out / ".tmp"
    )


def write_csm(
    out: Path,
    matrix: np.ndarray,
    kind: str,
    split: str | None,
    *,
    epoch: int = 0,
    run: str = "run",
) -> None:
    """Write a matrix of an epoch."""
    constants = {"run": run, "kind": kind, "split": split, "epoch": epoch}
    table = parquet.from_matrix(
        CSMS, matrix, constants, {"class_index": np.arange(len(matrix))}
    )
    parquet.write(
        table, layout.csm_path(out, run, kind, split, epoch), {}, out / ".tmp"
    )


def suspect(kind: str, *members: int, **values: object) -> dict[str, object]:
    """Return a row of the table of suspects about some of the `ANIMALS`."""
    row: dict[str, object] = {
        "kind": kind,
        "rank": 1,
        "grade": "strong",
        "source": "weights",
        "run": "run",
        "class_index": members[0],
        "name": ANIMALS[members[0]],
        "members": members,
        "effect": 0.75,
        "score": 5.0,
        "null_mean": 0.0,
        "null_std": 1.0,
        "q_value": 0.0123,
        "epochs": 2,
        "of_epochs": 3,
        "since_epoch": 2,
        "epoch_ranks": [4, 1, 1],
        "tested_epochs": [1, 2, 3],
        "seeds": 1,
        "evidence": "They are \x1b[31m alike.",
        "next_step": "Merge them.",
    }
    if len(members) == 2:
        row |= {"other_index": members[1], "other_name": ANIMALS[members[1]]}
    return row | values


def write_suspects(out: Path, rows: Sequence[dict[str, object]]) -> None:
    """Write the table of suspects."""
    pq.write_table(parquet.from_rows(SUSPECTS, list(rows)), out / SUSPECTS.path)


def noticed(summary: Summary, *codes: str) -> dict[str, dict[str, object]]:
    """Return the fields of what an analysis noticed, by code; only of some codes if any
    are given. Labels that dsi is unsure of are left out.
    """
    return {
        fact.code: dict(fact.fields)
        for fact in summary.facts
        if (fact.code in codes if codes else fact.code not in UNSURE)
    }


UNSURE = ("senses-uncertain", "labels-unresolved", "no-labels", "no-agreement")
