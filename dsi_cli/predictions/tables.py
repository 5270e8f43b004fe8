"""Parquet and CSV files with one row per sample, and columns with the names in
`COLUMNS`.

Other columns are ignored. The columns ``epoch``, ``run`` and ``split`` assign rows to
an epoch, a run and a split. Within an epoch, rows have the order of the column
``sample``, or without it in the order of the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, first_line, wrong
from dsi_cli.predictions import matrix_tables
from dsi_cli.predictions.arrays import FindTargets
from dsi_cli.predictions.epoch_predictions import (
    PREDICTION,
    TARGET,
    EncodedLabels,
    EpochPredictions,
    names_by_role,
)

COLUMNS = {
    "epoch": ("epoch",),
    "target": TARGET,
    "prediction": PREDICTION,
    "run": ("run",),
    "split": (),
    "sample": (),
    "path": (),
    "score": (),
}
"""The columns that are read, with their further names (`names_by_role`)."""
SPLIT_NAMES = {"train": "train", "training": "train"} | dict.fromkeys(
    ("test", "testing", "val", "valid", "validation"), "test"
)
"""The split of each value of the column ``split``, in any case."""
CSV = ".csv"
TEXT = ".txt"  # the suffix of files with one target per line
EXPECTED = (
    "the columns target and prediction (also read: epoch, sample, path, score, run,"
    " split; y_true and y_pred)"
)
_TYPES = {
    "epoch": "int64",
    "sample": "int64",
    "score": "float64",
    "path": "string",
    "run": "string",
    "split": "string",
}
"""The Arrow types of the columns other than labels, which are numbers or texts."""

Columns = dict[str, Any]  # Arrow's arrays by the names in `COLUMNS`


def read_epochs(
    path: Path, axis: str, find_targets: FindTargets
) -> list[EpochPredictions]:
    """Return the predictions in a table by split, run and epoch, in their order, or
    those in a CSV file with an array.

    Raise `UsageError` if the file cannot be read, has no rows, lacks a column, or has a
    missing or wrong value. The parameters are those of `matrix_tables.read_epochs`.
    """
    try:
        columns = _read_columns(path, "prediction", EXPECTED)
    except UsageError as error:
        # A file without a table may hold an array.
        if error.code not in ("missing-column", "table-not-readable"):
            raise
        parts = None
        if path.suffix.lower() == CSV:
            parts = matrix_tables.read_epochs(path, axis, find_targets)
        if parts is None:
            raise
        return parts
    # pandas.crosstab calls the rows of a matrix "Predicted".
    if path.suffix.lower() == CSV and set(columns) == {"prediction"}:
        parts = matrix_tables.read_epochs(path, axis, find_targets)
        if parts is not None:
            return parts
    return _split_by_epoch(columns, path)


def _split_by_epoch(columns: Columns, path: Path) -> list[EpochPredictions]:
    """Return the predictions in the columns of a table by split, run and epoch."""
    fields: dict[str, Any] = {}
    for role, name in (("prediction", "predictions"), ("target", "targets")):
        if role in columns:
            fields[name] = _labels(columns[role], role, path)
    for role, name in (("sample", "samples"), ("score", "scores")):
        if role in columns:
            fields[name] = columns[role].to_numpy()
    if "path" in columns:
        fields["paths"] = np.array(columns["path"].to_pylist(), dtype=object)

    # Sort the rows by split, run, epoch and sample, and select those of each epoch.
    size = len(fields["predictions"])
    samples = fields.get("samples", np.arange(size))
    epochs, runs, run_names = np.zeros(size, int), np.zeros(size, int), None
    if "epoch" in columns:
        epochs = columns["epoch"].to_numpy()
    if "run" in columns:
        encoded = _labels(columns["run"], "run", path)
        runs, run_names = encoded.codes, encoded.names
    is_train = np.zeros(size, bool)
    if "split" in columns:
        is_train = _splits(columns["split"], path) == "train"
    keys = (epochs, runs, is_train)
    order = np.lexsort([samples, *keys])
    is_new = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    parts = []
    for rows in np.split(order, np.flatnonzero(is_new) + 1):
        epoch, split, location = None, None, str(path)
        if "split" in columns:
            split = "train" if is_train[rows[0]] else "test"
            location += f", {split}"
        if "epoch" in columns:
            epoch = int(epochs[rows[0]])
            location += f", epoch {epoch}"
        run = run_names[runs[rows[0]]] if run_names else None
        selected = {name: values[rows] for name, values in fields.items()}
        _require_distinct(selected, rows, location, epoch)
        if "paths" in selected:
            selected["paths"] = selected["paths"].tolist()
        part = EpochPredictions(location, epoch, run, rows=rows, **selected)
        parts.append(replace(part, split=split))
    return parts


def _splits(column: Any, path: Path) -> NDArray[np.str_]:
    """Return the split of each row, test or train; raise `UsageError` if a row has
    another one, or if there are rows of two splits that are not training images.
    """
    encoded = _labels(column, "split", path)
    assert encoded.names is not None  # the column was converted to text
    words = [name.strip().lower() for name in encoded.names]
    for name, word in zip(encoded.names, words, strict=True):
        if word not in SPLIT_NAMES:
            raise wrong(
                path,
                "test or train in the column split",
                ascii(name[:40]),
                "rename it, or leave out these rows",
                code="unknown-split",
                split=name,
            )
    of_test = sorted({word for word in words if SPLIT_NAMES[word] == "test"})
    if len(of_test) > 1:
        raise wrong(
            path,
            "one split other than train",
            " and ".join(of_test),
            "keep the rows of one of them",
            code="several-test-splits",
            splits=of_test,
        )
    return np.array([SPLIT_NAMES[word] for word in words])[encoded.codes]


def _require_distinct(
    fields: dict[str, Any], rows: NDArray[np.intp], location: str, epoch: int | None
) -> None:
    """Raise `UsageError` if an epoch has a sample twice, or without sample numbers the
    same targets in several parts of a file.
    """
    if "samples" in fields:
        samples = fields["samples"]  # they are sorted
        repeated = samples[1:][samples[1:] == samples[:-1]]
        if not repeated.size:
            return
        remedy = "keep one row per sample, or add a column 'run'"
        if epoch is None:
            remedy = "add a column 'epoch'"
        raise wrong(
            location,
            "each sample once",
            f"sample {repeated[0]} twice",
            remedy,
            code="repeated-sample",
            sample=int(repeated[0]),
        )
    if "targets" not in fields:
        return
    # A later training that was appended to the file has the same targets, apart from
    # the rows of the first one.
    starts = np.flatnonzero(np.diff(rows) > 1) + 1
    first, *others = np.split(fields["targets"].codes, starts)
    if not others or len(first) < 2:
        return
    if all(np.array_equal(first, other) for other in others):
        raise wrong(
            location,
            "the epoch once",
            f"it {len(others) + 1} times with the same targets",
            "keep the rows of one run, or add a column 'run'",
            code="repeated-epoch",
            epoch=epoch,
        )


def read_targets(path: Path, split: str) -> EncodedLabels:
    """Return the column ``target``, in the order of the column ``sample`` if there is
    one, or the lines of a text file; only the rows of a split if it is a column.

    Raise `UsageError` as for `read_epochs`.
    """
    if path.suffix.lower() == TEXT:
        return _read_target_lines(path)
    columns = _read_columns(
        path, "target", "the column target (also read: sample, path, split)"
    )
    if "split" in columns:
        is_chosen = _splits(columns["split"], path) == split
        columns = {name: column.filter(is_chosen) for name, column in columns.items()}
    targets = _labels(columns["target"], "target", path)
    order, samples, paths = np.arange(len(targets)), None, None
    if "sample" in columns:
        numbers = columns["sample"].to_numpy()
        order = np.argsort(numbers, kind="stable")
        samples = numbers[order]
    if "path" in columns:
        paths = columns["path"].take(order).to_pylist()
    return EncodedLabels(targets.codes[order], targets.names, samples, paths)


def _read_target_lines(path: Path) -> EncodedLabels:
    import pyarrow as pa

    try:
        lines = path.read_text(encoding="utf-8-sig").strip().splitlines()
    except (OSError, UnicodeError) as error:
        raise wrong(
            path,
            "a target per line in UTF-8",
            first_line(error),
            "write it again",
            code="table-not-readable",
        ) from None
    return _labels(pa.chunked_array([[line.strip() for line in lines]]), "target", path)


def _read_columns(path: Path, required: str, expected: str) -> Columns:
    """Return the known columns of a file, one of which is required."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        with path.open("rb") as stream:
            if path.suffix.lower() == CSV:
                names = _known_columns(
                    csv.open_csv(stream).schema.names, path, required, expected
                )
                # Labels in a CSV file are text, because a class may have the name 7.
                types = dict.fromkeys(names.values(), pa.string())
                for role in ("epoch", "sample", "score"):
                    if role in names:
                        types[names[role]] = pa.float64()
                stream.seek(0)
                options = csv.ConvertOptions(
                    include_columns=list(types), column_types=types
                )
                table = csv.read_csv(stream, convert_options=options)
            else:
                file = parquet.ParquetFile(stream)
                names = _known_columns(
                    file.schema_arrow.names, path, required, expected
                )
                table = file.read(columns=list(names.values()))
            columns = {role: table.column(name) for role, name in names.items()}
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise wrong(
            path,
            f"a table with {expected}",
            first_line(error),
            "write it again",
            code="table-not-readable",
        ) from None
    if not table.num_rows:
        raise wrong(
            path, expected, "no rows", "give a table with rows", code="empty-table"
        )
    for role, kind in _TYPES.items():
        if role in columns:
            columns[role] = _convert(columns[role], kind, role, path)
    for role in ("epoch", "sample"):
        if role in columns:
            _require_values(columns[role], role, path)
    return columns


