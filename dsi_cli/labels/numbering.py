"""Class numbers next to class names, in a column or within each name, and the order
that they define.

Numbers count only if they are a permutation of 0 to C - 1, or of 1 to C, for C classes.
So the digits of a real name (*7up*, *2 door car*) stay in the name. Mistakes are a
``ValueError`` that states what was found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_WHOLE = re.compile(r"(\d{1,9})(?:\.0+)?")
_LEADING = re.compile(
    r"""[\[(#"']?(?:(?:class|label|category|index|idx|id)[\s_#:]*)?(\d{1,9})[\])"']?"""
    r"""(\s*+(?:->|=>|[,:;|=)])\s*+|\s++-\s++|\.?\s++|[._-])(?=\S)(?=[\W_]*+[^\W_])(.*)""",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    r"""\A(.*[^\s,:;|=>-])["']?(\s*+(?:->|=>|[,:;|=])\s*+|\s++)["']?(\d{1,9})["']?"""
)
_JOINED = frozenset(("", ".", "_", "-"))
"""Separators after which a number stays in the name, because the name may be that of a
folder (``001.ak47``).
"""
# a character that always separates a number from a name
_CLEAR_SEPARATOR = re.compile(r"[,:;|=>\t]")
MIN_DISTINCT_SHARE = 0.9
"""The minimum share of names that differ without their numbers (*stage 1* and *stage 2*
are names), and of differing numbers.
"""
MAX_LINE_LENGTH = (
    1000  # the maximum number of characters of a line that is searched for numbers
)
MAX_NAMES_IN_MESSAGE = 3


@dataclass(frozen=True)
class Numbering:
    """Names without their numbers."""

    # the number next to each name, in the order given: a permutation of 0 to C - 1 or
    # of 1 to C
    numbers: tuple[int, ...]
    names: tuple[str, ...]
    """The names in the same order, without the numbers unless these are joined to the
    names (``001.ak47``).
    """

    @property
    def order(self) -> list[int]:
        """The position of each class's name."""
        return sorted(range(len(self.numbers)), key=self.numbers.__getitem__)


def parse_numbers(cells: Sequence[str]) -> list[int] | None:
    """Return cells as integers, or None if a cell is not an integer; pandas writes some
    integers as ``3.0``.

    >>> parse_numbers(["0", "1.0"]), parse_numbers(["0", "7up"])
    ([0, 1], None)
    """
    matches = [
        match for cell in cells if cell.isascii() and (match := _WHOLE.fullmatch(cell))
    ]
    return [int(match[1]) for match in matches] if len(matches) == len(cells) else None


def first_number(numbers: Sequence[int] | None) -> int | None:
    """Return the first number, 0 or 1, of a permutation of 0 to C - 1 or 1 to C; None
    if the numbers are neither, or None.

    >>> first_number([2, 0, 1]), first_number([3, 1, 2]), first_number([0, 2]), first_number([1, 1])
    (0, 1, None, None)
    """
    if numbers is None:
        return None
    first = min(numbers, default=0)
    return (
        first
        if first in (0, 1)
        and sorted(numbers) == list(range(first, first + len(numbers)))
        else None
    )


def numbering_note(first: int, classes: int) -> str:
    """Return a note for the source of a list whose numbers begin with 1, else an empty
    text.

    >>> numbering_note(0, 10), numbering_note(1, 10)
    ('', ' (numbered from 1: its 1 is class 0, its 10 is class 9)')
    """
    return (
        f" (numbered from 1: its 1 is class 0, its {classes} is class {classes - 1})"
        if first
        else ""
    )


def split_numbers(names: Sequence[str]) -> Numbering | None:
    """Return the numbering before or after all names; None if the names are not
    numbered.

    Raise `ValueError` if numbers before and after the names, or joined numbers and the
    order of the names, contradict each other. Also raise it if the numbers are not a
    permutation, and are before clear separators or nearly one.

    >>> split_numbers(["0: apple", "1: bear"]).names, split_numbers(["7up", "2 door car"])
    (('apple', 'bear'), None)
    """
    leading, trailing = _split(names, _LEADING, 1, 3), _split(names, _TRAILING, 3, 1)
    if leading is not None and trailing is not None and leading.order != trailing.order:
        message = (
            "found two numbers in each line that give different orders:"
            f" {first_names(leading)}, or "
        )
        message += f"{first_names(trailing)}; keep one of the two"
        raise ValueError(message)
    return leading or trailing


def first_names(numbering: Numbering) -> str:
    """Return the names of the first classes for a message."""
    first = ", ".join(
        ascii(numbering.names[index][:40])
        for index in numbering.order[:MAX_NAMES_IN_MESSAGE]
    )
    return first + (", ..." if len(numbering.names) > MAX_NAMES_IN_MESSAGE else "")


def _split(
    names: Sequence[str], pattern: re.Pattern[str], number_group: int, name_group: int
) -> Numbering | None:
    """Return the numbering of all names by a pattern, whose second group is the
    separator.
    """
    if len(names) < 2 or max(map(len, names)) > MAX_LINE_LENGTH:
        return None
    matches = [match for name in names if (match := pattern.fullmatch(name.strip()))]
    if len(matches) < len(names):
        return None
    numbers = tuple(int(match[number_group]) for match in matches)
    bare = remove_quotes([match[name_group].strip() for match in matches])
    separators = [match[2] for match in matches]
    is_clear, is_joined = (
        all(map(_CLEAR_SEPARATOR.search, separators)),
        not _JOINED.isdisjoint(separators),
    )
    if not is_clear and not _nearly_distinct(bare):
        return None
    if first_number(numbers) is None:
        # Numbers without an order are usually a part of the names (*7 up*). But numbers
        # before clear separators, or nearly distinct ones of at most C, are class
        # numbers with a gap or a repetition.
        is_apart = is_clear and pattern is _LEADING
        if is_apart or (
            not is_joined and _nearly_distinct(numbers) and max(numbers) <= len(numbers)
        ):
            raise ValueError(reason_no_order(numbers))
        return None
    if not is_joined:
        return Numbering(numbers, bare)
    # Numbers that are joined to the names must be in ascending order.
    joined = Numbering(numbers, tuple(name.strip() for name in names))
    if joined.order != list(range(len(names))):
        as_given = Numbering(tuple(range(len(names))), joined.names)
        message = (
            "found names with numbers whose order is not that of the lines:"
            f" {first_names(as_given)} by the lines, "
        )
        message += (
            f"{first_names(joined)} by the numbers; write the names in the classifier's"
            " order, without the numbers"
        )
        raise ValueError(message)
    return joined


def _nearly_distinct(values: Sequence[object]) -> bool:
    return len(set(values)) >= MIN_DISTINCT_SHARE * len(values)


def remove_quotes(names: Sequence[str]) -> tuple[str, ...]:
    """Return names without quotation marks, if all names are quoted, and without
    commas, if all but the last end with one.

    >>> remove_quotes(['"apple",', '"bear"']), remove_quotes(["rock 'n' roll", "'til dawn"])
    (('apple', 'bear'), ("rock 'n' roll", "'til dawn"))
    """
    bare = [name.removesuffix(",").rstrip() for name in names]
    if all(
        len(name) > 1
        and name[0] in "\"'"
        and name.count(name[0]) == 2
        and name[-1] == name[0]
        for name in bare
    ):
        return tuple(name[1:-1].strip() for name in bare)
    return tuple(
        bare
        if len(names) > 1 and all(name.endswith(",") for name in names[:-1])
        else names
    )


def reason_no_order(numbers: Sequence[int]) -> str:
    """Return the reason why numbers are not a permutation of 0 to C - 1 or of 1 to
    C.
    """
    number, times = Counter(numbers).most_common(1)[0]
    if times > 1:
        return f"found the class number {number} twice"
    return (
        f"found class numbers from {min(numbers)} to {max(numbers)} for {len(numbers)}"
        " names; they must be 0, 1, 2, ... or 1, 2, 3, ... without gaps"
    )
