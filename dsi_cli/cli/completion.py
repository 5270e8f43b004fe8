"""What the shell proposes for a value: names that dsi knows, and what an output holds; paths are the shell's own business."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from dsi_cli.analysis.option_groups.declaration import Choices
from dsi_cli.errors import DsiError

KINDS = ("ncsm", "ncsm_centred", "ccsm", "tncsm", "scsm")
"""Of matrices."""
TABLES = ("curves", "phases", "checkpoints", "classes", "alignment_by_class", "typicality", "typicality_histogram")
"""At the top of an output."""
Complete = Callable[[str], list[str]]


def complete_from(names: Choices) -> Complete:
    """Return a function that completes names; a function that returns the names is called when the shell asks."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(names() if callable(names) else names, incomplete)

    return complete


def figures(incomplete: str) -> list[str]:
    """Return the figures, and the animation."""
    from dsi_cli.figures.catalogue import FIGURES
    from dsi_cli.figures.figure_options import ANIMATION

    return _beginning((*(one.name for one in FIGURES), ANIMATION), incomplete)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the runs of the output folders that were typed before."""
    found = [name for out in _outputs(context) for name in _of_column(out / "checkpoints.parquet", "run")]
    return _beginning(dict.fromkeys(found), incomplete)


def epochs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the epochs that have a matrix, of the run that was typed before or of all."""
    from dsi_cli.store.layout import folder_name

    run = context.params.get("run")
    found = set()
    for out in _outputs(context):
        folder = out / "csms" / folder_name(run) if isinstance(run, str) else out / "csms"
        found |= {path.stem for path in folder.glob("**/*.parquet") if path.stem.isdecimal()}
    return _beginning(sorted(found, key=int), incomplete)


def classes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the class names of the output folder that was typed before."""
    found = [name for out in _outputs(context) for name in _of_column(out / "classes.parquet", "name")]
    return _beginning(dict.fromkeys(found), incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _outputs(context: typer.Context) -> list[Path]:
    """Return the output folders among what was typed."""
    typed: Any = context.params.get("output") or context.params.get("outputs") or context.args
    return [Path(one) for one in (typed if isinstance(typed, list | tuple) else (typed,))]


def _of_column(table: Path, column: str) -> list[str]:
    """Return the text in a column of a table; nothing where it cannot be read: a completion has no place for a message."""
    from dsi_cli.store import parquet

    with suppress(DsiError, OSError, KeyError):
        return [text for text in parquet.read(table).column(column).to_pylist() if text]
    return []
