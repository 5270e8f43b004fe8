"""Parquet and CSV with one row per sample, and tables that are refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from helpers.errors import raises
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.files import read_predictions, require_runs

NAMES = np.array(["cat", "dog", "aquarium_fish", "7"])
EPOCHS, SAMPLES = 3, 40
FORMATS = ["a.parquet", "a.csv"]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes columns as Parquet or CSV, by the name's suffix."""

    def write(name, columns):
        table = pa.table(columns)
        (pa.parquet.write_table if name.endswith(".parquet") else pa.csv.write_csv)(
            table, tmp_path / name
        )
        return tmp_path / name

    return write


@pytest.fixture
def columns(targets, predictions):
    epochs = np.repeat(np.arange(EPOCHS), SAMPLES)
    return {
        "epoch": epochs,
        "target": np.tile(targets, EPOCHS),
        "prediction": predictions.ravel(),
    }


def shuffled(columns):
    order = np.random.default_rng(5).permutation(EPOCHS * SAMPLES)
    return {name: np.asarray(values)[order] for name, values in columns.items()}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "form",
    [
        lambda codes: codes,
        lambda codes: NAMES[codes],
        lambda codes: codes.astype(np.uint8),
        lambda codes: pa.array(NAMES[codes]).dictionary_encode(),
        lambda codes: pa.array(NAMES[codes].tolist(), pa.large_string()),
    ],
)
def test_labels_are_names_or_numbers(write, counts_of, columns, counts, name, form):
    texts = {what: form(columns[what]) for what in ("target", "prediction")} | {
        "other": ["x"] * len(columns["epoch"])
    }
    assert_array_equal(counts_of(write(name, columns | texts)), counts)


@pytest.mark.parametrize("name", FORMATS)
def test_samples_paths_and_scores_come_in_order_of_the_samples(
    write, columns, predictions, targets, name
):
    samples = np.tile(np.arange(SAMPLES), EPOCHS)
    more = {
        "sample": samples,
        "path": [f"{n}.png" for n in samples],
        "score": samples / 64 + columns["epoch"],
    }
    found = read_predictions(write(name, shuffled(columns | more))).results(
        range(EPOCHS), 4, NAMES
    )
    for epoch, outcome in found.items():
        assert_array_equal(outcome.predictions, predictions[epoch])
        assert_array_equal(outcome.targets, targets)
        assert_array_equal(outcome.samples, range(SAMPLES))
        assert_array_equal(outcome.scores, np.arange(SAMPLES) / 64 + epoch)
        assert outcome.paths == [f"{n}.png" for n in range(SAMPLES)]


@pytest.mark.parametrize("name", FORMATS)
def test_the_truth_may_come_from_a_file_and_agrees_with_another(
    write, save, counts_of, columns, targets, counts, name
):
    with raises("targets-contradict"):
        counts_of(
            write(name, columns),
            save(
                "targets.npy",
                np.where(np.arange(SAMPLES) == 3, (targets + 1) % 3, targets),
            ),
        )
    truth = save("targets.npy", targets)
    assert_array_equal(counts_of(write(name, columns), truth), counts)
    samples = {"sample": np.tile(np.arange(SAMPLES), EPOCHS)}
    del columns["target"]
    assert_array_equal(counts_of(write(name, columns), truth), counts)
    assert_array_equal(
        counts_of(write(name, shuffled(columns | samples)), truth), counts
    )
    # the file is next to it
    assert_array_equal(counts_of(write(name, columns)), counts)
    lines = "\r\n".join(f"{target}.0" for target in targets)
    assert_array_equal(
        counts_of(write(name, columns), save("truth.txt", f"\ufeff{lines}\n\n")), counts
    )
    truth.unlink()
    with raises("no-targets"):
        read_predictions(write(name, columns))
    with raises("target-count", predictions=40, targets=39):
        read_predictions(write(name, columns), save("targets.npy", targets[1:]))


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_targets_are_a_column_in_the_order_of_the_samples(
    write, save, counts_of, targets, predictions, counts, name
):
    order = np.random.default_rng(0).permutation(len(targets))
    truth = write(name, {"sample": order, "target": NAMES[targets][order]})
    assert_array_equal(counts_of(save("preds.npy", predictions), truth), counts)
    rows = {"prediction": predictions[0], "sample": np.arange(SAMPLES)}
    assert_array_equal(counts_of(write("a.csv", rows), truth, epochs=[0]), counts[:1])
    with raises(
        "targets-contradict"
    ):  # sample 0 is not in this file, and sample 40 not in the truth
        read_predictions(
            write("a.csv", rows | {"sample": np.arange(SAMPLES) + 1}), truth
        )
    paths = np.array([f"{number}.png" for number in range(SAMPLES)])
    truth = write(name, {"path": paths[order], "target": targets[order]})
    rows = {"prediction": predictions[0][order], "path": paths[order]}
    assert_array_equal(counts_of(write("a.csv", rows), truth, epochs=[0]), counts[:1])
    with raises("targets-contradict"):
        read_predictions(
            write("a.csv", {"prediction": predictions[0], "path": paths}), truth
        )
    with raises("missing-column", column="target"):
        read_predictions(save("preds.npy", predictions), write(name, {"sample": order}))


