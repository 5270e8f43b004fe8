"""``dsi neighbors``: the same as the API says, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.neighbor_history import neighbor_history
from dsi_cli.queries.neighbors import NeighborQuery, closest_pairs, nearest
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)

LONG = "a very long label, [bold]with markup[/bold], that no table has room for"
LABELS = ("cat", "dog", "[red]horse", "frog", LONG, "lion", "whale", "bee")


@pytest.fixture
def out(make_run, tmp_path):
    out = tmp_path / "out"
    analyze([make_run(epochs=8, labels=LABELS)], out, Options(draws=0))
    return out


@pytest.mark.parametrize(
    ("arguments", "make"),
    [
        (("--class", "cat", "--epoch", 2), lambda run: nearest(run, "cat", NeighborQuery(epoch=2, most=3))),
        (("--pairs", "--epoch", 2), lambda run: closest_pairs(run, NeighborQuery(epoch=2, most=3))),
        ((), lambda run: closest_pairs(run, NeighborQuery(most=3))),
        (("--class", "cat", "--over-epochs"), lambda run: neighbor_history(run, "cat", NeighborQuery(most=3))),
    ],
)
def test_json_is_what_the_api_says(out, dsi, arguments, make):
    ended = dsi("neighbors", out, *arguments, "-k", 3, "--json")
    assert (ended.code, ended.err) == (0, "")
    expected = asdict(make(Results(out)))
    assert json.loads(ended.out) == {**expected.pop("query"), **expected}


def test_the_table_of_a_class(out, dsi):
    ended = dsi("neighbors", out, "--class", "cat", "-k", 7)
    title, legend, *head = ended.out.splitlines()[:-7]
    assert title == "run, NCSM, epoch 7: 7 of 7 classes nearest to cat"
    assert legend == "WordNet ranks from 1, the most similar, to 7"
    assert " ".join(" ".join(head).split()) == "WordNet WordNet class similarity similarity rank"
    rows = nearest(Results(out), "cat").rows
    for line, row in zip(ended.out.splitlines()[-7:], rows, strict=True):
        assert line.startswith(f"{row.place}  {row.name[:28]}")
        assert f"{row.similarity:.3f}" in line
        assert ("-" if row.wordnet_rank is None else f"{row.wordnet_rank:g}") == line.split()[-1]
    assert "[red]horse" in ended.out
    assert LONG[:28] + "..." in ended.out


def test_the_table_of_pairs(out, dsi):
    ended = dsi("neighbors", out, "-k", 2)
    assert ended.out.splitlines()[0] == "run, NCSM, epoch 7: 2 of 28 closest pairs"
    row = closest_pairs(Results(out)).rows[0]
    assert f"{row.similarity:.3f}" in ended.out.splitlines()[-2]


def test_the_table_over_epochs(out, dsi):
    ended = dsi("neighbors", out, "--class", "cat", "--over-epochs", "-k", 2)
    history = neighbor_history(Results(out), "cat", NeighborQuery(most=2))
    assert ended.out.splitlines()[0] == history.title
    row = next(row for row in history.rows if row.places[-1] == 1)
    (line,) = (line for line in ended.out.splitlines() if line.startswith(f"{row.name} "))
    cells = line.removeprefix(row.name).split()
    shown = [row.places[at] for at in history.shown]
    assert cells[: len(shown)] == [str(place) if place <= 2 else f"({place})" for place in shown]
    assert cells[-1].endswith("-"), "it is among them still"


def test_of_few_classes_none_comes_or_goes(out, dsi):
    ended = dsi("neighbors", out, "--class", "cat", "--over-epochs")
    title, legend, *table = ended.out.splitlines()
    assert title == "run, NCSM, epochs 0 to 7: the 7 classes nearest to cat"
    assert legend == "place at an epoch"
    assert "among" not in ended.out
    assert len(table) == 2 + 7
    assert ended.err == ""
    assert ": 2 classes were the nearest to cat\n" in dsi("neighbors", out, "--class", "cat", "--over-epochs", "-k", 1).out


def test_neighbours_at_other_epochs_only_are_counted(analysed, dsi):
    ended = dsi("neighbors", analysed.out, "--run", "cifar100-cnn", "--class", "apple", "--over-epochs", "-k", 5)
    assert ended.err == "not shown: 1 class that was among them at other epochs only; --json has all\n"
    assert max(map(len, ended.out.splitlines()[1:])) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "ct"), "no class 'ct': did you mean cat"),
        (("--class", "cat", "--epoch", 70), "no NCSM of epoch 70 in run 'run': there are 0, 1, 2, 3, 4, 5, 6, 7"),
        (("--class", "cat", "--kind", "x"), "no kind 'x' of matrix"),
        (("--class", "cat", "--pairs"), "leave out --pairs, or --class"),
        (("--over-epochs",), "add --class NAME"),
        (("-k", 0), "invalid value for '--most'"),
        (("--run", "walk"), "no run 'walk'"),
    ],
)
def test_failures_are_one_line(out, dsi, arguments, words):
    ended = dsi("neighbors", out, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


def test_no_output_folder(tmp_path, dsi):
    ended = dsi("neighbors", tmp_path / "none")
    assert ended.code == 2
    assert "run `dsi analyze CHECKPOINTS -o" in ended.err


def test_neither_figures_nor_torch_are_imported(out, dsi_process):
    ended = dsi_process("neighbors", out, env={"PYTHONVERBOSE": "1", "PATH": ""})
    assert ended.code == 0
    for module in ("matplotlib", "torch"):
        assert f"import '{module}'" not in ended.err
