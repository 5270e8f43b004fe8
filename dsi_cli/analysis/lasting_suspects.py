"""The suspects that a training keeps showing: those that are strong twice in a row.

One strong entry may come and go with an epoch, and in the first epochs many classes are
not learned yet. `dsi watch` and the callbacks report a suspect once, as soon as it is
strong in two successive tables of enough epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dsi_cli.suspect_kinds import quoted

MIN_EPOCHS = 5  # the trained epochs of the first table that counts


class Finding(NamedTuple):
    """The kind of a suspect, and the names of its classes."""

    kind: str
    classes: tuple[str, ...]

    def __str__(self) -> str:
        return f"strong suspect ({self.kind}): {', '.join(quoted(self.classes))}"

    def is_same(self, other: Finding) -> bool:
        """Return whether two findings are about the same: they have a kind and two
        classes in common, or the only class of one of them.

        A group may gain and lose members while the network trains.
        """
        common = {*self.classes} & {*other.classes}
        needed = min(2, len(self.classes), len(other.classes))
        return self.kind == other.kind and len(common) >= needed


def lasting(
    before: Sequence[Finding], now: Sequence[Finding], reported: Sequence[Finding]
) -> list[Finding]:
    """Return the strong findings of a table that the table before it has too, without
    those that were reported.

    >>> twins = Finding("duplicate", ("cup", "mug"))
    >>> lasting([], [twins], []), lasting([twins], [twins], [twins])
    ([], [])
    >>> print(*lasting([twins], [twins], []))
    strong suspect (duplicate): cup, mug
    """
    found: list[Finding] = []
    for finding in now:
        known = [*reported, *found]
        if any(map(finding.is_same, before)) and not any(map(finding.is_same, known)):
            found.append(finding)
    return found
