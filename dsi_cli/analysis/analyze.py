"""Analyse checkpoints: make a plan, compute the rows of each checkpoint that the cache
does not have, and write the tables.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dsi_cli import similarity
from dsi_cli.analysis import earlier_settings, previous_plan
from dsi_cli.analysis.cache import ROWS, key_of
from dsi_cli.analysis.classifiers.heads import HeadParameters, head_table
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.epoch_rows import (
    KINDS,
    Checkpoint,
    EpochRows,
    RowsPlan,
    epoch_rows,
    matrix_table,
)
from dsi_cli.analysis.evaluation.collect import ReportProgress
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.plan import NothingUsableError, Plan, make_plan
from dsi_cli.analysis.semantics import wordnet_matrix
from dsi_cli.analysis.summary import Summary, summarise
from dsi_cli.analysis.tables import facts
from dsi_cli.analysis.tables.epoch_files import EpochFiles
from dsi_cli.analysis.tables.result_tables import RunRows, write_tables
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import FAILED, Record
from dsi_cli.engines import Engine, local, open_engine
from dsi_cli.errors import NothingToAnalyseError, UsageError
from dsi_cli.facts import Fact
from dsi_cli.store import layout, lock, parquet
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    EXTRA_CURVES,
    FACTS,
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
        with _nothing_left_by_errors(out):
            plan = make_plan(paths, out, options, engine, progress, say)
        if previous_plan.is_missing(out):
            folder = layout.set_aside(out)
            say(
                f"{out} has results of dsi 0.2: they are now in {folder}, and dsi"
                " analyses all checkpoints again"
            )
        # if dsi dies before it writes the new plan, the folder has the earlier one
        previous_plan.write(out, plan.previous)
        made = compute_rows(plan, engine, progress)
        is_changed, noticed = write_results(plan, made)
        for name in plan.replaced:
            say(
                f"the checkpoints of {name} now belong to another run, so dsi removed"
                " its earlier results"
            )
    summaries = [summarise(one.run, plan, reused=one.reused) for one in made]
    seconds = time.monotonic() - started
    return Summary(str(out), summaries, noticed, seconds, unchanged=not is_changed)


@dataclass
class MadeRows:
    """The rows of one run."""

    run: RunCheckpoints  # with the checkpoints that failed meanwhile
    # the reason why nothing can be aligned with the main reference
    reason_no_reference: str | None
    # by the path of the checkpoint
    rows: dict[str, EpochRows] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # by the path of the checkpoint
    reused: int = 0  # the number of checkpoints whose rows were in the cache


def compute_rows(
    plan: Plan, engine: Engine | None, progress: ReportProgress
) -> list[MadeRows]:
    """Make the missing evaluations and rows of all checkpoints, keep them in the cache,
    and write the files of each epoch.
    """
    plan.evaluations.make(plan.runs, engine)
    done, total = 0, sum(len(run.usable) for run in plan.runs)
    made = []
    for run in plan.runs:
        rows_plan, files = plan.rows_plan(run), EpochFiles(plan.out, run.name)
        of_run = MadeRows(run, rows_plan.references[0].reason_missing)
        failed: dict[str, str] = {}
        for record, key, rows in _remembered_rows(plan, rows_plan, run.usable, engine):
            if isinstance(rows, str):
                failed[record.path] = rows
            else:
                _write_epoch(
                    plan, rows_plan, files, run.step_in_names(record), record, key, rows
                )
                of_run.rows[record.path], of_run.keys[record.path] = (
                    replace(rows, matrices={}, is_new=False),
                    key,
                )
                of_run.reused += not rows.is_new
            done += 1
            progress("comparing matrices", done, total)
        of_run.run = run.with_failures(failed, "unreadable")
        files.remove_others()
        made.append(of_run)
    return made


class _Taken(NamedTuple):
    """A checkpoint with its rows if the cache has them."""

    record: Record
    key: str
    rows: EpochRows | None


def _remembered_rows(
    plan: Plan, rows_plan: RowsPlan, records: Sequence[Record], engine: Engine | None
) -> Iterator[tuple[Record, str, EpochRows | str]]:
    """Yield each checkpoint with the key of its rows and the rows, or the reason why
    the engine could not compute them.
    """
    evaluations, entries = plan.evaluations, plan.cache
    taken: deque[_Taken] = deque()

    def missing() -> Iterator[Checkpoint]:
        for record in records:
            key = rows_plan.key(record, evaluations.keys(record))
            entry = entries.get(ROWS, key)
            taken.append(
                _Taken(
                    record, key, None if entry is None else EpochRows.of_entry(entry)
                )
            )
            if entry is None:
                results = [
                    split.result(record) for split in evaluations.splits[record.run]
                ]
                yield Checkpoint(
                    plan.head_of(record),
                    [result for result in results if result is not None],
                )

    function = partial(epoch_rows, rows_plan)
    computed: Iterator[EpochRows | str]
    if rows_plan.walk is not None:  # the threads share the blocks of one epoch
        computed = map(function, missing())
    elif engine is not None:
        computed = engine.map_in_order(
            function, missing(), lambda _checkpoint, reason: reason
        )
    else:
        computed = local.map_in_order(function, missing(), rows_plan.threads)
    for rows in computed:
        while (known := taken[0].rows) is not None:
            record, key, _ = taken.popleft()
            yield record, key, known
        record, key, _ = taken.popleft()
        if isinstance(rows, EpochRows):
            entries.put(ROWS, key, rows.as_entry())
        yield record, key, rows
    for record, key, remembered in taken:
        assert remembered is not None
        yield record, key, remembered


def _write_epoch(
    plan: Plan,
    rows_plan: RowsPlan,
    files: EpochFiles,
    step: int | None,
    record: Record,
    key: str,
    rows: EpochRows,
) -> None:
    """Write the files of a checkpoint whose key differs."""
    for split in plan.evaluations.splits[record.run]:
        files.evaluation(record, step, split)
    head_key = plan.head_key(record)
    if head_key is None:
        return

    @cache
    def head() -> HeadParameters:
        found = plan.head_of(record)
        assert found is not None, (
            f"the head of {record.path} was removed from the cache"
        )
        return found

    def table(kind: str) -> pa.Table:
        if rows_plan.is_vast:
            return rows.nearest[kind]
        matrix = rows.matrices.get(kind)
        return matrix_table(
            kind, KINDS[kind](head().weight) if matrix is None else matrix
        )

    files.head(record, step, head_key, lambda: head_table(head()))
    for kind in rows_plan.kinds:
        if rows_plan.is_vast:
            files.nearest(record, step, kind, key, partial(table, kind))
        else:
            files.matrix(record, step, kind, head_key, partial(table, kind))


def write_results(plan: Plan, made: Sequence[MadeRows]) -> tuple[bool, list[Fact]]:
    """Write the tables and references, and record the plan for the next call; return
    whether a table changed, and what all steps noticed.
    """
    _write_references(plan)
    runs = []
    for one in made:
        name = one.run.name
        reference = plan.sources[0].name
        runs.append(
            RunRows(
                one.run,
                plan.labels[name],
                plan.logs[name],
                plan.evaluations,
                reference,
                one.rows,
                one.keys,
                plan.head_of,
            )
        )
    settings: dict[str, Any] = {run.run.name: None for run in made}
    if plan.options.given_settings is not None:
        for one in made:
            if one.run.usable:  # a wrong --head must not hold in the next call
                has_labels = not one.run.ignores_kept_labels
                settings[one.run.name] = earlier_settings.record(
                    plan.options, has_labels=has_labels
                )
    folders: dict[str, str | None] = {
        run.run.name: printable(str(run.run.training.folder)) for run in made
    }
    shaping: dict[str, Any] = dict.fromkeys(settings, plan.curve_options)
    for by_run in (folders, settings, shaping):
        by_run.update(dict.fromkeys(plan.replaced))
    options = {
        CHECKPOINTS: {"folders": folders, "settings": settings},
        CURVES: {"shaping": shaping},
    }
    is_changed = write_tables(plan.out, runs, options, plan.replaced)
    noticed = [*plan.facts, *plan.evaluations.facts]
    for rows, one in zip(runs, made, strict=True):
        noticed += facts.of_run(plan.out, rows, one.reason_no_reference)
    names = [one.run.name for one in made]
    is_changed |= facts.write(plan.out, noticed, names, plan.replaced)
    for name in plan.replaced:
        EpochFiles(plan.out, name).remove_others()

    # Remove the references and the entries that no run uses.
    next_plan = plan.for_next_call(
        [one.run for one in made],
        {path: key for one in made for path, key in one.keys.items()},
    )
    previous_plan.write(plan.out, next_plan)
    entries = {entry for run in next_plan.values() for entry in run.entries}
    plan.cache.prune(entries)
    _remove_references(plan.out)
    return is_changed, noticed


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
    if not layout.earlier_options(out, CHECKPOINTS) and any(
        r.status == FAILED for run in runs for r in run.resolved
    ):
        records = [vars(record) for run in runs for record in run.resolved]
        folders = {run.name: printable(str(run.training.folder)) for run in runs}
        previous_plan.write(out, {})
        for table in (CLASSES, CURVES, EXTRA_CURVES, FACTS):
            layout.write_runs(out, table, list(folders), parquet.from_rows(table, []))
        layout.write_runs(
            out,
            CHECKPOINTS,
            list(folders),
            parquet.from_rows(CHECKPOINTS, records),
            {"folders": folders},
        )


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
