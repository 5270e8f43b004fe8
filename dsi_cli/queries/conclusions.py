"""Sentences on what a conclusion depends on: the choice of the measure, the population
of the intervals, other references, and the seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dsi_cli.errors import count
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.comparison.clusters import GROUP
from dsi_cli.queries.quantities import QUANTITIES

Row = Mapping[str, Any]
MAIN_CHOICE = (
    "path similarity and Pearson's correlation over all pairs of classes, which are"
    " those of the paper and were chosen before any result was known"
)
UNKNOWN_RELIABILITY = (
    "The reliability over seeds is unknown, because no training was repeated. So it is"
    " unknown how much of an agreement another seed would share, and whether a low or"
    " falling agreement is due to the seed."
)
MAX_P_VALUE = 0.05


def population(clusters: object) -> str:
    """Return the population that intervals over classes (None), or over the clusters
    that ``--clusters`` names or that are known by class, stand for.

    >>> population(None), population("group"), population("superclass")
    ('other classes like these', 'other groups like these', 'other superclasses like these')
    """
    if clusters is None:
        return "other classes like these"
    # a file has the column superclass, too
    return f"other {'groups' if clusters == GROUP else 'superclasses'} like these"


def changed_choices(rows: Iterable[Row]) -> str:
    """Return the choices of which a conclusion differs, in words; empty if there are
    none.

    >>> row = {"measure": "wup", "pairs": "between groups", "differs": True}
    >>> changed_choices([row, row | {"measure": "lin"}])
    'between groups by any measure'
    """
    changed: dict[str, dict[str, None]] = {}
    known = set()
    for row in rows:
        known.add(row["measure"])
        if row["differs"]:
            changed.setdefault(row["pairs"], {})[row["measure"]] = None
    texts = []
    for pairs, measures in changed.items():
        where = "over all pairs" if pairs == "all" else pairs
        *names, last = measures
        by = f"{', '.join(names)} and {last}" if names else last
        if len(measures) == len(known) > 1:
            by = "any measure"
        texts.append(f"{where} by {by}")
    return ", ".join(texts)


def robustness_sentence(tables: Sequence[Sequence[Row]]) -> str | None:
    """Return one sentence on the choices that change the conclusion about the agreement
    of some runs, whose rows of the robustness table are given; None if there are none.

    A run whose agreement is within chance has no conclusion that could change: a few of
    its many other values exceed chance by accident.
    """
    known = [rows for rows in tables if rows]
    changed = [
        rows
        for rows in known
        if changed_choices(rows) and (rows[0]["z"] or 0.0) >= MIN_Z
    ]
    if not changed:
        return None
    # Name the choices that change the conclusion of all these runs.
    in_all = [
        {**row, "differs": all(one["differs"] for one in of_choice)}
        for row, *of_choice in zip(changed[0], *changed, strict=False)
    ]
    runs = ""
    if len(known) > 1:
        runs = f" in {len(changed)} of {count(len(known), 'run')}"
    text = (
        f"the conclusion about the agreement depends on measure and correlation{runs}"
    )
    choices = changed_choices(in_all)
    return f"{text}: it differs {choices}" if choices else text


def partition_sentence(parts: Sequence[Row]) -> str | None:
    """Return what references explain at an epoch, from rows with ``variant``,
    ``value`` and ``p_value``; None without a total.
    """
    values = {row["variant"]: row["value"] for row in parts}
    total = values.pop("total", None)
    if total is None:
        return None
    texts = []
    for row in parts:
        if not row["variant"].startswith("only "):
            continue
        text = f"{100 * values.pop(row['variant']):.1f} % {row['variant']}"
        if row["p_value"] is not None and row["p_value"] > MAX_P_VALUE:
            text += " (within chance)"
        texts.append(text)
    shared = sum(values.values())
    return (
        f"the references explain {100 * total:.1f} % of the variance of the network's"
        f" similarity: {', '.join(texts)}, and {100 * shared:.1f} % shared"
    )


def last_parts(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the variance partition at the last epoch, from rows of the
    curves table.
    """
    metric = QUANTITIES["variance_partition"].metric
    found = [
        row for row in rows if row["metric"] == metric and row["value"] is not None
    ]
    last = max((row["epoch"] or 0 for row in found), default=0)
    return [row for row in found if (row["epoch"] or 0) == last]
