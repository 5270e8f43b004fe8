"""``dsi scan``: which checkpoints and classifiers ``dsi analyze`` would read."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich import filesize

from dsi_cli.cli import console
from dsi_cli.cli.options import (
    Ema,
    Head,
    Json,
    Labels,
    Names,
    Quiet,
    Revisions,
    option,
    switch,
)
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, NOTHING, PARTIAL, CheckpointError, UsageError

if TYPE_CHECKING:
    from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
    from dsi_cli.checkpoints.discovery import TrainingRun
    from dsi_cli.checkpoints.records import Record
    from dsi_cli.remote.locations import Place


SHARED_COLUMNS = ("epoch from", "format", "classifier", "shape", "dtype", "weights")
"""The columns that are replaced by a line below the table if all files have the same
value.
"""
COLUMNS = (
    "file",
    "epoch",
    "finished",
    "epoch from",
    "step",
    "size",
    *SHARED_COLUMNS[1:],
    "status",
)
NUMBER_COLUMNS = ("files", "epoch", "finished", "step", "size", "shape")
STATUSES = ("ok", "skipped", "pending", "failed")
NOT_PRINTED = (
    "modified_ns",
    "counts_from",
    "network",
    "is_confirmed",
    "fold",
    "scalars",
)
"""The fields of a record that ``--json`` leaves out."""
MIN_FOLDED = 3  # files that share a row
MAX_CANDIDATES = 8  # candidates for the head that are printed


def scan(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CHECKPOINTS",
            help="Checkpoint files, folders, glob patterns, or URLs.",
        ),
    ] = None,
    tensors: Annotated[
        str | None, option("--tensors", "FILE", "List all tensors of one file instead.")
    ] = None,
    why: Annotated[
        str | None, option("--why", "FILE", "Show why a layer of one file is the head.")
    ] = None,
    labels: Labels = None,
    revisions: Revisions = None,
    names: Names = None,
    head: Head = None,
    ema: Ema = False,
    show_all: Annotated[bool, switch("--all", "Show a row for every file.")] = False,
    history: Annotated[
        bool, switch("--history", "Name checkpoints that do not fit their order.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show what dsi analyze would read.

    dsi writes nothing. Files that differ only in name, epoch, step and size share a
    row, unless you add --all. The column epoch is the trainer's own number. The column
    finished counts completed epochs, if dsi knows how the trainer counts and the two
    differ.

    Examples
    --------
    dsi scan ckpts/
    dsi scan ckpts/ --labels cifar100               # as many rows as labels
    dsi scan ckpts/ --json                          # the same for a script
    dsi scan hf://org/model --revisions commits     # each commit of a hub
    dsi scan ckpts/ --names 'm_{seed}_{epoch}.pt'   # a run for each seed
    dsi scan ckpts/ --history                       # repeated, or out of order?
    dsi scan --why ckpts/epoch_030.safetensors      # why is it the head?
    dsi scan --tensors ckpts/epoch_030.safetensors  # names for --head
    """
    from dsi_cli.analysis.scan import scan_paths
    from dsi_cli.checkpoints.checkpoint_reader import HeadOptions

    choice = HeadOptions(head, ema)
    if tensors is not None:
        _print_tensors(_locate_checkpoint(tensors), as_json=as_json)
        return DONE
    if why is not None:
        _print_evidence(_locate_checkpoint(why), choice, labels, as_json=as_json)
        return DONE
    if not checkpoints:
        raise UsageError(
            "there is nothing to scan",
            hint="give checkpoints, as in dsi scan ckpts/",
            code="no-checkpoints",
        )
    with console.progress(quiet=quiet or as_json) as display:
        runs = scan_paths(
            checkpoints,
            choice,
            labels,
            lambda done, total: display.update("reading classifiers", done, total),
            revisions,
            names,
            history=history,
        )
    records = [record for _, run_records in runs for record in run_records]
    if as_json:
        _print_json(runs, with_facts=history)
    else:
        for run, run_records in runs:
            _print_run(run, run_records, show_all=show_all)
            _print_notices(run, quiet=quiet)
    if not any(record.status == "ok" for record in records):
        return NOTHING
    return PARTIAL if any(record.status == "failed" for record in records) else DONE


