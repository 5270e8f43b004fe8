"""Tables: every form gives the same counts; what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.files import read

NAMES = np.array(["cat", "dog", "aquarium_fish", "7"])
EPOCHS, SAMPLES = 3, 40


@pytest.fixture
def write(tmp_path):
    """Return a function that writes columns as Parquet or CSV, by the name's suffix."""

    def write(name, columns):
        table = pa.table(columns)
        if name.endswith(".parquet"):
            pa.parquet.write_table(table, tmp_path / name)
        else:
            options = pa.csv.WriteOptions(delimiter="\t" if name.endswith(".tsv") else ",")
            pa.csv.write_csv(table, tmp_path / name, options)
        return tmp_path / name

    return write


@pytest.fixture
def columns(targets, predictions):
    return {
        "epoch": np.repeat(np.arange(EPOCHS), SAMPLES),
        "target": np.tile(targets, EPOCHS),
        "prediction": predictions.ravel(),
    }


def renamed(columns, names):
    return {names.get(name, name): values for name, values in columns.items()}


def shuffled(columns):
    order = np.random.default_rng(5).permutation(EPOCHS * SAMPLES)
    return {name: np.asarray(values)[order] for name, values in columns.items()}


FORMS = ["a.parquet", "a.csv", "a.tsv"]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("target", ["target", "Label", "truth", "TRUE", "y_true"])
@pytest.mark.parametrize("prediction", ["prediction", "Pred", "predicted", "y_pred"])
def test_columns_are_known_by_synonyms_in_any_case(write, counts_of, columns, counts, name, target, prediction):
    names = {"epoch": "Epoch", "target": target, "prediction": prediction}
    extra = {"other": ["x"] * (EPOCHS * SAMPLES), **renamed(columns, names), "loss": np.zeros(EPOCHS * SAMPLES)}
    assert_array_equal(counts_of(write(name, extra)), counts)
    assert_array_equal(counts_of(write(name, shuffled(extra))), counts)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    "form",
    [
        lambda codes: NAMES[codes],
        lambda codes: np.char.upper(NAMES[codes]),
        lambda codes: codes.astype(str),
        lambda codes: codes.astype(np.uint8),
        lambda codes: codes.astype(float),
        lambda codes: pa.array(NAMES[codes]).dictionary_encode(),
        lambda codes: pa.array(NAMES[codes].tolist(), pa.large_string()),
    ],
)
def test_labels_are_names_or_numbers(write, counts_of, columns, counts, name, form):
    texts = columns | {what: form(columns[what]) for what in ("target", "prediction")}
    assert_array_equal(counts_of(write(name, texts)), counts)


def test_numbers_in_a_dictionary_are_numbers(write, counts_of, columns, counts):
    coded = columns | {"target": pa.array(columns["target"]).dictionary_encode()}
    assert_array_equal(counts_of(write("a.parquet", coded)), counts)


@pytest.mark.parametrize("name", FORMS)
def test_samples_paths_and_scores_come_in_order_of_the_samples(write, columns, predictions, targets, name):
    samples = np.tile(np.arange(SAMPLES), EPOCHS)
    more = {"sample": samples, "path": [f"{n}.png" for n in samples], "score": samples / 64 + columns["epoch"]}
    found = read(write(name, shuffled(columns | more))).outcomes(range(EPOCHS), 4, NAMES)
    for epoch, outcome in found.items():
        assert_array_equal(outcome.predictions, predictions[epoch])
        assert_array_equal(outcome.targets, targets)
        assert_array_equal(outcome.samples, range(SAMPLES))
        assert_array_equal(outcome.scores, np.arange(SAMPLES) / 64 + epoch)
        assert outcome.paths == [f"{n}.png" for n in range(SAMPLES)]


def test_a_path_and_a_score_may_lack(write, columns):
    more = {"path": pa.array([None, "b.png"] * 60), "score": pa.array([0.5, None] * 60)}
    outcome = read(write("a.parquet", columns | more)).outcomes(range(EPOCHS), 4)[1]
    assert list(outcome.paths[:2]) == [None, "b.png"]
    assert_array_equal(outcome.scores[:2], [0.5, np.nan])


