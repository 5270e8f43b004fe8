"""JSON from foreign files, with a limit on its size: one byte of text can take fifty bytes of memory once it is parsed."""

from __future__ import annotations

import json
from typing import Any

MAX_JSON_VALUES = 1_000_000
"""The maximum number of commas and opening brackets; a header of a hundred thousand tensors needs as many."""


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    Raise `ValueError` if the text is not JSON or holds more than `MAX_JSON_VALUES` values, and `RecursionError` if it is nested
    too deeply.

    >>> parse_json(b'{"epoch": 3}')
    {'epoch': 3}
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise ValueError(f"the JSON text has more than {MAX_JSON_VALUES} values")
    return json.loads(data)


def parse_json_or_none(data: bytes) -> Any:
    """Return the value of a JSON text, or None if `parse_json` fails."""
    try:
        return parse_json(data)
    except (ValueError, RecursionError):
        return None
