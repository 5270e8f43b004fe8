"""``dsi mistakes``: the most telling mistakes of an epoch."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Epoch,
    Json,
    Output,
    Quiet,
    Run,
    complete_classes,
    option,
    switch,
)
from dsi_cli.cli.text import shorten, terminal_text
from dsi_cli.errors import DONE, UsageError
from dsi_cli.queries.matrices import SURPRISE_LEGEND
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from dsi_cli.queries.mistakes import ConfusedPair, Mistake, MistakeList

MAX_NAME_LENGTH = 40  # characters of a name in a table
_COLUMNS = (
    ("sample", "sample", ""),
    ("truth", "truth", ""),
    ("prediction", "prediction", ""),
    ("count", "count", "d"),
    ("share", "share", ".3f"),
    ("score", "score", ".3f"),
    ("{own}\nrank", "rank", ".0f"),
    ("{reference}\nsimilarity", "wordnet_similarity", ".3f"),
    ("{reference}\nrank", "wordnet_rank", ".0f"),
    ("", "surprise", ""),
)
"""Title, field and format of each column, for `console.print_records`."""


def mistakes(
    output: Output,
    epoch: Epoch = None,
    split: Annotated[
        str, option("--split", "SPLIT", "test or train.", ("test", "train"))
    ] = "test",
    run: Run = None,
    most: Annotated[
        int, option("--most -n -k", "NUMBER", "Number of rows of each table.", min=1)
    ] = 10,
    order: Annotated[
        str,
        option(
            "--sort",
            "ORDER",
            "Order of the samples: unreasonable (far from the true class first) or"
            " reasonable.",
            ("unreasonable", "reasonable"),
        ),
    ] = "unreasonable",
    truth: Annotated[
        str | None,
        option(
            "--truth", "CLASS", "List only samples of this class.", complete_classes
        ),
    ] = None,
    prediction: Annotated[
        str | None,
        option(
            "--prediction",
            "CLASS",
            "List only samples with this prediction.",
            complete_classes,
        ),
    ] = None,
    pairs: Annotated[
        bool, switch("--pairs", "List only the confused pairs, not the samples.")
    ] = False,
    sheet: Annotated[
        Path | None,
        option(
            "--sheet",
            "FILE",
            "Also write a PNG of the images with their classes and ranks.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the most telling mistakes of an epoch.

    dsi lists the most frequently confused pairs of classes, and then single samples.
    Samples are sorted by the mean rank of the prediction by the network (NCSM) and by
    WordNet. Rank 1 is the class most similar to the true one.

    Examples
    --------
    dsi mistakes dsi-out --epoch 25 -n 10
    dsi mistakes dsi-out --pairs --truth whale
    dsi mistakes dsi-out --sheet mistakes.png  # with the images
    """
    from dsi_cli.queries.mistakes import MistakeQuery, confused_pairs, worst_mistakes
    from dsi_cli.store.results import Results

    if pairs and sheet is not None:
        raise UsageError(
            "a contact sheet shows samples",
            hint="leave out --pairs, or --sheet",
            code="options-conflict",
        )
    if sheet is not None:
        atomic_write.require_suffix(sheet, (".png",), "a contact sheet is a PNG")
    results, query = (
        Results(output),
        MistakeQuery(run, epoch, split, truth, prediction, order, most),
    )
    if pairs:
        confused = confused_pairs(results, query)
        if as_json:
            console.print_json(console.query_document(confused))
        else:
            _print(confused)
        return DONE
    samples = worst_mistakes(results, query)
    confused = confused_pairs(results, samples.query)
    added: dict[str, Any] = {"pairs": [asdict(row) for row in confused.rows]}
    if sheet is not None:
        from dsi_cli.figures import image_grid
        from dsi_cli.inference.open_dataset import image_at

        failed = image_grid.save(samples, image_at, sheet)
        unopened = {
            samples.rows[index].sample: reason for index, reason in failed.items()
        }
        if unopened:
            counts = f"{len(unopened)} of {console.count(len(samples.rows), 'image')}"
            message = (
                f"warning: {counts} could not be opened:"
                f" {next(iter(unopened.values()))}"
            )
            console.note(message, quiet=quiet or as_json)
        added |= {"sheet": str(sheet), "unopened": unopened}
    if as_json:
        console.print_json(console.query_document(samples) | added)
        return DONE
    if confused.rows:
        _print(confused)
        print()
    _print(samples)
    if sheet is not None:
        print(f"sheet: {terminal_text(str(sheet))}")
    return DONE


def _print(listing: MistakeList[Mistake] | MistakeList[ConfusedPair]) -> None:
    """Print a list as a table, without empty columns, and paths without their common
    folder.
    """
    console.print_sentence(listing.title)
    if not listing.rows:
        return
    console.print_sentence(listing.legend)
    if any(row.surprise for row in listing.rows):
        console.print_sentence(SURPRISE_LEGEND)
    rows = [asdict(row) for row in listing.rows]
    folder = ""
    with suppress(ValueError):  # the paths have no common folder, or there are none
        paths = [row["path"] for row in rows if row.get("path")]
        folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120
        folder = os.path.commonpath(folders).rstrip("/")
    for row in rows:
        row["truth"], row["prediction"] = (
            shorten(row[name], MAX_NAME_LENGTH) for name in ("truth", "prediction")
        )
        if row.get("path"):
            row["sample"] = row["path"].removeprefix(f"{folder}/" if folder else "")
    own = (listing.own or "").upper()
    columns = [
        (title.format(own=own, reference=listing.reference), field, form)
        for title, field, form in _COLUMNS
    ]
    console.print_records(columns, rows)
    if folder:
        print(terminal_text(f"images in {folder}"))
