"""Compare the matrices of all epochs of all runs, and write the tables.

Each matrix is written as soon as it is made, and the metrics are computed from the stored matrices. With more than
`dsi_cli.similarity.MAX_DENSE_CLASSES` classes, matrices are neither made nor stored whole: `heads/` contains the heads,
`neighbors/` the nearest classes. With fewer classes, matrices are stored, and compared in blocks of rows only if there is not
enough memory to compare them whole.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dsi_cli import engines, similarity
from dsi_cli.analysis.classifiers.checkpoint_scanner import Weights
from dsi_cli.analysis.classifiers.matrices import MatrixWriter, StoredMatrices
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.evaluation.collect import ReportProgress, RunEvaluations
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics import wordnet_matrix
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.epoch_context import EpochContext
from dsi_cli.analysis.tables import curves, geometry
from dsi_cli.analysis.tables.result_tables import ResultTables
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import TrainingLog
from dsi_cli.engines import Engine, local
from dsi_cli.errors import listed
from dsi_cli.metrics.blockwise import SHORT_OF_MEMORY, TOO_MANY_CLASSES, BlockWalk, rows_within
from dsi_cli.predictions.result import EvaluationResult
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import ALIGNMENT_BY_CLASS, SPECTRUM

FLUSH_SECONDS = 20.0  # the time between two updates of the tables during a long analysis
MAX_RESULT_BYTES = 256 << 20
"""The size of the new evaluation results in memory from which on they are compared, before the model runs again."""
MIN_STEPS, UNRELATED_ANGLE = 2, 80.0
"""dsi warns if at least so many steps between checkpoints all have at least this mean angle of the class vectors, in degrees."""
DENSE_WITHOUT_BUDGET = 256  # the number of classes up to which matrices are compared whole on every machine
BYTES_PER_VALUE = 220  # the memory that comparing two whole matrices takes per value of one matrix, measured and rounded up


def walk_and_threads(classes: int, options: Options) -> tuple[BlockWalk | None, int | None]:
    """Return the iteration over blocks of rows by which matrices of so many classes are compared; None if they are whole.

    Also return the number of threads that compare whole matrices, one epoch each; None for one per core.
    """
    if classes <= DENSE_WITHOUT_BUDGET:
        return None, None
    if options.memory is None:
        limit = engines.free_memory()
        budget = limit // 2
    else:
        limit = budget = options.memory
    cores = engines.usable_cores()
    needed = classes**2 * BYTES_PER_VALUE
    is_vast = classes > similarity.MAX_DENSE_CLASSES
    if not is_vast and needed <= limit:
        return None, min(max(budget // needed, 1), cores)
    reason = TOO_MANY_CLASSES if is_vast else SHORT_OF_MEMORY
    return BlockWalk(rows_within(budget, classes, cores), local.map_in_order, reason), None


@dataclass(frozen=True)
class Call:
    """The inputs and the tables of one call of `dsi_cli.analysis.analyze.analyze`."""

    tables: ResultTables
    labels: dict[str, ClassLabels]
    logs: dict[str, TrainingLog | None]
    evaluations: RunEvaluations
    engine: Engine | None  # None for threads of this process


def compare_runs(
    call: Call,
    runs: Sequence[RunCheckpoints],
    weights: Weights,
    new_results: Iterator[dict[str, EvaluationResult]],
    progress: ReportProgress,
) -> tuple[list[RunCheckpoints], list[str]]:
    """Write all matrices and tables; the tables also from time to time.

    `weights` are the heads in memory, and `new_results` the results that this call makes, for each checkpoint in turn. Return
    the runs with the checkpoints that failed meanwhile, and warnings.
    """
    runs = list(runs)
    done, total = 0, sum(len(run.usable) for run in runs)
    flushed = time.monotonic()
    epochs_of_warning: dict[str, list[int]] = {}
    for position, run in enumerate(runs):
        plan = _plan_run(call, run, weights)
        failed: dict[str, str] = {}
        for batch in _in_batches(run.usable, new_results):
            jobs = (_make_job(call, plan, record, results) for record, results in batch)
            for job in _with_missing_rows(call.engine, plan, jobs):
                if job.failed is not None:
                    failed[job.record.path] = job.failed
                    runs[position] = run.with_failures(failed, "unreadable")
                else:
                    for warning in _add_to_tables(call, run, job):
                        epochs_of_warning.setdefault(warning, []).append(job.record.epoch or 0)
                done += 1
                progress("comparing matrices", done, total)
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    call.tables.write(runs, call.labels, is_whole=False)
                    flushed = time.monotonic()
        evaluations = call.evaluations
        call.tables.geometry.add(
            run.name, runs[position].usable, plan.matrices.stored_head, evaluations.collapse, evaluations.identity
        )
        layout.remove(plan.matrices.unused_files())
        heads_read, reused = run.heads_read | plan.matrices.heads_read, plan.matrices.reused
        runs[position] = replace(
            runs[position], heads_read=heads_read, reused=reused, no_reference=plan.reason_no_reference
        )
    deque(new_results, maxlen=0)  # let it remove files that belong to no checkpoint
    call.tables.write(runs, call.labels)

    # One line for each warning, with its epochs
    warnings = []
    for warning, epochs in epochs_of_warning.items():
        when = f"epoch {epochs[0]}" if len(epochs) == 1 else f"{len(epochs)} epochs from {epochs[0]} to {epochs[-1]}"
        warnings.append(f"{warning} ({when})")
    return runs, [*warnings, *_unrelated_heads(call, runs)]


def _unrelated_heads(call: Call, runs: Sequence[RunCheckpoints]) -> Iterator[str]:
    """Yield a warning for each run whose checkpoints seem to be separate trainings, by the angles of their class vectors."""
    for run in runs:
        angles = call.tables.geometry.angles_between_checkpoints(run.name)
        if len(angles) >= MIN_STEPS and min(angles) >= UNRELATED_ANGLE:
            found = f"the class vectors of successive checkpoints are unrelated (angles of {min(angles):.0f}\u00b0 or more)"
            yield f"{run.name}: {found}; if these are separate trainings, put each into a folder of its own"


def _in_batches(
    records: Sequence[Record], new_results: Iterator[dict[str, EvaluationResult]]
) -> Iterator[list[tuple[Record, dict[str, EvaluationResult]]]]:
    """Yield the checkpoints with their new evaluation results by split, in parts that fit in memory."""
    batch: list[tuple[Record, dict[str, EvaluationResult]]] = []
    size = 0
    for record in records:
        batch.append((record, next(new_results)))
        arrays = [array for result in batch[-1][1].values() for array in (result.counts, result.ccsm, result.tncsm)]
        size += sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
        if size > MAX_RESULT_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _add_to_tables(call: Call, run: RunCheckpoints, job: _Job) -> Iterator[str]:
    """Add the rows of a checkpoint to the tables, and yield warnings."""
    record = job.record
    trainer_values = curves.trainer_values(record, call.logs[run.name], is_last=run.step_in_names(record) is None)
    rows = [*job.rows, *curves.trainer_rows(record, trainer_values, job.rows)]
    call.tables.add(record, rows, _curves_identity(call, record, run.common_classes), job.by_class, job.spectrum)
    for table, typicality in call.evaluations.typicality_rows(record):
        call.tables.typicality[table] += typicality
    for name, counts in job.samples.items():
        call.tables.samples.setdefault(record.run, {})[name] = counts

    # Classes whose weights are all zero
    zero_rows, labels = job.stored.zero_rows, call.labels[run.name].label_list
    if zero_rows:
        names = listed([repr(labels.names[index]) if labels else str(index) for index in zero_rows], 3)
        yield f"{run.name}: zero weights in class {names}, so the similarity to all others is 0"
    # Accuracies that differ from those that the trainer wrote
    splits = collect.splits_with_other_accuracy(job.rows, trainer_values)
    if splits:
        check = "that predictions and truth have the same order of samples and classes"
        stores = [store for store in call.evaluations.stores[run.name] if store.split in splits]
        if any(store.manifest(record).get("from", {}).get("model") for store in stores):
            check = "the images, their size, mean and std, and the order of the classes"
        yield f"{record.run}: accuracy on {' and '.join(splits)} is not what the trainer wrote; check {check}"


def _compute_rows(context_of: Callable[[Record], EpochContext], common: int | None, job: _Job) -> _Job:
    """Return a job with the rows that its matrices and predictions give, and without its matrices.

    `common` is the number of classes that all heads of the run have. The function runs in this process or on another machine.
    """
    context, head = context_of(job.record), job.stored.head
    matrices = curves.epoch_matrices(job.stored, job.evaluations, context, common)
    rows, table = curves.curve_rows(matrices, job.evaluations, context)
    spectrum = parquet.from_rows(SPECTRUM, [])
    if head is not None:
        weight = head.weight[:common]
        rows.append(curves.mean_row(replace(job.record, classes=common), similarity.mean_row_ratio(weight)))
        geometry_rows, spectrum = geometry.head_rows(job.record, weight)
        rows += geometry_rows
    by_class = table or parquet.from_rows(ALIGNMENT_BY_CLASS, [])
    stored = replace(job.stored, by_kind={}, head=None, statistics_of_blocks={})
    return job._replace(rows=job.rows + rows, by_class=by_class, spectrum=spectrum, evaluations=[], stored=stored)


class _RunPlan(NamedTuple):
    matrices: MatrixWriter
    walk: BlockWalk | None
    threads: int | None
    computation: Callable[[_Job], _Job]
    reason_no_reference: str | None  # the reason why nothing can be aligned with the main reference


def _plan_run(call: Call, run: RunCheckpoints, weights: Weights) -> _RunPlan:
    """Return how the epochs of a run are compared, after writing its reference matrices."""
    labels, tables = call.labels[run.name], call.tables
    out, options, scratch = tables.out, tables.options, layout.temporary_folder(tables.out)
    walk, threads = walk_and_threads(labels.classes, options)
    is_vast = labels.classes > similarity.MAX_DENSE_CLASSES
    references = [source.for_labels(labels, by_rows=is_vast) for source in tables.references]
    # Write the reference matrices that are not stored, except for those without any class of the run.
    for source, reference in zip(tables.references, references, strict=True):
        if is_vast or labels.label_list is None or not len(reference.classes):
            continue
        path = layout.reference_path(out, source.name, labels.label_list.id)
        metadata = {**source.table_options, "mapping": labels.senses_id}
        if parquet.options_of(path) != metadata:
            table = wordnet_matrix.matrix_table(labels, reference.dense, source.name)
            parquet.write(table, path, metadata, scratch)

    matrices = MatrixWriter(out, run, options, weights, walk if is_vast else None)
    context = partial(EpochContext, labels, references, options, walk, scratch)
    computation = partial(_compute_rows, context, run.common_classes)
    return _RunPlan(matrices, walk, threads, computation, references[0].reason_missing)


class _Job(NamedTuple):
    """One checkpoint with its stored matrices and predictions, and its rows of the curves table."""

    record: Record
    rows: list[curves.Row]
    stored: StoredMatrices
    evaluations: list[EvaluationResult]
    samples: dict[str, list[int]]  # the number of samples of each class, by split
    by_class: pa.Table | None = None  # the new rows of the table of alignments by class; None if the earlier ones are valid
    spectrum: pa.Table | None = None  # the new rows of the spectrum table; None if the earlier ones are valid
    failed: str | None = None
    """The reason why the checkpoint can no longer be used, or why the engine could not compute the rows."""

    @property
    def is_known(self) -> bool:
        """True if there is nothing to compute."""
        return self.failed is not None or not (self.stored.by_kind or self.stored.head or self.evaluations)


def _make_job(call: Call, plan: _RunPlan, record: Record, new_results: dict[str, EvaluationResult]) -> _Job:
    """Return the job of a checkpoint, with its earlier rows if these are still valid."""
    identity = _curves_identity(call, record, plan.matrices.run.common_classes)
    rows = call.tables.reusable_rows(record, call.labels[record.run], identity)
    if plan.walk is None and any((row["reason"] or "").endswith(SHORT_OF_MEMORY) for row in rows):
        rows = []  # an earlier call had too little memory for whole matrices
    evaluations = [
        new_results.get(store.split) or store.stored(record)
        for store in call.evaluations.stores[record.run]
        if not (rows and store.split in call.tables.samples.get(record.run, {}))
    ]
    samples = {result.split: result.counts.sum(axis=1).tolist() for result in evaluations if result.counts is not None}
    text_weight = next((result.text_weight for result in new_results.values()), None)
    stored = plan.matrices.stored(record, wanted=not rows, text_weight=text_weight)
    if rows:
        return _Job(record, rows, stored, [], samples, failed=stored.failed)
    return _Job(record, call.evaluations.missing_rows(record), stored, evaluations, samples, failed=stored.failed)


def _curves_identity(call: Call, record: Record, common: int | None) -> str:
    """Return a text that changes with the evaluation results of a checkpoint, and with the classes of its curves."""
    identity = call.evaluations.identity(record)
    return identity if record.classes == common else f"{identity} of {common} classes"


def _with_missing_rows(engine: Engine | None, plan: _RunPlan, jobs: Iterable[_Job]) -> Iterator[_Job]:
    """Yield all jobs in their order with their rows; jobs whose rows are known are not sent to the engine."""
    taken: deque[_Job] = deque()

    def pending() -> Iterator[_Job]:
        for job in jobs:
            taken.append(job)
            if not job.is_known:
                yield job

    if plan.walk is not None:  # the threads share the blocks of one epoch
        computed_jobs: Iterator[_Job] = map(plan.computation, pending())
    elif engine is not None:
        computed_jobs = engine.map_in_order(plan.computation, pending(), lambda job, reason: job._replace(failed=reason))
    else:
        computed_jobs = local.map_in_order(plan.computation, pending(), plan.threads)
    for computed in computed_jobs:
        while taken[0].is_known:
            yield taken.popleft()
        taken.popleft()
        yield computed
    yield from taken
