"""The truth from a file, and on which axis of a matrix it is."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.predictions.files import read
from dsi_cli.predictions.truth import read_targets

NAMES = np.array(["cat", "dog", "aquarium_fish", "7"])


def lines(values) -> str:
    return "\n".join(map(str, values)) + "\n"


def savetxt(values) -> str:
    file = io.StringIO()
    np.savetxt(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("t.npy", lambda codes: codes.astype(np.uint8)),
        ("t.npy", lambda codes: codes[:, None].astype(float)),
        ("t.npy", lambda codes: NAMES[codes]),
        ("t.npz", lambda codes: {"Labels": codes, "x": codes}),
        ("t.npz", lambda codes: {"arr_0": codes}),
        ("t.txt", lines),
        ("t.TXT", savetxt),
        ("t.txt", lambda codes: lines(NAMES[codes]).replace("\n", "\r\n") + "\r\n"),
        ("t.txt", lambda codes: "\ufeff" + lines(np.char.upper(NAMES[codes]))),
        ("t.csv", lines),
        ("t.csv", lambda codes: lines(f'"{name}"' for name in NAMES[codes])),
        ("t.csv", lambda codes: "Label\n" + lines(NAMES[codes])),
        ("t.csv", lambda codes: "x,label\n" + lines(f"1,{code}" for code in codes)),
        ("t.tsv", lambda codes: "sample\tlabel\n" + lines(f"{at}\t{codes[at]}" for at in reversed(range(len(codes))))),
    ],
)
def test_targets_are_read_from_every_form(save, counts_of, targets, predictions, counts, name, form):
    assert_array_equal(counts_of(save("preds.npy", predictions), save(name, form(targets))), counts)


def test_targets_are_read_from_parquet(save, tmp_path, counts_of, targets, predictions, counts):
    table = pa.table({"sample": range(len(targets)), "truth": NAMES[targets]})
    pa.parquet.write_table(table.take(np.random.default_rng(0).permutation(len(targets))), tmp_path / "t.parquet")
    assert_array_equal(counts_of(save("preds.npy", predictions), tmp_path / "t.parquet"), counts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.npy", np.zeros((2, 3)), r"expected one target a sample .*, found shape \(2, 3\)"),
        ("t.npy", np.array([0, np.nan]), "expected class numbers, found nan at index 1"),
        ("t.npy", np.zeros(0), "found none; write them"),
        ("t.npy", np.array([None]), "found Python objects, which are never unpickled"),
        ("t.npz", {"a": np.zeros(1), "b": np.zeros(1)}, "found the arrays 'a', 'b'; name the one that is meant 'targets'"),
        ("t.json", "[1]", "found the suffix '.json'; name another file"),
        ("t.txt", "", "expected a file with one target a sample, found an empty file"),
        ("t.txt", "\n", "found none; write them|found line 1 empty"),
        ("t.txt", "cat\n\ndog\n", "found line 2 empty; write its target"),
        ("t.txt", b"caf\xe9\n", "expected text in UTF-8"),
        ("t.csv", "a,b\n1,2\n", "found 2 columns, 'a', 'b'; name the one that is meant 'target'"),
        ("t.csv", "target\n", "found none; write them"),
        ("t.tsv", "target\tsample\n1\tx\n", "invalid value 'x'"),
        ("t.parquet", "x", "expected a Parquet file"),
    ],
)
def test_what_are_no_targets_is_refused(save, name, content, message):
    with pytest.raises(UsageError, match=message) as caught:
        read(save("preds.npy", np.zeros((1, 2), dtype=int)), save(name, content))
    assert "\n" not in str(caught.value)


def test_a_parquet_file_without_targets_is_refused(tmp_path):
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="found 1 columns, 'x'; name the one that is meant 'target'"):
        read_targets(tmp_path / "t.parquet")


def test_targets_and_the_sums_of_the_counts_must_agree(save, counts_of, targets, counts):
    truth = save("t.npy", targets)
    right, turned = save("cm.npy", counts[:1]), save("turned.npy", counts[:1].transpose(0, 2, 1))
    assert_array_equal(counts_of(right, truth, epochs=[0]), counts[:1])
    assert_array_equal(counts_of(turned, truth, "columns", epochs=[0]), counts[:1])
    assert read(right, truth).source == "cm.npy (1 epoch, confusion counts; rows are the truth), checked against t.npy"
    with pytest.raises(
        UsageError, match=r"row 0: expected .* samples of class ., as the targets in t.npy have, .*: give --truth columns"
    ):
        counts_of(turned, truth, epochs=[0])
    with pytest.raises(UsageError, match="the other axis fits: give --truth rows"):
        counts_of(right, truth, "columns", epochs=[0])
    with pytest.raises(UsageError, match="the other axis does not fit either: give the targets of this test set, or none"):
        counts_of(right, save("t.npy", targets * 0), epochs=[0])


def test_a_truth_that_looks_as_if_it_were_on_the_other_axis_is_refused(save, counts_of, counts):
    turned = save("cm.npy", counts.transpose(0, 2, 1))
    message = (
        r"they differ where the truth should be \(rows\) and are the same along the other axis; .* give --truth columns"
    )
    with pytest.raises(UsageError, match=message):
        counts_of(turned)
    with pytest.raises(UsageError, match=r"the truth should be \(columns\) .* give --truth rows"):
        counts_of(save("cm.npy", counts), truth="columns")


def test_columns_that_look_exchanged_are_refused(save, counts_of, counts):
    rows = "".join(f"{e},{p},{t},{counts[e, t, p]}\n" for e in range(3) for t in range(4) for p in range(4))
    with pytest.raises(UsageError, match="if the truth is there: exchange the names of the columns target and prediction"):
        counts_of(save("cm.csv", "epoch,target,prediction,count\n" + rows))


def test_counts_that_differ_along_both_axes_say_nothing(save, counts_of, counts):
    drifting = counts * np.array([1, 2, 3])[:, None, None]
    assert_array_equal(counts_of(save("cm.npy", drifting)), drifting)
    assert_array_equal(counts_of(save("cm.npy", drifting), truth="columns"), drifting.transpose(0, 2, 1))
