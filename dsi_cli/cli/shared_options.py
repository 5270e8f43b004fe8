"""Options that several commands have, as Typer's annotations. The first ones are options of ``dsi analyze``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from dsi_cli.store.matrix_id import MATRIX_KINDS

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

Output = Annotated[Path, typer.Argument(metavar="OUTPUT", help="Output folder of dsi analyze.")]
LabelList = typer.Argument(
    metavar="LABELS",
    help="Label file (txt, csv, tsv, json, yaml) or the name of a preset, for example imagenet1k.",
    autocompletion=completion.complete_from(preset_names),
)
Epoch = Annotated[
    int | None,
    typer.Option(
        "--epoch",
        metavar="EPOCH",
        help="The trainer's own number; the last epoch with data by default.",
        autocompletion=completion.epochs,
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="Kind of the matrix: ncsm, ncsm_centred, ccsm, tncsm, or scsm for the reference.",
        autocompletion=completion.complete_from(MATRIX_KINDS),
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="SPLIT",
        help="Split of the data: train or test.",
        autocompletion=completion.complete_from(("test", "train")),
    ),
]
Run = Annotated[
    str | None,
    typer.Option("--run", metavar="NAME", help="Run to use, if the folder holds several.", autocompletion=completion.runs),
]
