"""``dsi demo``: the analysis of two real runs that ship with the package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from dsi_cli.cli import console
from dsi_cli.cli.options import Json, Quiet, option
from dsi_cli.cli.summary import print_summary


def demo(
    out: Annotated[Path, option("--out -o", "DIR", "The output folder.")] = Path(
        "dsi-demo"
    ),
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Analyse two real runs that ship with the package.

    The runs are a small CNN and a tiny ViT on CIFAR-100, 31 checkpoints each.

    Examples
    --------
    dsi demo
    dsi demo -o elsewhere --quiet
    """
    from dsi_cli.analysis import report_file
    from dsi_cli.analysis.analyze import analyze
    from dsi_cli.demo import runs_folder

    started = time.monotonic()
    with runs_folder() as folder, console.progress(quiet=quiet or as_json) as display:
        summary = analyze([folder], out, progress=display.update)
        report_file.add_report(summary, display.update)
    summary.seconds = time.monotonic() - started
    print_summary(summary, as_json=as_json, quiet=quiet)
    return summary.exit_code
