"""Labels of samples, given as class numbers or class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError

Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class EncodedLabels:
    """The labels of samples.

    Attributes
    ----------
    codes : ``(N,)``, the class numbers; with ``names``, the position of each label in ``names``
    names : the distinct labels, if they are names
    """

    codes: Ints
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> EncodedLabels:
        return EncodedLabels(self.codes[index], self.names)


@dataclass(frozen=True)
class ClassIndex:
    """The classes of a classifier: their number, and their names if they are known."""

    size: int
    names: Sequence[str] | None = None

    def encode(self, labels: EncodedLabels, kind: str, locate: Callable[[int], str]) -> Ints:
        """Return the class number of each label: the class of this name if there is exactly one, else the number in the text.

        Raise `UsageError` if a label is neither the number nor the name of exactly one class.

        Parameters
        ----------
        labels : (N,)
        kind : "target" or "prediction", for the message
        locate : returns the location of a sample for the message, from its index
        """
        numbers = labels.codes
        if labels.names is not None:
            numbers = np.array([self._number(name) for name in labels.names], dtype=np.int32)[labels.codes]
        wrong = (numbers < 0) | (numbers >= self.size)
        if wrong.any():
            first = int(np.argmax(wrong))
            code = int(labels.codes[first])
            label = str(code) if labels.names is None else ascii(labels.names[code][:60])
            names = [ascii(name[:40]) for name, number in self._by_name.items() if number >= 0]
            or_name = f", or the name of exactly one class ({', '.join(names[:3])}, ...)" if names else ""
            raise UsageError(
                f"{locate(first)}: the {kind} {label} is not a class; expected 0 to {self.size - 1}{or_name}; correct it, or give "
                "the classes that the predictions were made with (--labels)",
                code="unknown-class",
                values=kind,
                label=label,
            )
        return numbers

    def _number(self, label: str) -> int:
        """Return the class of a label, -1 if it is not a class."""
        if label in self._by_name:
            return self._by_name[label]
        try:
            number = float(label)
        except ValueError:
            return -1
        return int(number) if number.is_integer() and 0 <= number < self.size else -1

    @cached_property
    def _by_name(self) -> dict[str, int]:
        """The class of each name, -1 if several classes have it."""
        classes: dict[str, int] = {}
        for number, name in enumerate(self.names or ()):
            classes[name] = -1 if name in classes else number
        return classes
