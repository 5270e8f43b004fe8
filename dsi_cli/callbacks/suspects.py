"""The strong suspects of a training, from the heads of its last epochs in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.lasting_suspects import MIN_EPOCHS, Finding, lasting
from dsi_cli.analysis.tables.suspects import MANY_CLASSES, head_evidence, mean_network
from dsi_cli.metrics import suspects
from dsi_cli.metrics.suspects import Network
from dsi_cli.suspect_kinds import STRONG, TEST

LATE_EPOCHS = 3  # the epochs whose mean is the evidence, as in the table of suspects
MAX_CLASSES, EPOCHS_OF_MANY = 1024, 5
"""Suspects are sought after each epoch, but above `MANY_CLASSES` classes, where a search
takes seconds, after so many epochs, and with more classes than these not at all.
"""


class SuspectSearch:
    """A search for suspects that are strong in two successive searches.

    Parameters
    ----------
    names : the labels of the classes.
    reference : (C, C) float, the WordNet similarity, NaN for classes that it lacks.
    """

    def __init__(self, names: Sequence[str], reference: NDArray[np.floating]) -> None:
        self._names = names
        self._reference = reference.astype(np.float64)
        is_large = len(names) > MANY_CLASSES
        self._epochs_per_search = EPOCHS_OF_MANY if is_large else 1
        self._late: deque[Network] = deque(maxlen=LATE_EPOCHS)
        self._strong: list[Finding] = []
        self._reported: list[Finding] = []
        self.epochs = 0  # the number of epochs that were added

    def add(
        self, weight: NDArray[np.float32], counts: NDArray[np.int64] | None
    ) -> list[Finding]:
        """Add the head and the confusion counts ``(C, C)`` of an epoch; return the
        findings that last and were not returned before.
        """
        known = {} if counts is None else {TEST: counts.astype(np.float64)}
        similarity, lengths = head_evidence(weight)
        self._late.append(Network(similarity, lengths, self._reference, known))
        self.epochs += 1
        if self.epochs < MIN_EPOCHS or self.epochs % self._epochs_per_search:
            return []
        found = suspects.find(mean_network(self._late))
        strong = [
            Finding(one.kind, tuple(self._names[member] for member in one.members))
            for of_kind in found.values()
            for one in of_kind
            if one.grade == STRONG
        ]
        news = lasting(self._strong, strong, self._reported)
        self._strong = strong
        self._reported += news
        return news
