"""Analyse checkpoints: classifier heads, similarity matrices, metrics and tables, with progress as events.

The steps are: find the runs, scan each checkpoint, resolve epochs and duplicates, find labels, and store evaluation results.
Then each matrix is written as soon as it is made, and the metrics are computed from the stored matrices. Results of an earlier
call that are still valid are kept.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dsi_cli.analysis import earlier_settings, memory_plan
from dsi_cli.analysis.classifiers.earlier_output import known_records
from dsi_cli.analysis.classifiers.large_heads import LargeHeads
from dsi_cli.analysis.classifiers.matrices import MatrixWriter, StoredMatrices
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
    fail_other_networks,
    reason_nothing_usable,
    resolve_duplicates,
)
from dsi_cli.analysis.classifiers.scan import CheckpointScanner, Weights, scan_run, split
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.evaluation.collect import RunEvaluations
from dsi_cli.analysis.option_groups.text_values import epoch_filter
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics import class_labels, hierarchy, label_files, mapping_file, references, wordnet_matrix
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy
from dsi_cli.analysis.semantics.prepared import RunReferences
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.analysis.summary import Progress, RunOutcome, Summary, digest_of_tables, summarise
from dsi_cli.analysis.tables import class_alignment, curves, geometry
from dsi_cli.analysis.tables.top_tables import ResultTables
from dsi_cli.checkpoints.discovery import CheckpointFile, TrainingRun, count_ignored_files, discover, printable
from dsi_cli.checkpoints.epochs import ORDER, natural_key
from dsi_cli.checkpoints.formats import EXPECTED
from dsi_cli.checkpoints.records import FAILED, SKIPPED, Record
from dsi_cli.checkpoints.training_logs import TrainingLog, find_log, read_named_log, read_tracked_log
from dsi_cli.engines import Engine, local, open_engine
from dsi_cli.errors import NothingToAnalyseError, count
from dsi_cli.metrics.blockwise.blocks import SHORT_OF_MEMORY
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.remote import urls
from dsi_cli.similarity.weights import mean_row_ratio
from dsi_cli.store import layout, lock, parquet
from dsi_cli.store.schema import CHECKPOINTS
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 20.0
"""The time between two updates of the tables during a long analysis."""
MAX_RESULT_BYTES = 256 << 20
"""The size of the new evaluation results in memory from which on they are compared, before the model runs again."""


def analyze(
    paths: Sequence[str | PathLike[str]],
    out: str | PathLike[str] = layout.DEFAULT,
    options: Options = Options(),  # noqa: B008 (frozen)
    progress: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Analyse checkpoints and write or update the tables in ``out``.

    Parameters
    ----------
    paths : files, folders or glob patterns
    out : the results folder; it is made if it does not exist
    options : what to compute
    progress : called after each step
    say : called with messages before long work begins: the model, how images are prepared, memory

    Raises
    ------
    UsageError
        A path, an option or a label list is wrong; nothing was written.
    NothingToAnalyseError
        There is no checkpoint, or no usable one; a new results folder then contains the checkpoints table with the reasons.
    OutputError
        The results could not be written; what was finished is kept.
    """
    started = time.monotonic()
    _log.debug("%s", options)
    out = Path(out)

    def report_progress(stage: str, done: int, total: int) -> None:
        progress(Progress(stage, done, total))

    with lock.exclusive(out), ExitStack() as stack:
        # Find the runs, and take over the settings of earlier calls.
        digest = digest_of_tables(out)
        earlier = layout.earlier_options(out, CHECKPOINTS)
        folders, recorded = earlier.get("folders", {}), earlier.get("settings", {})
        found = _find_runs(paths, folders, options.revisions, partial(report_progress, "listing revisions"))
        names = {run.name: _runs_of_folder(folders, run) for run in found}
        options, lines = earlier_settings.hold(options, recorded, {name for known in names.values() for name in known})
        for line in lines:
            say(line)
        joining = {name for name, known in names.items() if earlier_settings.joins(options, recorded, known)}

        # Open everything that the options name, so that mistakes are found before long work.
        wordnet, taxonomy = load_wordnet(options.pos, options.wordnet), hierarchy.open_taxonomy(options.taxonomy)
        sources = references.open_references(options.references, taxonomy, wordnet)
        inputs = collect.open_inputs(out, options, say, report_progress)
        log = None if options.log is None else read_named_log(Path(options.log))
        engine = stack.enter_context(open_engine(options.engine))

        # Scan the checkpoints, and resolve epochs and duplicates.
        runs, weights = _scan(out, found, joining, folders, options, engine, progress)
        runs = [replace(run, ignores_kept_labels=earlier_settings.joins(options, recorded, [run.name])) for run in runs]
        tables = ResultTables(out, {run.name for run in runs}, options, sources, taxonomy)
        runs, logs = resolve_all_duplicates(runs, logs_of(runs, log), epoch_filter(options.epochs))
        if options.labels is not None:
            runs = _fail_networks_of_other_labels(runs, options.labels)
        reason = reason_nothing_usable(runs)
        if reason is not None:
            if not tables.folders and any(r.status == FAILED for run in runs for r in run.settled):
                tables.write(runs, {})  # the reasons; never over the tables of an earlier call
            raise NothingToAnalyseError(f"no checkpoint can be used: {reason}", code="nothing-usable")

        # Find labels, make evaluation results, and compare all matrices.
        runs, labels, warnings = _find_labels(runs, options, inputs.class_names, wordnet, taxonomy)
        references.check_references(sources, labels.values())
        images = collect.ImageProgress(report_progress)
        evaluations = collect.prepare(out, runs, labels, options, inputs, images)
        warnings += evaluations.warnings
        call = _Call(out, options, tables, labels, logs, evaluations, engine)
        runs, outcomes, more_warnings = _compare(call, runs, weights, evaluations.make(runs, images, engine), progress)
    reference_names = [source.name for source in sources]
    summaries = [
        summarise(run, labels[run.name], logs[run.name], evaluations, reference_names, outcomes[run.name]) for run in runs
    ]
    warnings = list(dict.fromkeys(warnings + more_warnings))
    unchanged = digest == digest_of_tables(out)
    return Summary(printable(str(out)), summaries, warnings, time.monotonic() - started, unchanged=unchanged)


