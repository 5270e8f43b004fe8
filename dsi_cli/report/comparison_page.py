"""The page of ``dsi compare`` (verdict with forest plot, both matrices, classes,
curves, tables), and that of ``dsi diff``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.metrics import NORMAL_QUANTILE
from dsi_cli.metrics.head_geometry import Float64s
from dsi_cli.metrics.measures import Values
from dsi_cli.queries.comparison.compare import MANY_PAIRS, Comparison
from dsi_cli.queries.comparison.criteria import measure_title
from dsi_cli.queries.comparison.equal_accuracy import (
    CriterionRow,
    describe_epochs,
    runs_at_epochs,
)
from dsi_cli.queries.comparison.network_pairs import compare_classes
from dsi_cli.queries.comparison.repetitions import CURVES, NETWORK_CURVE, RunCurve
from dsi_cli.queries.comparison.runs import ComparedRun
from dsi_cli.queries.difference import Difference
from dsi_cli.queries.matrices import block_means
from dsi_cli.queries.run_classes import synset_words, taxonomy_order
from dsi_cli.report import html
from dsi_cli.report.html import six_digits
from dsi_cli.store import atomic_write
from dsi_cli.store.results import Results

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


def save(page: str, path: Path) -> Path:
    """Write a page, and return its path; raise `OutputError` if it cannot be
    written.
    """
    atomic_write.write_atomically(path, page.encode(errors="backslashreplace"))
    return path


def render(comparison: Comparison) -> str:
    """Return the HTML page of a comparison; equal comparisons give equal pages."""
    pairs = []
    for verdict, equal in comparison.pairs:
        first, second = (
            describe_epochs(equal.first_chosen),
            describe_epochs(equal.second_chosen),
        )
        pairs.append(
            {
                "verdict": verdict,
                "equal": equal,
                "forest": forest(equal.forest),
                "first": first,
                "second": second,
            }
        )
    names = list(dict.fromkeys(line.group for line in comparison.runs))
    kind = "groups" if comparison.has_groups else "runs"
    pictures = _pictures(comparison)
    variables = {
        "title": " and ".join(names) if len(names) == 2 else f"{len(names)} {kind}",
        "comparison": comparison,
        "has_groups": comparison.has_groups,
        "pairs": pairs,
        "pictures": pictures,
        "between": comparison.between[:MANY_PAIRS],
        "measure": measure_title(comparison.measures[0]),
        "number": number,
        "p_value_text": p_value_text,
        "sentence": lambda text: sentence(text, names),
        "most_pairs": MANY_PAIRS,
    }
    return html.assemble(
        "comparison.html",
        SCRIPTS,
        variables,
        {**curves(comparison), "pictures": pictures},
    )


def curves(comparison: Comparison) -> dict[str, Any]:
    """Return the data of the scripts: one panel per curve with one line per run or
    group, and that of the SAI between networks.

    The panel between networks has one band per pair of groups, or one line with its
    chance level per pair of runs.
    """
    panels = [_panel(comparison, curve) for curve in CURVES]
    networks = _panel(comparison, NETWORK_CURVE)
    if not comparison.has_groups:
        columns = {
            "value": "value",
            "chance": "null_mean",
            "chance_std": "null_std",
            "excess": "excess",
            "z": "z",
        }
        networks["lines"] = []
        for pair in [pair for pair in comparison.between[:MANY_PAIRS] if pair.points]:
            line = {
                "label": f"{pair.first} – {pair.second}",
                "epochs": [point.at for point in pair.points],
            }
            values = {
                key: six_digits([getattr(point, column) for point in pair.points])
                for key, column in columns.items()
            }
            networks["lines"].append(line | values)
    shown = [panel for panel in panels if panel["lines"]]
    return {
        "along": comparison.epochs,
        "reference": comparison.reference,
        "panels": shown,
        "networks": networks,
    }


def _panel(comparison: Comparison, curve: RunCurve) -> dict[str, Any]:
    is_excess = curve.column == "excess"
    axis = curve.axis_title(comparison.measures[0], comparison.split)
    if is_excess:
        axis += ": 0 is chance, 1 is perfect"
    lines = []
    for band in comparison.curves:
        if band.curve != curve.name:
            continue
        line: dict[str, Any] = {
            "label": band.group,
            "epochs": band.x,
            "value": six_digits(band.mean),
        }
        if len(band.runs) > 1:
            line["label"] += f", mean of {len(band.runs)}"
            line |= {"low": six_digits(band.low), "high": six_digits(band.high)}
        chance = [0.0] * len(band.x) if is_excess else band.chance
        if (is_excess or curve.chance) and any(level is not None for level in chance):
            line["chance"] = six_digits(chance)
            line["margin"] = six_digits(
                [
                    None if std is None else NORMAL_QUANTILE * std
                    for std in band.chance_std
                ]
            )
        lines.append(line)
    title = curve.title.replace("WordNet", comparison.reference)
    return {
        "name": curve.name,
        "title": title,
        "axis": axis,
        "isExcess": is_excess,
        "lines": lines,
    }


def forest(rows: Sequence[CriterionRow]) -> dict[str, Any]:
    """Return the positions of some rows and of ticks with their texts in a forest plot,
    in percent of the width; None if missing.

    Positive differences, which are to the right, favour the first network. The scale
    holds all intervals. The range of 95 % of pairs of repetitions, its start and its
    width, is cut off if it is larger.
    """
    ends = [
        abs(value)
        for row in rows
        for value in (row.low, row.high, row.difference)
        if value is not None
    ]
    limit = 1.1 * (max(ends, default=0.0) or 1.0)

    def position(value: float | None) -> float | None:
        return (
            None
            if value is None
            else round(50 + 50 * max(-1.0, min(1.0, value / limit)), 2)
        )

    placed = []
    for row in rows:
        seeds = None
        if row.seed_range is not None:
            half = min(50.0, 50 * row.seed_range / limit)
            seeds = (round(50 - half, 2), round(2 * half, 2))
        ends_of_row = {
            name: position(getattr(row, name)) for name in ("difference", "low", "high")
        }
        placed.append({"row": row, "seeds": seeds, **ends_of_row})

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
        text = (
            "0" if multiple == 0 else f"{multiple * step:+.{digits}f}".replace("-", "−")
        )
        ticks.append((round(50 + 50 * multiple * step / limit, 2), text))
    return {"rows": placed, "ticks": ticks}


def _pictures(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the matrices and classes of the first pairs of networks, in the display
    order of the first run.
    """
    runs = {
        line.label: ComparedRun(line.label, line.run, Results(line.output))
        for line in comparison.runs
    }
    pictures = []
    for equal in [equal for _, equal in comparison.pairs if equal.classes][
        :MAX_PICTURES
    ]:
        chosen = [*equal.first_chosen, *equal.second_chosen]
        epochs = {matched.run: matched.epoch for matched in chosen}
        at_epochs = runs_at_epochs(
            [runs[matched.run] for matched in chosen], epochs, equal.split
        )
        assert not isinstance(at_epochs, str)
        split_at = len(equal.first_chosen)
        pair = compare_classes(at_epochs[:split_at], at_epochs[split_at:])
        assert pair is not None
        order = taxonomy_order(at_epochs[0].run.classes)
        classes = [pair.classes[index] for index in order]
        side, first = _packed_ranks(pair.first[np.ix_(order, order)])
        _, second = _packed_ranks(pair.second[np.ix_(order, order)])
        names = [row.name for row in classes]
        agreements = [
            six_digits((row.first_agreement, row.second_agreement)) for row in classes
        ]
        picture = {
            "first": equal.first,
            "second": equal.second,
            "side": side,
            "ranks": [first, second],
            "names": names,
        }
        pictures.append(
            picture
            | {
                "agreements": agreements,
                "classes": [asdict(row) for row in equal.classes],
            }
        )
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


def number(value: float | None, form: str = "z.3f") -> str:
    """Return a number as text with a typographic minus sign; None and NaN give a
    dash.
    """
    return "–" if value is None or isnan(value) else f"{value:{form}}".replace("-", "−")


def sentence(text: str, names: Sequence[str] = ()) -> str:
    """Return a message as a sentence. A run's name at the start keeps its case.

    >>> sentence("no difference (-0.1 to -0.05)", ["cnn"])
    'No difference (−0.1 to −0.05).'
    """
    text = re.sub(r"(?<![^\s(])-(?=\d)", "−", text)
    return (
        text if text.startswith(tuple(names)) else text[:1].upper() + text[1:]
    ) + "."


def render_difference(difference: Difference) -> str:
    """Return the HTML page of a difference; equal differences give equal pages."""
    moved, pairs = (
        difference.moved,
        difference.pairs[difference.pairs["beyond_rounding"]],
    )
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
    before, after = difference.first.cosines, difference.second.cosines
    square = np.ix_(order, order)
    together, apart = (
        pairs[pairs["similarity_change"] > 0],
        pairs[pairs["similarity_change"] < 0],
    )
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
