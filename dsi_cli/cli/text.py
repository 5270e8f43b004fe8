"""Text that a terminal can print."""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Sequence

from dsi_cli.remote import urls

_PLAIN_SIGNS = str.maketrans(
    {
        "✓": "+",
        "⚠": "!",
        "✗": "x",
        "–": "-",
        "→": ">",
        "…": "...",
        "·": ".",
        **dict(zip("▁▂▃▄▅▆▇", "_,-=+*#", strict=True)),
    }
)
"""Replacements of signs that the encoding of stdout may lack."""


def terminal_text(text: str) -> str:
    r"""Return text that a terminal can print on one line: control and direction
    characters are escaped.

    >>> terminal_text("epoch_4\nnew\x1b[31m")
    'epoch_4\\nnew\\x1b[31m'
    """
    safe = "".join(
        (
            c
            if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
            else c.encode("unicode_escape").decode()
        )
        for c in urls.show_urls(text)
    )
    encoding = sys.stdout.encoding or "utf-8"
    try:
        return safe.encode(encoding).decode(encoding)
    except UnicodeEncodeError:
        return (
            safe.translate(_PLAIN_SIGNS)
            .encode(encoding, "backslashreplace")
            .decode(encoding)
        )


def terminal_lines(text: str) -> str:
    """Return text of several lines, each as `terminal_text` returns it."""
    return "\n".join(map(terminal_text, text.split("\n")))


def shorten(name: str, most: int) -> str:
    """Return a name, cut to a number of characters."""
    return name if len(name) <= most else f"{name[:most]}..."


def cell(value: float | None, form: str = ".3f", unit: str = "") -> str:
    """Return the text of a number in a table; ``-`` for None and NaN.

    Mid-ranks without decimals are rounded up, as in the report.

    >>> cell(18.5, ",.0f"), cell(0.25, ".1f"), cell(0.809, ".1%")
    ('19', '0.2', '80.9 %')
    """
    if value is None or value != value:
        return "-"
    text = f"{math.floor(value + 0.5) if form.endswith('.0f') else value:{form}}"
    return text.replace("%", " %") + unit


def interval(low: float | None, high: float | None, form: str = ".3f") -> str:
    """Return the text of an interval in a table; ``-`` if it is unknown.

    >>> interval(0.1, 0.25, ".2f"), interval(None, None)
    ('0.10 to 0.25', '-')
    """
    if low is None or high is None or low != low:
        return "-"
    return f"{low:{form}} to {high:{form}}"


def sparkline(values: Sequence[float | None], high: float, width: int) -> str:
    """Return bars of the heights of values, or of evenly spaced ones if there are more
    than ``width``.

    A value that is not above 0 is a dot, and None is a space. The highest bar is
    ``high`` or more.

    >>> sparkline([None, -0.1, 0.1, 0.5, 0.9, 1.0], 1, 40)
    ' ·▁▄▇▇'
    """
    bars = "▁▂▃▄▅▆▇"  # the full block would join the lines of a table
    if len(values) > width:
        values = [
            values[round(step * (len(values) - 1) / (width - 1))]
            for step in range(width)
        ]
    signs = []
    for value in values:
        if value is None:
            signs.append(" ")
        elif value <= 0:
            signs.append("·")
        else:
            height = int(value / high * len(bars))
            signs.append(bars[min(height, len(bars) - 1)])
    return "".join(signs)
