"""Parquet and CSV files with one row per sample, and columns with the names in
`COLUMNS`.

Other columns are ignored. The columns ``epoch`` and ``run`` assign rows to an epoch and
a run. Within an epoch, rows have the order of the column ``sample``, or without it in
the order of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, first_line
from dsi_cli.predictions import matrix_tables
from dsi_cli.predictions.epoch_predictions import (
    PREDICTION,
    TARGET,
    EncodedLabels,
    EpochPredictions,
    names_by_role,
)
from dsi_cli.predictions.numpy_files import FindTargets

COLUMNS = {
    "epoch": ("epoch",),
    "target": TARGET,
    "prediction": PREDICTION,
    "run": ("run",),
    "sample": (),
    "path": (),
    "score": (),
}
"""The columns that are read, with their further names (`names_by_role`)."""
CSV = ".csv"
TEXT = ".txt"  # the suffix of files with one target per line
EXPECTED = (
    "the columns target and prediction (also read: epoch, sample, path, score, run;"
    " y_true and y_pred)"
)
_NUMBERS = ("epoch", "sample", "score")

Columns = dict[str, Any]  # Arrow's chunked arrays by column name


def read_epochs(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the predictions in a table by run and epoch, in the order of both, or
    those in a CSV file with an array.

    Raise `UsageError` if the file cannot be read, has no rows, lacks a column, or has a
    missing or wrong value. The parameters are those of `matrix_tables.read_epochs`.
    """
    columns: Columns = {}
    error: UsageError | None = None
    try:
        columns = _read_columns(path, "prediction", EXPECTED)
    except UsageError as caught:
        if caught.code not in ("missing-column", "table-not-readable"):
            raise
        error = caught
    # A file without a table may hold an array; pandas.crosstab calls the rows of a
    # matrix "Predicted".
    if path.suffix.lower() == CSV and {*columns} <= {"prediction"}:
        parts = matrix_tables.read_epochs(path, axis, find_targets)
        if parts is not None:
            return parts
    if error is not None:
        raise error
    return _epochs_of_columns(columns, path)


def _epochs_of_columns(columns: Columns, path: Path) -> list[EpochPredictions]:
    """Return the predictions in the columns of a table by run and epoch; raise
    `UsageError` as `read_epochs` does.
    """
    # Convert the columns with one value per sample; the names are those in
    # `EpochPredictions`.
    fields: dict[str, Any] = {
        "predictions": _labels(columns["prediction"], "prediction", path)
    }
    if "target" in columns:
        fields["targets"] = _labels(columns["target"], "target", path)
    if "sample" in columns:
        fields["samples"] = _whole_numbers(columns, "sample", path)
    if "score" in columns:
        fields["scores"] = _convert(
            columns["score"], "float64", "score", path
        ).to_numpy()
    if "path" in columns:
        texts = _texts(_convert(columns["path"], "string", "path", path), "path", path)
        fields["paths"] = np.array(texts, dtype=object)
    epochs, runs = _whole_numbers(columns, "epoch", path), None
    if "run" in columns:
        runs = _labels(_convert(columns["run"], "string", "run", path), "run", path)

    # Sort the rows by run, epoch and sample, and select those of each run and epoch.
    keys = [
        key for key in (epochs, None if runs is None else runs.codes) if key is not None
    ]
    size = len(fields["predictions"])
    order = np.lexsort([fields.get("samples", np.arange(size)), *keys])
    is_first = np.zeros(size, dtype=bool)
    for key in keys:
        is_first[1:] |= key[order][1:] != key[order][:-1]
    parts = []
    for rows in np.split(order, np.flatnonzero(is_first)):
        epoch = None if epochs is None else int(epochs[rows[0]])
        location = str(path) if epoch is None else f"{path}, epoch {epoch}"
        run = (
            runs.names[runs.codes[rows[0]]]
            if runs is not None and runs.names is not None
            else None
        )
        selected = {name: values[rows] for name, values in fields.items()}
        _require_distinct(selected, rows, location, epoch)
        if "paths" in selected:
            selected["paths"] = selected["paths"].tolist()
        parts.append(EpochPredictions(location, epoch, run, rows=rows, **selected))
    return parts


