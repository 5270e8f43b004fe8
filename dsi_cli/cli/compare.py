"""``dsi compare``: several runs compared, and which to prefer at equal accuracy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsi_cli.cli import completion, console
from dsi_cli.cli.shared_options import Json, Quiet
from dsi_cli.cli.text import terminal_text
from dsi_cli.errors import DONE, UsageError, expected

if TYPE_CHECKING:
    from dsi_cli.queries.comparison.compare import Comparison, ComparisonOptions
    from dsi_cli.queries.comparison.cross_alignment import CrossAlignment
    from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracyComparison

MAX_TABLES = 6
"""The largest number of pairs of runs whose differences are printed as a table."""
MAX_PAIRS = 15
"""The largest number of pairs of runs that have a line."""


def compare(
    outputs: Annotated[list[Path], typer.Argument(help="Output folders of dsi analyze, one or several.")],
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="NAME",
            help="Compare only this run. Repeatable; all by default.",
            autocompletion=completion.runs,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="PATTERN",
            help="Repetitions: a regular expression whose parentheses name the group, or seed.",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", metavar="NUMBER", help="Largest difference of accuracies that count as equal.")
    ] = 0.01,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="SPLIT",
            help="Split of accuracy and mistakes: test or train.",
            autocompletion=completion.complete_from(("test", "train")),
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="NAME", help="Measure of the SAI: cosine, mse, pearson, spearman. Repeatable."),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws", metavar="NUMBER", help="Bootstrap draws for IDM and Max WSI. Default: 1000, above 256 classes 200."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for figures of the curves and a page with all results."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="File of the page; comparison.html in the folder of -o by default."),
    ] = None,
    as_format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="Format of the figures: png, svg or pdf.")
    ] = "png",
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare runs: how alike they see the classes, what differs at equal accuracy, and which to prefer.

    The column real says whether the 95 % confidence interval of a difference excludes 0.

    Examples
    --------
    dsi compare cnn-out vit-out --html comparison.html
    dsi compare dsi-demo -o figures  # the runs of one output
    """
    from dsi_cli.queries.comparison.compare import MEASURES, ComparisonOptions
    from dsi_cli.queries.comparison.compare import compare as compare_runs

    options = ComparisonOptions(run or (), group, tolerance, split, measure or MEASURES, draws)
    _require_output_paths(out, as_format, html)
    comparison = compare_runs(outputs, options)
    figures = []
    if out is not None:
        from dsi_cli.figures import comparison as drawing

        figures = [str(path) for path in drawing.save(comparison, out, as_format)]
    page = _write_page(comparison, options, outputs, out, html)
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


def _write_page(
    comparison: Comparison, options: ComparisonOptions, outputs: list[Path], out: Path | None, html: Path | None
) -> str | None:
    """Write the page if the options name a file or folder for it, and return its path."""
    from dsi_cli.report import comparison_page

    path = html or (None if out is None else out / comparison_page.FILE)
    return None if path is None else str(comparison_page.save(comparison, options, outputs, path))


def _require_output_paths(out: Path | None, as_format: str, html: Path | None) -> None:
    from dsi_cli.queries.comparison.compare import FIGURE_FORMATS
    from dsi_cli.store import atomic_write

    if as_format not in FIGURE_FORMATS:
        raise UsageError(
            f"no format {as_format!r}: {expected(as_format, FIGURE_FORMATS)}", code="unknown-format", format=as_format
        )
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"figures go into a folder, and {out} is a file", code="not-a-folder", path=str(out))
    if html is not None and html.is_dir():
        raise UsageError(
            f"the page is a file, and {html} is a folder: give --html a name in it, or the folder to -o",
            code="not-a-file",
            path=str(html),
        )
    if html is not None:
        atomic_write.require_suffix(html, (".html", ".htm"), "the comparison is a page")


def _print(comparison: Comparison, *, quiet: bool) -> None:
    _print_runs(comparison)
    print()
    _print_between(comparison)
    for equal in [equal for equal in comparison.equal if equal.rows][:MAX_TABLES]:
        print()
        _print_equal(equal)
    print()
    for verdict in comparison.verdicts[:MAX_PAIRS]:
        console.print_sentence(verdict.sentence, 0, 2)
    if max(len(comparison.verdicts), len(comparison.between)) > MAX_TABLES:
        console.note("not shown: pairs beyond the first; --json has all", quiet=quiet)
    if len(comparison.verdicts) > 1:
        console.print_sentence(comparison.recommendation, 0, 2)


