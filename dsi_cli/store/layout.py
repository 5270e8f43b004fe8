"""The layout of a results folder: where each table is, and which files an earlier call left."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import parquet
from dsi_cli.store.schema import CHECKPOINTS, CSMS, CURVES, HEADS, NEIGHBORS, REFERENCES, TABLES, Table

_log = logging.getLogger(__name__)

DEFAULT = "dsi-out"
REPORT = "report.html"
EVENTS = "events.out.tfevents.0.dsi."
"""How the names of the event files begin that dsi writes for TensorBoard: they are no training's log."""
WEIGHT = "weight"
"""The folder of a run's classifiers, as a kind of matrix is that of its matrices."""
OUR_NAMES = frozenset({".lock", ".tmp", REPORT, *(table.path for table in TABLES)})
"""What an output holds; a folder with anything else and no tables is somebody's own."""


def csm_path(out: Path, run: str, kind: str, split: str | None, epoch: int | None, step: int | None = None) -> Path:
    """Return where a matrix lies; ``step`` only for an earlier save of an epoch that has several."""
    return _of_epoch(out, CSMS, run, f"{kind}-{split}" if split else kind, epoch, step)


def neighbors_path(out: Path, run: str, kind: str, epoch: int | None, step: int | None = None) -> Path:
    """Return where the nearest classes lie that stand for a matrix too large to be stored; ``step`` as for `csm_path`."""
    return _of_epoch(out, NEIGHBORS, run, kind, epoch, step)


def head_path(out: Path, run: str, epoch: int | None, step: int | None = None) -> Path:
    """Return where the classifier lies from which any part of such a matrix is made; ``step`` as for `csm_path`."""
    return _of_epoch(out, HEADS, run, WEIGHT, epoch, step)


def split_path(out: Path, table: Table, run: str, split: str, epoch: int | None, step: int | None = None) -> Path:
    """Return where the confusion counts or the predictions of a split lie; ``step`` as for `csm_path`."""
    return _of_epoch(out, table, run, split, epoch, step)


def _of_epoch(out: Path, table: Table, run: str, part: str, epoch: int | None, step: int | None) -> Path:
    # A run has at most one checkpoint without an epoch, and then no other: its files are named as if it were epoch 0.
    name = f"{epoch or 0}.parquet" if step is None else f"{epoch or 0}-{step}.parquet"
    return out / table.path / folder_name(run) / part / name


def reference_path(out: Path, reference: str, labels_id: str) -> Path:
    """Return where a reference matrix lies."""
    return out / REFERENCES.path / f"{reference}-{labels_id}.parquet"


def references_of(out: Path, run: str) -> list[str]:
    """Return the names of the references that a run was compared with, the main one first."""
    return reference_names(earlier_options(out, CURVES).get("shaping", {}).get(run, {}))


def reference_names(shaping: Mapping[str, Any]) -> list[str]:
    """Return the names of the references among the options that shaped a run's curves, the main one first.

    An output of a dsi that knew one reference alone has it under ``reference``.
    """
    if "references" in shaping:
        return [str(one["reference"]) for one in shaping["references"]]
    return [str(shaping["reference"])] if "reference" in shaping else []


def table_path(out: Path, table: Table) -> Path:
    """Return where one of the tables at the top lies."""
    return out / table.path


def report_path(out: Path) -> Path:
    """Return where the HTML report lies."""
    return out / REPORT


def event_file(key: str) -> str:
    """Return the name of the event file that dsi writes of a run."""
    return f"{EVENTS}{key}"


def folder_name(run: str) -> str:
    """Return a run's name as a relative path that every Parquet reader takes: no ``key=value``, nothing hidden.

    >>> folder_name("sweep/lr=0.1"), folder_name(".hidden")
    ('sweep/lr%3D0.1', '%2Ehidden')
    """
    return "/".join(_part(part) for part in run.split("/") if part)


def _part(part: str) -> str:
    safe = "".join(f"%{ord(c):02X}" if c in "=%\\" or ord(c) < 32 or ord(c) == 127 else c for c in part)
    return f"%{ord(safe[0]):02X}{safe[1:]}" if safe[0] in "._" else safe


def temporary_folder(out: Path) -> Path:
    """Return the folder for files that are not whole yet."""
    return out / ".tmp"


def is_output(out: Path) -> bool:
    """Return whether a folder holds the tables of an earlier call."""
    return table_path(out, CHECKPOINTS).is_file()


def require_output(out: Path) -> None:
    """Make sure that a folder can be read as an output.

    Raises
    ------
    UsageError
        It is not there, or holds no tables.
    """
    if not out.is_dir():
        raise UsageError(f"no output folder {out}: run `dsi analyze CHECKPOINTS -o {out}` first")
    if not is_output(out):
        raise UsageError(
            f"{out} holds no {CHECKPOINTS.path}: it is no output of dsi analyze; expected the folder that its -o named"
        )


def earlier_rows(out: Path, table: Table) -> list[dict[str, Any]]:
    """Return the rows that an earlier call left; none where there was none, or its table is damaged (it is made anew)."""
    try:
        rows: list[dict[str, Any]] = (
            parquet.read(table_path(out, table)).to_pylist() if table_path(out, table).is_file() else []
        )
    except OutputError:
        return []
    return rows


def earlier_options(out: Path, table: Table) -> dict[str, Any]:
    """Return the options that shaped the earlier table."""
    return parquet.options_of(table_path(out, table))


def files_of(out: Path, table: Table, run: str) -> dict[Path, dict[str, Any]]:
    """Return each per-checkpoint file of a run with the options in it; damaged ones have none and so are made again.

    Parameters
    ----------
    table : one that is a folder of a run's folders: the matrices, the confusion counts, the predictions
    """
    return {file: parquet.options_of(file) for file in paths_of(out, table, run)}


def paths_of(out: Path, table: Table, run: str) -> list[Path]:
    """Return the paths of `files_of` alone."""
    folder = out / table.path / folder_name(run)
    kinds = [kind for kind in sorted(folder.iterdir()) if kind.is_dir()] if folder.is_dir() else []
    return [file for kind in kinds for file in sorted(kind.glob("*.parquet"))]


def write_rows(out: Path, table: Table, rows: list[dict[str, Any]], options: Mapping[str, Any]) -> None:
    """Write one of the tables at the top, its rows sorted by run."""
    parts = parquet.by_run(parquet.from_rows(table, rows))
    parquet.write_blocks(parts, table_path(out, table), options, temporary_folder(out))


def remove(files: Iterable[Path]) -> None:
    """Remove files that nothing stands for any more."""
    for file in files:
        file.unlink(missing_ok=True)


def canonical_json(options: Mapping[str, Any]) -> str:
    """Return options as text that is equal exactly when they are."""
    return json.dumps(options, sort_keys=True)
