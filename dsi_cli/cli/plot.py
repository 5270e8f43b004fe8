"""``dsi plot``: figures for a paper or a screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Json,
    Quiet,
    complete_from,
    complete_runs,
    option,
    switch,
)
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, UsageError
from dsi_cli.figures import catalogue
from dsi_cli.figures.catalogue import (
    ANIMATION,
    ANIMATION_FORMATS,
    FIGURES,
    FORMATS,
    FigureOptions,
)
from dsi_cli.figures.style import STYLES, Style
from dsi_cli.queries.run_classes import ORDERS
from dsi_cli.store.schema import MATRIX_KINDS


def plot(
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUT",
            help="Output folder of dsi analyze; --list does not need one.",
            show_default=False,
        ),
    ] = None,
    figures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIGURE",
            help=(
                f"Names: {', '.join(spec.name for spec in FIGURES)}, {ANIMATION}."
                " Default: all figures that have data."
            ),
            autocompletion=complete_from([*(spec.name for spec in FIGURES), ANIMATION]),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option("--out -o", "DIR", "Folder for the files. Default: OUTPUT/figures."),
    ] = None,
    form: Annotated[
        list[str] | None,
        option(
            "--format -f",
            "FORMAT",
            f"{', '.join(FORMATS)}; for the animation {', '.join(ANIMATION_FORMATS)}."
            " Repeatable. Default: png, gif.",
            (*FORMATS, *ANIMATION_FORMATS),
        ),
    ] = None,
    style: Annotated[
        str, option("--style", "STYLE", " or ".join(STYLES) + ".", STYLES)
    ] = "screen",
    columns: Annotated[
        int,
        option(
            "--columns",
            "NUMBER",
            "Columns of a page that a figure spans.",
            min=1,
            max=2,
        ),
    ] = 1,
    run: Annotated[
        list[str] | None,
        option("--run", "NAME", "Draw only this run. Repeatable.", complete_runs),
    ] = None,
    epochs: Annotated[
        str | None,
        option("--epochs", "EPOCHS", "Epochs for matrices: 0,5,30 or first:last:step."),
    ] = None,
    kind: Annotated[
        str | None,
        option(
            "--kind",
            "KIND",
            "Of the matrix: ncsm, ncsm_centred, ccsm, tncsm.",
            MATRIX_KINDS,
        ),
    ] = None,
    measure: Annotated[
        str | None,
        option("--measure", "NAME", "Measure of the SAI; the agreement by default."),
    ] = None,
    order: Annotated[
        str,
        option(
            "--order",
            "ORDER",
            "Order of the classes: taxonomy, given, name or cluster.",
            ORDERS,
        ),
    ] = "taxonomy",
    listed: Annotated[
        bool, switch("--list", "List the figures; with OUTPUT, those with data first.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Draw the figures of an analysis.

    Several runs share one figure.

    Examples
    --------
    dsi plot --list
    dsi plot dsi-out --list  # which have data, and what the others need
    dsi plot dsi-out agreement wsi --style paper --columns 2 --format pdf
    dsi plot dsi-out heatmaps --epochs 0,1,30 -o figures
    dsi plot dsi-out animation --format webp
    """
    from dsi_cli.figures import save
    from dsi_cli.inference.open_dataset import image_at
    from dsi_cli.store.results import Results

    if output is None:
        if not listed:
            message = (
                "expected a results folder, as in dsi plot dsi-out; dsi plot --list"
                " names the figures"
            )
            raise UsageError(message, code="no-output-folder")
        _list(None, as_json=as_json)
        return DONE
    results = Results(output)
    options = FigureOptions(
        runs=tuple(run or ()),
        epochs=save.parse_epochs(results, run or (), epochs),
        kind=kind,
        measure=measure,
        order=order,
        style=Style(style, columns),
        open_image=image_at,
    )
    save.check_options(results, options)
    if listed:
        _list(catalogue.with_data(results), as_json=as_json)
        return DONE
    formats = tuple(dict.fromkeys(form or ()))
    folder = out or output / "figures"
    with console.progress(quiet=quiet or as_json) as display:
        drawn = save.write(
            results,
            figures or (),
            options,
            formats,
            folder,
            display.update,
        )
    files = [str(path) for of_figure in drawn.values() for path in of_figure]
    without_data = [name for name, of_figure in drawn.items() if not of_figure]
    if as_json:
        document = {"files": files, "without_data": without_data, "out": str(folder)}
        console.print_json(document)
        return DONE
    for path in files:
        print(terminal_text(path))
    # A figure that the user named must have data.
    if figures and without_data:
        for name in options.names(results):
            results.require_matrices(name)
        raise _no_data(without_data)
    return DONE


def _no_data(names: Sequence[str]) -> UsageError:
    needs = "; ".join(
        f"{name} needs {catalogue.figure_spec(name).needs}" for name in names
    )
    problem = (
        f"this folder has no data for {', '.join(names)} with these options: {needs}"
    )
    return UsageError(problem, code="nothing-to-draw", figures=tuple(names))


def _list(with_data: set[str] | None, *, as_json: bool) -> None:
    """Print the names of all figures; ``with_data`` holds those with data, and is None
    without a results folder.
    """
    rows: list[dict[str, Any]] = []
    for spec in (*FIGURES, catalogue.ANIMATION_SPEC):
        has_data = None if with_data is None else spec.name in with_data
        row: dict[str, Any] = {"name": spec.name, "title": spec.title}
        rows.append(row | {"needs": spec.needs, "has_data": has_data})
    if as_json:
        console.print_json(rows)
        return
    width = max(len(row["name"]) for row in rows) + 2
    for row in rows:
        text = str(row["title"])
        if row["has_data"] is False:
            text += f"; without data here, because it needs {row['needs']}"
        console.print_sentence(f"{row['name']:<{width}}{text}", hanging=width)
