"""The page of ``dsi compare`` (verdict with forest plot, both matrices, classes,
curves, tables), and that of ``dsi diff``.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dsi_cli.metrics.head_geometry import Float64s
from dsi_cli.metrics.measures import Values
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.comparison.compare import MANY_PAIRS, Comparison, run_texts
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracy, largest_end
from dsi_cli.queries.comparison.repetitions import (
    CURVES,
    NETWORKS,
    curve_quantity,
    network_bands,
)
from dsi_cli.queries.difference import Difference
from dsi_cli.queries.facts import messages
from dsi_cli.queries.matrices import block_means
from dsi_cli.queries.quantities import PREDICTIONS
from dsi_cli.queries.records import records
from dsi_cli.queries.run_classes import synset_words, taxonomy_order
from dsi_cli.report import html
from dsi_cli.report.conclusions import compared_conclusions, number, seed_panels
from dsi_cli.report.html import six_digits
from dsi_cli.store import atomic_write

SCRIPTS = (
    "frame.js",
    "exports.js",
    "curves.js",
    "colours.js",
    "frames.js",
    "comparison.js",
)
"""Scripts of the page in the order in which they are joined."""
FILE = "comparison.html"
MAX_PICTURES = 3  # pairs of networks whose matrices are shown
MAX_TICKS = 4  # ticks on each side of 0
# ticks beyond this share of the half width are left out, because their text would be
# cut off
EDGE = 0.93
MAX_SIDE = 400  # rows of a shown matrix; larger matrices are shown as means of blocks
DIFFERENCE_SCRIPTS = ("frame.js", "colours.js", "diff.js")
DIFFERENCE_FILE = "diff.html"
# rows of a shown matrix; of larger matrices the classes that moved most are shown
MAX_DIFFERENCE_SIDE = 400
MAX_ROWS = 50


CHANCE_COLUMNS = {"null_mean": "chance", "null_std": "chance_std"}


def save(page: str, path: Path) -> Path:
    """Write a page, and return its path; raise `OutputError` if it cannot be
    written.
    """
    atomic_write.write_atomically(path, page.encode(errors="backslashreplace"))
    return path


def render(
    comparison: Comparison,
    choices: Sequence[tuple[EqualAccuracy, Sequence[dict[str, Any]]]] = (),
) -> str:
    """Return the HTML page of a comparison; equal comparisons give equal pages.

    ``choices`` are pairs of networks with their rows of
    `dsi_cli.analysis.robustness.compared_choices`.
    """
    pairs = [
        {
            "verdict": verdict,
            "equal": equal,
            "rows": records(equal.criteria),
            "forest": forest(equal.forest),
            "first": equal.described(equal.first),
            "second": equal.described(equal.second),
        }
        for verdict, equal in comparison.pairs
    ]
    names = comparison.names
    kind = "groups" if comparison.has_groups else "runs"
    pictures = _pictures(comparison)
    networks = comparison.networks
    last = networks.groupby(["first", "second"], sort=False).tail(1)
    variables = {
        "title": " and ".join(names) if len(names) == 2 else f"{len(names)} {kind}",
        "comparison": comparison,
        "has_groups": comparison.has_groups,
        "pairs": pairs,
        "pictures": pictures,
        "between": records(last.head(MANY_PAIRS)),
        "pairs_of_runs": len(last),
        "runs": records(run_texts(comparison)),
        "label_messages": messages(comparison.facts, ()),
        "min_z": f"{MIN_Z:g}",
        "measure": measure_title(comparison.measures[0]),
        "number": number,
        "p_value_text": p_value_text,
        "most_pairs": MANY_PAIRS,
        "conclusions": compared_conclusions(comparison, choices),
    }
    data = curves(comparison) | {"pictures": pictures}
    return html.assemble("comparison.html", SCRIPTS, variables, data)


def curves(comparison: Comparison) -> dict[str, Any]:
    """Return the data of the scripts: one panel per curve with one line per run or
    group, and that of the SAI between networks.

    The panel between networks has one band per pair of groups, or one line with its
    chance level per pair of runs.
    """
    panels = [_panel(comparison, curve, comparison.curves) for curve in CURVES]
    bands = network_bands(comparison.groups, comparison.networks)
    networks = _panel(comparison, NETWORKS, bands)
    if not comparison.has_groups:
        networks["lines"] = _lines_of_pairs(comparison.networks)
    return {
        "along": comparison.epochs,
        "min_z": MIN_Z,
        "panels": [panel for panel in panels if panel["lines"]]
        + seed_panels(comparison.reliability),
        "networks": networks,
    }


def _lines_of_pairs(networks: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a line with its chance level for each of the first pairs of runs."""
    known = networks.dropna(subset="at").rename(columns=CHANCE_COLUMNS)
    lines = []
    for (first, second), rows in known.groupby(["first", "second"], sort=False):
        line = {"label": f"{first} – {second}", "epochs": rows["at"].tolist()}
        for name in ("value", "chance", "chance_std", "excess", "z"):
            line[name] = six_digits(rows[name])
        lines.append(line)
    return lines[:MANY_PAIRS]


