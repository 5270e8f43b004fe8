"""``dsi compare``: the same as the API says, as tables, as JSON, as figures."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from helpers.table_comparison import write_output, write_run

from dsi_cli.queries.comparison.compare import ComparisonOptions, compare

pytest_plugins = ("helpers.analysed_runs",)

FEW = ("--draws", 40)


@pytest.fixture
def two(tmp_path):
    runs = [write_run(tmp_path / "fast", (0.2, 0.6, 0.9)), write_run(tmp_path / "slow", (0.2, 0.4, 0.605), seed=1)]
    return write_output(tmp_path / "out", *runs)


def test_json_is_what_the_api_says(two, dsi):
    ended = dsi("compare", two, *FEW, "--json")
    assert (ended.code, ended.err) == (0, "")
    expected = json.loads(json.dumps(asdict(compare([two], ComparisonOptions(draws=40)))))
    assert json.loads(ended.out) == {**expected, "figures": [], "page": None}


def test_options_are_those_of_the_api(two, tmp_path, dsi):
    other = write_output(tmp_path / "other", write_run(tmp_path / "third", seed=2))
    ended = dsi(
        *("compare", two, other, "--run", "fast", "--run", "third", "--tolerance", 0.3, "--measure", "pearson"),
        *("--split", "test", *FEW, "--json"),
    )
    asked = ComparisonOptions(("fast", "third"), tolerance=0.3, split="test", measures=("pearson",), draws=40)
    expected = json.loads(json.dumps(asdict(compare([two, other], asked))))
    assert json.loads(ended.out) == {**expected, "figures": [], "page": None}


def test_the_tables(two, dsi):
    ended = dsi("compare", two, *FEW)
    assert ended.code == 0
    lines = ended.out.splitlines()
    found = compare([two], ComparisonOptions(draws=40))
    for line in found.runs:
        shown = next(text for text in lines if text.startswith(f"{line.label} "))
        assert shown.split()[:5] == [line.label, "8", "0-2", f"{line.best_accuracy:.3f}", "2"]
    assert "SAI(NCSM, NCSM) of fast and slow, cosine" in lines
    assert "fast and slow at an accuracy of 0.605" in lines
    assert "first:  fast, epoch 1, accuracy 0.600, 160 mistakes" in lines
    for row in found.equal[0].rows:
        shown = next(text for text in lines if text.startswith(row.title))
        assert (f"{row.title} (describes)" in shown) == (not row.is_criterion)
        if row.is_real is not None:
            assert f"{row.low:+.3f} to {row.high:+.3f}" in shown
            assert shown.split()[-1] == ("yes" if row.is_real else "no")
        else:
            assert any(row.title in text and row.reason in text for text in lines)
    assert lines[-1] == found.recommendation
    assert ended.err == "".join(f"note: {note}\n" for note in found.notes)
    assert dsi("compare", two, *FEW, "--quiet").err == ""


def test_the_tables_of_more_than_two(two, tmp_path, dsi):
    other = write_output(tmp_path / "other", write_run(tmp_path / "third", labels=list("abcdefgh")))
    ended = dsi("compare", two, other, *FEW)
    assert ended.code == 0
    assert "SAI between the networks at their last common epoch, cosine" in ended.out
    assert ended.out.count("cannot be compared: 0 classes in common") == 2
    assert ended.out.splitlines()[-1].startswith("no run is to be preferred to every other")


def test_groups(tmp_path, dsi):
    runs = [write_run(tmp_path / f"{name}_seed{i}", seed=10 * at + i) for at, name in enumerate("ab") for i in range(2)]
    out = write_output(tmp_path / "out", *runs)
    ended = dsi("compare", out, "--group", "seed", "-o", tmp_path / "figures", "--format", "svg")
    assert ended.code == 0
    assert "first:  a, epochs 2, 2" in ended.out
    assert [line.split()[:3] for line in ended.out.splitlines() if "within" in line] == [
        ["within", "a", "1"],
        ["within", "b", "1"],
    ]
    assert ended.out.splitlines()[-2:] == [
        f"figure: {tmp_path / 'figures' / 'compare-networks.svg'}",
        f"page: {tmp_path / 'figures' / 'comparison.html'}",
    ]
    assert "<svg" in (tmp_path / "figures" / "compare-accuracy.svg").read_text()
    assert len(json.loads(dsi("compare", out, "--json", "-o", tmp_path / "figures").out)["figures"]) == 7


def test_the_page_alone(two, tmp_path, dsi):
    ended = dsi("compare", two, *FEW, "--html", tmp_path / "new" / "page.html", "--quiet")
    assert (ended.code, ended.out.splitlines()[-1]) == (0, f"page: {tmp_path / 'new' / 'page.html'}")
    assert compare([two], ComparisonOptions(draws=40)).recommendation in (tmp_path / "new" / "page.html").read_text()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]
    both = dsi("compare", two, *FEW, "-o", tmp_path / "new", "--html", tmp_path / "other.html", "--json")
    assert json.loads(both.out)["page"] == str(tmp_path / "other.html")
    assert not (tmp_path / "new" / "comparison.html").exists()


def test_a_page_is_no_folder(two, tmp_path, dsi):
    ended = dsi("compare", two, *FEW, "--html", tmp_path)
    assert ended.code == 2
    assert f"the page is a file, and {tmp_path} is a folder" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("--run", "fast"),
            2,
            "a comparison needs two runs or more, from one results folder or several; there is fast alone",
        ),
        (("--run", "walk"), 2, "no run 'walk': there are fast, slow"),
        (("--tolerance", 2), 2, "the tolerance of accuracy 2 is not in [0, 1)"),
        (("--split", "val"), 2, "no split 'val'"),
        (("--measure", "kendall"), 2, "no comparison by measure 'kendall'"),
        (("--group", "("), 2, "is no regular expression"),
        (("--group", "^(.)"), 0, ""),
        (("--draws", -3), 2, "the number of draws -3 is negative"),
        (("-o", "x", "--format", "gif"), 2, "no format 'gif': expected one of png, svg, pdf"),
        (("-o", "pyproject.toml"), 2, "figures go into a folder, and pyproject.toml is a file"),
        (("none",), 2, "no output folder none: run `dsi analyze CHECKPOINTS -o none` first"),
    ],
)
def test_failures_are_one_line(two, dsi, arguments, code, words):
    ended = dsi("compare", two, *arguments, *(FEW if "--draws" not in arguments else ()), "--quiet")
    assert ended.code == code
    assert words in ended.err
    assert ended.err.count("\n") == (1 if code else 0)
    assert bool(ended.out) is (code == 0)


def test_one_output_of_one_run(tmp_path, dsi):
    out = write_output(tmp_path / "out", write_run(tmp_path / "only"))
    ended = dsi("compare", out)
    assert ended.code == 2
    assert "there is only alone" in ended.err


def test_without_figures_neither_matplotlib_nor_torch_is_imported(two, dsi_process):
    ended = dsi_process("compare", two, *FEW, env={"PYTHONVERBOSE": "1", "PATH": ""})
    assert ended.code == 0
    for module in ("matplotlib", "torch"):
        assert f"import '{module}'" not in ended.err
