"""All data of the report: values that the template prints, data that the scripts read
as JSON, and packed matrices.
"""

from __future__ import annotations

import base64
import io
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.figures.catalogue import Opener
from dsi_cli.figures.style import GROUP_COLOURS, NO_VALUE
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.comparison.clusters import Clusters
from dsi_cli.queries.comparison.reliability import (
    results_reliability,
    usual_repetitions,
)
from dsi_cli.queries.curve_panels import Panel, panels, sai_measures
from dsi_cli.queries.findings import (
    PHASE_NAMES,
    RunFindings,
    is_agreement,
    reference_name,
)
from dsi_cli.queries.mistakes import confused_pairs, worst_mistakes
from dsi_cli.queries.quantities import (
    PANELS,
    QUANTITIES,
    QUESTIONS,
    SAI,
    with_measures,
)
from dsi_cli.queries.records import records
from dsi_cli.queries.run_classes import class_rows
from dsi_cli.report import classes, conclusions, matrices, overview
from dsi_cli.report.html import six_digits
from dsi_cli.report.matrix_summaries import Summaries
from dsi_cli.report.suspects import suspects_block
from dsi_cli.store import layout, parquet
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CONFUSIONS, SPLITS, UNCERTAIN

# receives the number of completed steps and the number of all steps
Progress = Callable[[int, int], None]
FIELDS = ("value", "chance", "chance_std", "low", "high", "excess", "z")
SAI_PANEL = next(kind for kind in PANELS if kind.name == SAI)
OTHERS = tuple(kind for kind in PANELS if SAI not in kind.metrics)
MAX_PAIRS = 30
MAX_MISTAKES = 24
THUMBNAIL_PIXELS = 64  # maximum length in pixels of the longer side of a thumbnail


@dataclass(frozen=True)
class PageData:
    """The data of a report."""

    # for each run its name and command
    runs: list[dict[str, Any]]
    overview: dict[str, Any]  # the text of the first screen
    data: dict[str, Any]
    lines: matrices.Lines
    # what deserves a look; None if an older version of dsi made the tables
    suspects: dict[str, Any] | None = None
    conclusions: Mapping[str, Any] = field(default_factory=dict)


def page_data(
    results: Results,
    open_image: Opener | None = None,
    progress: Progress = lambda *_: None,
    group: str | None = None,
    clusters: Clusters | None = None,
) -> PageData:
    """Return the data of the report of a results folder; raise `OutputError` if a table
    cannot be read.

    Without ``open_image``, the report has no images. ``group`` is the pattern of
    repetitions; the usual names of seeds by default. ``clusters`` are those of the
    intervals over seeds and classes.
    """
    # Read each matrix once to find the range of its values, in all reports of it.
    steps = 2 * len(results.names)
    all_matrices = []
    summaries = Summaries(results.path)
    for run in results.names:
        all_matrices.append(matrices.run_matrices(results, run, summaries))
        progress(len(all_matrices), steps)
    all_orders = [
        classes.display_orders(class_rows(results, run.name), run.own)
        for run in all_matrices
    ]

    # Divide the size of the page among the runs, and pack their matrices.
    data: dict[str, Any] = {
        "runs": [],
        "class_columns": classes.COLUMNS,
        "classes": [],
    }
    findings = overview.all_findings(results)
    reference = findings[0].reference
    data |= {
        "uncertain": UNCERTAIN,
        "min_z": MIN_Z,
        "questions": [text.format(reference=reference) for text in QUESTIONS],
        "note": overview.note(findings),
        "group_colours": {"groups": GROUP_COLOURS, "none": NO_VALUE},
    }
    data["curves"] = curves(results, findings)
    lines: matrices.Lines = {}
    shares = matrices.shares([run_matrices.need() for run_matrices in all_matrices])
    for run_matrices, orders, share, found in zip(
        all_matrices, all_orders, shares, findings, strict=True
    ):
        packed = matrices.pack(run_matrices, share, f"m{len(data['runs'])}", lines)
        packed["matrices"] += matrices.pack_references(run_matrices, lines)
        # Runs with the same classes share their table.
        table = classes.class_table(class_rows(results, found.run))
        if table not in data["classes"]:
            data["classes"].append(table)
        data["runs"].append(
            {
                "name": found.run,
                "epochs": run_matrices.epochs,
                "has_epochs": results.has_epochs(found.run),
                "classes": data["classes"].index(table),
                "orders": orders,
                "reference": found.reference,
                "own": found.own,
                "splits": found.splits,
                "agreement": classes.class_agreements(
                    results, found.run, len(results.names)
                ),
                "mistaken": mistake_data(results, found, open_image),
                **packed,
            }
        )
        progress(len(results.names) + len(data["runs"]), steps)
    summaries.save()

    methods = [_method(results, run) for run in results.names]
    first_screen = overview.overview(results, findings)
    data["tiles"] = [tile["rows"] for tile in first_screen["tiles"]]
    suspects = suspects_block(results.path, results.names)
    data["suspects"] = [
        {"run": entry["run"], "classes": entry["members"]}
        for entry in (suspects["entries"] if suspects else ())
    ]
    if group is None:
        seeds = usual_repetitions(results, clusters)
    else:
        seeds = results_reliability(results, group, clusters)
    data["curves"]["others"] += conclusions.seed_panels(seeds, results.names)
    return PageData(
        methods,
        first_screen,
        data,
        lines,
        suspects,
        conclusions.conclusions(results, seeds),
    )


