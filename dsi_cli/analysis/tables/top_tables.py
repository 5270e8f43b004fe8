"""The tables at the top of an output folder: what an earlier call left in them that still holds, and writing them anew.

Rows of runs that a call does not touch are kept as they are. Rows that were made from matrices and counts are kept while the
weights, the answers, the labels and the options that shape curves are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dsi_cli.analysis import earlier_settings
from dsi_cli.analysis.classifiers.run_state import RunState, records_without_matrix
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import OpenedTaxonomy
from dsi_cli.analysis.semantics.prepared import OWN
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.analysis.tables import curves, phases
from dsi_cli.analysis.tables.class_alignment import ClassAlignmentTable
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import Record
from dsi_cli.store import layout
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    PHASES,
    REFERENCES,
    TYPICALITY,
    TYPICALITY_HISTOGRAM,
    Table,
)

FROM_MATRICES = ("sai", "wsi", "mean_row", "reliability", "idm", "severity", "superclass_accuracy")


class ResultTables:
    """The tables at the top while an analysis is under way.

    Parameters
    ----------
    out : the output folder, locked
    options : of this call
    references : those that the options name, opened
    tree : the taxonomy that the options name, read
    """

    def __init__(
        self, out: Path, options: Options, references: Sequence[ReferenceSource], tree: OpenedTaxonomy | None = None
    ) -> None:
        self.out = out
        self.options = options
        self.references = references
        self._shaping_curves = options.shaping_curves | {"references": [one.described for one in references]}
        self._shaping_curves |= {"taxonomy": tree and {"name": tree.name, "made_from": tree.fingerprint}}
        self._checkpoints = layout.earlier_options(out, CHECKPOINTS)
        self._curves = layout.earlier_options(out, CURVES)
        self._rows: list[curves.Row] = []
        self._made: dict[str, dict[str, str]] = {}
        self._kept: dict[tuple[str, str], list[curves.Row]] = {}
        self._samples: dict[str, dict[str, list[int]]] = {}
        self._by_class = ClassAlignmentTable(out)
        self._beside: dict[Table, list[dict[str, Any]]] = {TYPICALITY: [], TYPICALITY_HISTOGRAM: []}

    @property
    def folders(self) -> dict[str, str]:
        """The runs that the output has already, with their folders."""
        found: dict[str, str] = self._checkpoints.get("folders", {})
        return found

    def begin(self, mine: set[str]) -> None:
        """Sort the earlier rows: those of other runs stay, those of ``mine`` wait for whether they still hold."""
        self._mine = mine
        for row in layout.earlier_rows(self.out, CURVES):
            if row["run"] not in mine:
                self._rows.append(row)
            elif row["metric"] in FROM_MATRICES or row["samples_used"] is not None or row["reason"] is not None:
                self._kept.setdefault((row["run"], f"{row['epoch']}/{row['step']}"), []).append(row)

    def still_holding(self, record: Record, labels: ClassLabels, answers: str) -> list[curves.Row]:
        """Return the earlier rows made from a checkpoint's matrices and counts; none if what they are made from changed.

        Parameters
        ----------
        answers : text that changes when the answers on the splits do
        """
        key = f"{record.epoch}/{record.step}"
        same_weights = self._curves.get("made", {}).get(record.run, {}).get(key) == _made_from(record, answers)
        same_labels = self._curves.get("labels", {}).get(record.run, "") == labels.mapping_id
        same_options = self._curves.get("shaping", {}).get(record.run) == self._shaping_curves
        if not (same_weights and same_labels and same_options):
            return []
        rows = self._kept.get((record.run, key), [])
        if any(map(_is_of_reference, rows)) and not self._by_class.has((record.run, key)):
            return []  # the output is of a dsi that did not write that table, or the table is lost
        return [row | {"epochs_completed": record.epochs_completed} for row in rows]

    def add(self, record: Record, rows: Iterable[curves.Row], answers: str = "", by_class: pa.Table | None = None) -> None:
        """Take the rows of one checkpoint.

        Parameters
        ----------
        answers : as for `still_holding`
        by_class : its rows of the table by class; None: the earlier ones hold
        """
        self._by_class.add(record, by_class)
        self._made.setdefault(record.run, {})[f"{record.epoch}/{record.step}"] = _made_from(record, answers)
        self._rows += rows

    def add_beside(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        """Take rows of one of the typicality tables."""
        self._beside[table] += rows

    def add_samples(self, run: str, split: str, numbers: list[int]) -> None:
        """Take how many samples each class of a run has in a split."""
        self._samples.setdefault(run, {})[split] = numbers

    def has_samples(self, run: str, split: str) -> bool:
        """Return whether the samples of a run's classes in a split are known."""
        return split in self._samples.get(run, {})

    def _waiting(self, labellings: Mapping[str, ClassLabels]) -> tuple[list[curves.Row], dict[str, dict[str, str]]]:
        """Return the earlier rows of checkpoints that were not reached yet and that may still hold, and whose they are."""
        rows, made = list(self._rows), {run: dict(keys) for run, keys in self._made.items()}
        for (run, key), kept in self._kept.items():
            same = self._curves.get("shaping", {}).get(run) == self._shaping_curves
            same &= self._curves.get("labels", {}).get(run, "") == labellings[run].mapping_id
            if same and key not in self._made.get(run, {}):
                rows += kept
                made.setdefault(run, {})[key] = self._curves.get("made", {}).get(run, {}).get(key, "")
        return rows, made

    def write(self, states: Sequence[RunState], labellings: Mapping[str, ClassLabels], *, is_whole: bool = True) -> None:
        """Write the tables with what is known so far, and remove reference matrices that no run uses.

        Parameters
        ----------
        is_whole : whether all checkpoints were reached; if not, earlier rows that may still hold stay in the table
        """
        rows, made = (self._rows, self._made) if is_whole else self._waiting(labellings)
        records = [vars(record) for state in states for record in state.settled]
        folders = self.folders | {state.run.name: printable(str(state.run.folder)) for state in states}
        without = [row for row in self._checkpoints.get("without_matrix", []) if row.get("run") not in self._mine]
        without += [row for state in states for row in records_without_matrix(state)]
        shaping = self._shaping(self._checkpoints, self.options.shaping_matrices)
        options: dict[str, Any] = {"shaping": shaping, "folders": folders, "without_matrix": without}
        if settings := self._settings(states):
            options["settings"] = settings
        layout.write_rows(self.out, CHECKPOINTS, self._with_others(CHECKPOINTS, records), options)
        classes = [row for name, one in labellings.items() for row in one.class_rows(name, self._samples.get(name, {}))]
        classes = self._with_others(CLASSES, classes)
        layout.write_rows(self.out, CLASSES, classes, {})
        others = {name: one for name, one in self._curves.get("made", {}).items() if name not in self._mine}
        labels = self._curves.get("labels", {}) | {name: one.mapping_id for name, one in labellings.items()}
        shaping = self._shaping(self._curves, self._shaping_curves)
        options = {"shaping": shaping, "made": others | made, "labels": labels}
        # Before the curves, which say what holds: a call that dies between the two leaves no rows that count wrongly.
        self._by_class.write(self._mine, made)
        layout.write_rows(self.out, CURVES, sorted(rows, key=curves.sort_key), options)
        if is_whole:
            mine = [row for row in rows if row["run"] in self._mine]
            main = self.references[0].name
            self._beside[PHASES] = phases.phase_rows(mine, main, lambda run: self._by_class.without_each(run, main))
        self._write_beside()
        names = {(row["run"], row["labels_id"]) for row in classes if row.get("labels_id")}
        self._remove_references(
            {(one, labels) for run, labels in names for one in layout.reference_names(shaping.get(run, {}))}
        )

    def _settings(self, states: Sequence[RunState]) -> dict[str, dict[str, Any]]:
        """Return the settings that later calls keep, by run, see `dsi_cli.analysis.earlier_settings`."""
        found = {run: one for run, one in self._checkpoints.get("settings", {}).items() if run not in self._mine}
        if self.options.given_settings is not None:
            found |= {state.run.name: earlier_settings.record(self.options, has_labels=not state.ignores_kept_labels) for state in states}
        return found

    def _write_beside(self) -> None:
        """Write the typicality tables, where any run has templates, and the phases, where all curves are known."""
        for table, mine in self._beside.items():
            rows = self._with_others(table, mine)
            if rows:
                layout.write_rows(self.out, table, rows, {})
            else:
                layout.remove([layout.table_path(self.out, table)])

    def _shaping(self, earlier: Mapping[str, Any], now: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the options that shaped each run's rows: another call may have made those of other runs."""
        shaping: dict[str, dict[str, Any]] = earlier.get("shaping", {}) | dict.fromkeys(self._mine, now)
        return shaping

    def _with_others(self, table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        others = [row for row in layout.earlier_rows(self.out, table) if row["run"] not in self._mine]
        return sorted(others + rows, key=lambda row: str(row["run"]))

    def _remove_references(self, used: set[tuple[str, str]]) -> None:
        kept = {layout.reference_path(self.out, name, labels_id) for name, labels_id in used}
        layout.remove(set((self.out / REFERENCES.path).glob("*.parquet")) - kept)


def _is_of_reference(row: Mapping[str, Any]) -> bool:
    """Return whether a row is the alignment of the network's own similarity with a reference."""
    is_own = row["of"] in {f"{name},scsm" for name in OWN}
    return row["metric"] == "sai" and is_own and row["value"] is not None


def _made_from(record: Record, answers: str) -> str:
    return f"{record.fingerprint or record.modified_ns} {answers}".rstrip()