def _find_runs(
    paths: Sequence[str | PathLike[str]],
    folders: dict[str, str],
    revisions: str | None,
    progress: Callable[[int, int], None],
) -> list[TrainingRun]:
    runs = discover(paths, folders, revisions, progress)
    if not runs:
        raise NothingToAnalyseError(no_checkpoints(paths), code="no-checkpoints")
    for run in runs:
        _log.debug("run %s in %s: %d files, %d others", run.name, run.folder, len(run.checkpoints), run.ignored)
    return runs


def no_checkpoints(paths: Sequence[str | PathLike[str]]) -> str:
    """Return the message for paths without checkpoints."""
    listed = ", ".join(urls.without_secrets(str(path)) for path in paths)
    return f"no checkpoints under {listed} ({count(count_ignored_files(paths), 'other file')}): expected {EXPECTED}"


def _runs_of_folder(folders: dict[str, str], run: TrainingRun) -> list[str]:
    """Return the names of the stored runs of a folder, which may contain several trainings."""
    return [name for name, folder in folders.items() if folder == printable(str(run.folder))]


def _scan(
    out: Path,
    found: Sequence[TrainingRun],
    joining: Collection[str],
    folders: dict[str, str],
    options: Options,
    engine: Engine,
    progress: Callable[[Progress], None],
) -> tuple[list[RunCheckpoints], Weights]:
    """Scan the checkpoints of the folders; return their training runs, and the heads that stay in memory.

    Parameters
    ----------
    joining : the names of the folders for which labels kept from an earlier call may not hold
    folders : the folders of the runs in the results folder
    """
    epochs = epoch_filter(options.epochs)
    classes = len(label_files.read_labels_option(options.labels).names) if options.labels is not None else None
    may_lack_head = bool(options.evaluation.data) and options.evaluation.templates
    done, total = itertools.count(1), sum(len(run.checkpoints) for run in found)
    runs: list[RunCheckpoints] = []
    weights: Weights = {}
    for run in found:
        names = dict.fromkeys([run.name, *_runs_of_folder(folders, run)])
        known = known_records(out, names, options.shaping_matrices)
        scanner = CheckpointScanner(
            options.choice,
            None if run.name in joining else classes,
            may_lack_head=may_lack_head,
            names_machine=engine.is_elsewhere,
        )
        scanned, heads = scan_run(
            run,
            known,
            scanner.for_run(run),
            epochs,
            engine,
            lambda: progress(Progress("reading classifiers", next(done), total)),
        )
        runs += split(scanned, known, options.choice, heads)
        weights |= heads
    return runs, weights


