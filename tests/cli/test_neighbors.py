"""``dsi neighbors``: the same as the API says, as a table and as JSON."""

import json
from dataclasses import asdict

import pytest
from helpers.outputs import LONG, MARKED, write_checkpoints

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.neighbors import (
    NeighborQuery,
    closest_pairs,
    nearest,
    neighbor_history,
)
from dsi_cli.store.results import Results


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("neighbors") / "out"
    analyze([write_checkpoints(out.parent / "run", 8, MARKED)], out, Options(draws=0))
    return out


@pytest.mark.parametrize(
    ("arguments", "make"),
    [
        (
            ("--class", "cat", "--epoch", 2),
            lambda run: nearest(run, "cat", NeighborQuery(epoch=2, most=3)),
        ),
        (
            ("--pairs", "--epoch", 2),
            lambda run: closest_pairs(run, NeighborQuery(epoch=2, most=3)),
        ),
        ((), lambda run: closest_pairs(run, NeighborQuery(most=3))),
        (
            ("--class", "cat", "--over-epochs"),
            lambda run: neighbor_history(run, "cat", NeighborQuery(most=3)),
        ),
    ],
)
def test_neighbors_json_equals_the_api(out, dsi, arguments, make):
    ended = dsi("neighbors", out, *arguments, "-k", 3, "--json")
    assert (ended.code, ended.err) == (0, "")
    expected = asdict(make(Results(out)))
    assert json.loads(ended.out) == {**expected.pop("query"), **expected}


def test_neighbors_tables_equal_the_api(out, dsi):
    ended = dsi("neighbors", out, "--class", "cat", "-n", 7)
    rows = nearest(Results(out), "cat").rows
    lines = ended.out.splitlines()
    assert lines[0] == "run, NCSM, epoch 7: the 7 classes nearest to cat, of 7"
    assert (
        lines[1]
        == "WordNet ranks from 1, the most similar, to 7; ties share their mean rank"
    )
    assert lines[2].startswith("! near") is any(row.surprise for row in rows)
    for line, row in zip(lines[-7:], rows, strict=True):
        assert line.startswith(f"{row.place}  {row.name[:28]}")
        assert f"{row.similarity:.3f}" in line
        rank = "-" if row.wordnet_rank is None else f"{int(row.wordnet_rank + 0.5)}"
        assert line.rstrip("! ").split()[-1] == rank
        assert line.endswith("!") is row.surprise
    assert "[red]horse" in ended.out
    assert LONG[:28] + "..." in ended.out
    ended = dsi("neighbors", out, "-k", 2)
    assert ended.out.splitlines()[0] == "run, NCSM, epoch 7: the 2 closest of 28 pairs"
    assert (
        f"{closest_pairs(Results(out)).rows[0].similarity:.3f}"
        in ended.out.splitlines()[-2]
    )


def test_neighbors_over_epochs_table_equals_the_api(analysed, dsi):
    arguments = ("--run", "cifar100-cnn", "--class", "apple", "--over-epochs", "-k", 5)
    ended = dsi("neighbors", analysed.out, *arguments)
    history = neighbor_history(
        analysed.run, "apple", NeighborQuery(run="cifar100-cnn", most=5)
    )
    assert ended.out.splitlines()[0] == history.title
    row = next(row for row in history.rows if row.places[-1] == 1)
    (line,) = (
        line for line in ended.out.splitlines() if line.startswith(f"{row.name} ")
    )
    first, bars, last, rank = line.removeprefix(row.name).rstrip("! ").split()
    assert (first, last, rank, len(bars), bars[-1]) == (
        str(row.places[0]),
        "1",
        f"{int(row.wordnet_rank + 0.5)}",
        24,
        "▇",
    )
    assert (
        ended.err
        == "not shown: 1 class that was among them at other epochs only; --json has"
        " all\n"
    )
    assert max(map(len, ended.out.splitlines()[3:])) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "ct"), "no class 'ct': try cat"),
        (("--class", "cat", "--pairs"), "leave out --pairs, or --class"),
        (("--over-epochs",), "add --class NAME"),
        (("-k", 0), "invalid value for '--most'"),
    ],
)
def test_neighbors_wrong_usage_is_one_line(out, dsi, arguments, words):
    ended = dsi("neighbors", out, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("error: ") == 1
