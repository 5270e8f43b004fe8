"""Data of the section on what conclusions depend on: the choice of the measure, other
references, and the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any

from dsi_cli.queries.comparison.compare import Comparison
from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracy
from dsi_cli.queries.comparison.reliability import SeedReliability
from dsi_cli.queries.conclusions import (
    MAIN_CHOICE,
    UNKNOWN_RELIABILITY,
    changed_choices,
    last_parts,
    partition_sentence,
    population,
    robustness_sentence,
)
from dsi_cli.queries.findings import table_rows
from dsi_cli.queries.quantities import QUANTITIES, SEED_QUANTITIES
from dsi_cli.queries.records import records
from dsi_cli.report.html import six_digits
from dsi_cli.store import layout
from dsi_cli.store.results import Results
from dsi_cli.store.schema import EXTRA_CURVES, ROBUSTNESS


def conclusions(results: Results, seeds: SeedReliability) -> dict[str, Any]:
    """Return the data of the section: a part for each run, and the groups of
    repetitions at their last epochs.
    """
    runs = []
    for run in results.names:
        rows = table_rows(results.path, ROBUSTNESS, run)
        parts = last_parts(table_rows(results.path, EXTRA_CURVES, run))
        clusters = layout.curve_options(results.path, run).get("clusters")
        part = {
            "name": run,
            "epoch": rows[0]["epoch"] if rows and results.has_epochs(run) else None,
            "choices": choice_table(rows, "agreement"),
            "changed": robustness_sentence([rows]),
            "parts": parts,
            "partition": partition_sentence(parts),
            "population": population(clusters),
            "has_clusters": clusters is not None,
        }
        runs.append(part)
    return {"runs": runs} | _common(seeds)


def number(value: float | None, form: str = "z.3f") -> str:
    """Return a number as text with a typographic minus sign; None and NaN give a
    dash.
    """
    return "–" if value is None or isnan(value) else f"{value:{form}}".replace("-", "−")


def choice_table(rows: Sequence[dict[str, Any]], quantity: str) -> dict[str, Any]:
    """Return the rows of a robustness table with one column per measure: the value of a
    quantity with its interval, and whether it changes the conclusion.
    """
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        title = f"{row['pairs']} ({row['correlation'].title()})"
        lines.setdefault(title, []).append(row | {"value": row[quantity]})
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    return {"measures": measures, "lines": lines}


def compared_conclusions(
    comparison: Comparison,
    choices: Sequence[tuple[EqualAccuracy, Sequence[dict[str, Any]]]],
) -> dict[str, Any]:
    """Return the data of the section for a comparison: a part for each pair of networks
    with rows of `dsi_cli.analysis.robustness.compared_choices`.
    """
    pairs = [
        {
            "name": f"{equal.first} less {equal.second}",
            "choices": choice_table(rows, "difference"),
            "changed": changed_choices(rows),
        }
        for equal, rows in choices
        if rows
    ]
    return {"pairs": pairs} | _common(comparison.reliability)


def _common(seeds: SeedReliability) -> dict[str, Any]:
    last = seeds.table.groupby("group", sort=False).tail(1)
    return {
        "seeds": records(last),
        "seed_population": population(seeds.clusters),
        "sentences": seeds.sentences,
        "main_choice": MAIN_CHOICE,
        "unknown": UNKNOWN_RELIABILITY,
        "number": number,
    }


def seed_panels(
    seeds: SeedReliability, places: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return a panel for each quantity of repeated trainings, with a line per group;
    none without repetitions.

    ``places`` are the names of the runs of a report, whose lines have the colour of
    their first run; None on the page of a comparison.
    """
    panels = []
    for name in SEED_QUANTITIES:
        quantity = QUANTITIES[name]
        lines = []
        for group, rows in seeds.curve(name).groupby("run", sort=False):
            line: dict[str, Any] = {"label": group, "epochs": rows["epoch"].tolist()}
            line |= {key: six_digits(rows[key]) for key in ("value", "low", "high")}
            if places is not None:
                run = places.index(seeds.members[str(group)][0])
                line |= {"run": run, "quantity": name, "isMain": True}
            lines.append(line)
        panel: dict[str, Any] = {"name": name, "title": quantity.title}
        panel["axis"] = quantity.axis
        panel |= {"isExcess": False, "lower": False}
        panel["lines" if places is None else "series"] = lines
        if lines:
            panels.append(panel)
    return panels
