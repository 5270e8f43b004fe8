"""Tables: a row a sample, a row a pair of classes with its count, or a row a class of a confusion matrix.

Rows belong to the epoch (and the run) that their columns say; within it they stand in order of ``sample`` where there is
such a column, else as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions.classes import NUMBERS, NUMBERS_REMEDY, Labels
from dsi_cli.predictions.numbers import Ints, counts, row, whole
from dsi_cli.predictions.sheets import NO_EPOCH, Answers, Matrix, Sheet, Tally
from dsi_cli.predictions.tables import Table, listed

EXPECTED = (
    "the columns epoch, target and prediction (a row a sample), with count (a row a pair of classes), "
    "or epoch, class_index and count (a row of counts a class)"
)

WHOLE = ("whole numbers", "number each, from 0 on")

Columns = Mapping[str, Any]


@dataclass(frozen=True)
class _Group:
    """The rows of one epoch of one run."""

    run: str | None
    epoch: int | None
    rows: NDArray[np.intp]


def sheets(table: Table, where: str, axis: str) -> list[Sheet]:
    """Return what a table's columns hold, a sheet a run and epoch, in order of both.

    Parameters
    ----------
    axis : "rows" or "columns"; it counts for a table with a row a class alone

    Raises
    ------
    UsageError
        Columns lack, there are no rows, or a value is missing or not of its column's kind.
    """
    columns = table.columns
    if columns and not len(next(iter(columns.values()))):
        raise UsageError(f"{where}: expected {EXPECTED}, found no rows; write them")
    lists = "count" in columns and "list" in str(columns["count"].type)
    if lists and "class_index" in columns:
        return _matrices(columns, where, axis)
    if "count" in columns and not lists and {"target", "prediction"} <= columns.keys():
        return _tallies(columns, where)
    if "prediction" in columns:
        return _answers(columns, where)
    raise UsageError(f"{where}: expected {EXPECTED}, found {listed(table.names)}; name the columns so")


def labels(column: Any, where: str, what: str) -> Labels:
    """Return a column's labels.

    Raises
    ------
    UsageError
        A label is missing, or the column is neither of whole numbers nor of text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        at = pc.index(pc.is_null(column), True).as_py()
        raise UsageError(
            f"{where}, column {what}: expected a value in each row, found none in {row((at,))}; give one, or drop the row"
        )
    is_coded = pa.types.is_dictionary(column.type)
    kind = str(column.type.value_type if is_coded else column.type)
    if kind not in ("string", "large_string", "string_view"):
        plain = column.cast(column.type.value_type) if is_coded else column
        values = plain.combine_chunks().to_numpy(zero_copy_only=False)
        expected = (NUMBERS, NUMBERS_REMEDY) if what in ("target", "prediction") else WHOLE
        return Labels(whole(values, f"{where}, column {what}", *expected, row))
    if not is_coded:
        column = column.cast(pa.string()).dictionary_encode()
    whole_column = column.unify_dictionaries().combine_chunks()
    texts = tuple(text or "" for text in whole_column.dictionary.to_pylist())
    return Labels(whole_column.indices.to_numpy(zero_copy_only=False), texts)


def _answers(columns: Columns, where: str) -> list[Sheet]:
    predictions = labels(columns["prediction"], where, "prediction")
    targets = labels(columns["target"], where, "target") if "target" in columns else None
    scores = _floats(columns["score"], where, "score") if "score" in columns else None
    samples = integers(columns, "sample", where)
    paths = _texts(columns, "path", where)
    found = []
    for group in _groups(columns, where, samples):
        at = group.rows
        own = None if samples is None else samples[at]
        _require_once(own, where, group, "sample")
        answers = Answers(
            predictions[at],
            None if targets is None else targets[at],
            None if scores is None else scores[at],
            own,
            None if paths is None else paths[at],
            at,
        )
        found.append(_sheet(answers, where, group))
    return found


def _tallies(columns: Columns, where: str) -> list[Sheet]:
    targets, predictions = (labels(columns[what], where, what) for what in ("target", "prediction"))
    numbers = counts(_floats(columns["count"], where, "count"), f"{where}, column count", row)
    return [
        _sheet(Tally(targets[group.rows], predictions[group.rows], numbers[group.rows]), where, group)
        for group in _groups(columns, where, None)
    ]


