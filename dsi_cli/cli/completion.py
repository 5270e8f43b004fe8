"""The values that the shell proposes: names that dsi knows, and names in a results folder. The shell completes paths itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from dsi_cli.analysis.option_groups.declaration import Choices
from dsi_cli.errors import DsiError

Complete = Callable[..., list[str]]
"""Takes the beginning of a value, after Typer's context if it has such a parameter, and returns the values that begin with it."""


def complete_from(names: Choices) -> Complete:
    """Return a function that completes names; a function that returns the names is called when the shell asks."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(names() if callable(names) else names, incomplete)

    return complete


def figures(incomplete: str) -> list[str]:
    """Return the names of the figures and of the animation."""
    from dsi_cli.figures.catalogue import FIGURES, MOVING

    return _beginning([figure.name for figure in (*FIGURES, MOVING)], incomplete)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the runs of the results folders on the line."""
    names = [name for out in _outputs(context) for name in _column(out / "checkpoints.parquet", "run")]
    return _beginning(dict.fromkeys(names), incomplete)


def epochs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the epochs that have a matrix, in the run on the line or in all runs."""
    from dsi_cli.store.layout import folder_name

    run = context.params.get("run")
    epochs = set()
    for out in _outputs(context):
        folder = out / "csms" / folder_name(run) if isinstance(run, str) else out / "csms"
        epochs |= {path.stem for path in folder.glob("**/*.parquet") if path.stem.isdecimal()}
    return _beginning(sorted(epochs, key=int), incomplete)


def classes(context: typer.Context, incomplete: str) -> list[str]:
    """Return the class names in the results folders on the line."""
    names = [name for out in _outputs(context) for name in _column(out / "classes.parquet", "name")]
    return _beginning(dict.fromkeys(names), incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _outputs(context: typer.Context) -> list[Path]:
    """Return the results folders on the line."""
    typed: Any = context.params.get("output") or context.params.get("outputs") or context.args
    if not isinstance(typed, list | tuple):
        typed = [typed]
    return [Path(path) for path in typed]


def _column(table: Path, column: str) -> list[str]:
    """Return the texts in a column of a table; none if it cannot be read, because the shell shows no message."""
    from dsi_cli.store import parquet

    with suppress(DsiError, OSError, KeyError):
        return [text for text in parquet.read(table).column(column).to_pylist() if text]
    return []
