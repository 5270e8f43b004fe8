"""What the page shows of each class: its agreement with the references, and the
geometry of its vector.
"""

import numpy as np
import pytest
from helpers.outputs import stored, stored_reference

from dsi_cli.queries import findings
from dsi_cli.report import classes, page_data
from dsi_cli.store.results import Results


@pytest.fixture
def several(make_results):
    """Return the results of a run with two references; the main one is not the first by
    name.
    """
    return make_results(6, references=("wup", "path"))


def test_class_agreements_are_the_correlations_of_each_row_at_each_epoch(make_results):
    out = make_results()
    by_epoch = classes.class_agreements(Results(out), "run", 1)
    assert [(found["epoch"], found["of"]) for found in by_epoch] == [
        (epoch, "ncsm") for epoch in range(4)
    ]
    scsm, _ = stored_reference(out, "run")
    for found in by_epoch:
        own = stored(out, "run", "ncsm", found["epoch"])
        assert len(found["classes"]) == len(own)
        assert found["classes"] == sorted(found["classes"], key=lambda row: row[1])
        for index, pearson, z in found["classes"]:
            rest = np.arange(len(own)) != index
            assert pearson == pytest.approx(
                np.corrcoef(own[index, rest], scsm[index, rest])[0, 1], abs=1e-4
            )
            assert z == pytest.approx(pearson * np.sqrt(len(own) - 2), abs=1e-3)


def test_class_agreements_of_many_runs_are_those_of_few_epochs(make_results):
    by_epoch = classes.class_agreements(
        Results(make_results(6)), "run", classes.MAX_AGREEMENTS
    )
    assert [found["epoch"] for found in by_epoch] == [0, 5]


def test_class_agreements_without_labels_are_empty(make_results):
    assert classes.class_agreements(Results(make_results(labels=None)), "run", 1) == []


def test_class_agreement_with_several_references_uses_the_main_one(several):
    run = Results(several)
    found = page_data.page_data(run)
    main, other = run.references("run")
    assert (main, other) == ("wordnet3.0-wup", "wordnet3.0-path")
    assert [matrix["title"] for matrix in found.data["runs"][0]["matrices"]] == [
        "Network’s similarity",
        f"WordNet, {main}",
        f"WordNet, {other}",
    ]
    rows = run.alignment_by_class.query(
        "reference == @main and epoch == 5 and class_index.notna()"
    )
    told = {
        index: pearson
        for index, pearson, _ in found.data["runs"][0]["agreement"][-1]["classes"]
    }
    assert told == pytest.approx(
        dict(zip(rows["class_index"], rows["pearson"], strict=True)), abs=1e-4
    )
    series = found.data["curves"]["sai"]["cosine"]["series"]
    assert {one["label"]: one["isMain"] for one in series} == {
        f"SAI(NCSM, SCSM), {main}": True,
        "SAI(NCSM, SCSM)": False,
    }
    agreement = run.curves.query(
        "metric == 'sai' and variant == 'pearson' and reference == @main"
    )["value"]
    trend = findings.run_findings(several, "run").agreement
    assert trend.last.value == agreement.iloc[-1]