def _print_json(
    runs: list[tuple[TrainingRun, list[Record]]], *, with_facts: bool
) -> None:
    from dsi_cli.facts import about_run
    from dsi_cli.queries.facts import documents

    rows = [asdict(record) for _, records in runs for record in records]
    for row in rows:
        for key in NOT_PRINTED:
            del row[key]
    if not with_facts:
        console.print_json(rows)
        return
    facts = [one for run, _ in runs for one in about_run(run.name, run.facts)]
    console.print_json({"checkpoints": rows, "facts": documents(facts)})


def _print_notices(run: TrainingRun, *, quiet: bool) -> None:
    """Print what was noticed about a run, on stderr."""
    from dsi_cli.queries.facts import messages

    if run.ignored:
        others = console.count(run.ignored, "other file")
        console.note(f"{run.name}: {others} without weights", quiet=quiet)
    for message in messages(run.facts, []):
        console.print_message(message, quiet=quiet)


def _locate_checkpoint(name: str) -> Place:
    """Return the path of a checkpoint; the file of the model stands for a folder that
    is one checkpoint.
    """
    from dsi_cli.checkpoints.folders import MODEL_FILES
    from dsi_cli.remote import locations

    path = locations.locate(name)
    if not path.exists():
        raise UsageError(f"no such file: {path}", code="no-file", path=str(path))
    if not path.is_dir():
        return path
    model = next((path / name for name in MODEL_FILES if (path / name).is_file()), None)
    if model is None:
        raise UsageError(
            f"{path} is a folder",
            hint="name one checkpoint in it",
            code="is-folder",
            path=str(path),
        )
    return model


def _print_run(run: TrainingRun, records: list[Record], *, show_all: bool) -> None:
    files = [(record, _cells(record)) for record in records]
    # A value that all files share is in the line below the table.
    with_head = [cells for record, cells in files if record.head]
    shared = [
        name
        for name in SHARED_COLUMNS
        if len({cells[name] for cells in with_head}) <= 1
    ]
    groups = _fold(files, show_all=show_all)
    columns = _columns([cells for _, cells in files], shared)
    if len(groups) < len(files):
        columns.insert(1, "files")
    titles = [f"#{name}" if name in NUMBER_COLUMNS else name for name in columns]
    rows = [[_range(name, group) for name in columns] for group in groups]
    console.print_sentence(f"{run.name}  ({run.folder})")
    console.print_columns(titles, rows)

    common = []
    if with_head:
        common = _known_texts(with_head[0], shared)
    _print_below(records, common)


def _columns(files: list[dict[str, str]], shared: list[str]) -> list[str]:
    """Return the columns whose values the table shows, without those that are empty,
    shared, or the same as another.
    """
    columns = []
    for name in COLUMNS:
        is_empty = all(cells[name] == "-" for cells in files)
        if name not in shared and not is_empty:
            columns.append(name)
    if all(cells["finished"] in ("-", cells["epoch"]) for cells in files):
        columns = [name for name in columns if name != "finished"]
    return columns


def _known_texts(cells: dict[str, str], names: list[str]) -> list[str]:
    """Return the names and values of the columns that are not empty."""
    return [f"{name} {cells[name]}" for name in names if cells[name] != "-"]


def _print_below(records: list[Record], common: list[str]) -> None:
    """Print the problems, the number of files per status, and the common values."""
    from dsi_cli.checkpoints.records import messages_by_cause, unconfirmed_head
    from dsi_cli.queries.facts import messages

    for line in messages_by_cause(record for record in records if record.reason):
        console.print_sentence(line, indent=2, hanging=4)
    unconfirmed = unconfirmed_head(records)
    if unconfirmed is not None:
        (message,) = messages([unconfirmed], [])
        line = f"{message.text}; {message.command} shows the ranking"
        console.print_sentence(line, indent=2, hanging=4)
    statuses = Counter(record.status for record in records)
    summary = ", ".join(
        f"{statuses[status]} {status}" for status in STATUSES if statuses[status]
    )
    console.print_sentence(
        f"{summary}; all: {', '.join(common)}" if common else summary, hanging=4
    )


