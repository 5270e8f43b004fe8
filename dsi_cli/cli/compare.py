"""``dsi compare``: the differences of several runs with confidence intervals, at equal
accuracy.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import console
from dsi_cli.cli.options import Html, Json, Quiet, complete_runs, option
from dsi_cli.cli.text import cell, terminal_text
from dsi_cli.errors import DONE, require_choice
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from dsi_cli.queries.comparison.compare import Comparison
    from dsi_cli.queries.comparison.equal_accuracy import (
        CriterionRow,
        EqualAccuracyComparison,
    )

SCALE = "0 is chance, 1 is perfect"
MAX_TABLES = 3  # pairs of runs whose differences are printed as a table
FOREST_HALF = 7  # number of characters of the forest plot on each side of 0


def compare(
    outputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUTPUT", help="Output folders of dsi analyze, one or several."
        ),
    ],
    run: Annotated[
        list[str] | None,
        option(
            "--run",
            "NAME",
            "Compare only this run. Repeatable; all by default.",
            complete_runs,
        ),
    ] = None,
    group: Annotated[
        str | None,
        option(
            "--group",
            "PATTERN",
            "Repetitions: seed, or a regular expression whose parentheses name the"
            " group.",
        ),
    ] = None,
    tolerance: Annotated[
        float,
        option(
            "--tolerance",
            "NUMBER",
            "Largest difference of accuracies that count as equal.",
        ),
    ] = 0.01,
    split: Annotated[
        str | None,
        option(
            "--split",
            "SPLIT",
            "Split of accuracy and mistakes: test or train.",
            ("test", "train"),
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        option(
            "--measure",
            "NAME",
            "Measure of the SAI: pearson, cosine, spearman. Repeatable; the first is a"
            " criterion.",
        ),
    ] = None,
    out: Annotated[
        Path | None, option("--out -o", "DIR", "Folder for figures and a page.")
    ] = None,
    html: Html = None,
    as_format: Annotated[
        str, option("--format", "FORMAT", "Format of the figures: png, svg or pdf.")
    ] = "png",
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare runs at equal accuracy, with 95 % confidence intervals.

    Intervals of single trainings do not cover the variation between seeds. Train each
    network several times and give --group to cover it.

    Examples
    --------
    dsi compare cnn-out vit-out --html comparison.html
    dsi compare dsi-demo -o figures  # the runs of one output
    dsi compare out --group seed  # runs cnn_seed0, cnn_seed1, vit_seed0, ...
    """
    from dsi_cli.figures.catalogue import FORMATS
    from dsi_cli.queries.comparison.compare import MEASURES, ComparisonOptions
    from dsi_cli.queries.comparison.compare import compare as compare_runs
    from dsi_cli.report import comparison_page

    options = ComparisonOptions(run or (), group, tolerance, split, measure or MEASURES)
    require_choice("format", as_format, FORMATS)
    if html is not None:
        atomic_write.require_suffix(html, (".html", ".htm"), "the comparison is a page")
    with console.progress(quiet=quiet or as_json) as display:
        comparison = compare_runs(outputs, options, display.update)
    figures = []
    if out is not None:
        from dsi_cli.figures import curves

        figures = [
            str(path) for path in curves.save_comparison(comparison, out, as_format)
        ]
        html = html or out / comparison_page.FILE
    page = None
    if html is not None:
        page = str(comparison_page.save(comparison_page.render(comparison), html))
    if as_json:
        console.print_json({**asdict(comparison), "figures": figures, "page": page})
        return DONE
    _print(comparison, quiet=quiet)
    for note in comparison.notes:
        console.note(f"note: {note}", quiet=quiet)
    for path in figures:
        print(f"figure: {terminal_text(path)}")
    if page is not None:
        print(f"page: {terminal_text(page)}")
    return DONE


