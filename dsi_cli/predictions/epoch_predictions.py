"""The predictions in a file for one epoch of one run, and the outcome that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.predictions.classes import ClassIndex, EncodedLabels, Ints
from dsi_cli.predictions.result import Predictions
from dsi_cli.similarity.confusion import confusion_counts

AXES = ("rows", "columns")
"""The axes of a confusion matrix, either of which may be the truth."""


@dataclass(frozen=True)
class EpochPredictions:
    """The predictions of one epoch: a label for each sample, or confusion counts.

    Attributes
    ----------
    where : str
        The file and the part of it, for messages.
    epoch, run
        None if the file does not name them.
    predictions, targets : (N,) Labels, or None
        In the order of the sample numbers, if these are known; the file may lack the targets.
    scores, samples, paths, rows : (N,), or None
        As in `Predictions`; ``rows`` are the rows of the table that the samples come from, for messages.
    counts : (C, C) int64, or None
        Confusion counts, rows are the truth. A file has either these or predictions.
    """

    where: str
    epoch: int | None = None
    run: str | None = None
    predictions: EncodedLabels | None = None
    targets: EncodedLabels | None = None
    scores: NDArray[np.floating[Any]] | None = None
    samples: NDArray[np.int64] | None = None
    paths: Sequence[str | None] | None = None
    rows: NDArray[np.intp] | None = None
    counts: NDArray[np.int64] | None = None

    @property
    def lacks_targets(self) -> bool:
        """Whether there are predictions without the truth."""
        return self.predictions is not None and self.targets is None

    def outcome(self, classes: ClassIndex, truth: Ints | None, truth_name: str | None) -> Predictions:
        """Return the outcome on the split.

        Parameters
        ----------
        classes : the classes of the run's classifier
        truth : (N,) int, the class numbers in the file with targets, or None
        truth_name : the name of that file

        Raises
        ------
        UsageError
            A label is not a class, the counts are of another number of classes or all zero, or they contradict the truth.
        """
        if self.counts is not None:
            return Predictions(self._checked_counts(self.counts, classes.size, truth, truth_name))
        assert self.predictions is not None
        predictions = classes.numbers(self.predictions, "prediction", self._place)
        targets = truth
        if self.targets is not None:
            targets = classes.numbers(self.targets, "target", self._place)
            if truth is not None and (targets != truth).any():
                at = int(np.argmax(targets != truth))
                raise UsageError(
                    f"{self._place(at)}: the target is {targets[at]}, and {truth[at]} in {truth_name}; "
                    "give the targets of these samples in this order, or none"
                )
        assert targets is not None  # `files.read` refuses predictions without targets
        counts = confusion_counts(targets, predictions, classes.size)
        return Predictions(counts, targets, predictions, self.scores, self.samples, self.paths)

    def _place(self, sample: int) -> str:
        return f"{self.where}, " + (f"sample {sample}" if self.rows is None else f"row {int(self.rows[sample]) + 1}")

    def _checked_counts(
        self, counts: NDArray[np.int64], classes: int, truth: Ints | None, truth_name: str | None
    ) -> NDArray[np.int64]:
        if len(counts) != classes:
            raise UsageError(
                f"{self.where}: expected confusion counts of {classes} classes, as the classifier has, found {len(counts)}; "
                "give the counts of this classifier"
            )
        if not counts.any():
            raise UsageError(f"{self.where}: expected confusion counts, found only zeros; give an epoch that has samples")
        if truth is not None and (counts.sum(axis=1) != np.bincount(truth, minlength=classes)).any():
            raise UsageError(
                f"{self.where}: expected as many samples of each class as the targets in {truth_name} have, found others; "
                "give --truth columns if the truth is on the columns, or the targets of this test set, or none"
            )
        return counts


def require_truth_axis(outcomes: Mapping[int, Predictions], name: str, axis: str) -> None:
    """Refuse confusion counts of several epochs that look as if the truth were on the other axis.

    On one test set, each class has as many samples at every epoch. If the sums along the truth differ between epochs, and those
    along the other axis do not, then the other axis is the truth.

    Raises
    ------
    UsageError
        It looks so.
    """
    counts = [outcome.counts for outcome in outcomes.values() if outcome.predictions is None]
    along_truth, along_other = (
        any((one.sum(axis=other) != counts[0].sum(axis=other)).any() for one in counts) for other in (1, 0)
    )
    if along_truth and not along_other:
        raise UsageError(
            f"{name}: expected the same samples of each class at every epoch, found that they differ along the {axis} and are the "
            f"same along the other axis, which seems to be the truth; give --truth {AXES[1 - AXES.index(axis)]}"
        )
