"""``dsi neighbors``: the same as the API says, as a table and as JSON."""

import json
from functools import partial

import pytest
from helpers.outputs import LONG, MARKED, write_checkpoints

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.neighbors import closest_pairs, nearest, neighbor_history
from dsi_cli.queries.records import records
from dsi_cli.store.results import Results


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("neighbors") / "out"
    analyze([write_checkpoints(out.parent / "run", 8, MARKED)], out, Options(draws=0))
    return out


@pytest.mark.parametrize(
    ("arguments", "make"),
    [
        (("--class", "cat", "--epoch", 2), partial(nearest, of="cat", epoch=2)),
        (("--pairs", "--epoch", 2), partial(closest_pairs, epoch=2)),
        ((), closest_pairs),
        (("--class", "cat", "--over-epochs"), partial(neighbor_history, of="cat")),
    ],
)
def test_neighbors_json_equals_the_api(out, dsi, arguments, make):
    ended = dsi("neighbors", out, *arguments, "-n", 3, "--json")
    assert (ended.code, ended.err) == (0, "")
    expected = make(Results(out), most=3)
    assert json.loads(ended.out) == expected.attrs | {"rows": records(expected)}


def test_neighbors_tables_equal_the_api(out, dsi):
    ended = dsi("neighbors", out, "--class", "cat", "-n", 7)
    expected = nearest(Results(out), "cat")
    lines = ended.out.splitlines()
    assert lines[:2] == [expected.attrs["title"], expected.attrs["legend"]]
    assert lines[2].startswith("! closer") is bool(expected["surprise"].any())
    for line, row in zip(lines[-7:], records(expected), strict=True):
        assert line.startswith(f"{row['place']}  {row['name'][:28]}")
        assert f"{row['similarity']:.3f}" in line
        known = row["wordnet_rank"]
        rank = "-" if known is None else f"{int(known + 0.5)}"
        assert line.rstrip("! ").split()[-1] == rank
        assert line.endswith("!") is row["surprise"]
    assert "[red]horse" in ended.out
    assert LONG[:28] + "..." in ended.out


def test_neighbors_over_epochs_table_equals_the_api(analysed, dsi):
    arguments = ("--run", "cifar100-cnn", "--class", "apple", "--over-epochs", "-n", 5)
    ended = dsi("neighbors", analysed.out, *arguments)
    history = neighbor_history(analysed.run, "apple", run="cifar100-cnn", most=5)
    assert ended.out.splitlines()[0] == history.attrs["title"]
    row = records(history)[0]
    (line,) = (
        line for line in ended.out.splitlines() if line.startswith(f"{row['name']} ")
    )
    first, bars, last, rank = line.removeprefix(row["name"]).rstrip("! ").split()
    assert (first, last) == (str(row["places"][0]), "1")
    assert (rank, len(bars)) == (f"{int(row['wordnet_rank'] + 0.5)}", 31)
    assert bars[-1] == "▇"
    assert ended.err.startswith("--json has 1 more, ")
    assert max(map(len, ended.out.splitlines()[3:])) <= 80


def test_neighbors_over_many_epochs_names_the_number_of_bars(dsi, make_run, tmp_path):
    out = tmp_path / "out"
    assert dsi("analyze", make_run(epochs=40), "-o", out, "--no-report").code == 0
    printed = dsi("neighbors", out, "--class", "dog", "--over-epochs").out
    assert "rank at 32 of" in printed
    assert "epochs 0 to 39" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "ct"), "no class 'ct': try cat"),
        (("--class", "cat", "--pairs"), "leave out --pairs, or --class"),
        (("--over-epochs",), "add --class NAME"),
        (("--over-epochs", "--class", "cat", "--epoch", 1), "leave out --epoch"),
        (("-n", 0), "invalid value for '--most'"),
    ],
)
def test_neighbors_wrong_usage_is_one_line(out, dsi, arguments, words):
    ended = dsi("neighbors", out, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("error: ") == 1
