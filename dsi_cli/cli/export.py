"""``dsi export``: one matrix or table, wide and named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.analyze import LogTo, Quiet
from dsi_cli.cli.summary import print_logged
from dsi_cli.errors import DONE, UsageError


def export(
    output: Annotated[Path, typer.Argument(help="Output folder of dsi analyze.")],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help="ncsm, ncsm_centred, ccsm, tncsm, or scsm for the reference.",
            autocompletion=completion.of(completion.KINDS),
        ),
    ] = "ncsm",
    epoch: Annotated[
        int | None,
        typer.Option("--epoch", help="The trainer's own number; the last by default.", autocompletion=completion.epochs),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split", help="train or test, for matrices that have one.", autocompletion=completion.of(("test", "train"))
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Where the folder holds several runs.", autocompletion=completion.runs)
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="Which one, for scsm; the main one by default.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            help="curves, checkpoints, classes, alignment_by_class, typicality or typicality_histogram instead of a matrix.",
            autocompletion=completion.of(completion.TABLES),
        ),
    ] = None,
    ranked: Annotated[
        bool, typer.Option("--sorted", help="Class indices of each row by falling similarity (SoCSM).")
    ] = False,
    rows: Annotated[
        str | None,
        typer.Option("--rows", help="Rows of a matrix: 0:100 (indices), or cat,dog,17. Needed above 4,096 classes."),
    ] = None,
    classes: Annotated[str | None, typer.Option("--classes", help="Its columns, in the same way; all by default.")] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="File (.parquet, .csv, .npy); - for stdout.")] = "-",
    as_format: Annotated[
        str | None, typer.Option("--format", help="parquet, csv or npy, where the file's name does not say.")
    ] = None,
    log_to: LogTo = None,
    quiet: Quiet = False,
) -> int:
    """Write one matrix or table as Parquet, CSV or NPY; or log the curves to a tracker.

    Logged again, curves are brought up to date: no point is there twice.

    Examples
    --------
    dsi export dsi-out --epoch 25 -o ncsm25.csv
    dsi export dsi-out --table curves -o curves.parquet
    dsi export dsi-out --kind ccsm --split test --sorted --format csv
    dsi export dsi-out --log-to tensorboard:logs
    """
    if log_to:
        asked = {"--table": table, "--epoch": epoch, "--split": split, "--reference": reference, "--format": as_format}
        asked |= {"--kind": kind != "ncsm", "--sorted": ranked, "--out": out != "-", "--rows": rows, "--classes": classes}
        return _log(output, log_to, run, [name for name, value in asked.items() if value not in (None, False)], quiet=quiet)
    from dsi_cli.queries import export
    from dsi_cli.store.results import Results

    chosen = export.export_format("" if out == "-" else out, as_format)
    stream = None
    if out == "-":
        stream = sys.stdout.buffer if chosen == "csv" else console.binary_stdout("add -o FILE, or --format csv")
    query = export.ExportQuery(
        table=table,
        kind=kind,
        epoch=epoch,
        split=split,
        run=run,
        reference=reference,
        ranked=ranked,
        rows=export.parse_classes(rows, "--rows"),
        classes=export.parse_classes(classes, "--classes"),
    )
    frame = export.export_frame(Results(output), query)
    if stream is not None:
        export.write_stream(frame, stream, chosen, is_matrix=table is None)
        return DONE
    export.write_file(frame, Path(out), chosen, is_matrix=table is None)
    console.note(f"{len(frame)} x {len(frame.columns)}: {out}", quiet=quiet)
    return DONE


def _log(output: Path, log_to: list[str], run: str | None, asked: list[str], *, quiet: bool) -> int:
    """Log the curves of an output; ``asked`` are the options that were given beside it and mean a file."""
    from dsi_cli.analysis import track
    from dsi_cli.tracking.destinations import destinations

    if asked:
        raise UsageError(
            f"--log-to logs the curves, all of them; {', '.join(asked)} is for a file: leave one of the two out"
        )
    for logged in track.send_curves(output, destinations(log_to), run):
        print_logged(logged, quiet=quiet)
    return DONE
