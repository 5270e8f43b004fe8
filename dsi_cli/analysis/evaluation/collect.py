"""The answers of all runs on all splits: where each comes from, and making those that are lacking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from dsi_cli.analysis.classifiers.run_state import RunState
from dsi_cli.analysis.evaluation import from_file, ray_worker
from dsi_cli.analysis.evaluation.dataset_cache import DatasetCache, Say
from dsi_cli.analysis.evaluation.from_model import ModelPredictions, model_for_run
from dsi_cli.analysis.evaluation.stored import EvaluationOutcome, EvaluationStore, PredictionSource
from dsi_cli.analysis.options import SPLITS, Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.tables import curves
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import CURVES
from dsi_cli.engines import Engine
from dsi_cli.inference.preprocess import Preprocessing
from dsi_cli.predictions import files
from dsi_cli.predictions.files import PredictionFile, shorten_epochs
from dsi_cli.store import layout
from dsi_cli.store.schema import TYPICALITY, TYPICALITY_HISTOGRAM, Table

Tell = Callable[[str, int, int], None]
"""Takes a stage in words, how much of it is done, and the whole."""
STAGE = "running the model on images"


@dataclass
class ImageProgress:
    """How far the evaluation is, in images."""

    tell: Tell
    done: int = 0
    total: int = 0

    def add(self, images: int) -> None:
        """Count images that are done."""
        self.done += images
        self.tell(STAGE, self.done, self.total)


@dataclass(frozen=True)
class EvaluationInputs:
    """What the options name, opened before anything else is done."""

    data: DatasetCache | None
    predictions: PredictionFile | None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The data's own class names."""
        return self.data.names if self.data is not None else None


def open_inputs(out: Path, options: Options, say: Say, tell: Tell) -> EvaluationInputs:
    """Return the data and predictions that the options name; `UsageError` where one cannot be read."""
    data = None
    if options.evaluation.data:
        data = DatasetCache(options.evaluation, layout.temporary_folder(out), say, tell)
        data.open()
    return EvaluationInputs(data, from_file.named_predictions(options.evaluation))


