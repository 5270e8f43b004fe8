"""The evaluation results of one run on one split: those of an earlier call, and new ones from a source of predictions.

A result is stored in up to four files: predictions, confusion counts, CCSM and TNCSM. Each contains the checkpoint and the
source that it was made from. The file that is written last shows that all are complete: its metadata, the mark of the result,
contains ``parts``, the names of all files, and the loss and the other values that have no table.

A stored result is removed only when another result of the same checkpoint replaces it, so a source that fails loses nothing.
If a call has a source for a split, only results of this source count. Without a source, all stored results count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.classifiers.earlier_output import Metadata, provenance_key
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints, is_filtered
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.relocation import Relocation, epoch_metadata, has_epoch, relocate
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import confusion_counts, confusion_similarity, template_similarity
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS

MATRIX_PARTS = ("ccsm", "tncsm", "tncsm_equal")


class PredictionSource(Protocol):
    """A source of evaluation results on one split: a file with predictions, or a model and labelled data."""

    @property
    def description(self) -> str:
        """A description of the source for the summary."""

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
        """Return the result of a checkpoint; raise `CheckpointError` if there is none."""


def evaluate_or_reason(source: PredictionSource, record: Record) -> EvaluationResult | str:
    """Return the result of a checkpoint, or the reason of its `CheckpointError`; other errors are raised."""
    try:
        return source.evaluate(record)
    except CheckpointError as error:
        return str(error)


class _StoredFile(NamedTuple):
    path: Path
    part: str
    metadata: Metadata


class EvaluationStore:
    """The evaluation results of one run on one split in a results folder.

    Parameters
    ----------
    source : the source of new results; None for stored results only.

    Attributes
    ----------
    failed : the reason for each result that could not be made, by the path of the checkpoint.
    made : the number of results made in this call.
    """

    def __init__(
        self, out: Path, run: RunCheckpoints, split: str, source: PredictionSource | None, options: Options
    ) -> None:
        self.out, self.run, self.split, self.source = out, run, split, source
        self.failed: dict[str, str] = {}
        self.made = 0
        self._shaping = options.shaping_matrices
        self._owners: dict[Path, str | None] = {}
        """The path of the checkpoint that each file was made from; None if the file is damaged."""
        by_provenance: dict[str, list[_StoredFile]] = {}
        for table in (CONFUSIONS, PREDICTIONS, CSMS):
            folders = {f"{kind}-{split}": kind for kind in MATRIX_PARTS} if table is CSMS else {split: table.path}
            for path, metadata in layout.files_of(out, table, run.name).items():
                if path.parent.name in folders:
                    self._owners[path] = metadata.get("record", {}).get("path")
                    file = _StoredFile(path, folders[path.parent.name], metadata)
                    by_provenance.setdefault(provenance_key(metadata), []).append(file)
        # Choose the stored result of each checkpoint, preferably one of this source.
        self._stored: dict[str, list[_StoredFile]] = {}
        self._marks: dict[str, Metadata] = {}
        """The marks of the stored results, whatever their source."""
        for record in run.usable:
            results = self._complete_results(
                record, by_provenance.get(provenance_key(run.provenance(record, self._shaping)), [])
            )
            if results:
                marks = [files[-1].metadata for files in results]
                ranks = [(self._is_from_source(record, mark), self._is_enough(mark)) for mark in marks]
                best = ranks.index(max(ranks))
                self._stored[record.path], self._marks[record.path] = results[best], marks[best]

    def _complete_results(self, record: Record, files: Iterable[_StoredFile]) -> list[list[_StoredFile]]:
        """Return the stored results of a checkpoint that have all their parts, one per source, each with its mark last."""
        by_source: dict[str, dict[str, _StoredFile]] = {}
        for file in files:
            parts = by_source.setdefault(layout.canonical_json(file.metadata.get("source") or {}), {})
            if file.part not in parts or file.path == self._path(record, file.part):
                parts[file.part] = file
        results = []
        for parts in by_source.values():
            names = next((file.metadata["parts"] for file in parts.values() if "parts" in file.metadata), None)
            if names is not None and parts.keys() >= set(names):
                results.append(sorted((parts[name] for name in names), key=lambda file: "parts" in file.metadata))
        return results

    def _path(self, record: Record, part: str) -> Path:
        """Return the path of a part of a checkpoint's result."""
        step = self.run.step_in_names(record)
        if part in MATRIX_PARTS:
            return layout.csm_path(self.out, record.run, part, self.split, record.epoch, step)
        table = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
        return layout.split_path(self.out, table, record.run, self.split, record.epoch, step)

    def relocate(self) -> None:
        """Move the files of checkpoints that have another epoch now."""
        relocations = []
        for record in self.run.usable:
            for file in self._stored.get(record.path, ()):
                target = self._path(record, file.part)
                if file.path != target or not has_epoch(file.metadata, record):
                    relocations.append(Relocation(file.path, target, record))
        moved = relocate(relocations, layout.temporary_folder(self.out))
        for relocation in relocations:
            self._owners.pop(relocation.source, None)
        for relocation in relocations:
            self._owners[relocation.target] = relocation.record.path
            if "parts" in moved[relocation.target]:
                self._marks[relocation.record.path] = moved[relocation.target]

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
        record : a usable checkpoint of the run.
        result : the new result, or the reason why there is none, if another process has run the model; None to ask the source.

        Returns
        -------
        EvaluationResult or None
            The new result as `stored` would return it, with the text embeddings; None if none was made.
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
            path = self._path(record, part)
            parquet.write(table, path, metadata, layout.temporary_folder(self.out))
            self._owners[path] = record.path
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
        """Return the counts, the matrices, loss and top-5 of a checkpoint's stored result; an empty one if none counts."""
        mark = self.mark(record)
        if not mark:
            return EvaluationResult(split=self.split)
        paths = {part: self._path(record, part) for part in mark["parts"]}
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

    def unused_files(self) -> list[Path]:
        """Return the files that belong to no checkpoint now.

        The files of checkpoints that are gone, and of epochs that ``--epochs`` leaves out, are kept.
        """
        usable = {record.path for record in self.run.usable}
        used = {
            self._path(record, part)
            for record in self.run.usable
            for part in self._marks.get(record.path, {}).get("parts", ())
        }
        kept = self.run.gone - usable | {record.path for record in self.run.settled if is_filtered(record)}
        return [path for path, owner in self._owners.items() if path not in used and owner not in kept]

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
        result = replace(result, split=self.split)
        if result.counts is not None and result.counts.shape[0] <= similarity.MAX_DENSE_CLASSES:
            result = replace(result, ccsm=confusion_similarity(result.counts))
        templates = result.templates
        if templates is None:
            return result
        result = replace(result, collapse=templates.collapse)
        if len(templates.sums) > similarity.MAX_DENSE_CLASSES:
            return result
        tncsm, equal = template_similarity(templates.sums, templates.samples), templates.equal_samples
        result = replace(result, tncsm=tncsm, equal_samples=equal)
        if templates.equal_sums is not None and equal is not None and (equal > 0).sum() > 1:
            result = replace(result, equal_tncsm=template_similarity(templates.equal_sums, equal))
        return result

    def _parts(self, record: Record, result: EvaluationResult) -> Iterator[tuple[str, Any, Metadata]]:
        """Yield the name, the table and the metadata of each part of a result, the mark last."""
        assert self.source is not None
        columns = record.key_columns | {"split": self.split}
        metadata = (
            self.run.provenance(record, self._shaping) | epoch_metadata(record) | {"source": self.source.provenance(record)}
        )
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