def logs_of(runs: Sequence[RunCheckpoints], log: TrainingLog | None = None) -> dict[str, TrainingLog | None]:
    """Return the training log of each run: the given one, or else the one next to its checkpoints.

    A log in the parent folder counts only if a single folder with checkpoints is in it. A log next to the checkpoints of
    several trainings counts only for the training with the folder's name, since nothing says which training wrote it.
    """
    if log is not None:
        return dict.fromkeys((run.name for run in runs), log)
    siblings = Counter(folder.parent for folder in {run.training.folder for run in runs})
    logs: dict[str, TrainingLog | None] = {}
    for run in runs:
        if run.training.is_part:
            logs[run.name] = None
            continue
        if run.training.tracked is not None:
            logs[run.name] = read_tracked_log(run.training.tracked)
            if logs[run.name] is not None:
                continue
        folder = run.training.folder
        step_folders = {file.step_folder for file in run.training.checkpoints if file.step_folder}
        last_step = sorted(step_folders, key=lambda path: natural_key(path.name))[-1:]
        if run.training.checkpoints and run.training.checkpoints[-1].moment is not None:
            last_step = [run.training.checkpoints[-1].step_folder or folder]
        parent = [folder.parent] if siblings[folder.parent] == 1 else []
        logs[run.name] = find_log([folder, *parent, *last_step])
    return logs


def resolve_all_duplicates(
    runs: Sequence[RunCheckpoints], logs: dict[str, TrainingLog | None], epochs: range | None
) -> tuple[list[RunCheckpoints], dict[str, TrainingLog | None]]:
    """Return the runs with resolved epochs and duplicates, and their logs; a run without epochs has none."""
    resolved, kept_logs = [], dict(logs)
    for run in runs:
        log = logs[run.name]
        resolved.append(resolve_duplicates(run, epochs, log is not None and log.begins_before_training))
        if any(record.epoch_source == ORDER for record in resolved[-1].usable):
            kept_logs[run.name] = None
    return resolved, kept_logs


def _fail_networks_of_other_labels(runs: Sequence[RunCheckpoints], labels: str) -> list[RunCheckpoints]:
    """Return the runs after `fail_other_networks` for those that use the labels of the options."""
    listed = label_files.read_labels_option(labels)
    labelled = [run for run in runs if not run.ignores_kept_labels]
    checked = {run.name: run for run in fail_other_networks(labelled, len(listed.names), listed.source)}
    return [checked.get(run.name, run) for run in runs]


