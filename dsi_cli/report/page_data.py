"""All data of the report: values that the template prints, data that the scripts read as JSON, and packed matrices."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsi_cli.queries.findings import reference_name
from dsi_cli.report import classes, curve_data, matrices, mistake_data, overview, size_budget, warnings
from dsi_cli.report.classes import CommonHypernyms
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

    runs: list[dict[str, Any]]
    """For each run its name, command, unused files and options."""
    overview: overview.Overview
    """The text of the first screen."""
    data: dict[str, Any]
    """The data of the scripts."""
    lines: matrices.Lines
    """The packed matrices."""


@dataclass
class _SharedData:
    """Class tables and packed matrices, which several runs may share."""

    tables: list[list[list[Any]]] = field(default_factory=list)
    hypernyms: list[dict[str, Any] | None] = field(default_factory=list)
    lines: matrices.Lines = field(default_factory=dict)


def page_data(
    results: Results,
    open_image: Opener | None = None,
    progress: Progress = lambda *_: None,
    common_hypernyms: CommonHypernyms | None = None,
) -> PageData:
    """Return the data of the report of a results folder.

    Parameters
    ----------
    open_image : opens the image at a sample's path; None for a report without images
    progress : called after each step
    common_hypernyms : finds the common hypernyms of the classes' synsets; None for a report without them

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
    findings = overview.all_findings(results)
    shares = size_budget.shares(needs)
    for run_matrices, orders, share, found in zip(all_matrices, all_orders, shares, findings, strict=True):
        packed = matrices.pack(run_matrices, share, orders, f"m{len(runs)}", shared.lines)
        packed["matrices"] += matrices.pack_references(run_matrices, "reference", shared.lines)
        # The last checkpoint of an epoch has its optimiser steps.
        rows = results.checkpoints[(results.checkpoints["run"] == found.run) & (results.checkpoints["status"] == "ok")]
        last = rows.dropna(subset=["epoch", "step"]).sort_values(["epoch", "step"]).drop_duplicates("epoch", keep="last")
        runs.append(
            {
                "name": found.run,
                "epochs": run_matrices.epochs,
                "has_epochs": results.has_epochs(found.run),
                "classes": _add_classes(results, run_matrices, shared, common_hypernyms),
                "orders": orders,
                "reference": found.reference,
                "own": found.own,
                "splits": list(found.mistakes),
                "steps": last[["epoch", "step"]].astype(int).to_numpy().tolist(),
                "agreement": classes.class_agreement(results, found.run),
                "geometry": classes.geometry_data(results, found.run),
                "mistaken": mistake_data.mistake_data(results, found.run, open_image),
                **packed,
            }
        )
        progress(len(results.names) + len(runs), steps)

    return PageData(
        runs=[_method(results, run) for run in results.names],
        overview=overview.overview(results, findings, warnings.warnings_of_all(results)),
        data={
            "runs": runs,
            "classes": shared.tables,
            "hypernyms": shared.hypernyms,
            "uncertain": UNCERTAIN,
            "curves": curve_data.curves(results),
        },
        lines=shared.lines,
    )


def _orders(results: Results, run_matrices: matrices.RunMatrices) -> list[dict[str, Any]]:
    last_matrix, name = None, "matrix"
    if run_matrices.own is not None:
        series, _ = run_matrices.own
        last_matrix, name = series.read(series.epochs[-1]), series.name.upper()
    rows = classes.class_rows(results, run_matrices.name)
    return classes.describe_orders(rows, classes.class_orders(rows, last_matrix), name)


def _add_classes(
    results: Results, run_matrices: matrices.RunMatrices, shared: _SharedData, common_hypernyms: CommonHypernyms | None
) -> int:
    """Add the table and the common hypernyms of a run's classes unless an earlier run has them, and return their index."""
    rows = classes.class_rows(results, run_matrices.name)
    table = classes.class_table(rows)
    if table in shared.tables:
        return shared.tables.index(table)
    index = len(shared.tables)
    shared.tables.append(table)
    data, synsets = None, rows["synset"]
    if common_hypernyms is not None and run_matrices.own is not None and synsets.notna().any():
        name = f"hypernyms-{index}"
        names = synsets.astype(object).where(synsets.notna(), None).tolist()
        data, text = classes.hypernym_data(names, common_hypernyms, name)
        shared.lines[name] = [text]
    shared.hypernyms.append(data)
    return index


def _method(results: Results, run: str) -> dict[str, Any]:
    """Return how the results of a run were made."""
    rows = results.checkpoints[results.checkpoints["run"] == run]
    unused = rows[rows["status"] != "ok"]
    heads = rows.loc[rows["status"] == "ok", "head"].dropna().unique()
    # The options are those that affect the curves.
    options = layout.earlier_options(results.path, CURVES).get("shaping", {}).get(run, {})
    chosen = {key.replace("_", " "): value for key, value in sorted(options.items()) if value not in (None, False)}
    return {
        "name": run,
        "reference": reference_name(next(iter(results.references(run)), "wordnet")),
        "command": shlex.join(["dsi", "analyze", warnings.run_folder(results, run), "-o", str(results.path)]),
        "heads": ", ".join(map(str, heads)),
        "predictions": overview.prediction_sources(results, run),
        "files": [(row["path"], row["status"], row["reason"] or "") for row in unused.to_dict("records")],
        "options": [(key, _option_text(value)) for key, value in chosen.items()],
    }


def _option_text(value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(_option_text, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_option_text(item)}" for key, item in value.items())
    return json.dumps(value)
