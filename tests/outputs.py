"""Small made-up runs, and what an output folder holds: what the tests of the upper half share beside the plugin's fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import torch

ANIMALS = ("cat", "dog", "horse", "frog", "bird", "lion", "whale", "bee")
"""Eight: with fewer, chance levels are enumerated, which takes its time."""
RUNS = ("cifar100-cnn", "cifar100-vit", "cifar100-vit-collapsed", "fashion-mnist-tinycnn")
TABLES = ("checkpoints", "classes", "curves")


def heads(epochs: int, classes: int = len(ANIMALS), features: int = 8, seed: int = 0) -> list[torch.Tensor]:
    """Return classifiers' weights of a made-up run: a start, and steps away from it."""
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(epochs, classes, features, generator=generator)
    return list(torch.cumsum(steps, dim=0))


def save_head(path: Path, weight: torch.Tensor, **beside: object) -> Path:
    """Save a classifier's weight the way an own training loop does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {"fc.weight": weight, "fc.bias": torch.zeros(len(weight))}, **beside}, path)
    return path


def garble(folder: Path) -> None:
    """Overwrite a run's checkpoints with garbage of the same size and time of change: whoever reads one fails."""
    for path in folder.rglob("*.pt"):
        before = path.stat()
        path.write_bytes(b"\xff" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def tables(out: Path) -> dict[str, pd.DataFrame]:
    """Return the three tables at the top of an output, read by pandas alone."""
    return {name: pd.read_parquet(out / f"{name}.parquet") for name in TABLES}


def contents(out: Path) -> dict[str, bytes]:
    """Return every file of an output."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def assert_same_output(out: Path, other: Path) -> None:
    """Assert that two outputs hold the same tables and matrices, and nothing else."""
    for name in TABLES:
        pd.testing.assert_frame_equal(tables(out)[name], tables(other)[name], obj=name)
    assert set(contents(out)) == set(contents(other))
    for name in contents(out):
        if name.startswith(("csms", "references")):
            pd.testing.assert_frame_equal(pd.read_parquet(out / name), pd.read_parquet(other / name), obj=name)
