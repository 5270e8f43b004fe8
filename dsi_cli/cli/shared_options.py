"""Options of ``dsi analyze`` that other commands have, too, as Typer's annotations."""

from __future__ import annotations

from typing import Annotated

from dsi_cli.analysis.option_groups.groups import ComparisonOptions, InputOptions, LabelOptions, OutputOptions
from dsi_cli.cli.parameters import typer_info

Json = Annotated[bool, typer_info(OutputOptions, "json")]
Quiet = Annotated[bool, typer_info(OutputOptions, "quiet")]
LogTo = Annotated[list[str] | None, typer_info(OutputOptions, "log_to")]
Head = Annotated[str | None, typer_info(InputOptions, "head")]
Ema = Annotated[bool, typer_info(InputOptions, "ema", flag="--ema")]
Labels = Annotated[str | None, typer_info(LabelOptions, "labels")]
MapFile = Annotated[str | None, typer_info(LabelOptions, "mapping")]
PartOfSpeech = Annotated[str, typer_info(LabelOptions, "pos")]
WordNetName = Annotated[str | None, typer_info(LabelOptions, "wordnet")]
TaxonomyFile = Annotated[str | None, typer_info(ComparisonOptions, "taxonomy")]
