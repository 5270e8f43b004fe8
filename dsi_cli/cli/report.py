"""``dsi report``: the HTML report of a results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich import filesize

from dsi_cli.cli import console
from dsi_cli.cli.options import Json, Output, Quiet, option
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE


def report(
    output: Output,
    file: Annotated[
        Path | None,
        option(
            "--out -o", "FILE", "File of the page; report.html in OUTPUT by default."
        ),
    ] = None,
    group: Annotated[
        str | None,
        option(
            "--group",
            "PATTERN",
            "Repetitions, as for dsi compare; the usual names of seeds by default.",
        ),
    ] = None,
    clusters: Annotated[
        str | None,
        option(
            "--clusters",
            "CHOICE",
            "Clusters of classes for intervals over seeds, as for dsi compare; those of"
            " the analysis by default.",
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write one HTML file with all results.

    It shows curves, matrices, neighbours, mistakes and classes, and needs no other file
    and no network. dsi analyze writes it, too.

    Examples
    --------
    dsi report dsi-out
    dsi report dsi-out -o resnet18.html
    dsi report out --group '(.*)-try'  # runs cnn-try1, cnn-try2, vit-try1, ...
    dsi report out --clusters superclass  # runs cnn_seed0, cnn_seed1, ...
    """
    from dsi_cli.cli.arrow import start_without_pandas

    start_without_pandas()
    from dsi_cli.analysis import report_file
    from dsi_cli.store import atomic_write

    if file is not None:
        atomic_write.require_suffix(file, (".html", ".htm"), "the report is a page")
    with console.progress(quiet=quiet or as_json) as display:
        path = report_file.write_report(output, file, display.update, group, clusters)
    if as_json:
        console.print_json({"report": str(path), "bytes": path.stat().st_size})
    else:
        print(
            f"report: {terminal_text(str(path))}"
            f" ({filesize.decimal(path.stat().st_size)})"
        )
    return DONE
