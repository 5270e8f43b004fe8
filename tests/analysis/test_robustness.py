"""The agreement by several measures, correlations and pairs of classes."""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import stored
from helpers.table_comparison import write_output, write_run
from scipy import stats

from dsi_cli import open_results, wordnet_csm


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    top = tmp_path_factory.mktemp("robustness")
    return write_output(top / "out", write_run(top / "run"))


def test_agreements_are_those_of_the_stored_matrix(out):
    results = open_results(out)
    found = results.robustness(epoch=1).set_index(["measure", "pairs", "correlation"])
    network = stored(out, "run", "ncsm", 1).astype(float)
    groups = results.classes["group"].to_numpy(dtype=object)
    same = groups[:, None] == groups[None]
    off = ~np.eye(8, dtype=bool)
    masks = {"all": off, "within groups": off & same, "between groups": off & ~same}
    assert set(found["classes_used"]) == {8}
    for measure in ("path", "lch", "wup"):
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


def test_chance_level_of_all_pairs_is_about_zero(out):
    row = open_results(out).robustness().iloc[0]
    assert abs(row["null_mean"]) < 0.1
    assert 0 < row["null_std"] < 0.5


def test_robustness_of_an_unknown_run_raises(out):
    with raises("unknown-run"):
        open_results(out).robustness("none")
