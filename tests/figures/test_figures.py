"""The figures show the values of the tables and all chance levels, texts do not
overlap, and files are reproducible.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
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
from dsi_cli.figures import curves, save
from dsi_cli.figures.axes import draw_line, spread
from dsi_cli.figures.catalogue import FIGURES, FigureOptions, figure_spec
from dsi_cli.figures.style import STYLES, Style, using
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries import curve_panels
from dsi_cli.queries.findings import PHASE_NAMES
from dsi_cli.store.results import Results

CNN, VIT = "cifar100-cnn", "cifar100-vit"
SCREEN = Style("screen")
PANELS = {kind.name: kind for kind in curves.PANELS}
ALL_STYLES = [Style(name, columns) for name in STYLES for columns in (1, 2)]
OWN_TESTS = ("heatmaps", "dendrogram")
WITH_CHANCE = ("sai", "idm", "idm_errors")


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
    for name in (
        "heatmaps",
        "difference",
        "scatter",
        "agreement_by_class",
        "dendrogram",
    ):
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


@pytest.mark.parametrize("runs", [(CNN,), (CNN, VIT)])
@pytest.mark.parametrize(
    "name",
    [
        "agreement",
        "sai",
        "excess",
        "wsi",
        "idm",
        "idm_errors",
        "loss",
        "learning_rate",
        "mistakes",
    ],
)
def test_curves_equal_the_table(analysed: Analysed, name: str, runs: tuple[str, ...]):
    found = list(lines(drawn(analysed.run, name, runs), "curve"))
    kind, table = PANELS[name], analysed.run.curves
    rows = table[
        table["metric"].isin(kind.metrics)
        & table["run"].isin(runs)
        & table[kind.column].notna()
    ]
    if "sai" in kind.metrics:
        rows = rows[rows["variant"] == ("pearson" if name == "agreement" else "cosine")]
    elif kind.variants is not None:
        rows = rows[rows["variant"].isin(kind.variants)]
    groups = rows.groupby(["run", "of", "split", "variant"], dropna=False)
    assert len(found) == len(groups) > 0
    for _, group in groups:
        expected = group.sort_values("epoch")
        assert any(
            np.array_equal(x[np.isfinite(y)], expected["epoch"].astype(float))
            and np.array_equal(y[np.isfinite(y)], expected[kind.column])
            for x, y in found
        )


@pytest.mark.parametrize(
    ("name", "runs"), list(product(WITH_CHANCE, [(CNN,), (CNN, VIT)]))
)
def test_curves_with_a_chance_level_show_it(
    analysed: Analysed, name: str, runs: tuple[str, ...]
):
    figure = drawn(analysed.run, name, runs)
    (panel,) = curve_panels.panels(analysed.run, runs, None, [PANELS[name]])
    chance = [y for _, y in lines(figure, "chance")]
    assert len(chance) == len(panel.series)
    for one in panel.series:
        assert any(np.array_equal(y, one.chance, equal_nan=True) for y in chance)
    for one in figure.axes:
        assert [area.get_gid() for area in one.collections].count("chance band") == len(
            runs
        )
    assert "chance" in {text.get_text() for one in figure.axes for text in one.texts}


@pytest.mark.parametrize("name", ["agreement", "excess"])
def test_excess_shows_zero_as_chance_level(analysed: Analysed, name: str):
    figure = drawn(analysed.run, name)
    assert ([set(y) for _, y in lines(figure, "chance")], len(figure.axes)) == (
        [{0.0}] * len(figure.axes),
        3,
    )


def test_curves_of_two_runs_have_a_panel_per_curve_and_a_colour_per_run(
    analysed: Analysed,
):
    figure = drawn(analysed.run, "loss", (CNN, VIT))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "loss, test",
        "loss, train",
    ]
    for axes in figure.axes:
        found = [line for line in axes.get_lines() if line.get_gid() == "curve"]
        assert len({to_hex(line.get_color()) for line in found}) == 2
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [
        [],
        [CNN, VIT],
    ], "named once"


def test_equal_accuracies_are_merged_into_one_curve(analysed: Analysed):
    figure = drawn(analysed.run, "accuracy", style=Style("screen", 2))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        f"{CNN}: accuracy = balanced accuracy, test",
        f"{CNN}: superclass accuracy, test",
    ]
    (_, guessed), _ = lines(figure, "chance")
    assert set(guessed) == {1 / 100}


def test_training_stacks_panels_with_one_axis_of_epochs(analysed: Analysed):
    figure = drawn(analysed.run, "training")
    assert [one.get_ylabel().split(":")[0] for one in figure.axes] == [
        "agreement",
        "loss",
        "learning rate",
    ]
    assert {one.get_xlim() for one in figure.axes} == {(0, 30)}
    assert [one.get_xlabel() for one in figure.axes] == ["", "", "epoch"]
    assert figure.axes[2].get_xticks().tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert (figure.axes[2].get_yscale(), figure.get_suptitle()) == ("linear", "")
    for name in ("training", "geometry"):
        assert (
            drawn(analysed.run, name, (CNN, VIT), Style("paper", 1))
            .get_suptitle()
            .startswith("1 of 2 runs")
        )


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
    assert looked >= 11


@pytest.mark.parametrize("style", ALL_STYLES)
def test_typicality_histograms_have_no_overlapping_texts(style: Style):
    cells = product(("train", "test"), (0, 1, 3, 9), (True, False))
    rows = [
        ("r", split, epoch, correct, 0.5, 1.0, 9) for split, epoch, correct in cells
    ]
    frame = pd.DataFrame(
        rows, columns=["run", "split", "epoch", "correct", "low", "high", "samples"]
    )
    assert_clear(
        drawn(
            SimpleNamespace(typicality_histogram=frame),
            "typicality_histograms",
            ("r",),
            style,
        )
    )


def test_figure_spec_of_unknown_name_suggests_a_similar_name():
    for name, suggestion in (("idm_error", "idm_errors"), ("xyzzy", None)):
        with raises("unknown-figure", UsageError, figure=name, suggestion=suggestion):
            figure_spec(name)


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_write_of_equal_tables_gives_equal_bytes(
    analysed: Analysed, tmp_path: Path, form: str
):
    asked = FigureOptions((CNN,), style=Style("paper"))
    first, second = (
        save.write(analysed.run, ["wsi"], asked, [form], tmp_path / folder)
        .files[0]
        .read_bytes()
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
        save.parse_epochs("a")


def test_phases_are_a_bar_above_the_agreement_with_wordnet(analysed: Analysed):
    figure = drawn(analysed.run, "agreement", (CNN, VIT))
    table = analysed.run.phases
    rows = table[
        table["run"].eq(CNN)
        & table["curve"].eq("agreement ncsm,scsm")
        & table["phase"].isin(PHASE_NAMES)
    ]
    bars = [
        [area for area in one.collections if area.get_gid() == "phase"]
        for one in figure.axes
    ]
    assert [len(found) for found in bars] == [
        4,
        0,
        0,
    ], "surge and stabilisation of two runs"
    # the first run is on top
    starts = sorted(bar.get_paths()[0].vertices[:, 0].min() for bar in bars[0][2:])
    assert starts == pytest.approx(sorted(rows["first_epoch"]))
    assert all(bar.get_paths()[0].vertices[:, 1].min() > 1 for bar in bars[0])
    assert [x.tolist() for x, _ in lines(figure, "phase")][1:] == rows[
        ["low", "high"]
    ].to_numpy()[:1].tolist()
    assert {text.get_text() for text in figure.legends[0].get_texts()} >= {
        "surge",
        "95 % CI of a boundary",
    }
    (panel,) = curve_panels.panels(
        analysed.run, [CNN], "pearson", [PANELS["agreement"]]
    )
    results = SimpleNamespace(
        phases=pd.concat([rows.assign(run=f"run {number}") for number in range(8)])
    )
    for runs, count in ((6, 12), (7, 0), (8, 0)):
        names = [f"run {number}" for number in range(runs)]
        series = [replace(curve, run=name) for curve in panel.series for name in names]
        with using(SCREEN):
            options = SimpleNamespace(names=lambda _, names=names: names, style=SCREEN)
            figure = curves.draw_panel(replace(panel, series=series), results, options)
        assert [area.get_gid() for area in figure.axes[0].collections].count(
            "phase"
        ) == count
    looks = {
        (line.get_color(), line.get_linestyle())
        for line in figure.axes[0].get_lines()
        if line.get_gid() == "curve"
    }
    assert len(looks) == len(names) == 8, "the palette has seven colours"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=10).map(sorted))
def test_spread_keeps_order_distance_and_bounds_and_what_is_far_apart(
    places: list[float],
):
    moved = spread(places, 10, 0, 100)
    assert all(after - before >= 10 - 1e-9 for before, after in pairwise(moved))
    assert moved[0] >= -1e-9
    assert moved[-1] <= 100 + 1e-9
    if all(after - before >= 10 for before, after in pairwise(places)):
        np.testing.assert_allclose(moved, places, atol=1e-9)


def test_agreement_by_class_draws_chance_up_to_the_threshold_of_all_values(
    analysed: Analysed,
):
    figure = drawn(analysed.run, "agreement_by_class")
    assert f"chance ± {MIN_Z:g} std" in [
        text.get_text() for text in figure.findobj(Text)
    ]
    rows = analysed.run.alignment_by_class.query(
        "run == @CNN and class_index.notna() and epoch == 30"
    )
    (band,) = figure.axes[0].collections[:1]
    half_width = band.get_paths()[0].get_extents().x1
    assert half_width == pytest.approx(
        MIN_Z / np.sqrt(rows["class_index"].nunique() - 2)
    )
