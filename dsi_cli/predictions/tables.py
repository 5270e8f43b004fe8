"""Parquet and CSV files with one row per sample: the columns in `COLUMNS`, by exactly these names.

Rows belong to the epoch (and the run) in their columns. Within an epoch they are in the order of ``sample`` if there is such a
column, else in the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions.classes import EncodedLabels
from dsi_cli.predictions.epoch_predictions import EpochPredictions

COLUMNS = ("epoch", "target", "prediction", "sample", "path", "score", "run")
"""The columns that are read; others are ignored."""
EXPECTED = "the columns epoch, target and prediction (also read: sample, path, score, run)"
_NUMBERS = ("epoch", "sample", "score")

Columns = dict[str, Any]
"""Arrow's chunked arrays by the name of the column."""


def read_epochs(path: Path) -> list[EpochPredictions]:
    """Return what a table holds, a part for each run and epoch, in the order of both.

    Raises
    ------
    UsageError
        The file cannot be read, a column is missing, there are no rows, or a value is missing or of the wrong type.
    """
    columns = _columns(path, "prediction", EXPECTED)
    predictions = _labels(columns, "prediction", path)
    targets = _labels(columns, "target", path) if "target" in columns else None
    samples, epochs = _whole(columns, "sample", path), _whole(columns, "epoch", path)
    runs = _labels({"run": _converted(columns["run"], "string", "run", path)}, "run", path) if "run" in columns else None
    scores = _converted(columns["score"], "float64", "score", path).to_numpy() if "score" in columns else None
    paths = _texts(_converted(columns["path"], "string", "path", path), "path", path) if "path" in columns else None
    found = []
    for rows in _groups(len(predictions), runs, epochs, samples):
        epoch = None if epochs is None else int(epochs[rows[0]])
        where = str(path) if epoch is None else f"{path}, epoch {epoch}"
        own = None if samples is None else samples[rows]
        if own is not None and (own[1:] == own[:-1]).any():
            twice = own[1:][own[1:] == own[:-1]][0]
            remedy = "add a column 'epoch'" if epoch is None else "keep one row per sample, or add a column 'run'"
            raise UsageError(f"{where}: expected each sample once, found sample {twice} twice; {remedy}")
        found.append(
            EpochPredictions(
                where,
                epoch,
                None if runs is None or runs.names is None else runs.names[runs.codes[rows[0]]],
                predictions[rows],
                None if targets is None else targets[rows],
                None if scores is None else scores[rows],
                own,
                None if paths is None else [paths[row] for row in rows],
                rows,
            )
        )
    return found


def read_targets(path: Path) -> EncodedLabels:
    """Return the column ``target``, in the order of the column ``sample`` if there is one.

    Raises
    ------
    UsageError
        The file cannot be read, the column is missing, there are no rows, or a value is missing or of the wrong type.
    """
    columns = _columns(path, "target", "the column target (also read: sample)")
    targets, samples = _labels(columns, "target", path), _whole(columns, "sample", path)
    return targets if samples is None else targets[np.argsort(samples, kind="stable")]


def _columns(path: Path, required: str, expected: str) -> Columns:
    """Return the columns of a file that are known; one of them is required."""
    import pyarrow as pa

    try:
        names, columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UsageError(f"{path}: expected a table with {expected}, found {_line(error)}; write it again") from None
    if "count" in names:  # a row for several samples would be read as one sample
        raise UsageError(
            f"{path}: expected one row per sample, found a column 'count'; give confusion counts in an NPZ file"
        )
    if required not in columns or not len(columns[required]):
        what = f"{', '.join(ascii(name[:40]) for name in names[:12])}" if required not in columns else "no rows"
        raise UsageError(f"{path}: expected {expected}; found {what}; name the columns so")
    return columns


def _read_parquet(path: Path) -> tuple[list[str], Columns]:
    import pyarrow.parquet as pq

    with path.open("rb") as stream, pq.ParquetFile(stream) as file:
        names: list[str] = file.schema_arrow.names
        table = file.read(columns=_known(names, path))
    return names, {name: table.column(name) for name in table.column_names}


def _read_csv(path: Path) -> tuple[list[str], Columns]:
    """Return all names, and the columns that are known: labels as text, since a class may be called 7."""
    import pyarrow as pa
    from pyarrow import csv

    with path.open("rb") as stream, csv.open_csv(stream) as reader:
        names: list[str] = reader.schema.names
    known = _known(names, path)
    kinds = {name: pa.float64() if name in _NUMBERS else pa.string() for name in known}
    if not known:
        return names, {}
    with path.open("rb") as stream:
        table = csv.read_csv(stream, convert_options=csv.ConvertOptions(include_columns=known, column_types=kinds))
    return names, {name: table.column(name) for name in known}


def _known(names: list[str], path: Path) -> list[str]:
    known = [name for name in names if name in COLUMNS]
    if len(known) > len({*known}):
        raise UsageError(f"{path}: expected each column once, found {', '.join(known)}; rename the others")
    return known


def _labels(columns: Columns, name: str, path: Path) -> EncodedLabels:
    """Return a column of numbers or text in which no value is missing."""
    import pyarrow as pa

    column = columns[name]
    if column.null_count:
        raise UsageError(
            f"{path}: expected a value in each row of the column {name}, found {column.null_count:,} rows without one; fill them in"
        )
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if str(kind) not in ("string", "large_string", "string_view"):
        return EncodedLabels(_converted(column, "int64", name, path).to_numpy())
    text = _converted(column, "string", name, path).dictionary_encode().unify_dictionaries().combine_chunks()
    return EncodedLabels(text.indices.to_numpy(), tuple(_texts(text.dictionary, name, path)))


def _texts(column: Any, name: str, path: Path) -> list[Any]:
    """Return a column of text as Python strings, with None for a missing value."""
    try:
        texts: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: expected UTF-8 in the column {name}, found other bytes; write it again") from None
    return texts


def _whole(columns: Columns, name: str, path: Path) -> NDArray[np.int64] | None:
    """Return a column of whole numbers, None if there is none."""
    if name not in columns:
        return None
    numbers = _converted(columns[name], "int64", name, path)
    found: NDArray[np.int64] = _labels({name: numbers}, name, path).codes.astype(np.int64)
    return found


def _converted(column: Any, kind: str, name: str, path: Path) -> Any:
    """Return a column as another type of Arrow's; values that it cannot hold are an error."""
    import pyarrow as pa

    try:
        return column.cast(kind)
    except (pa.ArrowException, UnicodeError) as error:
        raise UsageError(f"{path}: expected {kind} in the column {name}, found {_line(error)}; correct it") from None


def _groups(
    size: int, runs: EncodedLabels | None, epochs: NDArray[np.int64] | None, samples: NDArray[np.int64] | None
) -> Iterator[NDArray[np.intp]]:
    """Yield the rows of each run and epoch, ordered by sample."""
    keys = [key for key in (epochs, None if runs is None else runs.codes) if key is not None]
    order = np.lexsort([np.arange(size) if samples is None else samples, *keys])
    is_first = np.zeros(size, dtype=bool)
    for key in keys:
        is_first[1:] |= key[order][1:] != key[order][:-1]
    yield from np.split(order, np.flatnonzero(is_first))


def _line(error: Exception) -> str:
    return ascii((str(error).splitlines() or [type(error).__name__])[0])[1:-1][:200]
