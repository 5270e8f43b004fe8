"""The suspects as rows with text, which terminal and report share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.errors import UsageError
from dsi_cli.queries.records import records
from dsi_cli.store import layout
from dsi_cli.store.schema import SUSPECTS

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

RATE = "at a false discovery rate of 10 %"
NO_SUSPECTS = f"no suspects {RATE}"


def not_sought(results: Results) -> list[str]:
    """Return why some kinds of suspects are not sought, a line for each reason with its
    runs.
    """
    runs_of: dict[str, list[str]] = {}
    reasons = layout.earlier_options(results.path, SUSPECTS).get("reasons", {})
    for run, reason in reasons.items():
        runs_of.setdefault(reason, []).append(run)
    return [f"{', '.join(runs)}: {reason}" for reason, runs in runs_of.items()]


def suspects_or_none(results: Results) -> list[dict[str, Any]] | None:
    """Return the suspects as `described` does, each with the names of its ``classes``;
    None if an older version of dsi wrote the results.
    """
    try:
        found = results.suspects()
    except UsageError:
        return None
    classes = results.classes.set_index(["run", "class_index"])["name"]
    rows = described(found)
    for row in rows:
        names = classes.loc[row["run"]].loc[row["members"]]
        row["classes"] = ", ".join(
            name if isinstance(name, str) else str(index)
            for index, name in names.items()
        )
    return rows


def described(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of suspects, each with its false discovery rate as
    text, ``rate``.
    """
    return [row | {"rate": f"q = {row['q_value']:.2g}"} for row in records(found)]
