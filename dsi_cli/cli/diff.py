"""``dsi diff``: what differs between two checkpoints, runs or results with the same
classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import console
from dsi_cli.cli.options import Ema, Head, Html, Json, Labels, Quiet, option
from dsi_cli.cli.text import cell, shorten, terminal_text
from dsi_cli.errors import DONE
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from dsi_cli.queries.difference import Difference

MAX_NAME_LENGTH = 20  # characters of a name in a table
MIN_NEIGHBORS_LENGTH = 14


def diff(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help=(
                "A checkpoint, a folder of one run, or an output folder of dsi analyze."
            ),
        ),
    ],
    second: Annotated[
        str | None,
        typer.Argument(metavar="B", help="The second one; by default the same folder."),
    ] = None,
    run: Annotated[
        list[str] | None,
        option(
            "--run",
            "NAME",
            "Run to use, if a folder holds several. Repeatable: first A's, then B's.",
        ),
    ] = None,
    epoch: Annotated[
        list[int] | None,
        option(
            "--epoch",
            "EPOCH",
            "Epoch in a folder; the last one by default. Repeatable: first A's, then"
            " B's.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        option(
            "--group",
            "PATTERN",
            "Compare with the differences between repetitions in the first output"
            " folder: seed, or a regular expression.",
        ),
    ] = None,
    labels: Labels = None,
    head: Head = None,
    ema: Ema = False,
    most: Annotated[
        int, option("--most -n -k", "NUMBER", "Number of classes to print.", min=1)
    ] = 5,
    out: Annotated[
        Path | None, option("--out -o", "DIR", "Folder for tables and a page.")
    ] = None,
    html: Html = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show what differs between two checkpoints with the same classes.

    dsi lists the classes that moved, the pairs of classes that came together or apart,
    and the change of each semantic group. Next to these it shows the usual change
    between neighbouring epochs, and what rounding explains.

    Examples
    --------
    dsi diff run/epoch_1.pt run/epoch_20.pt
    dsi diff base.pt tuned.pt --labels imagenet1k --html diff.html
    dsi diff OUT --run cnn --epoch 1 --epoch 20  # two epochs of an analysed run
    """
    from dsi_cli.analysis.difference import diff as compare
    from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
    from dsi_cli.report import comparison_page

    if html is not None:
        atomic_write.require_suffix(html, (".html", ".htm"), "the difference is a page")
    choice = HeadOptions(head, ema)
    found = compare(
        first,
        second,
        runs=run or (),
        epochs=epoch or (),
        labels=labels,
        choice=choice,
        group=group,
    )
    files = [] if out is None else found.save_tables(out)
    if out is not None or html is not None:
        page = comparison_page.render_difference(found)
        files.append(
            comparison_page.save(
                page, html or Path(out or ".") / comparison_page.DIFFERENCE_FILE
            )
        )
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
    """Return the differences as ``--json`` prints them: all classes and groups, and the
    hundred most changed pairs.
    """
    from dsi_cli.queries.difference import records_of

    sides = {
        name: {
            key: getattr(network, key) for key in ("title", "path", "epoch", "dtype")
        }
        for name, network in (("first", found.first), ("second", found.second))
    }
    tables = {
        "classes": records_of(found.moved),
        "pairs": records_of(found.pairs[found.pairs["beyond_rounding"]].head(100)),
        "groups": records_of(found.groups),
    }
    return sides | {"headline": found.headline, "summary": found.summary} | tables