def _panel(comparison: Comparison, name: str, bands: pd.DataFrame) -> dict[str, Any]:
    entry = curve_quantity(name, comparison.measures[0])
    title, axis = entry.title, entry.axis
    if name == NETWORKS:
        title += " of the networks with each other"
    elif entry.is_excess:
        title += f" with {comparison.reference}"
    if entry.split == PREDICTIONS:
        axis += f" ({comparison.split})"
    lines = []
    of_curve = bands[bands["curve"] == name]
    for group, rows in of_curve.groupby("group", sort=False):
        line: dict[str, Any] = {
            "label": group,
            "epochs": rows["x"].tolist(),
            "value": six_digits(rows["mean"]),
        }
        runs = rows["runs"].iloc[0]
        if runs > 1:
            line["label"] = f"{group}, mean of {runs}"
            line |= {name: six_digits(rows[name]) for name in ("low", "high")}
        chance = rows["chance"]
        if entry.is_excess:
            chance = pd.Series(0.0, index=rows.index)
        if chance.notna().any():
            line["chance"] = six_digits(chance)
            line["margin"] = six_digits(MIN_Z * rows["chance_std"])
        lines.append(line)
    return {
        "name": name,
        "title": title,
        "axis": axis,
        "isExcess": entry.is_excess,
        "lines": lines,
    }


def forest(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the positions of some rows and of ticks with their texts in a forest plot,
    in percent of the width; None if missing.

    Positive differences, which are to the right, favour the first network. The scale
    holds all intervals. The range of 95 % of pairs of repetitions, its start and its
    width, is cut off if it is larger.
    """
    ends = rows[["low", "high", "difference"]]
    limit = 1.1 * largest_end(rows)
    placed = records((50 + 50 * (ends / limit).clip(-1, 1)).round(2))
    for item, row in zip(placed, records(rows), strict=True):
        item["row"], item["seeds"] = row, None
        if row["seed_range"] is not None:
            half = min(50.0, 50 * row["seed_range"] / limit)
            item["seeds"] = (round(50 - half, 2), round(2 * half, 2))

    # Choose the smallest round step that gives few ticks.
    unit = 10.0 ** np.floor(np.log10(limit))
    step = next(
        factor * unit
        for factor in (0.5, 1.0, 2.0, 5.0)
        if limit / (factor * unit) < MAX_TICKS + 1
    )
    digits = max(0, int(-np.floor(np.log10(step) + 1e-9)))
    count = int(EDGE * limit / step)
    ticks = []
    for multiple in range(-count, count + 1):
        text = number(multiple * step, f"+.{digits}f") if multiple else "0"
        ticks.append((round(50 + 50 * multiple * step / limit, 2), text))
    return {"rows": placed, "ticks": ticks}


def _pictures(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the matrices and classes of the first pairs of networks, in the display
    order of the first run.
    """
    pictures: list[dict[str, Any]] = []
    for _, equal in comparison.pairs:
        if len(pictures) == MAX_PICTURES:
            break
        if equal.classes.empty:
            continue
        pair = equal.networks()
        assert pair is not None
        assert equal.sides is not None
        order = taxonomy_order(equal.sides[0][0].run.classes)
        classes = pair.classes.iloc[order]
        side, first = _packed_ranks(pair.first[np.ix_(order, order)])
        _, second = _packed_ranks(pair.second[np.ix_(order, order)])
        picture = {
            "first": equal.first,
            "second": equal.second,
            "side": side,
            "ranks": [first, second],
            "names": classes["name"].tolist(),
            "classes": records(equal.classes),
        }
        pictures.append(picture)
    return pictures


def _packed_ranks(ranks: Values) -> tuple[int, str]:
    """Return the side of percentile ranks, and their bytes from 0 (also NaN) to 250;
    many are packed as block means.
    """
    block = -(-len(ranks) // MAX_SIDE)
    if block > 1:
        ranks = block_means(ranks, np.arange(len(ranks)), range(0, len(ranks), block))
    return (
        len(ranks),
        base64.b64encode(
            np.rint(np.nan_to_num(ranks) * 2.5).astype(np.uint8).tobytes()
        ).decode(),
    )


def p_value_text(value: float | None) -> str:
    """Return a p-value as text, which is never 0.

    >>> p_value_text(0.0), p_value_text(0.0123), p_value_text(None)
    ('< 0.001', '0.012', '–')
    """
    return "< 0.001" if value is not None and value < 0.001 else number(value)


def render_difference(difference: Difference) -> str:
    """Return the HTML page of a difference; equal differences give equal pages."""
    moved, pairs = difference.moved, difference.moved_pairs
    order = list(
        (difference.first if difference.first.order else difference.second).order
    ) or list(range(len(moved)))
    if len(order) > MAX_DIFFERENCE_SIDE:
        shown = set(
            difference.classes.sort_values("similarity_change")["class_index"].tail(
                MAX_DIFFERENCE_SIDE
            )
        )
        order = [index for index in order if index in shown]
    before, after = difference.first.ncsm, difference.second.ncsm
    square = np.ix_(order, order)
    together = pairs[pairs["similarity_change"] > 0]
    apart = pairs[pairs["similarity_change"] < 0]
    variables = {
        "title": f"{difference.first.title} and {difference.second.title}",
        "difference": difference,
        "moved": moved.head(MAX_ROWS).to_dict("records"),
        "pairs": [
            ("Pairs that came together", together.head(MAX_ROWS).to_dict("records")),
            ("Pairs that came apart", apart.head(MAX_ROWS).to_dict("records")),
        ],
        "groups": difference.groups.to_dict("records"),
        "shown": len(order),
        "number": number,
        "words": synset_words,
    }
    data = {
        "names": [difference.names[index] for index in order],
        "titles": [difference.first.title, difference.second.title],
        "first": _packed(before[square]),
        "second": _packed(after[square]),
    }
    return html.assemble("diff.html", DIFFERENCE_SCRIPTS, variables, data)


def _packed(matrix: Float64s) -> str:
    return base64.b64encode(matrix.astype("<f4").tobytes()).decode()