def _find_labels(
    runs: Sequence[RunCheckpoints],
    options: Options,
    names_of_data: tuple[str, ...] | None,
    wordnet: WordNet,
    taxonomy: CustomTaxonomy | None,
) -> tuple[list[RunCheckpoints], dict[str, ClassLabels], list[str]]:
    """Return the runs with class names, the labels of each run, resolved in WordNet or the taxonomy, and warnings."""
    named_runs: list[RunCheckpoints] = []
    labels_of_run: dict[str, ClassLabels] = {}
    warnings: list[str] = []
    for run in runs:
        classes = run.classes
        usable = {record.path for record in run.usable if record.classes == classes}
        files = [file for file in run.training.checkpoints if file.display_path in usable]
        given, labels = None, None
        run_warnings: list[str] = []
        if classes != 0:
            run = _decide_on_kept_labels(run, options, files, classes)
            given = None if run.ignores_kept_labels else options.labels
            names = names_of_data or run.names
            labels, run_warnings = class_labels.find_labels(run.training, given, files, classes, names)
        if labels is not None and given is not None:
            check_class_count(run, options.choice, labels.names, labels.source)
        if labels is not None and labels.duplicates:
            twice = ", ".join(map(repr, labels.duplicates[:3]))
            run_warnings.append(f"{labels.source}: labels that occur twice ({twice}) have the same synset, so similarity 1")
        run_warnings += _skipped_warnings(run)
        warnings += [f"{run.name}: {warning}" for warning in run_warnings]
        named_runs.append(replace(run, names=labels.names if labels is not None else None))
        if labels is None:
            labels_of_run[run.name] = class_labels.without_labels(classes or 0, wordnet, taxonomy)
            continue
        mapping = options.mapping if given == options.labels else None
        synsets = mapping_file.read_mapping(mapping, labels, wordnet)
        labels_of_run[run.name] = class_labels.resolve_labels(labels, synsets, wordnet, taxonomy)
    return named_runs, labels_of_run, warnings


def _decide_on_kept_labels(
    run: RunCheckpoints, options: Options, files: Sequence[CheckpointFile], classes: int | None
) -> RunCheckpoints:
    """Return a run with the decision whether it ignores labels kept from an earlier call, which gave them for other runs.

    They are used only if the run has none of its own and as many classes.
    """
    if not run.ignores_kept_labels or options.labels is None:
        return run
    own, _ = class_labels.find_labels(run.training, None, files, classes)
    ignores = own is not None or len(label_files.read_labels_option(options.labels).names) != classes
    return replace(run, ignores_kept_labels=ignores)


def _skipped_warnings(run: RunCheckpoints) -> Iterator[str]:
    """Yield a warning about skipped checkpoints other than duplicates, and one about guessed epochs."""
    expected = ("duplicate", "not-in-epochs", "no-network")
    skipped = [r for r in run.settled if r.status == SKIPPED and r.code not in expected]
    if skipped:
        are = "are" if len(skipped) > 1 else "is"
        first = f"{Path(skipped[0].path).name}: {skipped[0].reason}"
        yield f"{count(len(skipped), 'checkpoint')} {are} left out, {first}"
    if run.common_classes != run.classes:
        yield (
            f"the head grows from {run.common_classes:,} to {run.classes:,} classes: curves are over the first"
            f" {run.common_classes:,}, which every epoch has"
        )
    if any(r.epoch_source == ORDER for r in run.usable) and len(run.usable) > 1:
        by = "steps" if all(r.step is not None for r in run.usable) else "names"
        if any(file.moment is not None for file in run.training.checkpoints) and by == "names":
            by = "revisions"
        yield f"no file names its epoch: they are numbered from 1 in the order of their {by}, and joined to no log"


@dataclass(frozen=True)
class _Call:
    """The inputs and the tables of one call of `analyze`."""

    out: Path
    options: Options
    tables: ResultTables
    labels: dict[str, ClassLabels]
    logs: dict[str, TrainingLog | None]
    evaluations: RunEvaluations
    engine: Engine


