"""NPY and NPZ: arrays of predictions and counts, and files that are refused in one line
without being unpickled.
"""

import io
import pickle
import zipfile

import numpy as np
import pytest
from helpers.errors import raises
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
def test_predictions_of_every_type_give_the_counts(
    save, counts_of, targets, predictions, counts, dtype
):
    truth = save("targets.npy", targets.astype(dtype))
    assert_array_equal(
        counts_of(save("preds.npy", predictions.astype(dtype)), truth), counts
    )
    assert_array_equal(
        counts_of(
            save("preds.npy", np.asfortranarray(predictions.astype(dtype))), truth
        ),
        counts,
    )
    assert_array_equal(
        counts_of(save("preds.npy", predictions[1].astype(dtype)), truth, epochs=[5]),
        counts[1:2],
    )
    assert_array_equal(counts_of(save("preds.npy", NAMES[predictions]), truth), counts)


def test_an_npz_holds_targets_epochs_and_scores(
    save, counts_of, targets, predictions, counts
):
    scores = np.random.default_rng(3).random(predictions.shape)
    arrays = {
        "predictions": predictions,
        "targets": targets,
        "scores": scores,
        "epochs": [2, 0, 7],
        "other": np.zeros(3),
    }
    found = read_predictions(save("preds.npz", arrays)).results([0, 1, 2], 4)
    assert list(found) == [0, 2]
    assert_array_equal(found[0].predictions, predictions[1])
    assert_array_equal(found[2].scores, scores[0])
    assert_array_equal(found[2].targets, targets)
    assert found[0].samples is None
    with raises("no-common-epoch"):
        read_predictions(save("preds.npz", arrays)).results([3, 4], 4)
    assert_array_equal(
        counts_of(
            save("preds.npz", {"predictions": predictions, "targets": [targets] * 3})
        ),
        counts,
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_confusion_counts_have_three_axes_in_an_npy_and_a_name_in_an_npz(
    save, counts_of, counts, dtype
):
    assert_array_equal(counts_of(save("cm.npy", counts.astype(dtype))), counts)
    arrays = {"confusions": counts[::-1].astype(dtype), "epochs": [2, 1, 0]}
    assert_array_equal(counts_of(save("cm.npz", arrays)), counts)


def test_counts_with_the_truth_on_columns_are_transposed(save, counts_of, counts):
    path = save("cm.npy", counts.transpose(0, 2, 1))
    assert_array_equal(counts_of(path, truth="columns"), counts)
    read = read_predictions(path, truth="columns")
    described = read.describe(read.results([0, 1, 2], 4).values())
    assert described == "cm.npy (confusion counts; columns are the truth)"
    with raises("truth-axis", axis="rows"):
        counts_of(path)
    with raises("truth-axis", axis="columns"):
        counts_of(save("cm.npy", counts), truth="columns")
    balanced = np.random.default_rng(4).multinomial(20, [0.1] * 10, 10)[None]
    assert (
        read_predictions(save("cm.npy", balanced)).results([0], 10)[0].counts.sum()
        == 200
    )
    with raises("truth-axis", axis="rows"):
        read_predictions(save("cm.npy", balanced.transpose(0, 2, 1))).results([0], 10)


def test_counts_are_checked_against_targets(save, counts_of, targets, counts):
    truth = save("t.npy", targets)
    right, transposed = (
        save("cm.npy", counts[:1]),
        save("transposed.npy", counts[:1].transpose(0, 2, 1)),
    )
    assert_array_equal(counts_of(right, truth, epochs=[0]), counts[:1])
    read = read_predictions(right, truth)
    described = read.describe(read.results([0], 4).values())
    assert (
        described == "cm.npy (confusion counts; rows are the truth), checked against"
        " t.npy"
    )
    with raises("counts-contradict-targets"):
        counts_of(transposed, truth, epochs=[0])


def test_read_predictions_of_a_square_array_is_a_confusion_matrix_or_asks(
    save, counts_of, targets, counts
):
    path = save("cm.npy", counts[0])
    assert_array_equal(counts_of(path, epochs=[5]), counts[:1])
    assert_array_equal(
        counts_of(path, save("targets.npy", targets), epochs=[5]), counts[:1]
    )
    # Four targets may belong to the predictions of four epochs.
    save("targets.npy", np.array([0, 1, 2, 3]))
    with raises("unclear-array"):
        read_predictions(path)
    assert_array_equal(
        counts_of(save("cm.npz", {"confusions": counts[0]}), epochs=[5]), counts[:1]
    )


@pytest.mark.parametrize("kind", ["logits", "probabilities", "three axes"])
def test_read_predictions_of_scores_takes_the_arg_max_and_describes_it(
    save, counts_of, targets, predictions, counts, kind
):
    logits = (
        np.random.default_rng(0).normal(size=(*predictions.shape, 4))
        + 9 * np.eye(4)[predictions]
    )
    scores = {
        "probabilities": np.exp(logits) / np.exp(logits).sum(-1, keepdims=True),
    }
    values = scores.get(kind, logits)
    values, epochs = (values, [0, 1, 2]) if kind == "three axes" else (values[1], [5])
    expected = counts if kind == "three axes" else counts[1:2]
    path, truth = save("scores.npy", values), save("targets.npy", targets)
    assert_array_equal(counts_of(path, epochs=epochs), expected)
    read = read_predictions(path, truth)
    description = read.describe(read.results(epochs, 4).values())
    assert (
        description
        == "scores.npy (40 samples; arg max of the scores), truth from targets.npy"
    )
    with raises("score-classes", found=4, classes=5):
        read.results(epochs, 5)
    for name in ("y_pred", "logits", "probs", "predictions"):
        assert_array_equal(
            counts_of(save("s.npz", {name: values, "y_true": targets}), epochs=epochs),
            expected,
        )


def test_scores_with_ties_give_the_first_class_and_nan_is_refused(
    save, targets, predictions
):
    save("targets.npy", targets)
    scores = 0.5 + np.eye(4)[predictions[0]]
    scores[3:5] = [[0.1, 0.7, 0.7, 0], [0.5, 0.5, 0.5, 0.5]]
    read = read_predictions(save("s.npy", scores))
    (found,) = read.results([5], 4).values()
    assert found.predictions[3:5].tolist() == [1, 0]
    scores[7, 2] = np.nan
    with pytest.raises(
        UsageError,
        match=r"s.npy, sample 7: expected scores, found NaN, as in 1 sample; ",
    ) as caught:
        read_predictions(save("s.npy", scores))
    assert caught.value.code == "nan-score"


def test_predictions_and_targets_as_keras_has_them_give_the_counts(
    save, counts_of, targets, predictions, counts
):
    column = save("column.npy", targets[:, None])
    assert_array_equal(counts_of(save("p.npy", predictions), column), counts)
    assert_array_equal(
        counts_of(save("p.npy", predictions[1][:, None]), column, epochs=[5]),
        counts[1:2],
    )
    with raises("not-whole-numbers"):  # the output of one sigmoid
        counts_of(save("p.npy", np.full((len(targets), 1), 0.5)), column, epochs=[5])


@pytest.mark.parametrize(
    ("content", "code"),
    [
        *(
            (P[None, None], "predictions-array"),
            (np.zeros((2, 3, 4)), "predictions-array"),
        ),
        *(
            (np.zeros((2, 0)), "predictions-array"),
            ({}, "predictions-array"),
            ({"confusions": P}, "predictions-array"),
        ),
        ({"predictions": P, "targets": T[:3]}, "predictions-array"),
        ({"predictions": P, "targets": T, "scores": T / 2}, "predictions-array"),
        *(
            (
                {"predictions": P, "targets": T, "scores": P.astype("U")},
                "predictions-array",
            ),
            (P / 2, "no-targets"),
        ),
        *(
            (P > 1, "not-whole-numbers"),
            (np.zeros((1, 2, 2)) + 0.5, "not-whole-numbers"),
        ),
        ({"predictions": P, "targets": T, "epochs": [1, 2, 2.5]}, "not-whole-numbers"),
        *(
            (P.astype("M8[s]"), "numpy-not-readable"),
            (np.zeros((1, 2, 2)) - 1, "negative-count"),
        ),
        *((np.array([[b"cat"]]), "not-text"), ({"predictions": P}, "no-targets")),
        ({"predictions": P, "targets": T, "epochs": [1, 2]}, "epochs-array"),
        ({"predictions": P, "targets": T, "epochs": [1, 2, 2]}, "epochs-array"),
    ],
)
def test_read_predictions_of_other_arrays_raises_one_line(save, content, code):
    with raises(code, UsageError):
        read_predictions(
            save("a.npz" if isinstance(content, dict) else "a.npy", content)
        )


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        *(
            ("t.npy", np.zeros((2, 3)), "targets-array"),
            ("t.npy", np.zeros(0), "targets-array"),
        ),
        *(
            ("t.npz", {"classes": T}, "targets-array"),
            ("t.npy", np.array([0, np.nan]), "not-whole-numbers"),
        ),
        ("t.txt", b"1\n\xff\n", "table-not-readable"),
    ],
)
def test_read_predictions_with_other_targets_raises(save, name, content, code):
    with raises(code, UsageError):
        read_predictions(save("preds.npy", P), save(name, content))


