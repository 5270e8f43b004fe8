"""Analyse checkpoints: make a plan, compute the rows of each checkpoint that the cache
does not have, and write the tables.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli import similarity
from dsi_cli.analysis import last_call, previous_plan
from dsi_cli.analysis.cache import ROWS, Cache, DamagedCacheError, key_of
from dsi_cli.analysis.classifiers.heads import HeadParameters, head_table
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.epoch_rows import (
    KINDS,
    Checkpoint,
    EpochRows,
    epoch_rows,
    matrix_table,
)
from dsi_cli.analysis.evaluation.collect import ReportProgress
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.plan import NothingUsableError, Plan, make_plan
from dsi_cli.analysis.semantics import wordnet_matrix
from dsi_cli.analysis.summary import Summary, summarise
from dsi_cli.analysis.tables import facts, repeated_phases, suspects
from dsi_cli.analysis.tables.epoch_files import EpochFiles, remove_other_files
from dsi_cli.analysis.tables.result_tables import RunRows, write_tables
from dsi_cli.checkpoints.records import FAILED, Record
from dsi_cli.engines import Engine, open_engine, processes
from dsi_cli.errors import NothingToAnalyseError, UsageError
from dsi_cli.facts import Fact
from dsi_cli.store import layout, lock, parquet
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CSMS,
    CURVES,
    EXTRA_CURVES,
    FACTS,
    HEADS,
    NEIGHBORS,
    REFERENCES,
)

_log = logging.getLogger(__name__)


def analyze(
    paths: Sequence[str | PathLike[str]],
    out: str | PathLike[str] = layout.DEFAULT,
    options: Options = Options(),  # noqa: B008 (frozen)
    progress: ReportProgress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Analyse the checkpoints of files, folders or glob patterns, and write or update
    the tables in the results folder ``out``.

    `progress` is called after each step with the stage in words, the number of things
    done, and their total. `say` is called with messages before long work begins: the
    model, how images are prepared, memory.

    Raise `UsageError` if a path, an option or a label list is wrong; nothing was
    written. Raise `NothingToAnalyseError` if no checkpoint was found, or none is
    usable; a new results folder then contains the checkpoints table with the reasons.
    Raise `OutputError` if the results could not be written; what was finished is kept.
    """
    started = time.monotonic()
    _log.debug("%s", options)
    out = Path(out)
    with lock.exclusive(out), open_engine(options.engine) as engine:
        is_damaged = False
        try:
            done = _analyze(paths, out, options, engine, progress, say)
        except DamagedCacheError:
            # The entry was removed. Without any other damaged entry, a second attempt
            # computes what is missing.
            is_damaged = True
            Cache(out).remove_damaged()
            done = _analyze(paths, out, options, engine, progress, say)
        plan, made, is_changed, noticed = done
        if is_damaged or plan.cache.has_damage:
            say(
                f"files in {plan.cache.folder} were damaged, so dsi removed them and"
                " computed their contents again"
            )
        for name in plan.replaced:
            say(
                f"the checkpoints of {name} now belong to another run, so dsi removed"
                " its earlier results"
            )
    summaries = [summarise(one.run, plan, reused=one.reused) for one in made]
    seconds = time.monotonic() - started
    return Summary(str(out), summaries, noticed, seconds, unchanged=not is_changed)


def _analyze(
    paths: Sequence[str | PathLike[str]],
    out: Path,
    options: Options,
    engine: Engine | None,
    progress: ReportProgress,
    say: Callable[[str], None],
) -> tuple[Plan, list[RunRows], bool, list[Fact]]:
    """Write or update the tables, and return the plan, the rows of each run, whether a
    table changed, and what all steps noticed.

    Raise `DamagedCacheError` if an entry of the cache is damaged; what was finished is
    kept. The parameters and other errors are those of `analyze`.
    """
    with _nothing_left_by_errors(out):
        plan = make_plan(paths, out, options, engine, progress, say)
    _set_aside_other_results(out, say)
    plan.evaluations.make(plan.runs, engine)
    made = [_rows_of_plan(plan, run) for run in plan.runs]
    noticed = last_call.facts_if_unchanged(plan, made)
    if noticed is not None:
        return plan, made, False, noticed
    # if dsi dies before it writes the new plan, the folder has the earlier one
    previous_plan.write(out, plan.previous)
    compute_rows(made, engine, progress)
    is_changed, noticed = write_results(plan, made)
    last_call.write(plan, made, noticed)
    return plan, made, is_changed, noticed


