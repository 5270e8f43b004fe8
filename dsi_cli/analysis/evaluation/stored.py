"""What a run's networks answer on a split, checkpoint by checkpoint: left by an earlier call, or made by a source and stored.

An answer is up to four files: predictions, confusion counts, CCSM, TNCSM. Each remembers the checkpoint and the source that it
was made from; the last one written, which is the sign that all are whole, also the loss and what else has no table of its own.

What an earlier call left stays until another answer of the same checkpoint takes its place, so nothing is lost to a source that
fails. But a call that has a source for a split counts the answers of that source alone; without one, all that are there count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dsi_cli import similarity
from dsi_cli.analysis.classifiers.run_state import RunState, is_filtered
from dsi_cli.analysis.evaluation.files import CompleteFiles, EvaluationFiles
from dsi_cli.analysis.options import Options
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError
from dsi_cli.predictions.result import EvaluationResult, Predictions
from dsi_cli.similarity.confusion import confusion_counts, confusion_similarity
from dsi_cli.similarity.templates import template_similarity
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS

FileParts = list[tuple[str, Any, dict[str, Any]]]
"""The parts of an answer: name, table, what it remembers; the mark last."""


class PredictionSource(Protocol):
    """Where the answers on one split come from."""

    @property
    def wants_templates(self) -> bool:
        """Whether an answer without a TNCSM is not enough."""

    @property
    def images(self) -> int:
        """How many images an answer costs."""

    def described(self, record: Record, /) -> dict[str, Any] | None:
        """Return what shapes the answer at a checkpoint, as JSON; None where the source has none for it."""

    def lacks(self, record: Record, /) -> str | None:
        """Return why the source has none, None where it has one or where none is expected."""

    def answer(self, record: Record, /) -> EvaluationResult:
        """Return the answer; `CheckpointError` where there is none for this checkpoint."""

    def says(self) -> dict[str, Any]:
        """Return what is recorded beside the answers, as JSON."""


class EvaluationOutcome(NamedTuple):
    """What came of asking a source, wherever that was done."""

    answer: EvaluationResult | None
    says: dict[str, Any]
    """What is recorded beside the answer."""
    failed: str | None = None
    """Why there is no answer."""
    notes: tuple[str, ...] = ()
    """What was to be said meanwhile and could not be said there."""
    text_weight: NDArray[np.float32] | None = None
    """The embeddings of the class names, of a network with a text tower that was run elsewhere."""


def evaluate_or_reason(source: PredictionSource, record: Record) -> EvaluationOutcome:
    """Return what a source answers at a checkpoint, or why it does not; other errors come through."""
    try:
        answer = source.answer(record)
    except CheckpointError as error:
        return EvaluationOutcome(None, {}, str(error))
    return EvaluationOutcome(answer, source.says())


@dataclass(frozen=True)
class StoredEvaluation:
    """What the output holds of one answer; None where it lacks something."""

    split: str
    counts: Any
    """Sparse if of many classes, see `confusion_counts`."""
    ccsm: NDArray[np.float32] | None
    tncsm: NDArray[np.float32] | None
    said: dict[str, Any] = field(default_factory=dict)
    """``loss``, ``top5``, ``typicality`` and ``histograms``, where there are any."""


class EvaluationStore:
    """The answers of one run on one split in an output folder.

    Parameters
    ----------
    source : what makes them; None: only what is there
    """

    def __init__(self, out: Path, state: RunState, split: str, source: PredictionSource | None, options: Options) -> None:
        self.out, self.state, self.split, self.source = out, state, split, source
        self.failed: dict[str, str] = {}
        """Why an answer could not be made, by the path of the checkpoint."""
        self.made = 0
        """Those made in this call."""
        self._files = EvaluationFiles(out, state, split, options.shaping_matrices)
        self._held: dict[str, dict[str, Any]] = {}
        """What the marks of the answers in the output say, of whatever source."""
        self._moved: dict[str, FileParts] = {}
        """Of these, the ones that lie under another epoch's or step's name, read."""
        for record in state.usable:
            self._find(record)

    def needs(self, record: Record) -> bool:
        """Return whether a checkpoint's answer is still to be made."""
        if self.source is None or self.source.described(record) is None:
            return False
        said = self.said(record)
        return not said or not self._is_enough(said)

    def make(self, record: Record, made: EvaluationOutcome | None = None) -> None:
        """Write what the output lacks of a checkpoint's answer; one that cannot be had is noted in `failed`.

        Parameters
        ----------
        record : a usable checkpoint of the run
        made : what the source has answered already; None: it is asked, if that is needed

        Raises
        ------
        OutputError
            The output cannot be written.
        """
        if record.path in self._moved:
            self._move(record)
        if not self.needs(record):
            return
        assert self.source is not None
        made = made or evaluate_or_reason(self.source, record)
        if made.answer is None:
            self.failed[record.path] = made.failed or "no answer"
            return
        if made.text_weight is not None:
            self.state.text_weights[record.path] = made.text_weight
        bundle = list(self._bundle(record, made.answer, made.says))
        self._make_room(record)
        self._write(record, bundle)
        self.made += 1

    def identity(self, record: Record) -> str:
        """Return text that changes when the answer does."""
        return layout.canonical_json({"source": self.said(record).get("source") or self.why_missing(record)})

    def why_missing(self, record: Record) -> str | None:
        """Return why no answer counts at a checkpoint; None where one does, or where none is expected."""
        if self.source is None or self.said(record):
            return None
        reason = self.failed.get(record.path) or self.source.lacks(record)
        is_kept = reason is not None and record.path in self._held
        return f"{reason}; the answer of another source is kept, and does not count" if is_kept else reason

    def stored(self, record: Record) -> StoredEvaluation:
        """Return what the output holds of a checkpoint's answer.

        Raises
        ------
        OutputError
            A file cannot be read.
        """
        said = self.said(record)
        if not said:
            return StoredEvaluation(self.split, None, None, None)
        paths = {part: self._files.path(record, part) for part in said["parts"]}
        counts = parquet.to_counts(parquet.read(paths[CONFUSIONS.path])) if CONFUSIONS.path in paths else None
        if counts is None and PREDICTIONS.path in paths:
            samples = parquet.read(paths[PREDICTIONS.path])
            target, prediction = (samples[name].to_numpy() for name in ("target", "prediction"))
            counts = confusion_counts(target, prediction, said["classes"])
        ccsm, tncsm = (
            parquet.to_matrix(parquet.read(paths[kind])) if kind in paths else None for kind in ("ccsm", "tncsm")
        )
        return StoredEvaluation(self.split, counts, ccsm, tncsm, said)

    def said(self, record: Record) -> dict[str, Any]:
        """Return what is remembered beside the tables; empty without an answer that counts."""
        said = self._held.get(record.path, {})
        return said if self._is_ours(record, said) else {}

    @property
    def is_empty(self) -> bool:
        """Whether no checkpoint has an answer that counts."""
        return not any(map(self.said, self.state.usable))

    def strays(self) -> list[Path]:
        """Return the files that stand for no checkpoint now.

        Those of checkpoints that are gone and not told of again stay, and those of epochs that are not among ``--epochs``.
        """
        told = {record.path for record in self.state.usable}
        used = {
            self._files.path(record, part)
            for record in self.state.usable
            for part in self._held.get(record.path, {}).get("parts", ())
        }
        kept = self.state.gone - told | {record.path for record in self.state.settled if is_filtered(record)}
        return [path for path, owner in self._files.owners.items() if path not in used and owner not in kept]

    def _is_ours(self, record: Record, mark: dict[str, Any]) -> bool:
        """Return whether an answer is of the source of this call; without one any is."""
        if self.source is None:
            return True
        described = self.source.described(record)
        return described is not None and layout.canonical_json(mark.get("source") or {}) == layout.canonical_json(described)

    def _is_enough(self, mark: dict[str, Any]) -> bool:
        is_all = "tncsm" in mark["parts"] or mark.get("classes", 0) > similarity.MAX_DENSE_CLASSES
        return self.source is None or not self.source.wants_templates or is_all

    def _find(self, record: Record) -> None:
        """Take the answer that the output has of a checkpoint: best one of this source, and one in its place."""

        def rank(files: CompleteFiles) -> tuple[bool, bool, bool]:
            return self._is_ours(record, files.mark), self._is_enough(files.mark), self._files.is_in_place(record, files)

        best = max(self._files.whole(record), key=rank, default=None)
        if best is None:
            return
        self._held[record.path] = best.mark
        if not self._files.is_in_place(record, best):
            bundle = [(part, parquet.read(path), best.said[part]) for part, path in best.paths.items()]
            self._moved[record.path] = sorted(bundle, key=lambda item: "parts" in item[2])

    def _move(self, record: Record) -> None:
        self._make_room(record)
        bundle = self._moved.pop(record.path)
        self._write(record, [(part, _placed(table, record), said) for part, table, said in bundle])

    def _make_room(self, record: Record) -> None:
        """Move the answers that lie where this one is to lie, so that a call that dies has lost none.

        Those that lie in a circle are in memory alone meanwhile.
        """
        by_path = {one.path: one for one in self.state.usable}
        chain = [record]
        while (owner := self._files.owner_at(chain[-1])) in self._moved and by_path[owner] not in chain:
            chain.append(by_path[owner])
        for one in reversed(chain[1:]):
            self._write(one, [(part, _placed(table, one), said) for part, table, said in self._moved.pop(one.path)])

    def _bundle(
        self, record: Record, answer: EvaluationResult, says: dict[str, Any]
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield each part of an answer: its name, its table, what it says; the mark last."""
        assert self.source is not None
        wanted = self._files.made_from_this(record) | {"source": self.source.described(record)}
        mark: dict[str, Any] = {"loss": answer.loss, "top5": answer.top5, "from": says}
        made: list[tuple[str, Any]] = []
        if answer.templates is not None:
            if len(answer.templates.sums) <= similarity.MAX_DENSE_CLASSES:
                tncsm = template_similarity(answer.templates.sums, answer.templates.samples)
                made.append(("tncsm", self._matrix(record, "tncsm", tncsm)))
            mark |= {"typicality": list(answer.templates.typicality), "histograms": answer.templates.histograms}
        if answer.outcome is not None:
            made = [*self._of_outcome(record, answer.outcome), *made]
            if answer.outcome.predictions is None or not _is_vast(answer.outcome):
                made.append((CONFUSIONS.path, self._counts(record, answer.outcome)))
            mark |= {"classes": answer.outcome.counts.shape[0]}
        if not made:
            raise CheckpointError(f"templates of more than {similarity.MAX_DENSE_CLASSES:,} classes are not compared")
        for part, table in made:
            is_mark = part == made[-1][0]
            yield part, table, wanted | ({"parts": [part for part, _ in made]} | mark if is_mark else {})

    def _of_outcome(self, record: Record, outcome: Predictions) -> Iterator[tuple[str, Any]]:
        if outcome.predictions is not None:
            yield PREDICTIONS.path, self._samples(record, outcome)
        if not _is_vast(outcome):
            yield "ccsm", self._matrix(record, "ccsm", confusion_similarity(outcome.counts))

    def _matrix(self, record: Record, kind: str, matrix: NDArray[np.float32]) -> Any:
        constants = self._constants(record) | {"kind": kind}
        return parquet.from_matrix(CSMS, matrix, constants, {"class_index": range(len(matrix))})

    def _counts(self, record: Record, outcome: Predictions) -> Any:
        classes = range(len(outcome.counts))
        return parquet.from_matrix(CONFUSIONS, outcome.counts, self._constants(record), {"class_index": classes})

    def _samples(self, record: Record, outcome: Predictions) -> Any:
        assert outcome.predictions is not None
        size = len(outcome.predictions)
        columns: dict[str, Any] = {"target": outcome.targets, "prediction": outcome.predictions, "score": outcome.scores}
        columns |= {"path": outcome.paths, "sample": outcome.samples}
        varying = {name: values for name, values in columns.items() if values is not None}
        varying.setdefault("sample", np.arange(size))
        return parquet.from_columns(PREDICTIONS, size, self._constants(record), varying)

    def _constants(self, record: Record) -> dict[str, Any]:
        names = ("run", "epoch", "epochs_completed", "step")
        return {name: getattr(record, name) for name in names} | {"split": self.split}

    def _write(self, record: Record, bundle: FileParts) -> None:
        for part, table, said in bundle:
            placed = said | {"epoch": record.epoch, "epochs_completed": record.epochs_completed}
            path = self._files.path(record, part)
            parquet.write(table, path, placed, layout.temporary_folder(self.out))
            self._files.note(path, part, placed)
            if "parts" in placed:
                self._held[record.path] = placed


def _is_vast(outcome: Predictions) -> bool:
    """Return whether there are more classes than a matrix is stored of."""
    return bool(outcome.counts.shape[0] > similarity.MAX_DENSE_CLASSES)


def _placed(table: Any, record: Record) -> Any:
    """Return a part's table with the epoch and step that its checkpoint has now."""
    return parquet.with_constants(table, {name: getattr(record, name) for name in ("epoch", "epochs_completed", "step")})
