"""The report in Chromium shows the values of the tables and makes no external
requests.
"""

import csv
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.browser import opening, require_chromium
from helpers.outputs import (
    ANIMALS,
    heads,
    save_head,
    stored,
    stored_reference,
    suspect,
    write_checkpoints,
    write_suspects,
)
from helpers.table_comparison import write_output, write_run
from scipy.stats import rankdata

from dsi_cli import report
from dsi_cli.analysis import report_file
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.figures.heatmaps import ClassLayout, group_colours
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries import quantities
from dsi_cli.queries.mistakes import confused_pairs
from dsi_cli.queries.records import records
from dsi_cli.queries.run_classes import ClassGroup
from dsi_cli.queries.suspect_texts import NO_SUSPECTS
from dsi_cli.report import matrices, page_data
from dsi_cli.store.results import Results
from dsi_cli.suspect_kinds import KINDS_BY_NAME

require_chromium(module=True)

HOSTILE = "<img src=x onerror=window.hacked=1>"
LABELS = (HOSTILE, *ANIMALS[1:])
EPOCHS, CLASSES = 6, len(LABELS)
TITLES = ("Network’s similarity", "Mistakes’ similarity, test", "WordNet")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder of two runs with predictions and a report."""
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("first", "second")):
        rng = np.random.default_rng(seed)
        write_checkpoints(folder / "runs" / name, EPOCHS, LABELS, seed)
        targets = np.arange(80) % CLASSES
        predictions = np.where(
            rng.random((EPOCHS, 80)) < 0.5,
            targets,
            rng.integers(0, CLASSES, (EPOCHS, 80)),
        )
        np.save(folder / "runs" / name / "preds.npy", predictions)
        np.save(folder / "runs" / name / "targets.npy", targets)
    analyze([folder / "runs"], folder / "out", Options(draws=0))
    report_file.write_report(folder / "out")
    return folder / "out"


def drawn(page):
    """Return a page of a report, once its matrices are drawn."""
    wait_for(
        page,
        "Boolean(document.querySelector('canvas.map')?.dataset.left &&"
        " document.querySelector('#inspector h3'))",
    )
    return page


@pytest.fixture
def open_page(open_file):
    """Return ``open_page(file, width=1280, scheme="light")``, once the matrices are
    drawn.
    """
    return lambda file, **options: drawn(open_file(file, **options))


@pytest.fixture
def page(open_page, out):
    return open_page(out / "report.html")


@pytest.fixture(scope="module")
def same_page(browser, out):
    """The report in a page that several tests read; each sets the epoch, and changes no
    other control.
    """
    with opening(browser) as opened:
        yield drawn(opened(out / "report.html"))


def wait_for(page, condition):
    """Wait until a JavaScript expression is true. The page's policy forbids the
    evaluation in the page itself.
    """
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {condition}")


def set_epoch(page, epoch):
    page.locator("#epoch").fill(str(epoch))
    wait_for(page, f"document.querySelector('.epoch-now').textContent == '{epoch}'")
    page.wait_for_timeout(100)


def point_at(page, map_number, row, column, size=CLASSES):
    """Move the mouse to a cell of a heat map, and return what the tip says: the pair,
    and a text for each matrix.
    """
    canvas = page.locator("canvas.map").nth(map_number)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    left, top = (
        float(canvas.get_attribute(f"data-{side}")) for side in ("left", "top")
    )
    cell = (box["width"] - left) / size
    page.mouse.move(
        box["x"] + left + (column + 0.5) * cell, box["y"] + top + (row + 0.5) * cell
    )
    tip = page.locator("#tip")
    values = {
        line.locator("span").nth(0).inner_text(): (
            line.locator("span").nth(1).inner_text()
        )
        for line in tip.locator("div").all()
    }
    return tip.locator("b").inner_text(), values


def number(text):
    """Return a number as the page writes it, and how far it may be off."""
    found = re.search(r"(−?[\d.]+(?:e-\d+)?)(?: ± ([\d.e-]+))?$", text)
    return float(found[1].replace("−", "-")), float(found[2] or 7.1e-5)


def pixels(page):
    return [
        canvas.evaluate("canvas => canvas.toDataURL()")
        for canvas in page.locator("canvas.map").all()
    ]


def test_page_shows_each_matrix_and_section(same_page):
    assert tuple(same_page.locator(".heat h3").all_inner_texts()) == TITLES
    assert same_page.locator("#questions .question").count() == 3
    assert same_page.locator("#questions .panel").count() >= 8
    assert same_page.title() == "out: similarity report"
    assert HOSTILE in same_page.locator("main").inner_text()
    assert (same_page.locator("img").count(), same_page.evaluate("window.hacked")) == (
        0,
        None,
    )
    for section in (
        "overview",
        "curves",
        "matrices",
        "closest",
        "agreement",
        "mistakes",
        "method",
    ):
        assert same_page.locator(f"#{section}").inner_text().strip()


def test_tooltip_shows_the_values_of_the_tables(same_page, out):
    epoch = 1
    set_epoch(same_page, epoch)
    ncsm, ccsm = (
        stored(out, "first", "ncsm", epoch),
        stored(out, "first", "ccsm-test", epoch),
    )
    scsm, order = stored_reference(out, "first")
    for at, (row, column) in enumerate([(1, 2), (6, 3), (2, 1), (7, 0)]):
        i, j = order[row], order[column]
        pair, values = point_at(same_page, at % 3, row, column)
        assert pair == f"{LABELS[i]} × {LABELS[j]}"
        for title, matrix in zip(TITLES, (ncsm, ccsm, scsm), strict=True):
            if np.isnan(matrix[i, j]):
                assert values[title] == "no value"
                continue
            value, error = number(values[title])
            assert error <= 1e-4
            assert value == pytest.approx(matrix[i, j], abs=error)


def test_order_switch_changes_the_maps(page, out):
    _, order = stored_reference(out, "first")
    assert point_at(page, 0, 0, 1)[0] == f"{LABELS[order[0]]} × {LABELS[order[1]]}"
    before = pixels(page)
    page.get_by_label("Order of classes").select_option("given")
    assert point_at(page, 0, 0, 1)[0] == f"{LABELS[0]} × {LABELS[1]}"
    page.mouse.move(0, 0)
    assert all(one != other for one, other in zip(before, pixels(page), strict=True))
    assert page.get_by_label("Order of classes").locator("option").count() == 3


def test_keyboard_moves_the_slider_and_buttons_zoom(page):
    of_last_epoch = pixels(page)[0]
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#epoch-number").inner_text() == str(EPOCHS - 2)
    page.wait_for_function(
        "last => document.querySelector('canvas.map').toDataURL() !== last",
        arg=of_last_epoch,
    )
    before = pixels(page)
    page.get_by_label("Zoom in").click()
    assert pixels(page)[0] != before[0]
    page.get_by_label("Show all classes").click()
    assert pixels(page)[0] == before[0]


def test_controls_are_reachable_by_tab_and_have_a_name(page):
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, select, input')].filter(node => !node.hidden && !node.closest('[hidden]')
        && !(node.getAttribute('aria-label') || node.innerText || (node.labels && node.labels.length))).length"""
    )
    assert nameless == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate(
        "[...document.querySelectorAll('[tabindex]:not(main)')].every(node =>"
        " node.tabIndex === 0)"
    )


