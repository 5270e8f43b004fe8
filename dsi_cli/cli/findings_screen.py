"""The findings of an analysis on one screen: a line per run for each question, with the
chance level and sparklines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from dsi_cli.analysis.summary import RunSummary, Summary
from dsi_cli.cli import console
from dsi_cli.cli.text import cell, sparkline, terminal_text
from dsi_cli.figures.style import COLOURS
from dsi_cli.metrics.phases import STABILISATION
from dsi_cli.queries.findings import (
    Mistakes,
    RunFindings,
    Trend,
    headline,
    percent,
    percent_range,
    run_findings,
)

MAX_RUNS = 8  # runs that all have a line; of more runs, the highest and lowest have one
MIN_BARS, MAX_BARS = 8, 40  # range of the width of a sparkline, in columns
# colours of runs in figures, without black, which a dark terminal does not show
RUN_COLOURS = COLOURS[:-1]


def print_findings(summary: Summary) -> None:
    """Print what was analysed, the finding in a sentence, and a section per
    question.
    """
    findings = [run_findings(Path(summary.out), run.name) for run in summary.runs]
    styles = {
        run.name: RUN_COLOURS[index % len(RUN_COLOURS)]
        for index, run in enumerate(summary.runs)
    }
    _print_runs(summary.runs, findings, styles)
    print()
    console.print_sentence(headline(findings), hanging=0)
    aligned = [run for run in findings if run.alignment is not None]
    alignments = {run.run: run.alignment for run in aligned if run.alignment}
    if aligned:
        measured = aligned[0].measured
        references = dict.fromkeys(run.reference for run in aligned)
        _print_trends(
            f"{measured.title} with {' and '.join(references)}",
            f"{measured.axis}; · is within chance",
            alignments,
            styles,
        )
    else:
        similarities = {
            run.run: run.max_wsi for run in findings if run.max_wsi is not None
        }
        _print_trends(
            "Similarity of neighbouring classes",
            "mean cosine, at most 1 (Max WSI)",
            similarities,
            styles,
        )
    for split in ("test", "train"):
        _print_mistakes(
            split, [run for run in findings if split in run.mistakes], styles
        )
    _print_phases(findings, styles)


def _print_runs(
    runs: Sequence[RunSummary], findings: Sequence[RunFindings], styles: dict[str, str]
) -> None:
    """Print a line for each run; of many runs, alike ones share a line."""
    names_by_cells: dict[tuple[str, ...], list[str]] = {}
    for run, found in zip(runs, findings, strict=True):
        checkpoints = console.count(run.statuses.get("ok", 0), "checkpoint")
        epochs = [epoch for epoch in found.epochs if epoch is not None]
        if len(epochs) > 1:
            checkpoints += f", epochs {epochs[0]}–{epochs[-1]}"
        elif epochs:
            checkpoints += f", epoch {epochs[0]}"
        heads = ", ".join(run.heads) or "no head, so text embeddings or templates"
        weights = [] if run.weights_used == ["raw"] else run.weights_used
        head = (
            ", ".join([heads, console.count(run.classes or 0, "class"), *weights])
            if run.statuses.get("ok")
            else ""
        )
        cells = (checkpoints, head, _label_status(run))
        key = cells if len(runs) > MAX_RUNS else (*cells, run.name)
        names_by_cells.setdefault(key, []).append(run.name)
    colours = {"✓": "green", "⚠": "yellow", "✗": "red"}
    rows: list[list[str | Text]] = []
    for (checkpoints, head, status, *_), names in names_by_cells.items():
        name = _name(names[0], styles) if len(names) == 1 else f"{len(names)} runs"
        sign = (terminal_text(status[:1]), colours[status[:1]])
        rows.append(
            [name, checkpoints, head, Text.assemble(sign, terminal_text(status[1:]))]
        )
    console.print_columns([""] * 4, rows)


def _label_status(run: RunSummary) -> str:
    if not run.statuses.get("ok"):
        return "✗ no checkpoint can be used"
    if run.labels is None:
        return "⚠ no labels"
    name = run.preset or run.labels
    if run.resolved < (run.classes or 0):
        return f"⚠ {name}, {run.resolved:,} of {run.classes:,} in {run.known_to}"
    if run.uncertain:
        return f"⚠ {name}, {len(run.uncertain):,} uncertain"
    return f"✓ {name}"


def _print_trends(
    title: str, scale: str, trends: dict[str, Trend], styles: dict[str, str]
) -> None:
    """Print a line for each run with the last value of a quantity, its peak and a
    sparkline.
    """
    if not trends:
        return
    console.print_title(title, scale)
    shown = _shown_runs(trends)
    epochs = sorted(
        {point.epoch or 0 for name in shown for point in trends[name].points}
    )
    high = max(trend.peak.value for trend in trends.values())
    longest = max(map(len, shown))
    width = min(MAX_BARS, max(MIN_BARS, console.stdout_width() - 37 - longest))
    rows: list[list[str | Text]] = []
    for name in shown:
        last, peak = trends[name].last, trends[name].peak
        interval = (
            "-"
            if last.low is None or last.high is None
            else f"{last.low:.2f} to {last.high:.2f}"
        )
        bars = sparkline(_heights(trends[name], epochs), high, width)
        row: list[str | Text] = [
            _name(name, styles),
            Text(f"{last.value:.2f}", "bold"),
            interval,
            f"{peak.value:.2f}",
        ]
        rows.append(
            [
                *row,
                "" if peak.epoch is None else str(peak.epoch),
                Text(terminal_text(bars), styles[name]),
            ]
        )
    axis = f"epochs {epochs[0]}–{epochs[-1]}" if len(epochs) > 1 else ""
    titles = ["", "#last", "#95 % CI", "#peak", "#epoch", axis]
    if all(trends[name].last.low is None for name in shown):
        titles, rows = (
            [*titles[:2], *titles[3:]],
            [[*row[:2], *row[3:]] for row in rows],
        )
    console.print_columns(titles, rows, indent=2)
    _print_left_out(len(trends) - len(shown))


def _heights(trend: Trend, epochs: Sequence[int]) -> list[float | None]:
    """Return the value of the last checkpoint at each epoch, 0 for a value within
    chance, and None outside of the run.
    """
    heights: list[float | None] = []
    known = {
        point.epoch or 0: point.value
        if point.z is None or point.is_above_chance
        else 0.0
        for point in trend.points
    }
    for epoch in epochs:
        value = known.get(epoch, heights[-1] if heights else None)
        heights.append(value if epoch <= (trend.last.epoch or 0) else None)
    return heights


def _print_mistakes(
    split: str, findings: Sequence[RunFindings], styles: dict[str, str]
) -> None:
    if not findings:
        return
    mistakes = {run.run: run.mistakes[split] for run in findings}
    idms = [
        trend for of_run in mistakes.values() for trend in (of_run.nidm, of_run.widm)
    ]
    levels = percent_range(trend.last.chance for trend in idms if trend)
    chance = f", chance {levels}" if levels else ""
    console.print_title(
        f"Mistakes on {split}",
        f"share of classes that are farther from the truth{chance}",
    )
    trends = {}
    for run in findings:
        of_run = mistakes[run.run]
        trends[run.run] = run.alignment or of_run.nidm or of_run.widm or of_run.wrong
    shown = _shown_runs(trends)
    rows = [[_name(name, styles), *_mistake_cells(mistakes[name])] for name in shown]
    titles = [
        "",
        "#wrong",
        "#by own similarity",
        f"#by {findings[0].reference}",
        "#accuracy",
        "#epoch",
    ]
    # Predictions can end before the last epoch.
    if all(mistakes[run.run].wrong.last.epoch == run.epochs[-1] for run in findings):
        titles, rows = titles[:-1], [row[:-1] for row in rows]
    console.print_columns(titles, rows, indent=2)
    _print_left_out(len(mistakes) - len(shown))
    for name in [name for name in shown if mistakes[name].left_out][:1]:
        console.print_sentence(f"{name}: {mistakes[name].left_out}", indent=2)


def _mistake_cells(mistakes: Mistakes) -> list[str | Text]:
    """Return the cells of a run: mistakes, IDMs, accuracy, and the epoch, which is the
    last one with predictions.
    """
    wrong = mistakes.wrong.last
    accuracy = mistakes.accuracy and mistakes.accuracy.at(wrong.epoch)
    shares = [_share(trend, wrong.epoch) for trend in (mistakes.nidm, mistakes.widm)]
    epoch = "" if wrong.epoch is None else str(wrong.epoch)
    return [
        f"{wrong.value:,.0f}",
        *shares,
        cell(accuracy.value if accuracy else None),
        epoch,
    ]


def _share(trend: Trend | None, epoch: int | None) -> Text:
    """Return the last share, with its epoch if there is no mistake at the given
    epoch.
    """
    if trend is None:
        return Text("-")
    text = percent(trend.last.value) + (
        "" if trend.last.epoch == epoch else f" at epoch {trend.last.epoch}"
    )
    return (
        Text(text, "bold")
        if trend.last.is_above_chance
        else Text(f"{text}, {trend.last.verdict}")
    )


def _print_phases(findings: Sequence[RunFindings], styles: dict[str, str]) -> None:
    """Print a line of phases for each run, or one line with the reason why no run has
    phases.
    """
    measured = next((run.measured for run in findings if run.alignment), None)
    if measured is None:
        return
    if not any(run.phases for run in findings):
        reasons = list(
            dict.fromkeys(run.no_phases for run in findings if run.no_phases)
        )
        if (
            len(reasons) == 1
            and len(next(run for run in findings if run.no_phases).epochs) > 1
        ):
            print()
            console.print_sentence(f"No phases: {reasons[0]}")
        return
    name = measured.title.replace("Agreement", "the agreement")
    console.print_title(f"Phases of {name}", "the last epoch with its 95 % CI")
    shown = _shown_runs({run.run: run.alignment for run in findings if run.alignment})
    rows: list[list[str | Text]] = [
        [_name(run.run, styles), phases_text(run)]
        for run in findings
        if run.run in shown
    ]
    console.print_columns(["", ""], rows, indent=2)


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


def _shown_runs(trends: dict[str, Trend]) -> list[str]:
    """Return the names of all runs in order, or of the highest and the lowest of many
    runs, by their last value.
    """
    if len(trends) <= MAX_RUNS:
        return list(trends)
    ranked = sorted(trends, key=lambda name: -trends[name].last.value)
    return [*ranked[: MAX_RUNS // 2], *ranked[-MAX_RUNS // 2 :]]


def _print_left_out(count: int) -> None:
    if count > 0:
        half = MAX_RUNS // 2
        sentence = (
            f"… {count} more between the {half} of the highest and the {half} of the"
            " lowest values"
        )
        console.print_sentence(sentence, indent=2, hanging=4)


def _name(name: str, styles: dict[str, str]) -> Text:
    return Text(terminal_text(name), styles[name])
