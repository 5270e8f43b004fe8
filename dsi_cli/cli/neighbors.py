"""``dsi neighbors``: the classes most similar to a class, the closest pairs, and how
neighbours changed.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Epoch,
    Json,
    Kind,
    Output,
    Quiet,
    Run,
    Split,
    complete_classes,
    option,
    switch,
)
from dsi_cli.cli.text import cell, shorten, sparkline
from dsi_cli.errors import DONE, UsageError
from dsi_cli.queries.epoch_sampling import log_spaced
from dsi_cli.queries.matrices import SURPRISE_LEGEND

if TYPE_CHECKING:
    from dsi_cli.queries.neighbors import NeighborHistory, NeighborList

MAX_NAME_LENGTH = 28  # characters of a name in a table
MAX_BARS = 24  # epochs that a row shows as bars
_COLUMNS = (
    ("", "place", "d"),
    ("class", "name", ""),
    ("class", "first", ""),
    ("and", "second", ""),
    ("similarity", "similarity", ".3f"),
    ("{reference}\nsimilarity", "wordnet_similarity", ".3f"),
    ("{reference}\nrank", "wordnet_rank", ",.0f"),
    ("", "surprise", ""),
)
"""Title, field and format of each column, for `console.print_records`."""


def neighbors(
    output: Output,
    class_name: Annotated[
        str | None,
        option(
            "--class",
            "CLASS",
            "The class whose neighbours are listed.",
            complete_classes,
        ),
    ] = None,
    epoch: Epoch = None,
    most: Annotated[
        int, option("--most -n -k", "NUMBER", "Number of rows.", min=1)
    ] = 10,
    kind: Kind = "ncsm",
    split: Split = None,
    run: Run = None,
    pairs: Annotated[
        bool, switch("--pairs", "List the closest pairs; the default without --class.")
    ] = False,
    over_epochs: Annotated[
        bool, switch("--over-epochs", "Show how the neighbours of --class changed.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the classes most similar to a class, or the closest pairs, with their
    similarity in WordNet.

    If a matrix is not symmetric, the similarity of a pair is the mean of both
    directions.

    Examples
    --------
    dsi neighbors dsi-out --class dolphin --epoch 25 -k 5
    dsi neighbors dsi-out --class dolphin --over-epochs
    dsi neighbors dsi-out --pairs --kind ccsm --split test
    """
    from dsi_cli.queries.neighbors import (
        NeighborHistory,
        NeighborQuery,
        closest_pairs,
        nearest,
        neighbor_history,
    )
    from dsi_cli.store.results import Results

    if pairs and class_name is not None:
        message = "the closest pairs are those of all classes"
        raise UsageError(
            message, hint="leave out --pairs, or --class", code="options-conflict"
        )
    if over_epochs and class_name is None:
        raise UsageError(
            "--over-epochs shows how the neighbours of one class changed",
            hint="add --class NAME",
            code="no-class",
        )
    results, query = Results(output), NeighborQuery(kind, epoch, split, run, most)
    found: NeighborList | NeighborHistory
    if class_name is None:
        found = closest_pairs(results, query)
    elif over_epochs:
        found = neighbor_history(results, class_name, query)
    else:
        found = nearest(results, class_name, query)
    if as_json:
        console.print_json(console.query_document(found))
        return DONE
    if isinstance(found, NeighborHistory):
        _print_history(found, quiet=quiet)
        return DONE
    console.print_sentence(found.title)
    if found.legend:
        console.print_sentence(found.legend)
    rows = [asdict(row) for row in found.rows]
    if any(row["surprise"] for row in rows):
        console.print_sentence(SURPRISE_LEGEND)
    for row in rows:
        row |= {
            name: shorten(row[name], MAX_NAME_LENGTH)
            for name in ("name", "first", "second")
            if name in row
        }
    columns = [
        (title.format(reference=found.reference), field, form)
        for title, field, form in _COLUMNS
    ]
    console.print_records(columns, rows)
    return DONE


def _print_history(history: NeighborHistory, *, quiet: bool) -> None:
    # Of many epochs, some decide which classes are shown; most are early, where most
    # changes.
    shown, most = log_spaced(range(len(history.epochs))), history.query.most
    rows = [
        row
        for row in history.rows
        if any((row.places[index] or most + 1) <= most for index in shown)
    ]
    console.print_sentence(history.title)
    console.print_sentence("rank 1 is the most similar class and has the highest bar")
    if any(row.surprise for row in rows):
        console.print_sentence(SURPRISE_LEGEND)
    first, last = history.epochs[0], history.epochs[-1]
    titles = [
        "class",
        f"#rank at\nepoch {first}",
        f"rank, epochs {first} to {last}",
        f"#rank at\nepoch {last}",
    ]
    # The bar of rank 1 is the highest. The logarithm shows differences between near
    # classes.
    furthest = math.log(max(2, *(place or 2 for row in rows for place in row.places)))
    cells = []
    for row in rows:
        bars = sparkline(
            [place and furthest - math.log(place) for place in row.places],
            furthest,
            MAX_BARS,
        )
        cells.append(
            [
                shorten(row.name, MAX_NAME_LENGTH),
                cell(row.places[0], "d"),
                bars,
                cell(row.places[-1], "d"),
            ]
        )
        if history.wordnet_furthest is not None:
            cells[-1] += [cell(row.wordnet_rank, ".0f"), "!" if row.surprise else ""]
    if history.wordnet_furthest is not None:
        titles += [f"#{history.reference}\nrank", ""]
    console.print_columns(titles, cells)
    if len(rows) < len(history.rows):
        left_out = len(history.rows) - len(rows)
        noun = "class that was" if left_out == 1 else "classes that were"
        console.note(
            f"not shown: {left_out:,} {noun} among them at other epochs only; --json"
            " has all",
            quiet=quiet,
        )
