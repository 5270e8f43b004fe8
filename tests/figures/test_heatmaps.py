"""Heat maps at chosen epochs."""

import numpy as np
import pytest
from helpers.analysed_runs import Analysed, MakeRun
from helpers.overlap import assert_clear, texts
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsi_cli.figures import color_scales, heatmaps
from dsi_cli.figures.catalogue import FigureOptions, figure_spec
from dsi_cli.figures.heatmaps import (
    ClassLayout,
    HeatmapRow,
    group_colours,
    group_entries,
    label_classes,
    lines_across,
)
from dsi_cli.figures.style import Style, using
from dsi_cli.queries import matrices, run_classes
from dsi_cli.queries.run_classes import ORDERS, ClassGroup
from dsi_cli.store.results import Results

CNN, VIT = "cifar100-cnn", "cifar100-vit"
TWO_STYLES = [Style("paper", 1), Style("screen", 2)]


def made(classes: int, panels: int = 4, *, grouped: bool = True) -> HeatmapRow:
    """Return a row of made-up matrices, with long and hostile names."""
    generator = np.random.default_rng(classes)
    size = max(2, classes // 30)
    values = generator.normal(0, 0.3, (panels, classes, classes)).astype(np.float32)
    values[:, np.arange(classes), np.arange(classes)] = np.nan
    names = [f"${'long ' * (at % 9)}name_{at}" for at in range(classes)]
    groups = [
        ClassGroup(f"hypernym {'of many words ' * (at % 3)}{at}", at, at + size - 1)
        for at in range(0, classes - size, size)
    ]
    drawn = {
        f"epoch {at}": matrices.percentile_ranks(one) for at, one in enumerate(values)
    }
    order = ClassLayout(np.arange(classes), names, groups[:20] if grouped else [])
    return HeatmapRow("a run of a rather long name_with$signs$, NCSM", order, drawn)


def maps(figure: Figure) -> list[Axes]:
    """Return the axes of maps, without colour bars and strips of groups."""
    return [
        axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"
    ]


@pytest.mark.parametrize("order", ORDERS)
def test_map_has_the_ranks_of_the_stored_matrix_in_display_order_without_diagonal(
    analysed: Analysed, order: str
):
    run = analysed.run
    options = FigureOptions((CNN,), (0, 7, 30), order=order, style=Style("paper", 2))
    with using(options.style):
        figure = heatmaps.figure(run, options)
    assert figure is not None
    classes = run.classes[run.classes["run"] == CNN]
    last = run.csm("ncsm", 30, run=CNN).to_numpy(copy=True)
    np.fill_diagonal(last, np.nan)
    places = {
        "given": np.arange(100),
        "name": np.argsort(classes["name"]),
        "taxonomy": run_classes.taxonomy_order(classes),
        "cluster": run_classes.cluster_order(last),
    }[order]
    assert [axes.get_title(loc="left") for axes in maps(figure)] == [
        "epoch 0",
        "epoch 7",
        "epoch 30",
        "WordNet",
    ]
    stored = [run.csm("ncsm", epoch, run=CNN) for epoch in (0, 7, 30)]
    stored.append(run.csm("scsm", run=CNN))
    for axes, matrix in zip(maps(figure), stored, strict=True):
        values = matrix.to_numpy(copy=True)[np.ix_(places, places)]
        np.fill_diagonal(values, np.nan)
        drawn = axes.images[0].get_array()
        np.testing.assert_array_equal(
            np.ma.filled(drawn, np.nan), matrices.percentile_ranks(values)
        )


def test_panels_of_two_runs_show_percentile_ranks_on_one_scale_and_wordnet_once(
    analysed: Analysed,
):
    with using(Style("screen")):
        figure = figure_spec("heatmaps").draw(
            analysed.run, FigureOptions((CNN, VIT), (0, 30))
        )
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in maps(figure)]
    assert titles == ["epoch 0", "epoch 30", "WordNet", "epoch 0", "epoch 30"]
    assert {axes.images[0].get_clim() for axes in maps(figure)} == {(0.5, 1.0)}
    for axes in maps(figure):
        assert axes.images[0].get_array().compressed().mean() == pytest.approx(0.5)
    assert_clear(figure)


