"""Lines fit the terminal that they are shown on, and are whole where it is none."""

from __future__ import annotations

import sys

import pytest

from dsi_cli.cli import console

TEXT = "no table 'curvs': expected one of curves, phases, checkpoints, classes; did you mean curves?"


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize(
    ("show", "stream"), [(console.error, "stderr"), (console.note, "stderr"), (console.print_cut, "stdout")]
)
def test_a_line_fits_the_terminal(show, stream, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    show(TEXT)
    whole = getattr(capsys.readouterr(), stream[3:])
    assert whole.count("\n") == 1
    assert whole.endswith(f"{TEXT}\n")
    monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)
    show(TEXT)
    shown = getattr(capsys.readouterr(), stream[3:])
    assert max(map(len, shown.splitlines())) <= columns
    if stream == "stderr":
        assert shown.split() == whole.split()
    elif columns < len(TEXT):
        assert shown == f"{TEXT[: columns - 3]}...\n"
    else:
        assert shown == whole