def _compare(
    call: _Call,
    runs: Sequence[RunCheckpoints],
    weights: Weights,
    new_results: Iterator[dict[str, EvaluationResult]],
    progress: Callable[[Progress], None],
) -> tuple[list[RunCheckpoints], dict[str, RunOutcome], list[str]]:
    """Write all matrices and tables, with the tables from time to time.

    Parameters
    ----------
    weights : the heads in memory
    new_results : the evaluation results that this call makes, for each checkpoint in turn

    Returns
    -------
    runs : the runs with the checkpoints that failed meanwhile
    outcomes : the outcome of each run
    warnings : what the user should know
    """
    runs = list(runs)
    done = Progress("comparing matrices", 0, sum(len(run.usable) for run in runs))
    flushed = time.monotonic()
    outcomes: dict[str, RunOutcome] = {}
    epochs_of_warning: dict[str, list[int]] = {}
    for position, run in enumerate(runs):
        work = _plan_work(call, run, weights)
        failed: dict[str, str] = {}
        for results in _in_batches(run.usable, new_results):
            jobs = (_make_job(call, record, results[record.path], work) for record in run.usable if record.path in results)
            for job in _map_pending(work, jobs):
                if job.failed is not None:
                    failed[job.record.path] = job.failed
                    runs[position] = run.fail(failed, "unreadable")
                else:
                    for warning in _add_to_tables(call, run, job):
                        epochs_of_warning.setdefault(warning, []).append(job.record.epoch or 0)
                done = done._replace(done=done.done + 1)
                progress(done)
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    call.tables.write(runs, call.labels, is_whole=False)
                    flushed = time.monotonic()
        evaluations = call.evaluations
        call.tables.geometry.add(
            run.name, runs[position].usable, work.matrices.stored_head, evaluations.collapse, evaluations.identity
        )
        layout.remove(work.matrices.unused_files())
        runs[position] = replace(runs[position], heads_read=run.heads_read | work.matrices.heads_read)
        outcomes[run.name] = RunOutcome(work.matrices.reused, work.no_reference)
    deque(new_results, maxlen=0)  # let it remove files that belong to no checkpoint
    call.tables.write(runs, call.labels)
    return runs, outcomes, _merge_warnings(epochs_of_warning)


def _in_batches(
    records: Sequence[Record], new_results: Iterator[dict[str, EvaluationResult]]
) -> Iterator[dict[str, dict[str, EvaluationResult]]]:
    """Yield the new evaluation results of checkpoints by path and split, in parts that fit in memory."""
    batch: dict[str, dict[str, EvaluationResult]] = {}
    size = 0
    for record in records:
        batch[record.path] = next(new_results)
        for result in batch[record.path].values():
            arrays = (result.counts, result.ccsm, result.tncsm)
            size += sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
        if size > MAX_RESULT_BYTES:
            yield batch
            batch, size = {}, 0
    if batch:
        yield batch


def _merge_warnings(epochs_of_warning: dict[str, list[int]]) -> list[str]:
    """Return one line for each warning, with its epochs."""
    lines = []
    for warning, epochs in epochs_of_warning.items():
        when = f"epoch {epochs[0]}" if len(epochs) == 1 else f"{len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
        lines.append(f"{warning} ({when})")
    return lines


def _add_to_tables(call: _Call, run: RunCheckpoints, job: _Job) -> list[str]:
    """Add the rows of a checkpoint to the tables, and return warnings."""
    record, log = job.record, call.logs[run.name]
    written = curves.trainer_values(record, log)
    rows = curves.add_trainer_rows(job.rows, curves.trainer_rows(record, log))
    call.tables.add(record, rows, _curves_identity(call, record, run.common_classes), job.by_class)
    for table, typicality in call.evaluations.typicality_rows(record):
        call.tables.add_typicality_rows(table, typicality)
    for name, counts in job.samples.items():
        call.tables.add_samples(record.run, name, counts)
    zero_rows = _zero_rows_warning(run.name, call.labels[run.name], job.stored.zero_rows)
    return [warning for warning in (zero_rows, _accuracy_warning(record, job.rows, written)) if warning is not None]


