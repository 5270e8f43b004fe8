"""Warnings about the results, one for each cause, with the command that helps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import count
from dsi_cli.metrics.hierarchical_scores import HIERARCHY_METRICS
from dsi_cli.report.classes import class_rows
from dsi_cli.store.schema import UNCERTAIN

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

MAX_NAMED = 5
"""Maximum number of labels or curves that a warning names."""


class ResultWarning(NamedTuple):
    """A warning about results."""

    text: str
    command: str = ""
    """The command that helps, or shows more; empty without one."""


def warnings(results: Results, run: str) -> list[ResultWarning]:
    """Return warnings about unused checkpoints, missing, unresolved and uncertain labels, and empty curves of a run."""
    found = []
    checkpoints = results.checkpoints[results.checkpoints["run"] == run]
    folder = run_folder(results, run)
    for status, problem in (("failed", "cannot be read or analysed"), ("pending", "may still be being written")):
        rows = checkpoints[checkpoints["status"] == status]
        if len(rows):
            first = rows.iloc[0]
            example = ", for example" if len(rows) > 1 else ""
            skipped = f"dsi skipped {count(len(rows), 'checkpoint')} that {problem}{example}"
            text = f"{skipped}, {Path(first['path']).name}: {first['reason']}"
            found.append(ResultWarning(text, shlex.join(["dsi", "scan", folder])))
    classes = class_rows(results, run)
    has_labels = bool(classes["name"].notna().any())
    if has_labels:
        found += _label_warnings(classes)
    else:
        command = shlex.join(["dsi", "analyze", folder, "-o", str(results.path), "--labels"]) + " FILE_OR_PRESET"
        found.append(ResultWarning("The classes have no names, so nothing is compared with WordNet. Run", command))
    return [*found, *_curve_warnings(results.curves[results.curves["run"] == run], has_labels=has_labels)]


def warnings_of_all(results: Results) -> list[ResultWarning]:
    """Return the warnings of all runs; a warning that only some of several runs have begins with their names."""
    runs_of: dict[ResultWarning, list[str]] = {}
    for run in results.names:
        for warning in warnings(results, run):
            runs_of.setdefault(warning, []).append(run)
    return [
        warning if len(runs) == len(results.names) else warning._replace(text=f"{', '.join(runs)}: {warning.text}")
        for warning, runs in runs_of.items()
    ]


def run_folder(results: Results, run: str) -> str:
    """Return the folder of a run's checkpoints."""
    paths = results.checkpoints.loc[results.checkpoints["run"] == run, "path"]
    return str(Path(paths.iloc[0]).parent) if len(paths) else "CHECKPOINTS"


def _label_warnings(classes: pd.DataFrame) -> Iterator[ResultWarning]:
    named = classes[classes["name"].notna()]
    unresolved = named[named["synset"].isna()]
    if len(unresolved):
        labels = count(len(unresolved), "label")
        yield ResultWarning(f"The comparison with WordNet leaves out {labels} without a synset: {_names(unresolved)}")
    uncertain = named[named["synset"].notna() & (named["confidence"] < UNCERTAIN)]
    if len(uncertain):
        labels = count(len(uncertain), "label")
        yield ResultWarning(
            f"{labels} may have a wrong synset (confidence below {UNCERTAIN} on a scale from 0 to 1): {_names(uncertain)}"
        )


def _curve_warnings(curves: pd.DataFrame, *, has_labels: bool) -> Iterator[ResultWarning]:
    """Yield one warning for each reason why curves have no values; a curve with some values shows its gaps itself."""
    rows = curves[curves["value"].isna() & curves["reason"].notna() & (curves["variant"] != "pearson_corrected")]
    value_counts = curves.groupby(["metric", "of"], dropna=False)["value"].count()
    names_of: dict[str, list[str]] = {}
    for (metric, matrices), group in rows.groupby(["metric", "of"], dropna=False):
        needs_reference = str(matrices).endswith("scsm") or metric in (
            *HIERARCHY_METRICS,
            "severity",
            "superclass_accuracy",
        )
        if value_counts.get((metric, matrices), 0) > 0 or (needs_reference and not has_labels):
            continue
        name = f"{str(metric).upper()}({matrices})" if isinstance(matrices, str) else str(metric).replace("_", " ")
        names_of.setdefault(group["reason"].iloc[0], []).append(name)
    for reason, names in names_of.items():
        yield ResultWarning(f"{', '.join(names)}: no values, because {reason}")


def _names(classes: pd.DataFrame) -> str:
    names = ", ".join(map(str, classes["name"].iloc[:MAX_NAMED]))
    return f"{names} and {len(classes) - MAX_NAMED} more" if len(classes) > MAX_NAMED else names