@pytest.mark.parametrize("name", FORMS)
def test_the_truth_may_come_from_a_file(write, save, counts_of, columns, targets, counts, name):
    truth = save("targets.npy", targets)
    samples = {"sample": np.tile(np.arange(SAMPLES), EPOCHS)}
    del columns["target"]
    assert_array_equal(counts_of(write(name, columns), truth), counts)
    assert_array_equal(counts_of(write(name, shuffled(columns | samples)), truth), counts)
    assert_array_equal(counts_of(write(name, columns)), counts)  # the file lies next to it
    truth.unlink()
    with pytest.raises(UsageError, match="epoch 0: expected a target for each prediction, found none"):
        read(write(name, columns))
    with pytest.raises(UsageError, match=r"epoch 0: expected 39 predictions, as targets.npy has targets, found 40"):
        read(write(name, columns), save("targets.npy", targets[1:]))


def test_a_truth_in_two_places_must_agree(write, save, counts_of, columns, targets, counts):
    path = write("a.csv", columns)
    assert_array_equal(counts_of(path, save("targets.npy", targets)), counts)
    targets = targets.copy()
    targets[3] = (targets[3] + 1) % 4
    with pytest.raises(UsageError, match=r"a.csv, epoch 0, row 4: the target is ., and . in targets.npy; give the targets"):
        counts_of(path, save("targets.npy", targets))


@pytest.mark.parametrize("name", FORMS)
def test_rows_of_other_runs_do_not_count(write, counts_of, columns, counts, name):
    both = {what: np.concatenate([values, values[::-1]]) for what, values in columns.items()}
    both["run"] = np.repeat(["cnn", "vit"], EPOCHS * SAMPLES)
    both["prediction"][EPOCHS * SAMPLES :] = 0
    path = write(name, both)
    assert_array_equal(counts_of(path, run="cnn"), counts)
    assert counts_of(path, run="vit")[:, :, 1:].sum() == 0
    assert read(path).source == f"{name} (6 epochs of 2 runs, 40 samples)"
    with pytest.raises(UsageError, match="expected the predictions of one run, found 'cnn', 'vit'; name the run"):
        counts_of(path)
    with pytest.raises(UsageError, match="expected rows of the run 'x', found only 'cnn', 'vit'"):
        counts_of(path, run="x")
    assert_array_equal(counts_of(write(name, columns), run="any"), counts)


@pytest.mark.parametrize("name", FORMS)
def test_one_epoch_needs_no_column(write, counts_of, columns, counts, name):
    one = {what: values[:SAMPLES] for what, values in columns.items() if what != "epoch"}
    path = write(name, one)
    assert_array_equal(counts_of(path, epochs=[9]), counts[:1])
    with pytest.raises(UsageError, match="has no epochs, the run has 3 epochs: add a column 'epoch', or give a folder"):
        counts_of(path)


@pytest.mark.parametrize("name", FORMS)
def test_a_table_of_several_epochs_without_the_column_says_so(write, save, columns, targets, counts, name):
    """What comes twice then is not the fault."""
    remedy = "the column 'epoch' is missing, which is the likely cause: add it$"
    every = {what: values for what, values in columns.items() if what != "epoch"}
    sample = np.tile(np.arange(SAMPLES), EPOCHS)
    with pytest.raises(UsageError, match=f"expected each sample once, found sample 0 twice; {remedy}"):
        read(write(name, every | {"sample": sample}))
    with pytest.raises(UsageError, match=f"expected {SAMPLES} predictions, as t.npy has targets, found 120; {remedy}"):
        read(write(name, {"prediction": every["prediction"]}), save("t.npy", targets))
    _, target, prediction = np.nonzero(counts)
    pairs = {"target": target, "prediction": prediction, "count": counts[counts > 0]}
    with pytest.raises(UsageError, match=f"expected one count a pair of classes, found several of .*; {remedy}"):
        read(write(name, pairs)).outcomes([0], 4, NAMES)
    if name.endswith("parquet"):
        rows = {"class_index": np.tile(np.arange(4), 3), "count": pa.array(counts.reshape(12, 4).tolist())}
        with pytest.raises(UsageError, match=f"expected a row for each class_index .*, found 12 rows .*; {remedy}"):
            read(write(name, rows))


