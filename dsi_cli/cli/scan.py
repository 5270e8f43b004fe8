"""``dsi scan``: which checkpoints and classifiers ``dsi analyze`` would read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import console
from dsi_cli.cli.shared_options import Ema, Head, Json, Labels, Quiet, Revisions
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, NOTHING, PARTIAL, CheckpointError, UsageError

if TYPE_CHECKING:
    from dsi_cli.checkpoints.discovery import TrainingRun
    from dsi_cli.checkpoints.records import Record
    from dsi_cli.checkpoints.scan import HeadOptions
    from dsi_cli.remote.locations import Place


Columns = Sequence[tuple[str, Callable[["Record"], str]]]
"""Columns of a table of checkpoints: their title, and the text of a checkpoint."""


def scan(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(metavar="CHECKPOINTS", help="Checkpoint files, folders, glob patterns, URLs, or runs of a tracker."),
    ] = None,
    tensors: Annotated[
        str | None, typer.Option("--tensors", metavar="FILE", help="List all tensors of one file instead.")
    ] = None,
    why: Annotated[
        str | None,
        typer.Option("--why", metavar="FILE", help="Show the candidates for the head of one file, with the evidence."),
    ] = None,
    labels: Labels = None,
    revisions: Revisions = None,
    head: Head = None,
    ema: Ema = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show a row for every file, also if the files are alike.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show what dsi analyze would read.

    dsi reads the classifiers and writes nothing. Files that differ only in name, epoch, step and size share a row, unless you
    add --all. The epoch is the trainer's own number. The column finished holds the number of finished epochs, if dsi knows how
    the trainer counts.

    Examples
    --------
    dsi scan ckpts/
    dsi scan ckpts/ --labels cifar100               # as many rows as labels
    dsi scan ckpts/ --json                          # the same for a script
    dsi scan hf://org/model --revisions commits     # each commit of a hub
    dsi scan --why ckpts/epoch_030.safetensors      # why is it the head?
    dsi scan --tensors ckpts/epoch_030.safetensors  # names for --head
    """
    from dsi_cli.analysis.scan import scan_paths
    from dsi_cli.checkpoints.scan import HeadOptions
    from dsi_cli.remote import locations

    choice = HeadOptions(head, ema)
    for file, print_file in (
        (tensors, _print_tensors),
        (why, partial(_print_evidence, choice=choice, labels=labels)),
    ):
        if file is not None:
            path = locations.locate(file)
            if not path.exists():
                raise UsageError(f"no such file: {path}", code="no-file", path=str(path))
            print_file(path, as_json=as_json)
            return DONE
    if not checkpoints:
        raise UsageError("nothing to scan: give checkpoint files or folders, or --tensors FILE", code="no-checkpoints")
    with console.progress(quiet=quiet or as_json) as display:
        runs = scan_paths(
            checkpoints,
            choice,
            labels,
            lambda done, total: display.update("reading classifiers", done, total),
            revisions,
        )
    records = [record for _, run_records in runs for record in run_records]
    if as_json:
        hidden = ("modified_ns", "counts_from", "entry", "network", "scalars")
        console.print_json(
            [{key: value for key, value in asdict(record).items() if key not in hidden} for record in records]
        )
    else:
        for run, run_records in runs:
            _print_run(run, run_records, show_all=show_all, quiet=quiet)
    if not any(record.status == "ok" for record in records):
        return NOTHING
    return PARTIAL if any(record.status == "failed" for record in records) else DONE


def _print_run(run: TrainingRun, records: list[Record], *, show_all: bool, quiet: bool) -> None:
    from dsi_cli.checkpoints.records import messages_by_cause

    # A value that all files share is in the line below the table.
    with_head = [record for record in records if record.head]
    shared = {name for name, cell in _COLUMNS if name in _SHARED_COLUMNS and len({cell(r) for r in with_head}) <= 1}
    columns = [(name, cell) for name, cell in _COLUMNS if name not in shared and any(cell(r) != "-" for r in records)]
    console.print_sentence(f"{run.name}  ({run.folder})", 0, 2)
    _print_table([[record] for record in records] if show_all else _fold(records), columns)
    problems = [(r.name, r.status, r.reason) for r in records if r.reason is not None]
    for line in messages_by_cause(problems):
        console.print_sentence(line)
    console.print_sentence(_summary(records, shared), indent=0)
    if run.ignored:
        console.note(f"{run.name}: {console.count(run.ignored, 'other file')} without weights", quiet=quiet)


def _print_table(rows: list[list[Record]], columns: Columns) -> None:
    titles = [(name, name in _RIGHT_COLUMNS) for name, _ in columns]
    cells = [[_range(name, cell, row) for name, cell in columns] for row in rows]
    if any(len(row) > 1 for row in rows):
        titles.insert(1, ("files", True))
        for row, texts in zip(rows, cells, strict=True):
            texts.insert(1, f"{len(row):,}")
    console.print_columns(titles, cells)


