"""The plan of an analysis: everything that a call names is read once and checked once,
before long work begins.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis import previous_plan, scan
from dsi_cli.analysis.cache import Cache, key_of
from dsi_cli.analysis.classifiers.checkpoint_scanner import CheckpointScanner
from dsi_cli.analysis.classifiers.heads import HeadParameters, Heads
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
    fail_other_networks,
    reason_nothing_usable,
)
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.evaluation.collect import ReportProgress, RunEvaluations
from dsi_cli.analysis.evaluation.from_model import DatasetCache
from dsi_cli.analysis.option_groups.text_values import epoch_filter
from dsi_cli.analysis.options import Options, with_local_files
from dsi_cli.analysis.previous_plan import PlannedCheckpoint, PlannedRun
from dsi_cli.analysis.rows_plan import RowsPlan
from dsi_cli.analysis.semantics import class_labels, hierarchy, references
from dsi_cli.analysis.semantics.class_clusters import clusters_of_labels
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.class_selection import select_classes
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.checkpoints.discovery import TrainingRun, printable
from dsi_cli.checkpoints.file_names import ORDER
from dsi_cli.checkpoints.records import SKIPPED, Record, unconfirmed_head
from dsi_cli.checkpoints.training_logs import TrainingLog, read_named_log
from dsi_cli.engines import Engine
from dsi_cli.errors import NothingToAnalyseError
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.labels.files import read_labels_or_preset
from dsi_cli.labels.label_list import LabelList
from dsi_cli.predictions.files import PredictionFile, RunFolders
from dsi_cli.queries.facts import from_rows
from dsi_cli.store import layout
from dsi_cli.store.schema import FACTS
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """Everything that the options name apart from checkpoints, opened and read."""

    wordnet: WordNet
    taxonomy: CustomTaxonomy | None
    sources: tuple[ReferenceSource, ...]  # the references, the main one first
    labels: LabelList | None
    data: DatasetCache | None
    predictions: PredictionFile | RunFolders | None


@dataclass(frozen=True)
class Plan:
    """The inputs of one call of `dsi_cli.analysis.analyze.analyze`, read and
    checked.
    """

    out: Path
    cache: Cache
    options: Options
    settings: Mapping[str, Any]  # the settings for the next call
    runs: tuple[RunCheckpoints, ...]
    labels: Mapping[str, ClassLabels]  # by run
    logs: Mapping[str, TrainingLog | None]
    sources: tuple[ReferenceSource, ...]  # the references, the main one first
    taxonomy: CustomTaxonomy | None
    heads: Heads
    evaluations: RunEvaluations
    previous: Mapping[str, PlannedRun]  # the runs of the previous call
    chosen: Mapping[str, NDArray[np.intp]]  # the classes of --classes by run
    # the cluster of each class ``(C,)`` by run, for intervals over clusters
    clusters: Mapping[str, NDArray[np.intp]]
    facts: tuple[Fact, ...]  # what the steps of the plan noticed

    @property
    def curve_options(self) -> dict[str, Any]:
        """The options that affect rows, which the report shows."""
        taxonomy = None
        if self.taxonomy is not None:
            taxonomy = {
                "name": self.taxonomy.name,
                "made_from": self.taxonomy.fingerprint,
            }
        return {
            **self.options.shaping_curves,
            "references": [source.table_options for source in self.sources],
            "taxonomy": taxonomy,
        }

    @property
    def replaced(self) -> list[str]:
        """The runs of the previous call whose checkpoints all belong to other runs now.

        Later checkpoints may show that two runs of a folder are one training.
        """
        names = {run.name for run in self.runs}
        present = {record.path for run in self.runs for record in run.records}
        replaced = []
        for name, run in self.previous.items():
            paths = {one.record.path for one in run.checkpoints}
            if name not in names and paths and paths <= present:
                replaced.append(name)
        return replaced

    def rows_plan(self, run: RunCheckpoints) -> RowsPlan:
        """Return what the checkpoints of a run are compared with."""
        return RowsPlan.make(
            self.labels[run.name],
            self.sources,
            self.options,
            layout.temporary_folder(self.out),
            shaping=self.curve_options,
            clusters=self.clusters.get(run.name),
            chosen=self.chosen.get(run.name),
        )

    def head_of(self, record: Record) -> HeadParameters | None:
        """Return the head of a checkpoint, or the text embeddings that serve as one.

        A head that grows is cut to the classes that all checkpoints of its run have.
        """
        if record.head is None:
            return self.evaluations.text_head(record)
        head = self.heads.get(record.path)
        return None if head is None else head.of_first(self.labels[record.run].classes)

    def head_key(self, record: Record) -> str | None:
        """Return the key of the head of a checkpoint; None if it has none."""
        if record.head is not None:
            classes = self.labels[record.run].classes
            return key_of("head", record.path, record.version, classes)
        if self.evaluations.text_head(record) is None:
            return None
        return key_of("text", self.evaluations.keys(record))

    def for_next_call(
        self,
        runs: Sequence[RunCheckpoints],
        rows: Mapping[str, str],
        geometry: Mapping[str, str],
    ) -> dict[str, PlannedRun]:
        """Return all runs for the next call; `rows` and `geometry` have the keys of
        rows by the path of the checkpoint.
        """
        planned = dict(self.previous)
        for name in self.replaced:
            del planned[name]
        earlier = {
            one.record.path: one
            for run in self.previous.values()
            for one in run.checkpoints
        }
        for run in runs:
            checkpoints = []
            for record in run.records:
                is_left_out = record.path in run.gone and record.path not in rows
                if is_left_out:  # by --epochs
                    checkpoints.append(earlier[record.path])
                    continue
                checkpoint = replace(
                    self._planned(record, run.name),
                    rows=rows.get(record.path),
                    geometry=geometry.get(record.path),
                )
                if checkpoint.head_key is not None or checkpoint.evaluations:
                    checkpoints.append(checkpoint)
            planned[run.name] = self._planned_run(run, checkpoints)
        return planned

    def _planned(self, record: Record, run: str) -> PlannedCheckpoint:
        evaluations = {}
        for split in self.evaluations.splits[run]:
            saved = split.saved(record)
            if saved is not None:
                evaluations[split.split] = saved
        head = self.heads.keys.get(record.path)
        return PlannedCheckpoint(record, head, evaluations)

    def _planned_run(
        self, run: RunCheckpoints, checkpoints: Sequence[PlannedCheckpoint]
    ) -> PlannedRun:
        has_heads = any(record.head is not None for record in run.usable)
        settings = None
        if run.usable:  # a wrong --head must not hold in the next call
            settings = dict(self.settings)
            if run.given is None:
                settings.pop("labels", None)
                settings.pop("mapping", None)
        return PlannedRun(
            folder=printable(str(run.training.folder)),
            shaping=self.options.shaping_matrices,
            names=None if has_heads else run.names,
            labels_id=None if run.label_list is None else run.label_list.id,
            settings=settings,
            checkpoints=tuple(checkpoints),
            noticed=self.evaluations.noticed[run.name],
        )


def make_plan(
    paths: Sequence[str | PathLike[str]],
    out: Path,
    options: Options,
    engine: Engine | None,
    progress: ReportProgress,
    say: Callable[[str], None],
) -> Plan:
    """Return the plan of a call; the parameters and errors are those of
    `dsi_cli.analysis.analyze.analyze`.
    """
    # Find the runs, and use the settings of the previous call again.
    previous = previous_plan.read(out)
    names = options.names
    if options.given is not None and "names" not in options.given:
        names = previous_plan.kept_names(paths, previous)
    found = scan.find_runs(
        paths,
        {name: run.folder for name, run in previous.items()},
        options.revisions,
        partial(progress, "listing revisions"),
        names,
    )
    for run in found:
        files = len(run.checkpoints)
        _log.debug("run %s in %s: %d files", run.name, run.folder, files)
    options, kept = _with_previous_settings(options, found, previous, say)

    # Open everything that the options name, so that mistakes are found before long
    # work.
    given_options = options
    options = with_local_files(options)
    inputs = open_inputs(options, say, progress)
    splits = () if inputs.predictions is None else inputs.predictions.splits
    settings = previous_plan.settings_of(given_options, splits)
    log = None if options.log is None else read_named_log(Path(options.log))
    given = _GivenLabels(inputs.labels, previous, is_kept="labels" in kept)

    # Scan the checkpoints.
    cache = Cache(out)
    heads = Heads(cache)
    runs = _scan(found, given, options, heads, engine, progress)

    # Resolve epochs and duplicates.
    runs, logs, log_facts = scan.resolve_all_duplicates(
        runs, epoch_filter(options.epochs), log
    )
    runs = [replace(run, given=given.of_runs([run.name])) for run in runs]
    runs = fail_other_networks(runs)
    reason = reason_nothing_usable(runs)
    if reason is not None:
        raise NothingUsableError(reason, runs)

    # Find labels, and choose the source of each evaluation.
    runs, labels_of_run, label_facts = _find_labels(
        out, runs, options, inputs, previous
    )
    references.check_references(inputs.sources, labels_of_run.values())
    clusters, chosen = {}, {}
    for name, labels in labels_of_run.items():
        if options.clusters is not None:
            clusters[name] = clusters_of_labels(options.clusters, labels)
        if options.classes is not None:
            chosen[name] = select_classes(options.classes, labels)
        facts = references.facts(inputs.sources, labels)
        label_facts += about_run(name, facts)
    evaluations = collect.prepare_evaluations(
        cache,
        runs,
        labels_of_run,
        options,
        inputs.data,
        inputs.predictions,
        previous,
        progress,
    )
    return Plan(
        out=out,
        cache=cache,
        options=options,
        settings=settings,
        runs=tuple(runs),
        labels=labels_of_run,
        logs=logs,
        sources=inputs.sources,
        taxonomy=inputs.taxonomy,
        heads=heads,
        evaluations=evaluations,
        previous=previous,
        chosen=chosen,
        clusters=clusters,
        facts=(*label_facts, *log_facts, *_unconfirmed_heads(runs, logs, evaluations)),
    )


def _with_previous_settings(
    options: Options,
    found: Sequence[TrainingRun],
    previous: Mapping[str, PlannedRun],
    say: Callable[[str], None],
) -> tuple[Options, Mapping[str, Any]]:
    """Return options with the settings of the previous call of the same folders, and
    these settings.
    """
    runs: dict[str, PlannedRun] = {}
    for run in found:
        runs |= _earlier_runs(run, previous)
    kept = previous_plan.kept_settings(options, runs)
    options = previous_plan.with_settings(options, kept)
    for name, value in kept.items():
        if name != "predictions":  # the summary names these
            title = name.replace("_", " ")
            say(f"{title} from the earlier call: {previous_plan.shown(value)}")
    return options, kept


def _scan(
    found: Sequence[TrainingRun],
    given: _GivenLabels,
    options: Options,
    heads: Heads,
    engine: Engine | None,
    progress: ReportProgress,
) -> list[RunCheckpoints]:
    """Scan the checkpoints of the runs that were found, and return their trainings."""
    scanner = CheckpointScanner(
        options.choice,
        may_lack_head=bool(options.evaluation.data) and options.evaluation.templates,
        names_machine=engine is not None,
    )
    folders = []
    for run in found:
        earlier = _earlier_runs(run, given.previous)
        labels = given.of_runs(earlier)
        classes = None if labels is None else len(labels.names)
        known = {
            name: one
            for name, one in earlier.items()
            if one.shaping == options.shaping_matrices
        }
        folders.append((run, replace(scanner, classes=classes), known))
    return scan.scan_all(
        folders, heads, engine, partial(progress, "reading classifiers")
    )


def open_inputs(
    options: Options, say: Callable[[str], None], progress: ReportProgress
) -> Inputs:
    """Open what the options name, apart from checkpoints and their log; raise
    `UsageError` if something cannot be read.
    """
    wordnet = load_wordnet(options.pos, options.wordnet)
    taxonomy = hierarchy.open_taxonomy(options.taxonomy)
    sources = references.open_references(options.references, taxonomy, wordnet)
    data, predictions = collect.open_inputs(options, say, progress)
    labels = None
    if options.labels is not None:
        labels = read_labels_or_preset(options.labels)
    return Inputs(wordnet, taxonomy, tuple(sources), labels, data, predictions)


def _earlier_runs(
    run: TrainingRun, previous: Mapping[str, PlannedRun]
) -> dict[str, PlannedRun]:
    """Return the runs of the previous call in the folder of a run. A folder may contain
    several trainings.
    """
    folder = printable(str(run.folder))
    return {name: one for name, one in previous.items() if one.folder == folder}


@dataclass(frozen=True)
class _GivenLabels:
    """The labels that the user gave, in this call or in an earlier one (`is_kept`)."""

    labels: LabelList | None
    previous: Mapping[str, PlannedRun]
    is_kept: bool

    def of_runs(self, names: Iterable[str]) -> LabelList | None:
        """Return the labels that the user gave for one of some runs. Labels that an
        earlier call was given for others may not hold for a new one.
        """
        if not self.is_kept:
            return self.labels
        for name in names:
            planned = self.previous.get(name, PlannedRun())
            if "labels" in (planned.settings or {}):
                return self.labels
        return None


class NothingUsableError(NothingToAnalyseError):
    """No checkpoint can be used; `runs` are the runs with the reasons."""

    def __init__(self, reason: str, runs: Sequence[RunCheckpoints]) -> None:
        super().__init__(f"no checkpoint can be used: {reason}", code="nothing-usable")
        self.runs = runs


def _find_labels(
    out: Path,
    runs: Sequence[RunCheckpoints],
    options: Options,
    inputs: Inputs,
    previous: Mapping[str, PlannedRun],
) -> tuple[list[RunCheckpoints], dict[str, ClassLabels], list[Fact]]:
    """Return the runs with their label lists, the labels of the classes that all
    checkpoints of a run have, resolved in WordNet or the taxonomy, and what was noticed.
    """
    named_runs: list[RunCheckpoints] = []
    labels_of_run: dict[str, ClassLabels] = {}
    facts: list[Fact] = []
    for run in runs:
        earlier_id = previous.get(run.name, PlannedRun()).labels_id
        run, labels, of_run = _labels_of_run(out, run, inputs, earlier_id)
        facts += about_run(run.name, [*of_run, *_facts_of_run(run, labels)])
        if labels is None:
            named_runs.append(run)
            labels_of_run[run.name] = class_labels.without_labels(
                run.common_classes or 0, inputs.wordnet, inputs.taxonomy
            )
            continue
        named_runs.append(replace(run, label_list=labels))
        if run.given is not None:
            check_class_count(run, options.choice)
        # A mapping belongs to the labels that the user gave, if there are any.
        is_mapped = inputs.labels is None or run.given is not None
        choices = class_labels.read_choices(
            options.mapping if is_mapped else None, labels, inputs.wordnet
        )
        if run.common_classes != run.classes:
            labels = labels.of_first(run.common_classes)
        labels_of_run[run.name] = class_labels.resolve_labels(
            labels, choices, inputs.wordnet, inputs.taxonomy
        )
    return named_runs, labels_of_run, facts


def _unconfirmed_heads(
    runs: Sequence[RunCheckpoints],
    logs: Mapping[str, TrainingLog | None],
    evaluations: collect.RunEvaluations,
) -> Iterator[Fact]:
    """Yield a fact for each run in which nothing confirms that the head is a
    classifier.
    """
    for run in runs:
        has_results = logs[run.name] is not None or evaluations.sources.get(run.name)
        head = unconfirmed_head(run.usable)
        if run.names is None and not has_results and head is not None:
            yield from about_run(run.name, [head])


def _labels_of_run(
    out: Path, run: RunCheckpoints, inputs: Inputs, earlier_id: str | None
) -> tuple[RunCheckpoints, LabelList | None, list[Fact]]:
    """Return a run with the labels that the user gave for it, its labels, and what was
    noticed; `earlier_id` is the id of its labels in an earlier call.
    """
    if run.classes == 0:
        return run, None, []
    readable = {record.path for record in run.usable if record.classes == run.classes}
    files = [file for file in run.training.checkpoints if file.display_path in readable]
    if run.given is None and inputs.labels is not None:
        # A new run uses the labels that an earlier call gave for other runs if it has
        # none of its own and as many classes.
        own, _ = class_labels.find_labels(run.training, None, files, run.classes)
        if own is None and len(inputs.labels.names) == run.classes:
            run = replace(run, given=inputs.labels)
    names = run.names_from_data
    if inputs.data is not None and inputs.data.names:
        names = inputs.data.names
    # A later call opens no checkpoint that an earlier one has read, and takes from the
    # facts of that call what it noticed in the checkpoint.
    is_read_now = readable <= run.heads_read
    known_id = None if is_read_now else earlier_id
    labels, facts = class_labels.find_labels(
        run.training, run.given, files, run.classes, names, known_id
    )
    if run.given is None:
        facts += class_labels.contradictions_of_found(
            labels, run.training, files if is_read_now else ()
        )
    facts += _facts_of_checkpoints(out, run.name, labels, known_id)
    return run, labels, facts


def _facts_of_checkpoints(
    out: Path, run: str, labels: LabelList | None, earlier_id: str | None
) -> list[Fact]:
    """Return what an earlier call noticed about labels in the checkpoints of a run;
    nothing if the run has other labels now.
    """
    if labels is None or labels.id != earlier_id:
        return []
    rows = layout.earlier_rows(out, FACTS)
    return [
        one
        for one in from_rows(rows)
        if one.run == run and one.fields.get("in_checkpoint")
    ]


def _facts_of_run(run: RunCheckpoints, labels: LabelList | None) -> Iterator[Fact]:
    """Yield facts about repeated labels, skipped checkpoints other than duplicates,
    growing heads and guessed epochs.
    """
    if labels is not None and labels.duplicates and labels.preset is None:
        yield fact(
            "labels-repeated", source=labels.source, labels=list(labels.duplicates)
        )
    expected = ("duplicate", "not-in-epochs", "no-network")
    skipped = [
        r for r in run.resolved if r.status == SKIPPED and r.code not in expected
    ]
    if skipped:
        yield fact(
            "checkpoints-left-out",
            files=[record.name for record in skipped],
            example=skipped[0].name,
            reason=skipped[0].reason,
        )
    if run.common_classes != run.classes:
        yield fact("head-grows", common=run.common_classes, classes=run.classes)
    if any(r.epoch_source == ORDER for r in run.usable) and len(run.usable) > 1:
        by = "names"
        if all(record.step is not None for record in run.usable):
            by = "steps"
        elif any(file.moment is not None for file in run.training.checkpoints):
            by = "revisions"
        yield fact("epochs-numbered", by=by)