CONTRASTS = """() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const backgroundOf = (node) => {
    const colour = rgba(getComputedStyle(node).backgroundColor);
    return colour[3] === 255 ? colour : backgroundOf(node.parentElement);
  };
  const low = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !node.getClientRects().length || node.closest("option")) continue;
    const { fill, color } = getComputedStyle(node);
    const colours = [rgba(node.closest("svg") ? fill : color), backgroundOf(node)];
    const [dark, light] = colours.map(luminance).sort((a, b) => a - b);
    if ((light + 0.05) / (dark + 0.05) < 4.5) low.push(node.outerHTML);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_all_texts_is_at_least_4_5(open_page, out, scheme):
    page = open_page(out / "report.html", scheme=scheme)
    page.locator("#search").focus()
    # a line has the colour of one of seven runs
    page.evaluate(
        """document.querySelectorAll(".end").forEach((node) => {
             for (let k = 1; k < 7; k++) {
               const copy = node.cloneNode(true);
               copy.setAttribute("class", `end c${k}`);
               node.after(copy);
             }
           })"""
    )
    assert page.evaluate(CONTRASTS) == []


def test_every_control_shows_that_it_has_the_focus(page):
    page.evaluate(
        "document.querySelectorAll('details').forEach((node) => node.open = true)"
    )
    controls = "button, select, input, a[href], summary, [tabindex='0']"
    hidden = page.evaluate(
        f"""[...document.querySelectorAll("{controls}")].filter((node) => {{
             node.focus({{ focusVisible: true, preventScroll: true }});
             return node.offsetParent && (document.activeElement !== node
               || getComputedStyle(node).outlineStyle === "none");
           }}).map((node) => node.outerHTML)"""
    )
    assert hidden == []


def test_sheet_does_not_move_for_readers_who_want_less_motion(open_page, out):
    page = open_page(out / "report.html", width=400)
    moving = "getComputedStyle(document.getElementById('inspector')).transitionDuration"
    assert page.evaluate(moving) == "0.2s, 0.2s"
    page.emulate_media(reduced_motion="reduce")
    assert set(page.evaluate(moving).split(", ")) <= {"0s"}


def cursor_labels(page, panel, epoch):
    """Return the values that a chart shows at an epoch, by the run's colour."""
    plot = panel.locator("svg.plot")
    plot.scroll_into_view_if_needed()
    axis = plot.locator("line.axis")
    left, right = (float(axis.get_attribute(end)) for end in ("x1", "x2"))
    x = left + (right - left) * epoch / (EPOCHS - 1)
    plot.hover(position={"x": x, "y": 100})
    return {
        label.get_attribute("class").split()[1]: label.text_content()
        for label in panel.locator(".cursor-label").all()
    }


def panel_of(page, text):
    return page.locator(".panel", has=page.locator("h3", has_text=text)).first


def test_raw_sai_is_shown_with_its_chance_level(page):
    page.get_by_label("Measure", exact=True).select_option("sai_cosine")
    panel = panel_of(page, "Cosine SAI (raw) with WordNet")
    for marks in ("path.curve", "path.chance", "polygon.band"):
        assert panel.locator(marks).count() == 2
    labels = cursor_labels(page, panel, 2)
    assert ["chance 0." in text for text in labels.values()] == [True, True]


