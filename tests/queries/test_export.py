"""Exported files: texts that a spreadsheet or a terminal would run."""

import io

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import ANIMALS
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.cli.text import terminal_text
from dsi_cli.queries import export
from dsi_cli.store import spreadsheet
from dsi_cli.store.results import Results

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


def test_export_of_confusions_writes_counts_and_shares_of_the_true_class(
    make_run, tmp_path, dsi
):
    run, out = make_run(), tmp_path / "out"
    targets = np.arange(70) % 7  # the last class has no samples
    predictions = np.random.default_rng(0).integers(0, 8, (4, 70))
    np.save(run / "preds.npy", predictions)
    np.save(run / "targets.npy", targets)
    analyze([run], out, Options(draws=0))
    counts = np.zeros((8, 8), int)
    np.add.at(counts, (targets, predictions[2]), 1)
    for kind in ("confusion", "confusion_normalised"):
        path = tmp_path / f"{kind}.csv"
        command = ("export", out, "--kind", kind, "--epoch", 2, "-o", path)
        assert dsi(*command).code == 0
        found = pd.read_csv(path).set_index("class")
        assert list(found.index) == list(found.columns) == list(ANIMALS)
        expected = counts if kind == "confusion" else counts / 10
        assert_array_equal(found.to_numpy()[:7], expected[:7])
        empty = 0 if kind == "confusion" else np.nan
        assert_array_equal(found.to_numpy()[7], np.full(8, empty))
    results = Results(out)
    assert_array_equal(results.confusion(2), counts)
    part = results.confusion(2, rows=["dog"], classes=[0, 1], normalised=True)
    assert_array_equal(part, counts[1:2, :2] / 10)
    # The CCSM has the same shares, but its diagonal is 1 by definition.
    ccsm = results.csm("ccsm", epoch=2).to_numpy()[:7]
    off = ~np.eye(7, 8, dtype=bool)
    assert_allclose(ccsm[off], (counts / 10)[:7][off], rtol=1e-6)
    assert (np.diagonal(ccsm) == 1).all()


@pytest.mark.parametrize("option", [("--sorted",), ("--reference", "wordnet3.0-path")])
def test_export_of_confusions_with_an_option_of_similarities_raises(
    option, make_results, dsi
):
    ended = dsi("export", make_results(), "--kind", "confusion", *option)
    assert ended.code == 2
    assert option[0] in ended.err
