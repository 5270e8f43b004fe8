"""The slider of a notebook, in a browser: framed as Jupyter, VS Code and nbviewer frame it, it shows what the tables hold."""

from __future__ import annotations

import re
from html import escape

import numpy as np
import pytest
from outputs import ANIMALS, heads, save_head, stored, stored_reference

import dsi_cli
from dsi_cli.errors import UsageError
from dsi_cli.report import budget, document, slider

pytest_plugins = ("browsing",)

HOSTILE = "</script>\"'><img src=x onerror=window.hacked=1>"
LABELS = (HOSTILE, *ANIMALS[1:])
EPOCHS, CLASSES = 5, len(LABELS)
KINDS = ("ncsm", "ccsm")
LEFT, TOP = 92, 64
"""Pixels of a heat map that its names take."""
CODE_S_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; child-src https: data:"
)
"""What VS Code lets the output of a cell do."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An output of one run with answers."""
    folder = tmp_path_factory.mktemp("slider") / "run"
    for epoch, weight in enumerate(heads(EPOCHS)):
        save_head(folder / f"epoch_{epoch}.pt", weight, epoch=epoch)
    (folder / "classes.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")
    targets = np.arange(80) % CLASSES
    np.save(folder / "preds.npy", np.random.default_rng(0).integers(0, CLASSES, (EPOCHS, 80)))
    np.save(folder / "targets.npy", targets)
    return dsi_cli.analyze(folder, folder.parent / "out", draws=0, report=False)


@pytest.fixture(params=["page", "code"])
def frames(request, run, open_file, tmp_path):
    """The frames of two sliders: in a page, as Jupyter and nbviewer show outputs, or in VS Code's frame with its policy."""
    outputs = "".join(run.slider(kind)._repr_html_() for kind in KINDS)
    page = f"<!doctype html><meta charset='utf-8'><title>notebook</title><body>{outputs}</body>"
    if request.param == "code":
        page = page.replace("<title>", f'<meta http-equiv="Content-Security-Policy" content="{CODE_S_POLICY}"><title>')
        frame = f'<iframe sandbox="allow-scripts" width=1100 height=1500 srcdoc="{escape(page)}"></iframe>'
        page = f"<!doctype html><title>code</title>{frame}"
    (tmp_path / "notebook.html").write_text(page, encoding="utf-8")
    opened = open_file(tmp_path / "notebook.html")
    found = innermost(opened, len(KINDS))
    for frame in found:
        frame.frame_element().scroll_into_view_if_needed()  # a browser need not draw what is out of sight
        wait_for_text(frame.locator(".heat .note").first, "Values to")
    return found


def innermost(page, number):
    """Wait until a page has so many frames that hold none, and return them; a frame in a frame may come after the page's load."""
    for _ in range(1200):
        found = [frame for frame in page.frames if not frame.child_frames and frame.parent_frame]
        if len(found) == number:
            return found
        page.wait_for_timeout(100)
    raise AssertionError([frame.url for frame in page.frames])


def wait_for_text(locator, text):
    """Wait until an element has a text; without the page's evaluating a string, which its policy forbids."""
    locator.filter(has_text=text).wait_for(timeout=120_000)


def picture(frame):
    return frame.locator("canvas.map").first.evaluate("canvas => canvas.toDataURL()")


def point_at(frame, row, column):
    """Move the mouse to a cell of the first map, and return what the tip says."""
    canvas = frame.locator("canvas.map").first
    canvas.scroll_into_view_if_needed()
    width = canvas.evaluate("canvas => canvas.clientWidth")
    cell = (width - LEFT) / CLASSES
    canvas.hover(position={"x": LEFT + (column + 0.5) * cell, "y": TOP + (row + 0.5) * cell})
    return frame.locator("#tip b").inner_text(), frame.locator("#tip div").first.inner_text()


