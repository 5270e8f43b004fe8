"""``dsi mistakes``: the most telling mistakes of an epoch."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.analyze import Json, Quiet
from dsi_cli.errors import DONE, UsageError

if TYPE_CHECKING:
    from dsi_cli.queries.mistakes import ConfusedPair, Mistake, MistakeList

LONGEST = 40
"""Characters of a name that a table shows."""


def mistakes(
    output: Annotated[Path, typer.Argument(help="Output folder of dsi analyze.")],
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            help="The trainer's own number; the last with predictions by default.",
            autocompletion=completion.epochs,
        ),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="test or train.", autocompletion=completion.of(("test", "train")))
    ] = "test",
    run: Annotated[
        str | None, typer.Option("--run", help="Where the folder holds several runs.", autocompletion=completion.runs)
    ] = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many are listed.")] = 20,
    order: Annotated[
        str,
        typer.Option(
            "--sort",
            help="unreasonable (far from the truth first) or reasonable (near first).",
            autocompletion=completion.of(("unreasonable", "reasonable")),
        ),
    ] = "unreasonable",
    truth: Annotated[
        str | None, typer.Option("--truth", help="Only samples of this class.", autocompletion=completion.classes)
    ] = None,
    prediction: Annotated[
        str | None,
        typer.Option("--prediction", help="Only samples taken for this class.", autocompletion=completion.classes),
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="The most frequent confused pairs of classes instead of samples.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Also a PNG of the images, with what is known.")] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder to find the images in, where they have moved since.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the most telling mistakes of an epoch.

    How far a prediction is from the truth is its rank among the other classes, by the network's own similarity (NCSM) and by
    WordNet: 1 is the most similar class. The order is by the mean of the two ranks, each over the last rank.

    Examples
    --------
    dsi mistakes dsi-out --epoch 25 -n 10
    dsi mistakes dsi-out --pairs --truth whale
    dsi mistakes dsi-out --sheet mistakes.png  # with the images
    """
    from dsi_cli.queries.mistakes import MistakeQuery, confused_pairs, worst_mistakes
    from dsi_cli.store.results import Results

    if pairs and sheet is not None:
        raise UsageError("a contact sheet shows samples: leave out --pairs, or --sheet")
    if images is not None and sheet is None:
        raise UsageError("--images says where the images of a contact sheet are: add --sheet FILE.png")
    if sheet is not None:
        from dsi_cli.figures import image_grid

        image_grid.require_png(sheet)
    asked = MistakeQuery(run, epoch, split, truth, prediction, order, most)
    if pairs:
        _print(confused_pairs(Results(output), asked), {}, as_json=as_json)
        return DONE
    listing = worst_mistakes(Results(output), asked)
    unopened = _make_sheet(listing, sheet, images, quiet=quiet or as_json) if sheet is not None else {}
    _print(listing, {"sheet": str(sheet), "unopened": unopened} if sheet is not None else {}, as_json=as_json)
    if sheet is not None and not as_json:
        print(f"sheet: {console.shown(str(sheet))}")
    return DONE


def _make_sheet(listing: MistakeList[Mistake], sheet: Path, images: Path | None, *, quiet: bool) -> dict[int, str]:
    """Write the sheet; return which samples' images could not be opened, and why."""
    from dsi_cli.figures import image_grid
    from dsi_cli.inference.open_dataset import image_at
    from dsi_cli.queries.relocated_images import RelocatedImages

    moved = None if images is None else RelocatedImages(images, [row.path for row in listing.rows if row.path])
    failed = image_grid.save(listing, lambda path: image_at(path if moved is None else moved(path)), sheet)
    unopened = {listing.rows[at].sample: reason for at, reason in failed.items()}
    if unopened:
        first = next(iter(unopened.values()))
        told = f"warning: {len(unopened)} of {console.count(len(listing.rows), 'image')} could not be opened: {first}"
        console.note(told + ("" if images else "; if they have moved, add --images FOLDER"), quiet=quiet)
    return unopened


def _print(listing: MistakeList[Mistake] | MistakeList[ConfusedPair], sheet: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        document = asdict(listing)
        rows = document.pop("rows")
        console.print_json({**document.pop("query"), **document, **sheet, "rows": rows})
        return
    console.print_sentence(listing.title, 0, 2)
    if not listing.rows:
        return
    console.print_sentence(listing.legend, 0, 2)
    _print_table(listing)


def _print_table(listing: MistakeList[Mistake] | MistakeList[ConfusedPair]) -> None:
    """Print a line a row, without the columns that are empty throughout; paths without the folder that all share."""
    from rich.table import Table
    from rich.text import Text

    rows = [asdict(row) for row in listing.rows]
    folder = _shared_folder([row["path"] for row in rows if row.get("path")])
    for row in rows:
        row |= {field: name if len(name := row[field]) <= LONGEST else f"{name[:LONGEST]}..." for field in _NAMES}
        if row.get("path"):
            row["sample"] = row["path"].removeprefix(f"{folder}/" if folder else "")
    columns = [column for column in _COLUMNS if any(row.get(column[1]) is not None for row in rows)]
    table = Table(pad_edge=False, box=None, header_style="bold")
    for name, _, form in columns:
        title = name.format(own=(listing.own or "").upper())
        table.add_column(title, justify="right" if form else "left", no_wrap=bool(form), overflow="fold")
    for row in rows:
        cells = ("-" if row[field] is None else f"{row[field]:{form}}" for _, field, form in columns)
        table.add_row(*(Text(console.shown(cell)) for cell in cells))
    console.print_table(table)
    if folder:
        print(console.shown(f"images in {folder}"))


def _shared_folder(paths: list[str]) -> str:
    """Return the folder that all paths are in; nothing where they share none."""
    try:
        shared: str = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120 (a row of a file is no path)
    except ValueError:
        return ""
    return shared.rstrip("/")


_NAMES = ("truth", "prediction")
_COLUMNS = (
    ("sample", "sample", ""),
    ("truth", "truth", ""),
    ("prediction", "prediction", ""),
    ("count", "count", "d"),
    ("share", "share", ".3f"),
    ("score", "score", ".3f"),
    ("{own}\nrank", "rank", "g"),
    ("WordNet\nsimilarity", "wordnet_similarity", ".3f"),
    ("WordNet\nrank", "wordnet_rank", "g"),
)
"""Name, field and form: none for text, which may be broken into lines."""
