"""The closing table, in Markdown."""

from __future__ import annotations

from fuzz.campaign import Outcome
from fuzz.guard import Verdict

_ALIKE = 30
"""Characters of a detail by which findings are told apart."""
STATUSES = ("ok", "failed", "pending", "other", "finding")


def table(outcome: Outcome) -> str:
    """Return inputs per format and status, the slowest and the largest input, and every
    finding.
    """
    formats = sorted({kind for kind, _ in outcome.counts})
    lines = [
        f"| format | inputs | {' | '.join(STATUSES)} |",
        f"|---|{'---|' * (1 + len(STATUSES))}",
    ]
    lines += [_line(outcome, kind, (kind,)) for kind in formats]
    lines.append(_line(outcome, "all", tuple(formats)))
    rate = outcome.inputs / outcome.seconds if outcome.seconds else 0.0
    lines.append(
        f"\n{outcome.inputs:,} inputs in {outcome.seconds:,.0f} s ({rate:,.0f} a"
        " second)."
    )
    if outcome.slowest is not None and outcome.largest is not None:
        lines.append(
            f"Slowest: {outcome.slowest.seconds:.2f} s ({_named(outcome.slowest)})."
        )
        lines.append(
            f"Highest memory: {outcome.largest.peak / 1e6:.0f} MB"
            f" ({_named(outcome.largest)})."
        )
    lines.append(f"Findings: {len(outcome.findings)}.")
    return "\n".join([*lines, *_grouped(outcome.findings)])


def _grouped(findings: list[Verdict]) -> list[str]:
    """Return a line for each kind of finding that looks like another: the first, and
    how often it came.
    """
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for one in findings:
        if one.problem is not None:
            what, _, where = one.problem.detail.partition("[")
            groups.setdefault(
                (one.format, one.problem.kind, what[:_ALIKE], where), []
            ).append(one)
    return [
        f"- {_named(first)}: {first.problem.kind}: {first.problem.detail}"
        + (f" ({1 + len(more)} times)" if more else "")
        for first, *more in groups.values()
        if first.problem is not None
    ]


def _named(verdict: Verdict) -> str:
    return f"input {verdict.number}, {verdict.format}"


def _line(outcome: Outcome, name: str, formats: tuple[str, ...]) -> str:
    counted = dict.fromkeys(STATUSES, 0)
    for (kind, status), count in outcome.counts.items():
        if kind in formats:
            counted[status if status in counted else "other"] += count
    numbers = [sum(counted.values()), *counted.values()]
    return f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |"
