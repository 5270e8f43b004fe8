"""Exported files: texts that a spreadsheet or a terminal would run."""

import io

import numpy as np
import pandas as pd
import pytest

from dsi_cli.cli.text import terminal_text
from dsi_cli.queries import export
from dsi_cli.store import spreadsheet

FORMULAS = [
    "=1+1",
    "+cmd",
    "-cmd",
    "@sum",
    "\t=1",
    "\r=1",
    "\n=1",
    "=cmd|'/C calc'!A0",
    "-1+1",
    "--1",
]
OTHERS = ["cat", "-0.5", "+3", "-1e-05", "-.5", "7up", "a=b", "'=1", "", "1-2"]


@pytest.mark.parametrize("text", FORMULAS)
def test_cell_text_of_a_formula_begins_with_an_apostrophe(text):
    assert spreadsheet.cell_text(text) == f"'{text}"


@pytest.mark.parametrize("text", OTHERS)
def test_cell_text_of_another_text_is_that_text(text):
    assert spreadsheet.cell_text(text) == text


def written(frame, *, is_matrix, show=str):
    stream = io.BytesIO()
    export.write_stream(frame, stream, "csv", is_matrix=is_matrix, show=show)
    return stream.getvalue().decode()


def test_write_stream_of_a_table_marks_formulas_and_keeps_numbers():
    frame = pd.DataFrame(
        {
            "run": ["=1+1", "net"],
            "value": [-0.5, 2.0],
            "list": [np.array([-1, 2]), None],
        }
    )
    assert (
        written(frame, is_matrix=False)
        == 'run,value,list\n\'=1+1,-0.5,"[-1, 2]"\nnet,2.0,\n'
    )


def test_write_stream_of_a_matrix_marks_the_names_of_classes():
    names = ["=cat", "dog"]
    frame = pd.DataFrame([[1.0, -0.5], [-0.5, 1.0]], index=names, columns=names)
    assert (
        written(frame, is_matrix=True)
        == "class,'=cat,dog\n'=cat,1.0,-0.5\ndog,-0.5,1.0\n"
    )


def test_write_stream_for_a_terminal_has_no_control_characters():
    frame = pd.DataFrame(
        {"run": ["\x1b]0;title\x07", "\u202eevil", "a\nb"], "value": [1, 2, 3]}
    )
    text = written(frame, is_matrix=False, show=terminal_text)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert text.count("\n") == 4
    assert "\\x1b]0;title\\x07" in text
