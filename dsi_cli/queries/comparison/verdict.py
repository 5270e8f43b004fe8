"""Which network the paper's criteria prefer, and why.

At equal accuracy the paper prefers the network whose perception of similarity agrees more with semantics, and whose mistakes
fall nearer to the truth (arXiv 2505.21338): higher SAI with WordNet, higher WIDM and NIDM of mistakes. Only real differences
count **[ours]**:

1. A criterion speaks for a network where its difference is real. SAI by several measures is one criterion: it speaks where all of
   them that have an interval are real and of one sign.
2. A network is preferred where at least one criterion speaks for it, and none for the other.
3. Criteria that speak for both: a matter of what matters more to you. None: there is no real difference.

How early the alignment came, and how accurate each gets in the end, is told beside; it does not decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsi_cli.queries.comparison.equal_accuracy import EQUAL, CriterionRow, EqualAccuracyComparison

PREFERRED, NO_DIFFERENCE, MIXED, UNDECIDED = "preferred", "no real difference", "mixed", "undecided"


@dataclass(frozen=True)
class Verdict:
    """What the criteria say of two runs or groups."""

    first: str
    second: str
    answer: str
    """preferred, no real difference, mixed, or undecided where they cannot be compared."""
    preferred: str | None
    sentence: str
    reasons: list[str]
    """A sentence for each quantity: which differences are real, which are not, and what could not be compared."""


def verdict(equal: EqualAccuracyComparison) -> Verdict:
    """Return what the criteria say."""
    reasons = [reason(equal, row) for row in equal.rows]
    if not equal.rows:
        why = f"{equal.first} and {equal.second} cannot be compared: {equal.reason}"
        return Verdict(equal.first, equal.second, UNDECIDED, None, why, reasons)
    speaking = [voice for rows in _criteria(equal.rows) if (voice := _voice(equal, rows)) is not None]
    known = any(row.is_real is not None for row in equal.rows if row.is_criterion)
    answer, preferred, sentence = _answer(equal, speaking, known)
    return Verdict(equal.first, equal.second, answer, preferred, sentence, reasons)


def reason(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    """Return one sentence on one difference."""
    if row.difference is None:
        return f"{row.title}: not compared; {row.reason}"
    values = f"{row.title}: {row.first:.3f} against {row.second:.3f}"
    if row.is_real is None:
        return f"{values}, a difference of {row.difference:+.3f}; {row.reason}"
    interval = f"{row.difference:+.3f}, 95 % interval {row.low:+.3f} to {row.high:+.3f}"
    if not row.is_real:
        return f"{values}: no real difference ({interval})"
    return f"{values}: higher for {_higher(equal, row)}, a real difference ({interval})"


def _answer(equal: EqualAccuracyComparison, speaking: list[tuple[str, str]], known: bool) -> tuple[str, str | None, str]:
    """Return the answer, the network that is preferred, and a sentence; ``speaking`` are (what, for whom)."""
    place, both = _place(equal), f"{equal.first} and {equal.second}"
    by_winner: dict[str, list[str]] = {}
    for what, who in speaking:
        by_winner.setdefault(who, []).append(what)
    says = [f"{who} has higher {' and '.join(whats)}" for who, whats in by_winner.items()]
    if len(by_winner) == 1:
        (winner,) = by_winner
        loser = equal.second if winner == equal.first else equal.first
        if equal.basis != EQUAL:
            return UNDECIDED, None, f"{place}, {says[0]} than {loser}, but that may be its accuracy: no preference"
        return PREFERRED, winner, f"{place}, {winner} is to be preferred to {loser}: {says[0]}"
    if by_winner:
        return MIXED, None, f"{place}, the criteria disagree: {'; '.join(says)}"
    if not known:
        return UNDECIDED, None, f"{place}, none of the criteria could be compared with an interval for {both}"
    return NO_DIFFERENCE, None, f"{place}, no criterion tells {both} apart{_doubt(equal)}: choose by something else"


def _place(equal: EqualAccuracyComparison) -> str:
    if equal.basis == EQUAL:
        return f"At an accuracy of {equal.level:.3f}"
    return "At the last epochs"


def _criteria(rows: Sequence[CriterionRow]) -> list[list[CriterionRow]]:
    """Return the rows of each criterion: those of the SAI together, each other one alone."""
    alignment = [row for row in rows if row.is_criterion and row.quantity.startswith("sai_")]
    return [group for group in (alignment, *([row] for row in rows if row.is_criterion and row not in alignment)) if group]


def _voice(equal: EqualAccuracyComparison, rows: Sequence[CriterionRow]) -> tuple[str, str] | None:
    """Return what a criterion is called and which network it speaks for, None where it is silent."""
    known = [row for row in rows if row.is_real is not None]
    if not known or not all(row.is_real for row in known):
        return None
    for_whom = {_higher(equal, row) for row in known}
    what = "alignment with WordNet" if rows[0].quantity.startswith("sai_") else rows[0].title
    return (what, for_whom.pop()) if len(for_whom) == 1 else None


def _doubt(equal: EqualAccuracyComparison) -> str:
    """Return which measures of the SAI see a difference that others do not."""
    rows = [row for row in equal.rows if row.quantity.startswith("sai_") and row.is_criterion]
    real, not_real = (
        [row.quantity.removeprefix("sai_") for row in rows if row.is_real is found] for found in (True, False)
    )
    if not real:
        return ""
    return f" (the SAI differs by {' and '.join(real)}, " + (
        f"not by {' and '.join(not_real)})" if not_real else "not one way)"
    )


def _higher(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    assert row.difference is not None
    return equal.first if row.difference > 0 else equal.second
