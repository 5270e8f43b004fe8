"""Wrong usage is one line that says what is meant; help has examples, and fits a terminal."""

from __future__ import annotations

import shlex

import pytest
import typer

from dsi_cli.cli.app import COMMANDS, app, command_function, split_docstring

pytest_plugins = ("helpers.analysed_runs",)
HELP = "--help lists all"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("analyse", "x"), "no command 'analyse': did you mean analyze? dsi --help lists the commands"),
        (("xyzzy",), "no command 'xyzzy'; dsi --help lists the commands"),
        (
            ("analyze", "x", "--lables", "y"),
            f"dsi analyze has no option --lables: did you mean --labels? dsi analyze {HELP}",
        ),
        (
            ("report", "x", "--epochs=3"),
            f"dsi report has no option --epochs: it is one of dsi analyze, dsi watch, dsi plot; dsi report {HELP}",
        ),
        (("scan", "x", "-z"), f"dsi scan has no option -z; dsi scan {HELP}"),
        (
            ("-v", "scan", "x"),
            "no option -v before the command: write it after the command, dsi scan ... -v; dsi --help lists the commands",
        ),
        (("--xyzzy",), "no option --xyzzy before the command; dsi --help lists the commands"),
        (("scan", "--tensors"), "option '--tensors' requires an argument; dsi scan --help says more"),
    ],
)
def test_wrong_usage(arguments, line, dsi):
    assert dsi(*arguments) == (2, "", f"dsi: {line}\n")


def test_a_path_in_place_of_a_verb(dsi, tmp_path):
    line = (
        f"expected a command, found the path {tmp_path}: did you mean dsi analyze {tmp_path}? dsi --help lists the commands"
    )
    assert dsi(tmp_path) == (2, "", f"dsi: {line}\n")


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
        assert not [line for line in lines if line.endswith("...") and "[ARGS]" not in line]
    else:
        examples = split_docstring(command_function(verb))[1]
        assert lines[-len(examples) :] == [f"    {line}" for line in examples]
        assert lines[-len(examples) - 1].strip() == "Examples:"


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_is_told_in_the_words_of_its_docstring(verb):
    assert split_docstring(command_function(verb))[0].split("\n")[0] == f"{COMMANDS[verb]}."


@pytest.mark.parametrize("verb", COMMANDS)
def test_examples_are_of_the_verb_and_of_its_options(verb):
    command = typer.main.get_command(app).commands[verb]
    examples = split_docstring(command_function(verb))[1]
    assert examples
    for line in examples:
        words = shlex.split(line.partition(" | ")[0], comments=True)
        assert words[:2] == ["dsi", verb]
        assert command.make_context(verb, words[2:]).args == []  # raises what wrong usage is
