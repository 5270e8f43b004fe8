"""What a run's networks answer on a split, checkpoint by checkpoint: left by an earlier call, or made by a source and stored.

An answer is up to four files: predictions, confusion counts, CCSM, TNCSM. Each remembers the checkpoint and the source that it
was made from; the last one written, which is the sign that all are whole, also the loss and what else has no table of its own.
Without a source for a split, what an earlier call left there stays, as long as its checkpoint is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError
from dsi_cli.pipeline.answer_files import AnswerFiles
from dsi_cli.pipeline.options import Options
from dsi_cli.pipeline.reading import RunState, is_filtered
from dsi_cli.predictions.outcome import Answer, Outcome
from dsi_cli.similarity.confusion import confusion_similarity
from dsi_cli.similarity.templates import template_similarity
from dsi_cli.store import output, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS

Bundle = list[tuple[str, Any, dict[str, Any]]]
"""The parts of an answer: name, table, what it remembers; the mark last."""


class Source(Protocol):
    """Where the answers on one split come from."""

    @property
    def wants_templates(self) -> bool:
        """Whether an answer without a TNCSM is not enough."""

    @property
    def images(self) -> int:
        """How many images an answer costs."""

    def described(self, record: Record, /) -> dict[str, Any] | None:
        """Return what shapes the answer at a checkpoint, as JSON; None where the source has none for it."""

    def answer(self, record: Record, /) -> Answer:
        """Return the answer; `CheckpointError` where there is none for this checkpoint."""

    def says(self) -> dict[str, Any]:
        """Return what is recorded beside the answers, as JSON."""


@dataclass(frozen=True)
class Stored:
    """What the output holds of one answer; None where it lacks something."""

    split: str
    counts: NDArray[np.int64] | None
    ccsm: NDArray[np.float32] | None
    tncsm: NDArray[np.float32] | None
    said: dict[str, Any] = field(default_factory=dict)
    """``loss``, ``top5``, ``typicality`` and ``histograms``, where there are any."""


class Answers:
    """The answers of one run on one split in an output folder.

    Parameters
    ----------
    source : what makes them; None: only what is there
    """

    def __init__(self, out: Path, state: RunState, split: str, source: Source | None, options: Options) -> None:
        self.out, self.state, self.split, self.source = out, state, split, source
        self.missing: dict[str, str] = {}
        """Why there is no answer, by the path of the checkpoint."""
        self.made = 0
        """Those made in this call."""
        self._files = AnswerFiles(out, state, split, options.shaping_matrices)
        self._held = {record.path: held for record in state.usable if (held := self._in_place(record)) is not None}
        self._moved = {
            record.path: bundle
            for record in state.usable
            if record.path not in self._held and (bundle := self._elsewhere(record)) is not None
        }

    def needs(self, record: Record) -> bool:
        """Return whether a checkpoint's answer is still to be made."""
        wanted = self.source is not None and self.source.described(record) is not None
        return wanted and record.path not in self._held and record.path not in self._moved

    def make(self, record: Record) -> None:
        """Write what the output lacks of a checkpoint's answer; one that cannot be had is noted in `missing`.

        Raises
        ------
        OutputError
            The output cannot be written.
        """
        if record.path in self._held:
            return
        if record.path in self._moved:
            self._move(record)
        elif self.needs(record):
            assert self.source is not None
            try:
                bundle = list(self._bundle(record, self.source.answer(record)))
            except CheckpointError as error:
                self.missing[record.path] = str(error)
                return
            self._make_room(record)
            self._write(record, bundle)
            self.made += 1

    def identity(self, record: Record) -> str:
        """Return text that changes when the answer does."""
        said = self._held.get(record.path)
        return output.canonical({"source": said.get("source") if said else self.missing.get(record.path)})

    def stored(self, record: Record) -> Stored:
        """Return what the output holds of a checkpoint's answer.

        Raises
        ------
        OutputError
            A file cannot be read.
        """
        said = self._held.get(record.path)
        if said is None:
            return Stored(self.split, None, None, None)
        paths = {part: self._files.path(record, part) for part in said["parts"]}
        counts = parquet.to_counts(parquet.read(paths[CONFUSIONS.path])) if CONFUSIONS.path in paths else None
        ccsm, tncsm = (
            parquet.to_matrix(parquet.read(paths[kind])) if kind in paths else None for kind in ("ccsm", "tncsm")
        )
        return Stored(self.split, counts, ccsm, tncsm, said)

    def said(self, record: Record) -> dict[str, Any]:
        """Return what is remembered beside the tables; empty without an answer."""
        return self._held.get(record.path, {})

    @property
    def is_empty(self) -> bool:
        """Whether no checkpoint has an answer."""
        return not self._held

    def strays(self) -> list[Path]:
        """Return the files that stand for no checkpoint now.

        Those of checkpoints that are gone and not told of again stay, and those of epochs that are not among ``--epochs``.
        """
        told = {record.path for record in self.state.usable}
        used = {
            self._files.path(record, part) for record in self.state.usable for part in self.said(record).get("parts", ())
        }
        kept = self.state.gone - told | {record.path for record in self.state.settled if is_filtered(record)}
        return [path for path, owner in self._files.owners.items() if path not in used and owner not in kept]

    def _described(self, record: Record) -> tuple[bool, dict[str, Any] | None]:
        """Return whether an answer may stand for this checkpoint at all, and what its source must say; None: anything."""
        described = self.source.described(record) if self.source is not None else None
        return self.source is None or described is not None, described

    def _is_enough(self, mark: dict[str, Any]) -> bool:
        return self.source is None or not self.source.wants_templates or "tncsm" in mark["parts"]

    def _in_place(self, record: Record) -> dict[str, Any] | None:
        """Return what the mark of a checkpoint's answer says, if it is there, holds and stands with all its parts."""
        may_be, described = self._described(record)
        there = self._files.in_place(record, described) if may_be else {}
        mark = next((said for said in there.values() if "parts" in said), None)
        return mark if mark is not None and set(mark["parts"]) <= set(there) and self._is_enough(mark) else None

    def _elsewhere(self, record: Record) -> Bundle | None:
        """Return the answer that lies under another epoch's or step's name, read; None where there is none."""
        may_be, described = self._described(record)
        files = self._files.made_from(record, described) if may_be else []
        mark = next((said for _, _, said in files if "parts" in said), None)
        if mark is None or not {part for part, _, _ in files} >= set(mark["parts"]) or not self._is_enough(mark):
            return None
        bundle = [(part, parquet.read(path), said) for part, path, said in files]
        return sorted(bundle, key=lambda item: "parts" in item[2])

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

    def _bundle(self, record: Record, answer: Answer) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield each part of an answer: its name, its table, what it says; the mark last."""
        assert self.source is not None
        wanted = self._files.made_from_this(record) | {"source": self.source.described(record)}
        mark: dict[str, Any] = {"loss": answer.loss, "top5": answer.top5, "from": self.source.says()}
        made: list[tuple[str, Any]] = []
        if answer.templates is not None:
            tncsm = template_similarity(answer.templates.sums, answer.templates.samples)
            made.append(("tncsm", self._matrix(record, "tncsm", tncsm)))
            mark |= {"typicality": list(answer.templates.typicality), "histograms": answer.templates.histograms}
        if answer.outcome is not None:
            made = [*self._of_outcome(record, answer.outcome), *made]
            made.append((CONFUSIONS.path, self._counts(record, answer.outcome)))
        for part, table in made:
            is_mark = part == made[-1][0]
            yield part, table, wanted | ({"parts": [part for part, _ in made]} | mark if is_mark else {})

    def _of_outcome(self, record: Record, outcome: Outcome) -> Iterator[tuple[str, Any]]:
        if outcome.predictions is not None:
            yield PREDICTIONS.path, self._samples(record, outcome)
        yield "ccsm", self._matrix(record, "ccsm", confusion_similarity(outcome.counts))

    def _matrix(self, record: Record, kind: str, matrix: NDArray[np.float32]) -> Any:
        constants = self._constants(record) | {"kind": kind}
        return parquet.from_matrix(CSMS, matrix, constants, {"class_index": range(len(matrix))})

    def _counts(self, record: Record, outcome: Outcome) -> Any:
        classes = range(len(outcome.counts))
        return parquet.from_matrix(CONFUSIONS, outcome.counts, self._constants(record), {"class_index": classes})

    def _samples(self, record: Record, outcome: Outcome) -> Any:
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

    def _write(self, record: Record, bundle: Bundle) -> None:
        for part, table, said in bundle:
            placed = said | {"epoch": record.epoch, "epochs_completed": record.epochs_completed}
            path = self._files.path(record, part)
            parquet.write(table, path, placed, output.scratch(self.out))
            self._files.note(path, part, placed)
            if "parts" in placed:
                self._held[record.path] = placed


def _placed(table: Any, record: Record) -> Any:
    """Return a part's table with the epoch and step that its checkpoint has now."""
    return parquet.with_constants(table, {name: getattr(record, name) for name in ("epoch", "epochs_completed", "step")})