def _fold(records: list[Record]) -> list[list[Record]]:
    """Return groups of adjacent files that differ only in name, epoch, step and size; short groups are split into single files."""

    def key(record: Record) -> tuple[object, ...]:
        same = (cell(record) for name, cell in _COLUMNS if name in _SHARED_COLUMNS)
        return (record.status, record.epoch is None, *same)

    groups = (list(group) for _, group in groupby(records, key))
    return [part for group in groups for part in ([group] if len(group) >= _MIN_FOLDED else [[r] for r in group])]


def _range(name: str, cell: Callable[[Record], str], records: list[Record]) -> str:
    """Return the text of a column for one file, or for the first and the last file of a group."""
    if len(records) == 1:
        return cell(records[0])
    if name == "file":
        return f"{cell(records[0])} … {cell(records[-1])}"
    if name == "size":
        records = sorted(records, key=lambda record: record.bytes)
    first, last = cell(records[0]), cell(records[-1])
    return first if first == last else f"{first}–{last}"


def _summary(records: list[Record], shared: set[str]) -> str:
    """Return the number of files per status, and the values that all files share."""
    counts = {status: sum(r.status == status for r in records) for status in ("ok", "skipped", "pending", "failed")}
    parts = [", ".join(f"{number} {status}" for status, number in counts.items() if number)]
    first = next((record for record in records if record.head), None)
    common = [
        f"{name} {cell(first)}" for name, cell in _COLUMNS if name in shared and first is not None and cell(first) != "-"
    ]
    if common:
        parts.append(f"all: {', '.join(common)}")
    return "; ".join(parts)


def _text(value: object) -> str:
    return "-" if value is None else str(value)


_COLUMNS: Columns = (
    ("file", lambda record: record.name),
    ("epoch", lambda record: "–" if record.epoch is None else str(record.epoch)),
    ("finished", lambda record: _text(record.epochs_completed)),
    ("epoch from", lambda record: _text(record.epoch_source)),
    ("step", lambda record: _text(record.step)),
    ("size", lambda record: console.size(record.bytes)),
    ("format", lambda record: " ".join(part for part in (record.format, record.trainer) if part) or "-"),
    ("classifier", lambda record: _text(record.head)),
    ("shape", lambda record: "-" if record.classes is None else f"{record.classes} x {record.features}"),
    ("dtype", lambda record: _text(record.dtype)),
    ("weights", lambda record: _text(record.weights_used)),
    ("status", lambda record: record.status),
)
_SHARED_COLUMNS = ("epoch from", "format", "classifier", "shape", "dtype", "weights")
"""The columns that are replaced by a line below the table if all files have the same value."""
_RIGHT_COLUMNS = ("epoch", "finished", "step", "size", "shape")
_MIN_FOLDED = 3
"""The smallest number of files that share a row."""
_MAX_CANDIDATES = 8
"""The largest number of candidates for the head that are printed."""


def _print_evidence(path: Place, *, choice: HeadOptions, labels: str | None, as_json: bool) -> None:
    """Print which head dsi uses of a file, and the candidates with the evidence for and against each."""
    from dsi_cli.checkpoints.scan import explain_head_choice, require_file
    from dsi_cli.labels import files

    classes = None if labels is None else len(files.read_labels_or_preset(labels).names)
    try:
        verdict, candidates = explain_head_choice(require_file(path), choice, classes)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}", code=error.code, path=str(path)) from None
    if as_json:
        rows = [
            {
                "name": candidate.name,
                "shape": candidate.tensor.shape,
                "for": candidate.support,
                "against": candidate.against,
            }
            for candidate in candidates
        ]
        console.print_json({"verdict": verdict, "candidates": rows})
        return
    console.print_sentence(f"{path}: {verdict}", indent=0)
    for number, candidate in enumerate(candidates[:_MAX_CANDIDATES], start=1):
        print(terminal_text(f"{number:>3}. {candidate.title}"))
        for sign, reasons in (("+", candidate.support), ("-", candidate.against)):
            for reason in reasons:
                print(terminal_text(f"     {sign} {reason}"))
    if len(candidates) > _MAX_CANDIDATES:
        print(f"{len(candidates) - _MAX_CANDIDATES} more candidates are in the output of --json")


def _print_tensors(path: Place, *, as_json: bool) -> None:
    from dsi_cli.checkpoints.scan import list_tensors, require_file

    file = require_file(path).path
    try:
        tensors = list_tensors(file)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}", code=error.code, path=str(path)) from None
    if as_json:
        console.print_json(
            [
                {"name": name, "shape": tensor.shape, "dtype": tensor.dtype, "weights": role}
                for name, tensor, role in tensors
            ]
        )
        return
    width = max((len(name) for name, _, _ in tensors), default=0)
    for name, tensor, role in tensors:
        print(terminal_text(f"{name:<{width}}  {tensor.dtype:<9} {role:<4} {tuple(tensor.shape)}"))
