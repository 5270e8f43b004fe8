"""The sentences of the findings on the terminal."""

import pytest
from helpers.outputs import suspect, write_checkpoints, write_suspects

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.cli.findings_screen import phases_text, print_suspects
from dsi_cli.queries.findings import RunFindings

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
    kinds = ("duplicate", "shortcut", "wrong-sense", "dead-class")
    write_suspects(out, [suspect(kind, 0, 1) for kind in kinds])
    print_suspects(str(out))
    empty, title, *lines = capsys.readouterr().out.splitlines()
    assert empty == ""
    assert title.split("   ") == [
        "Look at these classes",
        f"4 suspects at a false discovery rate of 10 %: dsi suspects {out}",
    ]
    shown = [line.split() for line in lines if line.strip()]
    assert [line[0] for line in shown] == list(kinds[:3])
    assert all(line[-2] == "=" for line in shown), "the false discovery rate"

    write_suspects(out, [])
    print_suspects(str(out))
    expected = "\nNo suspects at a false discovery rate of 10 %.\n"
    assert capsys.readouterr().out == expected
