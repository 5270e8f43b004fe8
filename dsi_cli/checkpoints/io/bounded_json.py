"""JSON that somebody else wrote, within a bound: a byte of text can take fifty of memory once it is read."""

from __future__ import annotations

import json
from typing import Any

MOST_VALUES = 1_000_000
"""Commas and opening brackets: a header of a hundred thousand tensors."""


def parse_json(data: bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        It is no JSON, or holds more than `MOST_VALUES` values.
    RecursionError
        It is nested too deep.

    Examples
    --------
    >>> parse_json(b'{"epoch": 3}')
    {'epoch': 3}
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ValueError(f"a JSON text of more than {MOST_VALUES} values")
    return json.loads(data)
