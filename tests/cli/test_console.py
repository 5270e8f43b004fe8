"""Lines fit the terminal that they are shown on, and are whole where it is none."""

import sys

import pytest

from dsi_cli.cli import console

TEXT = (
    "no table 'curvs': expected one of curves, phases, checkpoints, classes; try curves"
)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("show", [console.error, console.note])
def test_console_line_fits_the_terminal(show, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    show(TEXT)
    whole = capsys.readouterr().err
    assert whole.count("\n") == 1
    assert whole.endswith(f"{TEXT}\n")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    show(TEXT)
    shown = capsys.readouterr().err
    assert max(map(len, shown.splitlines())) <= columns
    assert shown.split() == whole.split()


def test_print_columns_in_a_narrow_terminal_keeps_names_and_numbers_whole(
    monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    titles = ["", *(f"#number {index}" for index in range(4)), "over"]
    console.print_columns(titles, [["agreement", *4 * ["+0.122 to +0.148"], "images"]])
    _, row = capsys.readouterr().out.splitlines()
    assert row.split() == ["agreement", *4 * ["+0.122", "to", "+0.148"], "images"]


@pytest.mark.parametrize(("columns", "lines"), [("80", 2), ("40", 3)])
def test_print_title_in_a_narrow_terminal_takes_two_lines(
    monkeypatch, capsys, columns, lines
):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.print_title("title" * 6, "0 is chance")
    assert capsys.readouterr().out.count("\n") == lines


def test_console_command_is_never_broken(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    console.note_command(TEXT)
    assert capsys.readouterr().err == f"  {TEXT}\n"


def test_print_sentence_in_a_narrow_terminal_keeps_numbers_with_their_units(
    monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.print_sentence(f"{'x' * 36} 95 % of {'x' * 30} 4 to 17")
    assert capsys.readouterr().out.splitlines() == [
        "x" * 36,
        f"  95 % of {'x' * 30}",
        "  4 to 17",
    ]
