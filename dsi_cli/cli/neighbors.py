"""``dsi neighbors``: the classes most similar to a class, the closest pairs, and how
neighbours changed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from dsi_cli.cli import console, tables
from dsi_cli.cli.options import (
    Epoch,
    Json,
    Kind,
    Output,
    Quiet,
    Run,
    Split,
    complete_classes,
    option,
    switch,
)
from dsi_cli.cli.text import sparkline
from dsi_cli.errors import DONE, UsageError
from dsi_cli.queries.epoch_sampling import log_spaced

if TYPE_CHECKING:
    import pandas as pd

MAX_NAME_LENGTH = 28  # characters of a name in a table
MAX_BARS = 32  # epochs that a row shows as bars
_COLUMNS = {
    "place": ("", "d"),
    "name": ("class", ""),
    "first": ("class A", ""),
    "second": ("class B", ""),
    "similarity": ("similarity", ".3f"),
    "wordnet_similarity": ("{reference}\nsimilarity", ".3f"),
    "wordnet_rank": ("{reference}\nrank", ",.0f"),
    "surprise": ("", ""),
}


def neighbors(
    output: Output,
    class_name: Annotated[
        str | None,
        option(
            "--class",
            "CLASS",
            "The class whose neighbours are listed.",
            complete_classes,
        ),
    ] = None,
    epoch: Epoch = None,
    most: Annotated[int, option("--most -n", "NUMBER", "Number of rows.", min=1)] = 10,
    kind: Kind = "ncsm",
    split: Split = None,
    run: Run = None,
    pairs: Annotated[
        bool, switch("--pairs", "List the closest pairs; the default without --class.")
    ] = False,
    over_epochs: Annotated[
        bool, switch("--over-epochs", "Show how the neighbours of --class changed.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """List the classes nearest to a class, or the closest pairs.

    Each has its similarity in WordNet. If a matrix is not symmetric, the similarity of a pair is the mean of both
    directions.

    Examples
    --------
    dsi neighbors dsi-out --class dolphin --epoch 25 -n 5
    dsi neighbors dsi-out --class dolphin --over-epochs
    dsi neighbors dsi-out --pairs --kind ccsm --split test
    """
    from dsi_cli.queries.neighbors import closest_pairs, nearest, neighbor_history
    from dsi_cli.store.results import Results

    if pairs and class_name is not None:
        message = "the closest pairs are those of all classes"
        raise UsageError(
            message, hint="leave out --pairs, or --class", code="options-conflict"
        )
    if over_epochs and class_name is None:
        message = "--over-epochs shows how the neighbours of one class changed"
        raise UsageError(message, hint="add --class NAME", code="no-class")
    if over_epochs and epoch is not None:
        message = "--over-epochs shows all epochs"
        raise UsageError(message, hint="leave out --epoch", code="options-conflict")
    results = Results(output)
    matrix: dict[str, Any] = {"kind": kind, "split": split, "run": run, "most": most}
    if class_name is None:
        found = closest_pairs(results, epoch=epoch, **matrix)
    elif over_epochs:
        found = neighbor_history(results, class_name, **matrix)
    else:
        found = nearest(results, class_name, epoch=epoch, **matrix)
    if as_json:
        tables.print_json(found)
    elif over_epochs:
        _print_history(found, quiet=quiet)
    else:
        tables.print_listing(found, _COLUMNS, MAX_NAME_LENGTH)
    return DONE


def _print_history(history: pd.DataFrame, *, quiet: bool) -> None:
    """Print the ranks of a class's neighbours as bars; the highest bar is rank 1."""
    epochs, most = history.attrs["epochs"], history.attrs["most"]
    # Of many epochs, some decide which classes are shown; most are early, where most
    # changes.
    chosen = log_spaced(range(len(epochs)))
    is_shown = [
        any((places[index] or most + 1) <= most for index in chosen)
        for places in history["places"]
    ]
    shown = history[is_shown].copy()
    # The logarithm shows differences between near classes.
    worst = max(2, *(place or 2 for places in shown["places"] for place in places))
    furthest = math.log(worst)
    shown["first"] = [places[0] for places in shown["places"]]
    shown["last"] = [places[-1] for places in shown["places"]]
    shown["bars"] = [
        sparkline(
            [place and furthest - math.log(place) for place in places],
            furthest,
            MAX_BARS,
        )
        for places in shown["places"]
    ]
    first, last = epochs[0], epochs[-1]
    of_bars = f"rank, epochs {first} to {last}"
    if len(epochs) > MAX_BARS:
        of_bars = f"rank at {MAX_BARS} of\nepochs {first} to {last}"
    columns = {
        "name": ("class", ""),
        "first": (f"rank at\nepoch {first}", ".0f"),
        "bars": (of_bars, ""),
        "last": (f"rank at\nepoch {last}", ".0f"),
        "wordnet_rank": ("{reference}\nrank", ".0f"),
        "surprise": ("", ""),
    }
    tables.print_listing(shown, columns, MAX_BARS)
    left_out = len(history) - len(shown)
    if left_out:
        console.note(
            f"--json has {left_out:,} more, which were near at other epochs only",
            quiet=quiet,
        )
