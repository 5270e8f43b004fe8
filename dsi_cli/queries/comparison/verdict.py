"""The verdict of a comparison: the criteria of the paper in which one network is higher than the other.

At equal accuracy the paper prefers the network whose similarities agree more with semantics, and whose mistakes are nearer to the
truth (arXiv 2505.21338): a higher agreement with WordNet, and a higher WIDM and NIDM of mistakes. A criterion counts only if the
confidence interval of its difference, corrected for several comparisons, excludes 0 **[ours]**.

A network is preferred only if it was trained several times, at least one criterion is higher, and none is lower. Of single
trainings the verdict says in which criteria they differ, and that another training may reverse it.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsi_cli.queries.comparison.criteria import seed_range
from dsi_cli.queries.comparison.equal_accuracy import EQUAL, CriterionRow, EqualAccuracyComparison

PREFERRED, HIGHER, NO_DIFFERENCE, MIXED, UNDECIDED = "preferred", "higher", "no difference shown", "mixed", "undecided"


@dataclass(frozen=True)
class Verdict:
    """The verdict on two runs or groups."""

    first: str
    second: str
    answer: str
    """preferred (repetitions only), higher, no difference shown, mixed, or undecided if the runs cannot be compared."""
    preferred: str | None
    """The name of the preferred group; None for single trainings."""
    sentence: str
    reasons: list[str]
    """A sentence for each quantity: its difference with the confidence interval, or why it was not compared."""


def verdict(equal: EqualAccuracyComparison) -> Verdict:
    """Return the verdict on a comparison at equal accuracy."""
    first, second = equal.first, equal.second
    reasons = [difference_sentence(equal, row) for row in equal.rows]
    if not equal.rows:
        return Verdict(first, second, UNDECIDED, None, f"{first} and {second} cannot be compared: {equal.reason}", reasons)

    # Collect the quantities in which each network is higher. The last accuracy has a section of its own.
    known = [row for row in equal.rows if row.is_main and row.quantity != "accuracy" and row.excludes_zero is not None]
    different = [row for row in known if row.excludes_zero]
    favoured = {_higher(equal, row) for row in different if row.is_criterion}
    preferred = None
    if not any(row.is_criterion for row in known):
        answer, end = UNDECIDED, f"no criterion of {first} and {second} has a confidence interval"
    elif not different:
        answer = NO_DIFFERENCE
        end = f"the 95 % confidence intervals of all differences between {first} and {second} include 0"
    else:
        answer = (NO_DIFFERENCE, HIGHER, MIXED)[len(favoured)]
        end = _claims(equal, different) + _reservation(equal, different)
    if answer == HIGHER and equal.basis == EQUAL and equal.is_repeated:
        (preferred,) = favoured
        answer = PREFERRED

    where = f"at an accuracy of {equal.level:.3f}" if equal.basis == EQUAL else "at the last epochs"
    trainings = "In these two runs"
    if max(len(equal.first_chosen), len(equal.second_chosen)) > 1:
        trainings = f"Over {len(equal.first_chosen)} and {len(equal.second_chosen)} trainings"
    return Verdict(first, second, answer, preferred, f"{trainings}, {where}, {end}", reasons)


def _claims(equal: EqualAccuracyComparison, different: list[CriterionRow]) -> str:
    """Return in which quantities each network is higher."""
    titles: dict[str, list[str]] = {}
    for row in different:
        titles.setdefault(_higher(equal, row), []).append(row.title.replace("Agreement", "agreement"))
    claims = []
    for name, higher in titles.items():
        listed = higher[0] if len(higher) == 1 else f"{', '.join(higher[:-1])} and {higher[-1]}"
        claims.append(f"{listed} {'is' if len(higher) == 1 else 'are'} higher in {name}")
    if not any(row.is_criterion for row in different):
        claims[-1] += ", but no criterion has a 95 % confidence interval that excludes 0"
    return ", and ".join(claims)


def _reservation(equal: EqualAccuracyComparison, different: list[CriterionRow]) -> str:
    """Return why the differences may be due to something else."""
    if equal.basis != EQUAL:
        return "; that may be due to their accuracy"
    if equal.is_repeated:
        return ""
    within = (row.seed_deviation and abs(row.difference or 0.0) <= seed_range(row.seed_deviation) for row in different)
    seeds = "; seeds alone differed as much in our experiments" if all(within) else ""
    return f"{seeds}; another training may reverse it"


def difference_sentence(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    """Return one sentence on one difference."""
    if row.difference is None:
        return f"{row.title}: not compared; {row.reason}"
    values = f"{row.title}: {row.first:.3f} against {row.second:.3f}"
    if row.low is None or row.high is None:
        return f"{values}, a difference of {row.difference:+.3f}; {row.reason}"
    interval = f"the 95 % confidence interval of the difference over {row.covers}, {row.low:+.3f} to {row.high:+.3f},"
    if row.excludes_zero:
        return f"{values}: higher in {_higher(equal, row)}; {interval} excludes 0"
    return f"{values}: {interval} includes 0"


def _higher(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    assert row.difference is not None
    return equal.first if row.difference > 0 else equal.second