def _rows_of_plan(plan: Plan, run: RunCheckpoints) -> RunRows:
    """Return the rows of a run before any is read or computed."""
    rows_plan = plan.rows_plan(run)
    keys = {
        record.path: rows_plan.key(record, plan.evaluations.keys(record))
        for record in run.usable
    }
    reused = sum(plan.cache.has(ROWS, key) for key in keys.values())
    return RunRows(plan, run, rows_plan, keys, reused)


def compute_rows(
    made: Sequence[RunRows], engine: Engine | None, progress: ReportProgress
) -> None:
    """Read the rows of all checkpoints from the cache or compute them, and write the
    files of each epoch.
    """
    total = sum(len(of_run.run.usable) for of_run in made)
    done = 0
    for of_run in made:
        written: set[Path] = set()
        failed: dict[str, str] = {}
        for record, rows, files in _rows_of_run(of_run, engine):
            written |= files
            if isinstance(rows, EpochRows):
                of_run.computed[record.path] = rows
            else:
                failed[record.path] = rows
                del of_run.keys[record.path]
            done += 1
            progress("comparing matrices", done, total)
        of_run.run = of_run.run.with_failures(failed, "unreadable")
        remove_other_files(of_run.plan.out, of_run.run.name, written)


def _rows_of_run(
    made: RunRows, engine: Engine | None
) -> Iterator[tuple[Record, EpochRows | str, set[Path]]]:
    """Yield each checkpoint of a run with its rows and the files of its epoch, or with
    the reason why the engine could not compute them: first those in the cache.
    """
    plan, missing = made.plan, []
    for record in made.run.usable:
        entry = plan.cache.get(ROWS, made.keys[record.path])
        if entry is None:
            missing.append(record)
        else:
            rows = EpochRows.of_entry(entry)
            yield record, rows, _write_epoch(made, record, rows)

    def keep(record: Record, rows: EpochRows) -> tuple[EpochRows, set[Path]]:
        plan.cache.put(ROWS, made.keys[record.path], rows.as_entry())
        files = _write_epoch(made, record, rows)
        return replace(rows, matrices={}, nearest={}), files

    def compute(record: Record) -> tuple[EpochRows, set[Path]]:
        return keep(record, epoch_rows(made.rows_plan, _checkpoint(plan, record)))

    if engine is not None and not made.rows_plan.is_vast:
        function = partial(epoch_rows, made.rows_plan)
        checkpoints = (_checkpoint(plan, record) for record in missing)
        computed: Iterator[EpochRows | str] = engine.map_in_order(
            function, checkpoints, lambda _checkpoint, reason: reason
        )
        for record, found in zip(missing, computed, strict=True):
            if isinstance(found, str):
                yield record, found, set()
            else:
                yield record, *keep(record, found)
        return
    made_here = processes.map_in_order(compute, missing, made.rows_plan.threads)
    for record, (rows, files) in zip(missing, made_here, strict=True):
        yield record, rows, files


def _checkpoint(plan: Plan, record: Record) -> Checkpoint:
    results = [split.result(record) for split in plan.evaluations.splits[record.run]]
    return Checkpoint(
        plan.head_of(record), [result for result in results if result is not None]
    )


def _write_epoch(made: RunRows, record: Record, rows: EpochRows) -> set[Path]:
    """Write the files of a checkpoint whose key differs, and return all its files."""
    plan = made.plan
    files = EpochFiles(plan.out, made.run.name)
    step = made.run.step_in_names(record)
    for split in plan.evaluations.splits[record.run]:
        files.evaluation(record, step, split)
    head_key = plan.head_key(record)
    if head_key is None:
        return files.written

    def head() -> HeadParameters:
        found = plan.head_of(record)
        assert found is not None, f"the cache has no head of {record.path}"
        return found

    def matrix(kind: str) -> pa.Table:
        values = rows.matrices.get(kind)
        if values is None:
            values = KINDS[kind](head().weight)
        return matrix_table(kind, values)

    files.write(
        HEADS, layout.WEIGHT, record, step, head_key, lambda: head_table(head())
    )
    for kind in made.rows_plan.kinds:
        if made.rows_plan.is_vast:
            key = made.keys[record.path]
            rows_of_kind = partial(rows.nearest.__getitem__, kind)
            files.write(NEIGHBORS, kind, record, step, key, rows_of_kind)
        else:
            files.write(CSMS, kind, record, step, head_key, partial(matrix, kind))
    return files.written


