"""Wrong usage is one line that says what is meant; help has examples, and fits a terminal."""

import shlex

import pytest
import typer

from dsi_cli.cli.app import COMMANDS, app, command_function, split_docstring


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("analyse", "x"), "there is no command 'analyse'; run dsi analyze, or dsi --help"),
        (("xyzzy",), "there is no command 'xyzzy'; run dsi --help"),
        (("analyze", "x", "--lables", "y"), "dsi analyze has no option --lables; use --labels, or run dsi analyze --help"),
        (
            ("report", "x", "--epochs=3"),
            "dsi report has no option --epochs; it is an option of dsi analyze, dsi watch, dsi plot; run dsi report --help",
        ),
        (("scan", "x", "-z"), "dsi scan has no option -z; run dsi scan --help"),
        (("-v", "scan", "x"), "there is no option -v before the command; write dsi scan ... -v"),
        (
            ("neighbors", "out", "wolf"),
            "got unexpected extra argument(s) (wolf), but a class needs --class; run dsi neighbors --help",
        ),
        (("--xyzzy",), "there is no option --xyzzy before the command; run dsi --help"),
        (("scan", "--tensors"), "option '--tensors' requires an argument; run dsi scan --help"),
        (("scan",), "there is nothing to scan; give checkpoints, as in dsi scan ckpts/"),
        (("export", "/no"), "there is no results folder /no; run dsi analyze CHECKPOINTS -o /no first"),
    ],
)
def test_wrong_usage_suggests_the_right_command(arguments, line, dsi):
    assert dsi(*arguments) == (2, "", f"dsi: {line}\n")


def test_path_in_place_of_a_command_suggests_analyze(dsi, tmp_path):
    assert dsi(tmp_path) == (2, "", f"dsi: {tmp_path} is a path, not a command; run dsi analyze {tmp_path}\n")


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
def test_command_summary_is_its_docstring(verb):
    assert split_docstring(command_function(verb))[0].split("\n")[0] == f"{COMMANDS[verb]}."


@pytest.mark.parametrize("verb", COMMANDS)
def test_command_examples_are_valid(verb):
    command = typer.main.get_command(app).commands[verb]
    examples = split_docstring(command_function(verb))[1]
    assert examples
    for line in examples:
        words = shlex.split(line.partition(" | ")[0], comments=True)
        assert words[:2] == ["dsi", verb]
        assert command.make_context(verb, words[2:]).args == []  # raises what wrong usage is
