"""Help has examples and fits a terminal, and outputs have the format of their name."""

import shlex

import numpy as np
import pandas as pd
import pytest
import typer
from helpers.outputs import ANIMALS

from dsi_cli.cli.app import COMMANDS, app, command_function, split_docstring


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
        assert not [line for line in lines[1:] if line.endswith("...")]
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
