"""The evaluation results of one run on one split: those of an earlier call, and new ones from a source of predictions.

A result is stored in up to four files: predictions, confusion counts, CCSM and TNCSM. Each contains the checkpoint and the
source that it was made from. The metadata of the file that is written last are the manifest of the result. A manifest lists all
files as ``parts``, so that dsi sees whether they are complete, and has the loss and the other values that have no table.

A stored result is removed only when another result of the same checkpoint replaces it, so a source that fails loses nothing.
If a call has a source for a split, only results of this source count. Without a source, all stored results count.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli import similarity
from dsi_cli.analysis.classifiers.earlier_output import (
    Metadata,
    epoch_metadata,
    files_of_run,
    provenance_key,
    relocate,
)
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints, is_filtered
from dsi_cli.analysis.evaluation.from_file import FilePredictions
from dsi_cli.analysis.evaluation.from_model import ModelPredictions
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.similarity import confusion_counts, confusion_similarity
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS

PredictionSource = FilePredictions | ModelPredictions
Parts = dict[str, tuple[Path, Metadata]]
"""The path and the metadata of each stored file of a result, by the name of the part."""
MATRIX_PARTS = ("ccsm", "tncsm", "tncsm_equal")


def evaluate_or_reason(source: PredictionSource, record: Record) -> EvaluationResult | str:
    """Return the result of a checkpoint, or the reason of its `CheckpointError`; other errors are raised."""
    try:
        with redirect_stdout(sys.stderr):  # the user's code may print, and stdout holds only the results of dsi
            return source.evaluate(record)
    except CheckpointError as error:
        return str(error)


class EvaluationStore:
    """The evaluation results of one run on one split in a results folder; without a source, there are stored results only.

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
        self._files: dict[str, Parts] = {}
        self._manifests: dict[str, Metadata] = {}
        """The manifest of each checkpoint's result, whatever its source."""

        # Group the files of this split by checkpoint and source. Their folders are SPLIT, or KIND-SPLIT for matrices.
        records = {provenance_key(run.provenance(record, self._shaping)): record for record in run.usable}
        results: dict[str, dict[str, Parts]] = {record.path: {} for record in run.usable}
        for path, metadata in files_of_run(out, run.name, (CONFUSIONS, PREDICTIONS, CSMS)).items():
            kind, _, split_of_file = path.parent.name.rpartition("-")
            if split_of_file != split:
                continue
            self._owners[path] = metadata.get("record", {}).get("path")
            owner, part = records.get(provenance_key(metadata)), kind or path.relative_to(out).parts[0]
            if owner is not None:
                source_id = layout.canonical_json(metadata.get("source") or {})
                parts = results[owner.path].setdefault(source_id, {})
                if part not in parts or path == self._path(owner, part):
                    parts[part] = path, metadata
        # Choose a complete result of each checkpoint, preferably one of this source.
        for record in run.usable:
            best_rank = (False, False, False)
            for parts in results[record.path].values():
                manifest = next((metadata for _, metadata in parts.values() if "parts" in metadata), None)
                if manifest is not None and parts.keys() >= set(manifest["parts"]):
                    rank = (True, self._is_from_source(record, manifest), self._is_enough(manifest))
                    if rank > best_rank:
                        best_rank = rank
                        self._files[record.path], self._manifests[record.path] = parts, manifest

    def _path(self, record: Record, part: str) -> Path:
        step = self.run.step_in_names(record)
        if part in MATRIX_PARTS:
            return layout.csm_path(self.out, record.run, part, self.split, record.epoch, step)
        table = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
        return layout.split_path(self.out, table, record.run, self.split, record.epoch, step)

    def relocate(self) -> None:
        """Move the files of checkpoints that have another epoch now."""
        relocations = []
        for record in self.run.usable:
            for part in self._manifests.get(record.path, {}).get("parts", ()):  # the manifest is in the last part
                path, _ = self._files[record.path][part]
                relocations.append((path, self._path(record, part), record))
                self._owners.pop(path, None)
        moved = relocate(relocations, layout.temporary_folder(self.out))
        for _, target, record in relocations:
            self._owners[target] = record.path
            if "parts" in moved.get(target, {}):
                self._manifests[record.path] = moved[target]

    def needs(self, record: Record) -> bool:
        """Return whether the result of a checkpoint must be made."""
        if self.source is None or self.source.provenance(record) is None:
            return False
        manifest = self.manifest(record)
        return not manifest or not self._is_enough(manifest)

    def make(self, record: Record, result: EvaluationResult | str | None = None) -> EvaluationResult | None:
        """Make and store the result of a usable checkpoint if it is missing; a failure is added to `failed`.

        If another process has run the model, `result` is the new result, or the reason why it failed; otherwise the source makes
        it. Return the new result as `stored` would, with the text embeddings; None if no result was made.
        """
        if self.source is None or not self.needs(record):
            return None
        if result is None:
            result = evaluate_or_reason(self.source, record)
        if isinstance(result, EvaluationResult):
            result = replace(result, split=self.split)
            if result.counts is not None and result.counts.shape[0] <= similarity.MAX_DENSE_CLASSES:
                result = replace(result, ccsm=confusion_similarity(result.counts))
            if result.counts is None and result.tncsm is None:
                result = f"templates of more than {similarity.MAX_DENSE_CLASSES:,} classes are not compared"
        if isinstance(result, str):
            self.failed[record.path] = result
            return None

        # All parts share some metadata, and the manifest contains more.
        metadata = self.run.provenance(record, self._shaping) | epoch_metadata(record)
        metadata["source"] = self.source.provenance(record)
        tables = _tables(record, result)
        manifest = metadata | {"parts": [*tables], "loss": result.loss, "top5": result.top5, "from": result.description}
        if result.histograms:
            manifest |= {"typicality": list(result.typicality), "histograms": result.histograms}
            manifest["collapse"] = result.collapse
        if result.equal_samples is not None:
            manifest["equal_samples"] = result.equal_samples.tolist()
        if result.counts is not None:
            manifest["classes"] = result.counts.shape[0]

        # Write the parts; the last one contains the manifest. After a power failure, checksums show damaged parts.
        for number, (part, table) in enumerate(tables.items(), start=1):
            path = self._path(record, part)
            is_last = number == len(tables)
            contents = manifest if is_last else metadata
            parquet.write(table, path, contents, layout.temporary_folder(self.out), is_durable=False)
            self._owners[path] = record.path
        self._manifests[record.path] = manifest
        self.made += 1
        # Only what the tables are made from stays in memory.
        return replace(result, targets=None, predictions=None, scores=None, samples=None, paths=None, typicality=())

    def identity(self, record: Record) -> str:
        """Return text that changes when the result of a checkpoint changes."""
        manifest = self.manifest(record)
        source = manifest.get("source") or self.reason_missing(record)
        return layout.canonical_json({"source": source, "equal_samples": manifest.get("equal_samples")})

    def reason_missing(self, record: Record) -> str | None:
        """Return why a checkpoint has no result that counts; None if it has one, or if none is expected."""
        if self.source is None or self.manifest(record):
            return None
        reason = self.failed.get(record.path) or self.source.reason_missing(record)
        if reason is not None and record.path in self._manifests:
            return f"{reason}; the stored predictions of another source do not count and are kept"
        return reason

    def stored(self, record: Record) -> EvaluationResult:
        """Return the counts, the matrices, loss and top-5 of a checkpoint's stored result; an empty one if none counts."""
        manifest = self.manifest(record)
        parts = manifest.get("parts", ())
        matrices = {part: parquet.read_matrix(self._path(record, part)) for part in MATRIX_PARTS if part in parts}
        counts = None
        if CONFUSIONS.path in parts:
            counts = parquet.to_counts(parquet.read(self._path(record, CONFUSIONS.path)))
        elif PREDICTIONS.path in parts:
            samples = parquet.read(self._path(record, PREDICTIONS.path))
            counts = confusion_counts(samples["target"].to_numpy(), samples["prediction"].to_numpy(), manifest["classes"])
        equal_samples = manifest.get("equal_samples")
        return EvaluationResult(
            counts,
            loss=manifest.get("loss"),
            top5=manifest.get("top5"),
            split=self.split,
            ccsm=matrices.get("ccsm"),
            tncsm=matrices.get("tncsm"),
            equal_tncsm=matrices.get("tncsm_equal"),
            collapse=manifest.get("collapse", {}),
            equal_samples=np.array(equal_samples) if equal_samples else None,
        )

    def manifest(self, record: Record) -> Metadata:
        """Return the manifest of a checkpoint's result; empty without a result that counts."""
        manifest = self._manifests.get(record.path, {})
        return manifest if self._is_from_source(record, manifest) else {}

    def unused_files(self) -> list[Path]:
        """Return the files that belong to no checkpoint now.

        The files of checkpoints that are gone, and of epochs that ``--epochs`` leaves out, are kept.
        """
        used = set()
        for record in self.run.usable:
            used |= {self._path(record, part) for part in self._manifests.get(record.path, {}).get("parts", ())}
        kept = self.run.gone - {record.path for record in self.run.usable}
        kept |= {record.path for record in self.run.resolved if is_filtered(record)}
        return [path for path, owner in self._owners.items() if path not in used and owner not in kept]

    def _is_from_source(self, record: Record, manifest: Metadata) -> bool:
        """Return whether a result is from the source of this call; without a source, every result counts."""
        if self.source is None:
            return True
        made_from = layout.canonical_json(manifest.get("source") or {})
        provenance = self.source.provenance(record)
        return provenance is not None and made_from == layout.canonical_json(provenance)

    def _is_enough(self, manifest: Metadata) -> bool:
        """Return whether a result has the templates that the source should give."""
        has_too_many = manifest.get("classes", 0) > similarity.MAX_DENSE_CLASSES
        if self.source is None or not self.source.needs_templates or has_too_many:
            return True
        equal = self.source.equal_samples
        return "tncsm" in manifest["parts"] and (equal is None or manifest.get("equal_samples") == equal.tolist())


