"""Collect the evaluation results of all runs on all splits: choose the source of each, and make those that are missing.

On a Ray cluster, neither models nor images are sent. Each process gets the options, builds the model and decodes the images
once for all its checkpoints. The data must be the same there; it is compared by the names, sizes and times of its files.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.evaluation import from_file
from dsi_cli.analysis.evaluation.from_model import DatasetCache, LoadedModel, ModelPredictions, Say, model_for_run
from dsi_cli.analysis.evaluation.stored import EvaluationStore, PredictionSource, evaluate_or_reason
from dsi_cli.analysis.option_groups.groups import SPLITS
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.tables import curves
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import CURVES
from dsi_cli.engines import Engine
from dsi_cli.errors import UsageError
from dsi_cli.inference.preprocess import Preprocessing
from dsi_cli.predictions import files
from dsi_cli.predictions.files import PredictionFile, shorten_epochs
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.store import layout
from dsi_cli.store.schema import TYPICALITY, TYPICALITY_HISTOGRAM, Table

Job = tuple[int, Record]
"""The index of an `EvaluationJob`, and a checkpoint."""
Outcome = tuple[EvaluationResult | str, tuple[str, ...]]
"""A result or the reason why there is none, and messages for the user."""
ReportProgress = Callable[[str, int, int], None]
"""Takes a stage in words, the number of things done, and their total."""
STAGE = "running the model on images"
READABLE_PARTS = 3
"""The number of parts of `_provenance_parts` that can be shown to the user."""


@dataclass
class ImageProgress:
    """The progress of running models, in images."""

    report: ReportProgress
    done: int = 0
    total: int = 0

    def add(self, images: int) -> None:
        """Count images that are done."""
        self.done += images
        self.report(STAGE, self.done, self.total)


@dataclass(frozen=True)
class EvaluationInputs:
    """The labelled data and the predictions that the options name."""

    data: DatasetCache | None
    predictions: PredictionFile | None


def open_inputs(out: Path, options: Options, say: Say, report: ReportProgress) -> EvaluationInputs:
    """Open the data and the predictions that the options name; raise `UsageError` if one of them cannot be read."""
    evaluation, data, predictions = options.evaluation, None, None
    if evaluation.data:
        data = DatasetCache(evaluation, layout.temporary_folder(out), say, report)
        data.open()
    if evaluation.predictions is not None:
        predictions = files.read_predictions(evaluation.predictions, evaluation.targets, truth=evaluation.truth)
    return EvaluationInputs(data, predictions)


@dataclass
class RunEvaluations:
    """The evaluation results of all runs.

    Attributes
    ----------
    stores : the results of each run, one store per split.
    sources : a description of the source of the results, by run and split.
    """

    stores: dict[str, list[EvaluationStore]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)

    def make(
        self, runs: Sequence[RunCheckpoints], progress: ImageProgress, engine: Engine
    ) -> Iterator[dict[str, EvaluationResult]]:
        """Make and store the missing results of one checkpoint after another, and yield the new ones of each by split.

        At the end, files that belong to no checkpoint are removed.

        Parameters
        ----------
        runs : all runs; the checkpoints are those that are usable now.
        engine : runs models, one after another in this process, or elsewhere.
        """
        every_store = [store for stores in self.stores.values() for store in stores]
        for store in every_store:
            store.relocate()
        records = [record for run in runs for record in run.usable]
        jobs = [(store, record) for record in records for store in self.stores[record.run]]
        progress.total = sum(
            store.source.images for store, record in jobs if store.source is not None and store.needs(record)
        )
        made_elsewhere = _results_from_cluster(jobs, progress, engine) if engine.is_elsewhere else repeat(None)
        for record in records:
            results = {}
            for store in self.stores[record.run]:
                result = store.make(record, next(made_elsewhere))
                if result is not None:
                    results[store.split] = result
            yield results
        for store in every_store:
            layout.remove(store.unused_files())

    def identity(self, record: Record) -> str:
        """Return text that changes when the results of a checkpoint change; empty without any."""
        return " ".join(
            f"{store.split}:{store.identity(record)}"
            for store in self.stores[record.run]
            if store.mark(record) or store.reason_missing(record)
        )

    def missing_rows(self, record: Record) -> list[Row]:
        """Return the rows of the curves table that say why a checkpoint has no result."""
        rows: list[Row] = []
        for store in self.stores[record.run]:
            reason = store.reason_missing(record)
            if reason is not None:
                rows += curves.missing_rows(store.split, reason, record)
        return rows

    def typicality_rows(self, record: Record) -> Iterator[tuple[Table, list[Row]]]:
        """Yield the rows of the typicality tables of a checkpoint."""
        for store in self.stores[record.run]:
            mark = store.mark(record)
            columns = record.key_columns | {"split": store.split}
            yield TYPICALITY, [columns | row for row in mark.get("typicality", [])]
            rows = []
            for is_right, counts in zip((False, True), mark.get("histograms", []), strict=False):
                edges = np.linspace(-1.0, 1.0, len(counts) + 1).tolist()
                for low, high, samples in zip(edges, edges[1:], counts, strict=False):
                    rows.append(columns | {"correct": is_right, "low": low, "high": high, "samples": samples})
            yield TYPICALITY_HISTOGRAM, rows

    def collapse(self, record: Record) -> dict[str, dict[str, Any]]:
        """Return the values by class of neural collapse at a checkpoint, by split."""
        marks = {store.split: store.mark(record).get("collapse") for store in self.stores[record.run]}
        return {split: values for split, values in marks.items() if values}


def prepare(
    out: Path,
    runs: Sequence[RunCheckpoints],
    labels: Mapping[str, ClassLabels],
    options: Options,
    inputs: EvaluationInputs,
    progress: ImageProgress,
) -> RunEvaluations:
    """Return the stored results of all runs, with the source of each missing one; raise `UsageError` if one does not fit."""
    evaluations = RunEvaluations()
    if inputs.predictions is not None:
        usable = [run.name for run in runs if run.usable and labels[run.name].classes]
        files.require_one_run(inputs.predictions, usable)
    for run in runs:
        name = run.name
        sources, warnings = _sources(run, labels[name], options, inputs, progress)
        stores = [EvaluationStore(out, run, split, sources.get(split), options) for split in SPLITS]
        evaluations.stores[name] = stores
        evaluations.sources[name] = {}
        for store in stores:
            if isinstance(store.source, ModelPredictions):
                store.source.model.has_fitted |= any(map(store.mark, run.usable))
            mixed = _mixed_sources_warning(store, run)
            if mixed is not None:
                warnings.append(mixed)
            # Describe the source of the split's results, which may come from an earlier call.
            mark = next((mark for record in run.usable if (mark := store.mark(record))), None)
            if store.source is not None:
                evaluations.sources[name][store.split] = store.source.description
            elif mark is not None:
                earlier = mark.get("from", {}).get("source", "unknown")
                evaluations.sources[name][store.split] = f"{earlier}, from an earlier call"
        evaluations.warnings += [f"{name}: {warning}" for warning in warnings]
    return evaluations


def _sources(
    run: RunCheckpoints, labels: ClassLabels, options: Options, inputs: EvaluationInputs, progress: ImageProgress
) -> tuple[dict[str, PredictionSource], list[str]]:
    """Return the source of each split, and warnings; options come before predictions next to the checkpoints."""
    sources: dict[str, PredictionSource] = {}
    warnings: list[str] = []
    if not run.usable or not labels.classes:
        return sources, warnings
    if inputs.data is not None:
        models, warnings = model_for_run(inputs.data, run, labels, options, progress.add)
        sources |= models
    if inputs.predictions is not None:
        source, warning = from_file.predictions_for_run(inputs.predictions, run, labels)
        sources[options.evaluation.predictions_split] = source
        warnings += [] if warning is None else [warning]
    before = options.evaluation.predictions_before
    if "test" not in sources and (before is None or before[1] != "test"):
        nearby, warning = from_file.predictions_next_to_checkpoints(run, labels)
        if nearby is not None:
            sources["test"] = nearby
        warnings += [] if warning is None else [warning]
    return sources, warnings


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
            job.split, self._data, model, job.targets, None, lambda _: None, job.equal_samples
        )
        return self._sources[index]

    @cached_property
    def _data(self) -> DatasetCache:
        evaluation = replace(self.options.evaluation, download=False)  # the calling process has downloaded the data
        temporary = Path(tempfile.gettempdir())
        data = DatasetCache(evaluation, temporary, self._notes.append, lambda *_: None, shares=self.tasks_per_machine)
        try:
            data.open()
        except UsageError as error:
            raise UsageError(f"{platform.node()}, a node of the cluster: {error}", code=error.code) from None
        return data


def _results_from_cluster(
    jobs: Sequence[tuple[EvaluationStore, Record]], progress: ImageProgress, engine: Engine
) -> Iterator[EvaluationResult | str | None]:
    """Yield for each job the result of running its model on the cluster, or the reason why there is none.

    For jobs that need no model, yield None.
    """
    sources: list[ModelPredictions] = []
    sent: list[tuple[int, Record] | None] = []
    for store, record in jobs:
        source = store.source
        if not isinstance(source, ModelPredictions) or not store.needs(record):
            sent.append(None)
            continue
        if not any(source is other for other in sources):
            sources.append(source)
        sent.append((next(index for index, other in enumerate(sources) if other is source), record))
    if not sources:
        yield from repeat(None, len(jobs))
        return
    worker = EvaluationWorker(
        [EvaluationJob.of(source) for source in sources], sources[0].model.options, engine.tasks_a_machine()
    )
    results = engine.map_whole(worker, [job for job in sent if job is not None], lambda _job, reason: (reason, ()))
    shown_notes: set[str] = set()
    for job in sent:
        if job is None:
            yield None
            continue
        result, notes = next(results)
        source = sources[job[0]]
        for note in notes:
            if note not in shown_notes:
                shown_notes.add(note)
                source.data.say(note)
        progress.add(source.images)
        yield result


def _mixed_sources_warning(store: EvaluationStore, run: RunCheckpoints) -> str | None:
    """Return the warning that stored results come from different sources; None if they do not."""
    if store.source is not None:
        return None  # only results of this source count
    epochs_by_parts: dict[tuple[str, ...], list[int]] = {}
    for record in run.usable:
        mark = store.mark(record)
        if mark:
            epochs_by_parts.setdefault(_provenance_parts(mark), []).append(record.epoch or 0)
    if len(epochs_by_parts) < 2:
        return None
    differing = [index for index, parts in enumerate(zip(*epochs_by_parts, strict=True)) if len(set(parts)) > 1]
    shown = [index for index in differing if index < READABLE_PARTS] or [0]
    listed = "; ".join(
        f"{len(epochs)} epoch{'s' * (len(epochs) > 1)} ({shorten_epochs(epochs)}) by {', '.join(parts[index] for index in shown)}"
        for parts, epochs in epochs_by_parts.items()
    )
    more = "" if differing[0] < READABLE_PARTS else ", with different data, code or arguments"
    return (
        f"the curves on {store.split} contain predictions from different sources: {listed}{more}; to make them comparable,"
        f" run again for all epochs with --{store.split} or --predictions"
    )


def _provenance_parts(mark: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a result was made from: data, model and images in words, and everything as JSON unless it is from a file."""
    description, source = mark.get("from", {}), mark.get("source", {})
    preprocessing = description.get("preprocessing")
    images = Preprocessing(**preprocessing).describe() if preprocessing else ""
    everything = "" if "predictions" in source else layout.canonical_json(source)
    return str(description.get("source", "unknown")), str(description.get("model") or ""), images, everything


def splits_with_other_accuracy(rows: Sequence[Row], written: Mapping[str, float]) -> list[str]:
    """Return the splits whose accuracy differs from the trainer's by more than other samples could explain."""
    computed = {row["split"]: row for row in rows if row["metric"] == "accuracy" and row.get("value") is not None}
    splits = []
    for name, value in written.items():
        curve = CURVES.get(name)
        row = computed.get(curve.split) if curve is not None and curve.metric == "accuracy" else None
        if row is None:
            continue
        standard_error = sqrt(max(value * (1 - value), 1e-4) / max(1, row["samples_used"] or 1))
        if abs(row["value"] - value) > 4 * standard_error + 1e-3:
            splits.append(str(row["split"]))
    return splits
