"""The end of an analysis: its findings on one screen, warnings with a command each, and
the next steps; or one JSON document.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.checkpoints.records import OK, SKIPPED
from dsi_cli.cli import console
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import listed

if TYPE_CHECKING:
    from dsi_cli.analysis.summary import RunSummary, Summary
    from dsi_cli.tracking import Logged

MAX_NAMED = 5  # labels, causes or runs that a message names; dsi counts the others


def print_summary(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    """Print the findings of an analysis, warnings and the next steps, or one JSON
    document.
    """
    if as_json:
        console.print_json(summary_document(summary))
        return
    from dsi_cli.cli.findings_screen import print_findings

    is_new = not summary.unchanged or bool(summary.problems)
    if is_new:
        for line in _notes(summary.runs):
            console.note(line, quiet=quiet)
        print_findings(summary)
    else:
        known = sum(run.statuses.get(OK, 0) for run in summary.runs)
        every = sum(
            number
            for run in summary.runs
            for status, number in run.statuses.items()
            if status != SKIPPED
        )
        report = "" if summary.report is None else f" {summary.report} is up to date."
        console.print_sentence(
            f"Nothing new: {known} of {console.count(every, 'checkpoint')}.{report}"
        )
    _print_failures(summary)
    for warning, command in _warnings(summary):
        console.note(f"warning: {warning}", quiet=quiet)
        if command is not None:
            console.note_command(command, quiet=quiet)
    if is_new:
        _print_next_steps(summary, quiet=quiet)
    for logged in summary.logged:
        print_logged(logged)


def summary_document(summary: Summary) -> dict[str, object]:
    """Return the summary of an analysis as ``--json`` prints it."""
    from dsi_cli.queries import epoch_summary
    from dsi_cli.queries.findings import headline, run_findings, table_rows
    from dsi_cli.store.schema import PHASES

    out, runs = Path(summary.out), []
    findings = [run_findings(out, run.name) for run in summary.runs]
    for run, found in zip(summary.runs, findings, strict=True):
        epochs, mistakes = (
            epoch_summary.epoch_summaries(out, run.name),
            epoch_summary.mistake_summaries(out, run.name),
        )
        # Of each quantity of the closing screen, the document has the last and the
        # highest value.
        trends = {
            "agreement": found.agreement,
            "max_wsi": found.max_wsi,
            "accuracy": found.accuracy,
        }
        for split, of_split in found.mistakes.items():
            trends |= {f"nidm_{split}": of_split.nidm, f"widm_{split}": of_split.widm}
        values = {}
        for name, trend in trends.items():
            if trend is not None:
                last, peak = asdict(trend.last), asdict(trend.peak)
                values[name] = {
                    "last": last,
                    "peak": peak,
                    "is_above_chance": trend.is_above_chance,
                }
        tables = {"epochs": epochs, "mistakes": mistakes}
        runs.append(
            asdict(run)
            | tables
            | {
                "phases": table_rows(out, PHASES, run.name),
                "findings": values,
            }
        )
    return asdict(summary) | {
        "exit_code": summary.exit_code,
        "headline": headline(findings),
        "runs": runs,
    }


def _notes(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Yield which files dsi used in addition to the checkpoints, and what it kept of
    earlier calls.
    """
    # Runs with the same files share a line.
    names: dict[str, list[str]] = {}
    for run in runs:
        files = []
        if run.labels:
            files.append(
                f"labels: {run.labels_described}; {run.resolved} of {run.classes} in"
                f" {run.known_to}"
            )
        if run.log:
            files.append(f"losses and accuracies: {run.log}")
        files += [f"{split}: {source}" for split, source in run.splits.items()]
        if len(run.references) > 1:
            files.append(
                f"references: {', '.join(run.references)}, of which the first is shown"
            )
        names.setdefault("; ".join(files), []).append(run.name)
    for used, users in names.items():
        if used:
            of_runs = f" for {listed(users, MAX_NAMED)}" if len(names) > 1 else ""
            yield f"used{of_runs}: {used}"
    if reused := sum(run.reused for run in runs):
        epochs = console.count(sum(run.statuses.get("ok", 0) for run in runs), "epoch")
        yield (
            f"{reused} of {epochs} known from an earlier call; heads read now:"
            f" {sum(run.read for run in runs)}"
        )
    for run in runs:
        if run.gone:
            yield (
                f"{run.name}: dsi keeps the results of"
                f" {console.count(run.gone, 'checkpoint')} that no longer exist"
            )


def _print_failures(summary: Summary) -> None:
    """Print the causes why checkpoints or predictions failed, with the number of files
    of each, and a command that lists all.
    """
    from dsi_cli.checkpoints.records import messages_by_cause

    for run in summary.runs:
        lines = messages_by_cause(run.problems)
        for line in lines[:MAX_NAMED]:
            console.note(f"{run.name}: {line}")
        if len(lines) > MAX_NAMED:
            console.note(
                f"{run.name}: {console.count(len(lines) - MAX_NAMED, 'more cause')}"
            )
        if len(run.problems) > 1:
            console.note_command(shlex.join(["dsi", "scan", run.folder]))
        for split in dict.fromkeys(split for _, split, _ in run.not_evaluated):
            status = f"have no predictions on {split}"
            missing = [
                (path, status, why)
                for path, other, why in run.not_evaluated
                if other == split
            ]
            for line in messages_by_cause(
                missing, single=f"{{name}} has no predictions on {split}: {{reason}}"
            ):
                console.note(f"{run.name}: {line}")