def _method(results: Results, run: str) -> dict[str, Any]:
    heads = results.usable_checkpoints(run)["head"].dropna().unique()
    points = results.rows_of("curves", run)
    compared = points.loc[points["value"].notna(), "reference"].notna().any()
    # The newest predictions on a split name their source, if it is known.
    predictions = []
    for split in SPLITS:
        path = layout.split_path(results.path, CONFUSIONS, run, split, 0)
        last_epoch = max(layout.stored_epochs(path.parent), default=0)
        provenance = parquet.options_of(path.with_stem(str(last_epoch))).get("from")
        if isinstance(provenance, dict) and isinstance(provenance.get("source"), str):
            predictions.append((split, provenance["source"]))
    return {
        "name": run,
        "reference": reference_name(results.references(run)[0]) if compared else None,
        "command": shlex.join(
            [
                "dsi",
                "analyze",
                overview.run_folder(results, run),
                "-o",
                str(results.path),
            ]
        ),
        "heads": ", ".join(map(str, heads)),
        "predictions": predictions,
    }


def curves(results: Results, findings: Sequence[RunFindings]) -> dict[str, Any]:
    """Return all panels: the SAI for each measure, from which the page also draws the
    excess, the other curves, the phases, the quantities of the SAI to choose from, and
    the texts of the other quantities.
    """
    names_of_runs = [_quantity_names(found) for found in findings]
    kinds = [
        SAI_PANEL._replace(variants=(measure,))
        for measure in sai_measures(results.curves)
    ]
    panels_of_page: dict[str, Any] = {"sai": {}, "others": []}
    drawn = panels(results, kinds=[*kinds, *OTHERS])
    excesses = set()
    for panel in drawn:
        data = _panel(panel, results, names_of_runs)
        if panel.kind.name != SAI:
            panels_of_page["others"].append(data)
            continue
        panels_of_page["sai"][panel.measure] = data
        if any("excess" in series for series in data["series"]):
            excesses.add(panel.measure)
    quantities = [
        {
            "name": quantity.name,
            "title": quantity.title,
            "axis": quantity.axis,
            "measure": quantity.variant,
            "isExcess": quantity.is_excess,
        }
        for quantity in with_measures(panels_of_page["sai"]).values()
        if quantity.metric == SAI
        and quantity.variant in panels_of_page["sai"]
        and (quantity.variant in excesses or not quantity.is_excess)
    ]
    texts = {
        quantity.name: {
            "title": quantity.title,
            "axis": quantity.axis,
            "panel": quantity.panel or quantity.name,
        }
        for quantity in QUANTITIES.values()
        if quantity.metric != SAI
    }
    chosen = {"quantities": quantities, "texts": texts, "phases": phases(results)}
    return panels_of_page | chosen