def _tables(record: Record, result: EvaluationResult) -> dict[str, Any]:
    """Return the tables in which a result is stored, by the name of the part."""
    columns = record.key_columns | {"split": result.split}
    tables = {}
    if result.predictions is not None:
        size = len(result.predictions)
        samples = range(size) if result.samples is None else result.samples
        varying: dict[str, Any] = {"target": result.targets, "prediction": result.predictions, "sample": samples}
        varying |= {"score": result.scores, "path": result.paths}
        known = {name: values for name, values in varying.items() if values is not None}
        tables[PREDICTIONS.path] = parquet.from_columns(PREDICTIONS, size, columns, known)
    for kind, matrix in zip(MATRIX_PARTS, (result.ccsm, result.tncsm, result.equal_tncsm), strict=True):
        if matrix is not None:
            indices = {"class_index": range(len(matrix))}
            tables[kind] = parquet.from_matrix(CSMS, matrix, columns | {"kind": kind}, indices)
    # The counts of too many classes follow from the predictions, if these are stored.
    if result.counts is not None and (result.predictions is None or result.ccsm is not None):
        indices = {"class_index": range(result.counts.shape[0])}
        tables[CONFUSIONS.path] = parquet.from_matrix(CONFUSIONS, result.counts, columns, indices)
    return tables