@pytest.mark.parametrize("name", FORMATS)
def test_rows_of_other_runs_do_not_count(write, counts_of, columns, counts, name):
    both = {
        what: np.concatenate([values, values[::-1]]) for what, values in columns.items()
    }
    both["run"] = np.repeat(["cnn", "vit"], EPOCHS * SAMPLES)
    both["prediction"][EPOCHS * SAMPLES :] = 0
    path = write(name, both)
    assert_array_equal(counts_of(path, run="cnn"), counts)
    assert counts_of(path, run="vit")[:, :, 1:].sum() == 0
    with raises("several-runs", runs=["cnn", "vit"]):
        counts_of(path)
    assert read_predictions(path).of_run("x", Path("runs/x")) == {}
    with raises("unknown-run", run="x"):
        require_runs(read_predictions(path), {"x": Path("runs/x")})
    require_runs(read_predictions(path), {"x": Path("runs/x"), "vit": Path("runs/vit")})
    assert_array_equal(counts_of(write(name, columns), run="any"), counts)


@pytest.mark.parametrize("name", FORMATS)
def test_one_epoch_needs_no_column_and_several_do(
    write, save, counts_of, columns, targets, counts, name
):
    every = {what: values for what, values in columns.items() if what != "epoch"}
    path = write(name, {what: values[:SAMPLES] for what, values in every.items()})
    assert_array_equal(counts_of(path, epochs=[9]), counts[:1])
    with raises("epoch-count", epochs=3):
        counts_of(path)
    with raises("repeated-sample", sample=0):
        read_predictions(
            write(name, every | {"sample": np.tile(np.arange(SAMPLES), EPOCHS)})
        )
    with raises("target-count", predictions=120):
        read_predictions(
            write(name, {"prediction": every["prediction"]}), save("t.npy", targets)
        )


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("target", "prediction"),
    [
        *(
            ("y_true", "y_pred"),
            ("true", "pred"),
            ("label", "prediction"),
            ("target", "y_pred"),
            ("y_test", "y_pred"),
        ),
        *(
            ("True Label", "Predicted Label"),
            ("ground_truth", "preds"),
            ("actual_class", "predicted_class"),
        ),
    ],
)
def test_columns_with_other_names_are_read(
    write, counts_of, columns, counts, name, target, prediction
):
    table = {
        "idx": np.arange(120) % 7,
        target: columns["target"],
        prediction: columns["prediction"],
        "Epoch": columns["epoch"],
    }
    assert_array_equal(
        counts_of(write(name, table | {"confidence": np.full(120, 0.5)})), counts
    )


def test_the_exact_name_of_a_column_comes_before_others(
    write, counts_of, columns, counts
):
    others = {"label": ["x"] * 120, "y_pred": columns["prediction"][::-1]}
    assert_array_equal(counts_of(write("a.csv", others | columns)), counts)
    table = {
        "label": ["x"] * 120,
        "y_true": columns["target"],
        "pred": columns["prediction"],
        "epoch": columns["epoch"],
    }
    assert_array_equal(counts_of(write("a.csv", table)), counts)


@pytest.mark.parametrize("shift", [-1, 1])
def test_epochs_that_all_differ_by_one_are_refused(
    write, counts_of, columns, counts, shift
):
    table = columns | {"epoch": np.asarray(columns["epoch"]) + shift}
    with raises("shifted-epochs"):
        counts_of(write("a.csv", table))
    # An epoch that the run lacks, among those that it has
    assert_array_equal(
        counts_of(write("a.csv", table), epochs=[shift, shift + 1]), counts[:2]
    )