class _Work(NamedTuple):
    """The plan for comparing the epochs of a run."""

    matrices: MatrixWriter
    common: int | None
    """The number of classes that all heads have."""
    with_rows: Callable[[_Job], _Job]
    map_jobs: Callable[..., Iterator[_Job]]
    """A function like `map`."""
    no_reference: str | None
    """The reason why nothing can be aligned with the main reference."""
    is_whole: bool = False
    """True if whole matrices are compared, and not blocks of rows."""


def _plan_work(call: _Call, run: RunCheckpoints, weights: Weights) -> _Work:
    """Return how the epochs of a run are compared, after writing its reference matrices."""
    labels, options = call.labels[run.name], call.options
    kinds = ("ncsm", "ncsm_centred") if options.centred else ("ncsm",)
    plan = memory_plan.make_plan(labels.classes, options)
    run_references = RunReferences(
        labels, [source.for_labels(labels, by_rows=plan.is_vast) for source in call.tables.references]
    )
    no_reference = run_references.references[0].reason_missing
    if not plan.is_vast:
        _write_references(call.out, labels, run_references, call.tables.references)
    blockwise = None
    map_jobs: Callable[..., Iterator[_Job]] = map
    if plan.walk is not None:
        blockwise = curves.BlockwiseContext(plan.walk, layout.temporary_folder(call.out), plan.is_vast)
    else:
        run_references.prepare()
        if call.engine.is_elsewhere:
            map_jobs = partial(call.engine.map_in_order, lost=_lost_job)
        else:
            map_jobs = partial(local.map_in_order, workers=plan.threads)
    if plan.walk is not None and plan.is_vast:
        matrices: MatrixWriter = LargeHeads(call.out, run, kinds, options, weights, plan.walk)
    else:
        matrices = MatrixWriter(call.out, run, kinds, options, weights)
    common = run.common_classes
    with_rows = partial(_with_rows, common=common, run_references=run_references, options=options, blockwise=blockwise)
    return _Work(matrices, common, with_rows, map_jobs, no_reference, is_whole=plan.walk is None)


def _write_references(
    out: Path, labels: ClassLabels, run_references: RunReferences, sources: Sequence[ReferenceSource]
) -> None:
    """Write the reference matrices that are not stored, except for those without any class of the run."""
    for source, reference in zip(sources, run_references.references, strict=True):
        if labels.label_list is None or not len(reference.matrix.classes):
            continue
        path = layout.reference_path(out, reference.name, labels.label_list.id)
        metadata = source.table_options | {"mapping": labels.senses_id}
        if parquet.options_of(path) != metadata:
            table = wordnet_matrix.matrix_table(labels, reference.matrix.dense, reference.name)
            parquet.write(table, path, metadata, layout.temporary_folder(out))


class _Job(NamedTuple):
    """One checkpoint with its stored matrices and predictions, and its rows of the curves table."""

    record: Record
    rows: list[curves.Row]
    stored: StoredMatrices
    evaluations: list[EvaluationResult]
    samples: dict[str, list[int]]
    """The number of samples of each class, by split."""
    by_class: pa.Table | None = None
    """The new rows of the table of alignments by class; None if the earlier ones are valid."""
    failed: str | None = None
    """The reason why the checkpoint can no longer be used, or why the engine could not compute the rows."""

    @property
    def is_known(self) -> bool:
        """True if there is nothing to compute."""
        return self.failed is not None or not (self.stored.by_kind or self.stored.weight is not None or self.evaluations)


