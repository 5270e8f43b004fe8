"""The trees of the network and of WordNet."""

import numpy as np
import pytest
from helpers.analysed_runs import Analysed
from helpers.overlap import assert_clear, texts
from scipy.cluster.hierarchy import dendrogram as scipys
from scipy.cluster.hierarchy import linkage

from dsi_cli.figures import dendrogram
from dsi_cli.figures.dendrogram import Tanglegram, Tree
from dsi_cli.figures.style import STYLES, Style, using
from dsi_cli.queries import matrices, run_classes

CNN, VIT = "cifar100-cnn", "cifar100-vit"
ALL_STYLES = [Style(name, columns) for name in STYLES for columns in (1, 2)]


def made(classes: int, seed: int = 0) -> Tree:
    """Return a clustering of a made-up matrix."""
    values = np.random.default_rng(seed).normal(0, 0.3, (classes, classes))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1.0)
    return run_classes.clustering(values)


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_branches_equal_those_of_scipy(classes: int):
    tree = made(classes)
    theirs = scipys(tree, no_plot=True)
    expected = [
        np.column_stack([far, (np.array(row) - 5) / 10])
        for far, row in zip(theirs["dcoord"], theirs["icoord"], strict=True)
    ]

    def key(fork: np.ndarray) -> tuple[float, ...]:
        ends = fork if fork[0, 1] < fork[-1, 1] else fork[::-1]
        return tuple(np.round(ends, 9).ravel())

    assert sorted(map(key, dendrogram.branches(tree))) == sorted(map(key, expected))


def test_branches_of_a_deep_tree_work():
    chain = np.sort(np.random.default_rng(0).random(3000))
    tree = linkage(np.cumsum(chain**3)[:, None], "single")
    assert dendrogram.branches(tree).shape == (2999, 4, 2)


def test_turned_forks_keep_every_cluster_together_and_cross_less():
    tree, other = made(30), made(30, seed=1)
    rows = dendrogram.leaf_rows(other)
    turned = dendrogram.turn_forks(tree, rows)
    members = {leaf: [leaf] for leaf in range(30)}
    for index, (left, right, *_) in enumerate(tree):
        members[30 + index] = members[int(left)] + members[int(right)]
        assert (
            np.ptp(dendrogram.leaf_rows(turned)[members[30 + index]])
            == len(members[30 + index]) - 1
        )

    def crossings(one: Tree) -> int:
        order = rows[run_classes.leaf_order(one)]
        return sum(int((order[at + 1 :] < row).sum()) for at, row in enumerate(order))

    assert crossings(turned) <= crossings(tree)


def test_trees_are_clusterings_of_the_stored_matrices(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, CNN)
    assert frames is not None
    pair = dendrogram.tanglegram(analysed.run, frames, {})
    assert pair is not None
    assert pair.names == list(analysed.run.csm("ncsm", 30, run=CNN).index)
    for tree, stored in (
        (pair.network, analysed.run.csm("ncsm", 30, run=CNN)),
        (pair.reference, analysed.run.csm("scsm", run=CNN)),
    ):
        assert tree is not None
        values, members = (
            stored.to_numpy(dtype=np.float64),
            {at: [at] for at in range(100)},
        )
        for at, (left, right, height, _) in enumerate(tree):
            assert 1 - height == pytest.approx(
                values[np.ix_(members[int(left)], members[int(right)])].mean(), abs=1e-6
            )
            members[100 + at] = members[int(left)] + members[int(right)]


@pytest.mark.parametrize(
    ("classes", "style"), list(zip([2, 10, 100, 300], ALL_STYLES, strict=True))
)
def test_draw_has_no_overlapping_texts(classes: int, style: Style):
    names = [f"class {'and' * (at % 3)}{at}" for at in range(classes)]
    pair = Tanglegram(
        "a run, NCSM, epoch 12",
        names,
        ["red"] * classes,
        made(classes),
        made(classes, 1),
    )
    with using(style):
        figure = dendrogram.draw([pair], {"group": "red"}, style)
        assert_clear(figure)
    assert (names[0] in {text for text, _ in texts(figure)}) == (classes < 300), (
        "illegible names are left out"
    )
