"""Cells of CSV files that a spreadsheet would run as formulas."""

from __future__ import annotations

import re

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def cell_text(text: str) -> str:
    """Return a text with an apostrophe in front if a spreadsheet would run it; numbers
    stay numbers.

    >>> cell_text("=cmd|' /C calc'!A0"), cell_text("-0.5"), cell_text("cat")
    ("'=cmd|' /C calc'!A0", '-0.5', 'cat')
    """
    if not text.startswith(_FORMULA_STARTS) or _PLAIN_NUMBER.fullmatch(text):
        return text
    return f"'{text}"