def _make_job(call: _Call, record: Record, new_results: dict[str, EvaluationResult], work: _Work) -> _Job:
    rows = call.tables.reusable_rows(record, call.labels[record.run], _curves_identity(call, record, work.common))
    if work.is_whole and any((row["reason"] or "").endswith(SHORT_OF_MEMORY) for row in rows):
        rows = []  # an earlier call had too little memory for whole matrices
    evaluations = [
        new_results.get(store.split) or store.stored(record)
        for store in call.evaluations.stores[record.run]
        if not (rows and call.tables.has_samples(record.run, store.split))
    ]
    samples = {result.split: result.counts.sum(axis=1).tolist() for result in evaluations if result.counts is not None}
    text_weight = next((result.text_weight for result in new_results.values()), None)
    stored = work.matrices.stored(record, wanted=not rows, text_weight=text_weight)
    if rows:
        return _Job(record, rows, stored, [], samples, failed=stored.failed)
    rows = call.evaluations.missing_rows(record)
    return _Job(record, rows, stored, evaluations, samples, failed=stored.failed)


def _curves_identity(call: _Call, record: Record, common: int | None) -> str:
    """Return a text that changes with the evaluation results of a checkpoint, and with the classes of its curves."""
    identity = call.evaluations.identity(record)
    return identity if record.classes == common else f"{identity} of {common} classes"


def _map_pending(work: _Work, jobs: Iterable[_Job]) -> Iterator[_Job]:
    """Yield all jobs in their order with their rows; jobs whose rows are known are not sent to the engine."""
    taken: deque[_Job] = deque()

    def pending() -> Iterator[_Job]:
        for job in jobs:
            taken.append(job)
            if not job.is_known:
                yield job

    for computed in work.map_jobs(work.with_rows, pending()):
        while taken[0].is_known:
            yield taken.popleft()
        taken.popleft()
        yield computed
    yield from taken


def _with_rows(
    job: _Job,
    common: int | None,
    run_references: RunReferences,
    options: Options,
    blockwise: curves.BlockwiseContext | None,
) -> _Job:
    """Return a job with the rows that its matrices and predictions give."""
    if blockwise is not None:
        blockwise.scratch.mkdir(parents=True, exist_ok=True)
    matrices = curves.epoch_matrices(job.stored, job.evaluations, options, blockwise, common)
    context = curves.EpochContext(job.record, run_references, options, blockwise)
    rows, table = curves.curve_rows(matrices, job.evaluations, context)
    if job.stored.by_kind or job.stored.weight is not None:
        mean_row = job.stored.mean_row
        if job.stored.head is not None and common != job.record.classes:
            mean_row = mean_row_ratio(job.stored.head.weight[:common])
        rows.append(curves.mean_row(replace(job.record, classes=common), mean_row))
    if job.stored.head is not None:
        rows += geometry.curve_rows(job.record, job.stored.head.weight[:common])
    stored = replace(job.stored, by_kind={}, head=None, weight=None, surveys={})
    return job._replace(
        rows=job.rows + rows, by_class=table or class_alignment.empty_table(), evaluations=[], stored=stored
    )


def _lost_job(job: _Job, reason: str) -> _Job:
    return job._replace(failed=reason)


def _accuracy_warning(record: Record, rows: list[curves.Row], written: dict[str, float]) -> str | None:
    """Return the warning that accuracies differ from those that the trainer wrote; None if they do not."""
    splits = collect.splits_with_other_accuracy(rows, written)
    if not splits:
        return None
    return (
        f"{record.run}: accuracy on {' and '.join(splits)} is not what the trainer wrote: other images, other preprocessing"
        " (size, mean and std), or classes in another order?"
    )


def _zero_rows_warning(run: str, labels: ClassLabels, zero_rows: list[int]) -> str | None:
    """Return the warning about classes whose weights are all zero; None without such classes."""
    if not zero_rows:
        return None
    names = [repr(labels.label_list.names[index]) if labels.label_list else str(index) for index in zero_rows[:3]]
    more = f" and {len(zero_rows) - 3} more" if len(zero_rows) > 3 else ""
    classes = f"{', '.join(names)}{more}"
    return f"{run}: zero weights in class {classes}: without a direction the similarity to all others is 0"
