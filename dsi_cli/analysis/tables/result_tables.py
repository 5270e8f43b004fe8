"""The tables at the top of an output folder: which rows of an earlier call are still valid, and writing all rows.

Rows of runs that a call does not analyse stay unchanged. Rows that were computed from matrices and confusion counts stay if the
weights, the predictions, the labels and the options for curves are unchanged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.analysis import earlier_settings
from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints, records_without_matrix
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.epoch_context import SCSM
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.analysis.tables import curves, geometry, phases
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import Record
from dsi_cli.errors import OutputError
from dsi_cli.metrics.hierarchy import HIERARCHY_METRICS
from dsi_cli.store import layout, parquet, schema
from dsi_cli.store.schema import NETWORK_MATRICES, Table

EXTRA_METRICS = (*geometry.METRICS, *HIERARCHY_METRICS, "gap")
"""The metrics in ``extra_curves.parquet``; all others are in ``curves.parquet``."""
MATRIX_METRICS = (*EXTRA_METRICS, "sai", "wsi", "mean_row", "reliability", "idm", "severity", "superclass_accuracy")
EpochKey = tuple[str, str]  # run, and epoch with step


def epoch_key(run: str, epoch: int | None, step: int | None) -> EpochKey:
    """Return the key of an epoch's rows."""
    return run, f"{epoch}/{step}"


class EpochTable:
    """A table whose rows are computed epoch by epoch; new rows replace those of earlier calls."""

    def __init__(self, out: Path, table: Table) -> None:
        self.out, self.table = out, table
        self.tables: dict[EpochKey, pa.Table] = {}
        # The earlier rows of each epoch; none if the table is missing, damaged or of another schema
        earlier = empty = parquet.from_rows(table, [])
        with suppress(OutputError):
            earlier = layout.read_table(out, table)
        if earlier.schema == empty.schema:
            keys = list(map(epoch_key, *(earlier[name].to_pylist() for name in ("run", "epoch", "step"))))
            starts = [row for row, key in enumerate(keys) if row == 0 or key != keys[row - 1]]
            for start, end in pairwise([*starts, len(keys)]):
                self.tables[keys[start]] = earlier.slice(start, end - start)

    def add(self, record: Record, table: pa.Table | None) -> None:
        """Add the rows of an epoch; None keeps the rows of the earlier call, if there are any."""
        key = epoch_key(record.run, record.epoch, record.step)
        if table is None:
            table = self.tables.get(key)
        if table is not None:
            self.tables[key] = parquet.with_constants(table, {"epochs_completed": record.epochs_completed})

    def of_run(self, run: str) -> list[pa.Table]:
        """Return the rows of each epoch of a run that has rows."""
        return [table for key, table in self.tables.items() if key[0] == run and len(table)]

    def write(self, runs: Collection[str], valid: Mapping[str, Collection[str]]) -> None:
        """Write the valid rows of these runs, given by epoch with step, and the unchanged rows of all other runs."""
        tables = [table for (run, epoch), table in self.tables.items() if len(table) and epoch in valid.get(run, ())]
        tables.sort(key=lambda table: curves.sort_key(table.slice(0, 1).to_pylist()[0]))
        rows = pa.concat_tables([parquet.from_rows(self.table, []), *tables])
        layout.write_runs(self.out, self.table, runs, rows)


