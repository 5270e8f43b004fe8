"""Run models on labelled data in other processes of a Ray cluster.

Neither models nor images are sent. Each process gets the options, builds the model and decodes the images once for all its
checkpoints. The data must be the same there; it is compared by the names, sizes and times of its files.
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

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.evaluation.dataset_cache import DatasetCache
from dsi_cli.analysis.evaluation.from_model import LoadedModel, ModelPredictions
from dsi_cli.analysis.evaluation.stored import evaluate_or_reason
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import UsageError
from dsi_cli.predictions.result import EvaluationResult

Job = tuple[int, Record]
"""The index of an `EvaluationJob`, and a checkpoint."""


Outcome = tuple[EvaluationResult | str, tuple[str, ...]]
"""A result or the reason why there is none, and messages for the user."""


def lost_result(_job: Job, reason: str) -> Outcome:
    """Return the outcome of a job whose worker died."""
    return reason, ()


@dataclass(frozen=True)
class EvaluationJob:
    """One run on one split, as it is sent to other processes."""

    run: RunCheckpoints
    labels: ClassLabels
    split: str
    targets: NDArray[np.int64]
    equal_samples: NDArray[np.int64] | None
    data_id: str
    has_fitted: bool

    @classmethod
    def of(cls, source: ModelPredictions) -> EvaluationJob:
        """Return the job of a source."""
        model, data_id = source.model, source.data.samples[source.split].id
        splits = source.split, source.targets, source.equal_samples
        return cls(model.run, model.labels, *splits, data_id, model.has_fitted)


@dataclass
class EvaluationWorker:
    """A callable that makes the results of some jobs, and collects messages for the user."""

    jobs: Sequence[EvaluationJob]
    options: Options
    tasks_per_machine: int
    """The number of workers that share the memory of a machine."""
    _notes: list[str] = field(default_factory=list)
    _sources: dict[int, ModelPredictions] = field(default_factory=dict)

    def __call__(self, job: Job) -> Outcome:
        """Return the result of a checkpoint, or the reason why there is none."""
        index, record = job
        source = self._source(index)
        result = evaluate_or_reason(source, record)
        notes, self._notes[:] = tuple(self._notes), []
        return result, notes

    def _source(self, index: int) -> ModelPredictions:
        if index in self._sources:
            return self._sources[index]
        job = self.jobs[index]
        if self._data.samples[job.split].id != job.data_id:
            raise UsageError(
                f"{platform.node()}, a node of the cluster, has different {job.split} data at the same path; put the data"
                " where every node sees it, or copy it with the times of its files",
                code="other-data",
                split=job.split,
            )
        # Both splits of a run share its model.
        models = [source.model for other, source in self._sources.items() if self.jobs[other].run.name == job.run.name]
        if models:
            model = models[0]
        else:
            model = LoadedModel(job.run, job.labels, self.options, self._notes.append)
            model.has_fitted = job.has_fitted
        self._sources[index] = ModelPredictions(
            job.split, self._data, model, job.targets, None, _ignore_progress, job.equal_samples
        )
        return self._sources[index]

    @cached_property
    def _data(self) -> DatasetCache:
        evaluation = replace(self.options.evaluation, download=False)  # the calling process has downloaded the data
        temporary = Path(tempfile.gettempdir())
        data = DatasetCache(evaluation, temporary, self._notes.append, _ignore_progress, shares=self.tasks_per_machine)
        try:
            data.open()
        except UsageError as error:
            raise UsageError(f"{platform.node()}, a node of the cluster: {error}", code=error.code) from None
        return data


def _ignore_progress(*_: Any) -> None:
    """Ignore progress that nobody sees."""
