"""The variance partition of a run by its references."""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import stored
from helpers.table_comparison import write_output, write_run

from dsi_cli import analyze, open_results

OFF = ~np.eye(8, dtype=bool)


@pytest.fixture(scope="module")
def two_references(tmp_path_factory):
    """Return the results of a run that was compared with WordNet by two measures."""
    top = tmp_path_factory.mktemp("references")
    run = write_run(top / "run")
    analyze(run, top / "out", references=["path", "wup"], report=False)
    return top / "out"


def r_squared(y, *columns):
    y = y - y.mean()
    x = np.array([np.ones(len(y)), *columns]).T
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - residual @ residual / (y @ y)


def test_variance_partition_is_that_of_the_stored_matrices(two_references):
    results = open_results(two_references)
    found = results.variance_partition(permutations=9)
    names = results.references()
    a, b = (
        results.csm("scsm", reference=name).to_numpy().astype(float)[OFF]
        for name in names
    )
    assert found["epoch"].tolist() == np.repeat([0, 1, 2], 4).tolist()
    for epoch, rows in found.groupby("epoch"):
        shares = rows.set_index("part")["share"]
        y = stored(two_references, "run", "ncsm", epoch).astype(float)[OFF]
        total = r_squared(y, a, b)
        assert shares["total"] == pytest.approx(total, abs=1e-6)
        only = total - r_squared(y, b)
        assert shares[f"only {names[0]}"] == pytest.approx(only, abs=1e-6)
        parts = shares.drop("total").sum()
        assert parts == pytest.approx(total, abs=1e-6)
    assert found["p_value"].notna().sum() == 6
    sentence = found.attrs["sentence"]
    assert sentence.startswith("the references explain")
    assert f"% only {names[1]}" in sentence


def test_variance_partition_of_one_reference_raises(tmp_path):
    out = write_output(tmp_path / "out", write_run(tmp_path / "run"))
    with raises("wrong-references", count=1):
        open_results(out).variance_partition()
