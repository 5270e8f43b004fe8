"""A confusion matrix as text, in every form that trainers and spreadsheets write."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.files import read

NAMES = ("cat", "dog", "aquarium_fish", "7")
ORDER = [2, 0, 3, 1]


def text(matrix, header=None, first=None, corner="", separator=",") -> str:
    lines = [list(map(str, row)) for row in matrix]
    if first is not None:
        lines = [[str(name), *line] for name, line in zip(first, lines, strict=True)]
    if header is not None:
        lines = [[corner, *map(str, header)] if first is not None else list(header), *lines]
    return "\n".join(separator.join(line) for line in lines) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_every_form_gives_the_counts(save, counts_of, counts, separator):
    matrix = counts[0]
    turned, names = matrix[np.ix_(ORDER, ORDER)], [NAMES[number] for number in ORDER]
    for content in (
        text(matrix, separator=separator),
        text(matrix.astype(float), separator=separator),
        text(matrix, range(4), range(4), separator=separator),
        text(turned, names, separator=separator),
        text(turned, None, names, separator=separator),
        text(turned, names, names, separator=separator),
        text(turned, ["Aquarium Fish", *names[1:]], ["Aquarium Fish", *names[1:]], "truth/prediction", separator),
        text(turned, ORDER, ORDER, "target", separator),
        "\ufeff" + text(turned, names, names, separator=separator).replace("\n", "\r\n"),
    ):
        assert_array_equal(counts_of(save("cm.csv", content), epochs=[3])[0], matrix)
    assert_array_equal(counts_of(save("cm.csv", text(matrix.T)), truth="columns", epochs=[3])[0], matrix)


def test_what_numpy_writes_is_read(save, counts_of, counts):
    for delimiter in (" ", ","):
        file = io.StringIO()
        np.savetxt(file, counts[0], delimiter=delimiter)
        assert_array_equal(counts_of(save("cm.csv", file.getvalue()), epochs=[3])[0], counts[0])


def test_classes_that_the_matrix_lacks_have_no_samples(save, counts_of):
    found = counts_of(save("cm.csv", "dog,cat\n1,2\n3,4\n"), epochs=[0])[0]
    assert_array_equal(found, [[4, 3, 0, 0], [2, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n3\n", "expected the columns epoch, .*, or C lines of C counts .*, found 2 columns, '1', '2'"),
        ("1,2,3,4\n1,2,3,4\n", "found 4 columns"),
        (";\n;\n", "found 2 columns"),
        ("x,cat,dog\ncat,1,2\nhorse,3,4\n", "with the names in one order, found 3 columns, 'x', 'cat', 'dog'"),
        ("1,2\n3,x\n", "expected counts of samples, found could not convert string to float: 'x'"),
        ("1,2\n3,\n", "expected counts of samples, found could not convert string to float: ''"),
        ("1,2\n3,0.5\n", r"expected counts of samples, found 0.5 at index \(1, 1\); give the counts themselves, not rates"),
        ("1,2\n3,-1\n", r"found -1 at index \(1, 1\)"),
        ("1,2\n3,nan\n", r"found nan at index \(1, 1\)"),
        ("cat,horse\n1,2\n3,4\n", "cm.csv, class 1: the name 'horse' is no class"),
        ("cat,CAT\n1,2\n3,4\n", "expected a name once, found two for one class"),
        ("1,2\n3,4\n", "expected a matrix of 4 classes, as the classifier has, found one of 2"),
        ("0,0\n0,0\n".replace("0,0", "0,0,0,0") * 2, "found only zeros"),
        (b"caf\xe9,dog\n1,2\n3,4\n", "expected text in UTF-8"),
        (b"cat,dog\n1,2\n3,\xe9\n", "expected text in UTF-8"),
        ("1," + "2" * 200_000 + "\n3,4\n", "found"),
    ],
)
def test_what_is_no_matrix_is_refused(save, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(save("cm.csv", content)).outcomes([0], 4, NAMES)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_a_matrix_has_no_epoch_of_its_own(save):
    with pytest.raises(
        UsageError, match=r"cm.csv has no epochs, the run has 2 epochs: add a column 'epoch', or give a folder"
    ):
        read(save("cm.csv", "1,2\n3,4\n")).outcomes([0, 1], 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(2, 5).flatmap(
        lambda size: st.lists(st.lists(st.integers(0, 99), min_size=size, max_size=size), min_size=size, max_size=size)
    )
)
def test_text_array_and_long_form_agree(save, matrix):
    matrix = np.array(matrix)
    matrix[0, 0] += 1
    size, names = len(matrix), [f"n{number}" for number in range(len(matrix))]
    target, prediction = np.nonzero(matrix)
    pairs = zip(target, prediction, matrix[target, prediction], strict=True)
    samples = np.repeat(np.stack([target, prediction], axis=1), matrix[target, prediction], axis=0)
    for path in (
        save("a.npy", matrix),
        save("a.npz", {"cm": matrix[None], "epochs": [4]}),
        save("a.csv", text(matrix, names, names)),
        save("b.csv", "epoch,target,prediction,count\n" + "".join(f"4,n{t},{p},{count}\n" for t, p, count in pairs)),
        save("c.csv", "target,prediction\n" + "".join(f"{t},n{p}\n" for t, p in samples)),
        save("b.npz", {"preds": samples[None, :, 1], "targets": samples[:, 0]}),
    ):
        assert_array_equal(read(path).outcomes([4], size, names)[4].counts, matrix)