@pytest.mark.parametrize("name", FORMS)
def test_a_row_a_pair_with_its_count(write, counts_of, counts, name):
    epoch, target, prediction = np.nonzero(counts)
    pairs = {"epoch": epoch, "target": NAMES[target], "prediction": prediction, "count": counts[epoch, target, prediction]}
    assert_array_equal(counts_of(write(name, pairs)), counts)
    assert_array_equal(counts_of(write(name, pairs | {"count": pairs["count"].astype(float)})), counts)
    with pytest.raises(UsageError, match=r"column count: expected counts of samples, found 0.5 at row 1"):
        counts_of(write(name, pairs | {"count": pairs["count"] - pairs["count"][0] + 0.5}))
    with pytest.raises(UsageError, match="epoch 0: expected one count a pair of classes, found several of target"):
        counts_of(write(name, pairs | {"epoch": epoch * 0}))


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int32()), pa.list_(pa.float32(), 4)])
def test_the_tables_of_counts_that_dsi_writes_itself(write, counts_of, counts, kind):
    rows = np.random.default_rng(0).permutation(12)
    own = {
        "run": ["cnn"] * 12,
        "split": ["test"] * 12,
        "epoch": np.repeat(np.arange(3), 4)[rows],
        "class_index": np.tile(np.arange(4), 3)[rows],
        "count": pa.array(counts.reshape(12, 4)[rows].tolist(), kind),
    }
    path = write("a.parquet", own)
    assert_array_equal(counts_of(path, run="cnn"), counts)
    assert_array_equal(counts_of(path, truth="columns", epochs=[1])[0], counts[1].T)
    lacking = pa.table(own).filter(pa.array(rows != 2))
    with pytest.raises(UsageError, match=r"epoch 0: expected a row for each class_index from 0 to 3 .*, found 3 rows"):
        read(write("a.parquet", {name: lacking[name] for name in own}))
    for wrong in ([1, 2, 3], None, []):
        lists = [[1, 2, 3, 4]] * 11 + [wrong]
        with pytest.raises(UsageError, match="expected lists of counts, all of one length, found others"):
            read(write("a.parquet", own | {"count": pa.array(lists)}))


