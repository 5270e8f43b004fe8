"""The end of an analysis: its findings on one screen, warnings with a command each, and
the next steps; or one JSON document.
"""

from __future__ import annotations

import shlex
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
    """Print the findings of an analysis, what dsi noticed and the next steps, or one
    JSON document.
    """
    if as_json:
        console.print_json(summary_document(summary))
        return
    from dsi_cli.cli.findings_screen import print_findings

    # Inputs that contradict one another come before what is concluded.
    every = summary.messages
    first = [message for message in every if message.is_contradiction]
    for message in first:
        console.print_message(message, quiet=quiet)
    is_new = not summary.unchanged or bool(summary.problems)
    if is_new:
        for line in _notes(summary.runs):
            console.note(line, quiet=quiet)
        print_findings(summary)
    else:
        _print_nothing_new(summary)
    for message in every:
        if message not in first:
            console.print_message(message, quiet=quiet)
    if is_new:
        _print_next_steps(summary)
    for logged in summary.logged:
        print_logged(logged)


def _print_nothing_new(summary: Summary) -> None:
    known = sum(run.statuses.get(OK, 0) for run in summary.runs)
    skipped = sum(run.statuses.get(SKIPPED, 0) for run in summary.runs)
    every = sum(sum(run.statuses.values()) for run in summary.runs) - skipped
    report = "" if summary.report is None else f" {summary.report} is up to date."
    checkpoints = console.count(every, "checkpoint")
    console.print_sentence(f"Nothing new: {known} of {checkpoints}.{report}")


def summary_document(summary: Summary) -> dict[str, object]:
    """Return the summary of an analysis as ``--json`` prints it."""
    from dsi_cli.cli import tables
    from dsi_cli.queries import epoch_summary
    from dsi_cli.queries.facts import documents
    from dsi_cli.queries.findings import findings
    from dsi_cli.store.results import Results

    results = Results(summary.out)
    of_runs = {
        "epochs": epoch_summary.summary(results),
        "mistakes": epoch_summary.mistake_summary(results),
        "phases": results.phases,
        "findings": findings(results),
    }
    # Inputs that contradict one another come before what is concluded.
    document: dict[str, object] = {"facts": documents(summary.facts)}
    document |= asdict(summary)
    return document | {
        "facts": documents(summary.facts),
        "exit_code": summary.exit_code,
        "headline": of_runs["findings"].attrs["headline"],
        "runs": [
            asdict(run)
            | tables.document(
                {
                    name: table[table["run"] == run.name]
                    for name, table in of_runs.items()
                }
            )
            for run in summary.runs
        ],
    }


def _notes(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Yield which files dsi used in addition to the checkpoints, and what it kept of
    earlier calls.
    """
    # Runs with the same files share a line.
    names: dict[str, list[str]] = {}
    for run in runs:
        files = list(run.splits.values())
        if run.log:
            files.insert(0, run.log)
        if run.labels_described:
            files.insert(0, run.labels_described)
        names.setdefault(", ".join(files), []).append(run.name)
    for used, users in names.items():
        if used:
            runs_named = f"for {listed(users, MAX_NAMED)}, " if len(names) > 1 else ""
            yield f"{runs_named}dsi uses {used}"
    if gone := sum(run.gone for run in runs):
        yield (
            f"dsi keeps the results of {console.count(gone, 'checkpoint')} that no"
            " longer exist"
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


def _print_next_steps(summary: Summary) -> None:
    """Print where the results are and which commands go on."""
    out = summary.out
    if summary.report_problem is not None:
        console.error(
            f"no report, because {summary.report_problem}",
            f"the tables are complete; to write it again, run dsi report {out}",
        )
    for problem in summary.logging_problems:
        console.error(
            f"the curves were not logged: {problem}", f"run dsi export {out} --log-to"
        )
    steps: list[tuple[str, str]] = []
    if summary.report is not None:
        steps.append(("Report", summary.report))
    if len(summary.runs) > 1:
        steps.append(("Compare", shlex.join(["dsi", "compare", out])))
    steps += [
        ("Tables", out),
        ("Python", f"dsi_cli.open_results({out!r})"),
    ]
    print(flush=True)
    for title, text in steps:
        style = ""
        if title == "Report":
            style = f"link {Path(text).absolute().as_uri()}"
        console.print_styled((f"  {title:<11}", "dim"), (text, style))
