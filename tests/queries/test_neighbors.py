"""Neighbours and closest pairs, against slow loops over all classes; and how neighbours
changed.
"""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, stored, write_csm

from dsi_cli.queries.neighbors import closest_pairs, nearest, neighbor_history
from dsi_cli.queries.records import records
from dsi_cli.store.results import Results

LABELS = ("cat", "dog", "horse", "frog", "qwxzy", "lion", "whale", "bee")
"""One of them is in no WordNet."""


@pytest.fixture
def made(make_results):
    """Return ``made(labels=LABELS, epochs=3)``: the results of a run without
    predictions.
    """
    return lambda labels=LABELS, epochs=3: make_results(epochs, labels)


def slow_order(row, index):
    """Return the other classes that a row knows, most similar first, ties in order of
    class index.
    """
    others = [j for j in range(len(row)) if j != index and row[j] == row[j]]
    return sorted(others, key=lambda j: (-row[j], j))


def slow_rank(values, at):
    """Return a value's rank among all that are known, ties at their mid-rank; None
    where it is not.
    """
    if values[at] != values[at]:
        return None
    others = [
        value for place, value in enumerate(values) if place != at and value == value
    ]
    return (
        1
        + sum(value > values[at] for value in others)
        + sum(value == values[at] for value in others) / 2
    )


def test_neighbours_are_those_of_a_slow_loop(made):
    out = made()
    csm = stored(out, "run", "ncsm", 1).tolist()
    wordnet = Results(out).csm("scsm").to_numpy().tolist()
    for index, name in enumerate(LABELS):
        found = nearest(Results(out), name, epoch=1, most=5)
        assert found["class_index"].tolist() == slow_order(csm[index], index)[:5]
        assert (found.attrs["of"], found.attrs["found"]) == (name, 7)
        others = [*wordnet[index]]
        others[index] = float("nan")
        known = sum(value == value for value in others)
        assert found.attrs["wordnet_furthest"] == (known or None)
        for place, row in enumerate(records(found), start=1):
            at = row["class_index"]
            assert (row["place"], row["name"]) == (place, LABELS[at])
            assert row["similarity"] == csm[index][at]
            assert row["wordnet_rank"] == slow_rank(others, at)
            is_known = "qwxzy" not in (name, row["name"])
            assert row["wordnet_similarity"] == (others[at] if is_known else None)


def test_ties_stand_in_order_of_class_index(made):
    out = made()
    csm = np.full((8, 8), 0.25, np.float32)
    csm[0, 5] = csm[5, 0] = 0.5
    write_csm(out, csm, "ncsm", None, epoch=1)
    found = nearest(Results(out), "cat", epoch=1)
    assert found["class_index"].tolist() == [5, 1, 2, 3, 4, 6, 7]
    pairs = closest_pairs(Results(out), epoch=1, most=4)
    assert pairs["first_index"].tolist() == [0, 0, 0, 0]
    assert pairs["second_index"].tolist() == [5, 1, 2, 3]


def test_equal_similarities_are_no_surprise(made):
    out = made()
    write_csm(out, np.full((8, 8), 0.25, np.float32), "ncsm", None, epoch=2)
    for found in (
        nearest(Results(out), "bee"),
        closest_pairs(Results(out)),
        neighbor_history(Results(out), "bee"),
    ):
        assert not found["surprise"].any()


def test_nearest_class_that_wordnet_ranks_eleventh_is_a_surprise(analysed):
    found = nearest(analysed.run, "bus", run="cifar100-vit", most=3)
    first = records(found)[0]
    assert (first["name"], first["surprise"]) == ("pickup_truck", True)
    assert 11 <= first["wordnet_rank"] < 50


