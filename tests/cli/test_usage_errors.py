"""Wrong usage is one line that says what is meant, also if a suffix is unknown; help
has examples, and fits a terminal.
"""

import shlex

import numpy as np
import pandas as pd
import pytest
import typer
from helpers.outputs import ANIMALS

from dsi_cli.cli.app import COMMANDS, app, command_function, split_docstring


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("analyse", "x"), "no such command 'analyse'; try 'analyze'; run dsi --help"),
        (("xyzzy",), "no such command 'xyzzy'; run dsi --help"),
        (
            ("analyze", "x", "--lables", "y"),
            (
                "no such option: --lables (Possible options: --labels, --templates);"
                " run dsi analyze --help"
            ),
        ),
        (
            ("report", "x", "--epochs=3"),
            "no such option: --epochs; run dsi report --help",
        ),
        (("-v", "scan", "x"), "no such option: -v; run dsi --help"),
        (
            ("neighbors", "out", "wolf"),
            "got unexpected extra argument(s) (wolf); run dsi neighbors --help",
        ),
        (
            ("scan", "--tensors"),
            "option '--tensors' requires an argument; run dsi scan --help",
        ),
        (
            ("scan",),
            "there is nothing to scan; give checkpoints, as in dsi scan ckpts/",
        ),
        (
            ("export", "/no"),
            "there is no results folder /no; run dsi analyze CHECKPOINTS -o /no first",
        ),
    ],
)
def test_wrong_usage_suggests_the_right_command(arguments, line, dsi):
    assert dsi(*arguments) == (2, "", f"dsi: {line}\n")


def test_path_in_place_of_a_command_suggests_analyze(dsi, tmp_path):
    assert dsi(tmp_path) == (
        2,
        "",
        f"dsi: {tmp_path} is a path, not a command; run dsi analyze {tmp_path}\n",
    )


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("verb", [None, *COMMANDS])
def test_help_fits_and_keeps_examples_whole(verb, columns, dsi, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    ended = dsi(*([verb] if verb else []), "--help")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= min(columns, 110)
    assert "\b" not in ended.out
    if verb is None:
        assert not [
            line for line in lines if line.endswith("...") and "[ARGS]" not in line
        ]
    else:
        examples = split_docstring(command_function(verb))[1]
        assert lines[-len(examples) :] == [f"    {line}" for line in examples]
        assert lines[-len(examples) - 1].strip() == "Examples:"


@pytest.mark.parametrize("verb", COMMANDS)
def test_command_summary_is_its_docstring(verb):
    summary = split_docstring(command_function(verb))[0].split("\n\n")[0]
    assert summary.replace("\n", " ") == f"{COMMANDS[verb]}."


@pytest.mark.parametrize("verb", COMMANDS)
def test_command_examples_are_valid(verb):
    command = typer.main.get_command(app).commands[verb]
    examples = split_docstring(command_function(verb))[1]
    assert examples
    for line in examples:
        words = shlex.split(line.partition(" | ")[0], comments=True)
        assert words[:2] == ["dsi", verb]
        # raises what wrong usage is
        assert command.make_context(verb, words[2:]).args == []


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(ANIMALS), encoding="utf-8")
    return path


def test_wordnet_output_has_the_format_of_its_suffix(dsi, listed, make_run, tmp_path):
    expected = pd.read_parquet(made(dsi, listed, tmp_path / "t.parquet"))
    matrix = np.stack(expected["similarity"].to_list())
    wide = pd.read_csv(made(dsi, listed, tmp_path / "t.csv"))
    assert (wide.columns.to_list(), wide["class"].to_list()) == (
        ["class", *ANIMALS],
        list(ANIMALS),
    )
    np.testing.assert_allclose(wide[list(ANIMALS)], matrix, rtol=1e-6)
    np.testing.assert_array_equal(
        np.load(made(dsi, listed, tmp_path / "T.NPY")), matrix
    )
    assert dsi("analyze", make_run(), "-o", tmp_path / "out", "--no-report").code == 0
    exported = tmp_path / "e.csv"
    assert dsi("export", tmp_path / "out", "--kind", "scsm", "-o", exported).code == 0
    assert exported.read_text() == (tmp_path / "t.csv").read_text()


def made(dsi, listed, path, *options):
    assert dsi("wordnet", listed, "-o", path, *options).code == 0
    return path


def test_wordnet_neighbors_output_is_a_table(dsi, listed, tmp_path):
    table = pd.read_csv(made(dsi, listed, tmp_path / "t.csv", "--neighbors", 2))
    plain = pd.read_parquet(made(dsi, listed, tmp_path / "t.parquet", "--neighbors", 2))
    pd.testing.assert_frame_equal(table, plain, check_dtype=False, rtol=1e-6)
    ended = dsi("wordnet", listed, "-o", tmp_path / "t.npy", "--neighbors", 2)
    assert ended == (
        2,
        "",
        "dsi: NPY holds matrices: export a table as parquet or csv\n",
    )
    assert "leave out one of them" in dsi("wordnet", listed, "-o", "-", "--json").err
    ended = dsi("wordnet", "imagenet12k", "--whole", "-o", tmp_path / "t2.csv")
    assert (ended.code, ended.out) == (2, "")
    assert "a matrix of 11,821 labels is written only as Parquet" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("wordnet", "cifar10", "-o", "t.xlsx"),
            "expected a name that ends in .parquet, .csv or .npy, found 't.xlsx'",
        ),
        (
            ("wordnet", "cifar10", "-o", "table"),
            "expected a name that ends in .parquet, .csv or .npy, found 'table'",
        ),
        (
            ("wordnet", "cifar10", "--write-map", "map.parquet"),
            "expected a name that ends in .csv, found 'map.parquet'",
        ),
        (
            ("labels", "cifar10", "--write-map", "map.json"),
            "expected a name that ends in .csv, found 'map.json'",
        ),
        (
            ("export", "nowhere", "-o", "t.xlsx"),
            "expected a name that ends in .parquet, .csv or .npy, found 't.xlsx'",
        ),
        (
            ("report", "nowhere", "-o", "report.pdf"),
            "expected a name that ends in .html or .htm, found 'report.pdf'",
        ),
        (
            ("compare", "nowhere", "--html", "page.pdf"),
            "expected a name that ends in .html or .htm, found 'page.pdf'",
        ),
        (
            ("mistakes", "nowhere", "--sheet", "x.jpg"),
            "expected a name that ends in .png, found 'x.jpg'",
        ),
    ],
)
def test_output_with_an_unknown_suffix_is_refused_first(
    dsi, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    ended = dsi(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []
