"""Whole numbers and counts out of whatever type they were saved in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

Ints = NDArray[np.integer[Any]]
Position = Callable[[tuple[int, ...]], str]

LARGEST_COUNT = 10**12
"""No test set has more samples; sums of such counts fit into 64 bits."""

_EXACT = 2**53
"""Up to here a float64 holds every whole number."""


def index(at: tuple[int, ...]) -> str:
    """Return a position in an array for a message.

    Examples
    --------
    >>> index((3,)), index((3, 4))
    ('index 3', 'index (3, 4)')
    """
    return f"index {at[0] if len(at) == 1 else at}"


def row(at: tuple[int, ...]) -> str:
    """Return a position in a table's column for a message; the first row below the header is row 1.

    Examples
    --------
    >>> row((3,))
    'row 4'
    """
    return f"row {at[0] + 1}"


def whole(values: NDArray[Any], where: str, expected: str, remedy: str, position: Position = index) -> Ints:
    """Return whole numbers as integers of the machine's own byte order; their type is kept where it is one of integers.

    Parameters
    ----------
    values : of any shape; bool, integers, or floats that are all whole
    where, expected, remedy : for the message: the place, what should be there, what to do

    Raises
    ------
    UsageError
        A value is not whole, is NaN or infinite, or is too large for 64 bits; the message holds the first and its position.
        Or the values are no numbers.

    Examples
    --------
    >>> whole(np.array([1.0, 2.0]), "a.npy", "class numbers", "round them").tolist()
    [1, 2]
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8)
    if kind not in "iuf":
        raise UsageError(f"{where}: expected {expected}, found values of type {values.dtype}; {remedy}")
    if kind == "f":
        values = values.astype(np.float64, copy=False)
        wrong = ~(np.abs(values) <= _EXACT) | (values != np.floor(values))
    else:
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        wrong = values > np.iinfo(np.int64).max if values.dtype == np.uint64 else np.zeros(0, dtype=bool)
    if wrong.any():
        raise UsageError(f"{where}: expected {expected}, found {_first(values, wrong, position)}; {remedy}")
    return values.astype(np.int64) if kind == "f" else values


def counts(values: NDArray[Any], where: str, position: Position = index) -> NDArray[np.int64]:
    """Return confusion counts as int64.

    Raises
    ------
    UsageError
        A value is not whole (a rate), negative, or above any test set's size.
    """
    expected, remedy = "counts of samples", "give the counts themselves, not rates or rows that were normalised"
    numbers = whole(values, where, expected, remedy, position).astype(np.int64)
    wrong = (numbers < 0) | (numbers > LARGEST_COUNT)
    if wrong.any():
        raise UsageError(f"{where}: expected {expected}, found {_first(numbers, wrong, position)}; correct it")
    return numbers


def _first(values: NDArray[Any], wrong: NDArray[np.bool_], position: Position) -> str:
    at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return f"{values[at]:.6g} at {position(tuple(int(i) for i in at))}"
