"""Export one matrix or table as Parquet, CSV or NPY, to a file or an open stream."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dsi_cli.errors import UsageError, require_choice
from dsi_cli.store import atomic_write, spreadsheet

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

TABLES = (
    *("curves", "phases", "checkpoints", "classes", "alignment_by_class"),
    *("geometry", "spectrum", "typicality", "typicality_histogram"),
)
CONFUSION_KINDS = ("confusion", "confusion_normalised")
"""The kinds of matrices that are no similarities: the counts of predictions by class,
and their shares of the samples of the true class.
"""
MAX_SELECTED_CLASSES = 10_000_000
FORMATS = ("parquet", "csv", "npy")


def export_frame(
    results: Results,
    table: str | None = None,
    *,
    ranked: bool = False,
    **selection: Any,
) -> pd.DataFrame:
    """Return a table, or without the name of a table a matrix, or its SoCSM if
    ``ranked``.

    The selection has the parameters of `Results.csm`. Raise `UsageError` if the table
    or matrix does not exist, or parameters contradict each other.
    """
    if table is None:
        if selection.get("kind") in CONFUSION_KINDS:
            return _confusion(results, ranked=ranked, **selection)
        if not ranked:
            return results.csm(**selection)
        if selection.pop("classes", None) is not None:
            message = "--sorted ranks all classes of a row"
            raise UsageError(
                message,
                hint="leave out --classes; --rows selects rows",
                code="sorted-with-classes",
            )
        return results.sorted(**selection)
    require_choice("table", table, TABLES)
    run = selection.pop("run", None)
    given = [
        f"--{name}"
        for name, value in selection.items()
        if value is not None and (name, value) != ("kind", "ncsm")
    ]
    given += ["--sorted"] * ranked
    if given:
        message = f"--table {table} writes all rows and columns of the table"
        raise UsageError(
            message,
            hint=f"leave out {', '.join(given)}",
            code="options-conflict",
            options=tuple(given),
        )
    return getattr(results if run is None else results[run], table)


def _confusion(
    results: Results,
    kind: str,
    *,
    ranked: bool,
    reference: str | None = None,
    split: str | None = None,
    **selection: Any,
) -> pd.DataFrame:
    """Return confusion counts or shares; raise `UsageError` for options of other
    matrices.
    """
    given = ["--sorted"] * ranked + ["--reference"] * (reference is not None)
    if given:
        message = f"--kind {kind} takes no {' and no '.join(given)}"
        raise UsageError(
            message,
            hint="the CCSM has ranks: --kind ccsm",
            code="options-conflict",
            options=tuple(given),
        )
    normalised = kind == "confusion_normalised"
    return results.confusion(split=split or "test", normalised=normalised, **selection)


def parse_classes(text: str | None, option: str) -> list[int | str] | None:
    """Return the indices of a range like ``0:100``, without its end, or the names and
    indices of a list like ``cat,dog,17``.

    None, for all classes, is returned.

    >>> parse_classes("2:5", "--rows"), parse_classes("cat, 17", "--rows")
    ([2, 3, 4], ['cat', 17])

    Raise `UsageError` if the text contains no class (code ``no-classes``), or too many
    (code ``too-many-classes``).
    """
    if text is None:
        return None
    classes: list[int | str] = []
    if span := re.fullmatch(r"\s*(\d{1,9}):(\d{1,9})\s*", text):
        start, stop = int(span[1]), int(span[2])
        if stop - start > MAX_SELECTED_CLASSES:
            message = f"{option} {text}: more classes than any classifier has"
            raise UsageError(message, code="too-many-classes", option=option)
        classes.extend(range(start, stop))
    else:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        classes.extend(
            int(part) if part.isdecimal() and len(part) < 10 else part for part in parts
        )
    if not classes:
        message = f"{option} {text!r} contains no class"
        raise UsageError(
            message,
            hint="write for example 0:100 or cat,dog",
            code="no-classes",
            option=option,
        )
    return classes


def export_format(target: str, asked: str | None) -> str:
    """Return the format: that asked for, or the suffix of the file's name, or ``csv``;
    raise `UsageError` for others.
    """
    if asked is not None:
        require_choice("format", asked, FORMATS, "cannot export as")
    elif target:
        atomic_write.require_suffix(
            target,
            [f".{name}" for name in FORMATS],
            "the format is that of the file's name",
        )
    return asked or Path(target).suffix.lstrip(".").lower() or "csv"


def require_matrix(kind: str, *, is_matrix: bool) -> None:
    """Raise a `UsageError` for a table in the format NPY."""
    if kind == "npy" and not is_matrix:
        raise UsageError(
            "NPY holds matrices: export a table as parquet or csv",
            code="npy-of-a-table",
        )


def write_stream(
    frame: pd.DataFrame,
    stream: IO[bytes],
    kind: str,
    *,
    is_matrix: bool,
    show: Callable[[str], str] = str,
    float_format: str | None = None,
) -> None:
    """Write a frame to an open stream; the first column ``class`` of a matrix holds its
    class names.

    Raise `UsageError` if the frame is a table and the format NPY (code
    ``npy-of-a-table``).

    Parameters
    ----------
    frame : the matrix or table.
    stream : the open stream.
    kind : the format: parquet, csv or npy.
    is_matrix : whether the frame is a matrix.
    show : changes each text of a CSV file, for example for a terminal.
    float_format : the format of the floats of a CSV file; by default all digits.
    """
    require_matrix(kind, is_matrix=is_matrix)
    if kind == "npy":
        np.save(stream, frame.to_numpy(), allow_pickle=False)
        return
    import pandas as pd

    if is_matrix:
        # The class names become the first column. Repeated column names get a number.
        names = pd.Series([str(column) for column in frame.columns])
        numbers = names.groupby(names).cumcount() + 1
        index = [str(name) for name in frame.index]
        frame = frame.set_axis(
            names.where(numbers == 1, names + " (" + numbers.astype(str) + ")"), axis=1
        )
        frame.insert(0, "class", index, allow_duplicates=True)
    if kind == "parquet":
        frame.to_parquet(stream, index=False, compression="zstd")
        return

    # Write lists as JSON, because NumPy's text of them lacks commas and contains line
    # breaks.
    def cell(value: object) -> object:
        if isinstance(value, np.ndarray):
            value = json.dumps(value.tolist(), ensure_ascii=False)
        return show(spreadsheet.cell_text(value)) if isinstance(value, str) else value

    is_text = [not pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    texts = frame.assign(
        **{name: frame[name].map(cell) for name in frame.columns[is_text]}
    )
    header = [show(spreadsheet.cell_text(str(name))) for name in frame.columns]
    texts.to_csv(
        stream,
        index=False,
        header=header,
        lineterminator="\n",
        float_format=float_format,
    )


def write_file(frame: pd.DataFrame, path: Path, kind: str, *, is_matrix: bool) -> None:
    """Write a frame to a file atomically.

    Raise `UsageError` if the frame is a table and the format NPY (code
    ``npy-of-a-table``). Raise `OutputError` if the file cannot be written.
    """
    buffer = io.BytesIO()
    write_stream(frame, buffer, kind, is_matrix=is_matrix)
    atomic_write.write_atomically(path, buffer.getbuffer(), make_folder=False)
