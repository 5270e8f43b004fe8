"""The HTML that a notebook shows for a results folder: a fragment without scripts, in
the colours of the notebook.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from dsi_cli.errors import UsageError
from dsi_cli.queries.findings import headline
from dsi_cli.queries.quantities import AGREEMENT, QUANTITIES
from dsi_cli.report import html, overview
from dsi_cli.store import layout
from dsi_cli.store.results import Results

MAX_RUNS = 12  # runs in the table; the card counts the rest


@dataclass(frozen=True)
class ReportFrame:
    """The report of a results folder in a frame for Jupyter."""

    path: Path
    height: int  # the height in pixels

    def _repr_html_(self) -> str:
        # Jupyter serves files relative to the notebook, whose folder is the working
        # directory.
        try:
            source = quote(os.fsencode(Path(os.path.relpath(self.path)).as_posix()))
        except ValueError:  # on Windows, the report is on another drive
            source = self.path.as_uri()
        return (
            f'<iframe src="{escape(source)}" width="100%" height="{self.height}"'
            ' style="border:0"></iframe>'
        )


def report_frame(results: Results, height: int) -> ReportFrame:
    """Return a frame with the report of a results folder; raise `UsageError` if the
    folder has no report.
    """
    path = results.path / layout.REPORT
    if not path.is_file():
        command = shlex.join(["dsi", "report", str(results.path)])
        raise UsageError(
            f"{results.path} has no report",
            hint=f"run {command}",
            code="no-report",
            path=str(results.path),
        )
    return ReportFrame(path, height)


def card(results: Results) -> str:
    """Return the HTML fragment of a results folder; raise `OutputError` if a table
    cannot be read.
    """
    findings = overview.all_findings(results)
    shown = [run.measured for run in findings if run.alignment]
    measured = shown[0] if shown else QUANTITIES[AGREEMENT]
    runs = []
    for run in findings[:MAX_RUNS]:
        span = str(len(run.epochs))
        if len(run.epochs) > 1:
            span += f", {run.epochs[0]} to {run.epochs[-1]}"
        trends = (run.alignment, run.trend("max_wsi"), run.accuracy)
        values = [f"{trend.last.value:.3f}" if trend else "–" for trend in trends]
        runs.append([run.run, span, run.classes, *values])
    return html.fill_template(
        "card.html",
        path=str(results.path),
        has_report=(results.path / layout.REPORT).is_file(),
        headline=headline(findings),
        measure=measured.title,
        axis=measured.axis,
        runs=runs,
        more=len(findings) - len(runs),
        warnings=[message.text for message in overview.result_messages(results)],
    )