def _warnings(summary: Summary) -> Iterator[tuple[str, str | None]]:
    """Yield one warning per cause, and the command that mends it; runs with the same
    cause share a warning.
    """
    owners_of_warning: dict[tuple[str, str | None], list[str]] = {}
    for run in summary.runs:
        # The command names the label file of the first run with this cause.
        for text, command in _label_warnings(run):
            same = next(
                (warning for warning in owners_of_warning if warning[0] == text),
                (text, command),
            )
            owners_of_warning.setdefault(same, []).append(
                run.name if len(summary.runs) > 1 else ""
            )
    names = sorted((run.name for run in summary.runs), key=len, reverse=True)
    for text in summary.warnings:
        owner = next((name for name in names if text.startswith(f"{name}: ")), "")
        owners_of_warning.setdefault(
            (text.removeprefix(f"{owner}: "), None), []
        ).append(owner)
    for (text, command), owners in owners_of_warning.items():
        is_shared = "" in owners or len(owners) == len(summary.runs) > 1
        yield text if is_shared else f"{listed(owners, MAX_NAMED)}: {text}", command


def _label_warnings(run: RunSummary) -> Iterator[tuple[str, str | None]]:
    """Yield what is wrong with the labels of a run, each with the command that mends
    it.
    """
    from dsi_cli.queries.findings import reference_name

    if not run.statuses.get("ok"):
        return
    unresolved, mend = "", None
    if run.unresolved and not run.are_placeholders:
        unresolved = (
            f"{listed([label for label, _ in run.unresolved], MAX_NAMED, ', ...')}"
            f" ({run.unresolved[0][1]})"
        )
        mend = run.labels_command and f"{run.labels_command} --write-map map.csv"
    if run.no_reference and run.labels is None:
        classes = console.count(run.classes or 0, "class")
        advice = "add --labels FILE, or --labels PRESET from this list"
        yield (
            f"no labels for {classes}, so no agreement; {advice}",
            "dsi labels --presets",
        )
    elif run.no_reference:
        reference = reference_name(run.references[0] if run.references else "wordnet")
        yield (
            (
                f"no agreement with {reference}:"
                f" {run.no_reference}{unresolved and f'; unknown: {unresolved}'}"
            ),
            mend,
        )
    if run.all_uncertain:
        yield run.all_uncertain, run.labels_command
        return
    if unresolved and not run.no_reference:
        labels = console.count(len(run.unresolved), "label")
        yield f"{labels} left out of the agreement: {unresolved}", mend
    if run.uncertain:
        senses = listed(
            [f"{label} → {synset}" for label, synset in run.uncertain],
            MAX_NAMED,
            ", ...",
        )
        verb = "is" if len(run.uncertain) == 1 else "are"
        yield (
            f"{console.count(len(run.uncertain), 'label')} {verb} uncertain: {senses}",
            run.labels_command,
        )


def print_logged(logged: Logged) -> None:
    """Print where the curves were logged, and the command that shows them."""
    counts = (
        f"{console.count(logged.runs, 'run')}, {console.count(logged.points, 'point')}"
    )
    print(
        f"{logged.to}: {terminal_text(logged.place)} ({counts});"
        f" {terminal_text(logged.next_step)}"
    )


def _print_next_steps(summary: Summary, *, quiet: bool) -> None:
    """Print where the results are and which commands go on."""
    from dsi_cli.labels.presets import PRESETS

    out = summary.out
    if summary.report_problem is not None:
        advice = "the tables are complete, and this command writes it again"
        console.error(f"no report, because {summary.report_problem}; {advice}:")
        console.note_command(shlex.join(["dsi", "report", out]))
    for problem in summary.logging_problems:
        console.error(
            f"the curves were not logged: {problem}; to log them, run dsi export {out}"
            " --log-to"
        )
    steps = [
        ("Tables", out, ""),
        ("Per epoch", shlex.join(["dsi", "export", out, "--table", "curves"]), ""),
    ]
    if len(summary.runs) > 1:
        steps.insert(0, ("Compare", shlex.join(["dsi", "compare", out]), ""))
    if (
        len(summary.runs) == 1
        and summary.runs[0].labels is None
        and summary.runs[0].classes
    ):
        run = summary.runs[0]
        command = shlex.join(["dsi", "analyze", run.folder, "-o", out, "--labels"])
        # Several data sets have as many classes, so that only the user knows whether
        # one of these presets is right.
        presets = ", ".join(
            preset.name for preset in PRESETS if preset.classes == run.classes
        )
        choice = f", or a preset of {run.classes} classes: {presets}" if presets else ""
        steps.insert(
            0,
            (
                "Labels",
                f"{command} FILE  # a text file with one class name per line{choice}",
                "",
            ),
        )
    if summary.report is not None:
        link = (
            ""
            if "://" in summary.report
            else f"link {Path(summary.report).absolute().as_uri()}"
        )
        steps.insert(0, ("Report", summary.report, link))
    steps.append(("Python", f"dsi_cli.open_results({out!r})", ""))
    print(flush=True)
    console.note(
        f"Done in {summary.seconds:.0f} s.", quiet=quiet or not sys.stderr.isatty()
    )
    for title, text, style in steps:
        console.print_styled((f"  {title:<11}", "dim"), (text, style))