def _print_runs(comparison: Comparison) -> None:
    with_groups = any(line.group != line.label for line in comparison.runs)
    titles = [("run", False), *([("group", False)] if with_groups else []), ("classes", True), ("epochs", True)]
    titles += [
        ("best\naccuracy", True),
        ("at\nepoch", True),
        ("SAI excess\nat the end", True),
        ("half of its\nbest at", True),
    ]
    rows = [
        [
            line.label,
            *([line.group] if with_groups else []),
            str(line.classes),
            line.span,
            _number(line.best_accuracy),
            "-" if line.best_epoch is None else line.best_at,
            _number(line.alignment),
            "-" if line.aligned_at is None else str(line.aligned_at),
        ]
        for line in comparison.runs
    ]
    console.print_columns(titles, rows)


def _print_between(comparison: Comparison) -> None:
    """Print the SAI of two networks at selected epochs, or that of each pair of more networks at the last epoch."""
    measure = comparison.measures[0]
    if len(comparison.between) == 1:
        (only,) = comparison.between
        if only.reason is None:
            print(
                terminal_text(
                    f"SAI({(only.of or '').upper().replace(',', ', ')}) of {only.first} and {only.second}, {measure}"
                )
            )
            _print_points(only, measure, has_epochs=any(line.has_epochs for line in comparison.runs))
            return
    elif any(line.group != line.label for line in comparison.runs):
        _print_bands(comparison)
    else:
        print(f"SAI between the networks at their last common epoch, {measure}")
        rows = [_pair(pair, measure) for pair in comparison.between[:MAX_PAIRS] if pair.reason is None]
        titles = [("first", False), ("second", False), ("epoch", True), ("SAI", True), ("chance", True), ("excess", True)]
        console.print_columns([*titles, ("z", True)], rows)
    for pair in comparison.between[:MAX_PAIRS]:
        if pair.reason is not None and pair.classes_by is not None:  # the verdicts name pairs without common classes
            console.print_sentence(f"no SAI between {pair.first} and {pair.second}: {pair.reason}", 0, 2)


def _print_points(between: CrossAlignment, measure: str, *, has_epochs: bool) -> None:
    from dsi_cli.queries.epoch_sampling import log_spaced

    points = [point for point in between.points if point.measure == measure]
    titles = [(between.matched_by.replace(" ", "\n"), True), ("SAI", True), ("chance", True), ("excess", True), ("z", True)]
    rows = [
        [
            str(point.at) if has_epochs else "–",
            _number(point.value),
            _number(point.null_mean),
            _number(point.excess),
            _number(point.z, ".1f"),
        ]
        for point in log_spaced(points)
    ]
    console.print_columns(titles, rows)


def _print_bands(comparison: Comparison) -> None:
    """Print the SAI between the networks of groups: the mean over pairs of runs, and the range."""
    from dsi_cli.queries.comparison.repetitions import BAND, NETWORKS

    print(f"SAI excess between the networks at their last common epoch, {comparison.measures[0]}")
    titles = [("", False), ("pairs", True), ("epoch", True), ("mean", True), (BAND, True)]
    rows = [
        [
            band.group,
            str(len(band.runs)),
            str(band.x[-1]),
            _number(band.mean[-1]),
            f"{band.low[-1]:.3f} to {band.high[-1]:.3f}",
        ]
        for band in comparison.curves
        if band.curve == NETWORKS
    ]
    console.print_columns(titles, rows)


def _pair(between: CrossAlignment, measure: str) -> list[str]:
    last = [point for point in between.points if point.measure == measure][-1]
    numbers = [_number(last.value), _number(last.null_mean), _number(last.excess), _number(last.z, ".1f")]
    return [between.first, between.second, str(last.at), *numbers]


def _print_equal(equal: EqualAccuracyComparison) -> None:
    from dsi_cli.queries.comparison.equal_accuracy import describe_epochs

    if equal.reason is None:
        console.print_sentence(f"{equal.first} and {equal.second} at an accuracy of {equal.level:.3f}", 0, 2)
    else:
        console.print_sentence(f"{equal.first} and {equal.second} at their last epochs: {equal.reason}", 0, 2)
    console.print_sentence(f"first:  {equal.first}, {describe_epochs(equal.first_chosen)}", 0, 2)
    console.print_sentence(f"second: {equal.second}, {describe_epochs(equal.second_chosen)}", 0, 2)
    titles = [("", False), *((name, True) for name in ("first", "second", "difference", "95 % interval", "real"))]
    rows = [
        [
            row.title if row.is_criterion else f"{row.title} (describes)",
            _number(row.first),
            _number(row.second),
            _number(row.difference, "+.3f"),
            "-" if row.low is None else f"{row.low:+.3f} to {row.high:+.3f}",
            {True: "yes", False: "no", None: "-"}[row.is_real],
        ]
        for row in equal.rows
    ]
    console.print_columns(titles, rows)
    titles_by_reason: dict[str, list[str]] = {}
    for row in equal.rows:
        if row.is_real is None:
            titles_by_reason.setdefault(row.reason or "", []).append(row.title)
    for reason, names in titles_by_reason.items():
        console.print_sentence(f"{'; '.join(names)}: {reason}", 0, 2)


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else f"{value:{form}}"
