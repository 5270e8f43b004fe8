"""The printed summary of an analysis: a table per run and the next step, or one JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.cli import console
from dsi_cli.cli.text import terminal_text

if TYPE_CHECKING:
    from dsi_cli.analysis.summary import RunSummary, Summary
    from dsi_cli.queries.epoch_summary import EpochSummary, MistakeSummary
    from dsi_cli.queries.typicality import TypicalitySummary
    from dsi_cli.tracking.destinations import Logged

TABLES = ("curves.parquet", "checkpoints.parquet", "classes.parquet")
FOLDERS = ("csms", "neighbors", "heads", "confusions")
"""Optional output folders to list if they exist."""
MAX_NAMED_LABELS = 5
"""The largest number of labels without a synset, or with an uncertain one, that are named; dsi counts the others."""


def print_summary(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    """Print the summary of an analysis: tables and the next step, or one JSON document."""
    from dsi_cli.queries import typicality

    console.settle()
    if as_json:
        console.print_json(summary_document(summary))
        return
    tables = _tables_by_run(summary)
    for run in summary.runs:
        epochs, mistakes = tables[run.name]
        _print_notes(run, quiet=quiet)
        left_out = [_print_epochs(run, epochs, quiet=quiet)] if epochs else []
        _print_phases(summary, run)
        for split, mistake_rows in mistakes.items():
            print()
            left_out.append(_print_table(f"{run.name}: mistakes on {split}", mistake_rows, _MISTAKES))
        for split, typicality_rows in typicality.typicality_summary(Path(summary.out), run.name).items():
            print()
            title = f"{run.name}: cosine with the class template on {split}"
            left_out.append(_print_table(title, typicality_rows, _TYPICALITY))
        # One note about left-out epochs per run is enough.
        note = next((note for note in left_out if note), None)
        if note is not None:
            console.note(note, quiet=quiet)
    for warning in (*_uncertain_labels(summary.runs), *summary.warnings):
        console.note(f"warning: {warning}", quiet=quiet)
    has_sai = any(row.value is not None for epochs, _ in tables.values() for row in epochs)
    _print_next_step(summary, has_sai=has_sai, has_mistakes=any(mistakes for _, mistakes in tables.values()))
    for logged in summary.logged:
        print_logged(logged, quiet=quiet)


def _tables_by_run(summary: Summary) -> dict[str, tuple[list[EpochSummary], dict[str, list[MistakeSummary]]]]:
    from dsi_cli.queries import epoch_summary

    out = Path(summary.out)
    return {
        run.name: (epoch_summary.epoch_summaries(out, run.name), epoch_summary.mistake_summaries(out, run.name))
        for run in summary.runs
    }


def summary_document(summary: Summary) -> dict[str, object]:
    """Return the summary of an analysis as ``--json`` prints it."""
    from dsi_cli.queries.phases import phase_sentences

    tables, runs = _tables_by_run(summary), []
    for run in summary.runs:
        epochs, mistakes = tables[run.name]
        phases = phase_sentences(Path(summary.out), run.name)
        runs.append(
            asdict(run)
            | {
                "epochs": [asdict(row) for row in epochs],
                "mistakes": {split: [asdict(row) for row in rows] for split, rows in mistakes.items()},
                "phases": phases.rows,
                "hints": phases.hints,
            }
        )
    return asdict(summary) | {"exit_code": summary.exit_code, "runs": runs}


def _print_notes(run: RunSummary, *, quiet: bool) -> None:
    from dsi_cli.checkpoints.records import messages_by_cause

    for line in _run_notes(run):
        console.note(line, quiet=quiet)
    for line in messages_by_cause(run.problems):
        console.note(f"  {line}")
    for path, split, reason in run.unanswered:
        console.note(f"  no answer on {split}: {path}: {reason}")


def _run_notes(run: RunSummary) -> Iterator[str]:
    """Yield the notes about a run: its checkpoints, labels, logs and data."""
    ok = run.statuses.get("ok", 0)
    if not ok:
        yield f"{run.name}: no checkpoint can be used"
        return
    weights = " and ".join(run.weights_used)
    heads = ", ".join(run.heads) or "none: text embeddings or class templates stand in its place"
    counts = f"{console.count(ok, 'checkpoint')}, {console.count(run.classes or 0, 'class')}"
    yield f"{run.name}: {counts}, classifier {heads} ({weights})"
    if run.labels:
        yield f"  labels: {run.labels_described}; {run.resolved} of {run.classes} in {run.known_to}"
    if run.log:
        yield f"  losses and accuracies: {run.log}"
    for split, words in run.splits.items():
        yield f"  {split}: {words}"
    other = {status: count for status, count in run.statuses.items() if status != "ok"} | {"without weights": run.ignored}
    other_files = ", ".join(f"{count} {status}" for status, count in other.items() if count)
    if other_files:
        yield f"  other files: {other_files}"
    if run.reused:
        yield f"  {run.reused} of {console.count(ok, 'epoch')} known from an earlier call; heads read now: {run.read}"
    if run.gone:
        yield f"  {console.count(run.gone, 'checkpoint')} of an earlier call, not among these files: kept"
    yield from _label_notes(run)


def _label_notes(run: RunSummary) -> Iterator[str]:
    named = [] if run.are_placeholders or run.all_uncertain else run.unresolved[:MAX_NAMED_LABELS]
    for label, reason in named:
        yield f"  warning: label {label!r} is left out of the alignment: {reason}"
    if named and len(run.unresolved) > MAX_NAMED_LABELS:
        more = console.count(len(run.unresolved) - MAX_NAMED_LABELS, "more label")
        yield f"  warning: and {more} without a synset (classes.parquet has all)"
    if run.no_reference:
        yield f"  no alignment with {'WordNet' if len(run.references) < 2 else run.references[0]}: {run.no_reference}"
    if len(run.references) > 1:
        yield f"  references: {', '.join(run.references)}; the tables here are of the first"


def _uncertain_labels(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Yield one line for each label list with uncertain senses, however many runs have it."""
    printed = set()
    for run in runs:
        key = run.all_uncertain or tuple(run.uncertain)
        if not key or key in printed:
            continue
        printed.add(key)
        if run.all_uncertain:
            yield run.all_uncertain
            continue
        labels = f"{console.count(len(run.uncertain), 'label')} {'is' if len(run.uncertain) == 1 else 'are'} uncertain"
        named = ", ".join(f"{label} → {synset}" for label, synset in run.uncertain[:MAX_NAMED_LABELS])
        more = ", ..." if len(run.uncertain) > MAX_NAMED_LABELS else ""
        yield f"{labels}: {named}{more}; see {run.labels_command or 'the labels in the report'}"