def changed(out, folder, name, rows):
    """Return the report of a copy of a results folder with other rows in a table."""
    shutil.copytree(out, folder)
    schema = pq.read_schema(out / name)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / name)
    return report_file.write_report(folder)


def test_panel_with_phases_describes_them_with_their_interval(open_page, out, tmp_path):
    run = {"run": "first", "curve": "agreement ncsm,scsm"}
    columns = ("phase", "first_epoch", "last_epoch", "low", "high", "reason")
    phases = (
        ("surge", 0.0, 1.25, 1.0, 2.5, None),
        ("stabilisation", 1.25, 5.0, 5.0, 5.0, "no decline beyond noise"),
        ("t50", 0.0, 0.5, 0.25, 1.0, None),
    )
    rows = [run | dict(zip(columns, phase, strict=True)) for phase in phases]
    page = open_page(changed(out, tmp_path / "out", "phases.parquet", rows))
    panel = panel_of(page, "Agreement with WordNet")
    surge = "surge, epochs 0 to 1.25 (95 % CI of the end: 1 to 2.5)"
    assert panel.locator("title").all_text_contents() == [
        surge,
        "stabilisation, epochs 1.25 to 5: no decline beyond noise",
    ]
    labels = panel.locator(".phase-name").all_text_contents()
    assert labels == ["surge to 1 (1–3)", "stabilisation"]


def test_page_of_two_classes_has_its_one_mistake(open_page, tmp_path):
    save_head(tmp_path / "run" / "epoch_0.pt", heads(1)[0][:2], epoch=0)
    np.save(tmp_path / "run" / "preds.npy", [[0, 1, 1]])
    np.save(tmp_path / "run" / "targets.npy", [0, 1, 0])
    analyze([tmp_path / "run"], tmp_path / "out", Options(draws=0))
    page = open_page(report_file.write_report(tmp_path / "out"))
    said = (
        "confused 1 pair of classes. Rank 1 is the class most similar",
        "Most confused pairs",
    )
    assert all(text in page.locator("#mistakes-body").text_content() for text in said)


