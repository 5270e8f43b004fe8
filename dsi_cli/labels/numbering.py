"""Class numbers next to class names, in a column or within each name, and the order that they give.

Numbers count only if they are a permutation of 0 to C - 1, or of 1 to C, over all C classes. So the digits of a real name (*7up*,
*2 door car*) stay in the name. What is wrong is a ``ValueError`` whose message says what was found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WHOLE = re.compile(r"(\d{1,9})(?:\.0+)?")
_BEFORE = re.compile(
    r"""[\[(#"']?(?:(?:class|label|category|index|idx|id)[\s_#:]*)?(\d{1,9})[\])"']?"""
    r"""(\s*(?:->|=>|[,:;|=\t)])\s*|\s+-\s+|\.?\s+|[._-])(?=\S)(.*[^\W_].*)""",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"""(.*[^\s,:;|=>-])["']?(\s*(?:->|=>|[,:;|=\t])\s*|\s+)["']?(\d{1,9})["']?""")
_JOINED = ("", ".", "_", "-")
"""A number that is joined to a name by one of these stays in the name, which may be a folder's (``001.ak47``)."""
_SURE = ",:;|=>\t"
"""Characters that separate a number from a name, whatever the numbers are."""
DISTINCT = 0.9
"""The share of the names that must differ without their numbers; *stage 1* and *stage 2* are names, not numbered names."""
LONGEST = 1000
"""Characters of a line in which numbers are looked for."""
SHOWN = 3


@dataclass(frozen=True)
class Numbering:
    """Names without their numbers.

    Attributes
    ----------
    numbers : tuple of int
        The number next to each name, in the order given: a permutation of 0 to C - 1 or of 1 to C.
    names : tuple of str
        The names without the numbers, in the same order; with them where a number is joined to a name (``001.ak47``).
    """

    numbers: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def order(self) -> list[int]:
        """Return for each class the place of its name."""
        return sorted(range(len(self.numbers)), key=self.numbers.__getitem__)


def as_numbers(cells: Sequence[str]) -> list[int] | None:
    """Return cells as whole numbers, None if any is none; pandas writes some as ``3.0``.

    Examples
    --------
    >>> as_numbers(["0", "1.0"]), as_numbers(["0", "7up"])
    ([0, 1], None)
    """
    found = [_WHOLE.fullmatch(cell) if cell.isascii() else None for cell in cells]
    return [int(one[1]) for one in found if one is not None] if all(found) else None


def first_of(numbers: Sequence[int]) -> int | None:
    """Return the first number, 0 or 1, of a permutation of 0 to C - 1 or 1 to C; None if the numbers are neither.

    Examples
    --------
    >>> first_of([2, 0, 1]), first_of([3, 1, 2]), first_of([0, 2]), first_of([1, 1])
    (0, 1, None, None)
    """
    first = min(numbers, default=0)
    return first if first in (0, 1) and sorted(numbers) == list(range(first, first + len(numbers))) else None


def note(first: int, classes: int) -> str:
    """Return what a person should know about numbers that begin with 1, to stand behind the source of a list.

    Examples
    --------
    >>> note(0, 10), note(1, 10)
    ('', ' (numbered from 1: its 1 is class 0, its 10 is class 9)')
    """
    return f" (numbered from 1: its 1 is class 0, its {classes} is class {classes - 1})" if first else ""


def split(names: Sequence[str]) -> Numbering | None:
    """Return the numbering that stands before or behind all names; None if there is none.

    Raises
    ------
    ValueError
        Numbers before and behind the names, or joined numbers and the order of the names, say different things; or all names
        have a number, separated beyond doubt, and the numbers are no permutation.

    Examples
    --------
    >>> split(["0: apple", "1: bear"]).names, split(["7up", "2 door car"])
    (('apple', 'bear'), None)
    >>> split(["apple 1", "bear 0"]).order
    [1, 0]
    """
    before, behind = _read(names, _BEFORE, 1, 3), _read(names, _BEHIND, 3, 1)
    if before is not None and behind is not None and _aligned(before) != _aligned(behind):
        raise ValueError(
            f"found two numbers in each line that give different orders: {shown(before)}, or {shown(behind)}; "
            "keep one of the two"
        )
    return before or behind


def shown(numbering: Numbering) -> str:
    """Return the first classes that a numbering gives, for a message."""
    first = ", ".join(ascii(numbering.names[place][:40]) for place in numbering.order[:SHOWN])
    return first + (", ..." if len(numbering.names) > SHOWN else "")


def _aligned(numbering: Numbering) -> list[int]:
    first = min(numbering.numbers)
    return [number - first for number in numbering.numbers]


def _read(names: Sequence[str], pattern: re.Pattern[str], number: int, name: int) -> Numbering | None:
    """Return the numbering of all names by a pattern, whose groups are a number, what separates it, and a name."""
    is_short = all(len(text) <= LONGEST for text in names)
    found = [one for text in names if (one := pattern.fullmatch(text.strip()))] if is_short else []
    if len(names) < 2 or len(found) < len(names):
        return None
    numbers, rest = tuple(int(one[number]) for one in found), unquoted([one[name].strip() for one in found])
    is_sure = all(any(mark in one[2] for mark in _SURE) for one in found)
    if first_of(numbers) is None:
        if is_sure and pattern is _BEFORE:
            raise ValueError(reason_no_order(numbers))
        return None
    if not is_sure and len(set(rest)) < DISTINCT * len(rest):
        return None
    if any(one[2] in _JOINED for one in found):
        return _joined(Numbering(numbers, tuple(text.strip() for text in names)))
    return Numbering(numbers, rest)


def _joined(numbering: Numbering) -> Numbering:
    """Return a numbering whose numbers may belong to the names, as of folders; their order must be that of the names."""
    if numbering.order == list(range(len(numbering.names))):
        return numbering
    as_given = Numbering(tuple(range(len(numbering.names))), numbering.names)
    raise ValueError(
        f"found names with numbers whose order is not that of the lines: {shown(as_given)} by the lines, {shown(numbering)} by the "
        "numbers; write the names in the classifier's order, without the numbers"
    )


def unquoted(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without the quotation marks around all of them, and the comma behind these.

    Examples
    --------
    >>> unquoted(['"apple",', '"bear"']), unquoted(["rock 'n' roll", "'til dawn"])
    (('apple', 'bear'), ("rock 'n' roll", "'til dawn"))
    """
    bare = [name.removesuffix(",").rstrip() for name in names]
    if all(len(name) > 1 and name[0] in "\"'" and name.count(name[0]) == 2 and name[-1] == name[0] for name in bare):
        return tuple(name[1:-1].strip() for name in bare)
    return tuple(names)


def reason_no_order(numbers: Sequence[int]) -> str:
    """Return why numbers that are no permutation of 0 to C - 1 or 1 to C give no order."""
    number, times = Counter(numbers).most_common(1)[0]
    if times > 1:
        return f"found the class number {number} twice"
    return (
        f"found class numbers from {min(numbers)} to {max(numbers)} for {len(numbers)} names; "
        "they must be 0, 1, 2, ... or 1, 2, 3, ... without gaps"
    )
