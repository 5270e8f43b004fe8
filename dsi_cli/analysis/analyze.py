"""The main job: checkpoints -> matrices -> curves -> tables, with progress as plain events.

Order of work: find the runs; scan each checkpoint; settle epochs and duplicates; find labels; write each matrix as soon as
it is made; compute curves from the stored matrices; write the tables. Whatever an earlier call left that holds is kept.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from dsi_cli.analysis import earlier_settings, memory_plan
from dsi_cli.analysis.classifiers import run_state
from dsi_cli.analysis.classifiers.large_heads import LargeHeads
from dsi_cli.analysis.classifiers.run_state import MatrixWriter, RunState, StoredMatrices
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.evaluation.collect import RunEvaluations
from dsi_cli.analysis.evaluation.stored import StoredEvaluation
from dsi_cli.analysis.options import Options, epoch_filter
from dsi_cli.analysis.semantics import class_labels, hierarchy, label_files, mapping_file, references, wordnet_matrix
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy
from dsi_cli.analysis.semantics.prepared import RunReferences
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.analysis.summary import Progress, Summary, summarise
from dsi_cli.analysis.tables import class_alignment, curves
from dsi_cli.analysis.tables.top_tables import ResultTables
from dsi_cli.checkpoints import training_logs
from dsi_cli.checkpoints.discovery import CheckpointFile, discover, ignored_files, printable
from dsi_cli.checkpoints.epochs import ORDER, natural_key
from dsi_cli.checkpoints.formats import EXPECTED
from dsi_cli.checkpoints.records import FAILED, SKIPPED, Record
from dsi_cli.checkpoints.scan import NO_NETWORK
from dsi_cli.engines import Engine, local, open_engine
from dsi_cli.errors import NothingToAnalyseError
from dsi_cli.metrics.blockwise.blocks import SHORT_OF_MEMORY
from dsi_cli.remote import urls
from dsi_cli.store import layout, lock, parquet
from dsi_cli.store.schema import CHECKPOINTS
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 20.0
"""How often the tables at the top are brought up to date during a long call."""


def analyze(
    paths: Sequence[str | PathLike[str]],
    out: str | PathLike[str] = layout.DEFAULT,
    options: Options = Options(),  # noqa: B008 (frozen)
    progress: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Analyse checkpoints and write or bring up to date the tables in ``out``.

    Parameters
    ----------
    paths : files, folders or glob patterns
    out : the output folder; made if it is not there
    options : what to compute
    progress : called with each step done
    say : called with what a person should know before long work begins: the model, how images are prepared, memory

    Raises
    ------
    UsageError
        A path, option or label list that cannot be right; nothing was written.
    NothingToAnalyseError
        No checkpoint, or none that can be used; a new output then holds the checkpoints table with the reasons.
    OutputError
        The output could not be written; what was finished is kept.
    """
    began = time.monotonic()
    _log.debug("%s", options)

    def tell(stage: str, done: int, total: int) -> None:
        progress(Progress(stage, done, total))

    with lock.exclusive(Path(out)), ExitStack() as stack:
        earlier_options = layout.earlier_options(Path(out), CHECKPOINTS)
        folders, recorded = earlier_options.get("folders", {}), earlier_options.get("settings", {})
        states = _found(paths, folders)
        known = {name for state in states for name in _runs_in(folders, state)}
        options, lines = earlier_settings.hold(options, recorded, known)
        for line in lines:
            say(line)
        for state in states:
            state.joins = earlier_settings.joins(options, recorded, _runs_in(folders, state))
        of, tree = load_wordnet(options.pos, options.wordnet), hierarchy.open_taxonomy(options.taxonomy)
        sources = references.open_references(options.references, tree, of)
        inputs = collect.open_inputs(Path(out), options, say, tell)
        named_log = None if options.log is None else training_logs.named_log(Path(options.log))
        engine = stack.enter_context(open_engine(options.engine))
        states = _scan(Path(out), states, folders, options, engine, progress)
        for state in states:
            state.joins = earlier_settings.joins(options, recorded, [state.run.name])
        tables = ResultTables(Path(out), {state.run.name for state in states}, options, sources, tree)
        trainers_logs = logs_of(states, named_log)
        resolve_all_duplicates(states, trainers_logs, epoch_filter(options.epochs))
        if options.labels is not None:
            listed = label_files.read_labels_option(options.labels)
            run_state.fail_other_networks([one for one in states if not one.joins], len(listed.names), listed.source)
        missing = run_state.reason_nothing_usable(states)
        if missing is not None:
            if not tables.folders and any(r.status == FAILED for state in states for r in state.settled):
                tables.write(states, {})  # the reasons; never over the tables of an earlier call
            raise NothingToAnalyseError(f"no checkpoint can be used: {missing}")
        labellings, warnings = _label(states, options, inputs.class_names, of, tree)
        references.check_references(sources, labellings.values())
        counter = collect.ImageProgress(tell)
        answers = collect.prepare(Path(out), states, labellings, options, inputs, counter)
        answers.make(states, counter, engine)
        warnings += answers.warnings
        warnings += _compare(Path(out), states, labellings, trainers_logs, tables, options, answers, engine, progress)
    names = [one.name for one in sources]
    summaries = [
        summarise(state, labellings[state.run.name], trainers_logs[state.run.name], answers, names) for state in states
    ]
    return Summary(printable(str(out)), summaries, list(dict.fromkeys(warnings)), time.monotonic() - began)


