"""The block of suspects of the report, and the line of a rank."""

import re

import pytest
from helpers.outputs import suspect, write_checkpoints, write_suspects

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.suspect_texts import REASON_TO_LOOK
from dsi_cli.report.suspects import LINE_HEIGHT, LINE_WIDTH, rank_line, suspects_block
from dsi_cli.store.schema import SUSPECTS
from dsi_cli.suspect_kinds import KINDS_BY_NAME

TESTED = {"rank": 1, "epoch_ranks": [9, 1], "tested_epochs": [1, 2]}


@pytest.fixture
def out(tmp_path):
    run = write_checkpoints(tmp_path / "run", epochs=2)
    analyze([run], tmp_path / "out", Options(draws=0))
    return tmp_path / "out"


def test_block_has_notable_suspects_in_the_order_of_the_table(out):
    rows = [
        suspect("shortcut", 1, 3, 5, **TESTED, grade="strong"),
        suspect("duplicate", 1, 2, **TESTED, grade="worth a look"),
        suspect("dead-class", 4, **TESTED, grade="ordinary"),
    ]
    write_suspects(out, rows)
    block = suspects_block(out, ["run"])
    assert [entry["members"] for entry in block["entries"]] == [[1, 3, 5], [1, 2]]
    assert (block["reason"], block["has_lines"]) == (REASON_TO_LOOK, True)
    assert block["link"] == "1 strong, 1 worth a look, the first: dog, frog, lion"
    (line,) = block["ordinary"]
    assert line.startswith(KINDS_BY_NAME["dead-class"].question)


def test_block_of_ordinary_suspects_has_no_link(out):
    write_suspects(out, [suspect("dead-class", 4, **TESTED, grade="ordinary")])
    block = suspects_block(out, ["run"])
    assert block["entries"] == []
    assert "link" not in block
    assert len(block["ordinary"]) == 1


def test_block_of_results_without_the_table_is_none(out):
    (out / SUSPECTS.path).unlink()
    assert suspects_block(out, ["run"]) is None


def points(line):
    return [
        tuple(map(float, point))
        for point in re.findall(r"[ML]([\d.]+) ([\d.]+)h0", line["path"])
    ]


def test_rank_line_has_rank_1_on_top_and_equal_steps_for_equal_ratios():
    line = rank_line([0, 1, 3], [100, 10, 1], 100)
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert y0 - y1 == pytest.approx(y1 - y2)
    assert LINE_HEIGHT > y0 > y1 > y2 > 0
    assert x2 - x1 == pytest.approx(2 * (x1 - x0), abs=0.2)
    assert LINE_WIDTH > x2 > x1 > x0 > 0
    assert line["ends"] == "rank 100 at epoch 0, rank 1 at epoch 3"


def test_rank_line_of_no_candidate_has_a_gap():
    line = rank_line([1, 2, 3, 4], [0, 2, 0, 2], 10)
    assert line["path"].count("M") == len(points(line)) == 2
    assert line["title"].startswith("no candidate at epoch 1, rank 2 at epoch 2")


@pytest.mark.parametrize("epochs", [[], [3]])
def test_rank_line_of_fewer_than_two_epochs_is_none(epochs):
    assert rank_line(epochs, [1] * len(epochs), 10) is None
