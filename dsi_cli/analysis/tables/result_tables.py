"""The tables at the top of an output folder, made from the rows of all checkpoints.

Each table has a key for every run, and the rows of a run are written again if and only
if its key differs. Rows of runs that a call does not analyse stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.classifiers.heads import HeadParameters
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.epoch_rows import EpochRows
from dsi_cli.analysis.evaluation.collect import RunEvaluations
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.tables import curves, geometry, phases
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_logs import TrainingLog
from dsi_cli.errors import OutputError
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.store import layout, parquet, schema
from dsi_cli.store.schema import Table

EXTRA = (*geometry.METRICS, *HIERARCHY_METRICS, "gap")
"""The metrics in ``extra_curves.parquet``; all others are in ``curves.parquet``."""


@dataclass(frozen=True)
class RunRows:
    """The rows of one run in all tables."""

    run: RunCheckpoints
    labels: ClassLabels
    log: TrainingLog | None
    evaluations: RunEvaluations
    main_reference: str
    computed: Mapping[str, EpochRows]  # by the path of the checkpoint
    keys: Mapping[str, str]  # the keys of these rows, by the path of the checkpoint
    head_of: Callable[[Record], HeadParameters | None]

    @cached_property
    def key(self) -> str:
        """The key of what all rows of the run are made from."""
        checkpoints = [
            vars(record) | {"rows": self.keys.get(record.path)}
            for record in self.run.resolved
        ]
        labels = [
            [resolution.confidence, resolution.reason]
            for resolution in self.labels.resolutions
        ]
        semantics = [
            self.labels.semantics_id,
            self.labels.classes,
            labels,
            self.main_reference,
        ]
        written = [
            [self.trainer_values(record), self.evaluations.missing_rows(record)]
            for record in self.records
        ]
        return key_of("tables", checkpoints, semantics, written)

    @property
    def records(self) -> list[Record]:
        """The checkpoints with rows, in the order of their epochs."""
        return [record for record in self.run.usable if record.path in self.computed]

    def trainer_values(self, record: Record) -> dict[str, float]:
        """Return the values that the trainer wrote for a checkpoint."""
        return curves.trainer_values(
            record, self.log, is_last=self.run.step_in_names(record) is None
        )

    @cached_property
    def curves(self) -> list[Row]:
        """The rows of both tables of curves, sorted."""
        rows: list[Row] = []
        for record in self.records:
            of_record = self.evaluations.missing_rows(record)
            of_record += self.computed[record.path].curves
            of_record += curves.trainer_rows(self.trainer_values(record), of_record)
            rows += [row | record.key_columns for row in of_record]
        return sorted(rows, key=curves.sort_key)

    @cached_property
    def by_class(self) -> list[pa.Table]:
        """The rows of each checkpoint in the table of alignments by class."""
        return self._named(lambda rows: rows.by_class)

    def rows(self, table: Table) -> pa.Table:
        """Return the rows of the run in a table at the top of the output folder."""
        tables: list[pa.Table] = []
        rows: list[Row] = []
        if table is schema.CHECKPOINTS:
            rows = [vars(record) for record in self.run.resolved]
        elif table is schema.CLASSES:
            samples: dict[str, list[int]] = {}
            for record in self.records:
                samples |= self.computed[record.path].samples
            rows = self.labels.class_rows(self.run.name, samples)
        elif table is schema.ALIGNMENT_BY_CLASS:
            tables = self.by_class
        elif table is schema.SPECTRUM:
            tables = self._named(lambda rows: rows.spectrum)
        elif table is schema.EXTRA_CURVES:
            rows = [row for row in self.curves if row["metric"] in EXTRA]
        elif table is schema.CURVES:
            rows = [row for row in self.curves if row["metric"] not in EXTRA]
        elif table is schema.GEOMETRY:
            collapse = self.evaluations.collapse
            tables = [geometry.geometry_rows(self.records, self.head_of, collapse)]
        elif table is schema.TYPICALITY:
            for record in self.records:
                rows += self.evaluations.typicality_rows(record)
        elif table is schema.TYPICALITY_HISTOGRAM:
            for record in self.records:
                rows += self.evaluations.histogram_rows(record)
        elif table is schema.PHASES:
            found = phases.phase_rows(self.curves, self.main_reference, self.by_class)
            rows = [{"run": self.run.name} | row for row in found]
        return pa.concat_tables([parquet.from_rows(table, rows), *tables])

    def _named(self, part: Callable[[EpochRows], pa.Table]) -> list[pa.Table]:
        """Return a part of the rows of each checkpoint, with its run and epoch."""
        return [
            parquet.with_constants(part(self.computed[record.path]), record.key_columns)
            for record in self.records
        ]


TOP_TABLES = (
    schema.CHECKPOINTS,
    schema.CLASSES,
    schema.ALIGNMENT_BY_CLASS,
    schema.SPECTRUM,
    schema.EXTRA_CURVES,
    schema.CURVES,
    schema.GEOMETRY,
    schema.TYPICALITY,
    schema.TYPICALITY_HISTOGRAM,
    schema.PHASES,
)


def write_tables(
    out: Path,
    runs: Sequence[RunRows],
    options: Mapping[Table, Mapping[str, Any]],
    removed: Sequence[str] = (),
) -> bool:
    """Write the rows of runs whose key differs, and remove those of some runs; return
    whether anything was written.

    `options` are further metadata of some tables, by run: what later calls and the
    report read. None removes those of a run.
    """
    is_changed = False
    for table in TOP_TABLES:
        earlier = layout.earlier_options(out, table)
        more = options.get(table, {})
        keys = {}
        with suppress(
            OutputError
        ):  # no rows of a damaged table are valid, although its keys may be readable
            layout.read_table(out, table)
            keys = earlier.get("keys", {})
        changed = [
            run for run in runs if keys.get(run.run.name) != key_of(run.key, table.path)
        ]
        merged = {}
        for name, by_run in more.items():
            every = {**earlier.get(name, {}), **by_run}
            merged[name] = {
                run: value for run, value in every.items() if value is not None
            }
        gone = [name for name in removed if name in keys]
        if (
            not changed
            and not gone
            and all(earlier.get(name) == by_run for name, by_run in merged.items())
        ):
            continue
        rows = pa.concat_tables(
            [parquet.from_rows(table, []), *(run.rows(table) for run in changed)]
        )
        keys = {
            **keys,
            **{run.run.name: key_of(run.key, table.path) for run in changed},
        }
        merged["keys"] = {run: key for run, key in keys.items() if run not in gone}
        names = [*(run.run.name for run in changed), *gone]
        is_changed |= layout.write_runs(out, table, names, rows, merged)
    return is_changed
