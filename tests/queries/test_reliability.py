"""Reliability over repetitions: the table, the changes over the plateau, the
sentences.
"""

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from helpers.outputs import stored, stored_reference
from helpers.table_comparison import write_output, write_run

from dsi_cli import open_results
from dsi_cli.metrics.reliability import seed_estimates
from dsi_cli.queries.comparison.reliability import (
    COLUMNS,
    NO_SEEDS,
    EpochOfSeeds,
    SeedReliability,
)

OFF = ~np.eye(8, dtype=bool)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Return the results of a network with three trainings, and one with two."""
    top = tmp_path_factory.mktemp("seeds")
    names = ("a_seed0", "a_seed1", "a_seed2", "b_seed0", "b_seed1")
    order = [3, 1, 7, 0, 2, 6, 5, 4]
    runs = [
        write_run(top / name, seed=at, order=order if name == "a_seed1" else None)
        for at, name in enumerate(names)
    ]
    return write_output(top / "out", *runs), order


def test_reliability_is_that_of_the_stored_matrices(seeds):
    out, order = seeds
    found = open_results(out).reliability()
    assert tuple(found.columns) == COLUMNS
    assert found["group"].tolist() == ["a"] * 3 + ["b"] * 3
    row = found[(found["group"] == "a") & (found["epoch"] == 2)].iloc[0]
    assert (row["seeds"], row["classes_used"]) == (3, 8)
    place = np.argsort(order)
    csms = [stored(out, f"a_seed{i}", "ncsm", 2) for i in range(3)]
    csms[1] = csms[1][np.ix_(place, place)]
    reference, _ = stored_reference(out, "a_seed0")
    agreements = [np.corrcoef(csm[OFF], reference[OFF])[0, 1] for csm in csms]
    between = [
        np.corrcoef(csms[i][OFF], csms[j][OFF])[0, 1]
        for i in range(3)
        for j in range(i)
    ]
    assert row["agreement"] == pytest.approx(np.mean(agreements), abs=1e-6)
    assert row["reliability"] == pytest.approx(np.mean(between), abs=1e-6)
    for run, value in zip(("a_seed0", "a_seed1", "a_seed2"), agreements, strict=True):
        curve = open_results(out)[run].curve("agreement").set_index("epoch")
        assert curve.loc[2, "value"] == pytest.approx(value, abs=1e-6)


def test_two_seeds_have_values_and_the_reason_for_a_missing_interval(seeds):
    out, _ = seeds
    found = open_results(out).reliability()
    rows = found[found["group"] == "b"]
    assert rows["reliability"].notna().all()
    assert rows[["low", "high", "seeds_low"]].isna().all(axis=None)
    assert rows["reason"].isin([NO_SEEDS, found["reason"].iloc[0]]).all()


def test_reliability_without_repetitions_raises(seeds, tmp_path):
    out = write_output(
        tmp_path / "out",
        write_run(tmp_path / "a_seed0"),
        write_run(tmp_path / "b_seed0"),
    )
    with raises("no-repetitions", pattern="seed"):
        open_results(out).reliability()
    with raises("no-match", pattern="(.*)try"):
        open_results(seeds[0]).reliability("(.*)try")


def trainings(noise, number=6, classes=30, strength=None):
    """Return the epochs of seeds with a signal of a strength and noise, by epoch."""
    rng = np.random.default_rng(2)
    strengths = np.ones(len(noise)) if strength is None else strength

    def symmetric(*shape):
        drawn = rng.normal(size=(*shape, classes, classes))
        return drawn + np.swapaxes(drawn, -1, -2)

    reference, own, of_seeds = symmetric(), symmetric(), symmetric(number)
    epochs = []
    for epoch, (size, share) in enumerate(zip(noise, strengths, strict=True)):
        fresh = 0.1 * symmetric(number)
        csms = share * reference + 0.8 * own + size * of_seeds + fresh
        estimates = seed_estimates(csms, reference)
        epochs.append(EpochOfSeeds(epoch, number, classes, estimates))
    return SeedReliability({"a": epochs})


RISE = np.array([0.0, 0.5, 0.9, 1.0])


def test_fall_of_the_reliability_alone_is_no_refinement():
    signal = np.concatenate([RISE, np.ones(10)])
    noise = np.concatenate([np.full(4, 0.3), np.linspace(0.3, 1.5, 10)])
    found = trainings(noise, strength=signal)
    falls = found.changes.set_index("quantity")["falls"]
    assert falls.to_dict() == {
        "agreement": True,
        "reliability": True,
        "corrected": False,
    }
    (sentence,) = found.sentences
    assert "this is no refinement" in sentence


def test_fall_of_the_corrected_agreement_is_one_of_the_agreement():
    signal = np.concatenate([RISE, np.linspace(1.0, 0.4, 10)])
    found = trainings(np.full(14, 0.3), strength=signal)
    falls = found.changes.set_index("quantity")["falls"]
    assert falls["corrected"]
    (sentence,) = found.sentences
    assert "and so does the corrected agreement" in sentence


def test_change_is_that_of_a_least_squares_line():
    signal = np.concatenate([RISE, np.linspace(1.0, 0.4, 10)])
    found = trainings(np.full(14, 0.3), strength=signal)
    table = found.table.set_index("epoch")
    for row in found.changes.to_dict("records"):
        time = np.arange(row["first_epoch"], row["last_epoch"] + 1)
        slope = np.polyfit(time, table.loc[time, row["quantity"]], 1)[0]
        assert row["change"] == pytest.approx(slope * (time[-1] - time[0]))


def test_groups_without_a_plateau_have_no_changes():
    found = trainings(np.full(5, 0.3), strength=np.linspace(0.2, 1.0, 5))
    assert found.changes.empty
    assert found.sentences == []
    assert isinstance(found.table, pd.DataFrame)
