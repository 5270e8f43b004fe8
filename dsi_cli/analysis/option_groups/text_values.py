"""The values of options that are typed as text: numbers, sizes, batch sizes, arguments,
epochs and times.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Any

from dsi_cli.errors import UsageError

_SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def _not_of_that_form(option: str, form: str, text: str, code: str) -> UsageError:
    return UsageError(
        f"{option} takes {form}; {text!r} is not of that form",
        code=code,
        option=option,
        value=text,
    )


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """Return the numbers of a list such as ``0.485,0.456,0.406``; raise `UsageError` if
    a part is not a number.
    """
    try:
        return tuple(float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise _not_of_that_form(
            option, "numbers, for example 0.485,0.456,0.406", text, "not-numbers"
        ) from None


def parse_size(option: str, text: str, least: int = 0) -> int:
    """Return a size in bytes; raise `UsageError` if the text is not a size, or the size
    is below ``least``, which is 0 or 1.

    >>> parse_size("--memory", "8GB"), parse_size("--memory", "1.5g", least=1)
    (8000000000, 1500000000)
    """
    match = re.fullmatch(
        r"(\d{1,18}(?:\.\d{1,18})?)\s*([kmgt]?)i?b?", text.strip().lower()
    )
    size = -1 if match is None else int(float(match[1]) * _SIZE_UNITS[match[2]])
    if size < least:
        if least:
            form = "a size above 0, for example 4GB or 500MB"
        else:
            form = "a size, for example 8GB or 0"
        raise _not_of_that_form(option, form, text, "not-a-size")
    return size


def parse_batch_size(text: str) -> int | None:
    """Return the batch size, None for ``auto``; raise `UsageError` for any other
    text.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(
            f"--batch-size takes a number or auto; {text!r} is neither",
            code="not-a-batch-size",
            value=text,
        )
    return int(text)


def parse_arguments(texts: Iterable[str]) -> tuple[tuple[str, Any], ...]:
    """Return names and values of ``NAME=VALUE`` texts; a value is a Python literal if
    it reads as one, and else text.

    Raise `UsageError` if a text lacks ``=``, or its first part is not a Python name.

    >>> parse_arguments(["arch=tinycnn", "depth=4"])
    (('arch', 'tinycnn'), ('depth', 4))
    """
    arguments: list[tuple[str, Any]] = []
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            raise _not_of_that_form(
                "--model-arg", "NAME=VALUE", text, "not-an-argument"
            )
        try:
            arguments.append((name, ast.literal_eval(value)))
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            arguments.append((name, value))
    return tuple(arguments)


def parse_seconds(option: str, text: str) -> float:
    """Return a time in seconds; raise `UsageError` if the text is not a time, or the
    time is 0.

    >>> parse_seconds("--idle", "30m"), parse_seconds("--every", "0.5s")
    (1800.0, 0.5)
    """
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*([smh])", text.strip().lower())
    if match is None or not float(match[1]):
        raise _not_of_that_form(
            option, "a time, for example 90s, 30m or 2h", text, "not-a-time"
        )
    return float(match[1]) * _SECONDS[match[2]]


def format_seconds(seconds: float) -> str:
    """Return a time as `parse_seconds` reads it, in the largest unit that gives a whole
    number.

    >>> format_seconds(7200), format_seconds(5400), format_seconds(0.5)
    ('2h', '90m', '0.5s')
    """
    unit = next((unit for unit in "hm" if seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"


def epoch_filter(text: str | None) -> range | None:
    """Return the epochs that ``first:last:step`` selects, or None for all; raise
    `UsageError` for text of another form.

    ``last`` is included.

    >>> list(epoch_filter("0:20:5")), list(epoch_filter("7")), list(epoch_filter(":2"))
    ([0, 5, 10, 15, 20], [7], [0, 1, 2])
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{0,9})(?:(:)(\d{0,9}))?(?::(\d{0,9}))?", text.strip())
    if match is None or not text.strip():
        raise _not_of_that_form(
            "--epochs", "first:last:step, for example 0:200:5", text, "not-epochs"
        )
    first, colon, last, step = match.groups()
    start, stride = int(first or 0), int(step or 1)
    end = int(last or 10**9) if colon else start
    if stride == 0:
        raise UsageError(
            f"--epochs {text}: the step must be 1 or more",
            code="not-epochs",
            value=text,
        )
    return range(start, end + 1, stride)