def _print(comparison: Comparison, *, quiet: bool) -> None:
    from dsi_cli.queries.comparison.compare import MANY_PAIRS
    from dsi_cli.report.comparison_page import sentence

    # The verdict is first, then the differences, and last what describes the runs.
    console.print_sentence(
        sentence(comparison.recommendation, [line.group for line in comparison.runs])
    )
    pairs = comparison.pairs
    if len(pairs) > 1:
        for verdict, _ in pairs[:MANY_PAIRS]:
            pair = f"{verdict.first} and {verdict.second}"
            start = "" if verdict.sentence.startswith(pair) else f"{pair}: "
            console.print_sentence(f"- {start}{verdict.sentence}")
    # it repeats the numbers, so a narrow terminal has none
    has_forest = console.stdout_width() >= console.DEFAULT_WIDTH
    for equal in [equal for _, equal in pairs if equal.rows][:MAX_TABLES]:
        print()
        _print_differences(equal, has_forest=has_forest)
    print()
    _print_legend(comparison, has_forest=has_forest)
    _print_runs(comparison)
    _print_between(comparison)
    unlike = [
        row.name
        for equal in comparison.equal
        for row in equal.classes
        if row.likeness is None or row.likeness < 1
    ]
    if len(comparison.equal) == 1 and unlike:
        console.print_sentence(f"Seen most differently: {', '.join(unlike[:5])}")
    if max(len(comparison.verdicts), len(comparison.between)) > MAX_TABLES:
        console.note(
            "not shown: other pairs; --run NAME chooses runs, and --json has all",
            quiet=quiet,
        )


def _print_legend(comparison: Comparison, *, has_forest: bool) -> None:
    """Print what the intervals and the dots of the forest plots show."""
    from dsi_cli.report.comparison_page import sentence

    legend = [sentence(comparison.coverage)] if comparison.coverage else []
    if has_forest and any(
        row.seed_range for equal in comparison.equal for row in equal.forest
    ):
        legend.append(
            "Dots: 95 % of pairs of trainings of one group differ by less, to judge by"
            " these runs."
        )
    if legend:
        console.print_sentence(" ".join(legend))
        print()


def _print_differences(equal: EqualAccuracyComparison, *, has_forest: bool) -> None:
    """Print the forest plot of two runs or groups: one line per main quantity."""
    from dsi_cli.queries.comparison.criteria import SHORT_TITLES
    from dsi_cli.queries.comparison.equal_accuracy import describe_epochs

    if equal.reason is not None:
        console.print_sentence(f"At the last epochs: {equal.reason}")
    ends = [
        abs(end)
        for row in equal.forest
        for end in (row.low, row.high, row.difference)
        if end is not None
    ]
    largest = max(ends, default=0.0) or 1.0
    lines = []
    missing: dict[str, list[str]] = {}
    for row in equal.rows:
        if not row.is_main:
            continue
        interval, covers = (
            f"{cell(row.low, '+.3f')} to {cell(row.high, '+.3f')}",
            row.covers.removeprefix("test "),
        )
        if row.low is None:
            interval = covers = "-"
            missing.setdefault(row.reason or "", []).append(row.title)
        forest = "" if row is equal.accuracy else _forest_line(row, largest)
        values = [cell(row.first), cell(row.second), cell(row.difference, "+.3f")]
        lines.append(
            [
                SHORT_TITLES.get(row.quantity, row.title),
                *values,
                interval,
                forest,
                covers,
            ]
        )
    columns = [
        "",
        "#first",
        "#second",
        "#diff.",
        "#95 % CI",
        "|<second|first >",
        "CI over",
    ]
    if not has_forest:
        for cells in (columns, *lines):
            del cells[5]
    console.print_columns(columns, lines)
    console.print_sentence(
        f"first:  {equal.first}, {describe_epochs(equal.first_chosen)}", hanging=8
    )
    console.print_sentence(
        f"second: {equal.second}, {describe_epochs(equal.second_chosen)}", hanging=8
    )
    for reason, titles in missing.items():
        console.print_sentence(f"{'; '.join(titles)}: {reason}")


