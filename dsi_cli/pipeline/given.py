"""Predictions made elsewhere as the source of a run's answers: a file that was asked for, or one beside the checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsi_cli.checkpoints import timeline
from dsi_cli.checkpoints.records import SKIPPED, Record
from dsi_cli.errors import UsageError
from dsi_cli.pipeline.labelling import Labelling
from dsi_cli.pipeline.options import Evaluation
from dsi_cli.pipeline.reading import RunState, is_filtered
from dsi_cli.predictions import files
from dsi_cli.predictions.files import Predictions
from dsi_cli.predictions.outcome import Answer, Outcome


@dataclass(frozen=True)
class Given:
    """The answers that a file holds for one run; a `dsi_cli.pipeline.answers.Source`."""

    source: str
    outcomes: dict[int, Outcome]
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
        digest = self.digests.get(record.epoch) if record.epoch is not None and record.path in self.last else None
        return None if digest is None else {"predictions": digest}

    def answer(self, record: Record) -> Answer:
        """Return the answer at a checkpoint's epoch."""
        assert record.epoch is not None
        return Answer(self.outcomes[record.epoch])

    def says(self) -> dict[str, Any]:
        """Return what is recorded beside the answers."""
        return {"source": self.source}


def asked(evaluation: Evaluation) -> Predictions | None:
    """Return the predictions that the options name, None where they name none; errors as `files.read`."""
    if evaluation.predictions is None:
        return None
    return files.read(evaluation.predictions, evaluation.targets, truth=evaluation.truth)


def of_run(predictions: Predictions, state: RunState, one: Labelling) -> Given:
    """Return the answers for one run.

    Raises
    ------
    UsageError
        They do not fit the run's epochs or classes.
    """
    names = one.labels.names if one.labels is not None else None
    failed: UsageError | None = None
    for epochs in _epochs(state):
        try:
            found = predictions.outcomes(epochs, one.classes, names, state.run.name)
        except UsageError as error:
            failed = failed or error
            continue
        is_last = timeline.stands_for_epoch(state.usable)
        last = frozenset(record.path for record in state.usable if is_last.get((record.epoch or 0, record.step)))
        return Given(predictions.source, found, {epoch: _digest(outcome) for epoch, outcome in found.items()}, last)
    raise failed or UsageError(f"run {state.run.name!r} has no epoch that predictions could belong to")


def beside(state: RunState, one: Labelling) -> tuple[Given | None, str | None]:
    """Return the predictions that lie beside a run's checkpoints, or why they are not used; both None where none lie there."""
    places = files.find_beside(state.run.folder)
    if places is None:
        return None, None
    try:
        return of_run(files.read(*places), state, one), None
    except UsageError as error:
        return None, f"{places[0].name} beside the checkpoints is not used: {error}"


def _epochs(state: RunState) -> list[Sequence[int]]:
    """Return which epochs the rows of a file may be: those of all checkpoints that say theirs, else of the usable ones alone."""
    every = sorted({r.epoch for r in state.settled if r.epoch is not None and (r.status != SKIPPED or is_filtered(r))})
    usable = sorted({record.epoch for record in state.usable if record.epoch is not None})
    return [epochs for epochs in (every, usable) if epochs]


def _digest(outcome: Outcome) -> str:
    made = hashlib.sha256()
    for part in (outcome.counts, outcome.predictions, outcome.targets, outcome.scores, outcome.samples):
        made.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
    made.update(repr(None if outcome.paths is None else list(outcome.paths)).encode(errors="backslashreplace"))
    return made.hexdigest()[:16]