def _require_distinct(
    fields: dict[str, Any], rows: NDArray[np.intp], location: str, epoch: int | None
) -> None:
    """Raise `UsageError` if an epoch has a sample twice, or without sample numbers the
    same targets in several parts of a file.
    """
    if "samples" in fields:
        samples = fields["samples"]
        is_repeated = samples[1:] == samples[:-1]  # samples are sorted
        if is_repeated.any():
            sample = samples[1:][is_repeated][0]
            remedy = (
                "add a column 'epoch'"
                if epoch is None
                else "keep one row per sample, or add a column 'run'"
            )
            message = (
                f"{location}: expected each sample once, found sample {sample} twice;"
                f" {remedy}"
            )
            raise UsageError(message, code="repeated-sample", sample=int(sample))
    elif "targets" in fields:
        # A later training that was appended to the file has the same targets, apart
        # from the rows of the first one.
        first, *others = np.split(
            fields["targets"].codes, np.flatnonzero(np.diff(rows) > 1) + 1
        )
        if (
            others
            and len(first) > 1
            and all(np.array_equal(first, other) for other in others)
        ):
            message = (
                f"{location}: expected the epoch once, found it {len(others) + 1} times"
                " with the same targets; keep the "
            )
            message += "rows of one run, or add a column 'run'"
            raise UsageError(message, code="repeated-epoch", epoch=epoch)


def read_targets(path: Path) -> EncodedLabels:
    """Return the column ``target``, in the order of the column ``sample`` if there is
    one, or the lines of a text file.

    Raise `UsageError` as for `read_epochs`.
    """
    if path.suffix.lower() == TEXT:
        try:
            lines = [
                line.strip()
                for line in path.read_text(encoding="utf-8-sig").strip().splitlines()
            ]
        except (OSError, UnicodeError) as error:
            message = (
                f"{path}: expected a target per line in UTF-8, found"
                f" {first_line(error)}"
            )
            raise UsageError(
                message, hint="write it again", code="table-not-readable"
            ) from None
        code_of = {label: code for code, label in enumerate(dict.fromkeys(lines))}
        return EncodedLabels(
            np.array([code_of[line] for line in lines], dtype=np.int64), tuple(code_of)
        )
    columns = _read_columns(
        path, "target", "the column target (also read: sample, path)"
    )
    targets, samples = (
        _labels(columns["target"], "target", path),
        _whole_numbers(columns, "sample", path),
    )
    order = np.argsort(
        np.arange(len(targets)) if samples is None else samples, kind="stable"
    )
    texts = (
        _texts(_convert(columns["path"], "string", "path", path), "path", path)
        if "path" in columns
        else None
    )
    paths = None if texts is None else [texts[row] for row in order]
    return EncodedLabels(
        targets.codes[order],
        targets.names,
        None if samples is None else samples[order],
        paths,
    )


