"""The truth from a file of its own, and what it must have in common with the predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.predictions import arrays, rows, tables
from dsi_cli.predictions.classes import Labels, from_array
from dsi_cli.predictions.numbers import Ints
from dsi_cli.predictions.outcome import Outcome
from dsi_cli.predictions.sheets import NO_EPOCH, Answers, Matrix, Sheet
from dsi_cli.predictions.stacks import NAMES

AXES = ("rows", "columns")
"""The axes of a confusion matrix, either of which may be the truth."""

EXPECTED = "one target a sample (.npy, .npz, .parquet, .csv, .tsv with a column target, or .txt, .csv with one a line)"


def read_targets(path: Path) -> Labels:
    """Return the targets in a file, in order of its column ``sample`` if it has one.

    Raises
    ------
    UsageError
        It cannot be read as one target a sample.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        found = _from_arrays(path)
    elif suffix == ".parquet":
        found = _from_table(tables.parquet(path), path)
    elif suffix in (".txt", ".csv", ".tsv"):
        found = _from_text(path)
    else:
        raise UsageError(f"{path}: expected {EXPECTED}, found the suffix {suffix!a}; name another file")
    if not len(found):
        raise UsageError(f"{path}: expected {EXPECTED}, found none; write them")
    return found


def _from_arrays(path: Path) -> Labels:
    named = arrays.load(path)
    array = next((named[name] for name in ("", *NAMES["targets"]) if name in named), None)
    if array is None and len(named) == 1:
        (array,) = named.values()
    if array is None:
        found = ", ".join(ascii(name) for name in list(named)[:6]) or "none"
        raise UsageError(f"{path}: expected {EXPECTED}, found the arrays {found}; name the one that is meant 'targets'")
    if array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array.ndim != 1:
        raise UsageError(f"{path}: expected {EXPECTED}, found shape {array.shape}; give an array of shape (samples,)")
    return from_array(array, str(path))


def _from_text(path: Path) -> Labels:
    if path.suffix.lower() != ".txt":
        header = tables.header(path)
        if "target" in tables.known(header.cells, str(path)):
            return _from_table(tables.text(path, header), path)
        if len(header.cells) > 1:
            names = tables.listed(header.cells)
            raise UsageError(f"{path}: expected {EXPECTED}, found {names}; name the one that is meant 'target'")
    return _from_lines(path)


def _from_lines(path: Path) -> Labels:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise tables.not_utf8(str(path)) from None
    lines = pc.utf8_trim(pa.array(text.rstrip().splitlines(), pa.large_string()), ' \t"')
    empty = pc.index(lines, pa.scalar("", pa.large_string())).as_py()
    if empty >= 0:
        raise UsageError(f"{path}: expected {EXPECTED}, found line {empty + 1} empty; write its target")
    return rows.labels(pa.chunked_array([lines]), str(path), "target")


def _from_table(table: tables.Table, path: Path) -> Labels:
    columns = table.columns
    if "target" not in columns:
        names = tables.listed(table.names)
        raise UsageError(f"{path}: expected {EXPECTED}, found {names}; name the one that is meant 'target'")
    found = rows.labels(columns["target"], str(path), "target")
    samples = rows.integers(columns, "sample", str(path))
    return found if samples is None else found[np.argsort(samples, kind="stable")]


def require(sheets: Sequence[Sheet], given: Labels | None, name: str | None) -> None:
    """Refuse answers without any truth, or with another number of samples than there are targets.

    Raises
    ------
    UsageError
        One of the two.
    """
    for sheet in sheets:
        content = sheet.content
        if not isinstance(content, Answers):
            continue
        if given is None and content.targets is None:
            raise UsageError(f"{sheet.where}: expected a target for each prediction, found none; give them with --targets")
        if given is not None and len(given) != len(content.predictions):
            is_of_more = sheet.epoch is None and content.rows is not None and len(content.predictions) > len(given)
            raise UsageError(
                f"{sheet.where}: expected {len(given):,} predictions, as {name} has targets, found "
                f"{len(content.predictions):,}; {NO_EPOCH if is_of_more else 'give both for the same samples'}"
            )


def require_sums(sheet: Sheet, outcome: Outcome, truth: Ints, axis: str, name: str) -> None:
    """Refuse confusion counts whose sums along the truth are not those of the targets, which are in the file ``name``.

    Raises
    ------
    UsageError
        They are not; the message says whether the other axis fits.
    """
    counts = outcome.counts
    expected = np.bincount(truth, minlength=counts.shape[0])
    if isinstance(sheet.content, Answers) or (counts.sum(axis=1) == expected).all():
        return
    if (counts.sum(axis=0) == expected).all():
        hint = f"the other axis fits: {_other(sheet, axis)}"
    else:
        hint = "the other axis does not fit either: give the targets of this test set, or none"
    at = int(np.argmax(counts.sum(axis=1) != expected))
    raise UsageError(
        f"{sheet.where}: expected {expected[at]:,} samples of class {at}, as the targets in {name} have, "
        f"found {int(counts[at].sum()):,}; {hint}"
    )


def require_axis(chosen: Mapping[int, tuple[Sheet, Outcome]], axis: str) -> None:
    """Refuse confusion counts of several epochs that look as if the truth were on the other axis.

    On one test set the classes have as many samples at each epoch. Where the sums along the truth differ between
    epochs, and those along the other axis do not, that other one is the truth.

    Raises
    ------
    UsageError
        It looks so.
    """
    found = [(sheet, outcome.counts) for sheet, outcome in chosen.values() if not isinstance(sheet.content, Answers)]
    if len(found) < 2 or _are_same([counts.sum(axis=1) for _, counts in found]):
        return
    if _are_same([counts.sum(axis=0) for _, counts in found]):
        sheet = found[0][0]
        raise UsageError(
            f"{sheet.where}: expected the samples of each class to be the same at every epoch, found that they differ "
            f"where the truth should be ({axis}) and are the same along the other axis; if the truth is there: "
            f"{_other(sheet, axis)}"
        )


def _are_same(sums: Sequence[Ints]) -> bool:
    return all((other == sums[0]).all() for other in sums)


def _other(sheet: Sheet, axis: str) -> str:
    if isinstance(sheet.content, Matrix):
        return f"give --truth {AXES[1 - AXES.index(axis)]}"
    return "exchange the names of the columns target and prediction"
