"""NPY and NPZ: arrays of predictions and counts, and files that are refused in one line without being unpickled."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions import numpy_files
from dsi_cli.predictions.files import read_predictions

NAMES = np.array(["cat", "dog", "aquarium_fish", "7"])
P = np.arange(15).reshape(3, 5) % 4
T = np.arange(5) % 4


@pytest.mark.parametrize("dtype", ["u1", "i8", ">i2", "f4", "f8"])
def test_predictions_of_every_type_give_the_counts(save, counts_of, targets, predictions, counts, dtype):
    truth = save("targets.npy", targets.astype(dtype))
    assert_array_equal(counts_of(save("preds.npy", predictions.astype(dtype)), truth), counts)
    assert_array_equal(counts_of(save("preds.npy", np.asfortranarray(predictions.astype(dtype))), truth), counts)
    assert_array_equal(counts_of(save("preds.npy", predictions[1].astype(dtype)), truth, epochs=[5]), counts[1:2])
    assert_array_equal(counts_of(save("preds.npy", NAMES[predictions]), truth), counts)
    assert_array_equal(counts_of(save("preds.npy", NAMES.astype("S")[predictions]), truth), counts)


def test_an_npz_holds_targets_epochs_and_scores(save, counts_of, targets, predictions, counts):
    scores = np.random.default_rng(3).random(predictions.shape)
    arrays = {"predictions": predictions, "targets": targets, "scores": scores, "epochs": [2, 0, 7], "other": np.zeros(3)}
    found = read_predictions(save("preds.npz", arrays)).results([0, 1, 2], 4)
    assert list(found) == [0, 2]
    assert_array_equal(found[0].predictions, predictions[1])
    assert_array_equal(found[2].scores, scores[0])
    assert_array_equal(found[2].targets, targets)
    assert found[0].samples is None
    with pytest.raises(UsageError, match=r"expected epochs of the run \(3, 4\), found 2, 0, 7, none in common"):
        read_predictions(save("preds.npz", arrays)).results([3, 4], 4)
    assert_array_equal(counts_of(save("preds.npz", {"predictions": predictions, "targets": [targets] * 3})), counts)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_confusion_counts_have_three_axes_in_an_npy_and_a_name_in_an_npz(save, counts_of, counts, dtype):
    assert_array_equal(counts_of(save("cm.npy", counts.astype(dtype))), counts)
    arrays = {"confusions": counts[::-1].astype(dtype), "epochs": [2, 1, 0]}
    assert_array_equal(counts_of(save("cm.npz", arrays)), counts)


def test_counts_with_the_truth_on_columns_are_transposed(save, counts_of, counts):
    path = save("cm.npy", counts.transpose(0, 2, 1))
    assert_array_equal(counts_of(path, truth="columns"), counts)
    assert read_predictions(path, truth="columns").source == "cm.npy (3 epochs, confusion counts; columns are the truth)"
    with pytest.raises(
        UsageError, match=r"they differ along the rows and are the same along the other axis.*--truth columns$"
    ):
        counts_of(path)
    with pytest.raises(UsageError, match=r"they differ along the columns .*; give --truth rows$"):
        counts_of(save("cm.npy", counts), truth="columns")


def test_counts_that_differ_along_both_axes_are_read(save, counts_of, counts):
    drifting = counts * np.array([1, 2, 3])[:, None, None]
    assert_array_equal(counts_of(save("cm.npy", drifting)), drifting)


def test_counts_are_checked_against_targets(save, counts_of, targets, counts):
    truth = save("t.npy", targets)
    right, transposed = save("cm.npy", counts[:1]), save("transposed.npy", counts[:1].transpose(0, 2, 1))
    assert_array_equal(counts_of(right, truth, epochs=[0]), counts[:1])
    assert (
        read_predictions(right, truth).source
        == "cm.npy (1 epoch, confusion counts; rows are the truth), checked against t.npy"
    )
    with pytest.raises(
        UsageError, match=r"row 0: expected as many samples of each class as the targets in t.npy have, found"
    ):
        counts_of(transposed, truth, epochs=[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            P[None, None],
            r"expected predictions \(epochs, samples\) or confusions .*; found 'predictions' \(1, 1, 3",
        ),
        (np.zeros((2, 3, 4)), r"found 'confusions' \(2, 3, 4\)"),
        (np.zeros((3, 0, 0)), r"found 'confusions' \(3, 0, 0\)"),
        (np.zeros((2, 0)), r"found 'predictions' \(2, 0\)"),
        (np.array(3), r"found 'predictions' \(\)"),
        (P / 2, r"predictions: expected class numbers, such as scores.argmax\(axis=-1\); found 0.5; save others"),
        (P + np.nan, "predictions: expected class numbers, .*; found nan"),
        (P.astype("M8[s]"), r"cannot be read \(neither numbers nor text but datetime64\[s\]\)"),
        (
            np.zeros((1, 2, 2)) + 0.5,
            "confusions: expected counts of samples, which are not rates or normalised rows; found 0.5",
        ),
        (np.zeros((1, 2, 2)) - 1, "confusions: expected counts of samples, found -1"),
        (np.array([[b"\xff\xfe"]]), "expected class names in UTF-8, found other bytes"),
        ({}, r"found no array; save such arrays with numpy.save or numpy.savez$"),
        ({"a": P, "b": T}, r"found 'a' \(3, 5\), 'b' \(5,\); save"),
        ({"predictions": P, "confusions": P}, r"found 'predictions' \(3, 5\), 'confusions' \(3, 5\)"),
        ({"confusions": P}, r"found 'confusions' \(3, 5\)"),
        ({"predictions": P}, "expected a target for each prediction, found none; give them with --targets"),
        ({"predictions": P, "targets": T[:3]}, r"found 'predictions' \(3, 5\), 'targets' \(3,\)"),
        ({"predictions": P, "targets": T * np.nan}, "targets: expected class numbers, .*; found nan"),
        ({"predictions": P, "targets": T, "scores": T / 2}, r"'scores' \(5,\)"),
        ({"predictions": P, "targets": T, "scores": P.astype("U")}, r"'scores' \(3, 5\)"),
        (
            {"predictions": P, "targets": T, "epochs": [1, 2]},
            r"epochs: expected 3 distinct numbers, one per row, found \[1, 2\]",
        ),
        ({"predictions": P, "targets": T, "epochs": [1, 2, 2]}, "expected 3 distinct numbers, one per row"),
        ({"predictions": P, "targets": T, "epochs": [1, 2, 2.5]}, "epochs: expected whole numbers; found 2.5"),
    ],
)
def test_arrays_of_other_names_shapes_or_types_are_refused(save, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_predictions(save("a.npz" if isinstance(content, dict) else "a.npy", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.npy", np.zeros((2, 3)), r"expected targets \(samples,\), .*; found '' \(2, 3\); save them with numpy.save"),
        ("t.npy", np.zeros(0), r"found '' \(0,\)"),
        ("t.npy", np.array([0, np.nan]), "expected class numbers, .*; found nan"),
        ("t.npz", {"labels": T}, r"found 'labels' \(5,\)"),
    ],
)
def test_arrays_that_are_no_targets_are_refused(save, name, content, message):
    with pytest.raises(UsageError, match=message):
        read_predictions(save("preds.npy", P), save(name, content))


def test_a_wrong_number_of_rows_is_refused(save):
    found = read_predictions(save("preds.npy", P), save("t.npy", T))
    remedy = "give one row per epoch in the run's order, or give an NPZ with `epochs`"
    with pytest.raises(UsageError, match=f"preds.npy has 3 rows, the run has 31 epochs: {remedy}"):
        found.results(range(31), 4)
    with pytest.raises(UsageError, match=r"preds.npy has 1 row, run 'cnn' has 2 epochs"):
        read_predictions(save("preds.npy", P[0]), save("t.npy", T)).results([0, 1], 4, run="cnn")


def test_a_number_that_is_no_class_is_named_with_its_place(save):
    wrong = P.copy()
    wrong[1, 3] = 9
    with pytest.raises(UsageError, match=r"preds.npy, row 1, sample 3: the prediction 9 is not a class: expected 0 to 3"):
        read_predictions(save("preds.npy", wrong), save("t.npy", T)).results(range(3), 4)
    with pytest.raises(UsageError, match=r"^t.npy, sample 0: the target 4 is not a class"):
        read_predictions(save("preds.npy", P), save("t.npy", T + 4)).results(range(3), 4)


def test_counts_of_another_classifier_or_of_nothing_are_refused(save, counts):
    with pytest.raises(UsageError, match="expected confusion counts of 5 classes, as the classifier has, found 4"):
        read_predictions(save("cm.npy", counts)).results(range(3), 5)
    with pytest.raises(UsageError, match="row 1: expected confusion counts, found only zeros"):
        read_predictions(save("cm.npy", counts * np.array([1, 0, 1])[:, None, None])).results(range(3), 4)


# Damaged and hostile files


def npy(header: str, data: bytes = b"") -> bytes:
    body = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + data


def described(descr: str = "'<i8'", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"


def saved(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(
                zipfile.ZipInfo(name), content, compression
            )  # without the time of day, which is in a test's name
    return file.getvalue()


class Bomb:
    """Unpickling one fails the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


