"""The table of facts: what the steps of an analysis noticed about each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.history import break_facts
from dsi_cli.analysis.plan import Plan
from dsi_cli.analysis.tables import geometry, input_agreement
from dsi_cli.analysis.tables.result_tables import RunRows, write_table
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import FAILED, PENDING, Record
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.metrics.head_geometry import MIN_BREAK_ANGLE
from dsi_cli.queries import facts
from dsi_cli.queries.findings import reference_name
from dsi_cli.store import parquet
from dsi_cli.store.schema import FACTS

MIN_STEPS, UNRELATED_ANGLE = 2, 80.0
"""The heads of a run are unrelated if at least so many steps between checkpoints all
have at least this mean angle of the class vectors, in degrees.
"""


def of_run(rows: RunRows) -> list[Fact]:
    """Return what the rows of a run show: inputs that contradict one another, files that
    failed, labels to check, zero weights, other accuracies and unrelated heads. Its
    tables are written.
    """
    found = [*input_agreement.of_run(rows), *_unused_files(rows)]
    found += [*_missing_predictions(rows), *of_labels(rows)]
    # A contradiction says more about predictions than that their accuracy differs.
    explained = facts.distrusted(found)
    for record in rows.records:
        found += _of_checkpoint(rows, record, explained)
    angles = geometry.angles_between_checkpoints(rows.plan.out, rows.run.name)
    found += _breaks(rows, angles) or _unrelated_heads(list(angles.values()))
    return about_run(rows.run.name, found)


def of_labels(rows: RunRows) -> list[Fact]:
    """Return what the labels of a run with usable checkpoints show."""
    if not rows.run.usable:
        return []
    reason = rows.rows_plan.references[0].reason_missing
    return list(rows.labels.facts(reference_name(rows.main_reference), reason))


def _unused_files(rows: RunRows) -> Iterator[Fact]:
    """Yield a fact for each cause why checkpoints failed or are still being written."""
    causes: dict[tuple[str, str | None], list[Record]] = {}
    for record in rows.run.resolved:
        if record.status in (FAILED, PENDING):
            causes.setdefault((record.status, record.code), []).append(record)
    for (status, cause), records in causes.items():
        yield fact(
            f"checkpoints-{status}",
            cause=cause,
            files=[record.name for record in records],
            reason=records[0].reason,
            folder=printable(str(rows.run.training.folder)),
        )


def _missing_predictions(rows: RunRows) -> Iterator[Fact]:
    """Yield a fact for each cause why evaluations failed."""
    names = {record.path: record.name for record in rows.run.resolved}
    for split in rows.plan.evaluations.splits[rows.run.name]:
        causes: dict[str, list[str]] = {}
        for path, error in split.failed.items():
            causes.setdefault(error.code, []).append(path)
        for cause, paths in causes.items():
            yield fact(
                "predictions-missing",
                cause=cause,
                split=split.split,
                files=[names[path] for path in paths],
                reason=str(split.failed[paths[0]]),
            )


def _of_checkpoint(
    rows: RunRows, record: Record, explained: frozenset[str]
) -> Iterator[Fact]:
    """Yield facts about zero weights of a checkpoint, and accuracies that differ from
    those that the trainer wrote, except for those of ``explained`` predictions.
    """
    epochs, computed = [record.epoch_number], rows.computed[record.path]
    label_list = rows.labels.label_list
    if computed.zero_rows:
        classes = [
            label_list.names[index] if label_list else str(index)
            for index in computed.zero_rows
        ]
        yield fact("zero-weights", epochs=epochs, classes=classes)
    splits = [
        split
        for split in collect.splits_with_other_accuracy(
            computed.curves, rows.trainer_values(record)
        )
        if f"predictions:{split}" not in explained
    ]
    if not splits:
        return
    evaluations = [
        split
        for split in rows.plan.evaluations.splits[rows.run.name]
        if split.split in splits
    ]
    ran_model = any(
        split.info(record).get("from", {}).get("model") for split in evaluations
    )
    code = "accuracy-of-model-differs" if ran_model else "accuracy-differs"
    yield fact(code, epochs=epochs, splits=splits)


def _unrelated_heads(angles: Sequence[float]) -> list[Fact]:
    """Return a fact if the checkpoints of a run seem to be separate trainings, by the
    mean angles between successive ones.
    """
    if len(angles) < MIN_STEPS or min(angles) < UNRELATED_ANGLE:
        return []
    return [fact("heads-unrelated", angle=min(angles))]


def _breaks(
    rows: RunRows, angles: Mapping[tuple[int | None, int | None], float]
) -> list[Fact]:
    """Return a fact if a run consists of several trainings, of which each has several
    checkpoints.
    """
    # Most heads are near the one before, and dsi does not read them again.
    needed = {
        record.path
        for before, after in pairwise(rows.records)
        if angles.get((after.epoch, after.step), 0.0) >= MIN_BREAK_ANGLE
        for record in (before, after)
    }

    def weight_of(record: Record) -> NDArray[np.float32] | None:
        head = rows.plan.head_of(record) if record.path in needed else None
        return None if head is None else head.weight

    return break_facts(rows.run, weight_of, str(rows.plan.out))


def write(plan: Plan, found: Sequence[Fact], runs: Sequence[str]) -> bool:
    """Write the facts of runs if they differ from those of an earlier call; return
    whether the table was written.
    """
    of_runs: dict[str, list[dict[str, object]]] = {run: [] for run in runs}
    for row in facts.rows(found):
        of_runs[row["run"]].append(row)
    keys = {run: key_of("facts", rows) for run, rows in of_runs.items()}
    tables = {run: partial(parquet.from_rows, FACTS, of_runs[run]) for run in runs}
    return write_table(plan.out, FACTS, keys, tables, plan.replaced)
