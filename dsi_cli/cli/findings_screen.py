"""The findings of an analysis on one screen: a line per run for each question, with the chance level and sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from dsi_cli.cli import console
from dsi_cli.cli.text import shorten, sparkline, terminal_text
from dsi_cli.queries.findings import Mistakes, Point, RunFindings, Trend, headline, percent, run_findings

if TYPE_CHECKING:
    from dsi_cli.analysis.summary import RunSummary, Summary

MAX_RUNS = 8
"""The largest number of runs that all have a line; of more runs, the highest and lowest have one."""
MAX_NAME_LENGTH = 24
MIN_BARS, MAX_BARS = 8, 40
"""The range of the width of a sparkline, in columns."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The colours of the runs in the report's figures."""


def print_findings(summary: Summary) -> None:
    """Print what was analysed, the finding in a sentence, and a section per question."""
    findings = [run_findings(Path(summary.out), run.name) for run in summary.runs]
    styles = {run.name: COLOURS[index % len(COLOURS)] for index, run in enumerate(summary.runs)}
    _print_runs(summary.runs, findings, styles)
    print()
    console.print_sentence(headline(findings), 0, 0)
    agreements = {run.run: run.agreement for run in findings if run.agreement is not None}
    reference = " and ".join(dict.fromkeys(run.reference for run in findings if run.agreement is not None))
    _print_trends(f"Agreement with {reference}", "0 is chance, 1 is identical; · is within chance", agreements, styles)
    if not agreements:
        similarities = {run.run: run.max_wsi for run in findings if run.max_wsi is not None}
        _print_trends("Similarity of neighbouring classes", "mean cosine, at most 1 (Max WSI)", similarities, styles)
    for split in ("test", "train"):
        _print_mistakes(split, [run for run in findings if split in run.mistakes], styles)
    _print_phases(findings, styles)