def test_results_of_arrays_that_do_not_fit_the_run_raise(save, counts):
    found = read_predictions(save("preds.npy", P), save("t.npy", T))
    with raises("epoch-count", rows=3, epochs=31):
        found.results(range(31), 4)
    wrong = P.copy()
    wrong[1, 3] = 9
    with pytest.raises(
        UsageError,
        match=(
            r"preds.npy, row 1, sample 3: the prediction 9 is not a class; expected 0"
            r" to 3"
        ),
    ):
        read_predictions(save("preds.npy", wrong), save("t.npy", T)).results(
            range(3), 4
        )
    with raises("unknown-class", values="target", label="4"):
        read_predictions(save("preds.npy", P), save("t.npy", T + 4)).results(
            range(3), 4
        )
    with raises("counts-classes", found=4, classes=5):
        read_predictions(save("cm.npy", counts)).results(range(3), 5)
    with raises("counts-zero"):
        read_predictions(
            save("cm.npy", counts * np.array([1, 0, 1])[:, None, None])
        ).results(range(3), 4)


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
            # without the time, which is in a test's name
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


class Bomb:
    """Unpickling one fails the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


HOSTILE = [
    *(
        b"",
        b"cat\n",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00\x01\x00\x00\x00\n",
        pickle.dumps(Bomb()),
    ),
    saved(np.arange(9))[:-1],
    saved(np.arange(9)) + saved(np.arange(9)),
    saved(np.array([Bomb()], dtype=object)),
    saved(np.zeros(2, dtype=[("a", "i4")])),
    npy(described(shape=f"({10**15},)")),
    npy(described(shape="(-1, 2)")),
    npy(described("('<i4', (1000000000,))")),
    *map(npy, ("-" * 5000 + "1", "{", "{'descr': 1, 'fortran_order': 2, 'shape': 3}")),
    b"PK\x03\x04" + bytes(100),
    zipped([("predictions.npy", saved(np.array([Bomb()], dtype=object)))]),
    zipped([("predictions.npy", saved(np.arange(9))[:-1])]),
    zipped([("predictions.npy", saved(np.arange(9)))])[:-30],
    zipped([("predictions.npy", saved(np.arange(9)))], 0).replace(
        b"\x08" + bytes(7), bytes(8)
    ),
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_file_that_is_no_plain_array_is_refused_in_one_line(save, content):
    for reader in (
        lambda path: read_predictions(path),
        lambda path: read_predictions(save("p.npy", P), path),
    ):
        with pytest.raises(
            UsageError,
            match=r"^.*a.npy'?[:,] expected .*; (write|save)|not a class|found no",
        ) as caught:
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
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_a_damaged_file_is_read_or_refused_in_one_line(save, whole, changes, cut):
    damaged = bytearray(whole)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    try:
        read_predictions(
            save("a.npz", bytes(damaged[: cut or None])),
            save("t.npy", np.arange(20) % 4),
        ).results([0], 4)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