def _cells(record: Record) -> dict[str, str]:
    """Return the text of each column for a checkpoint."""
    shape = None if record.classes is None else f"{record.classes} x {record.features}"
    values = {
        "file": record.name,
        "epoch": "–" if record.epoch is None else record.epoch,
        "finished": record.epochs_completed,
        "epoch from": record.epoch_source,
        "step": record.step,
        "size": filesize.decimal(record.bytes),
        "format": (
            " ".join(
                dict.fromkeys(part for part in (record.format, record.trainer) if part)
            )
            or None
        ),
        "classifier": record.head,
        "shape": shape,
        "dtype": record.dtype,
        "weights": record.weights_used,
        "status": record.status,
    }
    return {
        name: "-" if value is None else str(value) for name, value in values.items()
    }


def _fold(
    files: list[tuple[Record, dict[str, str]]], *, show_all: bool
) -> list[list[tuple[Record, dict[str, str]]]]:
    """Return groups of adjacent files that differ only in name, epoch, step and size; a
    short group is split into single files.
    """

    def key(file: tuple[Record, dict[str, str]]) -> tuple[object, ...]:
        record, cells = file
        return (
            record.status,
            record.epoch is None,
            *(cells[name] for name in SHARED_COLUMNS),
        )

    groups = []
    for _, alike in groupby(files, key):
        members = list(alike)
        if show_all or len(members) < MIN_FOLDED:
            groups += [[member] for member in members]
        else:
            groups.append(members)
    return groups


def _range(name: str, group: list[tuple[Record, dict[str, str]]]) -> str:
    """Return the text of a column for one file, or for the first and the last file of a
    group, or its range.
    """
    if name == "files":
        return f"{len(group):,}"
    order = {
        "size": "bytes",
        "epoch": "epoch",
        "finished": "epochs_completed",
        "step": "step",
    }
    if name in order:
        group = sorted(group, key=lambda file: getattr(file[0], order[name]) or 0)
    first, last = group[0][1][name], group[-1][1][name]
    if len(group) > 1 and name == "file":
        return f"{first} … {last}"
    return first if first == last else f"{first}–{last}"


def _print_evidence(
    path: Place, choice: HeadOptions, labels: str | None, *, as_json: bool
) -> None:
    """Print which head dsi uses of a file, and the candidates with the evidence for and
    against each.
    """
    from dsi_cli.checkpoints.checkpoint_reader import explain_head_choice, require_file
    from dsi_cli.labels import files

    classes = None if labels is None else len(files.read_labels_or_preset(labels).names)
    try:
        verdict, candidates = explain_head_choice(require_file(path), choice, classes)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: {error.message}",
            hint=error.hint,
            code=error.code,
            path=str(path),
        ) from None
    if as_json:
        keys = ("name", "shape", "for", "against")
        rows = [
            dict(zip(keys, (c.name, c.tensor.shape, c.support, c.against), strict=True))
            for c in candidates
        ]
        console.print_json({"verdict": verdict, "candidates": rows})
        return
    console.print_sentence(f"{path}: {verdict}", hanging=4)
    for number, candidate in enumerate(candidates[:MAX_CANDIDATES], start=1):
        print(terminal_text(f"{number:>3}. {candidate.title}"))
        for sign, reasons in (("+", candidate.support), ("-", candidate.against)):
            for reason in reasons:
                print(terminal_text(f"     {sign} {reason}"))
    if len(candidates) > MAX_CANDIDATES:
        print(
            f"{len(candidates) - MAX_CANDIDATES} more candidates are in the output of"
            " --json"
        )


def _print_tensors(path: Place, *, as_json: bool) -> None:
    from dsi_cli.checkpoints.checkpoint_reader import list_tensors, require_file

    file = require_file(path).path
    try:
        tensors = list_tensors(file)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: {error.message}",
            hint=error.hint,
            code=error.code,
            path=str(path),
        ) from None
    if as_json:
        keys = ("name", "shape", "dtype", "weights")
        console.print_json(
            [
                dict(zip(keys, (name, t.shape, t.dtype, role), strict=True))
                for name, t, role in tensors
            ]
        )
        return
    width = max((len(name) for name, _, _ in tensors), default=0)
    for name, tensor, role in tensors:
        print(
            terminal_text(
                f"{name:<{width}}  {tensor.dtype:<9} {role:<4} {tuple(tensor.shape)}"
            )
        )
