"""``dsi export``: one matrix or table in a file, or the curves in a tracker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Epoch,
    LogTo,
    Output,
    Quiet,
    Run,
    Split,
    option,
    switch,
)
from dsi_cli.cli.summary import print_logged
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, UsageError
from dsi_cli.queries.export import CONFUSION_KINDS, TABLES
from dsi_cli.store.schema import MATRIX_KINDS

MAX_SHOWN = 10  # rows, and columns of a matrix, that a terminal shows


def export(
    output: Output,
    kind: Annotated[
        str,
        option(
            "--kind",
            "KIND",
            "Matrix: ncsm, ncsm_centred, ccsm, tncsm, scsm for the reference, confusion"
            " (counts), or confusion_normalised (shares of the true class).",
            (*MATRIX_KINDS, *CONFUSION_KINDS),
        ),
    ] = "ncsm",
    epoch: Epoch = None,
    split: Split = None,
    run: Run = None,
    step: Annotated[
        int | None,
        option("--step", "STEP", "Step of an earlier save within the epoch."),
    ] = None,
    reference: Annotated[
        str | None,
        option("--reference", "NAME", "Reference, for scsm; the main one by default."),
    ] = None,
    table: Annotated[
        str | None,
        option(
            "--table",
            "TABLE",
            f"{', '.join(TABLES[:-1])} or {TABLES[-1]} instead of a matrix.",
            TABLES,
        ),
    ] = None,
    ranked: Annotated[
        bool,
        switch(
            "--sorted",
            "Write the class indices of each row, the most similar first (SoCSM).",
        ),
    ] = False,
    rows: Annotated[
        str | None,
        option("--rows", "ROWS", "Rows of a matrix: 0:100 (indices), or cat,dog,17."),
    ] = None,
    classes: Annotated[
        str | None,
        option("--classes", "CLASSES", "Columns of a matrix, in the same form."),
    ] = None,
    out: Annotated[
        str, option("--out -o", "FILE", "File (.parquet, .csv, .npy); - for stdout.")
    ] = "-",
    as_format: Annotated[
        str | None,
        option(
            "--format",
            "FORMAT",
            "parquet, csv or npy; by default the suffix of the file, or csv.",
        ),
    ] = None,
    log_to: LogTo = None,
    all_curves: Annotated[
        bool, switch("--all-curves", "Log all curves, not only the main ones.")
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Write a matrix or table to a file, or log curves to a tracker.

    A file is Parquet, CSV or NPY. A terminal shows the first ten rows, unless you give --format csv.
    A second call with --log-to logs no point twice.

    Examples
    --------
    dsi export dsi-out --epoch 25 -o ncsm25.csv
    dsi export dsi-out --table curves -o curves.parquet
    dsi export dsi-out --kind ccsm --split test --sorted --format csv
    dsi export dsi-out --kind confusion -o counts.csv  # rows are the truth
    dsi export dsi-out --log-to tensorboard:logs
    """
    from dsi_cli.queries import export
    from dsi_cli.store.results import Results

    selection: dict[str, Any] = {
        "epoch": epoch,
        "split": split,
        "step": step,
        "reference": reference,
        "kind": kind,
        "rows": export.parse_classes(rows, "--rows"),
        "classes": export.parse_classes(classes, "--classes"),
    }
    if log_to:
        given = {"table": table, "sorted": ranked, "format": as_format}
        given |= selection | {"out": out != "-", "kind": kind != "ncsm"}
        _log(output, log_to, run, given, all_curves=all_curves)
        return DONE
    file_format = export.export_format("" if out == "-" else out, as_format)
    stream = None
    if out == "-" and file_format == "csv":
        stream = sys.stdout.buffer
    elif out == "-":
        stream = console.binary_stdout("add -o FILE, or --format csv")
    frame = export.export_frame(
        Results(output), table, ranked=ranked, run=run, **selection
    )
    if stream is None:
        export.write_file(frame, Path(out), file_format, is_matrix=table is None)
        console.note(f"{len(frame)} x {len(frame.columns)}: {out}", quiet=quiet)
        return DONE
    is_terminal, shown, digits = sys.stdout.isatty(), frame, None
    if is_terminal and as_format is None:
        columns = MAX_SHOWN if table is None else len(frame.columns)
        shown, digits = frame.iloc[:MAX_SHOWN, :columns], "%.6g"
    export.write_stream(
        shown,
        stream,
        file_format,
        is_matrix=table is None,
        show=terminal_text if is_terminal else str,
        float_format=digits,
    )
    if shown.size < frame.size:
        stream.flush()
        console.note(
            f"{len(shown)} of {len(frame):,} rows and {len(shown.columns)} of"
            f" {len(frame.columns):,} columns, 6 digits; -o FILE or --format csv writes"
            " all",
            quiet=quiet,
        )
    return DONE


def _log(
    output: Path,
    log_to: list[str],
    run: str | None,
    options: dict[str, Any],
    *,
    all_curves: bool,
) -> None:
    """Log the curves to the trackers, which take none of the other options."""
    from dsi_cli.tracking import destinations

    given = tuple(
        f"--{name}" for name, value in options.items() if value not in (None, False)
    )
    if given:
        message = f"--log-to logs curves and takes no {', '.join(given)}"
        raise UsageError(
            message,
            hint="export to a file in a separate call",
            code="options-conflict",
            options=given,
        )
    for destination in destinations(log_to):
        logged = destination.send(output, run, all_curves=all_curves)
        print_logged(logged)
