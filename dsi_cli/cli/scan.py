"""``dsi scan``: what would be analysed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import console
from dsi_cli.cli.analyze import Ema, Head, Json, Quiet
from dsi_cli.errors import DONE, PARTIAL, UsageError

if TYPE_CHECKING:
    from dsi_cli.checkpoints.discover import Run
    from dsi_cli.checkpoints.records import Record


def scan(
    checkpoints: Annotated[list[str] | None, typer.Argument(help="Checkpoint files, folders or glob patterns.")] = None,
    tensors: Annotated[Path | None, typer.Option("--tensors", help="List all tensors of one file instead.")] = None,
    head: Head = None,
    ema: Ema = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show what would be analysed, a line per file.

    Reads the classifiers, writes nothing.

    Example: dsi scan runs/resnet18
    """
    from dsi_cli.checkpoints.scan import Choice
    from dsi_cli.pipeline.scanning import scan_paths

    if tensors is not None:
        _print_tensors(tensors, as_json=as_json)
        return DONE
    if not checkpoints:
        raise UsageError("nothing to scan: give checkpoint files or folders, or --tensors FILE")
    with console.progress(quiet=quiet or as_json) as update:
        runs = scan_paths(checkpoints, Choice(head, ema), lambda done, total: update("reading classifiers", done, total))
    records = [record for _, found in runs for record in found]
    if as_json:
        hidden = ("modified_ns", "counts_from", "scalars")
        console.print_json(
            [{key: value for key, value in asdict(record).items() if key not in hidden} for record in records]
        )
    else:
        _print_records(runs, quiet=quiet)
    return PARTIAL if any(record.status == "failed" for record in records) else DONE


def _print_records(runs: list[tuple[Run, list[Record]]], *, quiet: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    for run, records in runs:
        table = Table(
            title=Text(console.shown(f"{run.name}  ({run.folder})")), title_justify="left", pad_edge=False, box=None
        )
        for name, cell in _COLUMNS:
            table.add_column(name, justify="right" if cell in _RIGHT else "left", overflow="fold")
        for record in records:
            table.add_row(*(Text(console.shown(cell(record))) for _, cell in _COLUMNS))
        console.print_table(table)
        counts = {status: sum(r.status == status for r in records) for status in ("ok", "skipped", "pending", "failed")}
        told = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
        console.note(f"{run.name}: {told}; {console.count(run.ignored, 'other file')} ignored", quiet=quiet)


def _epoch(record: Record) -> str:
    return "-" if record.epoch is None else str(record.epoch)


def _step(record: Record) -> str:
    return "-" if record.step is None else str(record.step)


def _shape(record: Record) -> str:
    return "-" if record.classes is None else f"{record.classes} x {record.features}"


def _size(record: Record) -> str:
    return console.size(record.bytes)


def _written_by(record: Record) -> str:
    return " ".join(part for part in (record.format, record.trainer) if part) or "-"


def _status(record: Record) -> str:
    return record.status if record.reason is None else f"{record.status}: {record.reason}"


_COLUMNS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    ("file", lambda record: PurePath(record.path).name),
    ("epoch", _epoch),
    ("from", lambda record: record.epoch_source or "-"),
    ("step", _step),
    ("size", _size),
    ("written by", _written_by),
    ("classifier", lambda record: record.head or "-"),
    ("shape", _shape),
    ("dtype", lambda record: record.dtype or "-"),
    ("weights", lambda record: record.weights_used or "-"),
    ("status", _status),
)
_RIGHT = (_epoch, _step, _size, _shape)


def _print_tensors(path: Path, *, as_json: bool) -> None:
    from dsi_cli.checkpoints.scan import list_tensors, require_file

    found = list_tensors(require_file(path).path)
    if as_json:
        console.print_json(
            [{"name": name, "shape": tensor.shape, "dtype": tensor.dtype, "weights": role} for name, tensor, role in found]
        )
        return
    width = max((len(name) for name, _, _ in found), default=0)
    for name, tensor, role in found:
        print(console.shown(f"{name:<{width}}  {tensor.dtype:<9} {role:<4} {tuple(tensor.shape)}"))
