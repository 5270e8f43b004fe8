"""The page of a comparison: the verdict, all curves together, how alike the networks are, the tables at equal accuracy."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsi_cli.metrics import DISTANCES
from dsi_cli.queries.comparison.compare import MEASURES, Comparison, ComparisonOptions
from dsi_cli.queries.comparison.cross_alignment import CrossAlignment
from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracyComparison, describe_epochs
from dsi_cli.queries.comparison.repetitions import BAND, CURVES, NETWORKS, CurveBand, RunCurve
from dsi_cli.queries.comparison.verdict import Verdict
from dsi_cli.report import html
from dsi_cli.report.interval_svg import interval_pictures
from dsi_cli.store import atomic_write
from dsi_cli.version import __version__

SCRIPTS = ("dom.js", "frame.js", "curves.js", "comparison.js")
"""In the order in which they are put together."""
PARTS = ("frame.html", "comparison.html", "style.css", *SCRIPTS)
FILE = "comparison.html"
MOST_PAIRS = 15
"""Pairs of networks whose curves are drawn."""
MOST_OPEN = 3
"""Pairs of runs whose tables are open from the start."""


def save(comparison: Comparison, options: ComparisonOptions, outputs: Sequence[str | Path], path: Path) -> Path:
    """Write the page of a comparison and return its path.

    Parameters
    ----------
    asked, outputs : what the comparison was made from, for its options and the line that makes it again

    Raises
    ------
    OutputError
        The page cannot be written.
    """
    atomic_write.write_atomically(path, render(comparison, options, outputs).encode())
    return path


def render(comparison: Comparison, asked: ComparisonOptions, outputs: Sequence[str | Path]) -> str:
    """Return the page of a comparison; the same comparison gives the same text."""
    pairs = [
        _pair(equal, verdict, is_open=place < MOST_OPEN)
        for place, (equal, verdict) in enumerate(zip(comparison.equal, comparison.verdicts, strict=True))
    ]
    names = list(dict.fromkeys(line.group for line in comparison.runs))
    counted = f"{len(names)} {'groups' if _has_groups(comparison) else 'runs'}"
    shown = {
        "title": " and ".join(names) if len(names) == 2 else counted,
        "comparison": comparison,
        "has_groups": _has_groups(comparison),
        "pairs": pairs,
        "between": [_last(one, comparison.measures[0]) for one in comparison.between[:MOST_PAIRS]],
        "options": options(asked),
        "command": command(asked, outputs),
        "number": number,
        "sentence": lambda text: sentence(text, names),
        "BAND": BAND,
        "most_pairs": MOST_PAIRS,
    }
    data = curves(comparison)
    parts = [__version__, *map(html.part, PARTS), repr((comparison, asked, outputs))]
    digest = hashlib.sha256("\n".join(parts).encode(errors="backslashreplace")).hexdigest()
    page = html.assembled("comparison.html", SCRIPTS, shown, data, {}, digest)
    return page.encode(errors="backslashreplace").decode()  # bytes of a path that are no UTF-8


def _has_groups(comparison: Comparison) -> bool:
    return any(line.group != line.label for line in comparison.runs)


def curves(comparison: Comparison) -> dict[str, Any]:
    """Return what the scripts draw: a panel a curve, with a line a run or group; and how alike the networks are."""
    panels = [_panel(comparison, curve) for curve in CURVES]
    groups = [band for band in comparison.curves if band.curve == NETWORKS]
    measure = comparison.measures[0]
    return {
        "along": comparison.epochs,
        "panels": [panel for panel in panels if panel["lines"]],
        "measure": measure,
        "lower": measure in DISTANCES,
        "networks": [_line(band, [0.0] * len(band.x)) for band in groups] if _has_groups(comparison) else [],
        "between": []
        if _has_groups(comparison)
        else [_points(one, measure) for one in comparison.between[:MOST_PAIRS] if one.points],
    }


def _panel(comparison: Comparison, curve: RunCurve) -> dict[str, Any]:
    bands = [band for band in comparison.curves if band.curve == curve.name]
    split = f" ({comparison.split})" if curve.has_split else ""
    is_excess = curve.column == "excess"
    levels = [[0.0] * len(band.x) if is_excess else band.chance if curve.chance else None for band in bands]
    return {
        "name": curve.name,
        "title": curve.title,
        "axis": f"{curve.axis.format(measure=comparison.measures[0])}{split}{': 0 is chance' if is_excess else ''}",
        "isExcess": is_excess,
        "lines": [_line(band, level) for band, level in zip(bands, levels, strict=True)],
    }


def _line(band: CurveBand, chance: Sequence[float | None] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"label": band.group, "epochs": band.x, "value": _six(band.mean)}
    if len(band.runs) > 1:
        found |= {"label": f"{band.group}, mean of {len(band.runs)}", "low": _six(band.low), "high": _six(band.high)}
    if chance is not None and any(level is not None for level in chance):
        found["chance"] = _six(chance)
        found["margin"] = _six([None if std is None else 2 * std for std in band.chance_std])
    return found


def _points(alignment: CrossAlignment, measure: str) -> dict[str, Any]:
    points = [point for point in alignment.points if point.measure == measure]
    columns = {"value": "value", "chance": "null_mean", "chance_std": "null_std", "excess": "excess", "z": "z"}
    numbers = {name: _six([getattr(point, column) for point in points]) for name, column in columns.items()}
    return {"label": f"{alignment.first} – {alignment.second}", "epochs": [point.at for point in points], **numbers}


def _six(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None or value != value else float(f"{value:.6g}") for value in values]


def _last(alignment: CrossAlignment, measure: str) -> dict[str, Any]:
    points = [point for point in alignment.points if point.measure == measure]
    last = points[-1] if points else None
    return {"first": alignment.first, "second": alignment.second, "reason": alignment.reason, "last": last}


def _pair(equal: EqualAccuracyComparison, verdict: Verdict, *, is_open: bool) -> dict[str, Any]:
    """Return what is told of two runs or groups: the verdict, and a row a quantity with its interval drawn."""
    return {
        "verdict": verdict,
        "equal": equal,
        "is_open": is_open,
        "first": describe_epochs(equal.first_chosen),
        "second": describe_epochs(equal.second_chosen),
        "rows": list(zip(equal.rows, interval_pictures(equal.rows), verdict.reasons, strict=True)),
    }


def number(value: float | None, form: str = "z.3f") -> str:
    """Return a number for a person, a dash for none."""
    return "–" if value is None else f"{value:{form}}".replace("-", "−")


def sentence(text: str, names: Sequence[str] = ()) -> str:
    """Return a message as a sentence; a run's name stays as it is.

    >>> sentence("no difference (-0.1 to -0.05)", ["cnn"])
    'No difference (−0.1 to −0.05).'
    """
    text = re.sub(r"(?<![^\s(])-(?=\d)", "−", text)
    return (text if text.startswith(tuple(names)) else text[:1].upper() + text[1:]) + "."


def options(options: ComparisonOptions) -> list[tuple[str, str]]:
    """Return what was asked for, as text."""
    return [
        ("runs", ", ".join(options.names) or "all"),
        ("repetitions (--group)", options.group or "none: each run by itself"),
        ("tolerance of accuracy", f"{options.tolerance:g}"),
        ("split", options.split or "by default: test where all have it"),
        ("measures of the SAI", ", ".join(options.measures)),
        ("bootstrap draws", "by default" if options.draws is None else f"{options.draws:,}"),
        ("seed", str(options.seed)),
    ]


def command(options: ComparisonOptions, outputs: Sequence[str | Path]) -> str:
    """Return the line that makes the comparison again.

    >>> command(ComparisonOptions(names=["a", "b c"], tolerance=0.02), ["out"])
    "dsi compare out --run a --run 'b c' --tolerance 0.02 --html comparison.html"
    """
    words = ["dsi", "compare", *map(str, outputs)]
    words += [word for name in options.names for word in ("--run", name)]
    words += ["--group", options.group] if options.group is not None else []
    words += ["--tolerance", f"{options.tolerance:g}"] if options.tolerance != ComparisonOptions().tolerance else []
    words += ["--split", options.split] if options.split is not None else []
    if tuple(options.measures) != MEASURES:
        words += [word for measure in options.measures for word in ("--measure", measure)]
    words += ["--draws", str(options.draws)] if options.draws is not None else []
    return shlex.join([*words, "--html", FILE])