def write_results(plan: Plan, made: Sequence[RunRows]) -> tuple[bool, list[Fact]]:
    """Write the tables and references, and record the plan for the next call; return
    whether a table changed, and what all steps noticed.
    """
    _write_references(plan)
    names = [one.run.name for one in made]
    shaping: dict[str, Any] = dict.fromkeys(names, plan.curve_options)
    shaping |= dict.fromkeys(plan.replaced)
    is_changed = write_tables(made, {CURVES: {"shaping": shaping}}, plan)
    noticed = [*plan.facts, *plan.evaluations.facts]
    for one in made:
        noticed += facts.of_run(one)
    is_changed |= facts.write(plan, noticed, names)
    is_changed |= repeated_phases.name_declines(plan.out)
    is_changed |= suspects.write(plan.out)
    for name in plan.replaced:
        remove_other_files(plan.out, name, set())

    # Remove the references and the entries that no run uses.
    rows: dict[str, str] = {}
    geometry: dict[str, str] = {}
    for one in made:
        rows |= one.keys
        geometry |= one.geometry_keys
    next_plan = plan.for_next_call([one.run for one in made], rows, geometry)
    previous_plan.write(plan.out, next_plan)
    plan.cache.prune({entry for run in next_plan.values() for entry in run.entries})
    _remove_references(plan.out)
    return is_changed, noticed


def _set_aside_other_results(out: Path, say: Callable[[str], None]) -> None:
    """Move results of which dsi does not know the plan to another folder."""
    if previous_plan.is_missing(out):
        folder = layout.set_aside(out)
        say(
            f"{out} has results of dsi 0.2: they are now in {folder}, and dsi analyses"
            " all checkpoints again; give labels and other settings again, too"
        )


@contextmanager
def _nothing_left_by_errors(out: Path) -> Iterator[None]:
    """Remove the cache of a new results folder if the block raises; without a usable
    checkpoint, write the reasons.
    """
    try:
        yield
    except (UsageError, NothingToAnalyseError) as error:
        if not layout.is_output(out):
            shutil.rmtree(out / layout.CACHE, ignore_errors=True)
            if isinstance(error, NothingUsableError):
                _write_reasons(out, error.runs)
        raise


def _write_reasons(out: Path, runs: Sequence[RunCheckpoints]) -> None:
    """Write the reasons why no checkpoint is usable into a new results folder."""
    records = [record for run in runs for record in run.resolved]
    if not any(record.status == FAILED for record in records):
        return
    names = [run.name for run in runs]
    previous_plan.write(out, {})
    for table in (CLASSES, CURVES, EXTRA_CURVES, FACTS):
        layout.write_runs(out, table, names, parquet.from_rows(table, []))
    rows = parquet.from_rows(CHECKPOINTS, [vars(record) for record in records])
    layout.write_runs(out, CHECKPOINTS, names, rows)


def _write_references(plan: Plan) -> None:
    """Write the reference matrices that are not stored, except for those without any
    class of the run.
    """
    for labels in plan.labels.values():
        if labels.label_list is None or labels.classes > similarity.MAX_DENSE_CLASSES:
            continue
        for source in plan.sources:
            path = layout.reference_path(plan.out, source.name, labels.label_list.id)
            metadata = {
                **source.table_options,
                "key": key_of("reference", source.table_options, labels.senses_id),
            }
            if parquet.options_of(path) == metadata:
                continue
            reference = source.for_labels(labels)
            if len(reference.classes):
                table = wordnet_matrix.matrix_table(
                    labels, reference.dense, source.name
                )
                parquet.write(table, path, metadata, layout.temporary_folder(plan.out))


def _remove_references(out: Path) -> None:
    """Remove the reference matrices that no run uses."""
    used = set()
    classes = layout.read_table(out, CLASSES)
    for run, labels_id in set(
        zip(classes["run"].to_pylist(), classes["labels_id"].to_pylist(), strict=True)
    ):
        used |= {
            layout.reference_path(out, name, labels_id)
            for name in layout.references_of(out, run)
        }
    layout.remove(set((out / REFERENCES.path).glob("*.parquet")) - used)
