"""The rows of each run, and the tables at the top of an output folder made from them.

Each table has a key for every run, and the rows of a run are written again if and only
if its key differs. Rows of runs that a call does not analyse stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dsi_cli.analysis.cache import GEOMETRY, key_of
from dsi_cli.analysis.classifiers.heads import HeadParameters
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.epoch_rows import KINDS, EpochRows
from dsi_cli.analysis.plan import Plan
from dsi_cli.analysis.robustness import main_measure_first, robustness_rows
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.epoch_context import EpochMatrix, network_matrix
from dsi_cli.analysis.tables import curves, geometry, phases
from dsi_cli.analysis.tables.agreement_details import GROUP_AGREEMENT, PARTITION
from dsi_cli.analysis.tables.curves import Row
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import OutputError
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.store import layout, parquet, schema
from dsi_cli.store.schema import Table

EXTRA = (
    *geometry.METRICS,
    *HIERARCHY_METRICS,
    "gap",
    GROUP_AGREEMENT,
    PARTITION,
)
"""The metrics in ``extra_curves.parquet``; all others are in ``curves.parquet``."""


@dataclass
class RunRows:
    """The rows of one run: those of each checkpoint, and those in all tables; mappings
    are by the path of the checkpoint.
    """

    plan: Plan
    run: RunCheckpoints  # with the checkpoints that failed meanwhile
    rows_plan: RowsPlan
    keys: dict[str, str]  # the keys of the rows
    reused: int  # the number of checkpoints whose rows were in the cache
    computed: dict[str, EpochRows] = field(default_factory=dict)

    @property
    def labels(self) -> ClassLabels:
        """The labels of the run."""
        return self.plan.labels[self.run.name]

    @property
    def main_reference(self) -> str:
        """The name of the main reference."""
        return self.plan.sources[0].name

    @property
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
            [self.trainer_values(record), self.plan.evaluations.missing_rows(record)]
            for record in self.records
        ]
        return key_of("tables", checkpoints, semantics, written)

    @property
    def records(self) -> list[Record]:
        """The checkpoints with rows, in the order of their epochs."""
        return [record for record in self.run.usable if record.path in self.keys]

    def trainer_values(self, record: Record) -> dict[str, float]:
        """Return the values that the trainer wrote for a checkpoint."""
        log = self.plan.logs[self.run.name] if self.run.has_epochs else None
        is_last = self.run.step_in_names(record) is None
        return curves.trainer_values(record, log, is_last=is_last)

    @cached_property
    def curves(self) -> list[Row]:
        """The rows of both tables of curves, sorted."""
        rows: list[Row] = []
        for record in self.records:
            of_record = self.plan.evaluations.missing_rows(record)
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
        evaluations = self.plan.evaluations
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
        elif table in (schema.EXTRA_CURVES, schema.CURVES):
            is_extra = table is schema.EXTRA_CURVES
            rows = [row for row in self.curves if (row["metric"] in EXTRA) == is_extra]
        elif table is schema.GEOMETRY:
            tables = self._geometry()
        elif table is schema.TYPICALITY:
            for record in self.records:
                rows += evaluations.typicality_rows(record)
        elif table is schema.TYPICALITY_HISTOGRAM:
            for record in self.records:
                rows += evaluations.histogram_rows(record)
        elif table is schema.PHASES:
            of_run = phases.phase_rows(self.curves, self.main_reference, self.by_class)
            rows = [{"run": self.run.name} | row for row in of_run]
        elif table is schema.ROBUSTNESS:
            rows = self._robustness_rows()
        return pa.concat_tables([parquet.from_rows(table, rows), *tables])

    @cached_property
    def geometry_keys(self) -> dict[str, str]:
        """The key of the rows of each head in the geometry table, by its path, in the
        order of the rows.
        """
        keys: dict[str, str] = {}
        before = None
        for record in self.records:
            head = self.plan.head_key(record)
            if head is not None:
                evaluations = self.plan.evaluations.keys(record)
                keys[record.path] = key_of("geometry", head, before, evaluations)
                before = head
        return keys

    def _geometry(self) -> list[pa.Table]:
        """Return the rows of each checkpoint in the geometry table; those that the
        cache lacks are computed.
        """
        cache, tables = self.plan.cache, []
        head_of = lru_cache(maxsize=2)(self._head)
        before: str | None = None
        for path, key in self.geometry_keys.items():
            entry = cache.get(GEOMETRY, key)
            if entry is None:
                head_before = None if before is None else head_of(before)
                collapse = self.plan.evaluations.collapse(self._records_by_path[path])
                rows = geometry.rows_of_head(head_of(path), head_before, collapse)
                entry = {"rows": rows}
                cache.put(GEOMETRY, key, entry)
            columns = self._records_by_path[path].key_columns
            tables.append(parquet.with_constants(entry["rows"], columns))
            before = path
        return tables

    @cached_property
    def _records_by_path(self) -> dict[str, Record]:
        return {record.path: record for record in self.records}

    def _head(self, path: str) -> HeadParameters:
        head = self.plan.head_of(self._records_by_path[path])
        assert head is not None, f"the cache has no head of {path}"
        return head

    def _robustness_rows(self) -> list[Row]:
        """Return the agreement at the last epoch by each choice; none without WordNet
        labels, or if matrices are compared in blocks.
        """
        if not self.records or self.rows_plan.is_vast:
            return []
        last, plan = self.records[-1], self.rows_plan
        head = self.plan.head_of(last)
        if head is not None:
            matrices = [EpochMatrix("ncsm", KINDS["ncsm"](head.weight), plan.compared)]
        else:
            splits = self.plan.evaluations.splits[self.run.name]
            evaluations = [split.result(last) for split in splits]
            known = [one for one in evaluations if one is not None]
            matrices = curves.evaluation_matrices(known, plan)
        network = network_matrix(matrices)
        if network is None or not self.labels.nodes:
            return []
        csm = network.dense
        # The classes that some heads lack are left out.
        absent = np.setdiff1d(np.arange(len(csm)), network.classes)
        csm = csm.copy()
        csm[absent] = np.nan
        measures = main_measure_first(self.main_reference)
        rows = robustness_rows(csm, self.labels, plan.clusters, measures)
        columns = {"run": self.run.name, "epoch": last.epoch}
        return [columns | row for row in rows]

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
    schema.ROBUSTNESS,
)


def write_tables(
    runs: Sequence[RunRows],
    options: Mapping[Table, Mapping[str, Any]],
    plan: Plan,
) -> bool:
    """Write the tables at the top of the output folder; return whether anything was
    written. The parameters are those of `write_table`.
    """
    run_keys = {run.run.name: run.key for run in runs}
    is_changed = False
    for table in TOP_TABLES:
        keys = {name: key_of(key, table.path) for name, key in run_keys.items()}
        rows = {run.run.name: partial(run.rows, table) for run in runs}
        more = options.get(table, {})
        is_changed |= write_table(plan.out, table, keys, rows, plan.replaced, more)
    return is_changed


def write_table(
    out: Path,
    table: Table,
    keys: Mapping[str, str],
    rows: Mapping[str, Callable[[], pa.Table]],
    removed: Sequence[str],
    options: Mapping[str, Any] = {},
) -> bool:
    """Write the rows of each run whose key differs, and remove those of some runs;
    return whether anything was written.

    `keys` and `rows` are by run. `options` are further metadata, by run: what later
    calls and the report read. None removes those of a run.
    """
    earlier = layout.earlier_options(out, table)
    known: dict[str, str] = {}
    # No rows of a damaged table are valid, although its keys may be readable.
    with suppress(OutputError):
        layout.read_table(out, table)
        known = earlier.get("keys", {})
    changed = [run for run, key in keys.items() if known.get(run) != key]
    gone = [run for run in removed if run in known]
    merged = {}
    for name, by_run in options.items():
        every = {**earlier.get(name, {}), **by_run}
        merged[name] = {run: one for run, one in every.items() if one is not None}
    is_same = all(earlier.get(name) == by_run for name, by_run in merged.items())
    if not changed and not gone and is_same:
        return False
    merged["keys"] = {
        run: key for run, key in {**known, **keys}.items() if run not in gone
    }
    written = [parquet.from_rows(table, []), *(rows[run]() for run in changed)]
    return layout.write_runs(
        out, table, [*changed, *gone], pa.concat_tables(written), merged
    )