def _print(found: Difference, most: int) -> None:
    networks = []
    for letter, network in (("A", found.first), ("B", found.second)):
        shape = f"{network.classes:,} classes"
        if network.weight is not None:
            shape += f" x {network.weight.shape[1]:,} features"
        networks.append([letter, network.title, shape, network.dtype])
    console.print_columns([""] * 4, networks)
    print()
    console.print_sentence(found.headline, hanging=0)
    if found.reason_no_angles is not None:
        console.print_sentence(f"No angles: {found.reason_no_angles}.", hanging=0)
    if found.variation is None:
        reason = "no other epochs are next to A or B"
        console.print_sentence(
            f"How much classes usually move between epochs is unknown: {reason}.",
            hanging=0,
        )
    if found.moved.empty:
        if found.reason_no_angles is None and found.classes["change"].any():
            row = found.classes.sort_values("angle").iloc[-1]
            limit = f"rounding explains up to {row['angle_rounding']:.2g}°"
            console.print_sentence(
                f"The largest angle is {row['angle']:.2g}° ({row['name']}); {limit}.",
                hanging=0,
            )
        return
    _print_classes(found, most)
    _print_pairs(found, max(1, most // 2))
    _print_groups(found, max(1, (most + 1) // 2))


def _print_classes(found: Difference, most: int) -> None:
    shown = found.moved.head(most).to_dict("records")
    names = [shorten(row["name"], MAX_NAME_LENGTH) for row in shown]
    # The rest of the line is for the neighbours.
    width = max(
        (console.stdout_width() - 36 - max(map(len, names))) // 2, MIN_NEIGHBORS_LENGTH
    )
    rows = []
    if found.reason_no_angles is None:
        title = "Classes that moved most"
        titles = ["", "#angle", "#usual", "#length"]
        for row in shown:
            angles = [_angle(row["angle"]), _angle(row["angle_variation"])]
            rows.append([*angles, cell(100 * row["norm_change"], "+.0f", " %")])
    else:
        title = "Classes that differ most"
        titles = ["", "#change", "#usual"]
        rows = [
            [cell(row["similarity_change"]), cell(row["similarity_variation"])]
            for row in shown
        ]
    for name, row, cells in zip(names, shown, rows, strict=True):
        cells.insert(0, name)
        cells += [shorten(", ".join(row[key]), width) for key in ("gained", "lost")]
    console.print_title(title, f"usual: {found.variation or 'unknown'}")
    console.print_columns([*titles, "nearest: gained", "lost"], rows, indent=2)


def _print_pairs(found: Difference, most: int) -> None:
    """Print the pairs that came together most, and those that came apart most."""
    import pandas as pd

    pairs = found.pairs[found.pairs["beyond_rounding"]]
    if pairs.empty:
        return
    console.print_title("Pairs of classes", "cosine in A and in B; + came together")
    shown = pd.concat(
        [
            pairs[pairs["similarity_change"] > 0].head(most),
            pairs[pairs["similarity_change"] < 0].head(most),
        ]
    )
    rows = []
    for row in shown.to_dict("records"):
        names = ", ".join(
            shorten(row[name], MAX_NAME_LENGTH)
            for name in ("first_name", "second_name")
        )
        values = [
            cell(row["similarity_first"]),
            cell(row["similarity_second"]),
            cell(row["similarity_change"], "+.3f"),
        ]
        rows.append([names, *values, cell(row["variation"])])
    console.print_columns(["", "#A", "#B", "#change", "#usual"], rows, indent=2)


def _print_groups(found: Difference, most: int) -> None:
    from dsi_cli.queries.run_classes import synset_words

    groups = found.groups[found.groups["moved"] > 0]
    if groups.empty:
        return
    console.print_title(
        "Groups of classes", "mean change of cosines in the group and to others"
    )
    rows = []
    for row in groups.head(most).to_dict("records"):
        changes = [
            cell(row["within_change"], "+.3f"),
            cell(row["within_variation"]),
            cell(row["between_change"], "+.3f"),
        ]
        rows.append(
            [
                synset_words(row["group"]),
                f"{row['moved']:,} of {row['classes']:,}",
                *changes,
            ]
        )
    console.print_columns(
        ["", "#moved", "#within", "#usual", "#others"], rows, indent=2
    )


def _angle(value: float) -> str:
    return cell(value, ".1f" if value >= 10 else ".2f", "°")
