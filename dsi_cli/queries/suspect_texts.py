"""The suspects as rows with text, which terminal and report share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.errors import UsageError, count
from dsi_cli.queries.records import records

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

RATE = "at a false discovery rate of 10 %"
NO_SUSPECTS = f"no suspects {RATE}"


def suspects_or_none(results: Results) -> list[dict[str, Any]] | None:
    """Return the suspects as `described` does, or None if an older version of dsi wrote
    the results.
    """
    try:
        return described(results.suspects())
    except UsageError:
        return None


def described(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of suspects, each with its ``strength`` as text."""
    rows = records(found)
    return [row | {"strength": strength(row)} for row in rows]


def strength(row: dict[str, Any]) -> str:
    """Return the false discovery rate of a suspect, and how many epochs and runs show
    it.

    >>> strength({"q_value": 0.0123, "epochs": 9, "of_epochs": 12, "seeds": 3})
    'q = 0.012, 9 of 12 epochs, 3 runs'
    """
    parts = []
    if row["q_value"] is not None:
        parts.append(f"q = {row['q_value']:.2g}")
    if row["of_epochs"]:
        parts.append(f"{row['epochs']} of {row['of_epochs']} epochs")
    if row["seeds"]:
        parts.append(count(row["seeds"], "run"))
    return ", ".join(parts)