def test_it_shows_the_tables_numbers_wherever_a_notebook_is_read(frames, run):
    _, order = stored_reference(run.path, "run")
    assert [frame.locator(".heat h3").all_inner_texts() for frame in frames] == [["NCSM", "SCSM"], ["CCSM, test", "SCSM"]]
    for frame, kind in zip(frames, ("ncsm", "ccsm-test"), strict=True):
        last = picture(frame)
        frame.locator("#epoch").fill("1")
        wait_for_text(frame.locator("#epoch-number"), "1")
        frame.page.wait_for_timeout(50)
        assert picture(frame) != last
        matrix = stored(run.path, "run", kind, 1)
        for row, column in ((1, 2), (6, 3), (0, 7)):
            pair, told = point_at(frame, row, column)
            i, j = order[row], order[column]
            assert pair == f"{LABELS[i]} × {LABELS[j]}"
            value = float(re.search(r"(−?[\d.]+)$", told)[1].replace("−", "-"))
            assert value == pytest.approx(matrix[i, j], abs=1e-4)
        assert frame.evaluate("window.hacked") is None
        assert frame.locator("img").count() == 0


@pytest.fixture
def page(run, open_file, tmp_path):
    """The slider's page by itself."""
    (tmp_path / "slider.html").write_text(run.slider().page, encoding="utf-8")
    opened = open_file(tmp_path / "slider.html", width=900)
    wait_for_text(opened.locator(".heat .note").first, "Values to")
    return opened


def test_beside_the_slider_stands_the_alignment_with_its_chance_level(page, run):
    row = run.curves.query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine' and epoch == 2").iloc[0]
    page.locator("#epoch").fill("2")
    told = page.locator("#epoch-facts").inner_text().replace("−", "-")
    assert told == f"SAI(NCSM, SCSM) {row['value']:.3f}, by chance {row['null_mean']:.3f}, z {row['z']:.1f}"


def test_it_plays_to_the_end_and_stops(page):
    page.get_by_label("Play").click()
    assert page.locator("#epoch-number").inner_text() == "0"
    wait_for_text(page.locator("#epoch-number"), str(EPOCHS - 1))
    page.get_by_label("Play").wait_for()


def test_order_and_theme_can_be_switched(page):
    first = picture(page)
    page.get_by_label("Order").select_option("given")
    page.wait_for_timeout(50)
    given = picture(page)
    page.locator("#theme").click()
    page.wait_for_timeout(50)
    assert len({first, given, picture(page)}) == 3


def test_a_small_budget_leaves_means_of_blocks_and_says_so(run, monkeypatch):
    assert "Whole at epochs" not in run.slider().page
    monkeypatch.setattr(budget, "MANY_CLASSES", 4)
    monkeypatch.setattr(budget, "MOST_WHOLE", 2)
    assert "Whole at epochs 0, 4; between them the map shows means of blocks" in run.slider().page


def test_many_classes_stay_within_the_budget(tmp_path):
    for epoch, weight in enumerate(heads(4, classes=400, features=32)):
        save_head(tmp_path / "big" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    run = dsi_cli.analyze(tmp_path / "big", tmp_path / "out", report=False)
    for most in (1_000_000, 400_000):
        assert (
            most / 2
            < sum(map(len, re.findall('data-name="[^"]+">([^<]*)</script>', run.slider(most_bytes=most).page)))
            <= most
        )


def test_its_words(run):
    made = run.slider("ccsm")
    assert re.fullmatch(r"Slider\(CCSM, test of run, 5 epochs: \d+ kB\)", repr(made))
    assert HOSTILE not in made.page
    assert made._repr_html_().count("<iframe") == 1
    assert "srcdoc" in made._repr_html_().split("sandbox=")[1]


def test_what_is_not_there_is_said_with_what_is(run):
    there = "there is ncsm, ccsm-test"
    for options, what in (
        ({"kind": "tncsm"}, "tncsm"),
        ({"kind": "scsm"}, "scsm"),
        ({"kind": "ccsm", "split": "train"}, "ccsm on train"),
    ):
        with pytest.raises(UsageError, match=f"^no {what} that changes over epochs in run 'run': {there}$"):
            run.slider(**options)
    with pytest.raises(UsageError, match=r"^no run 'x': "):
        run.slider(run="x")


def test_every_script_is_in_the_page_once(run):
    for name in slider.SCRIPTS:
        assert run.slider().page.count(document.part(name)) == 1
