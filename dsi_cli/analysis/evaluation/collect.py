"""Collect the evaluation results of all runs on all splits: choose the source of each,
and make those that are missing.

On a Ray cluster, neither models nor images are sent. Each process gets the options,
builds the model and decodes the images once for all its checkpoints. The data must be
the same there; it is compared by the names, sizes and times of its files.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from math import sqrt
from typing import Any

import numpy as np

from dsi_cli.analysis.cache import Cache, Entry
from dsi_cli.analysis.classifiers.heads import HeadParameters
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.evaluation import from_file
from dsi_cli.analysis.evaluation.from_model import (
    DatasetCache,
    ModelPredictions,
    Notify,
    model_for_run,
)
from dsi_cli.analysis.evaluation.split_evaluations import (
    PredictionSource,
    SplitEvaluations,
    evaluate_or_error,
)
from dsi_cli.analysis.option_groups.groups import SPLITS
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.previous_plan import PlannedRun
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.tables import curves
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import CURVES
from dsi_cli.engines import Engine
from dsi_cli.errors import CheckpointError, UsageError
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.predictions import files
from dsi_cli.predictions.files import PredictionFile, RunFolders
from dsi_cli.predictions.result import EvaluationResult

CLASS_ORDER = ("class-order-sorted", "class-order-as-text")
"""The codes of facts about an order of classes that no labels state."""

# takes a stage in words, the number of things done, and their total
ReportProgress = Callable[[str, int, int], None]


def open_inputs(
    options: Options, notify: Notify, report: ReportProgress
) -> tuple[DatasetCache | None, PredictionFile | RunFolders | None]:
    """Open the data and the predictions that the options name; raise `UsageError` if
    one of them cannot be read, or if both give the same split.
    """
    evaluation, predictions = options.evaluation, None
    if evaluation.predictions is not None:
        predictions = files.open_predictions(
            evaluation.predictions,
            evaluation.targets,
            truth=evaluation.truth,
            split=evaluation.predictions_split,
        )
        for split in sorted(predictions.splits & evaluation.data.keys()):
            raise UsageError(
                f"--predictions and --{split} both give the {split} split",
                hint="leave one of them out",
                code="two-sources",
                split=split,
            )
    with redirect_stdout(sys.stderr):  # the code of a data set may print
        data = DatasetCache(evaluation, notify, report) if evaluation.data else None
    return data, predictions


@dataclass
class RunEvaluations:
    """The evaluation results of all runs.

    Attributes
    ----------
    splits : the results of each run on each split.
    sources : a description of the source of the results, by run and split.
    noticed : what the source of this call, or else that of the earlier results, showed,
        by run and split.
    """

    report: ReportProgress
    splits: dict[str, list[SplitEvaluations]] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)  # what was noticed
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    noticed: dict[str, Mapping[str, Sequence[Fact]]] = field(default_factory=dict)
    _images_done: int = 0
    _images: int = 0

    def add_images(self, images: int) -> None:
        """Report the progress of running models."""
        self._images_done += images
        self.report("running the model on images", self._images_done, self._images)

    def make(self, runs: Sequence[RunCheckpoints], engine: Engine | None) -> None:
        """Make the missing results of all usable checkpoints, one after another.

        The engine runs models elsewhere; without one, they run in this process.
        """
        of_models: list[tuple[SplitEvaluations, ModelPredictions, Record]] = []
        here: list[tuple[SplitEvaluations, PredictionSource, Record]] = []
        for record in [record for run in runs for record in run.usable]:
            for split in self.splits[record.run]:
                source = split.source
                if source is None or not split.needs(record):
                    continue
                self._images += source.images
                if engine is not None and isinstance(source, ModelPredictions):
                    of_models.append((split, source, record))
                else:
                    here.append((split, source, record))
        if engine is not None and of_models:
            _run_on_cluster(of_models, self.add_images, engine)
        for split, source, record in here:
            split.add(record, evaluate_or_error(source, record))

    def keys(self, record: Record) -> dict[str, str]:
        """Return the keys of the results of a checkpoint that count in this call, by
        split.
        """
        counting = {
            split.split: split.counting(record) for split in self.splits[record.run]
        }
        return {
            split: saved.key for split, saved in counting.items() if saved is not None
        }

    def text_head(self, record: Record) -> HeadParameters | None:
        """Return the text embeddings that serve as the head of a checkpoint; None
        without a text tower.
        """
        heads = (split.text_head(record) for split in self.splits[record.run])
        return next((head for head in heads if head is not None), None)

    def missing_rows(self, record: Record) -> list[Row]:
        """Return the rows of the curves table that say why a checkpoint has no result,
        without its run and epoch.
        """
        rows: list[Row] = []
        for split in self.splits[record.run]:
            reason = split.reason_missing(record)
            if reason is not None:
                rows += curves.missing_rows(split.split, reason)
        return rows

    def typicality_rows(self, record: Record) -> list[Row]:
        """Return the rows of the table of typicality of a checkpoint."""
        rows: list[Row] = []
        for split in self.splits[record.run]:
            columns = record.key_columns | {"split": split.split}
            values = split.info(record).get("typicality", [])
            rows += [columns | row for row in values]
        return rows

    def histogram_rows(self, record: Record) -> list[Row]:
        """Return the rows of the histogram of typicality of a checkpoint."""
        rows: list[Row] = []
        for split in self.splits[record.run]:
            columns = record.key_columns | {"split": split.split}
            histograms = split.info(record).get("histograms", [])
            for is_right, counts in zip((False, True), histograms, strict=False):
                edges = np.linspace(-1.0, 1.0, len(counts) + 1).tolist()
                for low, high, samples in zip(edges, edges[1:], counts, strict=False):
                    bin_columns = {"low": low, "high": high, "samples": samples}
                    rows.append(columns | {"correct": is_right} | bin_columns)
        return rows

    def collapse(self, record: Record) -> dict[str, dict[str, Any]]:
        """Return the values by class of neural collapse at a checkpoint, by split."""
        values = {
            split.split: split.info(record).get("collapse")
            for split in self.splits[record.run]
        }
        return {split: of_split for split, of_split in values.items() if of_split}


def prepare_evaluations(
    cache: Cache,
    runs: Sequence[RunCheckpoints],
    labels: Mapping[str, ClassLabels],
    options: Options,
    data: DatasetCache | None,
    predictions: PredictionFile | RunFolders | None,
    previous: Mapping[str, PlannedRun],
    report: ReportProgress,
) -> RunEvaluations:
    """Return the results of all runs, with the source of each missing one; raise
    `UsageError` if one does not fit.
    """
    evaluations = RunEvaluations(report)
    if predictions is not None:
        usable = {
            run.name: run.training.folder
            for run in runs
            if run.usable and labels[run.name].classes
        }
        files.require_runs(predictions, usable)
    for run in runs:
        sources: dict[str, PredictionSource] = {}
        noticed: dict[str, Sequence[Fact]] = {}
        earlier = previous.get(run.name, PlannedRun())
        if run.usable and labels[run.name].classes:
            sources, of_sources = _sources(
                run,
                labels[run.name],
                options,
                data,
                predictions,
                evaluations.add_images,
            )
            noticed |= of_sources
        # Results of an earlier call count without a source, and so do the facts, but
        # labels that are given answer the question of the classes' order.
        for name, remembered in earlier.noticed.items():
            holding = remembered
            if run.given is not None:
                holding = [one for one in remembered if one.code not in CLASS_ORDER]
            noticed.setdefault(name, holding)
        evaluations.noticed[run.name] = noticed
        facts = list(chain(*evaluations.noticed[run.name].values()))
        checkpoints = {one.record.path: one for one in earlier.checkpoints}
        evaluations.splits[run.name] = [
            SplitEvaluations(cache, run, split, sources.get(split), checkpoints)
            for split in SPLITS
        ]
        descriptions = evaluations.sources[run.name] = {}
        for split in evaluations.splits[run.name]:
            facts += split.lost_facts
            split.renumber()
            infos = [
                (record.epoch_number, info)
                for record in run.usable
                if (info := split.info(record))
            ]
            if split.source is not None:
                descriptions[split.split] = split.source.description
                if isinstance(split.source, ModelPredictions):
                    split.source.model.has_fitted |= bool(infos)
            elif infos:
                source = infos[0][1]["from"].get("source", "unknown")
                descriptions[split.split] = f"{source}, from an earlier call"
                _require_same_labels(run, split.split, infos, labels[run.name])
                facts += _mixed_sources(split.split, infos)
        evaluations.facts += about_run(run.name, facts)
    return evaluations


def _sources(
    run: RunCheckpoints,
    labels: ClassLabels,
    options: Options,
    data: DatasetCache | None,
    predictions: PredictionFile | RunFolders | None,
    progress: Callable[[int], None],
) -> tuple[dict[str, PredictionSource], dict[str, list[Fact]]]:
    """Return the source of each split, and facts about it; options come before
    predictions next to the checkpoints.
    """
    sources: dict[str, PredictionSource] = {}
    facts: dict[str, list[Fact]] = {}
    if data is not None:
        models, facts = model_for_run(data, run, labels, options, progress)
        sources |= models
    given_splits = {*sources}
    if predictions is not None:
        given_splits |= predictions.splits
        of_run = predictions.of_run(run.name, run.training.folder)
        if not of_run:
            others = fact("predictions-of-other-runs", file=predictions.name)
            facts[min(predictions.splits)] = [others]
        for split, of_split in of_run.items():
            sources[split], facts[split] = from_file.predictions_for_run(
                of_split, run, labels
            )
    if options.evaluation.predictions_before is not None:
        given_splits |= {*options.evaluation.predictions_before[1:]}
    for split in files.NEARBY_FILES:
        if split not in given_splits:
            taken = given_splits | sources.keys()
            found, noticed = _nearby_predictions(run, labels, split, taken)
            sources |= found
            for name, of_name in noticed.items():
                facts[name] = [*facts.get(name, ()), *of_name]
    return sources, facts


def _nearby_predictions(
    run: RunCheckpoints, labels: ClassLabels, split: str, taken: Collection[str]
) -> tuple[dict[str, PredictionSource], dict[str, list[Fact]]]:
    """Return the predictions in the files of a split next to the checkpoints of a run,
    if they fit, and what was noticed, by split; without splits that have a source.
    """
    sources: dict[str, PredictionSource] = {}
    folder = run.training.folder
    names = files.nearby_names(folder, split)
    if not names:
        return sources, {}
    facts = {
        split: [
            fact("predictions-not-used", file=name, used=names[0]) for name in names[1:]
        ]
    }

    def unusable(error: UsageError) -> Fact:
        return fact("predictions-unusable", file=names[0], reason=str(error))

    try:
        paths = files.find_prediction_files(folder, split)
        assert paths is not None
        found = files.read_predictions(*paths).of_run(run.name, folder)
    except UsageError as error:
        facts[split].append(unusable(error))
        return sources, facts
    if not found:
        other = fact("predictions-nearby-of-other-runs", file=names[0])
        facts[split].append(other)
    for name, of_split in found.items():
        if name in taken:
            continue
        of_file = facts.setdefault(name, [])
        try:
            sources[name], more = from_file.predictions_for_run(of_split, run, labels)
            of_file += more
        except UsageError as error:
            of_file.append(unusable(error))
    return sources, facts


@dataclass
class EvaluationWorker:
    """A callable that runs the models of some runs in another process, and collects
    messages for the user.
    """

    runs: dict[str, tuple[RunCheckpoints, ClassLabels, bool]]
    """Each run with its labels, and with `LoadedModel.has_fitted`."""
    # the id of the data that the calling process has, by split
    data_ids: dict[str, str]
    options: Options
    tasks_per_machine: int  # the number of workers that share the memory of a machine
    _notes: list[str] = field(default_factory=list)
    _sources: dict[str, dict[str, ModelPredictions]] = field(default_factory=dict)

    def __call__(
        self, job: tuple[str, Record]
    ) -> tuple[EvaluationResult | CheckpointError, tuple[str, ...]]:
        """Return the result of a split and a checkpoint, or the error because of which
        it failed, and messages for the user.
        """
        split, record = job
        if record.run not in self._sources:
            run, labels, has_fitted = self.runs[record.run]
            self._sources[run.name], _ = model_for_run(
                self._data, run, labels, self.options, lambda _: None
            )
            self._sources[run.name][split].model.has_fitted = has_fitted
        result = evaluate_or_error(self._sources[record.run][split], record)
        notes, self._notes[:] = tuple(self._notes), []
        return result, notes

    @cached_property
    def _data(self) -> DatasetCache:
        # the calling process has downloaded the data
        evaluation = replace(self.options.evaluation, download=False)
        try:
            data = DatasetCache(
                evaluation, self._notes.append, lambda *_: None, self.tasks_per_machine
            )
        except UsageError as error:
            raise UsageError(
                f"{platform.node()}, a node of the cluster: {error}", code=error.code
            ) from None
        for split, samples in data.samples.items():
            if samples.id != self.data_ids[split]:
                message = (
                    f"{platform.node()}, a node of the cluster, has different {split}"
                    " data at the same path"
                )
                raise UsageError(
                    message,
                    hint=(
                        "put the data where every node sees it, or copy it with the"
                        " times of its files"
                    ),
                    code="other-data",
                    split=split,
                )
        return data


def _run_on_cluster(
    jobs: Sequence[tuple[SplitEvaluations, ModelPredictions, Record]],
    progress: Callable[[int], None],
    engine: Engine,
) -> None:
    """Add the results of running models on the cluster."""
    runs = {}
    for _, source, _ in jobs:
        data, model = source.data, source.model
        runs[model.run.name] = (model.run, model.labels, model.has_fitted)
    data_ids = {split: samples.id for split, samples in data.samples.items()}
    worker = EvaluationWorker(runs, data_ids, model.options, engine.tasks_per_machine())
    results = engine.map_in_order(
        worker,
        [(split.split, record) for split, _, record in jobs],
        lambda _job, reason: (CheckpointError(reason, code="lost-task"), ()),
        per_machine=True,
    )
    shown_notes: set[str] = set()
    for (split, source, record), (result, notes) in zip(jobs, results, strict=True):
        for note in notes:
            if note not in shown_notes:
                shown_notes.add(note)
                data.notify(note)
        progress(source.images)
        split.add(record, result)


def _require_same_labels(
    run: RunCheckpoints,
    split: str,
    infos: Sequence[tuple[int, Entry]],
    labels: ClassLabels,
) -> None:
    """Raise `UsageError` if class names that gave the targets of a stored result are
    names of other classes in this call.
    """
    from dsi_cli.inference.class_matching import match_by_name

    used = {
        tuple((info["from"].get("class_numbers") or {}).items()) for _, info in infos
    }
    names = [entry.label for entry in labels.resolutions]
    wnids = [entry.wnid for entry in labels.resolutions]
    for numbers in used - {()} if names else ():
        now = match_by_name([name for name, _ in numbers], None, names, wnids)
        if any(
            number not in (earlier, None)
            for number, (_, earlier) in zip(now, numbers, strict=True)
        ):
            message = (
                f"the results of run {run.name!r} on {split} were made with other"
                " labels, whose names gave the class "
            )
            message += (
                f"of each image; add --{split} with the data to make them again, or"
                " choose another output with -o"
            )
            raise UsageError(message, code="other-labels", run=run.name, split=split)


def _mixed_sources(split: str, infos: Sequence[tuple[int, Entry]]) -> list[Fact]:
    """Return a fact if the results of a split, whose epochs and values are given, were
    not all made from the same predictions, or with the same data and model.
    """
    sources = {
        (info["from"].get("source"), info["from"].get("origin")) for _, info in infos
    }
    return [fact("sources-differ", split=split)] if len(sources) > 1 else []


def splits_with_other_accuracy(
    rows: Sequence[Row], written: Mapping[str, float]
) -> list[str]:
    """Return the splits whose accuracy differs from the trainer's by more than other
    samples could explain.
    """
    computed = {
        row["split"]: row
        for row in rows
        if row["metric"] == "accuracy" and row.get("value") is not None
    }
    splits = []
    for name, value in written.items():
        curve = CURVES.get(name)
        if curve is not None and curve.metric == "accuracy" and curve.split in computed:
            row = computed[curve.split]
            standard_error = sqrt(
                max(value * (1 - value), 1e-4) / max(1, row["samples_used"] or 1)
            )
            if abs(row["value"] - value) > 4 * standard_error + 1e-3:
                splits.append(str(row["split"]))
    return splits
