"""The rows of tables as plain values, for JSON and for pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain values, with None for missing ones.

    >>> import pandas as pd
    >>> records(pd.DataFrame({"name": ["cat", None], "rank": [1.5, float("nan")]}))
    [{'name': 'cat', 'rank': 1.5}, {'name': None, 'rank': None}]
    """
    objects = frame.astype(object)
    objects = objects.where(objects.notna(), None)
    names = objects.columns.tolist()
    columns = [objects[name].tolist() for name in names]
    rows = zip(*columns, strict=True)
    return [dict(zip(names, values, strict=True)) for values in rows]
