"""The evaluation results of one run on one split: those in the cache, and new ones from
a source of predictions.

If a call has a source for a split, only results of this source count. Without a source,
the last result of each checkpoint counts. A result that does not count stays in the
cache until another result of its checkpoint replaces it, so a source that fails loses
nothing.

A result that counts without a source has the class numbers of this call: names of
classes that its predictions were read by get the numbers that the labels give them now.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.cache import EVALUATIONS, Cache, Entry, key_of
from dsi_cli.analysis.classifiers.heads import HeadParameters, head_of_table, head_table
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.evaluation.from_file import FilePredictions
from dsi_cli.analysis.evaluation.from_model import ModelPredictions
from dsi_cli.analysis.previous_plan import PlannedCheckpoint, SavedEvaluation
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError, UsageError
from dsi_cli.facts import Fact, fact
from dsi_cli.predictions.epoch_predictions import numbers_by_name
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import confusion_counts, confusion_similarity
from dsi_cli.store import parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS

PredictionSource = FilePredictions | ModelPredictions
MATRIX_PARTS = ("ccsm", "tncsm", "tncsm_equal")
PARTS = (*MATRIX_PARTS, CONFUSIONS.path, PREDICTIONS.path)
"""The tables of an evaluation."""
INFO, TEXT_HEAD = "info", "text_head"


def evaluate_or_error(
    source: PredictionSource, record: Record
) -> EvaluationResult | CheckpointError:
    """Return the result of a checkpoint, or its `CheckpointError`; other errors are
    raised.
    """
    try:
        with redirect_stdout(
            sys.stderr
        ):  # the user's code may print, and stdout holds only the results of dsi
            return source.evaluate(record)
    except CheckpointError as error:
        return error


class SplitEvaluations:
    """The evaluation results of one run on one split; without a source, those of
    earlier calls only.

    Attributes
    ----------
    failed : the error of each result that could not be made, by the path of the
        checkpoint.
    made : the number of results made in this call.
    """

    def __init__(
        self,
        cache: Cache,
        run: RunCheckpoints,
        split: str,
        source: PredictionSource | None,
        previous: dict[str, PlannedCheckpoint],
    ) -> None:
        self.cache, self.split, self.source = cache, split, source
        self._run = run
        self.failed: dict[str, CheckpointError] = {}
        self.made = 0
        self._lost: list[Record] = []
        self._scanned = {record.path: record for record in run.records}
        # An evaluation belongs to a version of a file.
        self._saved: dict[str, SavedEvaluation] = {}
        for path, checkpoint in previous.items():
            saved, scanned = checkpoint.evaluations.get(split), self._scanned.get(path)
            if saved is None or scanned is None:
                continue
            if checkpoint.record.version != scanned.version:
                continue
            if cache.has(EVALUATIONS, saved.key):
                self._saved[path] = saved
            elif source is None:
                self._lost.append(scanned)
        self._infos: dict[str, Entry] = {}

    @property
    def lost_facts(self) -> list[Fact]:
        """A fact about results that were damaged and have no source, if there are
        any.
        """
        names = [record.name for record in self._lost]
        return (
            [fact("predictions-lost", files=names, split=self.split)] if names else []
        )

    def renumber(self) -> None:
        """Read the names of stored predictions again by the labels of this call, unless
        it has a source.

        Raise `UsageError` if the labels lack a name, or do not give the predictions that
        a result has only as a sum.
        """
        if self.source is not None:
            return
        for record in self._run.usable:
            info = self.info(record)
            earlier = info.get("from", {}).get("numbers_by_name", {})
            now = self._numbers_now(earlier)
            if now == earlier:
                continue
            if info["others"] is not None:
                raise self._other_labels("the classes that not all heads have")
            saved = self._saved[record.path]
            entry = self.cache.read(EVALUATIONS, saved.key, PARTS) | {INFO: info}
            key = key_of("renumbered", saved.key, now)
            self.cache.put(EVALUATIONS, key, _renumbered(entry, earlier, now))
            self._saved[record.path] = SavedEvaluation(key, key)

    def _numbers_now(
        self, earlier: dict[str, dict[str, int]]
    ) -> dict[str, dict[str, int]]:
        """Return the numbers by name of a stored result with the labels of this call."""
        now = {}
        for kind, numbers in earlier.items():
            try:
                now[kind] = numbers_by_name(
                    list(numbers), self._run.classes or 0, self._run.names, kind
                )
            except UsageError as error:
                raise self._other_labels(
                    f"the {kind} {error.fields['label']}"
                ) from None
        return now

    def _other_labels(self, lacking: str) -> UsageError:
        message = (
            f"the predictions of run {self._run.name!r} on {self.split} were read with"
            f" other labels, and the labels of this call do not give {lacking}"
        )
        hint = (
            "give --predictions again, the labels that the predictions were made with"
            " (--labels), or another output with -o"
        )
        return UsageError(
            message,
            hint=hint,
            code="other-labels",
            run=self._run.name,
            split=self.split,
        )

    def needs(self, record: Record) -> bool:
        """Return whether the result of a checkpoint must be made."""
        wanted = self._wanted(record)
        return (
            self.source is not None
            and wanted is not None
            and not self.cache.has(EVALUATIONS, wanted.key)
        )

    def add(self, record: Record, result: EvaluationResult | CheckpointError) -> None:
        """Keep the result of a checkpoint that needs one, or the error because of which
        it could not be made.
        """
        wanted = self._wanted(record)
        assert wanted is not None, "the checkpoint needs a result"
        if (
            not isinstance(result, CheckpointError)
            and result.counts is None
            and result.tncsm is None
        ):
            message = (
                f"templates of more than {similarity.MAX_DENSE_CLASSES:,} classes"
                " are not compared"
            )
            result = CheckpointError(message, code="too-many-templates")
        if isinstance(result, CheckpointError):
            self.failed[record.path] = result
            return
        self.cache.put(EVALUATIONS, wanted.key, _entry(result))
        self.made += 1

    def saved(self, record: Record) -> SavedEvaluation | None:
        """Return the last result of a checkpoint, even if it does not count in this
        call.
        """
        return self.counting(record) or self._saved.get(record.path)

    def counting(self, record: Record) -> SavedEvaluation | None:
        """Return the result of a checkpoint that counts in this call; None if there is
        none yet.
        """
        wanted = self._wanted(record)
        if wanted is None or not self.cache.has(EVALUATIONS, wanted.key):
            return None
        return wanted

    def reason_missing(self, record: Record) -> str | None:
        """Return why a checkpoint has no result that counts; None if it has one, or if
        none is expected.
        """
        if self.source is None or self.counting(record) is not None:
            return None
        error = self.failed.get(record.path)
        return self.source.reason_missing(record) if error is None else str(error)

    def info(self, record: Record) -> Entry:
        """Return the values that have no table, and the origin, of the result that
        counts; empty without one.
        """
        saved = self.counting(record)
        if saved is None:
            return {}
        if saved.key not in self._infos:
            self._infos[saved.key] = self.cache.read(EVALUATIONS, saved.key, [INFO])[
                INFO
            ]
        return self._infos[saved.key]

    def tables(self, record: Record) -> dict[str, Any]:
        """Return the tables of the result that counts, by the name of the part; empty
        without one.
        """
        saved = self.counting(record)
        return {} if saved is None else self.cache.read(EVALUATIONS, saved.key, PARTS)

    def result(self, record: Record) -> EvaluationResult | None:
        """Return the result that counts, with what the rows are made from; None without
        one.
        """
        tables, info = self.tables(record), self.info(record)
        if not tables:
            return None
        matrices = {
            part: parquet.to_matrix(tables[part])
            for part in MATRIX_PARTS
            if part in tables
        }
        counts = None
        if CONFUSIONS.path in tables:
            counts = parquet.to_counts(tables[CONFUSIONS.path])
            if info["others"] is not None:
                counts = np.column_stack([counts, info["others"]])
        elif PREDICTIONS.path in tables:
            samples = tables[PREDICTIONS.path]
            counts = confusion_counts(
                samples["target"].to_numpy(),
                samples["prediction"].to_numpy(),
                info["classes"],
            )
        equal_samples = info["equal_samples"]
        return EvaluationResult(
            counts,
            loss=info["loss"],
            top5=info["top5"],
            split=self.split,
            ccsm=matrices.get("ccsm"),
            tncsm=matrices.get("tncsm"),
            equal_tncsm=matrices.get("tncsm_equal"),
            collapse=info["collapse"],
            equal_samples=np.array(equal_samples) if equal_samples else None,
        )

    def text_head(self, record: Record) -> HeadParameters | None:
        """Return the text embeddings that serve as the head of a checkpoint; None
        without a text tower.
        """
        saved = self.counting(record)
        if saved is None:
            return None
        entry = self.cache.read(EVALUATIONS, saved.key, [TEXT_HEAD])
        return head_of_table(entry[TEXT_HEAD]) if TEXT_HEAD in entry else None

    def _wanted(self, record: Record) -> SavedEvaluation | None:
        """Return the result that counts in this call, which may not be made yet; None
        if no result is expected.
        """
        saved = self._saved.get(record.path)
        if self.source is None:
            return saved
        provenance = self.source.provenance(record)
        if provenance is None:
            return None
        # Predictions of a file are what they are; those of a model depend on all of the
        # checkpoint.
        version = None
        if isinstance(self.source, ModelPredictions):
            version = asdict(replace(self._scanned[record.path], run=""))
        source = key_of("evaluation", provenance, version)
        needs_templates, equal = self.source.needs_templates, self.source.equal_samples
        # A result with more than this call needs is not made again.
        if saved is not None and saved.source == source and not needs_templates:
            return saved
        samples = None if equal is None else equal.tolist()
        return SavedEvaluation(key_of(source, [needs_templates, samples]), source)


def _renumbered(
    entry: Entry,
    earlier: dict[str, dict[str, int]],
    now: dict[str, dict[str, int]],
) -> Entry:
    """Return an entry, made from a file, whose names of targets and of predictions have
    other numbers.
    """
    info = entry[INFO]
    number_now = {}
    for kind in ("target", "prediction"):
        numbers = np.arange(info["classes"])
        for name, number in earlier.get(kind, {}).items():
            numbers[number] = now[kind][name]
        number_now[kind] = numbers
    description = info["from"] | {"numbers_by_name": now}
    renumbered = entry | {INFO: info | {"from": description}}
    if PREDICTIONS.path in entry:
        samples = entry[PREDICTIONS.path]
        for kind, numbers in number_now.items():
            column = samples.schema.get_field_index(kind)
            values = pa.array(numbers[samples[kind].to_numpy()])
            field = samples.schema.field(column)
            samples = samples.set_column(column, field, values.cast(field.type))
        renumbered[PREDICTIONS.path] = samples
    if CONFUSIONS.path in entry:
        earlier_counts = parquet.to_counts(entry[CONFUSIONS.path])
        rows, columns = np.nonzero(earlier_counts)
        counts = np.zeros_like(earlier_counts)
        cells = (number_now["target"][rows], number_now["prediction"][columns])
        np.add.at(counts, cells, earlier_counts[rows, columns])
        renumbered |= _tables_of_counts(counts)
    return renumbered


def _tables_of_counts(counts: NDArray[np.int64]) -> Entry:
    """Return the tables of confusion counts ``(C, C)`` and of their CCSM."""
    indices = {"class_index": range(len(counts))}
    tables = {CONFUSIONS.path: parquet.from_matrix(CONFUSIONS, counts, {}, indices)}
    if len(counts) <= similarity.MAX_DENSE_CLASSES:
        ccsm = confusion_similarity(counts)
        tables["ccsm"] = parquet.from_matrix(CSMS, ccsm, {"kind": "ccsm"}, indices)
    return tables


def _without_others(counts: Any) -> tuple[Any, list[int] | None]:
    """Return square counts, and the column of other classes if there is one."""
    if counts is None or counts.shape[0] == counts.shape[1]:
        return counts, None
    return counts[:, :-1], counts[:, -1].tolist()


def _entry(result: EvaluationResult) -> Entry:
    """Return a result as an entry of the cache."""
    counts, others = _without_others(result.counts)
    entry: Entry = {}
    if result.predictions is not None:
        size = len(result.predictions)
        samples = range(size) if result.samples is None else result.samples
        varying: dict[str, Any] = {
            "target": result.targets,
            "prediction": result.predictions,
            "sample": samples,
            "score": result.scores,
            "path": result.paths,
        }
        known = {name: values for name, values in varying.items() if values is not None}
        entry[PREDICTIONS.path] = parquet.from_columns(PREDICTIONS, size, {}, known)
    # The counts of too many classes follow from the predictions, if these are stored.
    if counts is not None and (
        result.predictions is None or counts.shape[0] <= similarity.MAX_DENSE_CLASSES
    ):
        entry |= _tables_of_counts(counts)
    templates = {"tncsm": result.tncsm, "tncsm_equal": result.equal_tncsm}
    for kind, matrix in templates.items():
        if matrix is not None:
            indices = {"class_index": range(len(matrix))}
            entry[kind] = parquet.from_matrix(CSMS, matrix, {"kind": kind}, indices)
    if result.text_weight is not None:
        entry[TEXT_HEAD] = head_table(HeadParameters(result.text_weight))
    equal = result.equal_samples
    has_templates = bool(result.histograms)
    entry[INFO] = {
        "parts": [part for part in PARTS if part in entry],
        "from": result.description,
        "classes": None if counts is None else counts.shape[0],
        "others": others,
        "loss": result.loss,
        "top5": result.top5,
        "typicality": list(result.typicality) if has_templates else [],
        "histograms": result.histograms,
        "collapse": result.collapse if has_templates else {},
        "equal_samples": None if equal is None else equal.tolist(),
    }
    return entry
