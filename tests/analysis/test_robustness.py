"""The agreement by several measures, correlations and pairs of classes."""

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from helpers.outputs import stored
from helpers.table_comparison import write_output, write_run
from scipy import stats

from dsi_cli import open_results, wordnet_csm
from dsi_cli.analysis.robustness import compared_choices, main_measure_first
from dsi_cli.queries.comparison.compare import compare
from dsi_cli.wordnet.database.taxonomy import load


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    top = tmp_path_factory.mktemp("robustness")
    return write_output(top / "out", write_run(top / "run"))


def coarse_groups(synsets):
    """Return the hypernym of each synset at the first level of its longest path at
    which none holds more than two thirds of the classes.
    """
    taxonomy = load()
    chains = []
    for synset in synsets:
        chain = [taxonomy.node(synset)]
        while parents := taxonomy.parents_of(chain[-1]):
            chain.append(max(parents, key=lambda node: taxonomy.depths[node]))
        chains.append(chain[::-1])
    level = 1
    while True:
        found = [chain[min(level, len(chain) - 1)] for chain in chains]
        if max(map(found.count, found)) <= 2 / 3 * len(found):
            return np.array(found)
        level += 1


def test_agreements_are_those_of_the_stored_matrix(out):
    results = open_results(out)
    found = results.robustness(epoch=1).set_index(["measure", "pairs", "correlation"])
    network = stored(out, "run", "ncsm", 1).astype(float)
    groups = coarse_groups(results.classes["synset"])
    same = groups[:, None] == groups[None]
    off = ~np.eye(8, dtype=bool)
    assert len(set(groups)) > 1
    masks = {"all": off, "within groups": off & same, "between groups": off & ~same}
    assert set(found["classes_used"]) == {8}
    for measure in ("path", "lch", "wup", "lin"):
        reference = wordnet_csm(results.classes["synset"].tolist(), measure).to_numpy()
        ranks = [np.zeros((8, 8)) for _ in range(2)]
        for rank, csm in zip(ranks, (network, reference), strict=True):
            rank[off] = stats.rankdata(csm[off].astype(np.float32))
        for pairs, mask in masks.items():
            if not mask.sum() or np.ptp(reference[mask]) == 0:
                continue
            value = found.loc[measure, pairs, "pearson"]["agreement"]
            expected = np.corrcoef(network[mask], reference[mask])[0, 1]
            assert value == pytest.approx(expected, abs=1e-6)
            value = found.loc[measure, pairs, "spearman"]["agreement"]
            expected = np.corrcoef(ranks[0][mask], ranks[1][mask])[0, 1]
            assert value == pytest.approx(expected, abs=0.02)


def test_interval_of_the_main_row_is_that_of_the_curve(out):
    row = open_results(out).robustness().iloc[0]
    curve = open_results(out).curve("agreement").set_index("epoch").loc[2]
    assert row["agreement"] == pytest.approx(curve["value"], abs=1e-6)
    assert (row["low"], row["high"]) == pytest.approx((curve["low"], curve["high"]))
    assert not row["differs"]


def test_conclusions_that_change_sign_or_significance_differ(out):
    found = open_results(out).robustness()
    main = found.iloc[0]
    for row in found.to_dict("records"):
        signs = np.sign([row["agreement"], main["agreement"]])
        excludes = [one["low"] > 0 or one["high"] < 0 for one in (row, main)]
        expected = signs[0] != signs[1] or excludes[0] != excludes[1]
        assert row["differs"] == expected


def test_main_row_has_the_chance_level_of_the_curve(out):
    row = open_results(out).robustness().iloc[0]
    curve = open_results(out).curve("agreement").set_index("epoch").loc[2]
    assert row["null_mean"] == 0
    assert row["null_std"] == pytest.approx(curve["chance_std"])
    assert row["z"] == pytest.approx(curve["z"], rel=1e-5)


def test_stored_table_is_that_of_the_last_epoch(out):
    stored_table = pd.read_parquet(out / "robustness.parquet")
    expected = open_results(out).robustness()
    assert set(stored_table["epoch"]) == {2}
    for name in expected:
        if expected[name].dtype == float:
            np.testing.assert_allclose(stored_table[name], expected[name], atol=1e-6)
        else:
            assert stored_table[name].tolist() == expected[name].tolist()


def test_groups_of_the_panel_are_those_of_the_quantities(out):
    results = open_results(out)
    rows = results.robustness().set_index(["measure", "pairs", "correlation"])
    for name, pairs in (("within", "within groups"), ("between", "between groups")):
        curve = results.curve(f"agreement_{name}").set_index("epoch")["value"]
        found = rows.loc[("path", pairs, "pearson"), "agreement"]
        assert found == pytest.approx(curve[2], abs=1e-6)


def test_main_measure_of_another_reference_comes_first():
    assert main_measure_first("wordnet3.0-wup")[0] == "wup"
    assert main_measure_first("human")[0] == "path"


def test_compared_choices_start_with_the_main_criterion(tmp_path):
    runs = [write_run(tmp_path / name, seed=k) for k, name in enumerate("ab")]
    found = compare([write_output(tmp_path / "out", *runs)])
    (equal,) = found.equal
    rows = compared_choices(equal)
    main = equal.main.set_index("quantity").loc["sai_pearson"]
    assert rows[0]["difference"] == pytest.approx(main["difference"], abs=1e-6)
    a, b = rows[0]["low"], rows[0]["high"]
    assert (a + b) / 2 == pytest.approx(main["difference"], abs=1e-6)
    assert {row["measure"] for row in rows} == {"path", "lch", "wup", "lin"}


def test_compared_choices_of_seeds_have_the_joint_interval(tmp_path):
    names = ("a_seed0", "a_seed1", "a_seed2", "b_seed0", "b_seed1", "b_seed2")
    runs = [write_run(tmp_path / name, seed=k) for k, name in enumerate(names)]
    found = compare([write_output(tmp_path / "out", *runs)], group="seed")
    (equal,) = found.equal
    row = compared_choices(equal)[0]
    result = next(
        one["result"] for one in equal.main_rows if one["quantity"] == "sai_pearson"
    )
    assert (row["low"], row["high"]) == pytest.approx(result.interval(0.95), abs=1e-5)


def test_robustness_of_an_unknown_run_raises(out):
    with raises("unknown-run"):
        open_results(out).robustness("none")
