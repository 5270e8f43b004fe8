"""The HTML that a notebook shows for a results folder: runs, best epochs, phases, warnings, and code that loads more.

The HTML is a fragment without scripts. It uses the colours of the notebook, so it is legible in light and dark themes.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from dsi_cli.errors import UsageError
from dsi_cli.queries.epoch_summary import phases_line
from dsi_cli.queries.findings import headline, table_rows
from dsi_cli.report import html, overview
from dsi_cli.store import layout
from dsi_cli.store.results import Results
from dsi_cli.store.schema import PHASES

MAX_RUNS = 12  # runs in the table; the card counts the rest
MAX_WARNINGS = 8


@dataclass(frozen=True)
class ReportFrame:
    """The report of a results folder in a frame for Jupyter."""

    path: Path
    height: int  # the height in pixels

    def _repr_html_(self) -> str:
        # Jupyter serves files relative to the notebook, whose folder is the working directory.
        try:
            source = quote(os.fsencode(Path(os.path.relpath(self.path)).as_posix()))
        except ValueError:  # on Windows, the report is on another drive
            source = self.path.as_uri()
        return f'<iframe src="{escape(source)}" width="100%" height="{self.height}" style="border:0"></iframe>'


def report_frame(results: Results, height: int) -> ReportFrame:
    """Return a frame with the report of a results folder; raise `UsageError` if the folder has no report."""
    path = results.path / layout.REPORT
    if not path.is_file():
        command = shlex.join(["dsi", "report", str(results.path)])
        raise UsageError(f"{results.path} has no report; run {command}", code="no-report", path=str(results.path))
    return ReportFrame(path, height)


def card(results: Results) -> str:
    """Return the HTML fragment of a results folder; raise `OutputError` if a table cannot be read."""
    findings = overview.all_findings(results)
    shown = findings[:MAX_RUNS]
    runs = []
    for run in shown:
        span = str(len(run.epochs))
        if len(run.epochs) > 1:
            span += f", {run.epochs[0]} to {run.epochs[-1]}"
        accuracy = f"{run.accuracy.last.value:.3f}" if run.accuracy else "–"
        runs.append({"name": run.run, "span": span, "classes": run.classes, "accuracy": accuracy})
    phases = [(run.run, table_rows(results.path, PHASES, run.run)) for run in shown]

    # Lines of Python that load tables and matrices, each with a comment.
    has_report = (results.path / layout.REPORT).is_file()
    name = json.dumps(results.names[0], ensure_ascii=False)
    code = [
        ("results.curves", "every metric at every epoch, each SAI with its chance level"),
        (f'results[{name}].csm("ncsm")', "a class similarity matrix as a square DataFrame with class names"),
    ]
    if has_report:
        code.append(("results.show_report()", "the report: all matrices and curves over the epochs"))
    return html.fill_template(
        "card.html",
        path=str(results.path),
        has_report=has_report,
        headline=headline(findings),
        tiles=overview.tiles(findings),
        runs=runs,
        more=len(findings) - len(shown),
        phases=[(run, phases_line(rows)) for run, rows in phases if rows],
        warnings=overview.result_warnings(results)[:MAX_WARNINGS],
        code=code,
    )
