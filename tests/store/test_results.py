"""What a notebook reads of an output's answers: counts, samples, typicality."""

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from helpers.oracles_testset import confusion
from helpers.outputs import ANIMALS, heads, save_head
from numpy.testing import assert_array_equal

import dsi_cli
from dsi_cli.errors import UsageError
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CONFUSIONS, PREDICTIONS


def answered(folder, classes, labels, *, epochs, answered_epochs, steps=(None,)):
    """Make a run of a few checkpoints with predictions of some of its epochs; return
    where these lie, and both arrays.
    """
    for epoch, weight in enumerate(heads(epochs, classes=classes)):
        for step in steps:
            named = {} if step is None else {"global_step": step + 100 * epoch}
            name = (
                f"epoch_{epoch}.pt" if step is None else f"epoch_{epoch}_step_{step}.pt"
            )
            save_head(
                folder / name,
                weight + (step or 0),
                epoch=epoch,
                **named,
            )
    if labels is not None:
        (folder / "classes.txt").write_text("\n".join(labels), encoding="utf-8")
    rng = np.random.default_rng(classes)
    predictions = rng.integers(0, classes, (len(answered_epochs), 50))
    targets = np.concatenate(
        [np.arange(classes), rng.integers(0, classes, 50 - classes)]
    )
    path = folder.with_suffix(".npz")
    np.savez(
        path, predictions=predictions, targets=targets, epochs=np.array(answered_epochs)
    )
    return dsi_cli.Evaluation(predictions=str(path)), predictions, targets


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """Return an output of a run of 8 classes and one of 4 without labels, and what each
    was given.
    """
    folder, given = tmp_path_factory.mktemp("runs"), {}
    for name, classes, labels in (("animals", 8, ANIMALS), ("letters", 4, None)):
        evaluation, *arrays = answered(
            folder / name, classes, labels, epochs=4, answered_epochs=[0, 2]
        )
        given[name] = arrays
        dsi_cli.analyze(folder / name, folder / "out", draws=0, evaluation=evaluation)
    return Results(folder / "out"), given


@pytest.mark.parametrize(
    ("name", "classes", "labels"), [("animals", 8, ANIMALS), ("letters", 4, range(4))]
)
@pytest.mark.parametrize(("row", "epoch"), [(0, 0), (1, 2)])
def test_counts_are_square_labelled_and_exact_and_predictions_are_those_given(
    row, epoch, name, classes, labels, of_two
):
    run, given = of_two
    predictions, targets = given[name]
    found = run.confusion(epoch, run=name)
    assert_array_equal(found, confusion(targets, predictions[row], classes))
    assert found.dtypes.unique() == [np.int64]
    assert list(found.index) == list(found.columns) == list(labels)
    assert found.index.name == "class"
    found = run.predictions(epoch, run=name)
    assert list(found.columns) == [column.name for column in PREDICTIONS.columns]
    assert_array_equal(found["prediction"], predictions[row])
    assert_array_equal(found["target"], targets)
    assert_array_equal(found["sample"], np.arange(50))
    assert (set(found["run"]), set(found["split"])) == ({name}, {"test"})


@pytest.mark.parametrize(
    "table", ["curves", "classes", "checkpoints", "geometry", "typicality"]
)
def test_rows_of_are_the_rows_of_one_run_and_none_of_an_empty_table(table, of_two):
    run, frame = of_two[0], getattr(of_two[0], table)
    for name in run:
        pd.testing.assert_frame_equal(
            run.rows_of(table, name), frame[frame["run"] == name]
        )


def test_csm_without_a_split_is_that_of_the_test_split(of_two):
    run, _ = of_two
    csm = run.csm("ccsm", 0, "test", "letters")
    pd.testing.assert_frame_equal(run.csm("ccsm", 0, run="letters"), csm)
    assert_array_equal(
        run.csm("ccsm", np.int64(0), run="letters", rows=np.int64(2)), csm.iloc[[2]]
    )


def test_each_table_of_runs_with_other_classes_is_one_dataset(of_two):
    run, _ = of_two
    of_each_epoch = {
        (name, epoch): 50 for name in ("animals", "letters") for epoch in (0, 2)
    }
    counts = pd.read_parquet(run.path / "confusions")
    assert list(counts.columns) == [column.name for column in CONFUSIONS.columns]
    assert counts["count"].map(len).groupby(counts["run"]).unique().map(
        list
    ).to_dict() == {"animals": [8], "letters": [4]}
    assert (
        counts["count"]
        .map(sum)
        .groupby([counts["run"], counts["epoch"]])
        .sum()
        .to_dict()
        == of_each_epoch
    )
    assert (
        pd.read_parquet(run.path / "predictions")
        .groupby(["run", "epoch"])
        .size()
        .to_dict()
        == of_each_epoch
    )
    kinds = (
        pd.read_parquet(run.path / "csms")
        .groupby(["run", "kind"])["epoch"]
        .nunique()
        .to_dict()
    )
    assert kinds == {
        (name, kind): count
        for name in ("animals", "letters")
        for kind, count in (("ncsm", 4), ("ccsm", 2))
    }
    assert set(
        pd.read_parquet(run.path / "confusions", filters=[("run", "==", "letters")])[
            "epoch"
        ]
    ) == {0, 2}