GOOD = "epoch,target,prediction\n0,cat,dog\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch,target,prediction\n", "found no rows; write them"),
        ("\n\n", "found an empty file or first line"),
        (
            "image,class\n1.png,cat\n",
            r"expected the columns epoch, target and prediction .* found 2 columns, 'image', 'class'",
        ),
        ("epoch,target\n0,cat\n1,cat\n2,dog\n", "found 2 columns, 'epoch', 'target'; name the columns so"),
        (GOOD + "1,cat\n", "expected a table of 3 columns, found .*Expected 3 columns, got 2: 1,cat; correct it"),
        (GOOD + "1,,cat\n", "row 2: the target is missing"),
        (GOOD + "1,nan,cat\n", "epoch 1, row 2: the target is missing .'nan'"),
        (
            GOOD + "1,horse,cat\n",
            "epoch 1, row 2: the target 'horse' is no class: expected one of the 4 names .'cat', 'dog'",
        ),
        (GOOD + "1,cat,4\n", "epoch 1, row 2: the prediction 4 is no class: expected 0 to 3"),
        (GOOD + "x,cat,cat\n", "column epoch: expected whole numbers, found nan at row 2"),
        (GOOD + ",cat,cat\n", "column epoch: expected whole numbers, found nan at row 2"),
        (GOOD + "1.5,cat,cat\n", "column epoch: expected whole numbers, found 1.5 at row 2"),
        ("epoch,target,target,prediction\n0,1,1,1\n", "expected one column target, found 2; rename the others"),
        ("epoch,target,prediction,sample\n0,1,1,a\n", "found .*invalid value 'a'"),
        ("epoch,target,prediction,sample\n0,1,1,\n", "column sample: expected a value in each row, found none in row 1"),
        ("epoch,target,prediction,sample\n0,1,1,3\n0,1,1,3\n", "epoch 0: expected each sample once, found sample 3 twice"),
        ("epoch,target,prediction,score\n0,1,1,x\n", "found .*invalid value 'x'"),
        (GOOD.encode("utf-16"), "expected text in UTF-8, found other bytes; save it as UTF-8"),
        (GOOD.encode("utf-16-le"), "expected text in UTF-8"),
        (b"epoch,target,prediction\n0,caf\xe9,dog\n", "expected text in UTF-8"),
        (b"\x00\x01\x02", "expected text in UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(save, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(save("a.csv", content)).outcomes([0, 1], 4, NAMES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"target": pa.array([None, 1])},
            "column target: expected a value in each row, found none in row 1; give one, or drop the row",
        ),
        ({"target": pa.array([0.0, np.nan])}, "column target: expected class numbers, found nan at row 2"),
        ({"target": pa.array([[0], [1]])}, "column target: expected class numbers, found values of type object"),
        ({"target": pa.array([b"a", b"b"])}, "column target: expected class numbers, found values of type object"),
        ({"prediction": pa.array([0.0, 0.25])}, "column prediction: expected class numbers, found 0.25 at row 2"),
        ({"prediction": pa.array([0, 2**64 - 1], pa.uint64())}, "column prediction: expected class numbers, found 1.8"),
        ({"epoch": pa.array([0, None])}, "column epoch: expected a value in each row, found none in row 2"),
        ({"path": pa.array([{"a": 1}, {"a": 2}])}, "could not be read"),
        ({"score": pa.array([[1.0], [1.0]])}, "expected numbers in the column score, found others"),
        ({"count": pa.array(["x", "y"])}, "expected numbers in the column count, found others"),
    ],
)
def test_columns_of_other_types_are_refused(write, changed, message):
    columns = {"epoch": [0, 0], "target": [0, 1], "prediction": [0, 1]}
    with pytest.raises(UsageError, match=message) as caught:
        read(write("a.parquet", columns | changed))
    assert "\n" not in str(caught.value)


def test_what_is_no_parquet_file_is_refused(save, write, columns):
    whole = write("a.parquet", columns).read_bytes()
    for content in (b"cat", b"PAR1PAR1", whole[:-9], whole[100:], whole[:4] + b"\xff" * 60 + whole[64:]):
        with pytest.raises(UsageError, match=r"expected a Parquet file, found .*; write it again"):
            read(save("a.parquet", content))
    with pytest.raises(UsageError, match="found 3 columns, 'epoch', 'Target', 'x'; name the columns so"):
        read(write("a.parquet", {"epoch": [1], "Target": [2], "x": [3]}))
    with pytest.raises(UsageError, match=r"expected the columns epoch, target and prediction .*, found 1 columns, 'x'"):
        read(write("a.parquet", {"x": [1]}))
    with pytest.raises(UsageError, match="found no rows"):
        read(write("a.parquet", {"target": pa.array([], pa.int64()), "prediction": pa.array([], pa.int64())}))


def test_a_mark_line_ends_semicolons_and_quotes_are_read(save, counts_of):
    text = '\ufeffEpoch; Target ;"Prediction"\r\n0;"cat";dog\r\n0; dog;"aquarium fish"\r\n'
    found = counts_of(save("a.csv", text), epochs=[0])[0]
    assert (found[0, 1], found[1, 2], found.sum()) == (1, 1, 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(st.sampled_from('0123456789,;\t\n\r" catdogepoch.-'), max_size=60).map(str.encode))
@pytest.mark.parametrize("start", [b"", b"epoch,target,prediction\n", b"target,prediction,count\n"])
def test_any_bytes_are_read_or_refused_in_one_line(save, start, tail):
    try:
        read(save("a.csv", start + tail)).outcomes([0], 4, NAMES)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.integers(0, 1200), st.binary(min_size=1, max_size=4))
def test_a_damaged_parquet_file_is_read_or_refused_in_one_line(write, save, at, change):
    whole = write("a.parquet", {"epoch": [0, 0], "target": ["cat", "dog"], "prediction": [0, 1]}).read_bytes()
    at %= len(whole)
    try:
        read(save("a.parquet", whole[:at] + change + whole[at + len(change) :])).outcomes([0], 4, NAMES)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