@pytest.mark.parametrize("symmetric", [True, False])
def test_closest_pairs_are_those_of_a_slow_loop(made, symmetric):
    out = made()
    csm = np.random.default_rng(0).integers(0, 6, (8, 8)).astype(np.float32) / 8
    csm = (csm + csm.T) / 2 if symmetric else csm
    write_csm(out, csm, "ccsm", "test", epoch=2)
    wordnet = Results(out).csm("scsm").to_numpy()
    every = [(i, j) for i in range(8) for j in range(i + 1, 8)]
    mean = {(i, j): (float(csm[i, j]) + float(csm[j, i])) / 2 for i, j in every}
    semantic = [float(wordnet[at]) for at in every]
    found = closest_pairs(Results(out), kind="ccsm", most=100)
    at = list(zip(found["first_index"], found["second_index"], strict=True))
    assert at == sorted(every, key=lambda pair: (-mean[pair], pair))
    assert found["similarity"].tolist() == [mean[pair] for pair in at]
    ranks = [slow_rank(semantic, every.index(pair)) for pair in at]
    assert [row["wordnet_rank"] for row in records(found)] == ranks
    described = [found.attrs[key] for key in ("found", "wordnet_furthest", "symmetric")]
    assert described == [28, 21, symmetric]
    assert ("mean of its two directions" in found.attrs["legend"]) is not symmetric


def test_what_a_matrix_lacks_is_no_neighbour(made):
    out = made()
    csm = stored(out, "run", "ncsm", 1).astype(np.float32)
    csm[3, :] = csm[:, 3] = np.nan
    write_csm(out, csm, "tncsm", "test", epoch=1)
    found = nearest(Results(out), "cat", kind="tncsm")
    assert "frog" not in set(found["name"])
    assert [found.attrs[key] for key in ("found", "split", "epoch")] == [6, "test", 1]
    assert nearest(Results(out), "frog", kind="tncsm").empty
    pairs = closest_pairs(Results(out), kind="tncsm", most=100)
    assert pairs.attrs["found"] == 21


def test_how_neighbours_changed(made):
    out = made(epochs=6)
    found = neighbor_history(Results(out), "horse", most=3)
    orders = [
        slow_order(stored(out, "run", "ncsm", epoch)[2].tolist(), 2)
        for epoch in range(6)
    ]
    ever = {j for order in orders for j in order[:3]}
    assert found["class_index"].tolist() == [j for j in orders[-1] if j in ever]
    for index, places in zip(found["class_index"], found["places"], strict=True):
        assert places == [order.index(index) + 1 for order in orders]
    assert (found.attrs["epochs"], found.attrs["epoch"]) == ([0, 1, 2, 3, 4, 5], 5)
    assert found.attrs["title"] == (
        f"run, NCSM, epochs 0 to 5: {len(ever)} classes were among the 3 nearest to"
        " horse"
    )


@pytest.mark.parametrize(
    ("function", "options", "code"),
    [
        (nearest, {"kind": "socsm"}, "unknown-kind"),
        (nearest, {"epoch": 9}, "unknown-epoch"),
        (nearest, {"split": "test"}, "matrix-without-splits"),
        (nearest, {"kind": "ccsm", "split": "val"}, "unknown-split"),
        (nearest, {"kind": "ccsm"}, "missing-matrix"),
        (nearest, {"kind": "ncsm_centred"}, "missing-matrix"),
        (nearest, {"kind": "scsm", "epoch": 1}, "matrix-without-epochs"),
        (neighbor_history, {"kind": "scsm"}, "matrix-without-epochs"),
    ],
)
def test_neighbors_of_a_matrix_that_does_not_exist_raises(
    made, function, options, code
):
    with raises(code):
        function(Results(made()), "cat", **options)


def test_nearest_of_a_name_of_two_classes_raises_and_accepts_the_class_index(made):
    out = made(labels=("crane", "crane", *ANIMALS[2:]))
    with raises("ambiguous-class", name="crane", count=2):
        nearest(Results(out), "crane")
    found = nearest(Results(out), "crane (class 1)")
    assert found.attrs["of"] == "crane (class 1)"
    assert "crane (class 0)" in set(found["name"])
