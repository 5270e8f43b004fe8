"""Labels as a file has them, numbers or names, and the class numbers that they stand for.

A name is looked up as it is, then as a number ("7", "7.0"), then without regard to case and to whatever is no letter or
digit ("Aquarium-Fish" is "aquarium_fish") where that leaves one class. Blanks around it never count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dsi_cli.errors import UsageError
from dsi_cli.predictions.numbers import Ints, whole

_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d*)?([eE][+-]?\d{1,2})?")
_MISSING = {"", "nan", "na", "n/a", "null", "none"}

NUMBERS, NUMBERS_REMEDY = "class numbers", "give the number of a class for each sample (of scores, the argmax)"


@dataclass(frozen=True)
class Labels:
    """A column of labels.

    Attributes
    ----------
    codes : (N,) or (E, N) int
        The class numbers themselves; or, with texts, which of the texts each label is.
    texts : tuple of str, or None
    """

    codes: Ints
    texts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> Labels:
        return Labels(self.codes[index], self.texts)

    def strings(self) -> list[str | None]:
        """Return the labels one by one as text; an empty one as None."""
        texts = np.array([text or None for text in self.texts or ()], dtype=object)
        return list(texts[self.codes])


def from_array(values: Any, where: str) -> Labels:
    """Return an array's labels: whole numbers of any type, or text (NumPy's U or S).

    Raises
    ------
    UsageError
        A number is not whole, or the array is neither of the two.
    """
    if values.dtype.kind not in "US":
        return Labels(whole(values, where, NUMBERS, NUMBERS_REMEDY))
    import pyarrow as pa

    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    try:
        encoded = pa.array(native.ravel()).cast(pa.string()).dictionary_encode()
        texts = tuple(encoded.dictionary.to_pylist())
    except (pa.ArrowException, UnicodeError, ValueError):
        raise UsageError(f"{where}: expected class names in UTF-8, found other bytes; save them as UTF-8") from None
    return Labels(encoded.indices.to_numpy(zero_copy_only=False).reshape(values.shape), texts)


@dataclass(frozen=True)
class Classes:
    """The classes of a classifier: how many rows it has, and their names where they are known."""

    size: int
    names: Sequence[str] | None = None

    def numbers(self, labels: Labels, what: str, place: Callable[[int], str]) -> Ints:
        """Return the class number of each label.

        Parameters
        ----------
        labels : (N,)
        what : "target" or "prediction", for the message
        place : where a label stands, by its index, for the message

        Raises
        ------
        UsageError
            A number is no class; a name is none, or could be several.
        """
        codes = labels.codes
        if labels.texts is None:
            wrong = (codes < 0) | (codes >= self.size)
            if wrong.any():
                first = int(np.argmax(wrong))
                raise UsageError(f"{place(first)}: the {what} {self._no_class(int(codes[first]))}")
            return codes
        table = np.zeros(len(labels.texts), dtype=np.int32)
        for code in np.flatnonzero(np.bincount(codes, minlength=len(table))):
            try:
                table[code] = self._number(labels.texts[code].strip())
            except ValueError as error:
                raise UsageError(f"{place(int(np.argmax(codes == code)))}: the {what} {error}") from None
        numbers: Ints = table[codes]
        return numbers

    def _number(self, text: str) -> int:
        if text in self._exact:
            return self._one(self._exact[text], text)
        if _NUMBER.fullmatch(text) and float(text).is_integer():
            return self._in_range(int(float(text)))
        near = self._folded.get(_fold(text), [])
        if near:
            return self._one(near, text)
        raise ValueError(self._unknown(text))

    def _one(self, found: list[int], text: str) -> int:
        if len(found) > 1:
            numbers = ", ".join(map(str, found[:6]))
            raise ValueError(f"{shown(text)} could be any of the classes {numbers}; give the class's number in its place")
        return self._in_range(found[0])

    def _in_range(self, number: int) -> int:
        if not 0 <= number < self.size:
            raise ValueError(self._no_class(number))
        return number

    def _no_class(self, number: int) -> str:
        return (
            f"{number} is no class: expected 0 to {self.size - 1}, as the classifier has {self.size}; "
            "correct it, or give the predictions of this classifier"
        )

    def _unknown(self, text: str) -> str:
        if text.lower() in _MISSING:
            return f"is missing ({shown(text)}); give every sample a class"
        if self.names is None:
            return f"{shown(text)} is a name, and the classes have none; give their names (--labels), or class numbers"
        few = ", ".join(shown(str(name)) for name in self.names[:4])
        return (
            f"{shown(text)} is no class: expected one of the {len(self.names)} names ({few}, ...) or 0 to {self.size - 1}; "
            "correct it, or give the label list that the predictions were made with (--labels)"
        )

    @cached_property
    def _exact(self) -> dict[str, list[int]]:
        return _positions([name.strip() for name in self.names or ()])

    @cached_property
    def _folded(self) -> dict[str, list[int]]:
        found = _positions([_fold(name) for name in self.names or ()])
        found.pop("", None)
        return found


def shown(text: str) -> str:
    r"""Return a text for a message: quoted, in ASCII, and not too long.

    Examples
    --------
    >>> shown("naïve")
    "'na\\xefve'"
    """
    return ascii(text if len(text) <= 60 else text[:57] + "...")


def _fold(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _positions(keys: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        found.setdefault(key, []).append(number)
    return found
