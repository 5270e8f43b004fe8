"""Neighbours and closest pairs, against slow loops over all classes; and how neighbours
changed.
"""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, stored, write_csm

from dsi_cli.queries.neighbors import (
    Interval,
    NeighborQuery,
    closest_pairs,
    nearest,
    neighbor_history,
)
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
    csm, wordnet = (
        stored(out, "run", "ncsm", 1).tolist(),
        Results(out).csm("scsm").to_numpy().tolist(),
    )
    for index, name in enumerate(LABELS):
        found = nearest(Results(out), name, NeighborQuery(epoch=1, most=5))
        assert [row.class_index for row in found.rows] == slow_order(csm[index], index)[
            :5
        ]
        assert (found.of, found.found, found.wordnet_furthest) == (name, 7, 6)
        others = [
            value if j != index else float("nan")
            for j, value in enumerate(wordnet[index])
        ]
        for place, row in enumerate(found.rows, start=1):
            assert (row.place, row.name, row.similarity) == (
                place,
                LABELS[row.class_index],
                csm[index][row.class_index],
            )
            assert row.wordnet_rank == slow_rank(others, row.class_index)
            known = "qwxzy" not in (name, row.name)
            assert row.wordnet_similarity == (
                wordnet[index][row.class_index] if known else None
            )


def test_ties_stand_in_order_of_class_index(made):
    out = made()
    csm = np.full((8, 8), 0.25, np.float32)
    csm[0, 5] = csm[5, 0] = 0.5
    write_csm(out, csm, "ncsm", None, epoch=1)
    assert [
        row.class_index
        for row in nearest(Results(out), "cat", NeighborQuery(epoch=1)).rows
    ] == [5, 1, 2, 3, 4, 6, 7]
    pairs = closest_pairs(Results(out), NeighborQuery(epoch=1, most=4)).rows
    assert [(row.first_index, row.second_index) for row in pairs] == [
        (0, 5),
        (0, 1),
        (0, 2),
        (0, 3),
    ]
    write_csm(out, np.full((8, 8), 0.25, np.float32), "ncsm", None, epoch=2)
    lists = (
        nearest(Results(out), "bee"),
        closest_pairs(Results(out)),
        neighbor_history(Results(out), "bee"),
    )
    marked = [row.wordnet_rank for found in lists for row in found.rows if row.surprise]
    assert max(marked) <= 2, (
        "equal similarities are not near, so only what is near in WordNet is a surprise"
    )


@pytest.mark.parametrize("symmetric", [True, False])
def test_closest_pairs_are_those_of_a_slow_loop(made, symmetric):
    out = made()
    csm = np.random.default_rng(0).integers(0, 6, (8, 8)).astype(np.float32) / 8
    csm = (csm + csm.T) / 2 if symmetric else csm
    write_csm(out, csm, "ccsm", "test", epoch=2)
    wordnet = Results(out).csm("scsm").to_numpy()
    every = [(i, j) for i in range(8) for j in range(i + 1, 8)]
    mean = {(i, j): (float(csm[i, j]) + float(csm[j, i])) / 2 for i, j in every}
    semantic = [float(wordnet[i, j]) for i, j in every]
    found = closest_pairs(Results(out), NeighborQuery("ccsm", most=100))
    assert [(row.first_index, row.second_index) for row in found.rows] == sorted(
        every, key=lambda at: (-mean[at], at)
    )
    assert (found.found, found.wordnet_furthest, found.symmetric) == (28, 21, symmetric)
    assert ("mean of its two directions" in found.legend) is not symmetric
    for row in found.rows:
        at = (row.first_index, row.second_index)
        assert (row.similarity, row.wordnet_rank) == (
            mean[at],
            slow_rank(semantic, every.index(at)),
        )


