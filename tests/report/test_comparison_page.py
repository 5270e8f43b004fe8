"""The page of a comparison shows the values of the comparison, as text and in
Chromium.
"""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.table_comparison import write_output, write_run

from dsi_cli.queries.comparison.compare import compare
from dsi_cli.queries.records import records
from dsi_cli.report import comparison_page
from dsi_cli.report.comparison_page import forest, number
from dsi_cli.store.results import Results

HOSTILE = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder of two networks with two repetitions each; one group's name is
    markup.
    """
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
    return compare([out], names=Results(out).names[::2])


@pytest.fixture(scope="module")
def groups(out):
    return compare([out], group="seed")


def saved(comparison, tmp_path):
    return comparison_page.save(
        comparison_page.render(comparison), tmp_path / "page.html"
    )


def shown(value, form="z.3f"):
    return f"{value:{form}}".replace("-", "−")


def test_render_with_markup_in_a_name_escapes_it(groups, tmp_path):
    page = saved(groups, tmp_path).read_text(encoding="utf-8")
    assert "<img" not in page
    data = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )[1]
    assert not set(data) & set("<>&")
    assert any(
        HOSTILE in line["label"] for line in json.loads(data)["panels"][0]["lines"]
    )


def test_render_of_several_pairs_titles_each_with_its_answer(out):
    page = comparison_page.render(found := compare([out]))
    assert all(
        page.count(f"{one.title.removeprefix(HOSTILE)}</summary>")
        for one in found.verdicts
    )


def test_render_is_deterministic_and_has_no_external_requests(groups, tmp_path):
    page = saved(groups, tmp_path).read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert (
        re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?!#|data:)(\w+:|//)', page) == []
    )
    assert comparison_page.render(groups) == page


def test_forest_places_all_intervals_on_one_scale_with_0_in_the_middle(two):
    rows = two.equal[0].forest
    plot = forest(rows)
    largest = rows[["low", "high"]].abs().max(axis=None)
    for item in plot["rows"]:
        for end, position in (
            (item["row"][name], item[name]) for name in ("low", "difference", "high")
        ):
            assert (position is None) == (end is None)
            if end is not None:
                assert position == pytest.approx(
                    50 + 50 / 1.1 * end / largest, abs=0.01
                )
        assert item["seeds"] is None
    assert (50.0, "0") in plot["ticks"]
    assert 3 <= len(plot["ticks"]) <= 9
    assert [text for at, text in plot["ticks"] if at < 50] == [
        text.replace("+", "−") for at, text in plot["ticks"][::-1] if at > 50
    ]


def test_forest_of_repetitions_has_the_range_of_their_pairs(groups, two):
    rows = groups.equal[0].forest
    largest = rows[["low", "high"]].abs().max(axis=None)
    for item in forest(rows)["rows"]:
        half = 50 / 1.1 * item["row"]["seed_range"] / largest
        assert item["seeds"] == pytest.approx(
            (max(0, 50 - half), min(100, 2 * half)), abs=0.02
        )
    explained = "95&nbsp;% of pairs of trainings"
    assert [explained in comparison_page.render(found) for found in (groups, two)] == [
        True,
        False,
    ]


def table(page, section):
    rows = page.locator(f"#{section} .scroll table:not(.readings) tbody tr").all()
    return [[cell.inner_text() for cell in row.locator("th, td").all()] for row in rows]


def test_page_shows_the_verdict_the_forest_and_the_tables(open_file, two, tmp_path):
    page = open_file(saved(two, tmp_path))
    assert page.locator(".lead").inner_text() == two.recommendation
    assert page.locator(".coverage").inner_text() == two.coverage
    (equal,) = two.equal
    assert page.locator(".forest .lane circle").count() == len(equal.forest) == 4
    excluding = int(equal.forest["excludes_zero"].sum())
    assert page.locator(".forest-row.excludes-zero").count() == excluding
    assert page.locator(".sides b").all_inner_texts() == [
        f"← higher in {equal.second}",
        f"higher in {equal.first} →",
    ]
    values = page.locator(".forest-row .values").all_inner_texts()
    assert values == [
        f"{shown(row['difference'], '+.3f')}\n{shown(row['low'], '+.3f')} to"
        f" {shown(row['high'], '+.3f')}"
        for row in records(equal.forest)
    ]
    rows = records(equal.criteria)
    for cells, row in zip(table(page, "values")[2:], rows, strict=True):
        assert cells[0].startswith(row["title"])
        values = [row["first_value"], row["second_value"]]
        assert cells[1:3] == ["–" if one is None else shown(one) for one in values]
        excludes_zero = {True: "yes", False: "no", None: "–"}[row["excludes_zero"]]
        assert cells[6] == excludes_zero
    last = records(two.networks)[-1]
    told = [
        last["first"],
        last["second"],
        str(last["at"]),
        shown(last["excess"]),
        shown(last["z"], "z.1f"),
    ]
    assert table(page, "networks") == [told]


def test_page_shows_both_matrices_and_their_difference(open_file, two, out, tmp_path):
    page = open_file(saved(two, tmp_path))
    assert page.locator(".matrices canvas.thumbnail").count() == 3
    (equal,) = two.equal
    results, first = Results(out), equal.chosen.iloc[0]
    names = (
        results.classes[results.classes["run"] == first["run"]]
        .sort_values("display_order")["name"]
        .tolist()
    )
    csm = (
        results.csm("ncsm", first["epoch"], run=first["run"])
        .loc[names, names]
        .to_numpy()
    )
    nearest = 100 * np.mean(csm[~np.eye(8, dtype=bool)] > csm[0, 1]) + 100 / 56
    (
        canvas := page.locator(".matrices canvas.thumbnail").first
    ).scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(
        box["x"] + 1.5 * box["width"] / 8, box["y"] + 0.5 * box["height"] / 8
    )
    told = page.locator(".readout").inner_text()
    assert told.startswith(
        f"{names[0]} and {names[1]}: among the nearest {nearest:.0f} % in {equal.first}"
    )
    names = [cells[0] for cells in table(page, "classes")]
    assert names == equal.classes["name"].tolist()
    agreements = [[cells[2], cells[3]] for cells in table(page, "classes")]
    assert agreements == [
        [
            number(row["first_agreement"], "z.2f"),
            number(row["second_agreement"], "z.2f"),
        ]
        for row in records(equal.classes)
    ]


def test_lines_of_many_runs_differ_in_colour_or_dashes(open_file, two, tmp_path):
    one = two.curves[two.curves["curve"] == "accuracy"]
    one = one[one["group"] == one["group"].iloc[0]]
    many = [one.assign(group=f"run {k}") for k in range(28)]
    copy = replace(two)
    vars(copy)["curves"] = pd.concat(many, ignore_index=True)
    page = open_file(saved(copy, tmp_path))
    looks = (
        "all => all.map((line) => getComputedStyle(line)).map((style) => style.stroke +"
        " style.strokeDasharray)"
    )
    assert (
        len(
            set(
                page.locator(".panel").first.locator(".swatch line").evaluate_all(looks)
            )
        )
        == 28
    )


def test_large_matrices_are_shown_as_means_of_blocks():
    ranks = np.arange(801 * 801).reshape(801, 801) % 101.0
    side, packed = comparison_page._packed_ranks(ranks)
    shades = np.frombuffer(base64.b64decode(packed), dtype=np.uint8).reshape(side, side)
    assert (side, shades[0, 1]) == (267, round(2.5 * ranks[:3, 3:6].mean()))


def test_page_pointer_and_slider_move_the_cursor_of_all_panels(
    open_file, two, tmp_path
):
    page = open_file(saved(two, tmp_path))
    accuracies = two.curves[two.curves["curve"] == "accuracy"]
    wanted = accuracies.groupby("group")["mean"].first()
    plot = page.locator("svg.plot").nth(1)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 46, box["y"] + 60)
    accuracy = page.locator(".panel").first.locator(".cursor-label")
    values = [float(text) for text in accuracy.all_text_contents()]
    assert sorted(values) == pytest.approx(sorted(wanted), abs=5e-3)
    page.locator("#epoch").focus()
    page.keyboard.press("ArrowLeft")
    point = records(two.networks)[-2]
    assert page.locator("#epoch-number").inner_text() == str(point["at"])
    told = page.locator("#network-panels .cursor-label").text_content()
    assert float(told.replace("−", "-")) == pytest.approx(point["excess"], abs=5e-3)


def test_page_of_groups_shows_bands(open_file, groups, tmp_path):
    page = open_file(saved(groups, tmp_path), width=400, scheme="dark")
    page.evaluate(
        "document.querySelector('.forest-row > .values').append(' a long"
        " reason'.repeat(9))"
    )
    assert (
        page.locator(".forest-row > :first-child").nth(1).bounding_box()["width"] > 100
    ), "the name keeps its room"
    width, colour = (
        "document.documentElement.scrollWidth <= 400",
        "getComputedStyle(document.body).backgroundColor",
    )
    assert page.evaluate(f"[{width}, {colour}, window.hacked ?? null]") == [
        True,
        "rgb(18, 19, 23)",
        None,
    ]
    assert page.locator("img").count() == 0
    first = page.locator(".panel").nth(1)
    assert first.locator("polygon.interval").count() == 2
    band = groups.curves.query("curve == 'alignment' and group == 'cnn'").iloc[-1]
    first.scroll_into_view_if_needed()
    box = first.locator("svg.plot").bounding_box()
    page.mouse.move(box["x"] + box["width"], box["y"] + 60)
    told = first.locator(".cursor-label").all_text_contents()
    value, low, high = (shown(band[name], ".2f") for name in ("mean", "low", "high"))
    # a label without room for the range has the mean alone
    assert {value, f"{value} [{low}, {high}]"} & set(told), told
    names = page.locator("#network-panels .legend li").all_text_contents()
    assert names[1].startswith(f"{HOSTILE} – cnn, mean of 4")