def test_page_of_one_checkpoint_without_an_epoch_has_no_epoch_number(
    open_page, tmp_path
):
    save_head(tmp_path / "run" / "model.pt", heads(1, features=2048)[0])
    (tmp_path / "run" / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
    analyze([tmp_path / "run"], tmp_path / "out", Options(draws=0))
    page = open_page(report_file.write_report(tmp_path / "out"))
    assert [
        page.locator("main").inner_text().count(text)
        for text in ("at epoch –", "epoch 0")
    ] == [4, 0]


def test_first_screen_has_the_finding_four_tiles_charts_and_matrices(same_page):
    set_epoch(same_page, EPOCHS - 1)
    parts = same_page.locator("#overview > div")
    assert parts.nth(0).get_attribute("id") == "hero", "the picture before the words"
    assert same_page.locator("#overview h2").inner_text().endswith(".")
    assert same_page.locator(".tile").count() == 4
    assert same_page.locator(".tile").first.locator(".tile-run").all_inner_texts() == [
        "first",
        "second",
    ]
    assert same_page.locator("#hero .panel").count() == 2
    captions = same_page.locator(".small-matrix figcaption").all_inner_texts()
    last = EPOCHS - 1
    assert captions == [
        "network, epoch 0",
        f"network, epoch {last}",
        f"its mistakes, epoch {last}",
        "WordNet",
    ]
    set_epoch(same_page, 2)
    assert (
        same_page.locator(".small-matrix figcaption").nth(1).inner_text()
        == "network, epoch 2"
    )


def test_chart_against_accuracy_places_points_by_their_accuracy(page, out):
    panel = panel_of(page, "Agreement against accuracy")
    curves = Results(out).curves.query("run == 'first' and metric == 'accuracy'")
    accuracy = curves.sort_values("epoch")["value"].to_numpy()
    dots = panel.locator("circle.c0:not(.cursor circle)")
    columns = np.array([float(dot.get_attribute("cx")) for dot in dots.all()])
    slope = np.ptp(columns) / np.ptp(accuracy)
    assert np.diff(columns) == pytest.approx(slope * np.diff(accuracy), abs=0.01)


def test_page_on_a_narrow_screen_folds_all_sections_but_the_first(open_page, out):
    page = open_page(out / "report.html", width=400)
    assert page.locator("#questions").is_hidden()
    assert page.evaluate("document.documentElement.scrollHeight") <= 8 * 900
    chart = page.locator("#hero .plot").first.bounding_box()
    assert chart["y"] + chart["height"] < 800, "a chart comes after the headline"
    for button, is_shown in (('nav a[href="#curves"]', True), ("#curves .fold", False)):
        page.locator(button).click()
        assert (
            page.locator("#questions").is_visible()
            == page.locator("#questions .panel").first.is_visible()
            == is_shown
        )
    page.set_viewport_size({"width": 800, "height": 900})
    page.locator('nav a[href="#matrices"]').click()
    heading, top = (
        page.locator(name).bounding_box() for name in ("#matrices h2", ".top")
    )
    assert heading["y"] >= top["y"] + top["height"], (
        "the links do not cover the section"
    )


def test_page_on_a_narrow_screen_opens_a_pair_in_a_sheet_that_can_be_closed(
    open_page, out
):
    page = open_page(out / "report.html", width=400)
    sheet = page.locator("#inspector")
    assert sheet.is_hidden()
    page.locator('nav a[href="#matrices"]').click()
    canvas = page.locator("canvas.map").first
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    page.wait_for_timeout(500)
    assert sheet.is_visible()
    bounds = sheet.bounding_box()
    assert bounds["y"] + bounds["height"] <= 901, "the sheet is on the screen"
    sheet.get_by_label("Close").click()
    page.wait_for_timeout(500)
    assert sheet.is_hidden()


def test_controls_on_a_narrow_screen_are_large_enough_for_a_finger(open_page, out):
    page = open_page(out / "report.html", width=400)
    small = page.evaluate(
        """[...document.querySelectorAll('button, select, input, nav a, summary')].filter((node) => {
            const { width, height } = node.getBoundingClientRect();
            return width && height < 32 && !node.closest('h2, h3, p');
        }).map((node) => node.outerHTML)"""
    )
    assert small == []


def test_curves_on_the_training_data_are_dashed_in_the_colour_of_their_run(
    open_page, tmp_path
):
    run = tmp_path / "run"
    write_checkpoints(run, 3, ANIMALS)
    rows = ["epoch,train_loss,val_loss", *(f"{k},{2 - k},{3 - k}" for k in range(3))]
    (run / "log.csv").write_text("\n".join(rows), encoding="utf-8")
    analyze([run], tmp_path / "out", Options(draws=0))
    page = open_page(report_file.write_report(tmp_path / "out"))
    curves = panel_of(page, re.compile("^Loss")).locator("path.curve")
    styles = [curve.get_attribute("class").split() for curve in curves.all()]
    assert {style[1] for style in styles} == {"c0"}
    assert sorted("second" in style for style in styles) == [False, True]


def test_confusion_matrix_without_mistakes_has_a_note(open_page, tmp_path):
    page = open_page(
        report_file.write_report(
            write_output(tmp_path / "out", write_run(tmp_path / "run", (0.2, 1.0)))
        )
    )
    notes = page.locator(".heat .note")
    assert notes.nth(1).inner_text() == "There are no mistakes at this epoch."
    last = pixels(page)[1]
    set_epoch(page, 0)
    assert notes.nth(1).text_content().startswith("Empty cells are pairs")
    assert pixels(page)[1] != last


def test_pointer_on_a_panel_shows_the_values_of_the_epoch_on_all_panels(same_page, out):
    curves = Results(out).curves.query("metric == 'wsi' and variant == 'max'")
    first = same_page.locator("#hero .panel").first
    cursor_labels(same_page, first, 2)
    shown = panel_of(same_page, "Nearest classes").locator(".cursor-label")
    expected = curves[curves["epoch"] == 2]["value"].tolist()
    assert sorted(number(text)[0] for text in shown.all_text_contents()) == (
        pytest.approx(sorted(expected), abs=5e-3)
    )
    plot = first.locator("svg.plot")
    plot.click(position={"x": 46, "y": 100})
    assert same_page.locator("#epoch-number").inner_text() == "0"


def open_cell(page, row, column):
    """Click on a cell of the first heat map, and return the panel of its pair or
    class.
    """
    point_at(page, 0, row, column)
    page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(200)
    return page.locator("#inspector")


def rank_in(matrix, i, j):
    """Return the rank of a pair in a symmetric matrix as the page writes it: 1 is the
    most similar pair, ties share the mean.
    """
    values = matrix[np.triu_indices(CLASSES, 1)]
    above, equal = (
        (values > matrix[i, j] + 1e-4).sum(),
        (abs(values - matrix[i, j]) <= 1e-4).sum(),
    )
    return int(above + (equal + 1) / 2 + 0.5)


def test_pair_panel_shows_the_numbers_of_the_tables(same_page, out):
    set_epoch(same_page, 2)
    scsm, order = stored_reference(out, "first")
    ncsm, ccsm = stored(out, "first", "ncsm", 2), stored(out, "first", "ccsm-test", 2)
    panel = open_cell(same_page, 1, 5)
    i, j = order[1], order[5]
    assert panel.locator("h3").first.inner_text() == f"{LABELS[i]} – {LABELS[j]}"
    upper = np.triu_indices(CLASSES, 1)
    for row, matrix in zip(
        panel.locator("table.ranks tbody tr").all(), (ncsm, scsm), strict=True
    ):
        value, rank = row.locator("td").all_inner_texts()
        assert (number(value)[0], rank.split()[0]) == (
            pytest.approx(matrix[i, j], abs=1e-4),
            str(rank_in(matrix, i, j)),
        )
        assert rank.endswith(f"of {(~np.isnan(matrix[upper])).sum()}")
    there, back = panel.locator(".confusions").inner_text().splitlines()
    assert (
        there == f"{LABELS[i]} predicted as {LABELS[j]}: {round(10 * ccsm[i, j])} of 10"
        f" ({100 * ccsm[i, j]:.1f} %)."
    )
    assert (
        back == f"{LABELS[j]} predicted as {LABELS[i]}: {round(10 * ccsm[j, i])} of 10"
        f" ({100 * ccsm[j, i]:.1f} %)."
    )
    set_epoch(same_page, 4)
    rank = rank_in(stored(out, "first", "ncsm", 4), i, j)
    shown = panel.locator("table.ranks tbody tr").first.locator("td").last.inner_text()
    assert shown.split()[0] == str(rank)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """A results folder whose classes form two groups of WordNet."""
    folder = tmp_path_factory.mktemp("groups")
    write_checkpoints(
        folder / "run", 2, ("cat", "car", "dog", "truck", "lion", "bus", "wolf", "taxi")
    )
    analyze([folder / "run"], folder / "out", Options(draws=0))
    report_file.write_report(folder / "out")
    return folder / "out"


def test_groups_have_the_colours_of_the_figures(open_page, grouped):
    page = open_page(grouped / "report.html")
    names = ["canine", "feline", "motor vehicle"]
    assert page.locator("#group-legend li").all_inner_texts() == names
    colours = page.locator("#group-legend rect").all()
    shown = [colour.get_attribute("fill") for colour in colours]
    layout = ClassLayout(np.arange(8), [], [ClassGroup(name, 0, 1) for name in names])
    assert shown == list(group_colours([layout]).values())


def test_colours_of_groups_repeat_with_a_line(
    open_page, grouped, tmp_path, monkeypatch
):
    monkeypatch.setattr(page_data, "GROUP_COLOURS", ("#110000", "#220000"))
    page = open_page(report_file.write_report(grouped, tmp_path / "few.html"))
    looks = [
        [mark.get_attribute("fill") for mark in item.locator("rect").all()]
        for item in page.locator("#group-legend li").all()
    ]
    assert looks == [["#110000"], ["#220000"], ["#110000", None]]


def test_class_panel_shows_the_neighbours_of_the_epoch(same_page, out):
    set_epoch(same_page, 2)
    panel = open_cell(same_page, 3, 3)
    chosen = stored_reference(out, "first")[1][3]
    ncsm = stored(out, "first", "ncsm", 2).astype(float)
    np.fill_diagonal(ncsm, -np.inf)
    nearest = np.argsort(-ncsm[chosen], kind="stable")[:-1]
    assert panel.locator("h3").first.inner_text() == LABELS[chosen]
    assert panel.locator("tbody td:nth-child(2)").all_inner_texts() == [
        LABELS[k] for k in nearest
    ]
    # the name of a neighbour opens it, and its value opens the pair
    name = LABELS[nearest[0]]
    panel.locator("tbody tr").first.locator("button").last.click()
    title = "document.querySelector('#inspector h3').textContent == "
    wait_for(same_page, f"{title}{LABELS[chosen] + ' – ' + name!r}")
    panel.locator("h3 button").last.click()
    wait_for(same_page, f"{title}{name!r}")
    first = panel.locator("tbody button").first
    following = first.inner_text()
    first.click()
    wait_for(same_page, f"{title}{following!r}")


NOTABLE = {
    "run": "second",
    "rank": 1,
    "grade": "strong",
    "epoch_ranks": [40, 0, 1],
    "tested_epochs": [1, 2, 3],
}
WEAKER = {"grade": "worth a look"}
ORDINARY = NOTABLE | {"grade": "ordinary"}


@pytest.fixture
def suspects_page(open_page, out, tmp_path):
    """The page of seven notable suspects of the second run, the strongest first, and of
    an ordinary one of two kinds.
    """
    folder = tmp_path / "out"
    shutil.copytree(out, folder)
    rows = [
        suspect("duplicate", 1, 2, **NOTABLE, since_epoch=2, evidence=HOSTILE),
        suspect("shortcut", 1, 3, 5, **NOTABLE),
        *(suspect("dead-class", index, **NOTABLE | WEAKER) for index in range(5)),
        suspect("wrong-label", 1, **ORDINARY),
        suspect("wrong-sense", 2, **ORDINARY),
    ]
    write_suspects(folder, rows)
    return open_page(report_file.write_report(folder))


def test_suspects_are_below_the_charts_and_five_are_open(suspects_page):
    blocks = suspects_page.locator("#overview > div")
    classes = [block.get_attribute("class") for block in blocks.all()]
    assert classes.index("hero") < classes.index("suspects")
    assert classes.index("suspects") < classes.index("differences")
    link = suspects_page.get_by_role(
        "link", name="2 strong, 5 worth a look, the first: dog, horse"
    )
    assert link.get_attribute("href") == "#suspects"
    shown = suspects_page.locator(".suspect")
    assert [item.is_visible() for item in shown.all()] == [True] * 5 + [False] * 2
    assert HOSTILE in shown.first.inner_text()
    title = shown.first.locator(".suspect-title").inner_text()
    assert title.split("\n")[-1].strip().endswith("duplicate, strong, since epoch 2")
    suspects_page.locator(".suspects summary", has_text="2 more").click()
    assert shown.last.is_visible()


def test_suspects_have_a_line_of_their_ranks_with_a_title(suspects_page):
    line = suspects_page.locator(".suspect .rank-line").first
    text = "rank 40 at epoch 1, no candidate at epoch 2, rank 1 at epoch 3"
    assert line.locator("svg title").text_content() == text
    assert line.inner_text().strip() == "rank 40 at epoch 1, rank 1 at epoch 3"
    path = line.locator("path").get_attribute("d")
    assert path.count("M") == 2, "a gap at the epoch at which it is no candidate"
    assert "c1" in line.locator("path").get_attribute("class").split()


def test_kinds_without_a_notable_suspect_have_a_line_each(suspects_page):
    lines = suspects_page.locator(".suspects details > p")
    assert [line.is_visible() for line in lines.all()] == [False, False]
    suspects_page.locator(".suspects summary", has_text="2 kinds").click()
    shown = lines.all_inner_texts()
    for text, name, member in zip(
        shown, ("wrong-label", "wrong-sense"), (1, 2), strict=True
    ):
        assert text.startswith(KINDS_BY_NAME[name].question)
        assert text.endswith(f"(first of this kind: {LABELS[member]}).")


def test_suspects_have_the_rows_of_their_classes_as_pictures(suspects_page):
    wait_for(suspects_page, "document.querySelectorAll('.strip').length == 10")
    item = suspects_page.locator(".suspect").nth(1)
    names = item.locator(".strip-row span").all_inner_texts()
    assert names == ["dog", "frog", "lion"]
    picture = item.locator("canvas").first
    size = (picture.get_attribute("width"), picture.get_attribute("height"))
    assert size == (str(CLASSES), "3"), "marks, and rows in the network and in WordNet"
    assert picture.get_attribute("aria-label").startswith("Row of dog in the network")


def test_a_click_on_a_suspect_selects_its_run_and_classes(suspects_page):
    suspects_page.locator(".suspect button").first.click()
    wait_for(
        suspects_page,
        "document.querySelector('#inspector h3').textContent == 'dog – horse'",
    )
    assert suspects_page.locator("#run").input_value() == "1"


def test_results_without_suspects_say_so(open_page, out, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(out, folder)
    write_suspects(folder, [])
    page = open_page(report_file.write_report(folder))
    text = page.locator(".suspects").inner_text()
    assert text == NO_SUSPECTS.capitalize()
    assert page.locator('a[href="#suspects"]').count() == 0


def test_pairs_section_lists_the_closest_and_the_surprising_pairs(same_page, out):
    set_epoch(same_page, 2)
    ncsm, (scsm, _) = (
        stored(out, "first", "ncsm", 2).astype(float),
        stored_reference(out, "first"),
    )
    near, far, closest = same_page.locator("#closest table").all()
    upper = np.transpose(np.triu_indices(CLASSES, 1))
    known = [pair for pair in map(tuple, upper) if not np.isnan(scsm[pair])]
    values = {pair: ncsm[pair] for pair in map(tuple, upper)}
    i, j = max(values, key=values.get)
    assert closest.locator("tbody tr").first.locator("td").all_inner_texts() == [
        f"{LABELS[i]} – {LABELS[j]}",
        f"{ncsm[i, j]:.4f}".replace("-", "−"),
        str(rank_in(scsm, i, j)),
    ]
    all_pairs = dict(
        zip(values, (rankdata(list(values.values())) - 0.5) / len(values), strict=True)
    )
    own = np.array([all_pairs[pair] for pair in known])
    reference = (rankdata([scsm[pair] for pair in known]) - 0.5) / len(known)
    for table, sign, title in (
        (near, 1, "Nearer in the network than in"),
        (far, -1, "Nearer in WordNet than in the"),
    ):
        assert table.locator("caption").inner_text().startswith(title)
        i, j = known[np.argmax(sign * (own - reference))]
        shown = table.locator("tbody tr").first.locator("td").all_inner_texts()
        assert shown == [
            f"{LABELS[i]} – {LABELS[j]}",
            str(rank_in(ncsm, i, j)),
            str(rank_in(scsm, i, j)),
        ]
    (first := near.locator("button").nth(3)).click()
    assert same_page.locator("#inspector h3").first.inner_text() == first.inner_text()


def test_mistakes_follow_the_epoch(same_page, out):
    for epoch in (2, EPOCHS - 1):
        set_epoch(same_page, epoch)
        wait_for(
            same_page,
            "document.querySelector('#mistakes-body h3').textContent == 'On test,"
            f" epoch {epoch}'",
        )
        expected = confused_pairs(Results(out), run="first", epoch=epoch, most=200)
        shown = [
            row.locator("td").all_inner_texts()
            for row in (
                same_page.locator("#mistakes table").first.locator("tbody tr").all()
            )
        ]
        ranks = {
            (row["truth"], row["prediction"]): (
                [str(row["count"]), f"{100 * row['share']:.1f} %"]
                + [
                    "–" if rank is None else str(int(rank + 0.5))
                    for rank in (row["rank"], row["wordnet_rank"])
                ]
            )
            for row in records(expected)
        }
        counts = expected["count"].tolist()
        assert [int(cells[2]) for cells in shown] == counts[: len(shown)]
        assert all(ranks[cells[0], cells[1]] == cells[2:6] for cells in shown)


def test_search_opens_the_panel_of_a_class(page):
    page.locator("#search").focus()
    page.keyboard.type("Ho")
    page.keyboard.press("Enter")
    assert page.locator("#inspector h3").first.inner_text() == "horse"
    page.locator("#search").focus()
    page.keyboard.type("unicorn")
    assert page.locator("#found").inner_text() == "No class has this name."
    page.keyboard.press("Escape")
    assert page.locator("#found").is_hidden()
    assert page.locator("#inspector h3").first.inner_text() == "horse"


def test_list_of_found_classes_opens_a_class_by_a_tap_on_a_narrow_screen(
    open_page, out
):
    page = open_page(out / "report.html", width=400)
    page.locator("#search").click()
    names = page.locator("#found button")
    assert sorted(names.all_inner_texts()) == sorted(LABELS)
    page.keyboard.type("o")
    assert all("o" in name for name in names.all_inner_texts())
    names.get_by_text("dog").click()
    assert page.locator("#found").is_hidden()
    wait_for(page, "document.querySelector('#inspector h3').textContent == 'dog'")
    assert page.locator("#inspector").is_visible()


def test_exports_contain_the_values_of_the_page(page, out, tmp_path):
    def downloaded(name):
        with page.expect_download() as waiting:
            page.get_by_label(name, exact=True).first.click()
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    head, *rows = csv.reader(
        downloaded(f"CSV of first {TITLES[0]}").read_text(encoding="utf-8").splitlines()
    )
    _, order = stored_reference(out, "first")
    assert head[1:] == [row[0] for row in rows] == [LABELS[k] for k in order]
    values = np.array([[float(cell or "nan") for cell in row[1:]] for row in rows])
    expected = stored(out, "first", "ncsm", EPOCHS - 1)[np.ix_(order, order)].astype(
        float
    )
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(values, expected, atol=1e-4)
    chart = "Agreement with WordNet"
    assert ElementTree.fromstring(
        downloaded(f"SVG of {chart}").read_text(encoding="utf-8")
    ).tag.endswith("svg")
    rows = csv.reader(downloaded(f"CSV of {chart}").read_text().splitlines())
    assert [row[0] for row in rows] == ["epoch", *map(str, range(EPOCHS))]


def run_export_code(page, code):
    """Return the value of code that uses the functions of the page's exports."""
    source = (Path(report.__file__).parent / "page" / "exports.js").read_text(
        encoding="utf-8"
    )
    element = (
        "const element = (tag, values) => Object.assign(document.createElement(tag),"
        " values);"
    )
    element += (
        "const svgElement = (tag, values) => { const node ="
        " document.createElementNS('http://www.w3.org/2000/svg', tag);"
    )
    element += (
        "for (const [name, value] of Object.entries(values)) node.setAttribute(name,"
        " value); return node; };"
    )
    return page.evaluate(f"async () => {{ {element} {source} {code} }}")


def test_csv_of_the_page_marks_texts_that_a_spreadsheet_would_run(page):
    rows = "return csvText([['=1+1', '-cat', '-0.5', -0.5, null, 'cat']]);"
    assert run_export_code(page, rows) == "'=1+1,'-cat,-0.5,-0.5,,cat\r\n"


def test_picture_of_a_chart_with_a_control_character_in_a_name_is_made(page):
    code = """
      const svg = svgElement("svg", { viewBox: "0 0 30 20" });
      svg.append(svgElement("text", { "aria-label": "a\\x07b" }));
      svg.firstChild.textContent = "a\\x1bb";
      document.body.append(svg);
      const text = svgText(svg);
      svg.remove();
      return text;
    """
    assert ElementTree.fromstring(run_export_code(page, code)).get("width") == "30"


def test_agreement_section_lists_the_lowest_agreement_of_the_epoch_first(
    same_page, out
):
    epoch = 1
    set_epoch(same_page, epoch)
    table = Results(out).alignment_by_class.query(
        "run == 'first' and class_index.notna()"
    )
    rows = table[table["epoch"] == epoch].sort_values("pearson")
    assert (
        same_page.locator("#agreement h2").inner_text()
        == f"By class: agreement with WordNet at epoch {epoch}"
    )
    told = same_page.locator("#agreement table").first.locator("tbody tr")
    assert told.locator("td:nth-child(1)").all_inner_texts() == [
        LABELS[int(index)] for index in rows["class_index"]
    ]
    numbers = [
        float(text.replace("−", "-"))
        for text in told.locator("td:nth-child(2)").all_inner_texts()
    ]
    assert numbers == pytest.approx(rows["pearson"].tolist(), abs=6e-4)


def test_agreement_section_uses_the_threshold_of_all_values(open_page, out, tmp_path):
    name = "alignment_by_class.parquet"
    z_by_class = dict(enumerate((2.8, MIN_Z, -2.9, -MIN_Z, 0.0), start=1))
    rows = [
        row | {"z": z_by_class.get(row["class_index"], 0.0)}
        for row in pq.read_table(out / name).to_pylist()
    ]
    page = open_page(changed(out, tmp_path / "out", name, rows))
    rows = [
        row.locator("td").all_inner_texts()
        for row in page.locator("#agreement table").first.locator("tbody tr").all()
    ]
    shown = {name: z for name, _, z in rows}
    expected = ["2.8", f"{MIN_Z:.1f}", "−2.9", f"−{MIN_Z:.1f}", "0.0"]
    assert [shown[name] for name in LABELS[1:6]] == expected
    assert (
        f"above chance from a z of {MIN_Z:g} on"
        in page.locator("#agreement").inner_text()
    )


def test_tiles_have_the_values_of_the_epoch(same_page, out):
    run = Results(out)["second"]
    names = ("agreement", "max_wsi", "nidm", "widm")
    for epoch in (2, EPOCHS - 1):
        set_epoch(same_page, epoch)
        text = same_page.locator("#overview").inner_text()
        assert f"Tiles at epoch {epoch}" in text
        for tile, name in zip(same_page.locator(".tile").all(), names, strict=True):
            curve = quantities.curve(run, name).set_index("epoch")
            shown = tile.locator(".tile-value").nth(1).inner_text()
            value = curve.loc[epoch, "value"]
            assert shown == quantities.quantity(name).text(value)


def test_tile_of_an_epoch_without_a_value_shows_the_last_one_before_with_its_epoch(
    open_page, tmp_path
):
    run = tmp_path / "run"
    write_checkpoints(run, 4, ANIMALS)
    targets = np.arange(40) % 8
    predictions = np.tile(targets, (4, 1))
    predictions[:3, 0] = 5
    np.save(run / "preds.npy", predictions)
    np.save(run / "targets.npy", targets)
    analyze([run], tmp_path / "out", Options(draws=0))
    page = open_page(report_file.write_report(tmp_path / "out"))
    details = page.locator(".tile").nth(2).locator(".tile-details")
    assert details.inner_text().endswith("at epoch 2")
    set_epoch(page, 1)
    assert "at epoch" not in details.inner_text(), (
        "a value of the chosen epoch needs no epoch"
    )


def test_another_measure_is_named_and_shown_by_every_title_tile_axis_and_bar(page, out):
    def titles(place):
        return page.locator(f"{place} h3").all_text_contents()

    assert titles("#hero") == [
        "Agreement with WordNet",
        "Agreement against accuracy",
    ]
    page.get_by_label("Measure", exact=True).select_option("excess_cosine")
    shown = (*titles("#hero"), *titles("#questions"))
    of_groups = {"Agreement within groups", "Agreement between groups"}
    assert not any("Agreement" in title for title in set(shown) - of_groups), (
        "nothing is called agreement but the agreement"
    )
    named = [title for title in shown if title.startswith("Cosine SAI (excess)")]
    assert len(named) == 4
    tile = page.locator(".tile").first
    assert "Cosine SAI (excess): " in tile.inner_text()
    assert "agreement" not in tile.inner_text().lower()
    assert tile.locator(".ruler").is_hidden(), "the ruler is that of the agreement"
    value = tile.locator(".tile-value").first.inner_text()
    curve = quantities.curve(Results(out)["first"], "excess_cosine")
    assert number(value)[0] == pytest.approx(curve["value"].iloc[-1], abs=0.005)
    facts = page.locator("#epoch-facts").inner_text()
    assert facts.startswith(f"first · Cosine SAI (excess) {value} · accuracy ")


def test_idm_is_in_percent_in_charts(same_page, out):
    rows = Results(out).curves.query(
        "run == 'first' and metric == 'idm' and of == 'ncsm' and variant == 'errors'"
    )
    row = rows.set_index("epoch").loc[2]
    panel = panel_of(same_page, "(NIDM)")
    value, low, high, chance = (
        f"{100 * row[name]:.0f} %" for name in ("value", "low", "high", "null_mean")
    )
    shown = cursor_labels(same_page, panel, 2)["c0"]
    assert shown == f"{value} [{low}, {high}] chance {chance}"
    assert panel.locator("polygon.interval").count() == 2


def test_run_switch_changes_all_sections(page, out):
    page.get_by_label("Matrices of", exact=True).select_option("1")
    page.wait_for_timeout(100)
    _, order = stored_reference(out, "second")
    value, error = number(point_at(page, 0, 2, 5)[1][TITLES[0]])
    assert value == pytest.approx(
        stored(out, "second", "ncsm", EPOCHS - 1)[order[2], order[5]], abs=error
    )
    told = page.locator("#method article:visible").inner_text()
    assert "of second" in told
    assert "first" not in told


def test_page_follows_the_colours_of_the_system(open_page, out):
    page = open_page(out / "report.html", scheme="dark")
    first = page.evaluate(paper := "getComputedStyle(document.body).backgroundColor")
    assert first != "rgb(255, 255, 255)"
    before = pixels(page)
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(100)
    assert page.evaluate(paper) != first
    assert pixels(page)[0] != before[0]


def test_links_to_the_sections_are_in_one_line_on_a_laptop(same_page):
    tops = same_page.evaluate(
        "[...document.querySelectorAll('nav a')].map((link) => link.offsetTop)"
    )
    assert len(set(tops)) == 1


def test_maps_of_an_epoch_that_the_page_lacks_are_those_of_the_nearest_one(
    open_page, out, tmp_path, monkeypatch
):
    monkeypatch.setattr(matrices, "MANY_CLASSES", 4)
    monkeypatch.setattr(matrices, "MAX_EPOCHS", 2)
    page = open_page(report_file.write_report(out, tmp_path / "few.html"))
    said = (
        "This page contains the matrices of 2 of 6 epochs, chosen by the amount of"
        f" change: 0, {EPOCHS - 1}."
    )
    assert page.locator("#matrix-note").inner_text().startswith(said)
    set_epoch(page, 1)
    assert page.locator("#matrices h2").inner_text().endswith("at epoch 0")
    _, order = stored_reference(out, "first")
    value, error = number(point_at(page, 0, 0, 3)[1][TITLES[0]])
    expected = stored(out, "first", "ncsm", 0)[order[0], order[3]]
    assert value == pytest.approx(expected, abs=error)
