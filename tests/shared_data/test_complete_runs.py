"""The complete training runs give the published numbers, and the demo's runs are taken
from them without a change.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.outputs import curve, head_of
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file

import dsi_cli
from dsi_cli.analysis.analyze import analyze
from dsi_cli.checkpoints.training_logs import CURVES, LOG_FILES, read_log
from dsi_cli.demo import runs_folder

CNN, VIT, COLLAPSED, FASHION = (
    "cifar100-cnn",
    "cifar100-vit",
    "cifar100-vit-collapsed",
    "fashion-mnist-tinycnn",
)
RUNS = {CNN: 31, VIT: 31, COLLAPSED: 16, FASHION: 16}
"""How many checkpoints each run has."""
SEMANTIC = {"metric": "sai", "of": "ncsm,scsm", "variant": "cosine"}
CHANCE = 1 - (100 / 2) / 99
"""The chance level of an errors-only IDM of 100 classes."""


@pytest.fixture(scope="module")
def real_runs(shared) -> Path:
    return shared / "data" / "runs"


@pytest.fixture(scope="module")
def out(real_runs, tmp_path_factory) -> Path:
    """Return the output of an analysis of all complete runs with default options."""
    out = tmp_path_factory.mktemp("complete") / "out"
    summary = analyze([real_runs], out)
    assert (summary.exit_code, summary.facts) == (0, [])
    return out


@pytest.fixture(scope="module")
def curves(out):
    return dsi_cli.open_results(out).curves


def published(shared):
    """Yield (epoch, run, where the number stands in the curves, text) of each number in
    the README's table.
    """
    readme = (shared / "data" / "README.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| *(\d+) *\|(.+)\|$", readme, re.MULTILINE):
        cells = [
            [number.strip() for number in cell.split(",")] for cell in row[1].split("|")
        ]
        for run, (wsi, *alignment), mistakes in (
            (CNN, cells[0], cells[1]),
            (VIT, cells[2], cells[3]),
        ):
            yield int(row[0]), run, ({"metric": "wsi", "variant": "max"}, "value"), wsi
            for column, number in zip(
                ("value", "null_mean", "excess", "z"), alignment, strict=True
            ):
                yield int(row[0]), run, (SEMANTIC, column), number
            for of, number in zip(("ncsm", "scsm"), mistakes, strict=True):
                yield (
                    int(row[0]),
                    run,
                    (
                        {
                            "metric": "idm",
                            "of": of,
                            "split": "test",
                            "variant": "errors",
                        },
                        "value",
                    ),
                    number,
                )


def test_the_published_table_comes_out(shared, curves):
    numbers = list(published(shared))
    assert len(numbers) == 6 * 2 * 7
    for epoch, run, (where, column), text in numbers:
        found = curve(curves, run, **where).loc[epoch, column]
        digits = len(text.partition(".")[2])
        assert abs(found - float(text)) <= 0.5 * 10**-digits + 1e-6, (
            epoch,
            run,
            where,
            column,
            text,
            found,
        )
    for run in (CNN, VIT):
        errors = curve(
            curves, run, metric="idm", of="scsm", split="test", variant="errors"
        )
        assert_allclose(errors["null_mean"], CHANCE, rtol=1e-9)


def test_a_collapsed_network_stays_at_chance_at_every_epoch(curves):
    alignment = curve(curves, COLLAPSED, **SEMANTIC)
    assert alignment["z"].abs().round().max() == 2
    assert alignment["value"].between(0.625, 0.745).all(), (
        "as high as a raw cosine is by chance"
    )
    mistakes = curve(
        curves, COLLAPSED, metric="idm", of="scsm", split="test", variant="errors"
    )
    assert len(mistakes) == 16
    assert mistakes["z"].abs().round(1).max() <= 2
    assert mistakes["value"].max() - mistakes["value"].min() > 0.3, (
        "though its raw value wanders"
    )


def test_read_log_reads_each_log(shared):
    found = [
        log
        for path in (shared / "data").rglob("*")
        if path.name in LOG_FILES and (log := read_log(path))
    ]
    assert len(found) >= 28
    for log in found:
        assert log.by_epoch, log.path
        for row in log.by_epoch.values():
            assert set(row) <= set(CURVES)
            assert all(
                0 <= value <= 1 for name, value in row.items() if "accuracy" in name
            )


@pytest.mark.parametrize("run", [CNN, VIT])
def test_the_demos_runs_are_the_complete_runs_bit_for_bit(run, real_runs):
    with runs_folder() as demo:
        heads = sorted((demo / run).glob("*.safetensors"))
        assert len(heads) == RUNS[run]
        for path in heads:
            (weight,) = load_file(path).values()
            assert weight.dtype == np.float32
            assert_array_equal(weight, head_of(real_runs / run / f"{path.stem}.pt"))
        for name in ("log.csv", "classes.txt"):
            assert (demo / run / name).read_bytes() == (
                real_runs / run / name
            ).read_bytes()
        for name in ("preds.npy", "targets.npy"):
            assert_array_equal(
                np.load(demo / run / name), np.load(real_runs / run / name)
            )
