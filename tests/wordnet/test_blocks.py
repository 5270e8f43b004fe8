"""Rows of the matrix by blocks, and the nearest labels, against the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dsi_cli.errors import UsageError
from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet import blocks
from dsi_cli.wordnet.blocks import PathRows, nearest, similarity_rows
from dsi_cli.wordnet.paths import path_similarity
from dsi_cli.wordnet.taxonomy import load


def preset_nodes(name):
    return [load().node(wnid) for wnid in load_preset(name).wnids if wnid]


def nearest_slowly(matrix, count):
    """Return (label, neighbor, rank, ties, similarity) rows by the definition of the rank, a pair at a time."""
    found = []
    for i, row in enumerate(matrix):
        others = [j for j in range(len(row)) if j != i]
        others.sort(key=lambda j: (-row[j], j))
        for j in others[:count]:
            nearer = sum(row[k] > row[j] for k in others)
            level = sum(row[k] == row[j] for k in others if k != j)
            found.append((i, j, 1 + nearer + level / 2, level + 1, row[j]))
    return found


def flat(parts):
    return [
        row
        for found in parts
        for row in zip(found.label, found.neighbor, found.rank, found.ties, found.similarity, strict=True)
    ]


@pytest.mark.parametrize("block", [7, 512])
def test_rows_of_verbs_and_the_nearest_are_those_of_the_whole_matrix(block):
    verbs = load("verb")
    nodes = np.random.default_rng(0).integers(0, len(verbs.offsets), 60)
    expected = path_similarity(nodes, verbs)
    together = np.vstack([similarity for _, similarity in similarity_rows(nodes, verbs, block=block)])
    assert_array_equal(together, expected.astype(np.float32))
    assert flat(nearest(nodes, 5, verbs, block=block)) == nearest_slowly(expected, 5)


@pytest.mark.parametrize("block", [1, 7, 100, 512])
def test_rows_are_those_of_the_whole_matrix(block):
    nodes = preset_nodes("cifar100")
    found = list(similarity_rows(nodes, block=block))
    assert [k for rows, _ in found for k in range(100)[rows]] == list(range(100))
    together = np.vstack([similarity for _, similarity in found])
    assert together.dtype == np.float32
    assert_array_equal(together, path_similarity(nodes).astype(np.float32))


@pytest.mark.parametrize("count", [1, 5, 99, 1000])
@pytest.mark.parametrize("block", [13, 512])
@pytest.mark.parametrize("name", ["cifar100", "caltech101"])  # the second has labels that share a synset
def test_the_nearest_are_those_of_the_definition(name, count, block):
    nodes = preset_nodes(name)
    assert flat(nearest(nodes, count, block=block)) == nearest_slowly(path_similarity(nodes), count)


@pytest.mark.parametrize("most", [0, 3, 40])
@pytest.mark.parametrize("count", [1, 5, 30])
def test_labels_that_are_tied_in_great_number_are_cut_alike(most, count, monkeypatch):
    monkeypatch.setattr(blocks, "MOST_SORTED", most)
    nodes = np.random.default_rng(count).permutation([*preset_nodes("cifar10"), *[load().node("label.n.01")] * 30])
    assert flat(nearest(nodes, count, block=7)) == nearest_slowly(path_similarity(nodes), count)


def test_a_list_of_one_has_no_nearest():
    assert flat(nearest([5], 3)) == []
    assert list(nearest([], 3)) == []


def test_permuting_the_labels_permutes_ranks_and_ties():
    nodes = np.array(preset_nodes("coco80"))
    order = np.random.default_rng(0).permutation(80)
    plain = {(i, j): rest for i, j, *rest in flat(nearest(nodes, 79))}
    other = {(order[i], order[j]): rest for i, j, *rest in flat(nearest(nodes[order], 79))}
    assert plain == other


def test_an_unresolved_label_is_refused():
    with pytest.raises(UsageError, match="found -1 at position 0: leave out unresolved labels"):
        list(nearest([-1, 5], 1))
    with pytest.raises(UsageError, match="found -1 at position 0: leave out unresolved labels"):
        list(similarity_rows([-1, 5]))


WORDS = {
    "n.01": ("dog", "cat", "car", "oak", "dog", "entity"),
    "v.01": ("banish", "buffet", "run", "eat", "banish", "be"),  # which meet at a root that is simulated alone
}


@pytest.mark.parametrize("sense", WORDS)
def test_rows_on_demand_are_those_of_the_matrix(sense):
    taxonomy = load("verb") if sense == "v.01" else load()
    nodes = [taxonomy.node(f"{word}.{sense}") for word in WORDS[sense]]
    expected = path_similarity(nodes, taxonomy).astype(np.float32)
    assert expected.min() > 0
    rows = PathRows(nodes, taxonomy)
    assert (rows.size, rows.symmetric) == (6, True)
    assert_array_equal(rows.block(1, 4), expected[1:4])
    assert_array_equal(rows.block(1, 4, 2), expected[1:4, 2:])
    assert_array_equal(rows.between(np.array([5, 0])), expected[[5, 0]])
    assert_array_equal(rows.take([4, 2, 0]).block(0, 3), expected[np.ix_([4, 2, 0], [4, 2, 0])])
