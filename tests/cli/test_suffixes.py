"""The suffix of a file to write says what it will hold; an unknown one is refused before anything is read or computed."""

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import ANIMALS


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(ANIMALS), encoding="utf-8")
    return path


def test_wordnet_output_has_the_format_of_its_suffix(dsi, listed, make_run, tmp_path):
    expected = pd.read_parquet(made(dsi, listed, tmp_path / "t.parquet"))
    matrix = np.stack(expected["similarity"].to_list())
    wide = pd.read_csv(made(dsi, listed, tmp_path / "t.csv"))
    assert wide.columns.to_list() == ["class", *ANIMALS]
    assert wide["class"].to_list() == list(ANIMALS)
    np.testing.assert_allclose(wide[list(ANIMALS)], matrix, rtol=1e-6)
    np.testing.assert_array_equal(np.load(made(dsi, listed, tmp_path / "T.NPY")), matrix)
    assert dsi("analyze", make_run(), "-o", tmp_path / "out", "--draws", 0, "--no-report").code == 0
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
    assert ended == (2, "", "dsi: NPY holds matrices: export a table as parquet or csv\n")
    ended = dsi("wordnet", "imagenet12k", "--whole", "-o", tmp_path / "t2.csv")
    assert (ended.code, ended.out) == (2, "")
    assert "a matrix of 11,821 labels is written only as Parquet" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wordnet", "cifar10", "-o", "t.xlsx"), "expected a name that ends in .parquet, .csv or .npy, found 't.xlsx'"),
        (("wordnet", "cifar10", "-o", "table"), "expected a name that ends in .parquet, .csv or .npy, found 'table'"),
        (("wordnet", "cifar10", "--write-map", "map.parquet"), "expected a name that ends in .csv, found 'map.parquet'"),
        (("labels", "cifar10", "--write-map", "map.json"), "expected a name that ends in .csv, found 'map.json'"),
        (("export", "nowhere", "-o", "t.xlsx"), "expected a name that ends in .parquet, .csv or .npy, found 't.xlsx'"),
        (("report", "nowhere", "-o", "report.pdf"), "expected a name that ends in .html or .htm, found 'report.pdf'"),
        (("compare", "nowhere", "--html", "page.pdf"), "expected a name that ends in .html or .htm, found 'page.pdf'"),
        (("mistakes", "nowhere", "--sheet", "x.jpg"), "expected a name that ends in .png, found 'x.jpg'"),
    ],
)
def test_output_with_an_unknown_suffix_is_refused_first(dsi, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    ended = dsi(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert message in ended.err
    assert list(tmp_path.iterdir()) == []
