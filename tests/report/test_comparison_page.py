"""The page of a comparison shows the values of the comparison, as text and in Chromium."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from helpers.table_comparison import write_output, write_run

from dsi_cli.errors import OutputError
from dsi_cli.queries.comparison.compare import ComparisonOptions, compare
from dsi_cli.report import comparison_page, html, interval_svg
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.browser",)

HOSTILE = "<img src=x onerror=window.hacked=1>"
ASKED = ComparisonOptions()


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder of two networks with two repetitions each; one group's name is markup."""
    folder = tmp_path_factory.mktemp("compared")
    reached = {HOSTILE: (0.2, 0.4, 0.6, 0.8), "cnn": (0.2, 0.5, 0.7, 0.8)}
    runs = [
        write_run(folder / f"{name}_seed{seed}", accuracies, seed=10 * place + seed)
        for place, (name, accuracies) in enumerate(reached.items())
        for seed in range(2)
    ]
    return write_output(folder / "out", *runs)


@pytest.fixture(scope="module")
def two(out):
    return compare([out], replace(ASKED, names=Results(out).names[::2]))


@pytest.fixture(scope="module")
def groups(out):
    return compare([out], replace(ASKED, group="seed"))


def saved(comparison, tmp_path, asked=ASKED):
    return comparison_page.save(comparison, asked, ["out"], tmp_path / "page.html")


def shown(value, form="z.3f"):
    return f"{value:{form}}".replace("-", "−")


# The text of the page


def test_render_with_markup_in_a_name_escapes_it(groups, tmp_path):
    page = saved(groups, tmp_path).read_text(encoding="utf-8")
    assert "<img" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert not set(data) & set("<>&")
    assert any(HOSTILE in line["label"] for line in json.loads(data)["panels"][0]["lines"])


def test_render_is_deterministic_and_has_no_external_requests(groups, tmp_path):
    page = saved(groups, tmp_path).read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?!#|data:)(\w+:|//)', page) == []
    assert comparison_page.render(groups, ASKED, ["out"]) == page


def test_script_contains_every_file_once():
    code = html.script(comparison_page.SCRIPTS)
    for name in comparison_page.SCRIPTS:
        assert code.count(html.part(name)) == 1


def test_save_to_an_impossible_path_raises_output_error(two, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        comparison_page.save(two, ASKED, ["out"], tmp_path / "file" / "page.html")


def test_render_with_a_path_that_is_not_utf8_shows_it(two, tmp_path):
    page = comparison_page.render(two, ASKED, ["caf\udce9"])
    assert r"caf\udce9" in page
    assert page.encode()


def test_command_contains_all_options():
    asked = ComparisonOptions(("a", "b"), "(.*)-try", 0.02, "train", ("pearson",))
    assert comparison_page.command(asked, ["x", "y z"]) == (
        "dsi compare x 'y z' --run a --run b --group '(.*)-try' --tolerance 0.02 --split train --measure pearson"
        " --html comparison.html"
    )
    assert comparison_page.command(ComparisonOptions(), ["out"]) == "dsi compare out --html comparison.html"


def test_interval_pictures_share_one_scale(two):
    rows = two.equal[0].rows
    pictures = interval_svg.interval_pictures(rows)
    assert [one is None for one in pictures] == [row.low is None for row in rows]
    known = [(row, one) for row, one in zip(rows, pictures, strict=True) if one is not None]
    assert max(abs(end) for _, one in known for end in one) == interval_svg.HALF_WIDTH
    scale = interval_svg.HALF_WIDTH / max(abs(end) for row, _ in known for end in (row.low, row.high))
    for row, one in known:
        assert (one.low, one.high) == pytest.approx((scale * row.low, scale * row.high), abs=0.051)
    assert all((one.low < 0 < one.high) != row.excludes_zero for row, one in known)


# The page in a browser


def table(page, section):
    rows = page.locator(f"#{section} .scroll table:not(.readings) tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("th, td").all()] for row in rows]


def test_page_shows_the_verdict_and_the_tables_of_the_comparison(open_file, two, tmp_path):
    page = open_file(saved(two, tmp_path))
    assert page.locator(".lead").inner_text() == comparison_page.sentence(two.recommendation)
    reasons = page.locator(".reasons li").all_inner_texts()
    assert reasons == [comparison_page.sentence(one) for one in two.verdicts[0].reasons]
    marked = page.locator(".reasons li.excludes-zero").count()
    assert marked == sum(row.excludes_zero is True for row in two.equal[0].rows)
    for told, row in zip(table(page, "equal"), two.equal[0].rows, strict=True):
        assert told[0].startswith(row.title)
        assert told[1] == {True: "yes", False: "no", None: "–"}[row.excludes_zero]
        assert told[2:5] == ["–" if one is None else shown(one, form) for one, form in _numbers(row)]
    assert page.locator(".difference").count() == sum(row.low is not None for row in two.equal[0].rows)
    last = two.between[0].points[-1]
    told = [shown(last.value), shown(last.null_mean), shown(last.excess), shown(last.z, "z.1f")]
    assert table(page, "networks") == [[two.between[0].first, two.between[0].second, str(last.at), *told]]


def _numbers(row):
    return ((row.first, "z.3f"), (row.second, "z.3f"), (row.difference, "+z.3f"))


def test_page_pointer_and_slider_move_the_cursor_of_all_panels(open_file, two, tmp_path):
    page = open_file(saved(two, tmp_path))
    wanted = {band.group: band for band in two.curves if band.curve == "accuracy"}
    plot = page.locator("svg.plot").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 46, box["y"] + 60)
    accuracy = page.locator(".panel").first.locator(".readings tr")
    assert accuracy.count() == 2
    for row in accuracy.all():
        band = wanted[row.locator("th").inner_text()]
        assert row.locator("td").first.inner_text() == shown(band.mean[0])
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#epoch-number").inner_text() == str(two.between[0].points[-2].at)
    raw = page.locator(".panel", has=page.locator("h3", has_text="SAI of"))
    point = two.between[0].points[-2]
    told = f"{shown(point.value)} chance {shown(point.null_mean)}, z {shown(point.z, 'z.1f')}"
    assert raw.locator("td").all_inner_texts() == told.split(" ", 1)


def test_page_shows_each_raw_sai_with_its_chance_level(open_file, two, tmp_path):
    page = open_file(saved(two, tmp_path))
    with_chance = page.locator(".panel", has=page.locator("figcaption", has_text=re.compile("SAI|IDM")))
    assert with_chance.count() == 5
    for panel in with_chance.all():
        assert panel.locator("path.chance").count() == panel.locator("path.curve").count() > 0


def test_page_of_groups_shows_bands(open_file, groups, tmp_path):
    page = open_file(saved(groups, tmp_path), width=400, scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 19, 23)"
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    first = page.locator(".panel").nth(1)
    assert first.locator("polygon.interval").count() == 2
    band = next(one for one in groups.curves if one.curve == "alignment" and one.group == "cnn")
    told = first.locator("tr", has_text="cnn, mean of 2").locator("td").all_inner_texts()
    assert told == [shown(band.mean[-1]), f"{shown(band.low[-1])} to {shown(band.high[-1])}"]
    assert page.locator("#network-panels tr").all_inner_texts()[1].startswith(f"{HOSTILE} – cnn, mean of 4")