def _matrices(columns: Columns, where: str, axis: str) -> list[Sheet]:
    matrix = counts(_lists(columns["count"], where), f"{where}, column count")
    classes = integers(columns, "class_index", where)
    found = []
    for group in _groups(columns, where, classes):
        own = matrix[group.rows]
        assert classes is not None
        if own.shape[0] != own.shape[1] or (classes[group.rows] != np.arange(len(own))).any():
            raise UsageError(
                f"{_named(where, group)}: expected a row for each class_index from 0 to {own.shape[1] - 1} "
                f"as a row has {own.shape[1]} counts, found {len(own)} rows that are not these; "
                + (NO_EPOCH if group.epoch is None and len(own) > own.shape[1] else "give each class one row")
            )
        found.append(_sheet(Matrix(own.T if axis == "columns" else own), where, group))
    return found


def _lists(column: Any, where: str) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = column.combine_chunks()
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    values = lists.flatten()
    width = len(values) // len(lists)
    same = pc.all(pc.equal(pc.list_value_length(lists), width)).as_py()
    if lists.null_count or values.null_count or not width or not same:
        raise UsageError(
            f"{where}: expected lists of counts, all of one length, found others; give one count a class, 0 where there is none"
        )
    flat: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return flat.reshape(len(lists), width)


def _groups(columns: Columns, where: str, within: Ints | None) -> Iterator[_Group]:
    """Yield the rows of each run and epoch, ordered by ``within``."""
    runs = _texts(columns, "run", where)
    epochs = integers(columns, "epoch", where)
    keys = [key for key in (epochs, None if runs is None else runs.codes) if key is not None]
    sorting = keys if within is None else [within, *keys]
    size = len(columns["count" if "prediction" not in columns else "prediction"])
    order = np.lexsort(sorting) if sorting else np.arange(size)
    new = np.zeros(size, dtype=bool)
    for key in keys:
        ordered = key[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    for rows in np.split(order, np.flatnonzero(new)):
        first = rows[0]
        run = None if runs is None or runs.texts is None else runs.texts[runs.codes[first]]
        yield _Group(run, None if epochs is None else int(epochs[first]), rows)


def _require_once(samples: Ints | None, where: str, group: _Group, what: str) -> None:
    if samples is None:
        return
    twice = samples[1:] == samples[:-1]
    if twice.any():
        raise UsageError(
            f"{_named(where, group)}: expected each {what} once, found {what} {samples[int(np.argmax(twice))]} twice; "
            + (NO_EPOCH if group.epoch is None else "keep one row a sample (a column 'run' keeps several runs apart)")
        )


def _sheet(content: Answers | Matrix | Tally, where: str, group: _Group) -> Sheet:
    return Sheet(_named(where, group), content, group.epoch, group.run)


def _named(where: str, group: _Group) -> str:
    return where if group.epoch is None else f"{where}, epoch {group.epoch}"


def _texts(columns: Columns, what: str, where: str) -> Labels | None:
    """Return a column as text, "" where there is no value; None where there is no column."""
    import pyarrow as pa

    if what not in columns:
        return None
    column = columns[what]
    is_ready = pa.types.is_dictionary(column.type) and column.type.value_type == pa.string() and not column.null_count
    return labels(column if is_ready else column.cast(pa.string()).fill_null(""), where, what)


def integers(columns: Columns, what: str, where: str) -> NDArray[np.int64] | None:
    """Return a column of whole numbers (as numbers, or as text), None where there is none.

    Raises
    ------
    UsageError
        A value is missing, or is no whole number.
    """
    if what not in columns:
        return None
    found = labels(columns[what], where, what)
    if found.texts is None:
        return found.codes.astype(np.int64)
    table = np.zeros(len(found.texts), dtype=np.float64)
    for code, text in enumerate(found.texts):
        try:
            table[code] = float(text)
        except ValueError:
            table[code] = np.nan
    return whole(table[found.codes], f"{where}, column {what}", *WHOLE, row).astype(np.int64)


def _floats(column: Any, where: str, what: str) -> NDArray[np.float64]:
    import pyarrow as pa

    try:
        floats: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        found = ascii(str(error).split("\n", 1)[0])[1:-1][:100]
        raise UsageError(f"{where}: expected numbers in the column {what}, found others ({found}); correct it") from None
    return floats
