"""The figures show the values of the tables and all chance levels, texts do not
overlap, and files are reproducible.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.analysed_runs import Analysed
from helpers.errors import raises
from helpers.outputs import ANIMALS, write_checkpoints, write_counts, write_predictions
from helpers.overlap import assert_clear
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.figures import save
from dsi_cli.figures.axes import draw_chance, draw_legend_of_lines, draw_line
from dsi_cli.figures.catalogue import FIGURES, FigureOptions, figure_spec
from dsi_cli.figures.scatter import spread_apart
from dsi_cli.figures.style import STYLES, Style, using
from dsi_cli.queries.findings import Point
from dsi_cli.store.results import Results

CNN, VIT = "cifar100-cnn", "cifar100-vit"
SCREEN = Style("screen")
ALL_STYLES = [Style(name, columns) for name in STYLES for columns in (1, 2)]
OWN_TESTS = ("heatmaps", "dendrogram")


def drawn(
    run: Results,
    name: str,
    runs: tuple[str, ...] = (CNN,),
    style: Style = SCREEN,
    **asked,
) -> Figure:
    with using(style):
        figure = figure_spec(name).draw(run, FigureOptions(runs, style=style, **asked))
        assert figure is not None
        return figure


def lines(figure: Figure, gid: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for one in figure.axes:
        for line in one.get_lines():
            if line.get_gid() == gid:
                yield (
                    np.asarray(line.get_xdata(), dtype=float),
                    np.asarray(line.get_ydata(), dtype=float),
                )


def test_figures_lists_and_comparisons_name_a_hierarchy_that_replaces_wordnet(
    tmp_path: Path, dsi
):
    for run in ("run", "other"):
        write_checkpoints(tmp_path / "runs" / run, 2)
    kinds = "".join(
        f"{name},{kind}\n" for name, kind in zip(ANIMALS, "aabbccdd", strict=True)
    )
    (tmp_path / "kinds.csv").write_text(
        f"child,parent\n{kinds}a,e\nb,e\nc,f\nd,f\ne,g\nf,g\n", encoding="utf-8"
    )
    out, page = tmp_path / "out", tmp_path / "page.html"
    analyze(
        [tmp_path / "runs"], out, Options(draws=0, taxonomy=str(tmp_path / "kinds.csv"))
    )
    for name in ("heatmaps", "scatter", "dendrogram"):
        texts = [
            text.get_text()
            for text in drawn(Results(out), name, ("run",)).findobj(Text)
        ]
        assert [
            any(word in text for text in texts) for word in ("kinds-path", "WordNet")
        ] == [True, False], name
    write_predictions(out, [0, 1, 2], [1, 2, 4])
    write_counts(out, np.eye(8, dtype=int) + 1)
    for command in (
        "mistakes",
        "neighbors",
        "neighbors --class cat",
        "neighbors --class cat --over-epochs",
    ):
        ended = dsi(*command.split(), out, "--run", "run")
        assert ("kinds-path" in ended.out, "WordNet" in ended.out) == (
            True,
            False,
        ), command
    texts = (
        dsi("compare", out, "--html", page).out
        + page.read_text(encoding="utf-8").partition("<script")[0]
    )
    assert ("Agreement with kinds-path" in texts, "WordNet" in texts) == (True, False)


@pytest.mark.parametrize(("points", "marked"), [(8, list(range(8))), (9, [0, 2, 8])])
def test_draw_line_marks_few_points_or_those_without_neighbours(
    points: int, marked: list[int]
):
    axes, values = (
        Figure().subplots(),
        np.array([1, np.nan, 1, np.nan, 1, 1, 1, np.nan, 1])[:points],
    )
    draw_line(axes, np.arange(points), values, "a curve")
    assert np.flatnonzero(axes.get_lines()[0].get_markevery()).tolist() == marked


SELECTED = {
    "agreement": ("sai", "pearson", "excess"),
    "idm_errors": ("idm", "errors", "value"),
    "wsi": ("wsi", None, "value"),
}


@pytest.mark.parametrize("runs", [(CNN,), (CNN, VIT)])
@pytest.mark.parametrize("name", SELECTED)
def test_curves_and_their_chance_levels_equal_the_table(
    analysed: Analysed, name: str, runs: tuple[str, ...]
):
    figure, table = drawn(analysed.run, name, runs), analysed.run.curves
    metric, variant, column = SELECTED[name]
    rows = table[table["metric"].eq(metric) & table["run"].isin(runs)]
    rows = rows[rows[column].notna()]
    if variant is not None:
        rows = rows[rows["variant"] == variant]
    curves, chance = list(lines(figure, "curve")), list(lines(figure, "chance"))
    groups = rows.groupby(["run", "of", "split", "variant"], dropna=False)
    assert len(curves) == len(groups) > 0
    assert len(chance) == (0 if name == "wsi" else len(groups))
    for _, group in groups:
        expected = group.sort_values("epoch")
        epochs = expected["epoch"].astype(float)
        found = [y for x, y in curves if np.array_equal(x[np.isfinite(y)], epochs)]
        assert any(np.array_equal(y[np.isfinite(y)], expected[column]) for y in found)
        if name == "idm_errors":
            level = expected["null_mean"].to_numpy()
            assert any(np.array_equal(y, level) for _, y in chance)
    if name == "agreement":
        assert {level for _, y in chance for level in y} == {0.0}


def test_curves_of_two_runs_have_a_panel_per_curve_and_a_colour_per_run(
    analysed: Analysed,
):
    figure = drawn(analysed.run, "wsi", (CNN, VIT))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["max WSI", "mean WSI", "min WSI"]
    for axes in figure.axes:
        found = [line for line in axes.get_lines() if line.get_gid() == "curve"]
        assert len({to_hex(line.get_color()) for line in found}) == 2
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == [CNN, VIT]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("style", "runs"), list(zip(ALL_STYLES, [None, (CNN,), (VIT,), None], strict=True))
)
def test_figures_have_no_overlapping_texts(analysed: Analysed, style: Style, runs):
    looked = 0
    for one in (one for one in FIGURES if one.name not in OWN_TESTS):
        with using(style):
            figure = one.draw(analysed.run, FigureOptions(runs, style=style))
            if figure is not None:
                assert_clear(figure)
                looked += 1
    assert looked >= 4


def test_figure_spec_of_unknown_name_suggests_a_similar_name():
    for name, suggestion in (("idm_error", "idm_errors"), ("learning_rate", None)):
        with raises("unknown-figure", figure=name, suggestion=suggestion) as caught:
            figure_spec(name)
    assert "dsi plot draws agreement, idm_errors, wsi, " in str(caught.value)


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_write_of_equal_tables_gives_equal_bytes(
    analysed: Analysed, tmp_path: Path, form: str
):
    asked = FigureOptions((CNN,), style=Style("paper"))
    first, second = (
        save.write(analysed.run, ["wsi"], asked, [form], tmp_path / folder)["wsi"][
            0
        ].read_bytes()
        for folder in "ab"
    )
    assert first == second
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form])
    assert not any(word in first for word in (b"<dc:date>", b"CreationDate"))


def test_write_to_an_impossible_path_keeps_the_old_file(
    analysed: Analysed, tmp_path: Path
):
    (tmp_path / "wsi.png").mkdir()
    with pytest.raises(OutputError, match=r"wsi\.png could not be written"):
        save.write(analysed.run, ["wsi"], FigureOptions((CNN,)), ["png"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["wsi.png"]


def test_save_of_characters_that_no_font_has_gives_no_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
):
    with using(SCREEN):
        (figure := Figure()).text(0.5, 0.5, "猫 \ue000")
        save.save(figure, tmp_path / "a.png", "png")
    assert [str(one.message) for one in recwarn] == []


@pytest.mark.parametrize(
    "field", [{"measure": "dice"}, {"order": "size"}, {"style": "web"}]
)
def test_check_options_with_unknown_value_raises(analysed: Analysed, field: dict):
    options = FigureOptions(**({"style": Style("web")} if "style" in field else field))
    with raises(f"unknown-{next(iter(field))}", UsageError, **field):
        save.check_options(analysed.run, options)
    with raises("bad-epochs", UsageError, epochs="a"):
        save.parse_epochs(analysed.run, (), "a")


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10).map(sorted))
def test_spread_keeps_order_distance_and_bounds_and_what_is_far_apart(
    places: list[float],
):
    moved = spread_apart(places, 10, 0, 100)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(moved))
    assert moved[0] >= -1e-9
    assert moved[-1] <= 100 + 1e-9
    if all(after - before >= 10 for before, after in pairwise(places)):
        np.testing.assert_allclose(moved, places, atol=1e-9)


def test_curves_of_runs_of_which_one_has_predictions_keep_the_colours_of_the_runs(
    tmp_path,
):
    first = write_checkpoints(tmp_path / "first")
    second = write_checkpoints(tmp_path / "second", seed=1)
    targets = np.arange(160) % len(ANIMALS)
    drawn_classes = np.random.default_rng(0).integers(0, len(ANIMALS), (4, 160))
    np.save(second / "targets.npy", targets)
    np.save(second / "preds.npy", np.where(targets % 3, targets, drawn_classes))
    analyze([first, second], tmp_path / "out", Options(draws=0))
    results = Results(tmp_path / "out")
    figure = drawn(results, "agreement", ("first", "second"))
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    of_run = dict(zip(texts, legend.get_lines(), strict=False))
    colours = {name: of_run[name].get_color() for name in ("first", "second")}
    assert len({*colours.values()}) == 2
    found = []
    for axes in figure.axes:
        curves = [line for line in axes.get_lines() if line.get_gid() == "curve"]
        found.append({line.get_label(): line.get_color() for line in curves})
    assert {"second": colours["second"]} in found
    assert all(colours[name] == of[name] for of in found for name in of)


def test_chance_band_holds_the_values_that_words_call_within_chance():
    figure = Figure()
    axes = figure.subplots()
    chance, std = np.array([0.1, 0.2]), np.array([0.01, 0.02])
    draw_chance(axes, np.arange(2), chance, std)
    (band,) = axes.collections
    for epoch, level, spread in zip((0, 1), chance, std, strict=True):
        ends = [y for x, y in band.get_paths()[0].vertices if x == epoch]
        for z in (-2.9, 2.9):
            point = Point(epoch, level + z * spread, z=z)
            assert point.verdict == "within chance"
            assert min(ends) < point.value < max(ends)
        for z in (-3.1, 3.1):
            point = Point(epoch, level + z * spread, z=z)
            assert point.verdict != "within chance"
            assert not min(ends) <= point.value <= max(ends)
    with using(SCREEN):
        draw_legend_of_lines(figure)
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["chance", "within chance (3 SD)"]


def test_line_markers_at_the_ends_are_not_clipped():
    axes = Figure().subplots()
    draw_line(axes, np.arange(3), np.ones(3), "name")
    (line,) = axes.get_lines()
    assert not line.get_clip_on()
