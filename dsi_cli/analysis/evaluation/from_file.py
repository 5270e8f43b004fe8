"""Predictions made elsewhere as the source of a run's answers: a file that was asked for, or one beside the checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsi_cli.analysis.classifiers.run_state import RunState, is_filtered
from dsi_cli.analysis.options import Evaluation
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.records import SKIPPED, Record
from dsi_cli.errors import UsageError, count
from dsi_cli.predictions import files
from dsi_cli.predictions.files import PredictionFile, shorten_epochs
from dsi_cli.predictions.result import EvaluationResult, Predictions


@dataclass(frozen=True)
class FilePredictions:
    """The answers that a file holds for one run; a `dsi_cli.analysis.evaluation.stored.PredictionSource`."""

    name: str
    """The file's."""
    source: str
    """It in words, with the epochs that are used."""
    remembered: str
    """The same without how many they are, which another call may use more of."""
    outcomes: dict[int, Predictions]
    digests: dict[int, str]
    last: frozenset[str]
    """The paths of the checkpoints that stand for their epoch: predictions are those of its last save."""

    @property
    def wants_templates(self) -> bool:
        """Files hold no features."""
        return False

    @property
    def images(self) -> int:
        """No image is looked at."""
        return 0

    def described(self, record: Record) -> dict[str, Any] | None:
        """Return what tells these predictions from others."""
        digest = self.digests.get(record.epoch or 0) if record.path in self.last else None
        return None if digest is None else {"predictions": digest}

    def lacks(self, record: Record) -> str | None:
        """Return that the file has no predictions for an epoch, where that is so."""
        is_lacking = record.path in self.last and (record.epoch or 0) not in self.digests
        return f"{self.name} has no predictions for epoch {record.epoch}" if is_lacking else None

    def answer(self, record: Record) -> EvaluationResult:
        """Return the answer at a checkpoint's epoch."""
        return EvaluationResult(self.outcomes[record.epoch or 0])

    def says(self) -> dict[str, Any]:
        """Return what is recorded beside the answers."""
        return {"source": self.remembered}


def named_predictions(evaluation: Evaluation) -> PredictionFile | None:
    """Return the predictions that the options name, None where they name none; errors as `files.read`."""
    if evaluation.predictions is None:
        return None
    return files.read_predictions(evaluation.predictions, evaluation.targets, truth=evaluation.truth)


def predictions_for_run(
    predictions: PredictionFile, state: RunState, labels: ClassLabels
) -> tuple[FilePredictions, str | None]:
    """Return the answers for one run, and a warning where they are not those of its epochs exactly.

    Raises
    ------
    UsageError
        They do not fit the run's epochs or classes, or no epoch is the same.
    """
    names = labels.label_list.names if labels.label_list is not None else None
    failed: UsageError | None = None
    every = _every(state)
    for epochs in filter(None, (every, _usable(state))):
        try:
            found = predictions.outcomes(epochs, labels.classes, names, state.run.name)
            used = predictions.select(epochs, _usable(state), state.run.name)
        except UsageError as error:
            failed = failed or error
            continue
        is_last = deduplication.stands_for_epoch(state.usable)
        given = FilePredictions(
            predictions.name,
            predictions.describe(used),
            predictions.describe(used, with_count=False),
            found,
            {epoch: _digest(outcome) for epoch, outcome in found.items()},
            frozenset(record.path for record in state.usable if is_last.get((record.epoch, record.step))),
        )
        if epochs is not every and predictions.is_in_order:
            return given, _assumed(predictions, every, epochs)
        return given, _mismatch(predictions, state, found)
    raise failed or UsageError(f"run {state.run.name!r} has no epoch that predictions could belong to")


def beside(state: RunState, labels: ClassLabels) -> tuple[FilePredictions | None, str | None]:
    """Return the predictions that lie beside a run's checkpoints, or why they are not used; both None where none lie there."""
    places = None
    try:
        places = files.find_prediction_files(state.run.folder)
        if places is None:
            return None, None
        return predictions_for_run(files.read_predictions(*places), state, labels)
    except UsageError as error:
        return None, f"{files.PREDICTION_FILE_NAMES[0]} beside the checkpoints is not used: {error}"


def _every(state: RunState) -> list[int]:
    """Return the epochs of all checkpoints that say theirs: what the rows of a file are, or else the usable ones alone.

    The only checkpoint of a run without epochs counts as epoch 0.
    """
    if state.usable and all(record.epoch is None for record in state.usable):
        return [0]
    return sorted({r.epoch for r in state.settled if r.epoch is not None and (r.status != SKIPPED or is_filtered(r))})


def _usable(state: RunState) -> list[int]:
    return sorted({record.epoch or 0 for record in state.usable})


def _mismatch(predictions: PredictionFile, state: RunState, found: Collection[int]) -> str | None:
    """Return the warning about epochs that the file lacks, and about those that the run lacks; None without any."""
    usable = _usable(state)
    lacking = [epoch for epoch in usable if epoch not in found]
    others = predictions.unused_epochs({record.epoch or 0 for record in state.settled}, state.run.name)
    told = [f"has no predictions for {_epoch(lacking)} (of {shorten_epochs(usable)})"] if lacking else []
    told += [f"has {_epoch(others)}, which the run has not: left out"] if others else []
    return f"{predictions.name} {'; it '.join(told)}" if told else None


def _assumed(predictions: PredictionFile, every: Sequence[int], usable: Sequence[int]) -> str:
    """Return the warning that rows are taken for the usable epochs, since there are not as many as epochs."""
    left_out = [epoch for epoch in every if epoch not in usable]
    return (
        f"{predictions.name} has {count(len(usable), 'row')}, the run has {count(len(every), 'epoch')}: "
        f"the rows are taken for {_epoch(usable)}, without {_epoch(left_out)}, "
        "whose checkpoints are not used; if they are others, give an NPZ with `epochs`"
    )


def _epoch(epochs: Sequence[int]) -> str:
    return f"epoch{'s' * (len(epochs) > 1)} {shorten_epochs(epochs)}"


def _digest(outcome: Predictions) -> str:
    made = hashlib.sha256()
    counts = outcome.counts
    cells = (counts,) if isinstance(counts, np.ndarray) else (counts.indptr, counts.indices, counts.data)
    for part in (*cells, outcome.predictions, outcome.targets, outcome.scores, outcome.samples):
        made.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
    made.update(repr(None if outcome.paths is None else list(outcome.paths)).encode(errors="backslashreplace"))
    return made.hexdigest()[:16]
