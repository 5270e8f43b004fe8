"""The table of quantities: each curve is that of the tables, and the table agrees with
itself.
"""

import numpy as np
import pytest
from helpers.analysed_runs import Analysed
from helpers.errors import raises

from dsi_cli.queries import quantities
from dsi_cli.queries.findings import run_findings
from dsi_cli.queries.quantities import QUANTITIES, SEED_QUANTITIES
from dsi_cli.store.results import Results

RUN = "cifar100-cnn"
# the rows of some quantities in the curves table, written out a second time
ROWS = {
    "agreement": ("sai", "ncsm,scsm", None, "pearson", "excess"),
    "excess_mse": ("sai", "ncsm,scsm", None, "mse", "excess"),
    "sai_cosine": ("sai", "ncsm,scsm", None, "cosine", "value"),
    "sai_spearman": ("sai", "ncsm,scsm", None, "spearman", "value"),
    "nidm": ("idm", "ncsm", "test", "errors", "value"),
    "widm": ("idm", "scsm", "test", "errors", "value"),
    "agreement_within": ("group_agreement", "ncsm,scsm", None, "within", "value"),
    "agreement_between": ("group_agreement", "ncsm,scsm", None, "between", "value"),
    "max_wsi": ("wsi", "ncsm", None, "max", "value"),
    "accuracy": ("accuracy", None, "test", None, "value"),
    "learning_rate": ("learning_rate", None, None, None, "value"),
    "nc2_angles": ("nc2_angles", "weight", None, "deviation", "value"),
}


@pytest.mark.parametrize("name", ROWS)
def test_curve_of_a_quantity_holds_the_values_of_its_rows(analysed: Analysed, name):
    *key, column = ROWS[name]
    run = analysed.run[RUN]
    rows = run.curves_of()
    for label, value in zip(("metric", "of", "split", "variant"), key, strict=True):
        rows = rows[rows[label].isna() if value is None else rows[label] == value]
    found = quantities.curve(run, name)
    assert set(found["run"]) == {RUN}
    assert found["epoch"].tolist() == rows["epoch"].tolist()
    np.testing.assert_array_equal(found["value"], rows[column])
    np.testing.assert_array_equal(found["z"], rows["z"])


@pytest.mark.parametrize(
    ("name", "split", "chance", "has_interval"),
    [
        ("agreement", None, 0.0, True),
        ("excess_cosine", None, 0.0, True),
        ("sai_cosine", None, "null_mean", False),
        ("widm", "test", "null_mean", True),
        ("accuracy", "test", 0.01, False),
        ("max_wsi", None, np.nan, False),
    ],
)
def test_curve_has_the_chance_level_and_the_interval_of_its_scale(
    analysed: Analysed, name, split, chance, has_interval
):
    run, entry = analysed.run[RUN], QUANTITIES[name]
    found = quantities.curve(run, name, split)
    rows = quantities.select_frame(run.curves_of(), entry.key(split=split or "test"))
    expected = rows[chance] if isinstance(chance, str) else [chance] * len(rows)
    np.testing.assert_allclose(found["chance"], expected)
    assert found["low"].notna().any() == has_interval
    # A value is as far above chance on the scale of the excess as on its own.
    is_known = found["chance_std"].notna()
    distance = (found["value"] - found["chance"]) / found["chance_std"]
    np.testing.assert_allclose(distance[is_known], found["z"][is_known])


@pytest.mark.parametrize("name", QUANTITIES)
def test_quantity_has_a_chance_level_exactly_if_its_rows_have_one(
    analysed: Analysed, name
):
    entry, found = QUANTITIES[name], quantities.curve(analysed.run[RUN], name)
    has_level = found["chance"].notna().any()
    if entry.metric == quantities.SAI:
        assert not has_level or entry.chance, "some measures need --permutations"
    elif len(found):
        assert has_level == bool(entry.chance)


def test_curve_of_several_runs_has_one_row_per_run_and_epoch(analysed: Analysed):
    found = quantities.curve(analysed.run, "agreement")
    assert set(found["run"]) == set(analysed.run.names)
    assert not found.duplicated(["run", "epoch"]).any()


def test_curve_without_values_is_an_empty_table(analysed: Analysed):
    found = quantities.curve(analysed.run[RUN], "accuracy_top5")
    assert (len(found), tuple(found.columns)) == (0, quantities.CURVE_COLUMNS)


def test_curve_of_a_correlation_without_a_chance_level_has_its_value(make_results):
    results = Results(make_results(2, measures=("kendall", "ssim"), draws=0))
    found = quantities.curve(results, "sai_kendall")
    rows = results.curves.query("variant == 'kendall' and of == 'ncsm,scsm'")
    assert found["value"].tolist() == rows["value"].tolist()
    assert found["chance"].isna().all()
    findings = run_findings(results.path, "run")
    assert findings.measured.name == "sai_kendall"  # SSIM needs 12 classes
    assert findings.alignment is not None
    assert findings.agreement is None


def test_curve_of_an_unknown_name_or_split_raises(analysed: Analysed):
    with raises("unknown-quantity", name="agrement"):
        quantities.curve(analysed.run, "agrement")
    with raises("unknown-split", split="val"):
        quantities.curve(analysed.run, "accuracy", "val")


def test_quantities_have_different_rows_and_trackers():
    keys = [(*entry.key().items(), entry.column) for entry in QUANTITIES.values()]
    assert len(set(keys)) == len(keys)
    trackers = [entry.tracker for entry in QUANTITIES.values() if entry.tracker]
    assert len(set(trackers)) == len(trackers)
    assert next(iter(QUANTITIES)) == "agreement"


def test_every_curve_of_a_panel_belongs_to_a_metric_of_the_table(analysed: Analysed):
    drawn = {metric for panel in quantities.PANELS for metric in panel.metrics}
    assert drawn == {entry.metric for entry in QUANTITIES.values()}
    # Partitions need a second reference, and seeds need repetitions.
    assert drawn <= set(analysed.run.curves["metric"]) | {
        *("variance_partition", *SEED_QUANTITIES),
        *("accuracy_top5", "gap", "nc1", "nc3", "nc4"),
    }


@pytest.mark.parametrize(
    ("rows", "own"),
    [
        ([], "ncsm"),
        ([("wsi", "tncsm", "train")], "tncsm-train"),
        ([("sai", "tncsm-test,scsm", None), ("wsi", "tncsm", "train")], "tncsm-test"),
        ([("sai", "ccsm-test,scsm", None), ("wsi", "ncsm", None)], "ncsm"),
    ],
)
def test_network_matrix_is_the_first_that_a_run_has(rows, own):
    keys = [dict(zip(("metric", "of", "split"), row, strict=True)) for row in rows]
    assert quantities.network_matrix(keys) == own
    assert QUANTITIES["max_wsi"].key(own)["split"] == (own.partition("-")[2] or None)
