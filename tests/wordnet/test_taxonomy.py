"""The graph, its look-ups and the order of classes."""

import numpy as np
import pytest
from helpers.taxonomies import preset_nodes

from dsi_cli.wordnet.database import taxonomy
from dsi_cli.wordnet.database.taxonomy import load, taxonomy_order

NAMES = (
    "dog.n.01",
    "car.n.01",
    "cat.n.01",
    "einstein.n.01",
    "rose.n.01",
    "truck.n.01",
    "wolf.n.01",
    "animal.n.01",
)


@pytest.fixture
def nodes():
    return [load().node(name) for name in NAMES]


def test_the_graph_is_whole_has_one_root_and_keeps_wordnets_order():
    graph = load()
    assert len(graph.offsets) == len(graph.names) == len(set(graph.names)) == 82115
    assert np.all(np.diff(graph.offsets) > 0)
    assert [
        graph.names[root] for root in np.flatnonzero(np.diff(graph.starts) == 0)
    ] == ["entity.n.01"]
    assert np.all(
        graph.depths[np.repeat(np.arange(82115), np.diff(graph.starts))]
        > graph.depths[graph.parents]
    )
    parents = [graph.names[node] for node in graph.parents_of(graph.node("dog.n.01"))]
    assert parents == ["canine.n.02", "domestic_animal.n.01"]


@pytest.mark.parametrize(
    "key",
    [
        "n99999999",
        "n00000000",
        0,
        2084072,
        10**12,
        "dog",
        "dog.n.99",
        "",
        "n1234567",
        "n0208407x",
        "\0",
    ],
)
def test_taxonomy_node_of_an_unknown_name_is_none(key):
    assert load().node(key) is None


def test_groups_are_adjacent(nodes):
    order = taxonomy_order(nodes)
    assert [NAMES[k] for k in order] == [
        "einstein.n.01",
        "animal.n.01",
        "dog.n.01",
        "wolf.n.01",
        "cat.n.01",
        "rose.n.01",
        "car.n.01",
        "truck.n.01",
    ]


def test_each_group_of_imagenet_is_one_block():
    nodes = preset_nodes("imagenet1k")
    ordered = nodes[taxonomy_order(nodes)]
    for group in ("dog.n.01", "bird.n.01", "fungus.n.01", "insect.n.01"):
        inside = [
            load().node(group) in taxonomy.ancestors(load(), np.array([node]))
            for node in ordered
        ]
        assert np.count_nonzero(np.diff(inside, prepend=False, append=False)) == 2, (
            group
        )


def test_copies_stay_as_they_came_and_nothing_is_lost(nodes):
    order = taxonomy_order(nodes + nodes)
    assert sorted(order) == list(range(2 * len(nodes)))
    assert all(
        b == a + len(nodes) for a, b in zip(order[::2], order[1::2], strict=True)
    )