HOSTILE = [
    b"",
    b"cat\n",
    b"\x93NUMPY",
    b"\x93NUMPY\x03\x00\x01\x00\x00\x00\n",
    pickle.dumps([1, 2]),
    pickle.dumps(Bomb()),
    saved(np.arange(9))[:-1],
    saved(np.arange(9))[:40],
    saved(np.arange(9)) + saved(np.arange(9)),
    saved(np.array([Bomb()], dtype=object)),
    saved(np.zeros(2, dtype=[("a", "i4")])),
    npy(described(shape=f"({10**15},)")),
    npy(described("'<U0'", f"({10**15},)")),
    npy(described(shape="(-1, 2)")),
    npy(described("('<i4', (1000000000,))")),
    npy("-" * 5000 + "1"),
    npy("(" * 5000),
    npy("{"),
    npy("7"),
    npy("{'descr': 1, 'fortran_order': 2, 'shape': 3}"),
    b"PK\x03\x04" + bytes(100),
    zipped([("predictions.npy", saved(np.array([Bomb()], dtype=object)))]),
    zipped([("predictions.npy", saved(np.arange(9))[:-1])]),
    zipped([("predictions.npy", b"")]),
    zipped([("predictions.npy", saved(np.arange(9)))])[:-30],
    zipped([("predictions.npy", saved(np.arange(9)))], 0).replace(b"\x08" + bytes(7), bytes(8)),
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_file_that_is_no_plain_array_is_refused_in_one_line(save, content):
    for reader in (lambda path: read_predictions(path), lambda path: read_predictions(save("p.npy", P), path)):
        with pytest.raises(UsageError, match=r"^.*a.npy'?[:,] expected .*; (write|save)|not a class|found no") as caught:
            reader(save("a.npy", content))
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


def test_an_archive_that_unpacks_to_too_much_is_refused(save, monkeypatch):
    path = save("a.npz", zipped([("predictions.npy", saved(np.zeros(10_000)))]))
    monkeypatch.setattr(numpy_files, "MAX_BYTES", 1000)
    with pytest.raises(UsageError, match="more than 0 GB when unpacked"):
        read_predictions(path)


WHOLE = [saved(np.arange(20)), zipped([("predictions.npy", saved(np.arange(20)))])]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6), st.integers(0, 400)
)
def test_a_damaged_file_is_read_or_refused_in_one_line(save, whole, changes, cut):
    damaged = bytearray(whole)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    try:
        read_predictions(save("a.npz", bytes(damaged[: cut or None])), save("t.npy", np.arange(20) % 4)).results([0], 4)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