@pytest.mark.parametrize("style", TWO_STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize(
    ("classes", "grouped"),
    [(2, True), (10, False), (100, True), (100, False), (1000, True)],
)
def test_draw_has_no_overlapping_texts(classes: int, grouped: bool, style: Style):
    with using(style):
        assert_clear(heatmaps.draw([made(classes, grouped=grouped), made(10)], style))


def test_groups_have_a_strip_of_colours_and_a_legend(analysed: Analysed):
    run = Results(analysed.out)
    run.__dict__["classes"] = run.classes.assign(
        group=np.where(run.classes["display_order"] < 40, "living_thing.n.01", None)
    )
    with using(Style("paper", 2)):
        figure = figure_spec("heatmaps").draw(run, FigureOptions((CNN,), (3,)))
    assert figure is not None
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "living thing"
    ]
    left, top = maps(figure)[0].child_axes
    colours = left.images[0].get_array()[:, 0]
    assert (
        len({tuple(colour) for colour in colours}),
        len({tuple(colour) for colour in colours[:40]}),
    ) == (2, 1)
    np.testing.assert_array_equal(top.images[0].get_array()[0], colours)
    assert_clear(figure)


def test_heatmaps_leave_out_missing_epochs(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, CNN)
    assert frames is not None
    row = heatmaps.heatmap_row(analysed.run, frames, FigureOptions(epochs=(2, 999)))
    assert list(row.maps) == ["epoch 2", "WordNet"]
    assert heatmaps.figure(analysed.run, FigureOptions((CNN,), (999,))) is None


def test_heatmaps_without_labels_have_no_reference_and_class_indices(
    make_results: MakeRun,
):
    run = Results(make_results(labels=None))
    with using(Style("screen", 1)):
        figure = heatmaps.figure(run, FigureOptions())
    assert figure is not None
    assert {"0", "7", "epoch 0", "epoch 3"} <= {text for text, _ in texts(figure)}
    assert "WordNet" not in {text for text, _ in texts(figure)}
    assert figure_spec("scatter").draw(run, FigureOptions()) is None
    assert_clear(figure)


def test_classes_with_wordnet_ids_have_words(make_results: MakeRun):
    run = Results(make_results())
    run.__dict__["classes"] = run.classes.assign(name=run.classes["wnid"])
    frames = matrices.matrix_frames(run, "run")
    assert frames is not None
    assert heatmaps.class_layout(run, frames, "given").names[0] == "cat (n02121620)"


def test_cells_of_a_large_ccsm_are_ranks_of_block_means():
    generator = np.random.default_rng(0)
    values = generator.random((1000, 1000)) * (generator.random((1000, 1000)) < 0.005)
    np.fill_diagonal(values, np.nan)
    shown = color_scales.cell_ranks(values, "ccsm")
    blocks = np.nanmean(values.reshape(125, 8, 125, 8), axis=(1, 3))
    assert shown.shape == (125, 125)
    assert np.nanargmax(shown) == np.nanargmax(blocks)
    assert color_scales.cell_ranks(values[:9, :9], "ccsm").shape == (9, 9)
    assert color_scales.cell_ranks(values[:200, :200], "ncsm").shape == (200, 200)
    uneven = np.full((127, 127), np.nan)
    uneven[126, 125] = 0.5
    assert np.isnan(color_scales.cell_ranks(uneven, "ccsm")).sum() == 64**2 - 1


def test_group_marks_of_repeated_colours_have_a_line_more_each_time():
    groups = [ClassGroup(f"group {index}", index, index) for index in range(20)]
    layout = ClassLayout(
        np.arange(20), [f"class {index}" for index in range(20)], groups
    )
    colours = group_colours([layout])
    assert colours["group 0"] == colours["group 9"] == colours["group 18"]
    assert lines_across("group 0", colours) == []
    assert lines_across("group 9", colours) == [0.5]
    assert lines_across("group 18", colours) == [1 / 3, 2 / 3]
    parts = [len(entry) - 1 for entry in group_entries(colours).values()]
    assert parts == [0] * 9 + [1] * 9 + [2] * 2
    figure = Figure()
    axes = figure.subplots()
    label_classes(axes, layout, colours, Style("screen"), 0)
    for strip in axes.child_axes:
        marks = [line for line in strip.get_lines() if line.get_gid() == "group mark"]
        assert len(marks) == 9 + 2 * 2
