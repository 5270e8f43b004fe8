"""The figures of a comparison show its values."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.table_comparison import write_output, write_run
from PIL import Image

from dsi_cli.figures import curves as drawing
from dsi_cli.queries.comparison.compare import ComparisonOptions, compare
from dsi_cli.store.results import Results


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("repeated")
    runs = [
        write_run(tmp_path / f"{name}_seed{i}", seed=10 * at + i)
        for at, name in enumerate("ab")
        for i in range(2)
    ]
    return compare(
        [write_output(tmp_path / "out", *runs)], ComparisonOptions(group="seed")
    )


@pytest.fixture(scope="module")
def figures(repeated):
    return dict(drawing.comparison_figures(repeated))


def test_figures_have_one_line_per_group(repeated, figures):
    assert list(figures) == [
        "accuracy",
        "alignment",
        "max_wsi",
        "min_wsi",
        "widm",
        "nidm",
        "networks",
    ]
    for name, figure in figures.items():
        (axes,) = figure.axes
        lines = [
            line
            for line in axes.lines
            if line.get_label() != "chance" and len(line.get_xdata()) > 2
        ]
        assert len(lines) == (3 if name == "networks" else 2), name
        assert axes.get_xlabel() == repeated.epochs
        assert axes.get_ylabel()


def test_figure_lines_and_bands_equal_the_comparison(repeated, figures):
    axes = figures["max_wsi"].axes[0]
    bands = [band for band in repeated.curves if band.curve == "max_wsi"]
    for line, area, band in zip(axes.lines, axes.collections, bands, strict=True):
        assert (list(line.get_xdata()), line.get_ydata().tolist()) == (
            band.x,
            band.mean,
        )
        assert line.get_label() == f"{band.group}: mean of 2, lowest to highest"
        heights = area.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx(
            (min(band.low), max(band.high))
        )


def test_figures_with_a_chance_level_show_it(figures):
    shown = {
        name: [line.get_label() for line in figure.axes[0].lines]
        for name, figure in figures.items()
    }
    assert [name for name, labels in shown.items() if "chance" in labels] == [
        "alignment",
        "widm",
        "nidm",
        "networks",
    ]


def test_figures_of_two_runs_have_chance_bands(tmp_path):
    folders = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    found = compare([write_output(tmp_path / "out", *folders)], ComparisonOptions())
    figures = dict(drawing.comparison_figures(found))
    curves = Results(tmp_path / "out").curves.query("epoch == 2 and run == 'a'")
    sai = curves.query(
        "metric == 'sai' and of == 'ncsm,scsm' and variant == 'pearson'"
    ).iloc[0]
    widm = curves.query(
        "metric == 'idm' and of == 'scsm' and variant == 'errors'"
    ).iloc[0]
    for name, top in (
        ("alignment", 1.96 * sai["excess"] / sai["z"]),
        ("widm", widm["null_mean"] + 1.96 * widm["null_std"]),
    ):
        bands = [
            area
            for area in figures[name].axes[0].collections
            if area.get_gid() == "chance band"
        ]
        ends = [
            y
            for x, y in bands[0].get_paths()[0].vertices
            if x == bands[0].get_paths()[0].vertices[:, 0].max()
        ]
        assert max(ends) == pytest.approx(top)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_save_writes_every_format(repeated, tmp_path, kind):
    repeated = replace(
        repeated, curves=[band for band in repeated.curves if band.curve == "accuracy"]
    )
    folder = tmp_path / "made" / "figures"
    paths = drawing.save_comparison(repeated, folder, kind)
    assert (sorted(paths), paths[0].name) == (
        sorted(folder.iterdir()),
        f"compare-accuracy.{kind}",
    )
    if kind == "png":
        assert (
            len(
                np.unique(
                    np.asarray(Image.open(paths[0]).convert("RGB")).reshape(-1, 3),
                    axis=0,
                )
            )
            > 10
        )
