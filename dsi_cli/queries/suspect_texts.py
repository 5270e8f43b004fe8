"""The suspects as rows with text, which terminal and report share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.errors import UsageError
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
    """Return the rows of a table of suspects, each with its false discovery rate as
    text, ``rate``.
    """
    return [row | {"rate": f"q = {row['q_value']:.2g}"} for row in records(found)]
