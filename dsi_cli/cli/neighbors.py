"""``dsi neighbors``: the classes nearest to a class, the closest pairs, and how neighbours changed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.analyze import Json, Quiet
from dsi_cli.errors import DONE, UsageError

if TYPE_CHECKING:
    from dsi_cli.queries.neighbor_history import Interval, NeighborHistory
    from dsi_cli.queries.neighbors import NeighborList

LONGEST = 28
"""Characters of a name that a table shows."""
MOST_STAYS = 3
"""Stays among the nearest that a line shows."""


def neighbors(
    output: Annotated[Path, typer.Argument(help="Output folder of dsi analyze.")],
    of: Annotated[
        str | None,
        typer.Option("--class", help="The class whose neighbours are listed.", autocompletion=completion.classes),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            help="The trainer's own number; the last with that matrix by default.",
            autocompletion=completion.epochs,
        ),
    ] = None,
    most: Annotated[int, typer.Option("--most", "-k", min=1, help="How many are listed.")] = 10,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="ncsm, ncsm_centred, ccsm, tncsm, or scsm for WordNet's matrix.",
            autocompletion=completion.of(completion.KINDS),
        ),
    ] = "ncsm",
    split: Annotated[
        str | None,
        typer.Option(
            "--split", help="train or test, for matrices that have one.", autocompletion=completion.of(("test", "train"))
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Where the folder holds several runs.", autocompletion=completion.runs)
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The closest pairs of all classes; what is listed without --class.")
    ] = False,
    over_epochs: Annotated[
        bool, typer.Option("--over-epochs", help="How the class's neighbours changed: when each came and went.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the classes most similar to a class, or the closest pairs, beside what WordNet says of them.

    Ties stand in order of class index. The similarity of a pair is the mean of its two directions where a matrix is not symmetric.

    Examples
    --------
    dsi neighbors dsi-out --class dolphin --epoch 25 -k 5
    dsi neighbors dsi-out --class dolphin --over-epochs
    dsi neighbors dsi-out --pairs --kind ccsm --split test
    """
    from dsi_cli.queries.neighbor_history import neighbor_history as history_of
    from dsi_cli.queries.neighbors import NeighborQuery, closest_pairs, nearest
    from dsi_cli.store.results import Results

    if pairs and of is not None:
        raise UsageError("the closest pairs are those of all classes: leave out --pairs, or --class")
    if over_epochs and of is None:
        raise UsageError("--over-epochs shows how the neighbours of one class changed: add --class NAME")
    found, asked = Results(output), NeighborQuery(kind, epoch, split, run, most)
    if over_epochs and of is not None:
        _print_history(history_of(found, of, asked), as_json=as_json, quiet=quiet)
    else:
        _print_listing(closest_pairs(found, asked) if of is None else nearest(found, of, asked), as_json=as_json)
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
    shown = history.shown
    comes_and_goes = not history.is_lasting
    legend = "place at an epoch" + ", in brackets where not among them; when it was among them" * comes_and_goes
    console.print_sentence(legend, 0, 2)
    rows = [row for row in history.rows if any(row.places[at] <= history.query.most for at in shown)]
    semantic = history.wordnet_furthest is not None
    titles = [("class", False), *((str(history.epochs[at]), True) for at in shown)]
    titles += [("WordNet\nrank", True)] * semantic + [("among the nearest", False)] * comes_and_goes
    cells = []
    for row in rows:
        line = [_short(row.name), *(_bracketed(row.places[at], history.query.most) for at in shown)]
        rank = "-" if row.wordnet_rank is None else f"{row.wordnet_rank:g}"
        cells.append([*line, *([rank] * semantic), *([_spans(row.stays)] * comes_and_goes)])
    console.print_columns(titles, cells)
    if len(rows) < len(history.rows):
        left_out = len(history.rows) - len(rows)
        were = "class that was" if left_out == 1 else "classes that were"
        console.note(f"not shown: {left_out:,} {were} among them at other epochs only; --json has all", quiet=quiet)


def _bracketed(place: int, most: int) -> str:
    return str(place) if place <= most else f"({place})"


def _spans(stays: list[Interval]) -> str:
    """Return the epochs of stays, the last ones where there are many: ``3-7, 12, 20-``, open where the run ends in one."""
    spans = [_span(stay) for stay in stays]
    return ", ".join(spans if len(spans) <= MOST_STAYS else ["...", *spans[-MOST_STAYS:]])


def _span(stay: Interval) -> str:
    if stay.left is None:
        return f"{stay.entered}-"
    return str(stay.entered) if stay.last == stay.entered else f"{stay.entered}-{stay.last}"


def _cell(value: Any, form: str | None) -> str:
    if form is None:
        return _short(value)
    return "-" if value is None else f"{value:{form}}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}..."


_COLUMNS = (
    ("", "place"),
    ("class", "name"),
    ("class", "first"),
    ("and", "second"),
    ("similarity", "similarity"),
    ("WordNet\nsimilarity", "wordnet_similarity"),
    ("WordNet\nrank", "wordnet_rank"),
)
