"""The tables of queries: one printer for the terminal, and one writer of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dsi_cli.cli import console
from dsi_cli.cli.text import cell, interval, shorten
from dsi_cli.queries.matrices import SURPRISE_LEGEND
from dsi_cli.queries.records import records

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, tuple[str, str]]
"""The title and the format of each shown column by its name. The format of text is
empty. In a title, ``{reference}`` and ``{own}`` are replaced by the ``attrs``.
"""


def print_json(table: pd.DataFrame, **more: Any) -> None:
    """Print a table as a JSON document: what describes it, its ``rows``, and more
    keys; a table among these is the list of its rows.
    """
    console.print_json(document(table.attrs | {"rows": table} | more))


def document(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return values in which each table is the list of its rows."""
    import pandas as pd

    return {
        key: records(value) if isinstance(value, pd.DataFrame) else value
        for key, value in values.items()
    }


def print_listing(frame: pd.DataFrame, columns: Columns, most_letters: int) -> None:
    """Print the title and the legend of a table, then its rows."""
    console.print_sentence(frame.attrs["title"])
    if not len(frame):
        return
    if frame.attrs["legend"] is not None:
        console.print_sentence(frame.attrs["legend"])
    if frame["surprise"].any():
        console.print_sentence(SURPRISE_LEGEND)
    print_rows(frame, columns, most_letters)


def print_rows(
    frame: pd.DataFrame, columns: Columns, most_letters: int = 40, indent: int = 0
) -> None:
    """Print the rows of a table, without columns that have no value.

    True is a mark (!). A text has at most ``most_letters`` characters.
    """
    names = {
        "reference": frame.attrs.get("reference"),
        "own": str(frame.attrs.get("own")).upper(),
    }
    shown = [
        name for name in columns if name in frame and bool(frame[name].notna().any())
    ]
    titles = []
    for name in shown:
        title, form = columns[name]
        title = title.format(**names)
        titles.append(f"#{title}" if form else title)
    rows = [
        [_text(row[name], columns[name][1], most_letters) for name in shown]
        for row in records(frame)
    ]
    console.print_columns(titles, rows, indent)


def intervals(frame: pd.DataFrame, form: str = ".3f") -> list[str]:
    """Return the text of the interval from ``low`` to ``high`` in each row."""
    ends = zip(frame["low"], frame["high"], strict=True)
    return [interval(low, high, form) for low, high in ends]


def _text(value: Any, form: str, most_letters: int) -> str:
    if isinstance(value, bool):
        return "!" if value else ""
    if isinstance(value, str):
        return shorten(value, most_letters)
    return cell(value, form)
