"""The page of ``dsi diff``: the finding, both matrices and their difference, and the tables of classes, pairs and groups."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.metrics.head_difference import Float64s
from dsi_cli.queries.difference import Difference
from dsi_cli.queries.run_classes import synset_words
from dsi_cli.report import html
from dsi_cli.report.comparison_page import number
from dsi_cli.store import atomic_write

SCRIPTS = ("frame.js", "colours.js", "diff.js")
"""Scripts of the page in the order in which they are joined."""
FILE = "diff.html"
MAX_SIDE = 400
"""Maximum number of rows of a shown matrix; of larger matrices the classes that moved most are shown."""
MAX_ROWS = 50
"""Maximum number of rows of a table."""


def save(difference: Difference, path: Path) -> Path:
    """Write the page and return its path.

    Raises
    ------
    OutputError
        The page cannot be written.
    """
    atomic_write.write_atomically(path, render(difference).encode(errors="backslashreplace"))
    return path


def render(difference: Difference) -> str:
    """Return the HTML page; equal differences give equal pages."""
    moved, pairs = difference.moved, difference.pairs[difference.pairs["beyond_rounding"]]
    order = list((difference.first if difference.first.order else difference.second).order) or list(range(len(moved)))
    if len(order) > MAX_SIDE:
        shown = set(difference.classes.sort_values("similarity_change")["class_index"].tail(MAX_SIDE))
        order = [index for index in order if index in shown]
    before, after = difference.first.cosines, difference.second.cosines
    square = np.ix_(order, order)
    together, apart = pairs[pairs["similarity_change"] > 0], pairs[pairs["similarity_change"] < 0]
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
        "number": _number,
        "words": synset_words,
    }
    data = {
        "names": [difference.names[index] for index in order],
        "titles": [difference.first.title, difference.second.title],
        "first": _packed(before[square]),
        "second": _packed(after[square]),
    }
    return html.assemble("diff.html", SCRIPTS, variables, data)


def _number(value: Any, form: str = "z.3f") -> str:
    return number(None if value is None or value != value else float(value), form)


def _packed(matrix: Float64s) -> str:
    return base64.b64encode(matrix.astype("<f4").tobytes()).decode()
