"""``dsi diff``: what differs between two checkpoints, runs or results with the same classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import console
from dsi_cli.cli.shared_options import Ema, Head, Json, Labels, Quiet
from dsi_cli.cli.text import shorten, terminal_text
from dsi_cli.errors import DONE, UsageError

if TYPE_CHECKING:
    from dsi_cli.queries.difference import Difference, Network

MAX_NAME_LENGTH = 20
"""The largest number of characters of a name in a table."""
MIN_NEIGHBORS_LENGTH = 14


def diff(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A checkpoint, a folder of one run, or an output folder of dsi analyze.")
    ],
    second: Annotated[
        str | None,
        typer.Argument(metavar="B", help="The second one; the same folder by default, for two epochs or runs of it."),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="NAME",
            help="Run to use, if a folder holds several. Repeatable: the first one's, then the second one's.",
        ),
    ] = None,
    epoch: Annotated[
        list[int] | None,
        typer.Option(
            "--epoch",
            metavar="EPOCH",
            help="Epoch in a folder; the last one by default. Repeatable: the first one's, then the second one's.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="PATTERN",
            help="Compare with the differences between repetitions in the first output folder: a regular expression whose"
            " parentheses name the group, or seed.",
        ),
    ] = None,
    labels: Labels = None,
    head: Head = None,
    ema: Ema = False,
    most: Annotated[
        int, typer.Option("--most", "-k", metavar="NUMBER", min=1, help="Number of classes that are printed.")
    ] = 5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the tables and a page with the matrices.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="File of the page; diff.html in the folder of -o by default."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show what differs between two checkpoints with the same classes.

    Which classes moved, which pairs of classes came together or apart, and how each semantic group changed. Next to each value
    is its usual size between neighbouring epochs of the same run, if there are any. dsi shows which differences rounding to the
    stored dtypes explains. It compares class vectors only if both networks have the same feature space.

    Examples
    --------
    dsi diff run/epoch_1.pt run/epoch_20.pt
    dsi diff base.pt tuned.pt --labels imagenet1k --html diff.html
    dsi diff OUT --run cnn --epoch 1 --epoch 20  # two epochs of an analysed run
    """
    from dsi_cli.analysis.difference import diff as compare
    from dsi_cli.checkpoints.scan import HeadOptions
    from dsi_cli.report import difference_page
    from dsi_cli.store import atomic_write

    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"tables go into a folder, and {out} is a file", code="not-a-folder", path=str(out))
    if html is not None:
        atomic_write.require_suffix(html, (".html", ".htm"), "the difference is a page")
    choice = HeadOptions(head, ema)
    found = compare(first, second, runs=run or (), epochs=epoch or (), labels=labels, choice=choice, group=group)
    files = [] if out is None else found.save_tables(out)
    if out is not None or html is not None:
        files.append(difference_page.save(found, html or Path(out or ".") / difference_page.FILE))
    if as_json:
        console.print_json(document(found) | {"files": list(map(str, files))})
        return DONE
    _print(found, most)
    for note in found.notes:
        console.note(f"note: {note}", quiet=quiet)
    for path in files:
        print(terminal_text(f"  {path}"))
    return DONE


def document(found: Difference) -> dict[str, Any]:
    """Return the differences as ``--json`` prints them: all classes and groups, and the hundred most changed pairs."""
    from dsi_cli.queries.difference import records_of

    sides = {
        name: {key: getattr(network, key) for key in ("title", "path", "epoch", "dtype")}
        for name, network in (("first", found.first), ("second", found.second))
    }
    tables = {
        "classes": records_of(found.moved),
        "pairs": records_of(found.pairs[found.pairs["beyond_rounding"]].head(100)),
        "groups": records_of(found.groups),
    }
    return sides | {"headline": found.headline, "summary": found.summary} | tables


