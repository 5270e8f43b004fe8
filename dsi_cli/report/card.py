"""What a notebook shows of an output: its runs, their best epochs, phases and warnings, and how to load more.

A fragment of HTML without scripts. Its colours are the notebook's own, so it is legible in light and in dark.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dsi_cli.report import best, document, words
from dsi_cli.store import output
from dsi_cli.views import phases

if TYPE_CHECKING:
    from dsi_cli.store.runs import Run

MOST_RUNS = 12
"""That are shown; of more, how many there are."""
MOST_WARNINGS = 8


def card(run: Run) -> str:
    """Return an output as a notebook shows it, a fragment of HTML; every name in it is escaped.

    Raises
    ------
    OutputError
        A table cannot be read.
    """
    names = run.names[:MOST_RUNS]
    shorts, rows = best.beside_each_other({name: best.of_run(run, name) for name in names})
    warnings = [(name, warning) for name in names for warning in words.warnings(run, name)]
    told = [(name, phases.told(run.path, name).phases) for name in names]
    return document.filled(
        "card.html",
        path=str(run.path),
        has_report=output.report_path(run.path).is_file(),
        shorts=shorts,
        runs=[{**_sizes(run, name), "best": found} for name, found in rows],
        more=len(run.names) - len(names),
        phases=[(name, sentence) for name, sentence in told if sentence],
        warnings=warnings[:MOST_WARNINGS],
        code=_code(f", run={json.dumps(names[0], ensure_ascii=False)}" if len(run.names) > 1 else ""),
    )


def _code(of_run: str) -> list[tuple[str, str]]:
    """Return lines to type, and what each gives; the last one is the longest."""
    return [
        ("run.curves", "every metric at every epoch, each SAI with its chance level"),
        (f'run.csm("ncsm"{of_run})', "a matrix as a square DataFrame, named by class"),
        (f'run.slider("ncsm"{of_run})', "the same over all epochs"),
    ]


def _sizes(run: Run, name: str) -> dict[str, Any]:
    epochs = run.epochs(name)
    span = f"{len(epochs)}, {epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f"{len(epochs)}"
    return {"name": name, "span": span, "classes": int((run.classes["run"] == name).sum())}
