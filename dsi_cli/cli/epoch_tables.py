"""The tables of ``--per-epoch``: alignment, mistakes and typicality, with a row for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.cli import console

if TYPE_CHECKING:
    from dsi_cli.queries.epoch_summary import EpochSummary, MistakeSummary
    from dsi_cli.queries.typicality import TypicalitySummary

EPOCHS = (
    ("epoch", 0, "epoch"),
    ("SAI excess", 3, "excess"),
    ("z", 1, "z"),
    ("SAI ({measure})", 3, "value"),
    ("by chance", 3, "chance"),
    ("Max WSI", 3, "max_wsi"),
    ("Min WSI", 3, "min_wsi"),
    ("accuracy", 3, "accuracy"),
)
MISTAKES = (
    ("epoch", 0, "epoch"),
    ("mistakes", 0, "mistakes"),
    ("NIDM", 3, "nidm"),
    ("z", 1, "nidm_z"),
    ("WIDM", 3, "widm"),
    ("z", 1, "widm_z"),
    ("by chance", 3, "chance"),
    ("SAI with CCSM", 3, "ccsm"),
    ("z", 1, "ccsm_z"),
    ("gap", 3, "gap"),
)
TYPICALITY = (
    ("epoch", 0, "epoch"),
    ("right", 3, "right"),
    ("by chance", 3, "right_chance"),
    ("a sample", 3, "right_sample"),
    ("wrong", 3, "wrong"),
    ("by chance", 3, "wrong_chance"),
    ("a sample", 3, "wrong_sample"),
    ("classes", 0, "wrong_classes"),
)
"""Title, decimals and field of each column."""


def print_epoch_tables(out: Path, runs: Sequence[str]) -> None:
    """Print the tables of all epochs of runs."""
    from dsi_cli.queries import epoch_summary, typicality

    for run in runs:
        epochs = epoch_summary.epoch_summaries(out, run)
        measure = next((row.measure for row in epochs if row.measure), "")
        columns = [(title.format(measure=measure), digits, field) for title, digits, field in EPOCHS]
        _print_table(
            f"{run}: SAI excess is 0 at chance and 1 at identity; z counts deviations above chance", epochs, columns
        )
        for split, mistakes in epoch_summary.mistake_summaries(out, run).items():
            title = f"{run}: mistakes on {split}: NIDM and WIDM of mistakes, which is 1 at most"
            _print_table(title, mistakes, MISTAKES)
        for split, rows in typicality.typicality_summary(out, run).items():
            _print_table(f"{run}: cosine with the class template on {split}", rows, TYPICALITY)


def _print_table(
    title: str, rows: Sequence[EpochSummary | MistakeSummary | TypicalitySummary], columns: Sequence[tuple[str, int, str]]
) -> None:
    """Print a table without its empty columns."""
    shown = [
        column for column in columns if column[2] == "epoch" or any(getattr(row, column[2]) is not None for row in rows)
    ]
    if len(shown) < 2:
        return
    print()
    console.print_sentence(title, 0, 2)
    cells = [[number(getattr(row, field), digits) for _, digits, field in shown] for row in rows]
    console.print_columns([(name, True) for name, _, _ in shown], cells)


def number(value: float | None, digits: int) -> str:
    """Return the text of a number, with ``0.000`` for ``-0.000`` and ``-`` for None."""
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"