def _print(found: Difference, most: int) -> None:
    """Print the two networks, the finding, and the classes, pairs and groups that changed most."""
    console.print_columns([("", False)] * 4, [_network_cells("A", found.first), _network_cells("B", found.second)])
    print()
    console.print_sentence(found.headline, 0, 0)
    if found.reason_no_angles is not None:
        console.print_sentence(f"No angles: {found.reason_no_angles}.", 0, 0)
    if found.variation is None:
        console.print_sentence(
            "How much classes usually move between epochs is unknown: no other epochs are next to A or B.", 0, 0
        )
    if found.moved.empty:
        if found.reason_no_angles is None and found.classes["change"].any():
            row = found.classes.sort_values("angle").iloc[-1]
            limit = f"rounding explains up to {row['angle_rounding']:.2g}°"
            console.print_sentence(f"The largest angle is {row['angle']:.2g}° ({row['name']}); {limit}.", 0, 0)
        return
    _print_classes(found, most)
    _print_pairs(found, max(1, most // 2))
    _print_groups(found, max(1, (most + 1) // 2))


def _network_cells(letter: str, network: Network) -> list[str]:
    shape = f"{network.classes:,} classes"
    if network.weight is not None:
        shape += f" x {network.weight.shape[1]:,} features"
    return [letter, network.title, shape, network.dtype]


def _print_classes(found: Difference, most: int) -> None:
    has_angles = found.reason_no_angles is None
    _print_title(
        "Classes that moved most" if has_angles else "Classes that differ most", "usual: between epochs or repetitions"
    )
    column, variation = ("angle", "angle_variation") if has_angles else ("similarity_change", "similarity_variation")
    titles = [("", False), ("angle" if has_angles else "change", True), ("usual", True)]
    titles += [*([("length", True)] if has_angles else []), ("nearest: gained", False), ("lost", False)]
    shown = found.moved.head(most).to_dict("records")
    names = [shorten(row["name"], MAX_NAME_LENGTH) for row in shown]
    width = (console.stdout_width() - 36 - max(map(len, names))) // 2
    rows = []
    for name, row in zip(names, shown, strict=True):
        cells = [name, *(_angle(row[key]) if has_angles else _cell(row[key], ".3f") for key in (column, variation))]
        if has_angles:
            cells.append(_cell(100 * row["norm_change"], "+.0f", " %"))
        rows.append(
            [*cells, *(shorten(", ".join(row[key]), max(width, MIN_NEIGHBORS_LENGTH)) for key in ("gained", "lost"))]
        )
    console.print_columns(titles, rows, indent=2)


def _print_pairs(found: Difference, most: int) -> None:
    """Print the pairs that came together most, and those that came apart most."""
    pairs = found.pairs[found.pairs["beyond_rounding"]]
    if pairs.empty:
        return
    _print_title("Pairs of classes", "cosine in A and in B; + came together")
    shown = [pairs[pairs["similarity_change"] > 0].head(most), pairs[pairs["similarity_change"] < 0].head(most)]
    rows = [
        [
            f"{shorten(row['first_name'], MAX_NAME_LENGTH)}, {shorten(row['second_name'], MAX_NAME_LENGTH)}",
            f"{row['similarity_first']:.3f}",
            f"{row['similarity_second']:.3f}",
            f"{row['similarity_change']:+.3f}",
            _cell(row["variation"], ".3f"),
        ]
        for part in shown
        for row in part.to_dict("records")
    ]
    console.print_columns([("", False), ("A", True), ("B", True), ("change", True), ("usual", True)], rows, indent=2)


def _print_groups(found: Difference, most: int) -> None:
    groups = found.groups[found.groups["moved"] > 0]
    if groups.empty:
        return
    _print_title("Groups of classes", "mean change of cosines in the group and to others")
    rows = [
        [
            str(row["group"]).rsplit(".", 2)[0].replace("_", " "),
            f"{row['moved']:,} of {row['classes']:,}",
            f"{row['within_change']:+.3f}",
            _cell(row["within_variation"], ".3f"),
            _cell(row["between_change"], "+.3f"),
        ]
        for row in groups.head(most).to_dict("records")
    ]
    console.print_columns(
        [("", False), ("moved", True), ("within", True), ("usual", True), ("others", True)], rows, indent=2
    )


def _print_title(title: str, legend: str) -> None:
    print()
    console.print_styled((title, "bold"), ("   ", ""), (legend, "dim"))


def _angle(value: float) -> str:
    return _cell(value, ".1f" if value >= 10 else ".2f", "°")


def _cell(value: float, form: str, unit: str = "") -> str:
    return "-" if value != value else f"{value:{form}}{unit}"