def _runs_in(folders: dict[str, str], state: RunState) -> list[str]:
    """Return the names of the runs that the output has of a folder, which may hold several trainings."""
    return [name for name, folder in folders.items() if folder == printable(str(state.run.folder))]


def _compare(
    out: Path,
    states: list[RunState],
    labellings: dict[str, ClassLabels],
    trainers_logs: dict[str, training_logs.TrainingLog | None],
    tables: ResultTables,
    options: Options,
    answers: RunEvaluations,
    engine: Engine,
    progress: Callable[[Progress], None],
) -> list[str]:
    """Write all matrices and tables, the tables from time to time on the way; return the warnings."""
    done = Progress("comparing matrices", 0, sum(len(state.usable) for state in states))
    flushed = time.monotonic()
    at_epochs: dict[str, list[int]] = {}
    for state in states:
        one = labellings[state.run.name]
        for epoch, told in _epochs(out, state, one, trainers_logs, tables, options, answers, engine):
            for warning in told:
                at_epochs.setdefault(warning, []).append(epoch)
            done = done._replace(done=done.done + 1)
            progress(done)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                tables.write(states, labellings, is_whole=False)
                flushed = time.monotonic()
    tables.write(states, labellings)
    return _said_once(at_epochs)


def logs_of(
    states: Sequence[RunState], named: training_logs.TrainingLog | None = None
) -> dict[str, training_logs.TrainingLog | None]:
    """Return the log of each run: the named one, else the one that lies beside its checkpoints.

    A log in the folder above counts only if a single folder with checkpoints lies in that. A log beside the checkpoints of
    several trainings counts for the training alone that has the folder's name, since nothing says whose it is.
    """
    if named is not None:
        return dict.fromkeys((state.run.name for state in states), named)
    parents = Counter(folder.parent for folder in {state.run.folder for state in states})
    found = {}
    for state in states:
        folder = state.run.folder
        steps = sorted(
            {one.step_folder for one in state.run.checkpoints if one.step_folder}, key=lambda s: natural_key(s.name)
        )
        above = [folder.parent] if parents[folder.parent] == 1 else []
        found[state.run.name] = None if state.run.is_part else training_logs.find_log([folder, *above, *steps[-1:]])
    return found


def resolve_all_duplicates(
    states: Sequence[RunState], trainers_logs: dict[str, training_logs.TrainingLog | None], chosen: range | None
) -> None:
    """Settle each run's epochs and duplicates; a run that is only ordered loses its log, whose rows are those of epochs."""
    for state in states:
        log = trainers_logs[state.run.name]
        run_state.resolve_run_duplicates(state, chosen, log is not None and log.begins_before_training)
        if any(record.epoch_source == ORDER for record in state.usable):
            trainers_logs[state.run.name] = None


