"""Options of commands as Typer's annotations: those that several commands have, and two functions that describe the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from dsi_cli.analysis.option_groups.groups import (
    ComparisonOptions,
    InputOptions,
    LabelOptions,
    OutputOptions,
    preset_names,
)
from dsi_cli.cli import completion
from dsi_cli.cli.parameters import typer_info
from dsi_cli.errors import UsageError
from dsi_cli.store import atomic_write
from dsi_cli.store.schema import MATRIX_KINDS


def option(
    flags: str, metavar: str, help: str, choices: Sequence[str] | completion.Complete | None = None, **form: Any
) -> Any:
    """Return Typer's description of an option with a value.

    Parameters
    ----------
    flags : the names of the option, separated by spaces
    choices : the values that the shell proposes, or one of the functions of `dsi_cli.cli.completion`
    form : other arguments of ``typer.Option``
    """
    if isinstance(choices, Sequence):
        choices = completion.complete_from(choices)
    return typer.Option(*flags.split(), metavar=metavar, help=help, autocompletion=choices, **form)


def switch(flags: str, help: str) -> Any:
    """Return Typer's description of an option without a value; its names are separated by spaces."""
    return typer.Option(*flags.split(), help=help)


def require_page_paths(out: Path | None, html: Path | None, contents: str, page: str) -> None:
    """Check the paths of a command that writes files, called ``contents`` in messages, into a folder, and a page.

    Raises
    ------
    UsageError
        The folder is a file (code ``not-a-folder``), or the page is a folder (``not-a-file``) or no HTML by its name.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(
            f"{contents} go into a folder, and {out} is a file; give another name to -o", code="not-a-folder", path=str(out)
        )
    if html is None:
        return
    if html.is_dir():
        hint = f"the page is a file, and {html} is a folder; give --html a name in it, or the folder to -o"
        raise UsageError(hint, code="not-a-file", path=str(html))
    atomic_write.require_suffix(html, (".html", ".htm"), page)


# Options of dsi analyze.
Json = Annotated[bool, typer_info(OutputOptions, "json")]
PerEpoch = Annotated[bool, typer_info(OutputOptions, "per_epoch")]
Quiet = Annotated[bool, typer_info(OutputOptions, "quiet")]
LogTo = Annotated[list[str] | None, typer_info(OutputOptions, "log_to")]
Head = Annotated[str | None, typer_info(InputOptions, "head")]
Revisions = Annotated[str | None, typer_info(InputOptions, "revisions")]
Ema = Annotated[bool, typer_info(InputOptions, "ema", flag="--ema")]
Labels = Annotated[str | None, typer_info(LabelOptions, "labels")]
MapFile = Annotated[str | None, typer_info(LabelOptions, "mapping")]
PartOfSpeech = Annotated[str, typer_info(LabelOptions, "pos")]
WordNetName = Annotated[str | None, typer_info(LabelOptions, "wordnet")]
TaxonomyFile = Annotated[str | None, typer_info(ComparisonOptions, "taxonomy")]

# Options of other commands.
Output = Annotated[Path, typer.Argument(metavar="OUTPUT", help="Output folder of dsi analyze.")]
LabelList = typer.Argument(
    metavar="LABELS",
    help="Label file (txt, csv, tsv, json, yaml) or a preset, for example imagenet1k.",
    autocompletion=completion.complete_from(preset_names),
)
Epoch = Annotated[
    int | None,
    option("--epoch", "EPOCH", "The trainer's own number; by default the last one.", completion.epochs),
]
Kind = Annotated[
    str,
    option("--kind", "KIND", "Matrix: ncsm, ncsm_centred, ccsm, tncsm, or scsm for the reference.", MATRIX_KINDS),
]
Split = Annotated[str | None, option("--split", "SPLIT", "Split of the data: train or test.", ("test", "train"))]
Run = Annotated[str | None, option("--run", "NAME", "Run to use, if the folder holds several.", completion.runs)]
