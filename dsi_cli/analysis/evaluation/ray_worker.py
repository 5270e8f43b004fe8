"""Running the model on labelled data in another process: what travels there, and what comes back.

Neither the model nor the images travel: the options do, and each process builds the one and decodes the other once, for all the
checkpoints that it is given. Data must be the same there: they are known by names, sizes and times of their files.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_state import RunState
from dsi_cli.analysis.evaluation.dataset_cache import DatasetCache
from dsi_cli.analysis.evaluation.from_model import LoadedModel, ModelPredictions
from dsi_cli.analysis.evaluation.stored import EvaluationOutcome, evaluate_or_reason
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.checkpoints.discovery import TrainingRun
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import UsageError

Job = tuple[int, Record]
"""A source's number, and a checkpoint."""


def lost_result(_job: Job, reason: str) -> EvaluationOutcome:
    """Return what comes back of an answer that nothing lived to give."""
    return EvaluationOutcome(None, {}, reason)


@dataclass(frozen=True)
class EvaluationJob:
    """What a source is made from."""

    run: TrainingRun
    settled: list[Record]
    names: tuple[str, ...] | None
    labelling: ClassLabels
    split: str
    targets: NDArray[np.int64]
    data_id: str
    has_fitted: bool


def source_of(predictions: ModelPredictions) -> EvaluationJob:
    """Return a source as it travels."""
    state, model = predictions.model.state, predictions.model
    data_id = predictions.data.samples[predictions.split].id
    return EvaluationJob(
        state.run, state.settled, state.names, model.one, predictions.split, predictions.targets, data_id, model.has_fitted
    )


@dataclass
class EvaluationWorker:
    """Makes the answers of some sources, and keeps for home what there is to be said."""

    sources: Sequence[EvaluationJob]
    options: Options
    tasks_a_machine: int
    """How many processes like this one share a machine's memory."""
    _notes: list[str] = field(default_factory=list)
    _evaluated: dict[int, ModelPredictions] = field(default_factory=dict)

    def __call__(self, job: Job) -> EvaluationOutcome:
        """Return the answer of a source at a checkpoint.

        Raises
        ------
        UsageError
            The model or the data cannot be right, or this machine does not see the data.
        """
        number, record = job
        source = self._source(number)
        made = evaluate_or_reason(source, record)
        notes, self._notes[:] = tuple(self._notes), []
        return made._replace(notes=notes, text_weight=source.model.state.text_weights.pop(record.path, None))

    def _source(self, number: int) -> ModelPredictions:
        if number not in self._evaluated:
            one = self.sources[number]
            self._require_same(one)
            self._evaluated[number] = ModelPredictions(one.split, self._data, self._model(one), one.targets, None, _ignore)
        return self._evaluated[number]

    def _model(self, job: EvaluationJob) -> LoadedModel:
        """Return the model of a source's run, which is that of its other split as well."""
        for other, made in self._evaluated.items():
            if self.sources[other].run.name == job.run.name:
                return made.model
        model = LoadedModel(
            RunState(job.run, settled=job.settled, names=job.names), job.labelling, self.options, self._notes.append
        )
        model.has_fitted = job.has_fitted
        return model

    @cached_property
    def _data(self) -> DatasetCache:
        asked = replace(self.options.evaluation, download=False)  # which was done at home
        data = DatasetCache(asked, Path(tempfile.gettempdir()), self._notes.append, _ignore, shares=self.tasks_a_machine)
        try:
            data.open()
        except UsageError as error:
            raise UsageError(f"{platform.node()}, a node of the cluster: {error}") from None
        return data

    def _require_same(self, job: EvaluationJob) -> None:
        if self._data.samples[job.split].id != job.data_id:
            raise UsageError(
                f"{platform.node()}, a node of the cluster, has other {job.split} data at the same place: they must lie where "
                "every node sees them, or be the same copy with the same times"
            )


def _ignore(*_: Any) -> None:
    """Take progress that nobody watches."""
