"""``dsi compare`` prints and writes what the API returns."""

import json
import re
import sys
from dataclasses import asdict, replace

import pytest
from helpers.table_comparison import write_output, write_run, write_two

from dsi_cli.cli.compare import _forest_line
from dsi_cli.queries.comparison.compare import ComparisonOptions, compare
from dsi_cli.queries.comparison.equal_accuracy import CriterionRow


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return write_two(tmp_path_factory.mktemp("compared"))


def test_compare_json_equals_the_api(two, dsi):
    ended = dsi("compare", two, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {
        **json.loads(json.dumps(asdict(compare([two])))),
        "figures": [],
        "page": None,
    }


def test_compare_options_equal_those_of_the_api(two, tmp_path, dsi):
    other = write_output(tmp_path / "other", write_run(tmp_path / "third", seed=2))
    ended = dsi(
        *(
            "compare",
            two,
            other,
            "--run",
            "fast",
            "--run",
            "third",
            "--tolerance",
            0.3,
            "--measure",
            "pearson",
        ),
        *("--split", "test", "--json"),
    )
    asked = ComparisonOptions(
        ("fast", "third"), tolerance=0.3, split="test", measures=("pearson",)
    )
    expected = json.loads(json.dumps(asdict(compare([two, other], asked))))
    assert json.loads(ended.out) == {**expected, "figures": [], "page": None}


def test_compare_screen_has_the_verdict_then_the_differences(two, dsi):
    ended = dsi("compare", two)
    assert ended.code == 0
    lines = ended.out.splitlines()
    found = compare([two])
    assert lines[0] == f"{found.recommendation}."
    assert len(lines) <= 20
    (equal,) = found.equal
    main = [row for row in equal.rows if row.is_main]
    for row, line in zip(main, lines[3:], strict=False):
        if row.low is not None:
            assert f" {row.difference:+.3f}  {row.low:+.3f} to {row.high:+.3f}" in line
            assert line.split()[-1] == row.covers.removeprefix("test ")
    assert "first:  fast, epoch 1, accuracy 0.600, 160 mistakes" in lines
    assert f"T{found.coverage[1:]}." in lines, "no dots without repetitions"
    for line in found.runs:
        shown = next(text for text in lines if text.startswith(f"{line.label} "))
        assert shown.split()[:7] == [
            line.label,
            "8",
            "0-2",
            f"{line.best_accuracy:.3f}",
            "at",
            "epoch",
            "2",
        ]
        assert shown.endswith(
            f"at epoch {line.aligned_at}" if line.aligned_at is not None else "-"
        )
    assert (
        f"Seen most differently: {', '.join(row.name for row in equal.classes[:5])}"
        in lines
    )
    assert (ended.err, dsi("compare", two, "--quiet").err) == (
        "".join(f"note: {note}\n" for note in found.notes),
        "",
    )
    between = (
        r"\nSAI excess, cosine of the networks with each other \([^)]*\), by epoch:"
        r" -?\d\.\d+ at 2 \(z = -?\d+\)\n"
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


ROW = CriterionRow(
    *(
        "widm",
        "WIDM",
        True,
        True,
        "images",
        0.5,
        0.4,
        0.1,
        0.05,
        0.15,
        0.95,
        0.01,
        True,
    ),
    0.01,
    0.055,
    None,
)


@pytest.mark.parametrize(
    ("low", "difference", "high", "seed_range", "line"),
    [
        (0.05, 0.1, 0.15, 0.055, "    ...|.[--o-]"),
        (0.05, 0.1, 0.15, None, "       | [--o-]"),
        (
            0.001,
            0.07,
            0.15,
            None,
            "       |[-o---]",
        ),  # the interval excludes 0, though its end is near
        (-0.15, -0.07, 0.001, None, "[---o--|]      "),
        (-0.001, 0.0, 0.001, None, "      [o]      "),
        (0.001, 0.004, 0.009, None, "       |o      "),
        (None, 0.1, None, 0.5, ".......|....o.."),
        (None, None, None, None, "       |       "),
    ],
)
def test_forest_line_shows_on_which_side_of_0_the_interval_ends(
    low, difference, high, seed_range, line
):
    row = replace(ROW, low=low, difference=difference, high=high, seed_range=seed_range)
    assert _forest_line(row, 0.15) == line


@pytest.mark.parametrize("is_terminal", [False, True])
def test_compare_screen_has_0_in_one_column_of_all_rows(
    two, dsi, monkeypatch, is_terminal
):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    (equal,) = compare([two]).equal
    lines = [
        re.sub(r"\x1b\[[\d;]*m", "", line)
        for line in dsi("compare", two).out.splitlines()
    ]
    first = next(index for index, line in enumerate(lines) if "<second|first >" in line)
    zero = lines[first].index("|")
    largest = max(abs(end) for row in equal.forest for end in (row.low, row.high))
    for line, row in zip(lines[first + 1 :], equal.forest, strict=False):
        plot = line[zero - 7 : zero + 8]
        assert plot == _forest_line(row, largest)
        assert plot[7] in "|o"
        assert line[: zero - 7].rstrip().endswith(f"{row.high:+.3f}")
    assert len({_forest_line(row, largest).rstrip() for row in equal.forest}) > 1


def test_compare_screen_of_a_group_and_a_single_training_explains_the_dots(
    tmp_path, dsi
):
    runs = [
        write_run(tmp_path / name, (0.5, 0.8), seed=seed)
        for seed, name in enumerate(("a_seed0", "a_seed1", "b"))
    ]
    lines = dsi(
        "compare", write_output(tmp_path / "out", *runs), "--group", "seed"
    ).out.splitlines()
    assert any("..." in line for line in lines[3:8])
    assert (
        "Dots: 95 % of pairs of trainings of one group differ by less, to judge by"
        " these runs." in lines
    )


@pytest.mark.slow
def test_compare_groups_writes_figures_and_page(tmp_path, dsi):
    runs = [
        write_run(tmp_path / f"{name}_seed{i}", (0.5, 0.8), seed=i)
        for name in "ab"
        for i in range(2)
    ]
    out = write_output(tmp_path / "out", *runs)
    figures = tmp_path / "figures"
    ended = dsi("compare", out, "--group", "seed", "-o", figures, "--format", "svg")
    assert ended.code == 0
    assert "first:  a, epochs 1, 1" in ended.out
    assert (
        "Dots: 95 % of pairs of trainings of one group differ by less, to judge by"
        " these runs." in ended.out
    )
    lines = ended.out.splitlines()
    assert [line.split()[:3] for line in lines if "within" in line] == [
        ["within", "a", "1"],
        ["within", "b", "1"],
    ]
    assert lines[-2:] == [
        f"figure: {figures / 'compare-networks.svg'}",
        f"page: {figures / 'comparison.html'}",
    ]
    assert len(list(figures.glob("compare-*.svg"))) == 7


def test_compare_html_writes_the_page_alone(two, tmp_path, dsi):
    ended = dsi("compare", two, "--html", tmp_path / "new" / "page.html", "--quiet")
    assert (ended.code, ended.out.splitlines()[-1]) == (
        0,
        f"page: {tmp_path / 'new' / 'page.html'}",
    )
    assert compare([two]).recommendation in (tmp_path / "new" / "page.html").read_text()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tolerance", 2), "the tolerance of accuracy 2 is not in [0, 1)"),
        (
            ("-o", "x", "--format", "gif"),
            "no format 'gif': expected one of png, svg, pdf",
        ),
    ],
)
def test_compare_wrong_usage_is_one_line(two, dsi, arguments, words):
    ended = dsi("compare", two, *arguments, "--quiet")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert words in ended.err