def test_one_epoch_with_the_samples_of_several_trainings_is_refused(write, targets):
    table = {
        "seed": np.repeat([0, 1], len(targets)),
        "y_true": np.tile(targets, 2),
        "y_pred": np.tile(targets, 2),
    }
    with raises("repeated-targets", times=2):
        read_predictions(write("a.csv", table)).last_epoch([1, 2, 3], [1, 2, 3], "run")
    counted = {"y_true": np.resize(np.arange(4), 40), "y_pred": np.zeros(40, dtype=int)}
    assert (
        read_predictions(write("a.csv", counted)).last_epoch(
            [1, 2, 3], [1, 2, 3], "run"
        )
        == 3
    )


GOOD = "epoch,target,prediction\n0,cat,dog\n"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        *(("epoch,target,prediction\n", "empty-table"), ("", "table-not-readable")),
        *(
            (GOOD + "x,cat,cat\n", "table-not-readable"),
            (GOOD.encode("utf-16"), "table-not-readable"),
        ),
        *(
            (b"target,prediction\ncaf\xe9,dog\n", "table-not-readable"),
            ("target,p0,p1,p2\n2,0,.1,.9\n", "missing-column"),
        ),
        *(
            ("image,class\n1.png,cat\n", "missing-column"),
            ("epoch;target;prediction\n0;cat;dog\n", "missing-column"),
        ),
        *(
            (",cat,dog\ncat,5,\ndog,0,6\n", "missing-column"),
            (",cat,dog\ncat,5,1\ndog,0,6\n", "epoch-count"),
        ),
        *(
            ("target,prediction,count\n0,1,20\n", "count-column"),
            (GOOD + "1,,cat\n", "unknown-class"),
        ),
        *(
            (GOOD + "1,horse,cat\n", "unknown-class"),
            (GOOD + ",cat,cat\n", "missing-value"),
        ),
        *(
            (GOOD + "1.5,cat,cat\n", "column-type"),
            ("epoch,target,target,prediction\n0,1,1,1\n", "repeated-column"),
        ),
        ("epoch,target,prediction,sample\n0,1,1,3\n0,1,1,3\n", "repeated-sample"),
        (
            "epoch,target,prediction" + "\n0,1,1\n0,2,1\n1,1,1\n1,2,1" * 2,
            "repeated-epoch",
        ),
    ],
)
def test_results_of_another_csv_file_raise(save, content, code):
    with raises(code, UsageError) as caught:
        read_predictions(save("a.csv", content)).results([0, 1], 4, NAMES)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        *(
            ({"target": pa.array([None, 1])}, "missing-value"),
            ({"epoch": pa.array([0, None])}, "missing-value"),
        ),
        *(
            ({"target": pa.array([0.0, np.nan])}, "column-type"),
            ({"target": pa.array([False, True])}, "column-type"),
        ),
        ({"prediction": pa.array([0.0, 0.25])}, "column-type"),
        ({"prediction": pa.array([0, 2**64 - 1], pa.uint64())}, "column-type"),
        ({"path": pa.array([{"a": 1}, {"a": 2}])}, "column-type"),
    ],
)
def test_read_predictions_with_columns_of_other_types_raises(write, changed, code):
    columns = {"epoch": [0, 0], "target": [0, 1], "prediction": [0, 1]}
    with raises(code, UsageError, column=next(iter(changed))):
        read_predictions(write("a.parquet", columns | changed))


def test_read_predictions_of_a_damaged_or_other_parquet_file_raises(
    save, write, columns
):
    whole = write("a.parquet", columns).read_bytes()
    for content in (
        b"",
        b"cat",
        b"PAR1PAR1",
        whole[:-9],
        whole[100:],
        whole[:4] + b"\xff" * 60 + whole[64:],
    ):
        with raises("table-not-readable"):
            read_predictions(save("a.parquet", content))
    with raises("missing-column", column="prediction"):
        read_predictions(write("a.parquet", {"epoch": [1], "Target": [2], "x": [3]}))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=40,
)
@given(st.integers(0, 1200), st.binary(min_size=1, max_size=4))
def test_a_changed_parquet_file_is_read_or_refused_in_one_line(write, save, at, change):
    whole = write(
        "a.parquet", {"epoch": [0, 0], "target": ["cat", "dog"], "prediction": [0, 1]}
    ).read_bytes()
    at %= len(whole)
    try:
        read_predictions(
            save("a.parquet", whole[:at] + change + whole[at + len(change) :])
        ).results([0], 4, NAMES)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
