"""What a file holds of one epoch (of one run), and the outcome that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions.classes import Classes, Labels
from dsi_cli.predictions.numbers import Ints
from dsi_cli.predictions.outcome import Outcome
from dsi_cli.similarity.confusion import confusion_counts

NO_EPOCH = "the column 'epoch' is missing, which is the likely cause: add it"
"""Of a table without it in which something comes twice."""


@dataclass(frozen=True)
class Answers:
    """One answer a sample; all are ``(N,)``, and in the order of the samples where their numbers are known."""

    predictions: Labels
    targets: Labels | None = None
    scores: NDArray[np.floating[Any]] | None = None
    samples: NDArray[np.int64] | None = None
    paths: Labels | None = None
    rows: NDArray[np.intp] | None = None
    """The row of the table that each came from, for messages."""


@dataclass(frozen=True)
class Matrix:
    """Confusion counts ``(n, n)``, rows the truth; ``names`` are those of its own rows, None where they are the classes."""

    counts: NDArray[np.int64]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Tally:
    """Confusion counts, one a pair of classes that occurs; all are ``(N,)``."""

    targets: Labels
    predictions: Labels
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Sheet:
    """What a file holds of one epoch; run and epoch are None where the file does not say them."""

    where: str
    content: Answers | Matrix | Tally
    epoch: int | None = None
    run: str | None = None

    def place(self, at: int) -> str:
        """Return where a sample stands, for a message."""
        rows = self.content.rows if isinstance(self.content, Answers) else None
        return f"{self.where}, " + (f"sample {at}" if rows is None else f"row {int(rows[at]) + 1}")


def outcome(sheet: Sheet, classes: Classes, truth: Ints | None, name: str | None = None) -> Outcome:
    """Return the outcome that a sheet stands for.

    Parameters
    ----------
    truth : (N,) int, or None
        The class numbers of the file with targets. Answers must agree with it where they have targets of their own.
    name
        That file's.

    Raises
    ------
    UsageError
        A label is no class; the matrix has another size; there are no samples; the truth differs.
    """
    content = sheet.content
    if isinstance(content, Answers):
        return _answered(sheet, content, classes, truth, name)
    counts = _spread(sheet, content, classes) if isinstance(content, Matrix) else _summed(sheet, content, classes)
    if not counts.any():
        raise UsageError(f"{sheet.where}: expected confusion counts, found only zeros; give an epoch that has samples")
    return Outcome(counts)


def _answered(sheet: Sheet, answers: Answers, classes: Classes, truth: Ints | None, name: str | None) -> Outcome:
    predictions = classes.numbers(answers.predictions, "prediction", sheet.place)
    targets = truth
    if answers.targets is not None:
        targets = classes.numbers(answers.targets, "target", sheet.place)
        _require_agreement(sheet, targets, truth, name)
    assert targets is not None  # `truth.require` saw to it when the file was read
    return Outcome(
        confusion_counts(targets, predictions, classes.size),
        targets,
        predictions,
        answers.scores,
        answers.samples,
        None if answers.paths is None else answers.paths.strings(),
    )


def _require_agreement(sheet: Sheet, targets: Ints, truth: Ints | None, name: str | None) -> None:
    if truth is not None and (targets != truth).any():
        at = int(np.argmax(targets != truth))
        raise UsageError(
            f"{sheet.place(at)}: the target is {targets[at]}, and {truth[at]} in {name or 'the file with the targets'}; "
            "give the targets of these samples in this order, or none"
        )


def _spread(sheet: Sheet, matrix: Matrix, classes: Classes) -> NDArray[np.int64]:
    """Return a matrix in the classes' order; classes that it does not name have no samples."""
    size, names = len(matrix.counts), matrix.names
    if names is None or names == tuple(classes.names or ()):
        if size != classes.size:
            raise UsageError(
                f"{sheet.where}: expected a matrix of {classes.size} classes, as the classifier has, found one of {size}; "
                "give the counts of this classifier"
            )
        return matrix.counts
    numbers = classes.numbers(Labels(np.arange(size), names), "name", lambda at: f"{sheet.where}, class {at}")
    if len(np.unique(numbers)) < size:
        raise UsageError(f"{sheet.where}: expected a name once, found two for one class; give each class one row")
    counts = np.zeros((classes.size, classes.size), dtype=np.int64)
    counts[np.ix_(numbers, numbers)] = matrix.counts
    return counts


def _summed(sheet: Sheet, tally: Tally, classes: Classes) -> NDArray[np.int64]:
    targets = classes.numbers(tally.targets, "target", sheet.place).astype(np.int64)
    predictions = classes.numbers(tally.predictions, "prediction", sheet.place)
    pairs = targets * classes.size + predictions
    distinct, times = np.unique(pairs, return_counts=True)
    if len(distinct) < len(pairs):
        target, prediction = divmod(int(distinct[np.argmax(times)]), classes.size)
        remedy = NO_EPOCH if sheet.epoch is None else "add them up, or keep one run and epoch"
        raise UsageError(
            f"{sheet.where}: expected one count a pair of classes, found several of target {target} "
            f"and prediction {prediction}; {remedy}"
        )
    counts = np.zeros(classes.size**2, dtype=np.int64)
    counts[pairs] = tally.counts
    return counts.reshape(classes.size, classes.size)
