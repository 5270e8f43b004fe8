"""What a notebook shows of an output: its runs, their best epochs, phases and warnings, and how to load more.

A fragment of HTML without scripts. Its colours are the notebook's own, so it is legible in light and in dark.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dsi_cli.errors import UsageError
from dsi_cli.queries import phases
from dsi_cli.report import best, html, sentences
from dsi_cli.store import layout

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

MOST_RUNS = 12
"""That are shown; of more, how many there are."""
MOST_WARNINGS = 8


@dataclass(frozen=True)
class ReportFrame:
    """The report of an output folder, as Jupyter shows it in a frame."""

    path: Path
    height: int
    """Pixels."""

    def _repr_html_(self) -> str:
        # Jupyter serves files by their path relative to the notebook, which runs in its own folder.
        try:
            source = quote(Path(os.path.relpath(self.path)).as_posix())
        except ValueError:  # the report is on another drive of Windows
            source = self.path.as_uri()
        return f'<iframe src="{escape(source)}" width="100%" height="{self.height}" style="border:0"></iframe>'


def report_frame(run: Results, height: int) -> ReportFrame:
    """Return a frame with the report of an output folder.

    Raises
    ------
    UsageError
        The folder has no report.
    """
    path = layout.report_path(run.path)
    if not path.is_file():
        raise UsageError(f"{run.path} has no report yet: make it with dsi report {run.path}")
    return ReportFrame(path, height)


def card(run: Results) -> str:
    """Return an output as a notebook shows it, a fragment of HTML; every name in it is escaped.

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    names = run.names[:MOST_RUNS]
    shorts, rows = best.beside_each_other({name: best.best_of_run(run, name) for name in names})
    warnings = [(name, warning) for name in names for warning in sentences.warnings(run, name)]
    told = [(name, phases.phase_sentences(run.path, name).phases) for name in names]
    return html.filled(
        "card.html",
        path=str(run.path),
        has_report=layout.report_path(run.path).is_file(),
        shorts=shorts,
        runs=[{**_sizes(run, name), "best": found} for name, found in rows],
        more=len(run.names) - len(names),
        phases=[(name, sentence) for name, sentence in told if sentence],
        warnings=warnings[:MOST_WARNINGS],
        code=_code(run, names),
    )


def _code(run: Results, names: list[str]) -> list[tuple[str, str]]:
    """Return lines of Python that load more, each with what it returns."""
    name = json.dumps(names[0], ensure_ascii=False)
    lines = [
        ("results.curves", "every metric at every epoch, each SAI with its chance level"),
        (f'results[{name}].csm("ncsm")', "a matrix as a square DataFrame, named by class"),
    ]
    if layout.report_path(run.path).is_file():
        lines.append(("results.show_report()", "the report: all matrices and curves over the epochs"))
    return lines


def _sizes(run: Results, name: str) -> dict[str, Any]:
    epochs = run.epochs(name)
    span = f"{len(epochs)}, {epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f"{len(epochs)}"
    return {"name": name, "span": span, "classes": int((run.classes["run"] == name).sum())}
