"""A confusion matrix as text, a line a class: C x C numbers, with or without a header and a first column of names."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.predictions import rows
from dsi_cli.predictions.numbers import counts
from dsi_cli.predictions.sheets import Matrix, Sheet
from dsi_cli.predictions.tables import Header, listed, not_utf8

LARGEST = 256 * 2**20
"""Bytes; a matrix of 10,000 classes has about 200 MB."""


def sheet(path: Path, header: Header, axis: str) -> Sheet:
    """Return the one epoch that a text file with a matrix holds.

    Parameters
    ----------
    header : the file's first line
    axis : "rows" or "columns", the one that is the truth

    Raises
    ------
    UsageError
        It is no square of counts; the message lists the columns of the first line.
    """
    where = str(path)
    cells = _cells(path, header)
    parted = _parted(cells) if cells else None
    if parted is None:
        raise _no_matrix(where, header)
    body, names = parted
    try:
        numbers = np.array(body, dtype=np.float64)
    except ValueError as error:
        raise UsageError(
            f"{where}: expected counts of samples, found {ascii(str(error))[1:-1][:100]}; correct it"
        ) from None
    matrix = counts(numbers, where)
    return Sheet(where, Matrix(matrix.T if axis == "columns" else matrix, names))


def _cells(path: Path, header: Header) -> list[list[str]]:
    if path.stat().st_size > LARGEST:
        raise _no_matrix(str(path), header)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=header.separator, skipinitialspace=True))
    except UnicodeDecodeError:
        raise not_utf8(str(path)) from None
    except csv.Error:
        raise _no_matrix(str(path), header) from None
    return [[cell.strip() for cell in line] for line in found if any(line)]


def _parted(cells: list[list[str]]) -> tuple[list[list[str]], tuple[str, ...] | None] | None:
    """Return the numbers and the names of the classes, by the shape alone; None where it is no square."""
    lines, width = len(cells), len(cells[0])
    if any(len(line) != width for line in cells):
        return None
    if lines == width + 1:
        return cells[1:], tuple(cells[0])
    if lines == width - 1:
        return [line[1:] for line in cells], tuple(line[0] for line in cells)
    if lines != width:
        return None
    if all(_is_number(cell) for cell in cells[0]):
        return cells, None
    names = tuple(line[0] for line in cells[1:])
    return ([line[1:] for line in cells[1:]], names) if names == tuple(cells[0][1:]) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _no_matrix(where: str, header: Header) -> UsageError:
    return UsageError(
        f"{where}: expected {rows.EXPECTED}, or C lines of C counts with the names in one order, "
        f"found {listed(header.cells)}; name the columns so"
    )
