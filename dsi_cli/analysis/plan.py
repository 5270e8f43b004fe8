"""The plan of an analysis: everything that a call names is read once and checked once,
before long work begins.

The steps are: find the runs, take over settings of earlier calls, open what the options
name, scan each checkpoint, resolve epochs and duplicates, find labels, and choose the
source of each evaluation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from dsi_cli.analysis import earlier_settings, previous_plan, scan
from dsi_cli.analysis.cache import Cache, key_of
from dsi_cli.analysis.classifiers.checkpoint_scanner import CheckpointScanner
from dsi_cli.analysis.classifiers.heads import HeadParameters, Heads
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
    fail_other_networks,
    reason_nothing_usable,
)
from dsi_cli.analysis.epoch_rows import RowsPlan, walk_and_threads
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.evaluation.collect import ReportProgress, RunEvaluations
from dsi_cli.analysis.option_groups.text_values import epoch_filter
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.previous_plan import PlannedCheckpoint, PlannedRun
from dsi_cli.analysis.semantics import class_labels, hierarchy, label_files, references
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy
from dsi_cli.analysis.semantics.references import ReferenceSource
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.epochs import ORDER
from dsi_cli.checkpoints.records import SKIPPED, Record
from dsi_cli.checkpoints.training_logs import TrainingLog, read_named_log
from dsi_cli.engines import Engine
from dsi_cli.errors import NothingToAnalyseError, OutputError
from dsi_cli.facts import Fact, about_run, fact
from dsi_cli.labels.label_list import LabelList
from dsi_cli.queries.facts import from_rows
from dsi_cli.store import layout
from dsi_cli.store.schema import CHECKPOINTS, CLASSES, FACTS
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """The inputs of one call of `dsi_cli.analysis.analyze.analyze`, read and
    checked.
    """

    out: Path
    cache: Cache
    options: Options
    runs: tuple[RunCheckpoints, ...]
    labels: Mapping[str, ClassLabels]  # by run
    logs: Mapping[str, TrainingLog | None]
    sources: tuple[ReferenceSource, ...]  # the references, the main one first
    taxonomy: CustomTaxonomy | None
    heads: Heads
    evaluations: RunEvaluations
    previous: Mapping[str, PlannedRun]  # the runs of the previous call
    facts: tuple[Fact, ...]  # what the steps of the plan noticed

    @property
    def curve_options(self) -> dict[str, Any]:
        """The options that affect rows, which the report shows."""
        return self.options.shaping_curves | {
            "references": [source.table_options for source in self.sources],
            "taxonomy": (
                self.taxonomy
                and {"name": self.taxonomy.name, "made_from": self.taxonomy.fingerprint}
            ),
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
        labels = self.labels[run.name]
        walk, threads = walk_and_threads(labels.classes, self.options)
        plan = RowsPlan(
            labels=labels,
            references=(),
            options=self.options,
            common=run.common_classes,
            walk=walk,
            threads=threads,
            scratch=layout.temporary_folder(self.out),
            shaping=self.curve_options,
        )
        matrices = [
            source.for_labels(labels, by_rows=plan.is_vast) for source in self.sources
        ]
        return replace(plan, references=tuple(matrices))

    def head_of(self, record: Record) -> HeadParameters | None:
        """Return the head of a checkpoint, or the text embeddings that serve as one."""
        return (
            self.evaluations.text_head(record)
            if record.head is None
            else self.heads.get(record.path)
        )

    def head_key(self, record: Record) -> str | None:
        """Return the key of the head of a checkpoint; None if it has none."""
        if record.head is not None:
            return key_of("head", record.path, record.version, record.classes)
        return (
            None
            if self.evaluations.text_head(record) is None
            else key_of("text", self.evaluations.keys(record))
        )

    def for_next_call(
        self, runs: Sequence[RunCheckpoints], rows: Mapping[str, str]
    ) -> dict[str, PlannedRun]:
        """Return all runs for the next call; `rows` has the keys of rows by the path of
        the checkpoint.
        """
        planned = {
            name: run
            for name, run in self.previous.items()
            if name not in self.replaced
        }
        earlier = {
            one.record.path: one
            for run in self.previous.values()
            for one in run.checkpoints
        }
        for run in runs:
            checkpoints = []
            for record in run.records:
                if (
                    record.path in run.gone and record.path not in rows
                ):  # --epochs leaves it out
                    checkpoints.append(earlier[record.path])
                    continue
                splits = self.evaluations.splits[run.name]
                saved = {
                    split.split: one
                    for split in splits
                    if (one := split.saved(record)) is not None
                }
                head = self.heads.ids.get(record.path)
                if head is not None or saved:
                    checkpoints.append(
                        PlannedCheckpoint(record, head, saved, rows.get(record.path))
                    )
            has_heads = any(record.head is not None for record in run.usable)
            names = None if has_heads else run.names
            planned[run.name] = PlannedRun(
                self.options.shaping_matrices, names, tuple(checkpoints)
            )
        return planned


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
    # Read what earlier calls recorded. The settings of dsi 0.2 stay valid.
    earlier, previous = (
        layout.earlier_options(out, CHECKPOINTS),
        previous_plan.read(out),
    )
    folders, recorded = earlier.get("folders", {}), earlier.get("settings", {})

    # Find the runs. A folder may contain several trainings, and then several runs are
    # stored for it.
    found = scan.find_runs(
        paths, folders, options.revisions, partial(progress, "listing revisions")
    )
    stored_runs: dict[str, list[str]] = {}
    for run in found:
        _log.debug(
            "run %s in %s: %d files, %d others",
            run.name,
            run.folder,
            len(run.checkpoints),
            run.ignored,
        )
        stored_runs[run.name] = [
            name for name in folders if folders[name] == printable(str(run.folder))
        ]

    # Take over the settings of earlier calls.
    options, lines = earlier_settings.with_kept_settings(
        options, recorded, {name for names in stored_runs.values() for name in names}
    )
    for line in lines:
        say(line)

    # Open everything that the options name, so that mistakes are found before long
    # work.
    wordnet, taxonomy = (
        load_wordnet(options.pos, options.wordnet),
        hierarchy.open_taxonomy(options.taxonomy),
    )
    sources = references.open_references(options.references, taxonomy, wordnet)
    data, predictions = collect.open_inputs(out, options, say, progress)
    log = None if options.log is None else read_named_log(Path(options.log))
    listed = (
        None
        if options.labels is None
        else label_files.read_labels_option(options.labels)
    )

    # Scan the checkpoints.
    cache = Cache(out)
    heads = Heads(cache)
    scanner = CheckpointScanner(
        options.choice,
        may_lack_head=bool(options.evaluation.data) and options.evaluation.templates,
        names_machine=engine is not None,
    )
    classes = None if listed is None else len(listed.names)
    prepared = []
    for run in found:
        # Labels that are kept from an earlier call may not hold for the runs of a new
        # folder.
        is_new = earlier_settings.uses_labels_of_other_runs(
            options, recorded, stored_runs[run.name]
        )
        known = _earlier_runs([run.name, *stored_runs[run.name]], previous, options)
        prepared.append(
            (run, replace(scanner, classes=None if is_new else classes), known)
        )
    runs = scan.scan_all(
        prepared, heads, engine, partial(progress, "reading classifiers")
    )
    runs = [
        replace(
            run,
            ignores_kept_labels=earlier_settings.uses_labels_of_other_runs(
                options, recorded, [run.name]
            ),
        )
        for run in runs
    ]

    # Resolve epochs and duplicates.
    runs, logs, log_facts = scan.resolve_all_duplicates(
        runs, epoch_filter(options.epochs), log
    )
    if listed is not None:
        runs = fail_other_networks(runs, listed)
    reason = reason_nothing_usable(runs)
    if reason is not None:
        raise NothingUsableError(reason, runs)

    # Find labels, and choose the source of each evaluation.
    names_of_data = None if data is None else data.names
    earlier_ids = _earlier_label_ids(out)
    runs, labels, label_facts = _find_labels(
        out, runs, options, listed, names_of_data, earlier_ids, wordnet, taxonomy
    )
    references.check_references(sources, labels.values())
    evaluations = collect.prepare_evaluations(
        cache, runs, labels, options, data, predictions, previous, progress
    )
    return Plan(
        out=out,
        cache=cache,
        options=options,
        runs=tuple(runs),
        labels=labels,
        logs=logs,
        sources=tuple(sources),
        taxonomy=taxonomy,
        heads=heads,
        evaluations=evaluations,
        previous=previous,
        facts=(*label_facts, *log_facts),
    )


def _earlier_runs(
    names: Sequence[str], previous: Mapping[str, PlannedRun], options: Options
) -> dict[str, PlannedRun]:
    """Return the runs of the previous call with these names whose heads were found with
    the same options.
    """
    known = {name: previous[name] for name in dict.fromkeys(names) if name in previous}
    return {
        name: run
        for name, run in known.items()
        if run.shaping == options.shaping_matrices
    }


class NothingUsableError(NothingToAnalyseError):
    """No checkpoint can be used; `runs` are the runs with the reasons."""

    def __init__(self, reason: str, runs: Sequence[RunCheckpoints]) -> None:
        super().__init__(f"no checkpoint can be used: {reason}", code="nothing-usable")
        self.runs = runs


def _earlier_label_ids(out: Path) -> dict[str, str | None]:
    """Return the id of the labels of each run in an earlier call; empty if there was
    none.
    """
    try:
        classes = layout.read_table(out, CLASSES).select(["run", "labels_id"])
    except OutputError:
        return {}
    return dict(zip(*(column.to_pylist() for column in classes.columns), strict=True))


def _find_labels(
    out: Path,
    runs: Sequence[RunCheckpoints],
    options: Options,
    listed: LabelList | None,
    names_of_data: tuple[str, ...] | None,
    earlier_ids: Mapping[str, str | None],
    wordnet: WordNet,
    taxonomy: CustomTaxonomy | None,
) -> tuple[list[RunCheckpoints], dict[str, ClassLabels], list[Fact]]:
    """Return the runs with class names, the labels of each run, resolved in WordNet or
    the taxonomy, and what was noticed.

    `listed` are the labels of the options, `names_of_data` the class names of the
    labelled data, and `earlier_ids` the ids of the labels of each run in an earlier
    call.
    """
    named_runs: list[RunCheckpoints] = []
    labels_of_run: dict[str, ClassLabels] = {}
    facts: list[Fact] = []
    for run in runs:
        classes = run.classes
        usable = {record.path for record in run.usable if record.classes == classes}
        files = [
            file for file in run.training.checkpoints if file.display_path in usable
        ]
        given, labels = None, None
        of_run: list[Fact] = []
        if classes != 0:
            if run.ignores_kept_labels and listed is not None:
                # Labels that an earlier call gave for other runs are used if the run
                # has none of its own and as many classes.
                own, _ = class_labels.find_labels(run.training, None, files, classes)
                run = replace(
                    run,
                    ignores_kept_labels=own is not None or len(listed.names) != classes,
                )
            given = None if run.ignores_kept_labels else listed
            names = names_of_data or run.names
            is_read_anew = usable <= run.heads_read
            earlier_id = None if is_read_anew else earlier_ids.get(run.name)
            labels, of_run = class_labels.find_labels(
                run.training, given, files, classes, names, earlier_id
            )
            # A later call opens no checkpoint that an earlier one has read, and takes
            # from the facts of that call what it noticed in the checkpoint.
            if given is None:
                of_run += class_labels.contradictions_of_found(
                    labels, run.training, files if is_read_anew else ()
                )
            of_run += _facts_of_checkpoints(out, run.name, labels, earlier_id)
        facts += about_run(run.name, [*of_run, *_facts_of_run(run, labels)])
        if labels is None:
            named_runs.append(replace(run, names=None))
            labels_of_run[run.name] = class_labels.without_labels(
                classes or 0, wordnet, taxonomy
            )
            continue
        named_runs.append(replace(run, names=labels.names))
        if given is not None:
            check_class_count(run, options.choice, labels)
        choices = class_labels.read_choices(
            options.mapping if given is listed else None, labels, wordnet
        )
        labels_of_run[run.name] = class_labels.resolve_labels(
            labels, choices, wordnet, taxonomy
        )
    return named_runs, labels_of_run, facts


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
