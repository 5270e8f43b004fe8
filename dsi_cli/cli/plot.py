"""``dsi plot``: figures for a paper or a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.shared_options import Json, Quiet
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, UsageError
from dsi_cli.figures.figure_options import ANIMATION, FIGURE_NAMES, FILMS, FORMATS, SCALES
from dsi_cli.figures.style import STYLES
from dsi_cli.store.matrix_id import MATRIX_KINDS

if TYPE_CHECKING:
    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.figures.save import DrawnFigure
    from dsi_cli.store.results import Results


def plot(
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUT", help="Output folder of dsi analyze; --list does not need one.", show_default=False
        ),
    ] = None,
    figures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIGURE",
            help=f"Names: {', '.join(FIGURE_NAMES)}, {ANIMATION}. Default: all figures that have data.",
            autocompletion=completion.figures,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the files. Default: OUTPUT/figures.")
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORMAT",
            help=f"{', '.join(FORMATS)}; for the animation {', '.join(FILMS)}. Repeatable. Default: png, gif.",
            autocompletion=completion.complete_from((*FORMATS, *FILMS)),
        ),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            "--style", metavar="STYLE", help=" or ".join(STYLES) + ".", autocompletion=completion.complete_from(STYLES)
        ),
    ] = "screen",
    columns: Annotated[
        int, typer.Option("--columns", metavar="NUMBER", min=1, max=2, help="Columns of a page that a figure spans.")
    ] = 1,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="NAME",
            help="Draw only this run. Repeatable, in the order of drawing. Default: all.",
            autocompletion=completion.runs,
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", metavar="EPOCHS", help="Epochs for figures of single epochs: 0,5,30 or first:last:step."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Of the matrix: ncsm, ncsm_centred, ccsm, tncsm.",
            autocompletion=completion.complete_from(MATRIX_KINDS),
        ),
    ] = None,
    measure: Annotated[
        str | None, typer.Option("--measure", metavar="NAME", help="Measure of the SAI; cosine by default.")
    ] = None,
    order: Annotated[
        str,
        typer.Option(
            "--order",
            metavar="ORDER",
            help="Order of the classes: taxonomy, given or cluster.",
            autocompletion=completion.complete_from(("taxonomy", "given", "cluster")),
        ),
    ] = "taxonomy",
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            metavar="SCALE",
            help="Colours of heat maps: rank (of each pair; 1 is the most similar) or raw (values).",
            autocompletion=completion.complete_from(SCALES),
        ),
    ] = "rank",
    class_names: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Class for the figure neighbors. Repeatable. Default: the class of lowest agreement.",
            autocompletion=completion.classes,
        ),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the figures instead of drawing. With OUTPUT, those with data come first.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Draw the figures of an analysis.

    Several runs share one figure. Every similarity index is drawn with its chance level.

    Examples
    --------
    dsi plot --list
    dsi plot dsi-out --list  # which have data, and what the others need
    dsi plot dsi-out sai wsi --style paper --columns 2 --format pdf
    dsi plot dsi-out heatmaps difference --epochs 0,1,30 -o figures
    dsi plot dsi-out neighbors --class dolphin
    dsi plot dsi-out animation --format webp
    """
    from dsi_cli.figures import save
    from dsi_cli.inference.open_dataset import image_at
    from dsi_cli.store.results import Results

    if output is None:
        if not listed:
            raise UsageError(
                "expected the output folder of dsi analyze: dsi plot OUTPUT; dsi plot --list names the figures",
                code="no-output-folder",
            )
        _list(None, as_json=as_json)
        return DONE
    results = Results(output)
    formats = tuple(dict.fromkeys(form or ()))
    options = save.check_options(results, run, epochs, kind, measure, order, style, columns, image_at, scale, class_names)
    with console.progress(quiet=quiet or as_json) as display:
        if listed:
            names = save.with_data(results, options, display.update)
        else:
            drawn = save.write(results, figures or (), options, formats, out or output / "figures", display.update)
    if listed:
        _list(names, as_json=as_json)
    else:
        _print_drawn(drawn, results, options, as_json=as_json, quiet=quiet, are_named=bool(figures))
        absent = [] if epochs is None or ":" in epochs else save.absent(results, options)
        if absent:
            noun = "epoch" if len(absent) == 1 else "epochs"
            console.note(f"warning: no run has matrices of {noun} {', '.join(map(str, absent))}", quiet=quiet)
    return DONE


def _print_drawn(
    drawn: DrawnFigure, results: Results, options: FigureOptions, *, as_json: bool, quiet: bool, are_named: bool
) -> None:
    """Print the files of the figures.

    Raises
    ------
    UsageError
        A figure that the user named has no data. With ``--json`` this is a part of the document instead.
    """
    from dsi_cli.figures.catalogue import figure_spec

    if as_json:
        console.print_json(
            {
                "files": [str(path) for path in drawn.files],
                "without_data": list(drawn.without_data),
                "out": str(drawn.folder),
                "films": [{**film._asdict(), "path": str(film.path)} for film in drawn.films],
            }
        )
        return
    for film in drawn.films:
        console.note(str(film), quiet=quiet)
    for path in drawn.files:
        print(terminal_text(str(path)))
    if drawn.without_data and are_named:
        for name in options.names(results):
            results.require_matrices(name)
        names = ", ".join(drawn.without_data)
        selection = [flag for flag, value in (("--epochs", options.epochs), ("--kind", options.kind)) if value is not None]
        if selection:
            raise UsageError(
                f"nothing to draw for {names}: this output has nothing of that {' and '.join(selection)}",
                code="nothing-to-draw",
                figures=drawn.without_data,
            )
        needs = "; ".join(f"{name} needs {figure_spec(name).needs}" for name in drawn.without_data)
        raise UsageError(
            f"nothing to draw for {names}, without data in this output: {needs}",
            code="nothing-to-draw",
            figures=drawn.without_data,
        )


def _list(with_data: set[str] | None, *, as_json: bool) -> None:
    """Print the names of all figures; ``with_data`` holds those with data, and is None without a results folder."""
    from dsi_cli.figures.catalogue import FIGURES, MOVING

    specs = (*FIGURES, MOVING)
    if as_json:
        console.print_json(
            [
                {
                    "name": spec.name,
                    "title": spec.title,
                    "needs": spec.needs,
                    "has_data": None if with_data is None else spec.name in with_data,
                }
                for spec in specs
            ]
        )
        return
    without_data = [spec for spec in specs if with_data is not None and spec.name not in with_data]
    width = max(len(spec.name) for spec in specs) + 2
    for spec in specs:
        if spec not in without_data:
            console.print_sentence(f"{spec.name:<{width}}{spec.title}", 0, width)
    if without_data:
        print("\nwithout data in this output:")
    for spec in without_data:
        console.print_sentence(f"{spec.name:<{width}}{spec.title}; needs {spec.needs}", 0, width)