def _print_epochs(run: RunSummary, rows: list[EpochSummary], *, quiet: bool) -> str | None:
    columns = [(name.format(measure=rows[0].measure), digits, field) for name, digits, field in _COLUMNS]
    left_out = _print_table(run.name, rows, columns)
    reason = next((row.reason for row in rows if row.reason), None)
    if reason and not run.no_reference and all(row.value is None for row in rows):
        console.note(f"  no SAI: {reason}", quiet=quiet)
    return left_out


def _print_phases(summary: Summary, run: RunSummary) -> None:
    from dsi_cli.queries.phases import phase_sentences

    phases = phase_sentences(Path(summary.out), run.name)
    for line in [phases.phases, *phases.hints]:
        if line is not None:
            console.print_sentence(line)


def _print_table(
    title: str, rows: Sequence[EpochSummary | MistakeSummary | TypicalitySummary], columns: Sequence[tuple[str, int, str]]
) -> str | None:
    """Print a table of selected epochs without the empty columns; return a note if epochs are left out."""
    from rich.table import Table
    from rich.text import Text

    from dsi_cli.queries import epoch_sampling

    table = Table(title=Text(terminal_text(title)), title_justify="left", pad_edge=False, box=None, header_style="bold")
    columns = [
        column for column in columns if column[2] == "epoch" or any(getattr(row, column[2]) is not None for row in rows)
    ]
    for name, _, _ in columns:
        table.add_column(name, justify="right")
    shown_rows = epoch_sampling.thin_epochs(list(rows))
    for row in shown_rows:
        cells = [number(getattr(row, field), digits) for _, digits, field in columns]
        if row.epoch is None:
            cells[0] = "–"
        table.add_row(*cells)
    console.print_table(table)
    if len(shown_rows) == len(rows):
        return None
    return f"  {len(shown_rows)} of {len(rows)} epochs are shown; curves.parquet has all"


