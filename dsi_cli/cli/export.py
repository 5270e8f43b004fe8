"""``dsi export``: one matrix or table in a file, or the curves in a tracker."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Epoch,
    Kind,
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
from dsi_cli.queries.export import TABLES


def export(
    output: Output,
    kind: Kind = "ncsm",
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
    quiet: Quiet = False,
) -> int:
    """Write one matrix or table as Parquet, CSV or NPY; or log the curves to a tracker.

    A second call with --log-to logs no point twice.

    Examples
    --------
    dsi export dsi-out --epoch 25 -o ncsm25.csv
    dsi export dsi-out --table curves -o curves.parquet
    dsi export dsi-out --kind ccsm --split test --sorted --format csv
    dsi export dsi-out --log-to tensorboard:logs
    """
    if log_to:
        from dsi_cli.tracking import destinations

        values = {
            "--table": table,
            "--epoch": epoch,
            "--split": split,
            "--step": step,
            "--reference": reference,
        }
        values |= {"--format": as_format}
        values |= {
            "--kind": kind != "ncsm",
            "--sorted": ranked,
            "--out": out != "-",
            "--rows": rows,
            "--classes": classes,
        }
        if given := tuple(
            name for name, value in values.items() if value not in (None, False)
        ):
            message = f"--log-to logs all curves and takes no {', '.join(given)}"
            raise UsageError(
                message,
                hint="export to a file in a separate call",
                code="options-conflict",
                options=given,
            )
        for destination in destinations(log_to):
            print_logged(destination.send(output, run), quiet=quiet)
        return DONE
    from dsi_cli.queries import export
    from dsi_cli.store.results import Results

    file_format = export.export_format("" if out == "-" else out, as_format)
    stream = None
    if out == "-":
        stream = (
            sys.stdout.buffer
            if file_format == "csv"
            else console.binary_stdout("add -o FILE, or --format csv")
        )
    selection: dict[str, Any] = {
        "epoch": epoch,
        "split": split,
        "step": step,
        "reference": reference,
        "kind": kind,
    }
    selection |= {
        "rows": export.parse_classes(rows, "--rows"),
        "classes": export.parse_classes(classes, "--classes"),
    }
    frame = export.export_frame(
        Results(output), table, ranked=ranked, run=run, **selection
    )
    if stream is not None:
        show = terminal_text if sys.stdout.isatty() else str
        export.write_stream(
            frame, stream, file_format, is_matrix=table is None, show=show
        )
        return DONE
    export.write_file(frame, Path(out), file_format, is_matrix=table is None)
    console.note(f"{len(frame)} x {len(frame.columns)}: {out}", quiet=quiet)
    return DONE
