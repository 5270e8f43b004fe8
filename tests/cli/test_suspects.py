"""``dsi suspects``: the rows of the API by question, as JSON and as an exit code."""

import json

import pytest
from helpers.outputs import suspect, write_checkpoints, write_suspects

from dsi_cli import open_results
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.errors import SUSPECT
from dsi_cli.queries.records import records
from dsi_cli.queries.suspect_texts import NO_SUSPECTS, REASON_TO_LOOK
from dsi_cli.store.schema import SUSPECTS
from dsi_cli.suspect_kinds import KINDS_BY_NAME, ORDINARY, WORTH_A_LOOK

ROWS = (
    *(suspect("duplicate", 0, other, rank=other) for other in (1, 2, 3, 4)),
    suspect("duplicate", 2, 3, rank=5, grade=ORDINARY, since_epoch=None),
    suspect("dead-class", 0, grade=WORTH_A_LOOK),
    suspect("shortcut", 1, 2, 3, grade=ORDINARY),
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A results folder whose list of suspects is written by hand."""
    out = tmp_path_factory.mktemp("suspects") / "out"
    analyze([write_checkpoints(out.parent / "run", 4)], out, Options(draws=0))
    write_suspects(out, ROWS)
    return out


def listed(printed):
    """Return the ranks of the suspects below each question."""
    found = {}
    for line in printed.splitlines():
        words = line.split()
        if line.endswith(tuple(KINDS_BY_NAME)) and not line.startswith(" "):
            ranks = found[words[-1]] = []
        elif words and words[0].isdigit() and line.startswith("   "):
            ranks.append(int(words[0]))
    return found


def test_suspects_json_equals_the_api_with_ordinary_ones(out, dsi):
    ended = dsi("suspects", out, "--json")
    assert (ended.code, ended.err) == (0, "")
    shown = json.loads(ended.out)
    assert shown == records(open_results(out).suspects())
    assert list(shown[0]) == [column.name for column in SUSPECTS.columns]
    assert len(shown) == len(ROWS)
    assert shown[0]["members"] == [0, 1]
    assert shown[0]["epoch_ranks"] == [4, 1, 1]


def test_suspects_prints_a_question_the_grade_the_evidence_and_the_next_step(out, dsi):
    lines = dsi("suspects", out, "-n", "1").out.splitlines()
    assert " ".join(lines[: lines.index("")]) == REASON_TO_LOOK
    kind = KINDS_BY_NAME["duplicate"]
    start = lines.index(f"{kind.question}   duplicate")
    assert lines[start + 1 : start + 5] == [
        "   1  cat, dog   strong, since epoch 2",
        "      They are \\x1b[31m alike.",
        "      Next: Merge them.",
        "  3 more: -n 4",
    ]


def test_suspects_of_a_kind_without_a_notable_one_says_so_and_names_the_first(out, dsi):
    printed = " ".join(dsi("suspects", out, "--kind", "shortcut").out.split())
    line = KINDS_BY_NAME["shortcut"].ordinary
    first = "(first of this kind: dog, horse, frog)."
    assert printed.endswith(f"{line[0].upper()}{line[1:]} {first}")


def test_suspects_quiet_leaves_the_next_steps_out(out, dsi):
    full, quiet = dsi("suspects", out).out, dsi("suspects", out, "-q").out
    assert "Next:" not in quiet
    kept = [line for line in full.splitlines() if "Next:" not in line]
    assert quiet.splitlines() == kept


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"duplicate": [1, 2, 3], "shortcut": [], "dead-class": [1]}),
        (("-n", 9), {"duplicate": [1, 2, 3, 4], "shortcut": [], "dead-class": [1]}),
        (
            ("-n", 9, "--all"),
            {"duplicate": [1, 2, 3, 4, 5], "shortcut": [1], "dead-class": [1]},
        ),
        (("--kind", "dead-class"), {"dead-class": [1]}),
        (("--kind", "wrong-label"), {}),
    ],
)
def test_suspects_lists_the_first_of_each_kind(out, dsi, options, expected):
    assert listed(dsi("suspects", out, *options).out) == expected


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ((), 0),
        (("wrong-label",), 0),
        (("shortcut",), 0),  # its only suspect is ordinary
        (("shortcut", "dead-class"), SUSPECT),
        (("strong",), SUSPECT),
    ],
)
def test_suspects_fail_on_a_kind_or_grade_gives_exit_code_6(out, dsi, values, code):
    options = [word for value in values for word in ("--fail-on", value)]
    assert dsi("suspects", out, *options).code == code
    # The kinds that are shown do not matter.
    assert dsi("suspects", out, "--kind", "shortcut", *options).code == code


@pytest.mark.parametrize(
    ("grade", "fails_on"),
    [
        (ORDINARY, ()),
        (WORTH_A_LOOK, (WORTH_A_LOOK,)),
        ("strong", (WORTH_A_LOOK, "strong")),
    ],
)
def test_suspects_fail_on_a_grade_counts_higher_grades(
    out, dsi, tmp_path, grade, fails_on
):
    folder = tmp_path / "out"
    analyze([out.parent / "run"], folder, Options(draws=0))
    write_suspects(folder, [suspect("duplicate", 0, 1, grade=grade)])
    for value in (WORTH_A_LOOK, "strong"):
        code = dsi("suspects", folder, "--fail-on", value).code
        assert code == (SUSPECT if value in fails_on else 0)


def test_suspects_of_results_without_any_says_so(out, dsi, tmp_path):
    empty = tmp_path / "empty"
    analyze([out.parent / "run"], empty, Options(draws=0))
    write_suspects(empty, [])
    ended = dsi("suspects", empty, "--fail-on", "duplicate")
    assert (ended.code, ended.out) == (0, f"{NO_SUSPECTS.capitalize()}.\n")
    assert json.loads(dsi("suspects", empty, "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kind", "dead"), "no kind of suspect 'dead'"),
        (("--fail-on", "ordinary"), "no kind or grade of suspect 'ordinary'"),
        (("-n", "0"), "-n"),
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
