"""An output of two small runs with all that is logged, and what its curves table says
of them, read by pandas alone.
"""

import shutil
from collections.abc import Callable
from math import isnan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import ANIMALS, all_curves, heads, save_head

import dsi_cli
from dsi_cli.tracking.points import plain

EPOCHS = 4
Points = dict[str, dict[int, float]]
"""Values by name, then by epoch."""


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two runs with labels, losses and predictions."""
    folder = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    for seed, name in enumerate(("cnn", "vit=1")):
        for epoch, weight in enumerate(heads(EPOCHS, seed=seed)):
            save_head(
                folder / name / f"epoch_{epoch}.pt",
                weight,
                epoch=epoch,
                step=10 * epoch,
            )
        (folder / name / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
        rows = "".join(
            f"{epoch},{2 - epoch / 4},{2.5 - epoch / 4}\n" for epoch in range(EPOCHS)
        )
        (folder / name / "log.csv").write_text(
            f"epoch,train_loss,test_loss\n{rows}", encoding="utf-8"
        )
        targets = np.arange(160) % len(ANIMALS)
        wrong = random.integers(len(ANIMALS), size=(EPOCHS, len(targets)))
        np.save(folder / name / "targets.npy", targets)
        np.save(
            folder / name / "preds.npy",
            np.where(random.random(wrong.shape) < 0.5, targets, wrong),
        )
    return folder


@pytest.fixture(scope="session")
def _analysed(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tracked") / "out"
    dsi_cli.analyze(runs, out, draws=0, epochs=f"0:{EPOCHS - 2}", report=False)
    return out


@pytest.fixture
def out(_analysed: Path, tmp_path: Path) -> Path:
    """Return the output of all epochs but the last, to write to."""
    return Path(shutil.copytree(_analysed, tmp_path / "out"))


@pytest.fixture
def grow(runs: Path) -> Callable[[Path], None]:
    """Return ``grow(out)``: it brings an output up to the last epoch."""

    def grown(out: Path) -> None:
        dsi_cli.analyze(runs, out, draws=0, report=False)

    return grown


MAIN = {
    "agreement": ("sai", "ncsm,scsm", "pearson", "excess"),
    "widm": ("idm", "scsm", "errors", "value"),
    "nidm": ("idm", "ncsm", "errors", "value"),
    "max_wsi": ("wsi", "ncsm", "max", "value"),
    "accuracy": ("accuracy", None, None, "value"),
}
"""Metric, matrices, variant and column of the curves that are logged by default."""


@pytest.fixture
def expected() -> Callable[[Path, str], Points]:
    """Return ``expected(out, run)``: what is to be logged of a run."""

    def of_table(out: Path, run: str) -> Points:
        points: Points = {}
        for row in all_curves(out).query("run == @run").itertuples():
            epoch = int(row.epoch)
            if not isnan(row.value):
                points.setdefault("step", {})[epoch] = float(row.step)
            for name, (*columns, column) in MAIN.items():
                cells = [row.metric, row.of, row.variant]
                if [
                    cell if isinstance(cell, str) else None for cell in cells
                ] != columns:
                    continue
                chance = 0.0 if column == "excess" else row.null_mean
                values = {
                    "": getattr(row, column),
                    "_chance": chance,
                    "_low": row.low,
                    "_high": row.high,
                }
                for ending, value in values.items():
                    if not isnan(value):
                        points.setdefault(f"dsi/{name}{ending}", {})[epoch] = value
        return points

    return of_table


@pytest.fixture
def expected_plain(
    expected: Callable[[Path, str], Points],
) -> Callable[[Path, str], Points]:
    """Return ``expected_plain(out, run)``: the same, under the plain names of W&B and
    MLflow.
    """
    return lambda out, run: {
        plain(name): values for name, values in expected(out, run).items()
    }


@pytest.fixture
def change() -> Callable[[Path], float]:
    """Return ``change(out)``: it changes the accuracy of the run cnn at epoch 1, and
    returns the new one.
    """

    def changed(out: Path) -> float:
        curves = pd.read_parquet(out / "curves.parquet")
        at = (
            (curves["run"] == "cnn")
            & (curves["metric"] == "accuracy")
            & (curves["epoch"] == 1)
        )
        assert at.sum() == 1
        curves.loc[at, "value"] = 0.125
        curves.to_parquet(out / "curves.parquet")
        return 0.125

    return changed
