"""``dsi demo``: the analysis of two real runs that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dsi_cli.cli import console
from dsi_cli.cli.shared_options import Json, Quiet
from dsi_cli.cli.summary import print_summary


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The output folder.")] = Path("dsi-demo"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Analyse two real runs that ship with the package.

    A small CNN and a tiny ViT on CIFAR-100, 31 checkpoints each.

    It shows the paper's finding: the CNN's perception of similarity surges before the ViT's.

    Examples
    --------
    dsi demo
    dsi demo -o elsewhere --quiet
    """
    from dsi_cli.analysis import report_file
    from dsi_cli.analysis.analyze import analyze
    from dsi_cli.demo import runs_folder
    from dsi_cli.queries import epoch_summary

    with runs_folder() as folder, console.progress(quiet=quiet or as_json) as display:
        summary = analyze([folder], out, progress=lambda event: display.update(*event))
        report_file.add_report(summary, lambda event: display.update(*event))
    print_summary(summary, as_json=as_json, quiet=quiet)
    if not as_json:
        print()
        for run in summary.runs:
            epoch = epoch_summary.surge_epoch(epoch_summary.epoch_summaries(out, run.name))
            print(
                f"{run.name}: half of its highest alignment with WordNet (excess over chance) is reached at epoch {epoch}"
            )
    return summary.exit_code