@dataclass
class RunEvaluations:
    """The answers of some runs."""

    of_run: dict[str, list[EvaluationStore]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    """By run and split, where the answers come from, in words."""

    def make(self, states: Sequence[RunState], counter: ImageProgress, engine: Engine) -> None:
        """Make and store every answer that is lacking; the engine runs models, one after another in this process or elsewhere.

        Raises
        ------
        UsageError
            The model or the data cannot be right.
        OutputError
            The output cannot be written.
        """
        jobs = [(one, record) for state in states for record in state.usable for one in self.of_run[state.run.name]]
        counter.total = sum(one.source.images for one, record in jobs if one.source is not None and one.needs(record))
        made_elsewhere = _made_elsewhere(jobs, counter, engine) if engine.is_elsewhere else repeat(None)
        for (one, record), made in zip(jobs, made_elsewhere, strict=False):
            one.make(record, made)
        for answers in self.of_run.values():
            for one in answers:
                layout.remove(one.strays())

    def identity(self, record: Record) -> str:
        """Return text that changes when the answers at a checkpoint do; empty without any."""
        held = [one for one in self.of_run[record.run] if one.said(record) or one.why_missing(record)]
        return " ".join(f"{one.split}:{one.identity(record)}" for one in held)

    def missing_rows(self, record: Record) -> list[Row]:
        """Return the rows that say why a checkpoint has no answer."""
        return [
            row
            for one in self.of_run[record.run]
            if (reason := one.why_missing(record)) is not None
            for row in curves.missing_rows(one.split, reason, record)
        ]

    def beside(self, record: Record) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
        """Yield the rows of the typicality tables that a checkpoint's answers give."""
        for one in self.of_run[record.run]:
            said = one.said(record)
            place = {name: getattr(record, name) for name in ("run", "epoch", "epochs_completed", "step")}
            place["split"] = one.split
            yield TYPICALITY, [place | row for row in said.get("typicality", [])]
            yield TYPICALITY_HISTOGRAM, [place | row for row in _bins(said.get("histograms", []))]

    def problems(self, run: str) -> list[tuple[str, str, str]]:
        """Return path, split and reason of each answer that could not be had."""
        return [(path, one.split, reason) for one in self.of_run[run] for path, reason in one.failed.items()]

    def made(self, run: str) -> int:
        """Return how many answers were made in this call."""
        return sum(one.made for one in self.of_run[run])


def prepare(
    out: Path,
    states: Sequence[RunState],
    labellings: Mapping[str, ClassLabels],
    options: Options,
    inputs: EvaluationInputs,
    counter: ImageProgress,
) -> RunEvaluations:
    """Return the answers of all runs, with where each lacking one is to come from.

    Raises
    ------
    UsageError
        The data or the predictions do not fit a run.
    """
    found = RunEvaluations()
    if inputs.predictions is not None:
        usable = [state.run.name for state in states if state.usable and labellings[state.run.name].classes]
        files.require_one_run(inputs.predictions, usable)
    for state in states:
        name, one = state.run.name, labellings[state.run.name]
        sources: dict[str, PredictionSource] = {}
        if state.usable and one.classes:
            for split, source, warning in _sources(state, one, options, inputs, counter):
                if source is not None:
                    sources[split] = source
                found.warnings += [f"{name}: {warning}"] if warning else []
        found.of_run[name] = [EvaluationStore(out, state, split, sources.get(split), options) for split in SPLITS]
        for answers in found.of_run[name]:
            if isinstance(answers.source, ModelPredictions):
                answers.source.model.has_fitted |= not answers.is_empty
        found.warnings += [f"{name}: {mixed}" for one in found.of_run[name] if (mixed := _mixed(one, state)) is not None]
        found.sources[name] = {one.split: words for one in found.of_run[name] if (words := _words(one, state)) is not None}
    return found


def _sources(
    state: RunState, labels: ClassLabels, options: Options, inputs: EvaluationInputs, counter: ImageProgress
) -> Iterator[tuple[str, PredictionSource | None, str | None]]:
    """Yield each split that has a source, the source, and a warning; options win over what lies beside the checkpoints."""
    taken: set[str] = set()
    if inputs.data is not None:
        evaluated, warnings = model_for_run(inputs.data, state, labels, options, counter.add)
        yield from ((split, source, None) for split, source in evaluated.items())
        yield from (("test", None, warning) for warning in warnings)
        taken = set(evaluated)
    if inputs.predictions is not None:
        yield options.evaluation.predictions_split, *from_file.predictions_for_run(inputs.predictions, state, labels)
        taken.add(options.evaluation.predictions_split)
    before = options.evaluation.predictions_before
    if "test" not in taken and (before is None or before[1] != "test"):
        source, warning = from_file.beside(state, labels)
        yield "test", source, warning


def _made_elsewhere(
    jobs: Sequence[tuple[EvaluationStore, Record]], counter: ImageProgress, engine: Engine
) -> Iterator[EvaluationOutcome | None]:
    """Yield for each job what running the model elsewhere gave; None where that is not needed."""
    sources = {id(one): one.source for one, _ in jobs if isinstance(one.source, ModelPredictions)}
    numbers = {key: number for number, key in enumerate(sources)}
    wanted = [(numbers[id(one)], record) if id(one) in numbers and one.needs(record) else None for one, record in jobs]
    sent = [job for job in wanted if job is not None]
    if not sent:
        yield from repeat(None, len(jobs))
        return
    ours = list(sources.values())
    travelling = [ray_worker.source_of(source) for source in ours]
    answerer = ray_worker.EvaluationWorker(travelling, ours[0].model.options, engine.tasks_a_machine())
    coming = engine.map_whole(answerer, sent, ray_worker.lost_result)
    told: set[str] = set()
    for job in wanted:
        made = next(coming) if job is not None else None
        if job is not None and made is not None:
            for note in made.notes:
                if note not in told:
                    told.add(note)
                    ours[job[0]].data.say(note)
            counter.add(ours[job[0]].images)
        yield made


def _words(store: EvaluationStore, state: RunState) -> str | None:
    """Return where a split's answers come from; None where there are none and none are to be made."""
    if isinstance(store.source, from_file.FilePredictions):
        return store.source.source
    if isinstance(store.source, ModelPredictions):
        return store.source.described_data
    said = next((said for record in state.usable if (said := store.said(record))), None)
    return None if said is None else f"{said.get('from', {}).get('source', 'unknown')}, from an earlier call"


SHOWN = 3
"""Parts of a way that a person can read, see `_way`."""


def _mixed(store: EvaluationStore, state: RunState) -> str | None:
    """Return the warning about answers that were made in different ways; those of one source are alike."""
    made: dict[tuple[str, ...], list[int]] = {}
    for record in state.usable if store.source is None else ():
        if said := store.said(record):
            made.setdefault(_way(said), []).append(record.epoch or 0)
    if len(made) < 2:
        return None
    differing = [place for place, parts in enumerate(zip(*made, strict=True)) if len(set(parts)) > 1]
    shown = [place for place in differing if place < SHOWN] or [0]
    listed = "; ".join(
        f"{len(epochs)} epoch{'s' * (len(epochs) > 1)} ({shorten_epochs(epochs)}) by {', '.join(way[place] for place in shown)}"
        for way, epochs in made.items()
    )
    what = "" if differing[0] < SHOWN else ", with data, code or arguments that differ"
    return (
        f"the curves on {store.split} join answers that were made in different ways: {listed}{what}; to make them alike, run again"
        f" for all epochs with --{store.split} or --predictions"
    )


def _way(said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how an answer was made: data, model and images in words, and all that shaped it; of a file, that alone."""
    told, source = said.get("from", {}), said.get("source", {})
    prepared = told.get("preprocessing")
    images = Preprocessing(**prepared).describe() if prepared else ""
    everything = "" if "predictions" in source else layout.canonical_json(source)
    return str(told.get("source", "unknown")), str(told.get("model") or ""), images, everything


def _bins(histograms: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    for is_right, counts in zip((False, True), histograms, strict=False):
        edges = np.linspace(-1.0, 1.0, len(counts) + 1)
        for low, high, samples in zip(edges, edges[1:], counts, strict=False):
            yield {"correct": is_right, "low": float(low), "high": float(high), "samples": samples}


def disagreements(rows: Sequence[Row], written: Mapping[str, float]) -> list[str]:
    """Return the splits whose accuracy, as computed, lies further from the trainer's than other samples could explain."""
    computed = {row["split"]: row for row in rows if row["metric"] == "accuracy" and row.get("value") is not None}
    found = []
    for name, value in written.items():
        curve = CURVES.get(name)
        row = computed.get(curve.split) if curve is not None and curve.metric == "accuracy" else None
        if row is not None:
            noise = sqrt(max(value * (1 - value), 1e-4) / max(1, row["samples_used"] or 1))
            found += [str(row["split"])] if abs(row["value"] - value) > 4 * noise + 1e-3 else []
    return found