class ResultTables:
    """The tables at the top of the output folder, which is locked, during an analysis of some of its runs.

    Attributes
    ----------
    folders : the folder of each run that the output already contains.
    samples : the number of samples of each class, by run and split.
    typicality : the new rows of the two typicality tables.
    """

    def __init__(
        self,
        out: Path,
        runs: Collection[str],
        options: Options,
        references: Sequence[ReferenceSource],
        taxonomy: CustomTaxonomy | None = None,
    ) -> None:
        self.out = out
        self.runs = frozenset(runs)
        self.options = options
        self.references = references
        self._curve_options = options.shaping_curves | {
            "references": [source.table_options for source in references],
            "taxonomy": taxonomy and {"name": taxonomy.name, "made_from": taxonomy.fingerprint},
        }
        self._earlier_checkpoints = layout.earlier_options(out, schema.CHECKPOINTS)
        self.folders: dict[str, str] = self._earlier_checkpoints.get("folders", {})
        self._earlier_curves = layout.earlier_options(out, schema.CURVES)
        self._class_alignment = EpochTable(out, schema.ALIGNMENT_BY_CLASS)
        self._spectrum = EpochTable(out, schema.SPECTRUM)
        self.geometry = geometry.GeometryTable(out)
        self.samples: dict[str, dict[str, list[int]]] = {}
        self.typicality: dict[Table, list[dict[str, Any]]] = {schema.TYPICALITY: [], schema.TYPICALITY_HISTOGRAM: []}
        self._provenance: dict[str, dict[str, str]] = {}
        # Rows of these runs may be reused if they are still valid.
        self._rows: list[curves.Row] = []
        self._reusable: dict[tuple[str, str], list[curves.Row]] = {}
        # If dsi died between the two tables of curves, none of their rows is valid.
        is_complete = layout.earlier_options(out, schema.EXTRA_CURVES) == self._earlier_curves
        for row in [*layout.earlier_rows(out, schema.CURVES), *layout.earlier_rows(out, schema.EXTRA_CURVES)]:
            is_computed = row["metric"] in MATRIX_METRICS or row["samples_used"] is not None or row["reason"] is not None
            if row["run"] in self.runs and is_complete and is_computed:
                self._reusable.setdefault(epoch_key(row["run"], row["epoch"], row["step"]), []).append(row)

    def reusable_rows(self, record: Record, labels: ClassLabels, evaluation_id: str) -> list[curves.Row]:
        """Return the earlier rows of a checkpoint's matrices and counts; none if anything that they depend on changed.

        `evaluation_id` is a text that changes with the evaluations on all splits.
        """
        run, epoch = key = epoch_key(record.run, record.epoch, record.step)
        earlier = self._earlier_curves.get("made", {}).get(run, {}).get(epoch)
        if earlier != _provenance(record, evaluation_id) or not self._has_same_settings(run, labels):
            return []
        rows = self._reusable.get(key, [])
        # An epoch whose network is aligned with a reference has rows in the class alignment table, unless that is new or was lost.
        of_network = {f"{name},{SCSM}" for name in NETWORK_MATRICES}
        is_aligned = any(row["metric"] == "sai" and row["of"] in of_network and row["value"] is not None for row in rows)
        if is_aligned and key not in self._class_alignment.tables:
            return []
        # A head with a rank has rows in the spectrum table.
        ranks = [row["value"] for row in rows if row["metric"] == "effective_rank" and row["variant"] == "centred"]
        if any(rank is not None for rank in ranks) and key not in self._spectrum.tables:
            return []
        return [row | {"epochs_completed": record.epochs_completed} for row in rows]

    def _has_same_settings(self, run: str, labels: ClassLabels) -> bool:
        """Return whether an earlier call analysed a run with the same labels and options."""
        earlier = self._earlier_curves
        expected = labels.semantics_id, self._curve_options
        return (earlier.get("labels", {}).get(run, ""), earlier.get("shaping", {}).get(run)) == expected

    def add(
        self, record: Record, rows: list[curves.Row], identity: str, by_class: pa.Table | None, spectrum: pa.Table | None
    ) -> None:
        """Add the rows of one checkpoint; its rows by class and its spectrum are None if the earlier ones are valid."""
        run, epoch = epoch_key(record.run, record.epoch, record.step)
        self._class_alignment.add(record, by_class)
        self._spectrum.add(record, spectrum)
        self._provenance.setdefault(run, {})[epoch] = _provenance(record, identity)
        self._rows += rows

    def write(self, runs: Sequence[RunCheckpoints], labels: Mapping[str, ClassLabels], *, is_whole: bool = True) -> None:
        """Write the tables with all rows so far, and remove reference matrices that no run uses.

        Unless all checkpoints are done (`is_whole`), earlier rows that may still be valid stay in the tables.
        """
        rows, provenance = list(self._rows), {run: dict(epochs) for run, epochs in self._provenance.items()}
        made = self._earlier_curves.get("made", {})
        if not is_whole:
            # Keep the earlier rows of checkpoints that are not done but may be valid.
            for (run, epoch), reusable in self._reusable.items():
                if self._has_same_settings(run, labels[run]) and epoch not in self._provenance.get(run, {}):
                    rows += reusable
                    provenance.setdefault(run, {})[epoch] = made.get(run, {}).get(epoch, "")
        self._write_checkpoints(runs)
        of_labels = [row for run, its in labels.items() for row in its.class_rows(run, self.samples.get(run, {}))]
        classes = self._write_rows(schema.CLASSES, of_labels, {})

        # Write the tables by epoch before the curves, whose options say which rows are valid. If dsi dies in between,
        # those options are still the earlier ones, and the new rows do not count.
        self._class_alignment.write(self.runs, provenance)
        self._spectrum.write(self.runs, provenance)
        shaping = self._earlier_curves.get("shaping", {}) | dict.fromkeys(self.runs, self._curve_options)
        labels_ids = {run: of_run.semantics_id for run, of_run in labels.items()}
        options = {"shaping": shaping, "made": self._of_other_runs(made) | provenance}
        options["labels"] = self._earlier_curves.get("labels", {}) | labels_ids
        extra = [row for row in rows if row["metric"] in EXTRA_METRICS]
        main = [row for row in rows if row["metric"] not in EXTRA_METRICS]
        self._write_rows(schema.EXTRA_CURVES, sorted(extra, key=curves.sort_key), options)
        self._write_rows(schema.CURVES, sorted(main, key=curves.sort_key), options)

        # Geometry and phases need all epochs of a run.
        tables = dict(self.typicality)
        if is_whole:
            self.geometry.write()
            tables[schema.PHASES] = phases.phase_rows(rows, self.references[0].name, self._class_alignment.of_run)
        for table, added in tables.items():
            self._write_rows(table, added)

        # The references of all runs stay.
        used = set()
        for run, labels_id in set(zip(classes["run"].to_pylist(), classes["labels_id"].to_pylist(), strict=True)):
            names = layout.reference_names(shaping.get(run, {}))
            used |= {layout.reference_path(self.out, name, labels_id) for name in names}
        layout.remove(set((self.out / schema.REFERENCES.path).glob("*.parquet")) - used)

    def _write_checkpoints(self, runs: Sequence[RunCheckpoints]) -> None:
        earlier = self._earlier_checkpoints
        without_matrix = [row for row in earlier.get("without_matrix", []) if row.get("run") not in self.runs]
        without_matrix += [row for run in runs for row in records_without_matrix(run)]
        options: dict[str, Any] = {
            "shaping": earlier.get("shaping", {}) | dict.fromkeys(self.runs, self.options.shaping_matrices),
            "folders": self.folders | {run.name: printable(str(run.training.folder)) for run in runs},
            "without_matrix": without_matrix,
        }
        # The settings that later calls keep, see `dsi_cli.analysis.earlier_settings`
        settings = self._of_other_runs(earlier.get("settings", {}))
        if self.options.given_settings is not None:
            for run in (run for run in runs if run.usable):  # a wrong --head must not hold in the next call
                settings[run.name] = earlier_settings.record(self.options, has_labels=not run.ignores_kept_labels)
        if settings:
            options["settings"] = settings
        records = [vars(record) for run in runs for record in run.resolved]
        self._write_rows(schema.CHECKPOINTS, records, options)

    def _of_other_runs(self, by_run: Mapping[str, Any]) -> dict[str, Any]:
        return {run: value for run, value in by_run.items() if run not in self.runs}

    def _write_rows(self, table: Table, rows: list[dict[str, Any]], options: Mapping[str, Any] | None = None) -> pa.Table:
        """Write these rows and the earlier rows of all other runs, and return the table; see `layout.write_runs`."""
        return layout.write_runs(self.out, table, self.runs, parquet.from_rows(table, rows), options)


def _provenance(record: Record, evaluation_id: str) -> str:
    """Return a text that changes with the weights and the evaluations of a checkpoint."""
    return f"{record.fingerprint or record.modified_ns} {evaluation_id}".rstrip()
