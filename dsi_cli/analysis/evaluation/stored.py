"""The evaluation results of one run on one split: those of an earlier call, and new ones from a source of predictions.

A result is stored in up to four files: predictions, confusion counts, CCSM and TNCSM. Each contains the checkpoint and the
source that it was made from. The file that is written last shows that all are complete, and contains the loss and the other
values that have no table.

A stored result is removed only when another result of the same checkpoint replaces it, so a source that fails loses nothing.
If a call has a source for a split, only results of this source count. Without a source, all stored results count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.classifiers.earlier_output import Metadata
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints, is_filtered
from dsi_cli.analysis.evaluation.files import MATRIX_PARTS, CompleteFiles, EvaluationFiles
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.relocation import Relocation, epoch_metadata, relocate
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity.confusion import confusion_counts, confusion_similarity
from dsi_cli.similarity.templates import template_similarity
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS


class PredictionSource(Protocol):
    """A source of evaluation results on one split: a file with predictions, or a model and labelled data."""

    @property
    def needs_templates(self) -> bool:
        """True if a result without a TNCSM is incomplete."""

    @property
    def equal_samples(self) -> NDArray[np.int64] | None:
        """The number of images of each class for the TNCSM of equal numbers; None if it is not needed."""

    @property
    def images(self) -> int:
        """The number of images that one result needs."""

    def provenance(self, record: Record, /) -> dict[str, Any] | None:
        """Return what determines the result of a checkpoint, as JSON; None if the source has no result for it."""

    def reason_missing(self, record: Record, /) -> str | None:
        """Return why the source has no result of a checkpoint; None if it has one, or if none is expected."""

    def evaluate(self, record: Record, /) -> EvaluationResult:
        """Return the result of a checkpoint.

        Raises
        ------
        CheckpointError
            There is no result of this checkpoint.
        """


def evaluate_or_reason(source: PredictionSource, record: Record) -> EvaluationResult | str:
    """Return the result of a checkpoint, or the reason of its `CheckpointError`; other errors are raised."""
    try:
        return source.evaluate(record)
    except CheckpointError as error:
        return str(error)


class EvaluationStore:
    """The evaluation results of one run on one split in a results folder.

    Parameters
    ----------
    source : the source of new results; None for stored results only

    Attributes
    ----------
    failed : the reason for each result that could not be made, by the path of the checkpoint
    made : the number of results made in this call
    """

    def __init__(
        self, out: Path, run: RunCheckpoints, split: str, source: PredictionSource | None, options: Options
    ) -> None:
        self.out, self.run, self.split, self.source = out, run, split, source
        self.failed: dict[str, str] = {}
        self.made = 0
        self._files = EvaluationFiles(out, run, split, options.shaping_matrices)
        best = {record.path: self._best_stored(record) for record in run.usable}
        self._stored: dict[str, CompleteFiles] = {path: files for path, files in best.items() if files is not None}
        self._marks: dict[str, Metadata] = {path: files.mark for path, files in self._stored.items()}
        """The marks of the stored results, whatever their source."""

    def _best_stored(self, record: Record) -> CompleteFiles | None:
        """Return the stored result of a checkpoint, preferably one of this source."""

        def rank(files: CompleteFiles) -> tuple[bool, bool]:
            return self._is_from_source(record, files.mark), self._is_enough(files.mark)

        return max(self._files.complete(record), key=rank, default=None)

    def relocate(self) -> None:
        """Move the files of checkpoints that have another epoch now.

        Raises
        ------
        OutputError
            A file cannot be moved.
        """
        relocations, parts = [], {}
        for record in self.run.usable:
            files = self._stored.get(record.path)
            if files is None:
                continue
            for part, path in files.paths.items():
                target = self._files.path(record, part)
                if path != target or not files.has_epoch_of(record):
                    relocations.append(Relocation(path, target, record))
                    parts[target] = part
        moved = relocate(relocations, layout.temporary_folder(self.out))
        for relocation in relocations:
            self._files.discard(relocation.source)
        for relocation in relocations:
            metadata = moved[relocation.target]
            self._files.add(relocation.target, parts[relocation.target], metadata)
            if "parts" in metadata:
                self._marks[relocation.record.path] = metadata

    def needs(self, record: Record) -> bool:
        """Return whether the result of a checkpoint must be made."""
        if self.source is None or self.source.provenance(record) is None:
            return False
        mark = self.mark(record)
        return not mark or not self._is_enough(mark)

    def make(self, record: Record, result: EvaluationResult | str | None = None) -> EvaluationResult | None:
        """Make and store the result of a checkpoint if it is missing; a failure is added to `failed`.

        Parameters
        ----------
        record : a usable checkpoint of the run
        result : the new result, or the reason why there is none, if another process has run the model; None to ask the source

        Returns
        -------
        EvaluationResult or None
            The new result as `stored` would return it, with the text embeddings; None if none was made.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        if not self.needs(record):
            return None
        assert self.source is not None
        if result is None:
            result = evaluate_or_reason(self.source, record)
        if isinstance(result, str):
            self.failed[record.path] = result
            return None
        result = self._with_matrices(result)
        if result.counts is None and result.tncsm is None:
            self.failed[record.path] = f"templates of more than {similarity.MAX_DENSE_CLASSES:,} classes are not compared"
            return None
        for part, table, metadata in list(self._parts(record, result)):
            path = self._files.path(record, part)
            parquet.write(table, path, metadata, layout.temporary_folder(self.out))
            self._files.add(path, part, metadata)
            if "parts" in metadata:
                self._marks[record.path] = metadata
        self.made += 1
        # Only what the tables are made from stays in memory.
        return replace(result, targets=None, predictions=None, scores=None, samples=None, paths=None, templates=None)

    def identity(self, record: Record) -> str:
        """Return text that changes when the result of a checkpoint changes."""
        mark = self.mark(record)
        source = mark.get("source") or self.reason_missing(record)
        return layout.canonical_json({"source": source, "equal_samples": mark.get("equal_samples")})

    def reason_missing(self, record: Record) -> str | None:
        """Return why a checkpoint has no result that counts; None if it has one, or if none is expected."""
        if self.source is None or self.mark(record):
            return None
        reason = self.failed.get(record.path) or self.source.reason_missing(record)
        if reason is not None and record.path in self._marks:
            return f"{reason}; the stored predictions of another source do not count and are kept"
        return reason

    def stored(self, record: Record) -> EvaluationResult:
        """Return the counts, the matrices, loss and top-5 of a checkpoint's stored result; an empty one if none counts.

        Raises
        ------
        OutputError
            A file cannot be read.
        """
        mark = self.mark(record)
        if not mark:
            return EvaluationResult(split=self.split)
        paths = {part: self._files.path(record, part) for part in mark["parts"]}
        counts = None
        if CONFUSIONS.path in paths:
            counts = parquet.to_counts(parquet.read(paths[CONFUSIONS.path]))
        elif PREDICTIONS.path in paths:
            samples = parquet.read(paths[PREDICTIONS.path])
            target, prediction = (samples[name].to_numpy() for name in ("target", "prediction"))
            counts = confusion_counts(target, prediction, mark["classes"])
        matrices = {part: parquet.to_matrix(parquet.read(paths[part])) for part in MATRIX_PARTS if part in paths}
        return EvaluationResult(
            counts,
            loss=mark["loss"],
            top5=mark["top5"],
            split=self.split,
            ccsm=matrices.get("ccsm"),
            tncsm=matrices.get("tncsm"),
            equal_tncsm=matrices.get("tncsm_equal"),
            collapse=mark.get("collapse", {}),
            equal_samples=np.array(mark["equal_samples"]) if mark.get("equal_samples") else None,
        )

    def mark(self, record: Record) -> Metadata:
        """Return the mark of a checkpoint's result; empty without a result that counts."""
        mark = self._marks.get(record.path, {})
        return mark if self._is_from_source(record, mark) else {}

    @property
    def is_empty(self) -> bool:
        """True if no checkpoint has a result that counts."""
        return not any(map(self.mark, self.run.usable))

    def unused_files(self) -> list[Path]:
        """Return the files that belong to no checkpoint now.

        The files of checkpoints that are gone, and of epochs that ``--epochs`` leaves out, are kept.
        """
        usable = {record.path for record in self.run.usable}
        used = {
            self._files.path(record, part)
            for record in self.run.usable
            for part in self._marks.get(record.path, {}).get("parts", ())
        }
        kept = self.run.gone - usable | {record.path for record in self.run.settled if is_filtered(record)}
        return [path for path, owner in self._files.owners.items() if path not in used and owner not in kept]

    def _is_from_source(self, record: Record, mark: Metadata) -> bool:
        """Return whether a result is from the source of this call; without a source, every result counts."""
        if self.source is None:
            return True
        provenance = self.source.provenance(record)
        if provenance is None:
            return False
        return layout.canonical_json(mark.get("source") or {}) == layout.canonical_json(provenance)

    def _is_enough(self, mark: Metadata) -> bool:
        if self.source is None or not self.source.needs_templates or mark.get("classes", 0) > similarity.MAX_DENSE_CLASSES:
            return True
        equal = self.source.equal_samples
        return "tncsm" in mark["parts"] and (equal is None or mark.get("equal_samples") == equal.tolist())

    def _with_matrices(self, result: EvaluationResult) -> EvaluationResult:
        """Return a result with its matrices, unless there are too many classes for them."""
        ccsm, tncsm, equal_tncsm, equal_samples = None, None, None, None
        if result.counts is not None and result.counts.shape[0] <= similarity.MAX_DENSE_CLASSES:
            ccsm = confusion_similarity(result.counts)
        if result.templates is not None and len(result.templates.sums) <= similarity.MAX_DENSE_CLASSES:
            templates = result.templates
            tncsm, equal_samples = template_similarity(templates.sums, templates.samples), templates.equal_samples
            if templates.equal_sums is not None and equal_samples is not None and (equal_samples > 0).sum() > 1:
                equal_tncsm = template_similarity(templates.equal_sums, equal_samples)
        collapse = result.templates.collapse if result.templates is not None else {}
        return replace(
            result,
            split=self.split,
            ccsm=ccsm,
            tncsm=tncsm,
            collapse=collapse,
            equal_tncsm=equal_tncsm,
            equal_samples=equal_samples,
        )

    def _parts(self, record: Record, result: EvaluationResult) -> Iterator[tuple[str, Any, Metadata]]:
        """Yield the name, the table and the metadata of each part of a result, the mark last."""
        assert self.source is not None
        columns = record.key_columns | {"split": self.split}
        metadata = self._files.provenance(record) | epoch_metadata(record) | {"source": self.source.provenance(record)}
        mark: Metadata = {"loss": result.loss, "top5": result.top5, "from": result.description}
        parts: list[tuple[str, Any]] = []
        if result.predictions is not None:
            parts.append((PREDICTIONS.path, _samples_table(columns, result)))
        for kind, matrix in zip(MATRIX_PARTS, (result.ccsm, result.tncsm, result.equal_tncsm), strict=True):
            if matrix is not None:
                indices = {"class_index": range(len(matrix))}
                parts.append((kind, parquet.from_matrix(CSMS, matrix, columns | {"kind": kind}, indices)))
        if result.templates is not None:
            mark |= {"typicality": list(result.templates.typicality), "histograms": result.templates.histograms}
            mark["collapse"] = result.templates.collapse
        if result.equal_samples is not None:
            mark["equal_samples"] = result.equal_samples.tolist()
        if result.counts is not None:
            mark["classes"] = result.counts.shape[0]
            if result.predictions is None or result.ccsm is not None:
                indices = {"class_index": range(mark["classes"])}
                parts.append((CONFUSIONS.path, parquet.from_matrix(CONFUSIONS, result.counts, columns, indices)))
        names = [part for part, _ in parts]
        for part, table in parts:
            yield part, table, metadata | ({"parts": names} | mark if part == names[-1] else {})


def _samples_table(columns: dict[str, Any], result: EvaluationResult) -> Any:
    assert result.predictions is not None
    size = len(result.predictions)
    varying: dict[str, Any] = {
        "target": result.targets,
        "prediction": result.predictions,
        "score": result.scores,
        "path": result.paths,
        "sample": result.samples if result.samples is not None else np.arange(size),
    }
    known = {name: values for name, values in varying.items() if values is not None}
    return parquet.from_columns(PREDICTIONS, size, columns, known)
