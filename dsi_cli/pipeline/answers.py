"""What a run's networks answer on a split, checkpoint by checkpoint: left by an earlier call, or made by a source and stored.

An answer is up to four files: predictions, confusion counts, CCSM, TNCSM. Each remembers the checkpoint and the source that it
was made from; the last one written, which is the sign that all are whole, also the loss and what else has no table of its own.
Without a source for a split, what an earlier call left there stays, as long as its checkpoint is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsi_cli.checkpoints import timeline
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import CheckpointError
from dsi_cli.pipeline.options import Options
from dsi_cli.pipeline.reading import RunState
from dsi_cli.predictions.outcome import Answer, Outcome
from dsi_cli.similarity.confusion import confusion_similarity
from dsi_cli.similarity.templates import template_similarity
from dsi_cli.store import output, parquet
from dsi_cli.store.schema import CONFUSIONS, CSMS, PREDICTIONS, Table


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
        self.out, self.state, self.split, self.source, self.options = out, state, split, source, options
        self.missing: dict[str, str] = {}
        """Why there is no answer, by the path of the checkpoint."""
        self.made = 0
        """Those made in this call."""
        self._raw = {record.path: record for record in state.records}
        self._last = timeline.stands_for_epoch(state.usable)
        self._part: dict[Path, str] = {}
        self._there = {path: said for table in (CONFUSIONS, PREDICTIONS, CSMS) for path, said in self._files(table)}
        self._held = {record.path: held for record in state.usable if (held := self._said(record)) is not None}
        self._moved = self._found_elsewhere()

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
            self._write(
                record, [(place, _placed(table, record), said) for place, table, said in self._moved.pop(record.path)]
            )
        elif self.needs(record):
            assert self.source is not None
            try:
                bundle = list(self._bundle(record, self.source.answer(record)))
            except CheckpointError as error:
                self.missing[record.path] = str(error)
                return
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
        paths = {place: self._path(record, place) for place in said["parts"]}
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

    def strays(self) -> Iterator[Path]:
        """Yield the files that stand for no checkpoint now; not those of checkpoints that are gone and not told of again."""
        used = {self._path(record, part) for record in self.state.usable for part in self.said(record).get("parts", ())}
        told = {record.path for record in self.state.usable}
        left = self.state.gone - told
        yield from (
            path
            for path, said in self._there.items()
            if path not in used and said.get("record", {}).get("path") not in left
        )

    def _files(self, table: Table) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the files of this split in one of the tables, and note which part of an answer each is."""
        parts = {f"{kind}-{self.split}": kind for kind in ("ccsm", "tncsm")} if table is CSMS else {self.split: table.path}
        for path, said in output.files_of(self.out, table, self.state.run.name).items():
            if path.parent.name in parts:
                self._part[path] = parts[path.parent.name]
                yield path, said

    def _path(self, record: Record, part: str) -> Path:
        assert record.epoch is not None
        step = None if self._last[record.epoch, record.step] else record.step
        if part in ("ccsm", "tncsm"):
            return output.csm_path(self.out, record.run, part, self.split, record.epoch, step)
        table = CONFUSIONS if part == CONFUSIONS.path else PREDICTIONS
        return output.split_path(self.out, table, record.run, self.split, record.epoch, step)

    def _wanted(self, record: Record) -> dict[str, Any] | None:
        """Return what must be in the files for them to be this checkpoint's; None if the source has nothing for it."""
        made_from = {"record": asdict(self._raw[record.path]), "shaping": self.options.shaping_matrices}
        if self.source is None:
            return made_from
        described = self.source.described(record)
        return None if described is None else made_from | {"source": described}

    def _said(self, record: Record) -> dict[str, Any] | None:
        """Return what the mark of a checkpoint's answer says, if it is there, holds and stands with all its parts."""
        wanted = self._wanted(record)
        if wanted is None:
            return None
        wanted |= {"epoch": record.epoch, "epochs_completed": record.epochs_completed}
        said = self._mark(record)
        if not said or not _is_same(wanted, said):
            return None
        if self.source is not None and self.source.wants_templates and "tncsm" not in said["parts"]:
            return None
        parts = [self._there.get(self._path(record, part), {}) for part in said["parts"]]
        return said if all(_is_same(wanted, part) for part in parts) else None

    def _mark(self, record: Record) -> dict[str, Any]:
        """Return what the last written file of an answer says; empty where there is none."""
        places = [self._there.get(self._path(record, part), {}) for part in (CONFUSIONS.path, "tncsm")]
        return next((said for said in places if "parts" in said), {})

    def _found_elsewhere(self) -> dict[str, list[tuple[str, Any, dict[str, Any]]]]:
        """Return the answers that lie under another epoch's or step's name, by the path of their checkpoint, read."""
        found: dict[str, list[tuple[str, Any, dict[str, Any]]]] = {}
        for record in self.state.usable:
            wanted = self._wanted(record)
            if wanted is None or record.path in self._held:
                continue
            files = {path: said for path, said in self._there.items() if _is_same(wanted, said)}
            mark = next((said for said in files.values() if "parts" in said), None)
            if mark is not None and len(files) >= len(mark["parts"]):
                bundle = [(self._part[path], parquet.read(path), said) for path, said in files.items()]
                found[record.path] = sorted(bundle, key=lambda item: "parts" in item[2])
        return found

    def _bundle(self, record: Record, answer: Answer) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Yield each part of an answer: its name, its table, what it says; the mark last."""
        wanted = self._wanted(record)
        assert wanted is not None
        assert self.source is not None
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

    def _write(self, record: Record, bundle: list[tuple[str, Any, dict[str, Any]]]) -> None:
        for part, table, said in bundle:
            placed = said | {"epoch": record.epoch, "epochs_completed": record.epochs_completed}
            path = self._path(record, part)
            parquet.write(table, path, placed, output.scratch(self.out))
            self._there[path] = placed
            if "parts" in placed:
                self._held[record.path] = placed


def _is_same(wanted: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    return output.canonical({name: said.get(name) for name in wanted}) == output.canonical(wanted)


def _placed(table: Any, record: Record) -> Any:
    """Return a part's table with the epoch and step that its checkpoint has now."""
    return parquet.with_constants(table, {name: getattr(record, name) for name in ("epoch", "epochs_completed", "step")})
