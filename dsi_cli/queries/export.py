"""One matrix or table, wide and named, as Parquet, CSV or NPY: to a file, or to an open stream."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dsi_cli.errors import UsageError, expected
from dsi_cli.store import atomic_write

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

TABLES = ("curves", "phases", "checkpoints", "classes", "alignment_by_class", "typicality", "typicality_histogram")
MOST_CHOSEN = 10_000_000
FORMATS = ("parquet", "csv", "npy")


def frame_of(
    run: Results,
    *,
    table: str | None,
    kind: str,
    epoch: int | None,
    split: str | None,
    name: str | None,
    ranked: bool,
    reference: str | None = None,
    rows: Sequence[int | str] | None = None,
    classes: Sequence[int | str] | None = None,
) -> pd.DataFrame:
    """Return what is to be exported.

    Parameters
    ----------
    table : one of `TABLES`, or None for a matrix
    kind, epoch, split, name, reference, rows, classes : of the matrix; see `dsi_cli.store.results.Results.csm`
    ranked : the SoCSM instead of the CSM

    Raises
    ------
    UsageError
        There is no such table or matrix, or what is asked for does not go together.
    """
    if table is None:
        if ranked and classes is not None:
            raise UsageError("--sorted ranks all classes of a row: leave out --classes; --rows chooses rows")
        if ranked:
            return run.sorted(kind, epoch, split, name, reference, rows)
        return run.csm(kind, epoch, split, name, reference=reference, rows=rows, classes=classes)
    if rows is not None or classes is not None:
        raise UsageError("--rows and --classes choose a part of a matrix: leave them out for a table")
    if table not in TABLES:
        raise UsageError(f"no table {table!r}: {expected(table, TABLES)}")
    frame: pd.DataFrame = getattr(run, table)
    return frame if name is None else frame[frame["run"] == name]


def chosen_table(text: str | None, option: str) -> list[int | str] | None:
    """Return the classes that ``0:100`` or ``cat,dog,17`` means: indices, the last not included, or names; None for all.

    >>> chosen_table("2:5", "--rows"), chosen_table("cat, 17", "--rows")
    ([2, 3, 4], ['cat', 17])

    Raises
    ------
    UsageError
        No class is named.
    """
    if text is None:
        return None
    span = re.fullmatch(r"\s*(\d{1,9}):(\d{1,9})\s*", text)
    if span is not None and int(span[2]) - int(span[1]) > MOST_CHOSEN:
        raise UsageError(f"{option} {text}: more classes than any classifier has")
    found: list[int | str] = list(range(int(span[1]), int(span[2]))) if span else []
    if span is None:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        found = [int(part) if part.isdecimal() and len(part) < 10 else part for part in parts]
    if not found:
        raise UsageError(f"{option} wants classes, for example 0:100 or cat,dog; {text!r} names none")
    return found


def format_of(target: str, asked: str | None) -> str:
    """Return the format: the one asked for, else the one that the file's name ends in; ``csv`` without either, as of stdout.

    Raises
    ------
    UsageError
        The format is not one of `FORMATS`.
    """
    if asked is not None and asked not in FORMATS:
        raise UsageError(f"cannot export as {asked!r}: {expected(asked, FORMATS)}")
    if asked is None and target:
        atomic_write.require_suffix(target, [f".{name}" for name in FORMATS], "the format is that of the file's name")
    return asked or Path(target).suffix.lstrip(".").lower() or "csv"


def require_matrix(kind: str, *, is_matrix: bool) -> None:
    """Raise `UsageError` for a table that is to be written as NPY."""
    if kind == "npy" and not is_matrix:
        raise UsageError("NPY holds matrices: export a table as parquet or csv")


def write(frame: pd.DataFrame, stream: IO[bytes], kind: str, *, is_matrix: bool) -> None:
    """Write a frame to an open stream; a matrix keeps its class names as a first column ``class``.

    Raises
    ------
    UsageError
        A table was asked for as NPY.
    """
    require_matrix(kind, is_matrix=is_matrix)
    _WRITERS[kind](frame, stream, is_matrix)


def write_file(frame: pd.DataFrame, path: Path, kind: str, *, is_matrix: bool) -> None:
    """Write a frame to a file in one step; errors as for `write`, and `OutputError`."""
    buffer = io.BytesIO()
    write(frame, buffer, kind, is_matrix=is_matrix)
    atomic_write.write_atomically(path, buffer.getbuffer(), make_folder=False)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a matrix with its names as a first column, and columns of one name told apart."""
    import pandas as pd

    wide = frame.copy()
    seen: dict[str, int] = {}
    columns = []
    for column in map(str, wide.columns):
        seen[column] = seen.get(column, 0) + 1
        columns.append(column if seen[column] == 1 else f"{column} ({seen[column]})")
    wide.columns = pd.Index(columns)
    wide.insert(0, "class", [str(name) for name in frame.index], allow_duplicates=True)
    return wide


def _parquet(frame: pd.DataFrame, stream: IO[bytes], is_matrix: bool) -> None:
    (_named(frame) if is_matrix else frame).to_parquet(stream, index=False, compression="zstd")


def _csv(frame: pd.DataFrame, stream: IO[bytes], is_matrix: bool) -> None:
    (_named(frame) if is_matrix else _flat(frame)).to_csv(stream, index=False, lineterminator="\n")


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with JSON in place of lists, which CSV has not: NumPy's own text of them lacks commas and breaks lines."""
    import numpy as np

    def cell(value: object) -> object:
        return json.dumps(value.tolist(), ensure_ascii=False) if isinstance(value, np.ndarray) else value

    flat = frame.copy()
    for name in frame.columns[[kind.kind == "O" for kind in frame.dtypes]]:
        flat[name] = frame[name].map(cell)
    return flat


def _npy(frame: pd.DataFrame, stream: IO[bytes], _is_matrix: bool) -> None:
    import numpy as np

    np.save(stream, frame.to_numpy(), allow_pickle=False)


_WRITERS: dict[str, Callable[[pd.DataFrame, IO[bytes], bool], None]] = {"parquet": _parquet, "csv": _csv, "npy": _npy}
