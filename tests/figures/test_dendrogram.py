"""The clustering next to a heat map."""

from __future__ import annotations

import shutil

import matplotlib.collections
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.analysed_runs import Analysed
from helpers.overlap import assert_clear, texts
from scipy.cluster.hierarchy import dendrogram as scipys
from scipy.cluster.hierarchy import leaves_list, linkage

from dsi_cli.figures import dendrogram
from dsi_cli.figures.dendrogram import ClassTree
from dsi_cli.figures.heatmaps import ClassLayout
from dsi_cli.figures.style import STYLES, Style, using
from dsi_cli.queries import class_order, matrices
from dsi_cli.queries.class_order import ClassGroup
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)
CNN = "cifar100-cnn"
ALL_STYLES = [Style(name, columns) for name in STYLES for columns in (1, 2)]


def made(classes: int) -> ClassTree:
    """Return a clustering of a made-up matrix, with long names and groups."""
    values = np.random.default_rng(classes).normal(0, 0.3, (classes, classes)).astype(np.float32)
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1.0)
    tree = class_order.clustering(values)
    places = class_order.leaf_order(tree)
    groups = [ClassGroup(f"hypernym {'of many words ' * (at % 3)}{at}", at, at + 1) for at in range(0, classes - 1, 3)]
    names = [f"a class's name {'and more ' * (at % 5)}{at}" for at in places]
    shown = values[np.ix_(places, places)]
    np.fill_diagonal(shown, np.nan)
    return ClassTree(
        "a run of a rather long name, NCSM, epoch 12", ClassLayout(places, names, groups, "in order"), shown, tree
    )


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_branches_equal_those_of_scipy(classes: int):
    tree = made(classes).tree
    theirs = scipys(tree, no_plot=True)
    expected = [
        np.column_stack([far, (np.array(row) - 5) / 10])
        for far, row in zip(theirs["dcoord"], theirs["icoord"], strict=True)
    ]
    ours = dendrogram.branches(tree)

    def key(fork: np.ndarray) -> tuple[float, ...]:
        ends = fork if fork[0, 1] < fork[-1, 1] else fork[::-1]
        return tuple(np.round(ends, 9).ravel())

    assert sorted(map(key, ours)) == sorted(map(key, expected))


def test_draw_tree_of_a_deep_tree_works():
    chain = np.sort(np.random.default_rng(0).random(3000))
    tree = linkage(np.cumsum(chain**3)[:, None], "single")
    assert dendrogram.branches(tree).shape == (2999, 4, 2)


def test_leaves_stand_at_the_rows_of_the_map(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, CNN)
    assert frames is not None
    one = dendrogram.class_tree(analysed.run, frames, 30)
    assert one is not None
    stored = analysed.run.csm("ncsm", 30, run=CNN)
    leaves = leaves_list(one.tree)
    assert one.classes.names == list(stored.index[leaves])
    with using(Style("screen", 2)):
        drawn = dendrogram.draw([one], frames.kind, Style("screen", 2))
    drawn.canvas.draw()
    stem, cells = (
        next(a for a in drawn.axes if wanted(a))
        for wanted in (lambda a: a.collections and not a.images, lambda a: a.images)
    )
    shown = cells.images[0].get_array()
    off = ~np.eye(100, dtype=bool)
    np.testing.assert_array_equal(shown[off], stored.to_numpy()[np.ix_(leaves, leaves)][off])
    for row in (0, 37, 99):
        assert stem.transData.transform((0, row))[1] == pytest.approx(cells.transData.transform((0, row))[1], abs=0.01)
    (lines,) = [found for found in stem.collections if isinstance(found, matplotlib.collections.LineCollection)]
    rows = sorted(y for line in lines.get_segments() for (x, y) in line[[0, -1]] if x == stem.get_xlim()[1])
    assert rows == list(range(100))


def test_class_tree_heights_are_mean_similarities(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, CNN)
    assert frames is not None
    one = dendrogram.class_tree(analysed.run, frames)
    assert one is not None
    values = analysed.run.csm("ncsm", 30, run=CNN).to_numpy(dtype=np.float64)
    members = {at: [at] for at in range(100)}
    for at, (left, right, height, _) in enumerate(one.tree):
        assert 1 - height == pytest.approx(values[np.ix_(members[int(left)], members[int(right)])].mean(), abs=1e-6)
        members[100 + at] = members[int(left)] + members[int(right)]


@pytest.mark.parametrize(("classes", "style"), list(zip([2, 10, 100, 1000], ALL_STYLES, strict=True)))
def test_draw_has_no_overlapping_texts(classes: int, style: Style):
    with using(style):
        assert_clear(dendrogram.draw([made(classes)], matrices.KINDS[0], style))


@pytest.mark.parametrize("columns", [1, 2])
def test_draw_of_several_runs_fills_the_columns(columns: int):
    style = Style("paper", columns)
    with using(style):
        drawn = dendrogram.draw([made(10), made(100), made(10)], matrices.KINDS[0], style)
    assert_clear(drawn)
    assert len({axes.get_position().y0 for axes in drawn.axes if axes.images}) == (3 if columns == 1 else 2)
    assert len({axes.images[0].get_clim() for axes in drawn.axes if axes.images}) == 1
    assert any("one scale for all" in text for text, _ in texts(drawn))


def test_class_tree_of_equal_values_is_none(analysed: Analysed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(analysed.out, out)
    path = out / "csms" / CNN / "ncsm" / "30.parquet"
    table = pq.read_table(path)
    same = pa.array([[0.25] * 100] * 100, table.schema.field("similarity").type)
    pq.write_table(table.set_column(table.column_names.index("similarity"), table.schema.field("similarity"), same), path)
    frames = matrices.matrix_frames(Results(out), CNN)
    assert frames is not None
    assert dendrogram.class_tree(Results(out), frames, 30) is None
    assert dendrogram.class_tree(Results(out), frames, 999) is None
    assert dendrogram.class_tree(Results(out), frames, 29) is not None
