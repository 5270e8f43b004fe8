"""``dsi suspects``: the rows of the API as a list, as JSON and as an exit code."""

import json

import pytest
from helpers.outputs import suspect, write_checkpoints, write_suspects

from dsi_cli import open_results
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.errors import SUSPECT
from dsi_cli.queries.records import records
from dsi_cli.store.schema import SUSPECTS


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder whose list of suspects is written by hand."""
    out = tmp_path_factory.mktemp("suspects") / "out"
    analyze([write_checkpoints(out.parent / "run", 4)], out, Options(draws=0))
    write_suspects(out, [suspect("duplicate", 0, 1), suspect("dead-class", 0)])
    return out


def test_suspects_json_equals_the_api(out, dsi):
    ended = dsi("suspects", out, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == records(open_results(out).suspects())
    assert json.loads(ended.out)[0]["members"] == [0, 1]


def test_suspects_prints_kind_rate_evidence_and_next_step(out, dsi):
    assert dsi("suspects", out).out.splitlines() == [
        "2 suspects at a false discovery rate of 10 %, the strongest first",
        "",
        "duplicate   q = 0.012",
        "  They are \\x1b[31m alike.",
        "  Next: Merge them.",
        "",
        "dead-class   q = 0.012",
        "  They are \\x1b[31m alike.",
        "  Next: Merge them.",
    ]


@pytest.mark.parametrize(
    ("kinds", "code"),
    [((), 0), (("shortcut",), 0), (("shortcut", "dead-class"), SUSPECT)],
)
def test_suspects_fail_on_a_kind_gives_exit_code_6(out, dsi, kinds, code):
    options = [word for kind in kinds for word in ("--fail-on", kind)]
    assert dsi("suspects", out, *options).code == code
    # the kinds that are shown do not matter
    assert dsi("suspects", out, "--kind", "duplicate", *options).code == code


def test_suspects_kind_shows_only_this_kind(out, dsi):
    shown = json.loads(dsi("suspects", out, "--kind", "dead-class", "--json").out)
    assert [row["kind"] for row in shown] == ["dead-class"]
    none = dsi("suspects", out, "--kind", "shortcut").out
    assert none == "No suspect of this kind. 2 suspects of other kinds not shown.\n"


def test_suspects_of_clean_results_says_so(out, dsi, tmp_path):
    clean = tmp_path / "clean"
    analyze([out.parent / "run"], clean, Options(draws=0))
    write_suspects(clean, [])
    ended = dsi("suspects", clean, "--fail-on", "duplicate")
    assert ended.code == 0
    assert ended.out == "No suspects at a false discovery rate of 10 %.\n"
    assert json.loads(dsi("suspects", clean, "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "dead"), "no kind of suspect 'dead'"),
        (("--fail-on", "all"), "no kind of suspect 'all'"),
        (("--run", "other"), "no run 'other'"),
    ],
)
def test_suspects_with_a_wrong_value_is_wrong_usage(out, dsi, arguments, words):
    ended = dsi("suspects", out, *arguments)
    assert ended.code == 2
    assert words in ended.err


def test_suspects_of_other_folders_is_wrong_usage(out, dsi, tmp_path):
    assert "is not a results folder" in dsi("suspects", tmp_path).err
    assert "there is no results folder" in dsi("suspects", tmp_path / "none").err
    older = tmp_path / "older"
    analyze([out.parent / "run"], older, Options(draws=0))
    (older / SUSPECTS.path).unlink(missing_ok=True)
    ended = dsi("suspects", older, "--json")
    assert ended.code == 2
    assert json.loads(ended.out)["code"] == "no-suspects"
    assert "run dsi analyze again" in ended.err
