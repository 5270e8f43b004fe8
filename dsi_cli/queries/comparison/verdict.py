"""The verdict of a comparison: the network that the paper's criteria prefer, and the reasons.

At equal accuracy the paper prefers the network whose similarities agree more with semantics, and whose mistakes are nearer to the
truth (arXiv 2505.21338): higher SAI with WordNet, higher WIDM and NIDM of mistakes. Only differences whose 95 % confidence interval
excludes 0 count **[ours]**:

1. A criterion favours a network if the confidence interval of its difference excludes 0. The SAI by several measures is one
   criterion. It favours a network if all measures with an interval do.
2. A network is preferred if at least one criterion favours it, and none favours the other network.
3. If criteria favour both networks, the verdict is mixed. If none favours a network, there is no difference.

The epoch at which the alignment came and the final accuracy do not affect the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsi_cli.queries.comparison.equal_accuracy import EQUAL, CriterionRow, EqualAccuracyComparison

PREFERRED, NO_DIFFERENCE, MIXED, UNDECIDED = "preferred", "no real difference", "mixed", "undecided"


@dataclass(frozen=True)
class Verdict:
    """The verdict on two runs or groups."""

    first: str
    second: str
    answer: str
    """preferred, no real difference, mixed, or undecided if the runs cannot be compared."""
    preferred: str | None
    """The name of the preferred run or group."""
    sentence: str
    reasons: list[str]
    """A sentence for each quantity: its difference with the confidence interval, or why it was not compared."""


def verdict(equal: EqualAccuracyComparison) -> Verdict:
    """Return the verdict on a comparison at equal accuracy."""
    first, second = equal.first, equal.second
    reasons = [difference_sentence(equal, row) for row in equal.rows]
    if not equal.rows:
        return Verdict(first, second, UNDECIDED, None, f"{first} and {second} cannot be compared: {equal.reason}", reasons)

    # Collect the titles of the criteria that favour each network.
    titles: dict[str, list[str]] = {}
    for rows in _criteria(equal.rows):
        favoured = _favoured(equal, rows)
        if favoured is not None:
            is_alignment = rows[0].quantity.startswith("sai_")
            titles.setdefault(favoured, []).append("alignment with WordNet" if is_alignment else rows[0].title)

    epochs = f"At an accuracy of {equal.level:.3f}" if equal.basis == EQUAL else "At the last epochs"
    claims = [f"{name} has higher {' and '.join(higher)}" for name, higher in titles.items()]
    answer, preferred = UNDECIDED, None
    if len(titles) == 2:
        answer, sentence = MIXED, f"{epochs}, the criteria disagree: {'; '.join(claims)}"
    elif titles and equal.basis == EQUAL:
        (preferred,) = titles
        answer = PREFERRED
        sentence = f"{epochs}, {preferred} is to be preferred to {second if preferred == first else first}: {claims[0]}"
    elif titles:
        (favoured,) = titles
        other = second if favoured == first else first
        sentence = f"{epochs}, {claims[0]} than {other}, but that may be its accuracy: no preference"
    elif any(row.is_real is not None for row in equal.rows if row.is_criterion):
        answer = NO_DIFFERENCE
        sentence = f"{epochs}, no criterion distinguishes {first} and {second}{_disagreement_of_measures(equal)}"
    else:
        sentence = f"{epochs}, no criterion of {first} and {second} has a confidence interval"
    return Verdict(first, second, answer, preferred, sentence, reasons)


def difference_sentence(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    """Return one sentence on one difference."""
    if row.difference is None:
        return f"{row.title}: not compared; {row.reason}"
    values = f"{row.title}: {row.first:.3f} against {row.second:.3f}"
    if row.is_real is None:
        return f"{values}, a difference of {row.difference:+.3f}; {row.reason}"
    interval = f"the 95 % confidence interval of the difference, {row.low:+.3f} to {row.high:+.3f},"
    if row.is_real:
        return f"{values}: higher for {_higher(equal, row)}; {interval} excludes 0"
    return f"{values}: {interval} includes 0"


def _criteria(rows: Sequence[CriterionRow]) -> list[list[CriterionRow]]:
    """Return the rows of each criterion: those of the SAI together, and each other row alone."""
    alignment = [row for row in rows if row.is_criterion and row.quantity.startswith("sai_")]
    others = [[row] for row in rows if row.is_criterion and not row.quantity.startswith("sai_")]
    return [alignment, *others] if alignment else others


def _favoured(equal: EqualAccuracyComparison, rows: Sequence[CriterionRow]) -> str | None:
    """Return the network that a criterion favours, or None if it favours none."""
    known = [row for row in rows if row.is_real is not None]
    if not all(row.is_real for row in known):
        return None
    names = {_higher(equal, row) for row in known}
    return names.pop() if len(names) == 1 else None


def _disagreement_of_measures(equal: EqualAccuracyComparison) -> str:
    """Return which measures of the SAI have an interval that excludes 0, if the measures disagree; an empty string if not."""
    rows = [row for row in equal.rows if row.quantity.startswith("sai_") and row.is_criterion]
    different = [row.quantity.removeprefix("sai_") for row in rows if row.is_real is True]
    equal_measures = [row.quantity.removeprefix("sai_") for row in rows if row.is_real is False]
    if not different:
        return ""
    other = f"not by {' and '.join(equal_measures)}" if equal_measures else "in opposite directions"
    return f" (the SAI differs by {' and '.join(different)}, {other})"


def _higher(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    assert row.difference is not None
    return equal.first if row.difference > 0 else equal.second
