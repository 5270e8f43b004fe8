"""All data of the report: values that the template prints, data that the scripts read as JSON, and packed matrices."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsi_cli.report import best, class_agreement, classes, curve_data, matrices, mistake_data, sentences, size_budget
from dsi_cli.report.mistake_data import Opener
from dsi_cli.store import layout
from dsi_cli.store.schema import CURVES, UNCERTAIN

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

Progress = Callable[[int, int], None]
"""Receives the number of completed steps and the number of all steps."""


@dataclass(frozen=True)
class PageData:
    """The data of a report."""

    summary: list[dict[str, Any]]
    """For each run its name, sentences, warnings, best epochs, unused files and options."""
    overview: tuple[list[str], list[tuple[str, list[best.BestEpoch | None]]]]
    """The best epochs of all runs (`best.criteria_table`)."""
    data: dict[str, Any]
    """The data of the scripts."""
    lines: matrices.Lines
    """The packed matrices."""


@dataclass
class _SharedData:
    """Class tables and packed matrices, which several runs may share."""

    tables: list[list[list[Any]]] = field(default_factory=list)
    lines: matrices.Lines = field(default_factory=dict)


def page_data(results: Results, open_image: Opener | None = None, progress: Progress = lambda *_: None) -> PageData:
    """Return the data of the report of a results folder.

    Parameters
    ----------
    open_image : opens the image at a sample's path; None for a report without images
    progress : called after each step

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    # Read each matrix once to find the range of its values.
    steps = 2 * len(results.names)
    all_matrices = []
    for run in results.names:
        all_matrices.append(matrices.run_matrices(results, run))
        progress(len(all_matrices), steps)
    all_orders = [_orders(results, run_matrices) for run_matrices in all_matrices]

    # Divide the size of the page among the runs, and pack their matrices.
    needs = [run_matrices.need(len(orders)) for run_matrices, orders in zip(all_matrices, all_orders, strict=True)]
    shared = _SharedData()
    runs: list[dict[str, Any]] = []
    for run_matrices, orders, share in zip(all_matrices, all_orders, size_budget.shares(needs), strict=True):
        packed = matrices.pack(run_matrices, share, orders, f"m{len(runs)}", shared.lines)
        packed["matrices"] += matrices.pack_references(run_matrices, "reference", shared.lines)
        runs.append(_run_data(results, run_matrices, orders, shared, open_image) | packed)
        progress(len(results.names) + len(runs), steps)

    summary = [_summary(results, run) for run in results.names]
    return PageData(
        summary=summary,
        overview=best.criteria_table({run["name"]: run["best"] for run in summary}),
        data={"runs": runs, "classes": shared.tables, "uncertain": UNCERTAIN, "curves": curve_data.curves(results)},
        lines=shared.lines,
    )


def _orders(results: Results, run_matrices: matrices.RunMatrices) -> classes.Orders:
    last_matrix = None
    if run_matrices.own is not None:
        series, _ = run_matrices.own
        last_matrix = series.read(series.epochs[-1])
    return classes.class_orders(classes.class_rows(results, run_matrices.name), last_matrix)


def _run_data(
    results: Results,
    run_matrices: matrices.RunMatrices,
    orders: classes.Orders,
    shared: _SharedData,
    open_image: Opener | None,
) -> dict[str, Any]:
    run = run_matrices.name
    rows = classes.class_rows(results, run)
    table = classes.class_table(rows)
    if table not in shared.tables:
        shared.tables.append(table)
    matrix_name = run_matrices.own[0].name.upper() if run_matrices.own else "matrix"
    return {
        "name": run,
        "epochs": run_matrices.epochs,
        "has_epochs": results.has_epochs(run),
        "classes": shared.tables.index(table),
        "orders": classes.describe_orders(rows, orders, matrix_name),
        "reference": reference_name(results, run),
        "agreement": class_agreement.class_agreement(results, run),
        "mistaken": mistake_data.mistake_data(results, run, open_image),
    }


def _summary(results: Results, run: str) -> dict[str, Any]:
    rows = results.checkpoints[results.checkpoints["run"] == run]
    unused = rows[rows["status"] != "ok"]
    reference = reference_name(results, run)
    return {
        "name": run,
        "sentences": sentences.sentences(results, run),
        "warnings": sentences.warnings(results, run),
        "best": [
            epoch._replace(title=epoch.title.replace("WordNet", reference)) for epoch in best.best_of_run(results, run)
        ],
        "files": [(row["path"], row["status"], row["reason"] or "") for row in unused.to_dict("records")],
        "options": _options(results, run),
    }


def reference_name(results: Results, run: str) -> str:
    """Return the name of the main reference of a run; all WordNet measures are called WordNet."""
    main = next(iter(results.references(run)), "wordnet")
    return "WordNet" if main.startswith("wordnet") else main


def _options(results: Results, run: str) -> list[tuple[str, str]]:
    """Return the options that affect the curves of a run, as text."""
    options = layout.earlier_options(results.path, CURVES).get("shaping", {}).get(run, {})
    return [(key.replace("_", " "), _option_text(value)) for key, value in sorted(options.items())]


def _option_text(value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(_option_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_option_text(item)}" for key, item in value.items())
    return json.dumps(value)
