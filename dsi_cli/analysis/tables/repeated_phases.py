"""The declines of repeated trainings in the phases table.

A decline of the agreement may come from seeds that become less alike. So a decline of a
run that has repetitions in the results folder is a refinement only if the agreement
corrected for the reliability over seeds declines, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.metrics.phases import DECLINE, REFINEMENT
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import PHASES

if TYPE_CHECKING:
    from dsi_cli.queries.comparison.reliability import SeedReliability

UNKNOWN = "it is unknown whether the agreement corrected for seeds declines, too"


def name_declines(out: Path) -> bool:
    """Give each decline in the phases table its name, and a decline that is no
    refinement its reason; return whether the table changed.
    """
    rows = layout.read_table(out, PHASES).to_pylist()
    declines = [row for row in rows if row["phase"] in (REFINEMENT, DECLINE)]
    if not declines:
        return False
    # These imports take time, and most results have no decline.
    from dsi_cli.errors import UsageError
    from dsi_cli.queries.comparison.reliability import results_reliability
    from dsi_cli.queries.comparison.repetitions import repeated_runs
    from dsi_cli.store.results import Results

    results = Results(out)
    repeated = repeated_runs(results.names)
    names = {row["run"] for row in declines}
    reasons: dict[str, str | None] = {}
    if names & repeated:
        try:
            found = results_reliability(results, "seed")
            reasons = _reasons(found)
        except UsageError:  # the runs have no common classes, for example
            pass
    before = [(row["phase"], row["reason"]) for row in declines]
    for row in declines:
        row["phase"], row["reason"] = REFINEMENT, None
        if row["run"] in repeated:
            row["reason"] = reasons.get(row["run"], UNKNOWN)
        if row["reason"] is not None:
            row["phase"] = DECLINE
    if before == [(row["phase"], row["reason"]) for row in declines]:
        return False
    options = layout.earlier_options(out, PHASES)
    table = parquet.from_rows(PHASES, rows)
    return layout.write_runs(out, PHASES, results.names, table, options)


def _reasons(found: SeedReliability) -> dict[str, str | None]:
    """Return why a decline of each repeated run is no refinement; None if it is one."""
    reasons: dict[str, str | None] = {}
    for group, runs in found.members.items():
        changes = found.changes[found.changes["group"] == group]
        rows = changes.set_index("quantity").to_dict("index")
        reason: str | None = UNKNOWN
        if "corrected" in rows:
            row = rows["corrected"]
            change = f"{row['change']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
            reason = f"the agreement corrected for seeds does not decline ({change})"
            if row["falls"]:
                reason = None
        reasons |= dict.fromkeys(runs, reason)
    return reasons
