"""The report in Chromium shows the values of the tables and makes no external requests."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.chromium import require_chromium
from helpers.outputs import ANIMALS, heads, save_head, stored, stored_reference
from helpers.table_comparison import write_output, write_run

from dsi_cli.analysis import report_file
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.report import size_budget
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.browser",)
require_chromium(module=True)

HOSTILE = "<img src=x onerror=window.hacked=1>"
LABELS = (HOSTILE, *ANIMALS[1:])
EPOCHS, CLASSES = 6, len(LABELS)
LEFT, TOP = 92, 64
"""Pixels that the labels of a heat map take."""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder of two runs with predictions and a report."""
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate(("first", "second")):
        rng = np.random.default_rng(seed)
        for epoch, weight in enumerate(heads(EPOCHS, seed=seed)):
            save_head(folder / "runs" / name / f"epoch_{epoch}.pt", weight, epoch=epoch)
        (folder / "runs" / name / "classes.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
        targets = np.arange(80) % CLASSES
        predictions = np.where(rng.random((EPOCHS, 80)) < 0.5, targets, rng.integers(0, CLASSES, (EPOCHS, 80)))
        np.save(folder / "runs" / name / "preds.npy", predictions)
        np.save(folder / "runs" / name / "targets.npy", targets)
    analyze([folder / "runs"], folder / "out", Options(draws=0))
    report_file.write_report(folder / "out")
    return folder / "out"


@pytest.fixture
def open_page(open_file):
    """Return ``open_page(file, width=1280, scheme="light")``, once the matrices are drawn."""

    def opened(file, **options):
        page = open_file(file, **options)
        page.wait_for_function("document.querySelectorAll('canvas.map').length > 0")
        page.wait_for_function("document.querySelector('.heat .note').textContent !== ''")
        return page

    return opened


@pytest.fixture
def page(open_page, out):
    return open_page(out / "report.html")


def set_epoch(page, epoch):
    page.locator("#epoch").fill(str(epoch))
    page.wait_for_function(f"document.querySelector('.epoch-now').textContent == '{epoch}'")
    page.wait_for_timeout(100)


def point_at(page, map_number, row, column):
    """Move the mouse to a cell of a heat map, and return what the tip says: the pair, and a text for each matrix."""
    canvas = page.locator("canvas.map").nth(map_number)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    cell = (box["width"] - LEFT) / CLASSES
    page.mouse.move(box["x"] + LEFT + (column + 0.5) * cell, box["y"] + TOP + (row + 0.5) * cell)
    tip = page.locator("#tip")
    values = {
        line.locator("span").nth(0).inner_text(): line.locator("span").nth(1).inner_text()
        for line in tip.locator("div").all()
    }
    return tip.locator("b").inner_text(), values


def number(text):
    """Return a number as the page writes it, and how far it may be off."""
    found = re.search(r"(−?[\d.]+(?:e-\d+)?)(?: ± ([\d.e-]+))?$", text)
    return float(found[1].replace("−", "-")), float(found[2] or 7.1e-5)


def pixels(page):
    return [canvas.evaluate("canvas => canvas.toDataURL()") for canvas in page.locator("canvas.map").all()]


def test_page_shows_each_matrix_and_section(page):
    titles = page.locator(".heat h3").all_inner_texts()
    assert titles == ["NCSM", "CCSM, test", "SCSM"]
    assert page.locator("#questions .question").count() == 4
    assert page.locator("#questions .panel").count() >= 8
    assert page.title() == "out: similarity report"
    for section in ("overview", "curves", "matrices", "closest", "agreement", "mistakes", "classes", "method", "use"):
        assert page.locator(f"#{section}").inner_text().strip()


def test_slider_changes_the_matrices(page):
    before = pixels(page)
    set_epoch(page, 1)
    after = pixels(page)
    assert [one != other for one, other in zip(before, after, strict=True)] == [True, True, False], "the reference stays"


@pytest.mark.parametrize("epoch", [0, EPOCHS - 1])
def test_tooltip_shows_the_values_of_the_tables(page, out, epoch):
    set_epoch(page, epoch)
    ncsm, ccsm = stored(out, "first", "ncsm", epoch), stored(out, "first", "ccsm-test", epoch)
    scsm, order = stored_reference(out, "first")
    for at, (row, column) in enumerate([(1, 2), (6, 3), (2, 1), (7, 0)]):
        i, j = order[row], order[column]
        pair, values = point_at(page, at % 3, row, column)
        assert pair == f"{LABELS[i]} × {LABELS[j]}"
        for title, matrix in (("NCSM", ncsm), ("CCSM, test", ccsm), ("SCSM", scsm)):
            if np.isnan(matrix[i, j]):
                assert values[title] == "no value"
                continue
            value, error = number(values[title])
            assert error <= 1e-4
            assert value == pytest.approx(matrix[i, j], abs=error)


def test_page_with_markup_in_a_label_shows_it_as_text(page):
    page.get_by_label("Filter classes").fill("onerror")
    assert page.locator("#classes-body tbody tr").count() == 1
    assert HOSTILE in page.locator("#classes-body tbody").inner_text()
    assert HOSTILE in page.locator("#closest select").inner_text()
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_order_switch_changes_the_maps(page, out):
    _, order = stored_reference(out, "first")
    assert point_at(page, 0, 0, 1)[0] == f"{LABELS[order[0]]} × {LABELS[order[1]]}"
    before = pixels(page)
    page.get_by_label("Order of classes").select_option("given")
    page.wait_for_timeout(100)
    assert point_at(page, 0, 0, 1)[0] == f"{LABELS[0]} × {LABELS[1]}"
    page.mouse.move(0, 0)
    assert all(one != other for one, other in zip(before, pixels(page), strict=True))
    assert page.get_by_label("Order of classes").locator("option").count() == 3


def test_keyboard_moves_the_slider_and_the_cell(page, out):
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#epoch-number").inner_text() == str(EPOCHS - 2)
    canvas = page.locator("canvas.map").first
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    _, order = stored_reference(out, "first")
    told = page.locator("#matrix-readout").inner_text()
    assert told.startswith(f"{LABELS[order[1]]} × {LABELS[order[1]]} · NCSM 1 (same class)")
    before = pixels(page)
    page.keyboard.press("+")
    zoomed = pixels(page)
    assert zoomed[0] != before[0]
    page.keyboard.press("0")
    assert pixels(page)[0] == before[0]


def test_controls_are_reachable_by_tab_and_have_a_name(page):
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, select, input')].filter(node => !node.hidden && !node.closest('[hidden]')
        && !(node.getAttribute('aria-label') || node.innerText || (node.labels && node.labels.length))).length"""
    )
    assert nameless == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("[...document.querySelectorAll('[tabindex]:not(main)')].every(node => node.tabIndex === 0)")


def test_raw_sai_is_shown_with_its_chance_level(page):
    page.get_by_label("Number for the agreement").select_option("cosine/raw")
    for shown in ("one", "all"):
        page.get_by_label("Show", exact=True).select_option(shown)
        panel = page.locator("#questions .panel", has=page.locator("h3", has_text="Agreement of NCSM with WordNet"))
        lines = panel.locator("path.curve").count()
        assert lines == (1 if shown == "one" else 2)
        assert panel.locator("path.chance").count() == lines
        assert panel.locator("polygon.band").count() == lines
        assert panel.locator(".readings").inner_text().count("chance ") == lines
        assert panel.locator(".chance-label").text_content() == "chance"


def test_panel_with_phases_describes_them_with_their_interval(open_page, out, tmp_path):
    shutil.copytree(out, tmp_path / "out")
    first = {"run": "first", "curve": "agreement ncsm,scsm", "reason": None}
    rows = [
        first | {"phase": "surge", "first_epoch": 0.0, "last_epoch": 1.25, "low": 1.0, "high": 2.5},
        first | {"phase": "stabilisation", "first_epoch": 1.25, "last_epoch": 5.0, "low": 5.0, "high": 5.0},
        first | {"phase": "t50", "first_epoch": 0.0, "last_epoch": 0.5, "low": 0.25, "high": 1.0},
    ]
    table = pq.read_table(out / "phases.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), tmp_path / "out" / "phases.parquet")
    page = open_page(report_file.write_report(tmp_path / "out"))
    panel = page.locator("#questions .panel", has=page.locator("h3", has_text="Agreement of NCSM with WordNet"))
    assert panel.locator(".phase-name").all_text_contents() == ["surge", "stabilisation"]
    surge = "surge, epochs 0 to 1.25 (95 % CI of the end: 1 to 2.5)"
    assert panel.locator("title").all_text_contents() == [surge, "stabilisation, epochs 1.25 to 5", surge]
    box, end = (panel.locator(f"{kind}.boundary").bounding_box() for kind in ("rect", "line"))
    assert box["x"] < end["x"] < box["x"] + box["width"]
    assert "The bar above a chart shows the phases" in page.locator(".phase-note").text_content()


def test_panel_with_tiny_values_has_ticks_and_an_axis_label(open_page, tmp_path):
    save_head(tmp_path / "run" / "epoch_0.pt", heads(1)[0], epoch=0)
    (tmp_path / "run" / "log.csv").write_text("epoch,lr\n0,2.2e-9\n")
    analyze([tmp_path / "run"], tmp_path / "out", Options(draws=0))
    page = open_page(report_file.write_report(tmp_path / "out"))
    panel = page.locator(".panel", has=page.locator("h3", has_text="Learning rate"))
    *values, epoch, along = panel.locator(".tick").all_text_contents()
    assert (epoch, along) == ("0", "epoch")
    assert len(set(values)) == len(values) > 1
    assert all(value.endswith("e−9") for value in values)


def test_accuracy_panel_shows_the_chance_level_and_merges_equal_lines(page):
    page.get_by_label("Show", exact=True).select_option("one")
    panel = page.locator(".panel", has=page.locator("h3", has_text=re.compile("^Accuracy$")))
    names = panel.locator("th").all_text_contents()
    assert names == ["accuracy = balanced accuracy, test", "superclass accuracy, test"]
    assert panel.locator("td").nth(1).text_content() == "chance 0.125"


def test_confusion_matrix_without_mistakes_has_a_note(open_page, tmp_path):
    page = open_page(report_file.write_report(write_output(tmp_path / "out", write_run(tmp_path / "run", (0.2, 1.0)))))
    notes = page.locator(".heat .note")
    assert notes.nth(1).inner_text() == "There are no mistakes at this epoch."
    last = pixels(page)[1]
    set_epoch(page, 0)
    assert notes.nth(1).inner_text().startswith("The rounding error of the values is at most ")
    assert pixels(page)[1] != last


def test_pointer_on_a_panel_shows_the_epoch_on_all_panels(page, out):
    curves = (
        Results(out).curves.query("run == 'first' and metric == 'wsi' and variant == 'max'").set_index("epoch")["value"]
    )
    plot = page.locator("svg.plot").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 46, box["y"] + 60)
    wsi = page.locator(".panel", has=page.locator("h3", has_text="Nearest classes"))
    assert float(wsi.locator("tr", has_text="first").locator("td").inner_text()) == pytest.approx(curves[0], abs=5e-4)
    plot.click(position={"x": 46, "y": 60})
    assert page.locator("#epoch-number").inner_text() == "0"


def test_neighbours_section_follows_the_slider(page, out):
    set_epoch(page, 2)
    ncsm = stored(out, "first", "ncsm", 2).astype(float)
    np.fill_diagonal(ncsm, -np.inf)
    page.get_by_label("Class", exact=True).select_option("3")
    page.wait_for_timeout(100)
    near, history, pairs = page.locator("#closest table").all()
    assert page.locator("#closest figcaption span").inner_text() == "NCSM", "all others are shown, so none comes or goes"
    nearest = np.argsort(-ncsm[3], kind="stable")[:5]
    assert history.locator("th").all_inner_texts() == [LABELS[k] for k in nearest]
    assert history.locator("td").all_inner_texts() == [f"{ncsm[3, k]:.3f}".replace("-", "−") for k in nearest]
    assert near.locator("tbody td:nth-child(2)").all_inner_texts() == [
        LABELS[k] for k in np.argsort(-ncsm[3], kind="stable")[:-1]
    ]
    i, j = np.unravel_index(np.argmax(ncsm), ncsm.shape)
    first = pairs.locator("tbody tr").first.locator("td").all_inner_texts()
    assert first[:3] == [LABELS[i], LABELS[j], f"{ncsm[i, j]:.3f}".replace("-", "−")]


def test_agreement_section_lists_the_lowest_agreement_first(page, out):
    table = Results(out).alignment_by_class.query("run == 'first' and class_index.notna()")
    last = table[table["epoch"] == EPOCHS - 1].sort_values("pearson")
    told = page.locator("#agreement table").first.locator("tbody tr")
    assert told.locator("td:nth-child(1)").all_inner_texts() == [LABELS[int(index)] for index in last["class_index"]]
    numbers = [float(text.replace("−", "-")) for text in told.locator("td:nth-child(2)").all_inner_texts()]
    assert numbers == pytest.approx(last["pearson"].tolist(), abs=5.1e-4)


def test_run_switch_changes_all_sections(page, out):
    page.get_by_label("Run", exact=True).select_option("1")
    page.wait_for_timeout(100)
    matrix = stored(out, "second", "ncsm", EPOCHS - 1)
    _, order = stored_reference(out, "second")
    value, error = number(point_at(page, 0, 2, 5)[1]["NCSM"])
    assert value == pytest.approx(matrix[order[2], order[5]], abs=error)
    assert page.locator("#method article:visible").inner_text().count("second") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_theme_button_switches_the_colours(open_page, out, scheme):
    page = open_page(out / "report.html", scheme=scheme)
    paper = "getComputedStyle(document.body).backgroundColor"
    first = page.evaluate(paper)
    assert (first == "rgb(255, 255, 255)") == (scheme == "light")
    before = pixels(page)
    page.locator("#theme").click()
    page.wait_for_timeout(100)
    assert page.evaluate(paper) != first
    assert pixels(page)[0] != before[0]


def test_page_on_a_narrow_screen_needs_no_horizontal_scrolling(open_page, out):
    page = open_page(out / "report.html", width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_maps_between_complete_epochs_show_block_means_and_a_note(open_page, out, tmp_path, monkeypatch):
    monkeypatch.setattr(size_budget, "MANY_CLASSES", 4)
    monkeypatch.setattr(size_budget, "MAX_COMPLETE_EPOCHS", 2)
    page = open_page(report_file.write_report(out, tmp_path / "few.html"))
    assert (
        page.locator("#matrix-note")
        .inner_text()
        .startswith(
            f"This page contains the complete matrices of 2 of 6 epochs, chosen by the amount of change: 0, {EPOCHS - 1}."
        )
    )
    assert "block" not in point_at(page, 0, 0, 3)[1]["NCSM"]
    set_epoch(page, 3)
    assert (
        page.locator(".heat .note")
        .first.inner_text()
        .startswith("The map shows the means of 4 × 4 blocks of neighbouring classes")
    )
    _, order = stored_reference(out, "first")
    for kind, title in (("ncsm", "NCSM"), ("ccsm-test", "CCSM, test")):
        matrix = stored(out, "first", kind, 3)[np.ix_(order, order)]
        text = point_at(page, 0, 0, 3)[1][title]
        assert text.startswith("mean of the block ")
        value, error = number(text)
        assert value == pytest.approx(matrix[0:2, 2:4].mean(), abs=error)