def _read_columns(path: Path, required: str, expected: str) -> Columns:
    """Return the known columns of a file, one of which is required."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    is_parquet = path.suffix.lower() == ".parquet"
    try:
        with path.open("rb") as stream:
            schema = (
                parquet.read_schema(stream)
                if is_parquet
                else csv.open_csv(stream).schema
            )
        names = _known_columns(schema.names, path, required, expected)
        with path.open("rb") as stream:
            if is_parquet:
                table = parquet.ParquetFile(stream).read(columns=[*names.values()])
            else:
                # Labels in a CSV file are text, because a class may have the name 7.
                types = {
                    name: pa.float64() if role in _NUMBERS else pa.string()
                    for role, name in names.items()
                }
                options = csv.ConvertOptions(
                    include_columns=[*types], column_types=types
                )
                table = csv.read_csv(stream, convert_options=options)
        columns: Columns = {role: table.column(name) for role, name in names.items()}
    except (pa.ArrowException, OSError, UnicodeError) as error:
        message = f"{path}: expected a table with {expected}, found {first_line(error)}"
        raise UsageError(
            message, hint="write it again", code="table-not-readable"
        ) from None
    if not len(columns[required]):
        raise UsageError(
            f"{path}: expected {expected}; found no rows",
            hint="give a table with rows",
            code="empty-table",
        )
    return columns


def _known_columns(
    names: list[str], path: Path, required: str, expected: str
) -> dict[str, str]:
    """Return the name of each column that is read; raise `UsageError` if it is repeated
    or the required one is missing.
    """
    known = names_by_role(names, COLUMNS)
    if any(names.count(name) > 1 for name in known.values()):
        message = f"{path}: expected each column once, found {', '.join(names[:12])}"
        raise UsageError(message, hint="rename the others", code="repeated-column")
    if (
        "count" in names and required in known
    ):  # a row for several samples would be read as one sample
        message = f"{path}: expected one row per sample, found a column 'count'"
        raise UsageError(
            message, hint="give confusion counts in an NPZ file", code="count-column"
        )
    if required not in known:
        listed = ", ".join(ascii(name[:40]) for name in names[:12])
        remedy = "name the columns so"
        if len(names) == 1 and {*names[0]} & {*";\t|"}:
            remedy = "separate the columns by commas"
        elif not known and len(names) > 2:
            remedy += (
                "; if this is a confusion matrix, write its counts alone, with"
                " numpy.savetxt for example"
            )
        elif len(names) > 3:
            remedy += "; if these are scores, write their argmax over the classes"
        raise UsageError(
            f"{path}: expected {expected}; found {listed}; {remedy}",
            code="missing-column",
            column=required,
        )
    return known


def _labels(column: Any, name: str, path: Path) -> EncodedLabels:
    """Return a column of numbers or text; raise `UsageError` if a value is missing."""
    import pyarrow as pa

    if column.null_count:
        message = (
            f"{path}: expected a value in each row of the column {name}, found"
            f" {column.null_count:,} rows without "
        )
        message += "one; fill them in"
        raise UsageError(
            message, code="missing-value", column=name, rows=column.null_count
        )
    kind = (
        column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    )
    if str(kind) not in ("string", "large_string", "string_view"):
        return EncodedLabels(_convert(column, "int64", name, path).to_numpy())
    text = (
        _convert(column, "string", name, path)
        .dictionary_encode()
        .unify_dictionaries()
        .combine_chunks()
    )
    return EncodedLabels(
        text.indices.to_numpy(), tuple(_texts(text.dictionary, name, path))
    )


def _texts(column: Any, name: str, path: Path) -> list[Any]:
    """Return a column of text as Python strings, with None for a missing value."""
    try:
        texts: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        message = f"{path}: expected UTF-8 in the column {name}, found other bytes"
        raise UsageError(
            message, hint="write it again", code="not-utf8", column=name
        ) from None
    return texts


def _whole_numbers(columns: Columns, name: str, path: Path) -> NDArray[np.int64] | None:
    """Return a column of whole numbers, or None without the column."""
    if name not in columns:
        return None
    return _labels(
        _convert(columns[name], "int64", name, path), name, path
    ).codes.astype(np.int64)


def _convert(column: Any, kind: str, name: str, path: Path) -> Any:
    """Return a column as another Arrow type; raise `UsageError` if a value does not
    fit.
    """
    import pyarrow as pa

    try:
        if pa.types.is_boolean(
            column.type
        ):  # whether a prediction is right would be read as the classes 0 and 1
            raise pa.ArrowInvalid("bool")
        return column.cast(kind)
    except (pa.ArrowException, UnicodeError) as error:
        message = (
            f"{path}: expected {kind} in the column {name}, found {first_line(error)}"
        )
        raise UsageError(
            message, hint="correct it", code="column-type", column=name, type=kind
        ) from None