def test_what_a_matrix_lacks_is_no_neighbour(made):
    out = made()
    csm = stored(out, "run", "ncsm", 1).astype(np.float32)
    csm[3, :] = csm[:, 3] = np.nan
    write_csm(out, csm, "tncsm", "test", epoch=1)
    found = nearest(Results(out), "cat", NeighborQuery("tncsm"))
    assert "frog" not in [row.name for row in found.rows]
    assert (found.found, found.query.split, found.query.epoch) == (6, "test", 1)
    assert nearest(Results(out), "frog", NeighborQuery("tncsm")).rows == []
    assert closest_pairs(Results(out), NeighborQuery("tncsm", most=100)).found == 21


def test_how_neighbours_changed(made):
    out = made(epochs=6)
    found = neighbor_history(Results(out), "horse", NeighborQuery(most=3))
    orders = [
        slow_order(stored(out, "run", "ncsm", epoch)[2].tolist(), 2)
        for epoch in range(6)
    ]
    ever = {j for order in orders for j in order[:3]}
    assert [row.class_index for row in found.rows] == [
        j for j in orders[-1] if j in ever
    ]
    for row in found.rows:
        assert row.places == [order.index(row.class_index) + 1 for order in orders]
        inside = [epoch for epoch in range(6) if row.places[epoch] <= 3]
        assert [
            e for stay in row.stays for e in range(stay.entered, stay.last + 1)
        ] == inside
        for stay in row.stays:
            assert stay.left == (stay.last + 1 if stay.last < 5 else None)
            assert stay.entered == 0 or row.places[stay.entered - 1] > 3
    assert (found.epochs, found.query.epoch) == ([0, 1, 2, 3, 4, 5], 5)
    assert (
        found.title
        == f"run, NCSM, epochs 0 to 5: {len(ever)} classes were among the 3 nearest to"
        " horse"
    )


def test_when_a_neighbour_came_and_went(made):
    out = made(epochs=4)
    for epoch, near in enumerate(([1], [1, 2], [2], [1])):
        csm = np.zeros((8, 8), np.float32)
        csm[0, 7] = 0.1
        for place, j in enumerate(near):
            csm[0, j] = 0.9 - place / 10
        write_csm(out, csm, "ncsm", None, epoch=epoch)
    found = {
        row.name: row.stays
        for row in neighbor_history(Results(out), "cat", NeighborQuery(most=1)).rows
    }
    assert found == {
        "dog": [Interval(0, 1, 2), Interval(3, 3, None)],
        "horse": [Interval(2, 2, 3)],
    }


@pytest.mark.parametrize(
    ("function", "query", "code", "fields"),
    [
        (nearest, NeighborQuery("socsm"), "unknown-kind", {"matrix": "socsm"}),
        (nearest, NeighborQuery(epoch=9), "unknown-epoch", {"epoch": 9, "run": "run"}),
        (
            nearest,
            NeighborQuery(split="test"),
            "matrix-without-splits",
            {"matrix": "ncsm"},
        ),
        (
            nearest,
            NeighborQuery("ccsm", split="val"),
            "unknown-split",
            {"split": "val"},
        ),
        (
            nearest,
            NeighborQuery("ccsm"),
            "missing-matrix",
            {"matrix": "ccsm", "stored": ("ncsm",)},
        ),
        (
            nearest,
            NeighborQuery("ncsm_centred"),
            "missing-matrix",
            {"matrix": "ncsm_centred"},
        ),
        (nearest, NeighborQuery("scsm", epoch=1), "matrix-without-epochs", {}),
        (neighbor_history, NeighborQuery(epoch=1), "epoch-not-applicable", {}),
        (neighbor_history, NeighborQuery("scsm"), "matrix-without-epochs", {}),
    ],
)
def test_neighbors_of_a_query_that_cannot_be_answered_raises(
    made, function, query, code, fields
):
    out = made()
    with raises(code, **fields):
        function(Results(out), "cat", query)


def test_nearest_of_a_name_of_two_classes_raises_and_accepts_the_class_index(made):
    out = made(labels=("crane", "crane", *ANIMALS[2:]))
    with raises("ambiguous-class", name="crane", count=2):
        nearest(Results(out), "crane")
    found = nearest(Results(out), "crane (class 1)")
    assert found.of == "crane (class 1)"
    assert "crane (class 0)" in [row.name for row in found.rows]