def _found(paths: Sequence[str | PathLike[str]], known: dict[str, str]) -> list[RunState]:
    runs = discover(paths, known)
    if not runs:
        raise NothingToAnalyseError(no_checkpoints(paths))
    for run in runs:
        _log.debug("run %s in %s: %d files, %d others", run.name, run.folder, len(run.checkpoints), run.ignored)
    return [RunState(run) for run in runs]


def no_checkpoints(paths: Sequence[str | PathLike[str]]) -> str:
    """Return the one line that says that paths hold no checkpoint."""
    asked = ", ".join(urls.shown(str(path)) for path in paths)
    others = ignored_files(paths)
    beside = f"{others} other file{'' if others == 1 else 's'}"
    return f"no checkpoints under {asked} ({beside}): expected {EXPECTED}"


def _scan(
    out: Path,
    states: list[RunState],
    folders: dict[str, str],
    options: Options,
    engine: Engine,
    progress: Callable[[Progress], None],
) -> list[RunState]:
    """Return the training runs of the folders, their checkpoints scanned.

    Parameters
    ----------
    folders : the runs that the output has already, with their folders
    """
    chosen = epoch_filter(options.epochs)
    classes = len(label_files.read_labels_option(options.labels).names) if options.labels is not None else None
    done = Progress("reading classifiers", 0, sum(len(state.run.checkpoints) for state in states))
    found: list[RunState] = []
    for state in states:
        there = [name for name, folder in folders.items() if folder == printable(str(state.run.folder))]
        known = run_state.known_records(out, dict.fromkeys([state.run.name, *there]), options.shaping_matrices)
        headless = bool(options.evaluation.data) and options.evaluation.templates
        known_classes = None if state.joins else classes
        scanner = run_state.CheckpointScanner(
            options.choice, known_classes, may_lack_head=headless, names_machine=engine.is_elsewhere
        ).for_run(state.run)
        for _ in run_state.scan_run(state, known, scanner, chosen, engine):
            done = done._replace(done=done.done + 1)
            progress(done)
        found += run_state.split(state, known)
    return found


def _label(
    states: list[RunState], options: Options, of_data: tuple[str, ...] | None, wordnet: WordNet, tree: CustomTaxonomy | None
) -> tuple[dict[str, ClassLabels], list[str]]:
    """Return each run's labels and what WordNet says of them, and warnings about labels that do not fit."""
    found: dict[str, ClassLabels] = {}
    warnings: list[str] = []
    for state in states:
        usable = {record.path for record in state.usable}
        classes = next((record.classes for record in state.usable), 0)
        readable = [one for one in state.run.checkpoints if one.shown in usable]
        asked = None if classes == 0 else _asked(state, options, readable, classes)
        labels, told = (
            class_labels.find_labels(state.run, asked, readable, classes, of_data or state.names)
            if classes != 0
            else (None, [])
        )
        if labels is not None and asked is not None:
            run_state.check_class_count(state, options.choice, labels.names, labels.source)
        mapping = options.mapping if asked == options.labels else None
        if labels is not None and labels.duplicates:
            twice = ", ".join(map(repr, labels.duplicates[:3]))
            told = [*told, f"{labels.source}: labels that come twice ({twice}) have the same synset, so similarity 1"]
        warnings += [f"{state.run.name}: {warning}" for warning in [*told, *_left_out(state)]]
        state.names = labels.names if labels else None
        found[state.run.name] = (
            class_labels.resolve_labels(labels, mapping_file.read_mapping(mapping, labels, wordnet), wordnet, tree)
            if labels
            else class_labels.without_labels(classes or 0, wordnet, tree)
        )
    return found, warnings


def _asked(state: RunState, options: Options, readable: Sequence[CheckpointFile], classes: int | None) -> str | None:
    """Return the labels that a run is to have; of one that joins others only if it has none of its own, and as many classes."""
    if not state.joins or options.labels is None:
        return options.labels
    own, _ = class_labels.find_labels(state.run, None, readable, classes)
    state.joins = own is not None or len(label_files.read_labels_option(options.labels).names) != classes
    return None if state.joins else options.labels


