"""``dsi neighbors``: the classes most similar to a class, the closest pairs, and how neighbours changed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.shared_options import Epoch, Json, Kind, Output, Quiet, Run, Split
from dsi_cli.errors import DONE, UsageError

if TYPE_CHECKING:
    from dsi_cli.queries.neighbor_history import Interval, NeighborHistory
    from dsi_cli.queries.neighbors import NeighborList

MAX_NAME_LENGTH = 28
"""The largest number of characters of a name in a table."""
MAX_INTERVALS = 3
"""The largest number of intervals of epochs that a row shows."""


def neighbors(
    output: Output,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="CLASS", help="The class whose neighbours are listed.", autocompletion=completion.classes
        ),
    ] = None,
    epoch: Epoch = None,
    most: Annotated[int, typer.Option("--most", "-k", metavar="NUMBER", min=1, help="Number of rows.")] = 10,
    kind: Kind = "ncsm",
    split: Split = None,
    run: Run = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="List the closest pairs of all classes, which is the default without --class.")
    ] = False,
    over_epochs: Annotated[
        bool, typer.Option("--over-epochs", help="Show at which epochs each class was among the neighbours of --class.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the classes most similar to a class, or the closest pairs, with their similarity in WordNet.

    Ties are in order of the class index. If a matrix is not symmetric, the similarity of a pair is the mean of both directions.

    Examples
    --------
    dsi neighbors dsi-out --class dolphin --epoch 25 -k 5
    dsi neighbors dsi-out --class dolphin --over-epochs
    dsi neighbors dsi-out --pairs --kind ccsm --split test
    """
    from dsi_cli.queries.neighbor_history import neighbor_history as neighbor_history
    from dsi_cli.queries.neighbors import NeighborQuery, closest_pairs, nearest
    from dsi_cli.store.results import Results

    if pairs and class_name is not None:
        raise UsageError(
            "the closest pairs are those of all classes: leave out --pairs, or --class", code="options-conflict"
        )
    if over_epochs and class_name is None:
        raise UsageError("--over-epochs shows how the neighbours of one class changed: add --class NAME", code="no-class")
    results, query = Results(output), NeighborQuery(kind, epoch, split, run, most)
    if class_name is None:
        _print_listing(closest_pairs(results, query), as_json=as_json)
    elif over_epochs:
        _print_history(neighbor_history(results, class_name, query), as_json=as_json, quiet=quiet)
    else:
        _print_listing(nearest(results, class_name, query), as_json=as_json)
    return DONE


def _print_listing(listing: NeighborList, *, as_json: bool) -> None:
    document = asdict(listing)
    if as_json:
        console.print_json({**document.pop("query"), **document})
        return
    console.print_sentence(listing.title, 0, 2)
    if listing.legend:
        console.print_sentence(listing.legend, 0, 2)
    form = {"similarity": ".3f", "wordnet_similarity": ".3f", "wordnet_rank": "g", "place": "d"}
    rows = document["rows"]
    columns = [column for column in _COLUMNS if any(row.get(column[1]) is not None for row in rows)]
    cells = [[_cell(row[name], form.get(name)) for _, name in columns] for row in rows]
    console.print_columns([(title, name in form) for title, name in columns], cells)


def _print_history(history: NeighborHistory, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        document = asdict(history)
        console.print_json({**document.pop("query"), **document})
        return
    console.print_sentence(history.title, 0, 2)
    epochs = history.shown
    rows = [row for row in history.rows if any(row.places[index] <= history.query.most for index in epochs)]
    columns: list[tuple[str, bool, list[str]]] = [("class", False, [_short(row.name) for row in rows])]
    for index in epochs:
        places = [_bracketed(row.places[index], history.query.most) for row in rows]
        columns.append((str(history.epochs[index]), True, places))
    if history.wordnet_furthest is not None:
        columns.append(("WordNet\nrank", True, [_cell(row.wordnet_rank, "g") for row in rows]))
    legend = "place at an epoch"
    if not history.is_lasting:
        legend += ", in brackets where not among them; when it was among them"
        columns.append(("among the nearest", False, [_format_intervals(row.stays) for row in rows]))
    console.print_sentence(legend, 0, 2)
    cells = zip(*(texts for _, _, texts in columns), strict=True)
    console.print_columns([(title, is_number) for title, is_number, _ in columns], cells)
    if len(rows) < len(history.rows):
        left_out = len(history.rows) - len(rows)
        noun = "class that was" if left_out == 1 else "classes that were"
        console.note(f"not shown: {left_out:,} {noun} among them at other epochs only; --json has all", quiet=quiet)


def _bracketed(place: int, most: int) -> str:
    return str(place) if place <= most else f"({place})"


def _format_intervals(intervals: list[Interval]) -> str:
    """Return the last intervals of epochs, such as ``3-7, 12, 20-``; the last one is open if it reaches the end of the run."""
    texts = ["..."] if len(intervals) > MAX_INTERVALS else []
    for interval in intervals[-MAX_INTERVALS:]:
        if interval.left is None:
            texts.append(f"{interval.entered}-")
        elif interval.last == interval.entered:
            texts.append(str(interval.entered))
        else:
            texts.append(f"{interval.entered}-{interval.last}")
    return ", ".join(texts)


def _cell(value: Any, form: str | None) -> str:
    if form is None:
        return _short(value)
    return "-" if value is None else f"{value:{form}}"


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}..."


_COLUMNS = (
    ("", "place"),
    ("class", "name"),
    ("class", "first"),
    ("and", "second"),
    ("similarity", "similarity"),
    ("WordNet\nsimilarity", "wordnet_similarity"),
    ("WordNet\nrank", "wordnet_rank"),
)