def _forest_line(row: CriterionRow, largest: float) -> str:
    """Return an interval as text, with 0 in the middle: ``|`` is 0, ``o`` the
    difference, brackets are the ends.

    An end that is not 0 is left or right of 0, so that the line shows whether the
    interval excludes 0.
    """

    def place(value: float) -> int:
        return FOREST_HALF + max(
            -FOREST_HALF, min(FOREST_HALF, round(FOREST_HALF * value / largest))
        )

    def place_end(value: float) -> int:
        if value == 0 or place(value) != FOREST_HALF:
            return place(value)
        return FOREST_HALF + (1 if value > 0 else -1)

    line = [" "] * (2 * FOREST_HALF + 1)
    if row.seed_range is not None:
        reach = place(row.seed_range) - FOREST_HALF
        line[FOREST_HALF - reach : FOREST_HALF + reach + 1] = "." * (2 * reach + 1)
    difference = None if row.difference is None else place(row.difference)
    if difference is not None and row.low is not None and row.high is not None:
        low, high = place_end(row.low), place_end(row.high)
        difference = max(low, min(high, difference))
        line[low : high + 1] = "-" * (high - low + 1)
        line[low], line[high] = "[", "]"
    line[FOREST_HALF] = "|"
    if difference is not None:
        line[difference] = "o"
    return "".join(line)


def _print_runs(comparison: Comparison) -> None:
    from dsi_cli.queries.comparison.criteria import measure_title

    title = measure_title(comparison.measures[0])
    titles = [
        "run",
        "group",
        "#classes",
        "#epochs",
        "#best\naccuracy",
        f"#last\n{title}",
        "#half of the\nhighest",
    ]
    rows = []
    for line in comparison.runs:
        rows.append([line.label, line.group, str(line.classes), line.span])
        rows[-1] += [
            cell(line.best_accuracy) + line.best_at,
            cell(line.alignment),
            line.half_at(comparison.epochs) or "-",
        ]
    if not comparison.has_groups:
        for cells in (titles, *rows):
            del cells[1]
    console.print_columns(titles, rows)


def _print_between(comparison: Comparison) -> None:
    """Print the similarity of networks at their last common epoch; that of groups is
    the mean over pairs of runs.
    """
    from dsi_cli.queries.comparison.compare import MANY_PAIRS
    from dsi_cli.queries.comparison.criteria import measure_title
    from dsi_cli.queries.comparison.repetitions import BAND, NETWORKS

    title = measure_title(comparison.measures[0])
    titles = ["", "#pairs", "#epoch", f"#{title}", f"#{BAND}"]
    rows = []
    for band in [band for band in comparison.curves if band.curve == NETWORKS][
        :MANY_PAIRS
    ]:
        span = f"{band.low[-1]:.3f} to {band.high[-1]:.3f}"
        rows.append(
            [
                band.group,
                str(len(band.runs)),
                str(band.x[-1]),
                cell(band.mean[-1]),
                span,
            ]
        )
    if not comparison.has_groups:
        for cells in (titles, *rows):
            del cells[4], cells[1]
    begin = f"{title[:1].upper()}{title[1:]} of the networks with each other"
    if len(comparison.between) == len(rows) == 1:
        (pair,) = comparison.between
        z = "" if pair.points[-1].z is None else f" (z = {pair.points[-1].z:.0f})"
        console.print_sentence(
            f"{begin} ({SCALE}), by {pair.matched_by}: {rows[0][2]} at {rows[0][1]}{z}"
        )
    elif rows:
        console.print_title(begin, f"{SCALE}; at their last common epoch")
        console.print_columns(titles, rows)
    for pair in comparison.between[:MANY_PAIRS]:
        if (
            pair.reason is not None and pair.classes_by is not None
        ):  # the verdicts name pairs without common classes
            console.print_sentence(
                f"{pair.first} and {pair.second} are not compared with each other:"
                f" {pair.reason}"
            )