@pytest.mark.parametrize(
    ("call", "code", "message"),
    [
        (lambda run: run.confusion(0), "ambiguous-run", None),
        (lambda run: run.predictions(0, run="cats"), "unknown-run", None),
        (
            lambda run: run.epochs("leters"),
            "unknown-run",
            r"no run 'leters': .* has 2 runs: animals, letters",
        ),
        (lambda run: run[0], "unknown-run", "no run 0: "),
        (lambda run: run.csm("ccsm", 1, "test", run="letters"), "unknown-matrix", None),
        (
            lambda run: run.csm("ncms", 0, run="letters"),
            "unknown-matrix",
            "its matrices ccsm-test, ncsm; try ncsm",
        ),
        (
            lambda run: run.csm(2, run="letters"),
            "unknown-kind",
            "for an epoch write epoch=2$",
        ),
        (lambda run: run.csm(None, run="letters"), "unknown-kind", None),
        (lambda run: run.predictions(1, run="letters"), "no-predictions", None),
        (
            lambda run: run.confusion(0, "train", run="letters"),
            "no-confusions",
            "with --predictions or --train",
        ),
        (lambda run: run.confusion(2, run="letters", step=7), "no-confusions", None),
        *(
            (
                lambda run, it=it: run.confusion(0, it, "letters"),
                "unknown-split",
                "or train",
            )
            for it in ("../x", "", None)
        ),
        *(
            (
                lambda run, it=it: run.csm("ncsm", it, run="letters"),
                "not-an-epoch",
                None,
            )
            for it in (0.5, "last", np.nan)
        ),
        (
            lambda run: run.csm("ncsm", 0, run="letters", rows="dog"),
            "unknown-class",
            "no class 'dog'",
        ),
        (
            lambda run: run.csm(run="letters", rows=[False, True]),
            "unknown-class",
            "no class False",
        ),
        (lambda run: run.csm(run="letters", rows=[1.5]), "unknown-class", None),
    ],
)
def test_results_without_what_is_asked_for_raise_and_name_what_exists(
    call, code, message, of_two
):
    with pytest.raises(UsageError, match=message) as error:
        call(of_two[0])
    assert error.value.code == code


def test_the_answers_of_an_earlier_save_are_read_by_its_step(tmp_path):
    evaluation, predictions, targets = answered(
        tmp_path / "run", 4, None, epochs=2, answered_epochs=[0, 1], steps=(10, 20)
    )
    run = dsi_cli.analyze(
        tmp_path / "run",
        tmp_path / "out",
        draws=0,
        measures=["mae"],
        evaluation=evaluation,
    )
    assert_array_equal(run.confusion(1), confusion(targets, predictions[1], 4))
    with pytest.raises(
        UsageError,
        match=(
            r"^no confusions of epoch 1-77 on test in run 'run': there are 0, 1; dsi"
            r" analyze"
        ),
    ):
        run.confusion(1, step=77)


@pytest.mark.parametrize("name", ["curves", "classes", "checkpoints", "facts"])
def test_table_has_the_rows_of_the_frame_for_polars_and_duckdb(name, of_two):
    polars, duckdb = (
        pytest.importorskip(package, reason="reads Arrow tables")
        for package in ("polars", "duckdb")
    )
    results, _ = of_two
    runs = [results, results[results.names[0]]]
    for one in runs:
        table_, frame = one.table(name), getattr(one, name)
        assert table_.column_names == list(frame)
        pd.testing.assert_frame_equal(
            table_.to_pandas(), frame, check_dtype=False, check_column_type=False
        )
        assert hasattr(table_, "__arrow_c_stream__")
        assert polars.DataFrame(table_)["run"].to_list() == frame["run"].to_list()
        counted = duckdb.sql("SELECT count(*) FROM table_").fetchall()
        assert counted == [(len(frame),)]


def test_table_of_an_unknown_name_raises_unknown_table(of_two):
    with raises("unknown-table", UsageError, table="curve"):
        of_two[0].table("curve")