_COLUMNS = (
    ("epoch", 0, "epoch"),
    ("SAI excess", 3, "excess"),
    ("z", 1, "z"),
    ("SAI ({measure})", 3, "value"),
    ("by chance", 3, "chance"),
    ("Max WSI", 3, "max_wsi"),
    ("Min WSI", 3, "min_wsi"),
    ("accuracy", 3, "accuracy"),
)
_MISTAKES = (
    ("epoch", 0, "epoch"),
    ("mistakes", 0, "mistakes"),
    ("NIDM", 3, "nidm"),
    ("z", 1, "nidm_z"),
    ("WIDM", 3, "widm"),
    ("z", 1, "widm_z"),
    ("by chance", 3, "chance"),
    ("CCSM", 3, "ccsm"),
    ("z", 1, "ccsm_z"),
    ("gap", 3, "gap"),
)
_TYPICALITY = (
    ("epoch", 0, "epoch"),
    ("right", 3, "right"),
    ("by chance", 3, "right_chance"),
    ("a sample", 3, "right_sample"),
    ("wrong", 3, "wrong"),
    ("by chance", 3, "wrong_chance"),
    ("a sample", 3, "wrong_sample"),
    ("classes", 0, "wrong_classes"),
)


def number(value: float | None, digits: int) -> str:
    """Return the text of a number, with ``0.000`` for ``-0.000`` and ``-`` for None."""
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def print_logged(logged: Logged, *, quiet: bool) -> None:
    """Print where the curves were logged, and the command that shows them."""
    if logged.left_out:
        left_out = ", ".join(logged.left_out)
        console.note(f"not logged, having no chance level (dsi analyze --permutations gives it): {left_out}", quiet=quiet)
    counts = f"{console.count(logged.runs, 'run')}, {console.count(logged.points, 'point')}"
    print(f"{logged.to}: {terminal_text(logged.place)} ({counts}); {terminal_text(logged.next_step)}")


def _print_next_step(summary: Summary, *, has_sai: bool, has_mistakes: bool) -> None:
    print()
    if has_sai:
        console.print_sentence(
            "SAI excess: 0 is what chance gives, 1 is identity; z: deviations above chance. A raw SAI alone says little.",
            0,
            2,
        )
    if has_mistakes:
        console.print_sentence(
            "NIDM, WIDM: how near mistakes fall by the network's own similarity and by WordNet's, over mistakes alone. CCSM: SAI"
            " excess of the network's similarity with its mistakes.",
            *(0, 2),
        )
    tables = [*TABLES, *(f"{name}/" for name in FOLDERS if (Path(summary.out) / name).is_dir())]
    if summary.report_problem is not None:
        console.error(f"no report: {summary.report_problem}; the tables are whole, dsi report makes it from them")
    elif summary.report is not None:
        print(f"report: {terminal_text(summary.report)} (open it in a browser)")
    for problem in summary.logging_problems:
        console.error(f"not logged: {problem}; the tables are whole, dsi export {summary.out} --log-to logs them")
    console.print_sentence(f"tables: {summary.out} ({', '.join(tables)})", 0, 2)
    print(
        f"notebook: from dsi_cli import open_results; results = open_results({terminal_text(repr(summary.out))}); results.curves"
    )
