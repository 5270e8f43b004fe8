"""All that the page shows: what its template prints, what its scripts read as JSON, and the packed frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsi_cli.report import best, class_agreement, classes, curve_data, matrices, mistake_data, sentences, size_budget
from dsi_cli.report.mistake_data import Opener
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, UNCERTAIN

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

Tell = Callable[[int, int], None]
"""Takes how many steps are done, of how many."""


@dataclass(frozen=True)
class PageData:
    """What a page shows."""

    summary: list[dict[str, Any]]
    """A run each: name, sentences, warnings, best epochs, files with a problem, options."""
    overview: tuple[list[str], list[tuple[str, list[best.BestEpoch | None]]]]
    """The runs beside each other, as `best.beside_each_other`."""
    data: dict[str, Any]
    lines: matrices.Lines


def page_data(run: Results, open_image: Opener | None = None, tell: Tell = lambda *_: None) -> PageData:
    """Return what the page of an output shows.

    Parameters
    ----------
    open_image : from a sample's path to its image; None to show none
    tell : called with each step done

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    steps = 2 * len(run.names)
    surveyed = []
    for place, name in enumerate(run.names):
        surveyed.append(matrices.run_matrices(run, name))
        tell(place + 1, steps)
    orders = [_orders(run, one) for one in surveyed]
    shares = size_budget.shares([one.need(len(found)) for one, found in zip(surveyed, orders, strict=True)])
    lines: matrices.Lines = {}
    tables: list[list[list[Any]]] = []
    runs = []
    for place, (one, found, share) in enumerate(zip(surveyed, orders, shares, strict=True)):
        runs.append(_run(run, one, found, share, place, tables, lines, open_image))
        tell(len(run.names) + place + 1, steps)
    data = {"runs": runs, "classes": tables, "uncertain": UNCERTAIN, "curves": curve_data.curves(run)}
    summary = [_summary(run, name) for name in run.names]
    overview = best.beside_each_other({one["name"]: one["best"] for one in summary})
    return PageData(summary, overview, data, lines)


def _orders(run: Results, surveyed: matrices.RunMatrices) -> classes.Orders:
    own = surveyed.own
    return classes.orders(classes.rows(run, surveyed.name), own[0].read(own[0].epochs[-1]) if own else None)


def _run(
    run: Results,
    surveyed: matrices.RunMatrices,
    orders: classes.Orders,
    share: size_budget.BudgetShare,
    place: int,
    tables: list[list[list[Any]]],
    lines: matrices.Lines,
    open_image: Opener | None,
) -> dict[str, Any]:
    name = surveyed.name
    rows = classes.rows(run, name)
    table = classes.table(rows)
    if table not in tables:
        tables.append(table)
    packed = matrices.pack(surveyed, share, orders, f"m{place}", lines)
    packed["matrices"] += matrices.pack_references(surveyed, "reference", lines)
    own = surveyed.own[0].name.upper() if surveyed.own else "matrix"
    return {
        "name": name,
        "epochs": surveyed.epochs,
        "has_epochs": run.has_epochs(name),
        "classes": tables.index(table),
        "orders": classes.described(rows, orders, own),
        "reference": reference_word(run, name),
        "agreement": class_agreement.class_agreement(run, name),
        "mistaken": mistake_data.mistake_data(run, name, open_image),
        **packed,
    }


def _summary(run: Results, name: str) -> dict[str, Any]:
    rows = run.checkpoints[run.checkpoints["run"] == name]
    bad = rows[rows["status"] != "ok"]
    return {
        "name": name,
        "sentences": sentences.sentences(run, name),
        "warnings": sentences.warnings(run, name),
        "best": [_renamed(one, reference_word(run, name)) for one in best.best_of_run(run, name)],
        "files": [(row["path"], row["status"], row["reason"] or "") for row in bad.to_dict("records")],
        "options": _options(run, name),
    }


def reference_word(run: Results, name: str) -> str:
    """Return what the main reference of a run is called: WordNet, or what it is by itself."""
    main = next(iter(run.references(name)), "wordnet")
    return "WordNet" if main.startswith("wordnet") else main


def _renamed(epoch: best.BestEpoch, reference: str) -> best.BestEpoch:
    return epoch._replace(title=epoch.title.replace("WordNet", reference))


def _options(run: Results, name: str) -> list[tuple[str, str]]:
    """Return the options that shaped a run's curves, as text."""
    shaping = layout.earlier_options(run.path, CURVES).get("shaping", {}).get(name, {})
    return [(key.replace("_", " "), _text(value)) for key, value in sorted(shaping.items())]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "by default" if value is None else value if isinstance(value, str) else json.dumps(value)
