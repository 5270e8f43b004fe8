"""Analyses whose intervals are over clusters of classes."""

import numpy as np
import pytest
from helpers import oracles
from helpers.errors import raises
from helpers.outputs import ANIMALS, stored
from helpers.table_comparison import write_run
from scipy import stats

from dsi_cli import analyze

PAIRS = dict(zip(ANIMALS, ["a", "a", "b", "b", "c", "c", "d", "e"], strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("clusters") / "run")


@pytest.fixture(scope="module")
def file(run):
    path = run.parent / "clusters.csv"
    lines = [f"{name},{cluster}\n" for name, cluster in PAIRS.items()]
    path.write_text("name,superclass\n" + "".join(lines))
    return path


@pytest.fixture(scope="module")
def results(run, file):
    out = run.parent / "out"
    analyze(run, out, clusters=file, report=False)
    return analyze(run, out, report=False)  # the setting is kept


def agreement_without_clusters(out, measure):
    network = stored(out, "run", "ncsm", 2).astype(float)
    reference = stored_reference(out)
    clusters = np.array(list(PAIRS.values()))
    found = []
    for cluster in np.unique(clusters):
        kept = np.ix_(clusters != cluster, clusters != cluster)
        found.append(oracles._excess_of(network[kept], reference[kept], measure))
    return network, reference, np.array(found)


def stored_reference(out):
    from dsi_cli import open_results

    return open_results(out).csm("scsm").to_numpy().astype(float)


def test_interval_of_cosine_leaves_out_one_cluster_at_a_time(results):
    network, reference, without = agreement_without_clusters(results.path, "cosine")
    value = oracles._excess_of(network, reference, "cosine")
    error = np.sqrt(4 / 5 * np.square(without - without.mean()).sum())
    half = stats.t.ppf(0.975, 4) * error
    row = results.curve("excess_cosine").query("epoch == 2").iloc[0]
    assert row["value"] == pytest.approx(value, abs=1e-5)
    assert row["low"] == pytest.approx(max(value - half, -1), abs=1e-4)
    assert row["high"] == pytest.approx(min(value + half, 1), abs=1e-4)


def test_interval_of_the_agreement_lies_between_half_and_all_of_the_jackknife(results):
    _, _, without = agreement_without_clusters(results.path, "pearson")
    variance = 4 / 5 * np.square(without - without.mean()).sum()
    row = results.curve("agreement").query("epoch == 2").iloc[0]
    low, high = np.arctanh([row["low"], row["high"]])
    error = (high - low) / 2 / stats.t.ppf(0.975, 4) * (1 - row["value"] ** 2)
    assert variance / 2 <= error**2 * 1.001
    assert error**2 <= variance * 1.001


def test_values_and_chance_levels_do_not_depend_on_clusters(results, run):
    over_classes = analyze(run, run.parent / "plain", report=False)
    for name in ("agreement", "excess_cosine", "agreement_within"):
        found, expected = results.curve(name), over_classes.curve(name)
        for column in ("value", "chance_std"):
            np.testing.assert_array_equal(found[column], expected[column])
    found, expected = results.curve("agreement"), over_classes.curve("agreement")
    assert (found["low"] != expected["low"]).all()


def test_robustness_has_the_interval_over_clusters(results):
    row = results.robustness(clusters=str(results.path.parent / "clusters.csv"))
    curve = results.curve("agreement").query("epoch == 2").iloc[0]
    assert row.iloc[0]["low"] == pytest.approx(curve["low"], abs=1e-6)


def test_clusters_none_gives_intervals_over_classes_again(run, file):
    out = run.parent / "again"
    analyze(run, out, clusters=file, report=False)
    found = analyze(run, out, clusters="none", report=False)
    expected = analyze(run, run.parent / "expected", report=False)
    np.testing.assert_array_equal(
        found.curve("agreement")["low"], expected.curve("agreement")["low"]
    )


@pytest.mark.parametrize(
    ("clusters", "code"),
    [("nosuch", "unknown-clusters"), ("superclass", "no-superclasses")],
)
def test_wrong_clusters_raise_before_anything_is_written(run, clusters, code):
    out = run.parent / f"wrong-{clusters}"
    with raises(code):
        analyze(run, out, clusters=clusters, report=False)
    assert not (out / "curves.parquet").exists()
