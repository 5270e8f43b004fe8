"""The findings of an analysis on one screen: a line per run for each question, with the
chance level and sparklines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from dsi_cli.analysis.summary import RunSummary, Summary
from dsi_cli.cli import console
from dsi_cli.cli.text import cell, interval, sparkline, terminal_text
from dsi_cli.facts import about_run
from dsi_cli.figures.style import COLOURS
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.phases import DECLINE, STABILISATION
from dsi_cli.queries.conclusions import (
    last_parts,
    partition_sentence,
    robustness_sentence,
)
from dsi_cli.queries.facts import messages
from dsi_cli.queries.findings import (
    RunFindings,
    Trend,
    headline,
    percent,
    percent_range,
    run_findings,
    table_rows,
)
from dsi_cli.queries.quantities import AGREEMENT
from dsi_cli.queries.suspect_texts import (
    NO_SUSPECTS,
    counted,
    not_sought,
    suspects_or_none,
)
from dsi_cli.store.schema import EXTRA_CURVES, ROBUSTNESS
from dsi_cli.suspect_kinds import ORDINARY

MAX_SUSPECTS = 3  # suspects that have a line
MAX_RUNS = 8  # runs that all have a line; of more runs, the highest and lowest have one
MIN_BARS, MAX_BARS = 8, 40  # range of the width of a sparkline, in columns
COLUMNS = 37  # width of the columns of a trend without its name and sparkline
# colours of runs in figures, without black, which a dark terminal does not show
RUN_COLOURS = COLOURS[:-1]
WITHIN_CHANCE = f"· is within chance (z below {MIN_Z:g})"
SIGNS = {"✓": "green", "⚠": "yellow", "✗": "red"}


def print_findings(summary: Summary) -> None:
    """Print what was analysed, the finding in a sentence, and a section per
    question.
    """
    findings = [run_findings(Path(summary.out), run.name) for run in summary.runs]
    names = {}
    for index, run in enumerate(summary.runs):
        colour = RUN_COLOURS[index % len(RUN_COLOURS)]
        names[run.name] = Text(terminal_text(run.name), colour)
    _print_runs(summary.runs, findings, names)
    print()
    for line in re.split("(?<=:) ", headline(findings), maxsplit=1):
        console.print_sentence(line, hanging=0)
    print_suspects(summary.out)
    aligned = [run for run in findings if run.alignment]
    alignments = {run.run: run.alignment for run in aligned if run.alignment}
    if aligned:
        measured = aligned[0].measured
        references = dict.fromkeys(run.reference for run in aligned)
        title = f"{measured.title} with {' and '.join(references)}"
        _print_trends(title, f"{measured.axis}; {WITHIN_CHANCE}", alignments, names)
    else:
        wsi = _of_runs(findings, "max_wsi")
        title = "Similarity of neighbouring classes"
        _print_trends(title, "mean cosine, at most 1 (Max WSI)", wsi, names)
    _print_conclusions(summary, findings)
    for split in ("test", "train"):
        with_mistakes = [run for run in findings if split in run.splits]
        if with_mistakes:
            _print_mistakes(split, with_mistakes, names)
    if aligned:
        measured = aligned[0].measured
        title = "the agreement" if measured.name == AGREEMENT else measured.title
        _print_phases(title, findings, _shown_runs(alignments), names)


def _print_conclusions(summary: Summary, findings: Sequence[RunFindings]) -> None:
    """Print whether the conclusion about the agreement depends on the measure, and what
    several references explain.
    """
    out = Path(summary.out)
    runs = [run.run for run in findings if run.agreement]
    changed = robustness_sentence([table_rows(out, ROBUSTNESS, run) for run in runs])
    if changed is not None:
        console.print_sentence(f"{changed[:1].upper()}{changed[1:]}", indent=2)
    for run in runs[:MAX_RUNS]:
        parts = last_parts(table_rows(out, EXTRA_CURVES, run))
        text = partition_sentence(parts)
        if text is not None:
            console.print_sentence(f"{terminal_text(run)}: {text}", indent=2)


def print_suspects(out: str) -> None:
    """Print the strongest suspects, a line each, and the command that lists all."""
    found = suspects_or_none(Path(out))
    if found is None:
        return
    notable = [row for row in found if row["grade"] != ORDINARY]
    command = shlex.join(["dsi", "suspects", out])
    if not notable:
        print()
        console.print_sentence(f"{NO_SUSPECTS.capitalize()}: {command} --all")
        for line in not_sought(Path(out)):
            console.print_sentence(f"{line}.", indent=2, hanging=4)
        return
    console.print_title("Look at these classes", f"{counted(notable)}: {command}")
    rows = [
        [row["kind"], row["classes"], row["grade"], row["since"]]
        for row in notable[:MAX_SUSPECTS]
    ]
    console.print_columns(["", "", "", ""], rows, indent=2)


def _print_runs(
    runs: Sequence[RunSummary],
    findings: Sequence[RunFindings],
    names: Mapping[str, Text],
) -> None:
    """Print a line for each run; of many runs, alike ones share a line."""
    alike: dict[tuple[str, ...], list[Text]] = {}
    for run, found in zip(runs, findings, strict=True):
        cells = [_checkpoints(run, found), _head(run), _label_status(run)]
        if len(runs) <= MAX_RUNS:
            cells.append(run.name)
        alike.setdefault(tuple(cells), []).append(names[run.name])
    rows: list[list[str | Text]] = []
    for (checkpoints, head, status, *_), of_runs in alike.items():
        name = of_runs[0] if len(of_runs) == 1 else f"{len(of_runs)} runs"
        sign = Text(terminal_text(status[:1]), SIGNS[status[:1]])
        rows.append([name, checkpoints, head, sign + terminal_text(status[1:])])
    console.print_columns([""] * 4, rows)


def _checkpoints(run: RunSummary, found: RunFindings) -> str:
    text = console.count(run.statuses.get("ok", 0), "checkpoint")
    epochs = found.epochs if found.has_epochs else ()
    if len(epochs) > 1:
        return f"{text}, epochs {epochs[0]}–{epochs[-1]}"
    return f"{text}, epoch {epochs[0]}" if epochs else text


def _head(run: RunSummary) -> str:
    if not run.statuses.get("ok"):
        return ""
    head = ", ".join(run.heads) or "no head, so text embeddings or templates"
    weights = [] if run.weights_used == ["raw"] else run.weights_used
    return ", ".join([head, console.count(run.classes or 0, "class"), *weights])


def _label_status(run: RunSummary) -> str:
    if not run.statuses.get("ok"):
        return "✗ no checkpoint can be used"
    if run.labels is None:
        return "⚠ no labels"
    name = run.preset or run.labels
    if run.resolved < (run.classes or 0):
        return f"⚠ {name}, {run.resolved:,} of {run.classes:,} in {run.known_to}"
    if run.uncertain:
        return f"⚠ {name}, {run.uncertain:,} uncertain"
    return f"✓ {name}"


def _print_trends(
    title: str, legend: str, trends: Mapping[str, Trend], names: Mapping[str, Text]
) -> None:
    """Print a line for each run with the last value of a quantity, its interval, its
    peak and a sparkline.
    """
    if not trends:
        return
    console.print_title(title, legend)
    shown = _shown_runs(trends)
    epochs = sorted({point.epoch for name in shown for point in trends[name].points})
    high = max(trend.peak.value for trend in trends.values())
    room = console.stdout_width() - COLUMNS - max(map(len, shown))
    width = min(MAX_BARS, max(MIN_BARS, room))
    has_intervals = any(trends[name].last.low is not None for name in shown)
    rows: list[list[str | Text]] = []
    for name in shown:
        last, peak = trends[name].last, trends[name].peak
        row: list[str | Text] = [names[name], Text(f"{last.value:.2f}", "bold")]
        if has_intervals:
            row.append(interval(last.low, last.high, ".2f"))
        bars = sparkline(_heights(trends[name], epochs), high, width)
        epoch = str(peak.epoch) if len(trends[name].points) > 1 else ""
        drawing = Text(terminal_text(bars), names[name].style)
        rows.append([*row, f"{peak.value:.2f}", epoch, drawing])
    axis = f"|epochs {epochs[0]}–{epochs[-1]}" if len(epochs) > 1 else "|"
    of_intervals = ["#its 95 % CI"] if has_intervals else []
    titles = ["", "#last", *of_intervals, "#peak", "#epoch", axis]
    console.print_columns(titles, rows, indent=2)
    _print_left_out(len(trends) - len(shown))


def _heights(trend: Trend, epochs: Sequence[int]) -> list[float | None]:
    """Return the value of the last checkpoint at each epoch, 0 for a value within or
    below chance, and None outside of the run.
    """
    known = {}
    for point in trend.points:
        has_chance = point.z is not None
        is_shown = point.verdict in ("above chance", "uncertain")
        known[point.epoch] = 0.0 if has_chance and not is_shown else point.value
    heights: list[float | None] = []
    value = None
    for epoch in epochs:
        value = known.get(epoch, value)
        heights.append(value if epoch <= trend.last.epoch else None)
    return heights


def _print_mistakes(
    split: str, findings: Sequence[RunFindings], names: Mapping[str, Text]
) -> None:
    """Print a line for each run with its mistakes at the last epoch with
    predictions.
    """
    wrong = _of_runs(findings, "mistakes", split)
    idms = [run.trend(name, split) for run in findings for name in ("nidm", "widm")]
    levels = percent_range(idm.last.chance for idm in idms if idm)
    chance = f" (chance {levels})" if levels else ""
    legend = f"a mistake is nearer to the truth than this share of classes{chance}"
    console.print_title(f"Mistakes on {split}", legend)
    shown = _shown_runs(wrong)
    runs = [run for run in findings if run.run in shown]
    titles = ["", "#wrong", "#by own similarity", f"#by {findings[0].reference}"]
    titles.append("#accuracy")
    rows = [[names[run.run], *_mistake_cells(run, split)] for run in runs]
    # Predictions can end before the last epoch.
    if any(wrong[run.run].last.epoch != run.epochs[-1] for run in findings):
        titles.append("#epoch")
        for run, row in zip(runs, rows, strict=True):
            row.append(str(wrong[run.run].last.epoch))
    console.print_columns(titles, rows, indent=2)
    _print_left_out(len(wrong) - len(shown))
    left_out = [one for run in runs for one in about_run(run.run, run.left_out(split))]
    for message in messages(left_out[:1], ()):
        console.print_sentence(message.text, indent=2)


def _mistake_cells(run: RunFindings, split: str) -> list[str | Text]:
    """Return the number of mistakes of a run, its IDMs and its accuracy."""
    wrong, accuracy = run.trends["mistakes", split].last, run.trend("accuracy", split)
    correct = accuracy.at(wrong.epoch) if accuracy else None
    shares = [_share(run.trend(name, split), wrong.epoch) for name in ("nidm", "widm")]
    return [f"{wrong.value:,.0f}", *shares, cell(correct.value if correct else None)]


def _of_runs(
    findings: Sequence[RunFindings], name: str, split: str | None = None
) -> dict[str, Trend]:
    """Return the curve of a quantity by run."""
    trends = {run.run: run.trend(name, split) for run in findings}
    return {run: trend for run, trend in trends.items() if trend}


def _share(trend: Trend | None, epoch: int) -> Text:
    """Return the last share, with its epoch if there is no mistake at the given
    epoch.
    """
    if trend is None:
        return Text("-")
    text = percent(trend.last.value)
    if trend.last.epoch != epoch:
        text += f" at epoch {trend.last.epoch}"
    if trend.last.is_above_chance:
        return Text(text, "bold")
    return Text(f"{text}, {trend.last.verdict}")


def _print_phases(
    title: str,
    findings: Sequence[RunFindings],
    shown: Sequence[str],
    names: Mapping[str, Text],
) -> None:
    """Print a line of phases for each run, or one line with the reason why no run has
    phases.
    """
    if any(run.phases for run in findings):
        legend = "each ends at an epoch (95 % CI)"
        console.print_title(f"Phases of {title}", legend)
        runs = [run for run in findings if run.run in shown]
        rows: list[list[str | Text]] = [
            [names[run.run], phases_text(run)] for run in runs
        ]
        console.print_columns(["", ""], rows, indent=2)
        shown_phases = [phase["phase"] for run in runs for phase in run.phases]
        if DECLINE in shown_phases:
            console.print_sentence(
                "  A decline of repetitions is a refinement only if the corrected"
                " agreement declines, too; dsi compare --group seed shows it"
            )
        return
    reasons = {run.no_phases for run in findings if run.no_phases}
    if len(reasons) == 1 and any(len(run.epochs) > 1 for run in findings):
        print()
        console.print_sentence(f"No phases: {reasons.pop()}")


def phases_text(run: RunFindings) -> str:
    """Return the phases of a run with their ends, or the reason why it has none."""
    parts = []
    for phase in run.phases:
        if phase["phase"] == STABILISATION:
            reason = f" ({phase['reason']})" if phase["reason"] else ""
            parts.append(f"then stable{reason}")
        else:
            until = "by epoch" if phase.get("is_censored") else "to"
            interval = f"{phase['low']:.0f}–{phase['high']:.0f}"
            parts.append(
                f"{phase['phase']} {until} {phase['last_epoch']:.0f} ({interval})"
            )
    return ", ".join(parts) or f"none: {run.no_phases}"


def _shown_runs(trends: Mapping[str, Trend]) -> list[str]:
    """Return the names of all runs in order, or of the highest and the lowest of many
    runs, by their last value.
    """
    if len(trends) <= MAX_RUNS:
        return list(trends)
    ranked = sorted(trends, key=lambda name: -trends[name].last.value)
    return [*ranked[: MAX_RUNS // 2], *ranked[-MAX_RUNS // 2 :]]


def _print_left_out(number: int) -> None:
    if number > 0:
        half = MAX_RUNS // 2
        text = f"… {number} more between the {half} highest and the {half} lowest"
        console.print_sentence(text, indent=2, hanging=4)