def _left_out(state: RunState) -> Iterator[str]:
    """Yield a warning for checkpoints that are skipped though they are no copies, and for epochs that are a guess."""
    expected = ("the same", run_state.NOT_ASKED, NO_NETWORK)
    others = [r for r in state.settled if r.status == SKIPPED and not (r.reason or "").startswith(expected)]
    if others:
        what = "checkpoints are" if len(others) > 1 else "checkpoint is"
        yield f"{len(others)} {what} left out, {Path(others[0].path).name}: {others[0].reason}"
    if any(r.epoch_source == ORDER for r in state.usable) and len(state.usable) > 1:
        by = "steps" if all(r.step is not None for r in state.usable) else "names"
        yield f"no file says its epoch: they are numbered from 1 in the order of their {by}, and joined to no log"


def _epochs(
    out: Path,
    state: RunState,
    labels: ClassLabels,
    trainers_logs: dict[str, training_logs.TrainingLog | None],
    tables: ResultTables,
    options: Options,
    answers: RunEvaluations,
    engine: Engine,
) -> Iterator[tuple[int, list[str]]]:
    """Write a run's matrices and hand on their rows, checkpoint by checkpoint; yields each epoch and its warnings."""
    work = _work(out, state, labels, tables, options, engine)
    matrices = work.matrices
    jobs = (_job(record, labels, tables, work, answers) for record in state.usable)
    for job in _computed(work, jobs):
        record = job.record
        if job.lost is not None:
            state.fail(record, job.lost)
        if record.path in state.failed:
            yield record.epoch or 0, []
            continue
        written = curves.trainer_values(record, trainers_logs[record.run])
        warnings = [_zero_rows(state, labels, job.stored.zero_rows), _doubt(record, job.rows, written)]
        rows = curves.add_trainer_rows(job.rows, curves.trainer_rows(record, trainers_logs[record.run]))
        tables.add(record, rows, answers.identity(record), job.by_class)
        for table, beside in answers.beside(record):
            tables.add_typicality_rows(table, beside)
        for split, counts in job.samples.items():
            tables.add_samples(record.run, split, counts)
        yield record.epoch or 0, [warning for warning in warnings if warning is not None]
    layout.remove(matrices.strays())


class _Work(NamedTuple):
    """How the epochs of a run are computed."""

    matrices: MatrixWriter
    with_rows: Callable[[_Job], _Job]
    each: Callable[..., Iterator[_Job]]
    """How epochs are gone through, as `map`."""
    is_whole: bool = False
    """Whether whole matrices are compared."""


def _computed(work: _Work, jobs: Iterable[_Job]) -> Iterator[_Job]:
    """Yield all jobs in their order, with their rows; those whose rows are known already do not travel."""
    drawn: deque[_Job] = deque()

    def to_do() -> Iterator[_Job]:
        for job in jobs:
            drawn.append(job)
            if not job.is_known:
                yield job

    for computed in work.each(work.with_rows, to_do()):
        while drawn[0].is_known:
            yield drawn.popleft()
        drawn.popleft()
        yield computed
    yield from drawn


def _work(out: Path, state: RunState, labels: ClassLabels, tables: ResultTables, options: Options, engine: Engine) -> _Work:
    """Return how a run's epochs are computed, after writing what its references are."""
    kinds = ("ncsm", "ncsm_centred") if options.centred else ("ncsm",)
    how = memory_plan.make_plan(labels.classes, options)
    semantics = RunReferences(labels, [source.for_labels(labels, by_rows=how.is_vast) for source in tables.references])
    state.no_reference = semantics.references[0].reason_missing
    if not how.is_vast:
        _write_references(out, labels, semantics, tables.references)
    if how.walk is not None:
        by_rows = curves.BlockwiseContext(how.walk, layout.temporary_folder(out), how.is_vast)
        matrices = (
            LargeHeads(out, state, kinds, options, how.walk) if how.is_vast else MatrixWriter(out, state, kinds, options)
        )
        return _Work(matrices, partial(_with_rows, semantics=semantics, options=options, by_rows=by_rows), map)
    semantics.prepare()
    each = (
        partial(engine.map_in_order, lost=_without_rows)
        if engine.is_elsewhere
        else partial(local.map_in_order, workers=how.threads)
    )
    with_rows = partial(_with_rows, semantics=semantics, options=options, by_rows=None)
    return _Work(MatrixWriter(out, state, kinds, options), with_rows, each, is_whole=True)