def _print_runs(runs: Sequence[RunSummary], findings: Sequence[RunFindings], styles: dict[str, str]) -> None:
    """Print a line for each run; of many runs, alike ones share a line."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for run, found in zip(runs, findings, strict=True):
        epochs = [epoch for epoch in found.epochs if epoch is not None]
        when = f", epochs {epochs[0]}–{epochs[-1]}" if len(epochs) > 1 else "".join(f", epoch {one}" for one in epochs)
        heads = ", ".join(run.heads) or "no head, so text embeddings or templates"
        weights = [] if run.weights_used == ["raw"] else run.weights_used
        cells = (
            f"{console.count(run.statuses.get('ok', 0), 'checkpoint')}{when}",
            f"{heads}, {console.count(run.classes or 0, 'class')}" + "".join(f", {kind}" for kind in weights),
            _label_status(run),
        )
        key = cells if len(runs) > MAX_RUNS else (*cells, run.name)
        groups.setdefault(key, []).append(run.name)
    rows: list[list[str | Text]] = [
        [_name(names[0], styles) if len(names) == 1 else Text(f"{len(names)} runs"), *map(_marked, key[:3])]
        for key, names in groups.items()
    ]
    console.print_columns([("", False)] * 4, rows)


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


def _print_trends(title: str, scale: str, trends: dict[str, Trend], styles: dict[str, str]) -> None:
    """Print a line for each run with the last value of a quantity, its peak and a sparkline."""
    if not trends:
        return
    _print_title(title, scale)
    shown = _shown_runs(trends)
    epochs = sorted({point.epoch or 0 for name in shown for point in trends[name].points})
    high = max(trend.peak.value for trend in trends.values())
    width = console.stdout_width() - 37 - max(len(_short(name)) for name in shown)
    rows: list[list[str | Text]] = []
    for name in shown:
        trend = trends[name]
        bars = sparkline(_heights(trend, epochs), 0, high, min(MAX_BARS, max(MIN_BARS, width)))
        last, peak = trend.last, trend.peak
        row: list[str | Text] = [_name(name, styles), _bold(f"{last.value:.2f}"), _interval(last), f"{peak.value:.2f}"]
        rows.append([*row, "" if peak.epoch is None else str(peak.epoch), Text(terminal_text(bars), styles[name])])
    axis = f"epochs {epochs[0]}–{epochs[-1]}" if len(epochs) > 1 else ""
    titles = [("", False), ("last", True), ("95 % CI", True), ("peak", True), ("epoch", True), (axis, False)]
    console.print_columns(titles, rows, indent=2)
    _print_left_out(trends, shown)


def _heights(trend: Trend, epochs: Sequence[int]) -> list[float | None]:
    """Return the value of the last checkpoint at each epoch, 0 for a value within chance, and None outside of the run."""
    heights: list[float | None] = []
    known = {point.epoch or 0: point.value if point.z is None or point.is_above_chance else 0.0 for point in trend.points}
    for epoch in epochs:
        value = known.get(epoch, heights[-1] if heights else None)
        heights.append(value if epoch <= (trend.last.epoch or 0) else None)
    return heights


def _print_mistakes(split: str, findings: Sequence[RunFindings], styles: dict[str, str]) -> None:
    if not findings:
        return
    mistakes = {run.run: run.mistakes[split] for run in findings}
    nidms = {name: one.nidm or one.widm or one.wrong for name, one in mistakes.items()}
    chances = [trend.last.chance for one in mistakes.values() for trend in (one.nidm, one.widm) if trend]
    chance = next((f", chance {percent(level)}" for level in chances if level is not None), "")
    _print_title(f"Mistakes on {split}", f"share of classes that are farther from the truth{chance}")
    shown = _shown_runs({run.run: run.agreement or nidms[run.run] for run in findings})
    rows = [[_name(name, styles), *_mistake_cells(mistakes[name])] for name in shown]
    titles = [
        ("", False),
        ("wrong", True),
        ("by own similarity", True),
        (f"by {findings[0].reference}", True),
        ("accuracy", True),
    ]
    console.print_columns(titles, rows, indent=2)
    _print_left_out(mistakes, shown)


def _mistake_cells(mistakes: Mistakes) -> list[str | Text]:
    accuracy = mistakes.accuracy.last.value if mistakes.accuracy else None
    return [
        f"{mistakes.wrong.last.value:,.0f}",
        _share(mistakes.nidm),
        _share(mistakes.widm),
        "-" if accuracy is None else f"{accuracy:.3f}",
    ]


def _share(trend: Trend | None) -> Text:
    if trend is None:
        return Text("-")
    text = percent(trend.last.value)
    return _bold(text) if trend.last.is_above_chance else Text(f"{text}, within chance")


def _print_phases(findings: Sequence[RunFindings], styles: dict[str, str]) -> None:
    """Print a line of phases for each run, or one line with the reason why no run has phases."""
    if not any(run.agreement for run in findings):
        return
    if not any(run.phases for run in findings):
        reasons = list(dict.fromkeys(run.no_phases for run in findings if run.no_phases))
        if len(reasons) == 1 and len(next(run for run in findings if run.no_phases).epochs) > 1:
            print()
            console.print_sentence(f"No phases: {reasons[0]}", 0, 2)
        return
    _print_title("Phases of the agreement", "the last epoch with its 95 % CI")
    shown = _shown_runs({run.run: run.agreement for run in findings if run.agreement is not None})
    rows: list[list[str | Text]] = [[_name(run.run, styles), _phases(run)] for run in findings if run.run in shown]
    console.print_columns([("", False), ("", False)], rows, indent=2)


def _phases(run: RunFindings) -> str:
    parts = [
        "then stable"
        if phase.name == "stabilisation"
        else f"{phase.name} to {phase.last:.0f} ({phase.low:.0f}–{phase.high:.0f})"
        for phase in run.phases
    ]
    return ", ".join(parts) or f"none: {run.no_phases}"


def _shown_runs(trends: dict[str, Trend]) -> list[str]:
    """Return the names of all runs in order, or of the highest and the lowest of many runs, by their last value."""
    if len(trends) <= MAX_RUNS:
        return list(trends)
    ranked = sorted(trends, key=lambda name: -trends[name].last.value)
    return [*ranked[: MAX_RUNS // 2], *ranked[-MAX_RUNS // 2 :]]


def _print_left_out(known: dict[str, Trend] | dict[str, Mistakes], shown: Sequence[str]) -> None:
    if len(shown) < len(known):
        half = MAX_RUNS // 2
        console.print_sentence(
            f"… {len(known) - len(shown)} more between the {half} of highest and the {half} of lowest agreement"
        )


def _print_title(title: str, legend: str) -> None:
    print()
    console.print_styled((title, "bold"), ("   ", ""), (legend, "dim"))


def _interval(point: Point) -> str:
    return "-" if point.low is None or point.high is None else f"{point.low:.2f} to {point.high:.2f}"


def _short(name: str) -> str:
    return shorten(name, MAX_NAME_LENGTH)


def _name(name: str, styles: dict[str, str]) -> Text:
    return Text(terminal_text(_short(name)), styles[name])


def _bold(text: str) -> Text:
    return Text(text, "bold")


def _marked(text: str) -> Text:
    """Return a text whose sign has its colour."""
    colours = {"✓": "green", "⚠": "yellow", "✗": "red"}
    return Text.assemble((terminal_text(text[:1]), colours.get(text[:1], "")), terminal_text(text[1:]))
