"""Class names out of a pickle: scikit-learn's ``LabelEncoder``, or a list or index map. Nothing in the pickle is run."""

from __future__ import annotations

import re
from typing import Any

from dsi_cli.checkpoints.pickle.machine import read_pickle
from dsi_cli.checkpoints.pickle.objects import PickledGlobal, PickledObject
from dsi_cli.checkpoints.trainers import plain_data
from dsi_cli.errors import UnreadableError

_TEXT = re.compile(r"U(\d{1,6})")
_CHARACTER_BYTES = 4
"""Bytes of a character in NumPy's arrays of text."""


def read_class_names(data: bytes) -> Any:
    """Return the class names that a pickle holds, as a list, or as an index map where it is one.

    Of a ``LabelEncoder`` these are its ``classes_``, an array of text; the result may be anything else that is plain data.

    Raises
    ------
    UnreadableError
        The bytes are no pickle, or an encoder whose classes are no text.
    """
    found, _ = read_pickle(data)
    if not isinstance(found, PickledObject):
        return plain_data(found, depth=2)
    classes = found.state.get("classes_") if isinstance(found.state, dict) else None
    names = _texts(classes) if isinstance(classes, PickledObject) else classes
    if not isinstance(names, list):
        kind = found.of.name if isinstance(found.of, PickledGlobal) else "object"
        raise UnreadableError(f"a pickled {kind[:60]} without class names in an array of text")
    return names


def _texts(array: PickledObject) -> list[Any] | None:
    """Return the elements of a pickled NumPy array of text; None if it is something else."""
    if isinstance(array.state, tuple) and len(array.state) == 5:  # as pickle protocols up to 4 have it
        shape, dtype, data = array.state[1], array.state[2], array.state[4]
    elif isinstance(array.args, tuple) and len(array.args) >= 3:  # as protocol 5 has it
        data, dtype, shape = array.args[:3]
    else:
        return None
    if isinstance(data, list):  # an array of Python objects
        return data
    code = dtype.args[0] if isinstance(dtype, PickledObject) and isinstance(dtype.args, tuple) and dtype.args else None
    wide = _TEXT.fullmatch(code) if isinstance(code, str) else None
    is_line = isinstance(shape, tuple) and len(shape) == 1
    if wide is None or not is_line or not isinstance(data, bytes | memoryview) or not int(wide[1]):
        return None
    is_big = isinstance(dtype.state, tuple) and dtype.state[1:2] == (">",)
    size, raw = _CHARACTER_BYTES * int(wide[1]), bytes(data)
    try:
        cells = [raw[at : at + size].decode("utf-32-be" if is_big else "utf-32-le") for at in range(0, len(raw), size)]
    except UnicodeDecodeError:
        return None
    return [cell.rstrip("\0") for cell in cells]