def _known_columns(
    names: list[str], path: Path, required: str, expected: str
) -> dict[str, str]:
    """Return the name of each column that is read; raise `UsageError` if it is repeated
    or the required one is missing.
    """
    known = names_by_role(names, COLUMNS)
    listed = ", ".join(ascii(name[:40]) for name in names[:12])
    if any(names.count(name) > 1 for name in known.values()):
        raise wrong(
            path,
            "each column once",
            listed,
            "rename the others",
            code="repeated-column",
        )
    # A row for several samples would be read as one sample.
    if "count" in names and required in known:
        raise wrong(
            path,
            "one row per sample",
            "a column 'count'",
            "give confusion counts in an NPZ file",
            code="count-column",
        )
    if required in known:
        return known
    remedy = "name the columns so, and separate them by commas"
    if len(names) > 2:
        remedy += (
            "; if this is a confusion matrix, write its counts alone (numpy.savetxt);"
            " if these are scores, write their argmax"
        )
    raise wrong(path, expected, listed, remedy, code="missing-column", column=required)


def _require_values(column: Any, name: str, path: Path) -> None:
    """Raise `UsageError` if a value is missing in a column."""
    if column.null_count:
        raise wrong(
            path,
            f"a value in each row of the column {name}",
            f"{column.null_count:,} rows without one",
            "fill them in",
            code="missing-value",
            column=name,
            rows=column.null_count,
        )


def _labels(column: Any, name: str, path: Path) -> EncodedLabels:
    """Return a column of numbers or text; raise `UsageError` if a value is missing."""
    import pyarrow as pa

    _require_values(column, name, path)
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if "string" not in str(kind):
        return EncodedLabels(_convert(column, "int64", name, path).to_numpy())
    text = _convert(column, "string", name, path).dictionary_encode()
    text = text.unify_dictionaries().combine_chunks()
    return EncodedLabels(text.indices.to_numpy(), tuple(text.dictionary.to_pylist()))


def _convert(column: Any, kind: str, name: str, path: Path) -> Any:
    """Return a column as another Arrow type; raise `UsageError` if a value does not
    fit.
    """
    import pyarrow as pa

    try:
        # Whether a prediction is right would be read as the classes 0 and 1.
        if pa.types.is_boolean(column.type):
            raise pa.ArrowInvalid("bool")
        converted = column.cast(kind)
        converted.validate(full=True)  # texts in UTF-8
    except (pa.ArrowException, UnicodeError) as error:
        raise wrong(
            path,
            f"{kind} in the column {name}",
            first_line(error),
            "correct it",
            code="column-type",
            column=name,
            type=kind,
        ) from None
    return converted
