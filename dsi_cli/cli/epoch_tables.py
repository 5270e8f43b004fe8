"""The tables of ``--per-epoch``: alignment, mistakes and typicality, with a row for each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dsi_cli.cli import console

if TYPE_CHECKING:
    from dsi_cli.queries.epoch_summary import EpochSummary, MistakeSummary
    from dsi_cli.queries.typicality import TypicalitySummary

EPOCHS = (
    ("epoch", "epoch", ">"),
    ("SAI excess", "excess", "z.3f"),
    ("z", "z", "z.1f"),
    ("SAI ({measure})", "value", "z.3f"),
    ("by chance", "chance", "z.3f"),
    ("Max WSI", "max_wsi", "z.3f"),
    ("Min WSI", "min_wsi", "z.3f"),
    ("accuracy", "accuracy", "z.3f"),
)
MISTAKES = (
    ("epoch", "epoch", ">"),
    ("mistakes", "mistakes", "z.0f"),
    ("NIDM", "nidm", "z.3f"),
    ("z", "nidm_z", "z.1f"),
    ("WIDM", "widm", "z.3f"),
    ("z", "widm_z", "z.1f"),
    ("by chance", "chance", "z.3f"),
    ("SAI with CCSM", "ccsm", "z.3f"),
    ("z", "ccsm_z", "z.1f"),
    ("gap", "gap", "z.3f"),
)
TYPICALITY = (
    ("epoch", "epoch", ">"),
    ("right", "right", "z.3f"),
    ("by chance", "right_chance", "z.3f"),
    ("a sample", "right_sample", "z.3f"),
    ("wrong", "wrong", "z.3f"),
    ("by chance", "wrong_chance", "z.3f"),
    ("a sample", "wrong_sample", "z.3f"),
    ("classes", "wrong_classes", "z.0f"),
)
"""Title, field and format of each column, for `console.print_records`."""


def print_epoch_tables(out: Path, runs: Sequence[str]) -> None:
    """Print the tables of all epochs of runs."""
    from dsi_cli.queries import epoch_summary, typicality

    for run in runs:
        epochs = epoch_summary.epoch_summaries(out, run)
        measure = next((row.measure for row in epochs if row.measure), "")
        columns = [(title.format(measure=measure), field, form) for title, field, form in EPOCHS]
        _print_table(f"{run}: SAI excess: 0 is chance, 1 is perfect; z counts deviations above chance", epochs, columns)
        for split, mistakes in epoch_summary.mistake_summaries(out, run).items():
            title = f"{run}: mistakes on {split}: NIDM and WIDM of mistakes, which is 1 at most"
            _print_table(title, mistakes, MISTAKES)
        for split, rows in typicality.typicality_summary(out, run).items():
            _print_table(f"{run}: cosine with the class template on {split}", rows, TYPICALITY)


def _print_table(
    title: str, rows: Sequence[EpochSummary | MistakeSummary | TypicalitySummary], columns: Sequence[tuple[str, str, str]]
) -> None:
    """Print a table unless it has epochs only; a checkpoint without an epoch number has a dash."""
    records = [asdict(row) | {"epoch": "-" if row.epoch is None else row.epoch} for row in rows]
    if any(record[field] is not None for record in records for _, field, _ in columns[1:]):
        print()
        console.print_sentence(title, 0, 2)
        console.print_records(columns, records)
