"""The sentences of the findings on the terminal."""

import re

import pytest
from helpers.outputs import suspect, write_checkpoints, write_suspects

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.cli.findings_screen import phases_text, print_suspects
from dsi_cli.queries.findings import RunFindings
from dsi_cli.queries.suspect_texts import NO_SUSPECTS, NOT_SOUGHT

SURGE = {
    "phase": "surge",
    "last_epoch": 2.7,
    "low": 1.5,
    "high": 4.4,
    "is_censored": False,
    "reason": None,
}
EARLY = SURGE | {"last_epoch": 1.0, "low": 0.0, "high": 1.0, "is_censored": True}
REFINEMENT = SURGE | {"phase": "refinement", "last_epoch": 7.0, "low": 6.0, "high": 8.0}
STABLE = SURGE | {"phase": "stabilisation", "last_epoch": 9.0, "low": 9.0, "high": 9.0}
NO_DECLINE = {"reason": "no decline beyond noise"}


@pytest.mark.parametrize(
    ("phases", "text"),
    [
        (
            (SURGE, REFINEMENT, STABLE),
            "surge to 3 (2–4), refinement to 7 (6–8), then stable",
        ),
        (
            (SURGE, STABLE | NO_DECLINE),
            "surge to 3 (2–4), then stable (no decline beyond noise)",
        ),
        ((EARLY, REFINEMENT), "surge by epoch 1 (0–1), refinement to 7 (6–8)"),
        ((), "none: the curve still rises"),
    ],
)
def test_phases_text_has_the_ends_and_the_reason(phases, text):
    reason = "the curve still rises"
    run = RunFindings("a", (), 100, "WordNet", {}, phases=phases, no_phases=reason)
    assert phases_text(run) == text


def test_print_suspects_prints_the_three_strongest(tmp_path, capsys):
    out = tmp_path / "out"
    analyze([write_checkpoints(tmp_path / "run")], out, Options(draws=0))
    rows = [suspect(kind, 0, 1) for kind in ("duplicate", "shortcut", "wrong-label")]
    rows.append(suspect("dead-class", 0, grade="worth a look"))
    ordinary = suspect("wrong-sense", 2, grade="ordinary")
    write_suspects(out, [*rows, ordinary])
    print_suspects(str(out))
    empty, title, *lines = capsys.readouterr().out.splitlines()
    assert empty == ""
    assert title.split("   ") == [
        "Look at these classes",
        f"3 strong, 1 worth a look: dsi suspects {out}",
    ]
    shown = [re.split("  +", line.strip()) for line in lines if line.strip()]
    assert shown == [
        [row["kind"], "cat, dog", "strong", "since epoch 2"] for row in rows[:3]
    ]


def test_print_suspects_without_a_notable_one_says_so_and_what_is_not_sought(
    tmp_path, capsys
):
    out = tmp_path / "out"
    analyze([write_checkpoints(tmp_path / "run")], out, Options(draws=0))
    print_suspects(str(out))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith(NO_SUSPECTS.capitalize())
    assert f"run: {NOT_SOUGHT['few-names']}." in printed
