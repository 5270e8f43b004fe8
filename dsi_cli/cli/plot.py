"""``dsi plot``: figures for a paper or a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.shared_options import Json, Quiet
from dsi_cli.errors import DONE, UsageError
from dsi_cli.figures.figure_options import ANIMATION, FILMS, FORMATS
from dsi_cli.figures.style import STYLES

if TYPE_CHECKING:
    from dsi_cli.figures.figure_options import FigureOptions
    from dsi_cli.figures.save import DrawnFigure
    from dsi_cli.store.results import Results


def plot(
    output: Annotated[
        Path | None, typer.Argument(help="Output folder of dsi analyze; only --list goes without.", show_default=False)
    ] = None,
    figures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIGURE]...",
            help=f"Names out of --list, or {ANIMATION}; all figures that there is data for by default.",
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
            help=f"{', '.join(FORMATS)}; of the animation {', '.join(FILMS)}; repeatable. Default: png, gif.",
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
            help="Only this run; repeatable, in the order drawn. Default: all.",
            autocompletion=completion.runs,
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", metavar="EPOCHS", help="For figures of single epochs: 0,5,30 or first:last:step."),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Of the matrix: ncsm, ncsm_centred, ccsm, tncsm.",
            autocompletion=completion.complete_from(completion.KINDS),
        ),
    ] = None,
    measure: Annotated[str | None, typer.Option("--measure", metavar="NAME", help="Of the SAI; cosine by default.")] = None,
    order: Annotated[
        str,
        typer.Option(
            "--order",
            metavar="ORDER",
            help="Of the classes: taxonomy, given or cluster.",
            autocompletion=completion.complete_from(("taxonomy", "given", "cluster")),
        ),
    ] = "taxonomy",
    listed: Annotated[
        bool, typer.Option("--list", help="Name the figures, of an output those with data first; draw none.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Draw the figures of an analysis.

    Several runs are overlaid. A similarity index is never drawn without its chance level.

    Examples
    --------
    dsi plot --list
    dsi plot dsi-out --list  # which have data, and what the others need
    dsi plot dsi-out sai wsi --style paper --columns 2 --format pdf
    dsi plot dsi-out heatmaps --epochs 0,1,30 -o figures
    dsi plot dsi-out animation --format webp
    """
    from dsi_cli.figures import save
    from dsi_cli.inference.open_dataset import image_at
    from dsi_cli.store.results import Results

    if output is None:
        if not listed:
            raise UsageError(
                "expected the output folder of dsi analyze: dsi plot OUTPUT; dsi plot --list names the figures"
            )
        _list(None, as_json=as_json)
        return DONE
    opened = Results(output)
    formats = tuple(dict.fromkeys(form or ()))
    asked = save.check_options(opened, run, epochs, kind, measure, order, style, columns, image_at)
    with console.progress(quiet=quiet or as_json) as watching:
        if listed:
            there = save.with_data(opened, asked, watching.update)
        else:
            done = save.write(opened, figures or (), asked, formats, out or output / "figures", watching.update)
    if listed:
        _list(there, as_json=as_json)
    else:
        _tell(done, opened, asked, as_json=as_json, quiet=quiet, are_named=bool(figures))
        absent = [] if epochs is None or ":" in epochs else save.absent(opened, asked)
        if absent:
            what = f"{'epoch' if len(absent) == 1 else 'epochs'} {', '.join(map(str, absent))}"
            console.note(f"warning: no run has matrices of {what}", quiet=quiet)
    return DONE


def _tell(
    done: DrawnFigure, opened: Results, options: FigureOptions, *, as_json: bool, quiet: bool, are_named: bool
) -> None:
    """Print what was drawn.

    Raises
    ------
    UsageError
        A figure that was named has no data, and nobody reads that out of JSON.
    """
    from dsi_cli.figures.catalogue import figure_spec

    if as_json:
        console.print_json(
            {
                "files": [str(path) for path in done.files],
                "without_data": list(done.without_data),
                "out": str(done.folder),
                "films": [{**film._asdict(), "path": str(film.path)} for film in done.films],
            }
        )
        return
    for film in done.films:
        console.note(str(film), quiet=quiet)
    for path in done.files:
        print(console.shown(str(path)))
    if done.without_data and are_named:
        for name in options.names(opened):
            opened.require_matrices(name)
        names = ", ".join(done.without_data)
        chosen = [what for what, value in (("--epochs", options.epochs), ("--kind", options.kind)) if value is not None]
        if chosen:
            raise UsageError(f"nothing to draw for {names}: this output has nothing of that {' and '.join(chosen)}")
        needs = "; ".join(f"{name} needs {figure_spec(name).needs}" for name in done.without_data)
        raise UsageError(f"nothing to draw for {names}, without data in this output: {needs}")


def _list(there: set[str] | None, *, as_json: bool) -> None:
    """Print all figures; ``there`` are those with data, None without an output to look at."""
    from dsi_cli.figures.catalogue import FIGURES, MOVING

    every = (*FIGURES, MOVING)
    if as_json:
        console.print_json(
            [
                {
                    "name": one.name,
                    "title": one.title,
                    "needs": one.needs,
                    "has_data": None if there is None else one.name in there,
                }
                for one in every
            ]
        )
        return
    lacking = [one for one in every if there is not None and one.name not in there]
    wide = max(len(one.name) for one in every) + 2
    for one in every:
        if one not in lacking:
            console.print_sentence(f"{one.name:<{wide}}{one.title}", 0, wide)
    if lacking:
        print("\nwithout data in this output:")
    for one in lacking:
        console.print_sentence(f"{one.name:<{wide}}{one.title}; needs {one.needs}", 0, wide)
