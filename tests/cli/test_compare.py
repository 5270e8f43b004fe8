"""``dsi compare`` prints and writes what the API returns."""

import json
import re

import pandas as pd
import pytest
from helpers.table_comparison import write_output, write_run, write_two

from dsi_cli.queries.comparison.compare import compare
from dsi_cli.queries.records import records


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return write_two(tmp_path_factory.mktemp("compared"))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Return two networks with two trainings each."""
    top = tmp_path_factory.mktemp("seeds")
    runs = [
        write_run(top / f"{name}_seed{i}", (0.5, 0.8), seed=i)
        for name in "ab"
        for i in range(2)
    ]
    return write_output(top / "out", *runs)


def assert_equals(document, comparison):
    assert document.pop("robustness") is not None
    for name, table in comparison.tables().items():
        assert document.pop(name) == json.loads(json.dumps(records(table))), name
    assert document.pop("files") == []
    assert document == {name: getattr(comparison, name) for name in document}


def test_compare_json_equals_the_api(two, dsi):
    ended = dsi("compare", two, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert_equals(json.loads(ended.out), compare([two]))


def test_compare_options_equal_those_of_the_api(two, tmp_path, dsi):
    other = write_output(tmp_path / "other", write_run(tmp_path / "third", seed=2))
    options = "--run fast --run third --tolerance 0.3 --measure pearson --split test"
    ended = dsi("compare", two, other, *options.split(), "--json")
    expected = compare(
        [two, other],
        names=("fast", "third"),
        tolerance=0.3,
        split="test",
        measures=("pearson",),
    )
    assert_equals(json.loads(ended.out), expected)


def test_compare_screen_has_the_verdict_then_the_differences(two, dsi):
    ended = dsi("compare", two)
    assert ended.code == 0
    lines = ended.out.splitlines()
    found = compare([two])
    assert lines[0] == found.recommendation
    assert len(lines) <= 20
    assert lines[2].split() == [
        *("fast", "slow", "diff.", "95", "%", "CI"),
        *("CI", "over"),
    ]
    (equal,) = found.equal
    main = equal.criteria[equal.criteria["is_main"]]
    for row, line in zip(records(main), lines[3:], strict=False):
        if row["low"] is not None:
            interval = f"{row['low']:+.3f} to {row['high']:+.3f}"
            assert f" {row['difference']:+.3f}  {interval}" in line
            assert line.endswith(row["covers"])
    assert "fast: epoch 1, accuracy 0.600, 160 mistakes" in lines
    assert found.coverage in lines
    for row in records(found.runs):
        (shown,) = (text for text in lines if text.startswith(f"{row['label']}  "))
        best = f"{row['best_accuracy']:.3f} at epoch 2"
        assert shown.split()[1:7] == ["8", "0-2", *best.split()]
        at = row["aligned_at"]
        assert shown.endswith("-" if at is None else f"at epoch {at}")
    unlike = ", ".join(
        f"{row['name']} {row['likeness']:.2f}" for row in records(equal.classes.head(5))
    )
    assert f"Classes whose similarities correlate least: {unlike}" in lines
    assert ended.err == "".join(f"note: {note}\n" for note in found.notes)
    assert dsi("compare", two, "--quiet").err == ""


def test_compare_names_the_measure_that_was_chosen(two, dsi):
    between = (
        r"\nCosine SAI \(excess\) of the networks with each other at 2 \(epoch\):"
        r" -?\d\.\d+ \(0 is chance, z = -?\d+\)\n"
    )
    assert re.search(between, dsi("compare", two, "--measure", "cosine").out)


def test_compare_of_three_runs_counts_pairs_in_words_and_names_each(tmp_path, dsi):
    accuracies = {
        "fast": (0.2, 0.6, 0.9),
        "slow": (0.2, 0.4, 0.605),
        "last": (0.2, 0.3, 0.5),
    }
    runs = [
        write_run(tmp_path / name, values, seed=seed)
        for seed, (name, values) in enumerate(accuracies.items())
    ]
    screen = dsi("compare", write_output(tmp_path / "out", *runs)).out
    assert re.match("Of 3 pairs of networks, in (?!.* for [0-9])", screen)
    assert all(
        f"\n- {pair}: In these two runs, " in screen
        for pair in ("fast and last", "fast and slow", "last and slow")
    )


def test_compare_screen_keeps_the_case_of_a_name_at_the_start(tmp_path, dsi):
    labels = tuple(f"thing {number}" for number in range(8))
    runs = (write_run(tmp_path / "fast"), write_run(tmp_path / "slow", labels=labels))
    assert dsi("compare", write_output(tmp_path / "out", *runs)).out.startswith(
        "fast and slow cannot be compared: "
    )


def test_compare_screen_of_groups_names_their_pairs(seeds, dsi):
    lines = dsi("compare", seeds, "--group", "seed").out.splitlines()
    assert "a: epochs 1, 1" in lines
    assert [line.split()[:3] for line in lines if "within" in line] == [
        ["within", "a", "1"],
        ["within", "b", "1"],
    ]


def test_compare_out_writes_all_tables_and_a_page(seeds, tmp_path, dsi):
    folder = tmp_path / "new"
    ended = dsi("compare", seeds, "--group", "seed", "-o", folder, "--quiet")
    tables = compare([seeds], group="seed").tables()
    paths = [folder / f"{name}.parquet" for name in (*tables, "robustness")]
    paths.append(folder / "comparison.html")
    assert ended.out.splitlines()[-len(paths) :] == [f"  {path}" for path in paths]
    assert {*folder.iterdir()} == {*paths}
    for path, table in zip(paths, tables.values(), strict=False):
        assert len(pd.read_parquet(path)) == len(table)
        assert [*pd.read_parquet(path)] == [*table]


def test_compare_html_writes_the_page_alone(two, tmp_path, dsi):
    page = tmp_path / "new" / "page.html"
    ended = dsi("compare", two, "--html", page, "--quiet")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, f"  {page}")
    assert compare([two]).recommendation in page.read_text()
    assert [*page.parent.iterdir()] == [page]


def test_compare_wrong_usage_is_one_line(two, dsi):
    ended = dsi("compare", two, "--tolerance", 2, "--quiet")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "the tolerance of accuracy 2 is not in [0, 1)" in ended.err


def test_compare_clusters_widens_no_interval_over_images(seeds, dsi):
    ended = dsi("compare", seeds, "--group", "seed", "--clusters", "group", "--json")
    rows = {row["quantity"]: row for row in json.loads(ended.out)["criteria"]}
    assert rows["sai_pearson"]["covers"] == "seeds, clusters"
    assert rows["max_wsi"]["covers"] == "seeds, clusters"
    assert rows["widm"]["covers"] == "seeds, test images"
