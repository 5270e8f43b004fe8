"""Predictions from a file as a source of evaluation results: the file of
``--predictions``, or one next to the checkpoints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.checkpoints.records import FAILED, OK, PENDING, Record
from dsi_cli.errors import UsageError, count
from dsi_cli.facts import Fact, fact
from dsi_cli.predictions.files import PredictionFile
from dsi_cli.predictions.result import EvaluationResult


@dataclass(frozen=True)
class FilePredictions:
    """The predictions of one run in a file; a
    `dsi_cli.analysis.evaluation.split_evaluations.PredictionSource`.
    """

    description: str  # a description of the file and of the epochs that are used
    # by the path of the checkpoint, which is the last save of its epoch
    results: Mapping[str, EvaluationResult]
    digests: Mapping[str, str]
    missing: Mapping[str, str]  # the reason, by the path of the checkpoint

    # Files contain no features, and no image is read.
    needs_templates = False
    equal_samples = None
    images = 0

    def provenance(self, record: Record) -> dict[str, Any] | None:
        """Return a digest of the predictions of a checkpoint."""
        digest = self.digests.get(record.path)
        return None if digest is None else {"predictions": digest}

    def reason_missing(self, record: Record) -> str | None:
        """Return that the file has no predictions for the epoch of a checkpoint, if
        so.
        """
        return self.missing.get(record.path)

    def evaluate(self, record: Record) -> EvaluationResult:
        """Return the predictions for the epoch of a checkpoint."""
        return self.results[record.path]


def predictions_for_run(
    predictions: PredictionFile, run: RunCheckpoints, labels: ClassLabels
) -> tuple[FilePredictions, list[Fact]]:
    """Return the predictions of one run on one split, and facts about epochs that are
    not exactly those of the run. The predictions have the classes of the largest head.

    Raise `UsageError` if the predictions do not fit the classes or the epochs of the
    run. Predictions of one epoch without its number are those of the last epoch.
    Training predictions may be those of the last epochs alone.
    """
    classes = run.classes or labels.classes
    usable = sorted({record.epoch_number for record in run.usable})
    every = sorted(run.epochs((OK, FAILED, PENDING))) if run.has_epochs else [0]
    if len(every) > 1 and predictions.has_one_epoch(run.name):
        last = predictions.last_epoch(every, usable, run.name)
        results = predictions.results([last], classes, run.names, run.name)
        source = _file_predictions(predictions, run, labels, results)
        if predictions.may_be_last:
            return source, []
        assumed = fact(
            "predictions-without-epoch",
            file=predictions.name,
            of_run=len(every),
            last=every[-1],
        )
        return source, [assumed]
    first_error: UsageError | None = None
    # The rows of an array belong to all epochs of the run, or else to the usable ones;
    # fewer rows of training images are the last ones of all.
    candidates = (every,) if predictions.may_be_last else (every, usable)
    for epochs in filter(None, candidates):
        try:
            results = predictions.results(epochs, classes, run.names, run.name)
        except UsageError as error:
            if error.code == "shifted-epochs":
                raise
            # Of the usable epochs, an error in the contents says more than the number
            # of rows of all epochs.
            if first_error is None or error.code != "epoch-count":
                first_error = error
            continue
        if not results.keys() & {*usable}:
            continue
        source = _file_predictions(predictions, run, labels, results)
        if epochs is not every and predictions.is_in_order:
            assumed = fact(
                "predictions-of-usable-epochs",
                file=predictions.name,
                of_run=len(every),
                used=usable,
                left_out=sorted({*every} - {*usable}),
            )
            return source, [assumed]
        others = predictions.unused_epochs(
            {record.epoch_number for record in run.resolved}, run.name
        )
        return source, _mismatch(predictions, usable, results, others)
    message = f"run {run.name!r} has no epoch that predictions could belong to"
    raise first_error or UsageError(message, code="no-epoch", run=run.name)


def _file_predictions(
    predictions: PredictionFile,
    run: RunCheckpoints,
    labels: ClassLabels,
    results: dict[int, EvaluationResult],
) -> FilePredictions:
    """Return the source with the results by epoch; those of usable checkpoints are
    described.
    """
    usable = sorted({record.epoch_number for record in run.usable})
    epochs = [epoch for epoch in usable if epoch in results]
    used = [results[epoch] for epoch in epochs]
    in_words = f"{count(len(used), 'epoch')}, "
    is_last = epochs == usable[-len(epochs) :] and len(epochs) < len(usable)
    if is_last and predictions.may_be_last:
        in_words = f"epochs {epochs[0]} to {epochs[-1]}, the last {len(epochs)}"
        if len(epochs) == 1:
            in_words = f"epoch {epochs[0]}, the last one"
        in_words += f" of {len(usable)}; "
    # The stored description has no number of epochs, since a later call may use more of
    # them.
    source = {"source": predictions.describe(used)}
    of_paths: dict[str, EvaluationResult] = {}
    digests: dict[str, str] = {}
    missing: dict[str, str] = {}
    for record in run.usable:
        # Predictions are taken to be those of the last save of an epoch.
        if not run.is_last_of_epoch[record.epoch, record.step]:
            continue
        result = results.get(record.epoch_number)
        if result is None:
            reason = f"{predictions.name} has no predictions for epoch {record.epoch}"
            missing[record.path] = reason
        else:
            description = source | result.description
            if run.common_classes != run.classes:
                result = result.of_first(labels.classes)
            result = replace(result, description=description)
            of_paths[record.path] = result
            digests[record.path] = _digest(result)
    in_words = predictions.describe(used, in_words)
    return FilePredictions(in_words, of_paths, digests, missing)


def _mismatch(
    predictions: PredictionFile,
    usable: Sequence[int],
    found: Collection[int],
    others: Sequence[int],
) -> list[Fact]:
    """Return facts about epochs that only the run or only the file has."""
    facts, name = [], predictions.name
    missing = [epoch for epoch in usable if epoch not in found]
    # The description of the source says that training predictions are the last ones.
    is_described = predictions.may_be_last and missing == usable[: len(missing)]
    if missing and not is_described:
        facts.append(
            fact(
                "epochs-without-predictions",
                epochs=missing,
                file=name,
                missing=len(missing),
                of_run=len(usable),
            )
        )
    if others:
        facts.append(fact("predictions-without-checkpoint", epochs=others, file=name))
    return facts


def _digest(result: EvaluationResult) -> str:
    """Return a digest of predictions and of the names by which they were read. Later
    labels may give the names other numbers.
    """
    digest = hashlib.sha256()
    names = result.description["numbers_by_name"]
    digest.update(json.dumps(names, sort_keys=True).encode())
    counts = result.counts
    cells = (
        (counts,)
        if isinstance(counts, np.ndarray)
        else (counts.indptr, counts.indices, counts.data)
    )
    for part in (
        *cells,
        result.predictions,
        result.targets,
        result.scores,
        result.samples,
    ):
        digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
    digest.update(
        repr(None if result.paths is None else list(result.paths)).encode(
            errors="backslashreplace"
        )
    )
    return digest.hexdigest()[:16]