def _write_references(out: Path, labels: ClassLabels, semantics: RunReferences, opened: Sequence[ReferenceSource]) -> None:
    """Write the reference matrices that the output lacks; not those that know none of the classes."""
    for source, prepared in zip(opened, semantics.references, strict=True):
        if labels.label_list is None or not len(prepared.matrix.classes):
            continue
        path = layout.reference_path(out, prepared.name, labels.label_list.id)
        described = source.table_options | {"mapping": labels.senses_id}
        if parquet.options_of(path) != described:
            table = wordnet_matrix.matrix_table(labels, prepared.matrix.dense, prepared.name)
            parquet.write(table, path, described, layout.temporary_folder(out))


class _Job(NamedTuple):
    """One checkpoint: its rows so far, and what the output holds of it."""

    record: Record
    rows: list[curves.Row]
    stored: StoredMatrices
    answers: list[StoredEvaluation]
    samples: dict[str, list[int]]
    """How many samples each class has, by split."""
    by_class: pa.Table | None = None
    """Its rows of the table by class, where they were not known already."""
    lost: str | None = None
    """Why the engine could not compute them."""

    @property
    def is_known(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self.stored.by_kind or self.stored.weight is not None or self.answers)


def _job(record: Record, labels: ClassLabels, tables: ResultTables, work: _Work, answers: RunEvaluations) -> _Job:
    rows = tables.reusable_rows(record, labels, answers.identity(record))
    if work.is_whole and any((row["reason"] or "").endswith(SHORT_OF_MEMORY) for row in rows):
        rows = []  # an earlier call had too little memory for whole matrices
    held = [
        found.stored(record)
        for found in answers.of_run[record.run]
        if not (rows and tables.has_samples(record.run, found.split))
    ]
    samples = {found.split: found.counts.sum(axis=1).tolist() for found in held if found.counts is not None}
    stored = work.matrices.stored(record, wanted=not rows)
    return _Job(record, rows or answers.missing_rows(record), stored, [] if rows else held, samples)


def _with_rows(job: _Job, semantics: RunReferences, options: Options, by_rows: curves.BlockwiseContext | None) -> _Job:
    """Return a job with the rows of its matrices and counts, where they were not known already."""
    if by_rows is not None:
        by_rows.scratch.mkdir(parents=True, exist_ok=True)
    found = curves.epoch_matrices(job.stored, job.answers, options, by_rows)
    rows, table = curves.curve_rows(found, job.answers, curves.EpochContext(job.record, semantics, options, by_rows))
    if job.stored.by_kind or job.stored.weight is not None:
        rows.append(curves.mean_row(job.record, job.stored.mean_row))
    done = replace(job.stored, by_kind={}, weight=None, surveys={})
    return job._replace(rows=job.rows + rows, by_class=table or class_alignment.empty_table(), answers=[], stored=done)


def _without_rows(job: _Job, reason: str) -> _Job:
    return job._replace(lost=reason)


def _doubt(record: Record, rows: list[curves.Row], written: dict[str, float]) -> str | None:
    """Return the warning about accuracies that were computed and are not those that the trainer wrote."""
    splits = collect.disagreements(rows, written)
    if not splits:
        return None
    return (
        f"{record.run}: accuracy on {' and '.join(splits)} is not what the trainer wrote: other images, or prepared in another"
        " way (size, mean and std), or classes in another order?"
    )


def _zero_rows(state: RunState, labels: ClassLabels, zero: list[int]) -> str | None:
    """Return the warning about classes whose weights are zero at some epoch, None where there are none."""
    if not zero:
        return None
    names = [repr(labels.label_list.names[index]) if labels.label_list else str(index) for index in zero[:3]]
    more = f" and {len(zero) - 3} more" if len(zero) > 3 else ""
    what = f"zero weights in class {', '.join(names)}{more}"
    return f"{state.run.name}: {what}: without a direction the similarity to all others is 0"


def _said_once(zeros: dict[str, list[int]]) -> list[str]:
    """Return one line for a warning of many epochs."""
    lines = []
    for text, at in zeros.items():
        when = f"epoch {at[0]}" if len(at) == 1 else f"{len(at)} epochs from {at[0]} to {at[-1]}"
        lines.append(f"{text} ({when})")
    return lines
