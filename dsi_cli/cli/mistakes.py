"""``dsi mistakes``: the most confused pairs of classes and the worst mistakes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from dsi_cli.cli import console, tables
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
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, UsageError
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    import pandas as pd

MAX_NAME_LENGTH = 40  # characters of a name in a table
_COLUMNS = {
    "sample": ("sample", ""),
    "file": ("file", ""),
    "epochs": ("epochs", ""),
    "truth": ("truth", ""),
    "prediction": ("prediction", ""),
    "count": ("count", "d"),
    "share": ("share", ".3f"),
    "score": ("score", ".3f"),
    "rank": ("{own}\nrank", ".0f"),
    "wordnet_similarity": ("{reference}\nsimilarity", ".3f"),
    "wordnet_rank": ("{reference}\nrank", ".0f"),
    "surprise": ("", ""),
}


def mistakes(
    output: Output,
    epoch: Epoch = None,
    split: Annotated[
        str, option("--split", "SPLIT", "test or train.", ("test", "train"))
    ] = "test",
    run: Run = None,
    most: Annotated[
        int, option("--most -n", "NUMBER", "Number of rows of each table.", min=1)
    ] = 10,
    order: Annotated[
        str | None,
        option(
            "--sort",
            "ORDER",
            "Order of the samples: unreasonable (far from the true class first),"
            " reasonable, or surest (predicted so at the most of the last 5 epochs"
            " first), the default of --split train with --truth and --prediction.",
            ("unreasonable", "reasonable", "surest"),
        ),
    ] = None,
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
    """List the most confused pairs of classes and the worst mistakes.

    dsi lists the most frequently confused pairs of classes, and then single samples.
    Samples are sorted by the mean rank of the prediction by the network (NCSM) and by
    WordNet. Rank 1 is the class most similar to the true one. With --split train, the
    surest mistakes are probably mislabelled images.

    Examples
    --------
    dsi mistakes dsi-out --epoch 25 -n 10
    dsi mistakes dsi-out --pairs --truth whale
    dsi mistakes dsi-out --sheet mistakes.png  # with the images
    dsi mistakes dsi-out --split train --truth bus --prediction orange
    """
    from dsi_cli.queries.mistakes import SUREST, confused_pairs, worst_mistakes
    from dsi_cli.store.results import Results

    if pairs and sheet is not None:
        raise UsageError(
            "a contact sheet shows samples",
            hint="leave out --pairs, or --sheet",
            code="options-conflict",
        )
    if sheet is not None:
        atomic_write.require_suffix(sheet, (".png",), "a contact sheet is a PNG")
    results = Results(output)
    selection: dict[str, Any] = {
        "run": run,
        "epoch": epoch,
        "split": split,
        "truth": truth,
        "prediction": prediction,
        "order": order,
        "most": most,
    }
    samples = None if pairs else worst_mistakes(results, **selection)
    if samples is not None:
        selection["epoch"] = samples.attrs["epoch"]
        if samples.attrs["order"] == SUREST:
            selection["order"] = None
    selection["order"] = selection["order"] or "unreasonable"
    confused = confused_pairs(results, **selection)
    unopened: dict[int, str] = {}
    if samples is not None and sheet is not None:
        unopened = _save_sheet(samples, sheet, quiet=quiet or as_json)
    if as_json:
        _print_json(confused, samples, sheet, unopened)
        return DONE
    if samples is None:
        tables.print_listing(confused, _COLUMNS, MAX_NAME_LENGTH)
        return DONE
    if len(confused):
        tables.print_listing(confused, _COLUMNS, MAX_NAME_LENGTH)
        print()
    _print_samples(samples)
    if sheet is not None:
        print(f"sheet: {terminal_text(str(sheet))}")
    return DONE


def _save_sheet(samples: pd.DataFrame, sheet: Path, *, quiet: bool) -> dict[int, str]:
    """Write the images of some samples, and return why images could not be opened, by
    sample.
    """
    from dsi_cli.figures import image_grid
    from dsi_cli.inference.open_dataset import image_at

    failed = image_grid.save(samples, image_at, sheet)
    unopened = {int(samples["sample"][row]): reason for row, reason in failed.items()}
    if unopened:
        counts = f"{len(unopened)} of {console.count(len(samples), 'image')}"
        reason = next(iter(unopened.values()))
        console.note(f"warning: {counts} could not be opened: {reason}", quiet=quiet)
    return unopened


def _print_json(
    confused: pd.DataFrame,
    samples: pd.DataFrame | None,
    sheet: Path | None,
    unopened: dict[int, str],
) -> None:
    if samples is None:
        tables.print_json(confused)
        return
    added: dict[str, Any] = {"pairs": confused}
    if sheet is not None:
        added |= {"sheet": str(sheet), "unopened": unopened}
    tables.print_json(samples, **added)


def _print_samples(samples: pd.DataFrame) -> None:
    """Print samples; an image is shown as its path without the common folder. The
    surest mistakes also have their number.
    """
    shown, folder, column = samples.copy(), "", "sample"
    shown["sample"] = shown["sample"].astype(str)
    if "epochs" in shown:
        column = "file"
        shown["epochs"] = [
            f"{row.epochs} of {row.of_epochs}" for row in samples.itertuples()
        ]
    paths = shown["path"].dropna()
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120
    with suppress(ValueError):  # the paths have no common folder, or there are none
        folder = os.path.commonpath(folders).rstrip("/")
    for row, path in paths.items():
        shown.loc[row, column] = path.removeprefix(f"{folder}/" if folder else "")
    tables.print_listing(shown, _COLUMNS, MAX_NAME_LENGTH)
    if folder:
        print(terminal_text(f"images in {folder}"))
