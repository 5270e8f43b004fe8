"""``dsi diff``: what differs between two checkpoints, runs or results with the same
classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsi_cli.cli import console, tables
from dsi_cli.cli.options import Ema, Head, Html, Json, Labels, Quiet, option
from dsi_cli.cli.text import cell, shorten, terminal_text
from dsi_cli.errors import DONE
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    from dsi_cli.queries.difference import Difference

MAX_NAME_LENGTH = 20  # characters of a name in a table
MIN_NEIGHBORS_LENGTH = 14
MAX_LINE = 1000  # characters of other texts


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
        int, option("--most -n", "NUMBER", "Number of classes to print.", min=1)
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
    values: dict[str, Any] = {"headline": found.headline, "summary": found.summary}
    for name, network in (("first", found.first), ("second", found.second)):
        keys = ("title", "path", "dtype")
        values[name] = {key: getattr(network, key) for key in keys}
        values[name]["epoch"] = network.epoch if network.has_epoch else None
    values["classes"] = found.moved
    values["pairs"] = found.moved_pairs.head(100)
    values["groups"] = found.groups
    return tables.document(values)


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
    shown = found.moved.head(most).copy()
    shown["name"] = [shorten(name, MAX_NAME_LENGTH) for name in shown["name"]]
    # The rest of the line is for the neighbours.
    longest = int(shown["name"].str.len().max())
    width = max((console.stdout_width() - 36 - longest) // 2, MIN_NEIGHBORS_LENGTH)
    for key in ("gained", "lost"):
        shown[key] = [shorten(", ".join(names), width) for names in shown[key]]
    columns = {"name": ("", "")}
    if found.reason_no_angles is None:
        title = "Classes that moved most"
        shown["norm_change"] = 100 * shown["norm_change"]
        shown["length"] = [cell(value, "+.0f", " %") for value in shown["norm_change"]]
        for key in ("angle", "angle_variation"):
            shown[key] = [_angle(value) for value in shown[key]]
        columns |= {
            "angle": ("#angle", ""),
            "angle_variation": ("#usual", ""),
            "length": ("#length", ""),
        }
    else:
        title = "Classes that differ most"
        columns["similarity_change"] = ("change", ".3f")
        columns["similarity_variation"] = ("usual", ".3f")
    columns |= {
        "gained": ("new among 5 nearest", ""),
        "lost": ("no longer", ""),
    }
    console.print_title(title, f"usual: {found.variation or 'unknown'}")
    tables.print_rows(shown, columns, MAX_LINE, indent=2)


def _print_pairs(found: Difference, most: int) -> None:
    """Print the pairs that came together most, and those that came apart most."""
    import pandas as pd

    pairs = found.moved_pairs
    if pairs.empty:
        return
    console.print_title("Pairs of classes", "cosine in A and in B; + came together")
    is_nearer = pairs["similarity_change"] > 0
    shown = pd.concat([pairs[is_nearer].head(most), pairs[~is_nearer].head(most)])
    first, second = (
        [shorten(name, MAX_NAME_LENGTH) for name in shown[key]]
        for key in ("first_name", "second_name")
    )
    shown["names"] = [f"{a}, {b}" for a, b in zip(first, second, strict=True)]
    columns = {
        "names": ("", ""),
        "similarity_first": ("A", ".3f"),
        "similarity_second": ("B", ".3f"),
        "similarity_change": ("change", "+.3f"),
        "variation": ("usual", ".3f"),
    }
    tables.print_rows(shown, columns, MAX_LINE, indent=2)


def _print_groups(found: Difference, most: int) -> None:
    from dsi_cli.queries.run_classes import synset_words

    shown = found.groups[found.groups["moved"] > 0].head(most).copy()
    if shown.empty:
        return
    console.print_title("Groups of classes", "mean change of cosines")
    shown["group"] = [synset_words(group) for group in shown["group"]]
    counts = zip(shown["moved"], shown["classes"], strict=True)
    shown["moved"] = [f"{moved:,} of {classes:,}" for moved, classes in counts]
    columns = {
        "group": ("", ""),
        "moved": ("#moved", ""),
        "within_change": ("in group", "+.3f"),
        "within_variation": ("usual", ".3f"),
        "between_change": ("to others", "+.3f"),
    }
    tables.print_rows(shown, columns, MAX_LINE, indent=2)


def _angle(value: float) -> str:
    return cell(value, ".1f" if value >= 10 else ".2f", "°")