def _quantity_names(found: RunFindings) -> dict[tuple[str | None, ...], str]:
    """Return the names of the quantities of a run by metric, of, split and variant; on
    the first split with predictions.
    """
    keys = {
        name: quantity.key(found.own, found.split)
        for name, quantity in QUANTITIES.items()
    }
    return {(*key.values(),): name for name, key in keys.items()}


def _panel(
    panel: Panel,
    results: Results,
    names_of_runs: Sequence[Mapping[tuple[str | None, ...], str]],
) -> dict[str, Any]:
    series = []
    for curve in panel.series:
        run = results.names.index(curve.run)
        # A WSI of another quantile, such as max@0.9, is in the same chart.
        variant = curve.variant and curve.variant.partition("@")[0]
        key = (curve.metric, curve.of, curve.split, variant)
        # Phases belong to curves of the main reference or of no reference.
        references = [None, *results.references(curve.run)[:1]]
        data: dict[str, Any] = {
            "run": run,
            "quantity": names_of_runs[run].get(key),
            "of": curve.of,
            "split": curve.split,
            "label": curve.label,
            "epochs": curve.epochs.tolist(),
            "isMain": curve.reference in references,
        }
        for name in FIELDS:
            values = getattr(curve, name)
            if not np.isnan(values).all():  # the page has no empty columns
                data[name] = six_digits(values)
        series.append(data)
    return {
        "name": panel.kind.name,
        "title": panel.kind.title,
        "axis": panel.axis,
        "lower": panel.lower_is_closer,
        "series": series,
    }


def phases(results: Results) -> list[dict[str, Any]]:
    """Return the phases of all runs; "place" is the index of the run."""
    rows = results.phases[
        results.phases["phase"].isin(PHASE_NAMES)
        & results.phases["run"].isin(results.names)
    ]
    shown = []
    for row in rows.fillna({"reason": ""}).to_dict("records"):
        place, curve = results.names.index(row["run"]), row["curve"]
        data = {"place": place, "curve": curve, "of_agreement": is_agreement(curve)}
        data |= {"phase": row["phase"], "reason": row["reason"]}
        shown.append(
            data
            | {
                name: round(row[name], 2)
                for name in ("first_epoch", "last_epoch", "low", "high")
            }
        )
    return shown


def mistake_data(
    results: Results, found: RunFindings, open_image: Opener | None
) -> dict[str, Any]:
    """Return, for each split with predictions, the confused pairs and the mistakes of
    the last epoch with a mistake.
    """
    by_split: dict[str, Any] = {}
    for split in SPLITS:
        wrong = found.trend("mistakes", split)
        numbers = wrong.points if wrong else ()
        epoch = next(
            (number.epoch for number in reversed(numbers) if number.value > 0), None
        )
        try:
            pairs = confused_pairs(
                results, run=found.run, epoch=epoch, split=split, most=MAX_PAIRS
            )
        except UsageError:
            continue  # there are no predictions on this split
        epoch = pairs.attrs["epoch"]
        described = ("epoch", "own", "furthest", "wordnet_furthest", "found")
        by_split[split] = {name: pairs.attrs[name] for name in described}
        by_split[split] |= {"pairs": records(pairs), "mistakes": None}
        # The run may have confusion counts, but no predictions per sample.
        with suppress(UsageError):
            samples = worst_mistakes(
                results, run=found.run, epoch=epoch, split=split, most=MAX_MISTAKES
            )
            rows = records(samples)
            for row in rows:
                row["image"] = _data_url(row["path"], open_image)
            by_split[split]["mistakes"] = {
                "epoch": samples.attrs["epoch"],
                "found": samples.attrs["found"],
                "rows": rows,
            }
    return by_split


def _data_url(path: str | None, open_image: Opener | None) -> str | None:
    """Return a small version of an image as a data URL, or None if it cannot be
    opened.
    """
    if path is None or open_image is None:
        return None
    try:
        image = open_image(path)
    except UsageError:
        return None
    small = image.convert(
        "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
    )
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
