"""The answers on a split, gathered batch after batch; features class after class, so that one class alone is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.metrics import typicality
from dsi_cli.predictions.outcome import Answer, Outcome, Templates
from dsi_cli.similarity.confusion import confusion_counts

if TYPE_CHECKING:
    from dsi_cli.evaluation.predict import Split


class Gathered:
    """The answers of batch after batch; with features, of class after class."""

    def __init__(self, split: Split, classes: int, seed: int, *, has_classifier: bool) -> None:
        self.split, self.classes, self.seed, self.has_classifier = split, classes, seed, has_classifier
        count = len(split.targets)
        self.predictions = np.full(count, -1, dtype=np.int64)
        self.scores = np.zeros(count, dtype=np.float32)
        self.loss, self.top5 = 0.0, 0
        self.sums: dict[int, NDArray[np.float64]] = {}
        self.rows: list[dict[str, Any]] = []
        self.histograms = np.zeros((2, typicality.BINS), dtype=np.int64)
        self._class: int | None = None
        self._held: list[NDArray[np.float64]] = []
        self._right: list[NDArray[np.bool_]] = []

    def take(
        self, rows: NDArray[np.int64], logits: NDArray[np.float32] | None, features: NDArray[np.float64] | None
    ) -> None:
        """Take one batch."""
        targets = self.split.targets[rows]
        if logits is not None:
            self._take_logits(rows, targets, logits)
        if features is None:
            return
        is_right = self.predictions[rows] == targets
        for number in np.unique(targets):
            mine = targets == number
            if number != self._class:
                self._close()
                self._class = int(number)
            self._held.append(features[mine])
            self._right.append(is_right[mine])

    def _take_logits(self, rows: NDArray[np.int64], targets: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
        wide = logits.astype(np.float64)
        largest = wide.max(axis=1)
        self.predictions[rows] = logits.argmax(axis=1)
        log_sum = largest + np.log(np.exp(wide - largest[:, None]).sum(axis=1))
        self.scores[rows] = np.exp(largest - log_sum)
        of_truth = wide[np.arange(len(rows)), targets]
        self.loss += float((log_sum - of_truth).sum())
        self.top5 += int(((wide > of_truth[:, None]).sum(axis=1) < 5).sum())

    def _close(self) -> None:
        """Reduce the features of the class that is complete."""
        if self._class is None:
            return
        features, is_right = np.concatenate(self._held), np.concatenate(self._right)
        self.sums[self._class] = features.sum(axis=0)
        if self.has_classifier:
            found = typicality.of_class(features, is_right, (self.seed, self._class))
            for flag, group in ((True, found.right), (False, found.wrong)):
                self.rows.append({"class_index": self._class, "correct": flag, **vars(group)})
                self.histograms[int(flag)] += typicality.histogram(found.cosines[is_right == flag])
        self._held, self._right, self._class = [], [], None

    def answer(self) -> Answer:
        """Return all that was gathered."""
        self._close()
        if not self.has_classifier:
            return Answer(templates=self._templates())
        targets, split = self.split.targets, self.split
        counts = confusion_counts(targets, self.predictions, self.classes)
        outcome = Outcome(counts, targets, self.predictions, self.scores, split.samples, split.paths)
        top5 = self.top5 if self.classes > 5 else None
        return Answer(outcome, self.loss / len(targets), top5, self._templates())

    def _templates(self) -> Templates | None:
        if not self.sums:
            return None
        sums = np.zeros((self.classes, len(next(iter(self.sums.values())))))
        for number, total in self.sums.items():
            sums[number] = total
        numbers = np.bincount(self.split.targets, minlength=self.classes)
        return Templates(sums, numbers, self.rows, self.histograms.tolist())
