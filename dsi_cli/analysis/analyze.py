"""Analyse checkpoints: classifier heads, similarity matrices, metrics and tables, with progress as events.

The steps are: find the runs, scan each checkpoint, resolve epochs and duplicates, find labels, store evaluation results, and
compare matrices (`dsi_cli.analysis.comparison`). Results of an earlier call that are still valid are kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

from dsi_cli.analysis import comparison, earlier_settings, scan
from dsi_cli.analysis.classifiers.checkpoint_scanner import CheckpointScanner
from dsi_cli.analysis.classifiers.earlier_output import known_records
from dsi_cli.analysis.classifiers.run_checkpoints import (
    RunCheckpoints,
    check_class_count,
    fail_other_networks,
    reason_nothing_usable,
)
from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.evaluation.collect import ReportProgress
from dsi_cli.analysis.option_groups.text_values import epoch_filter
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics import class_labels, hierarchy, label_files, references
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.analysis.semantics.hierarchy import CustomTaxonomy
from dsi_cli.analysis.summary import Summary, digest_of_tables, summarise
from dsi_cli.analysis.tables.result_tables import ResultTables
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.epochs import ORDER
from dsi_cli.checkpoints.records import FAILED, SKIPPED
from dsi_cli.checkpoints.training_logs import read_named_log
from dsi_cli.engines import open_engine
from dsi_cli.errors import NothingToAnalyseError, OutputError, count
from dsi_cli.labels.label_list import LabelList
from dsi_cli.store import layout, lock
from dsi_cli.store.schema import CHECKPOINTS, CLASSES
from dsi_cli.wordnet.database.wordnet import WordNet, load_wordnet

_log = logging.getLogger(__name__)


def analyze(
    paths: Sequence[str | PathLike[str]],
    out: str | PathLike[str] = layout.DEFAULT,
    options: Options = Options(),  # noqa: B008 (frozen)
    progress: ReportProgress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
) -> Summary:
    """Analyse the checkpoints of files, folders or glob patterns, and write or update the tables in the results folder ``out``.

    `progress` is called after each step with the stage in words, the number of things done, and their total. `say` is called
    with messages before long work begins: the model, how images are prepared, memory.

    Raise `UsageError` if a path, an option or a label list is wrong; nothing was written. Raise `NothingToAnalyseError` if no
    checkpoint was found, or none is usable; a new results folder then contains the checkpoints table with the reasons. Raise
    `OutputError` if the results could not be written; what was finished is kept.
    """
    started = time.monotonic()
    _log.debug("%s", options)
    out = Path(out)
    with lock.exclusive(out), ExitStack() as stack:
        # Find the runs. A folder may contain several trainings, and then several runs are stored for it.
        digest = digest_of_tables(out)
        earlier = layout.earlier_options(out, CHECKPOINTS)
        folders, recorded = earlier.get("folders", {}), earlier.get("settings", {})
        found = scan.find_runs(paths, folders, options.revisions, partial(progress, "listing revisions"))
        stored_runs: dict[str, list[str]] = {}
        for run in found:
            _log.debug("run %s in %s: %d files, %d others", run.name, run.folder, len(run.checkpoints), run.ignored)
            stored_runs[run.name] = [name for name in folders if folders[name] == printable(str(run.folder))]

        # Take over the settings of earlier calls.
        options, lines = earlier_settings.with_kept_settings(
            options, recorded, {name for names in stored_runs.values() for name in names}
        )
        for line in lines:
            say(line)

        # Open everything that the options name, so that mistakes are found before long work.
        wordnet, taxonomy = load_wordnet(options.pos, options.wordnet), hierarchy.open_taxonomy(options.taxonomy)
        sources = references.open_references(options.references, taxonomy, wordnet)
        data, predictions = collect.open_inputs(out, options, say, progress)
        log = None if options.log is None else read_named_log(Path(options.log))
        engine = stack.enter_context(open_engine(options.engine))
        listed = None if options.labels is None else label_files.read_labels_option(options.labels)

        # Scan the checkpoints. Labels that are kept from an earlier call may not hold for the runs of a new folder.
        scanner = CheckpointScanner(
            options.choice,
            may_lack_head=bool(options.evaluation.data) and options.evaluation.templates,
            names_machine=engine is not None,
        )
        prepared = []
        for run in found:
            names = stored_runs[run.name]
            is_new = earlier_settings.uses_labels_of_other_runs(options, recorded, names)
            classes = None if listed is None or is_new else len(listed.names)
            known = known_records(out, dict.fromkeys([run.name, *names]), options.shaping_matrices)
            prepared.append((run, replace(scanner, classes=classes), known))
        epochs = epoch_filter(options.epochs)
        runs, weights = scan.scan_all(prepared, engine, epochs, partial(progress, "reading classifiers"))
        runs = [
            replace(run, ignores_kept_labels=earlier_settings.uses_labels_of_other_runs(options, recorded, [run.name]))
            for run in runs
        ]
        tables = ResultTables(out, {run.name for run in runs}, options, sources, taxonomy)

        # Resolve epochs and duplicates.
        runs, logs, log_warnings = scan.resolve_all_duplicates(runs, epochs, log)
        if listed is not None:
            runs = fail_other_networks(runs, listed)
        _require_usable(runs, tables)

        # Find labels, make evaluation results, and compare all matrices.
        names_of_data = None if data is None else data.names
        earlier_ids = _earlier_label_ids(out)
        runs, labels, warnings = _find_labels(runs, options, listed, names_of_data, earlier_ids, wordnet, taxonomy)
        warnings += log_warnings
        references.check_references(sources, labels.values())
        evaluations = collect.prepare_evaluations(out, runs, labels, options, data, predictions, progress)
        call = comparison.Call(tables, labels, logs, evaluations, engine)
        new_results = evaluations.make(runs, engine)
        runs, more_warnings = comparison.compare_runs(call, runs, weights, new_results, progress)
    names = [source.name for source in sources]
    summaries = [summarise(run, labels[run.name], logs[run.name], evaluations, names) for run in runs]
    warnings = list(dict.fromkeys(warnings + evaluations.warnings + more_warnings))
    unchanged = digest == digest_of_tables(out)
    return Summary(str(out), summaries, warnings, time.monotonic() - started, unchanged=unchanged)


def _require_usable(runs: Sequence[RunCheckpoints], tables: ResultTables) -> None:
    """Raise `NothingToAnalyseError` if no run has a usable checkpoint, after writing the reasons into a new folder."""
    reason = reason_nothing_usable(runs)
    if reason is not None:
        if not tables.folders and any(r.status == FAILED for run in runs for r in run.resolved):
            tables.write(runs, {})
        raise NothingToAnalyseError(f"no checkpoint can be used: {reason}", code="nothing-usable")


def _earlier_label_ids(out: Path) -> dict[str, str | None]:
    """Return the id of the labels of each run in an earlier call; empty if there was none."""
    try:
        classes = layout.read_table(out, CLASSES).select(["run", "labels_id"])
    except OutputError:
        return {}
    return dict(zip(*(column.to_pylist() for column in classes.columns), strict=True))


def _find_labels(
    runs: Sequence[RunCheckpoints],
    options: Options,
    listed: LabelList | None,
    names_of_data: tuple[str, ...] | None,
    earlier_ids: Mapping[str, str | None],
    wordnet: WordNet,
    taxonomy: CustomTaxonomy | None,
) -> tuple[list[RunCheckpoints], dict[str, ClassLabels], list[str]]:
    """Return the runs with class names, the labels of each run, resolved in WordNet or the taxonomy, and warnings.

    `listed` are the labels of the options, `names_of_data` the class names of the labelled data, and `earlier_ids` the ids of the
    labels of each run in an earlier call.
    """
    named_runs: list[RunCheckpoints] = []
    labels_of_run: dict[str, ClassLabels] = {}
    warnings: list[str] = []
    for run in runs:
        classes = run.classes
        usable = {record.path for record in run.usable if record.classes == classes}
        files = [file for file in run.training.checkpoints if file.display_path in usable]
        given, labels = None, None
        run_warnings: list[str] = []
        if classes != 0:
            if run.ignores_kept_labels and listed is not None:
                # Labels that an earlier call gave for other runs are used if the run has none of its own and as many classes.
                own, _ = class_labels.find_labels(run.training, None, files, classes)
                run = replace(run, ignores_kept_labels=own is not None or len(listed.names) != classes)
            given = None if run.ignores_kept_labels else listed
            names = names_of_data or run.names
            is_read_anew = usable <= run.heads_read
            earlier_id = None if is_read_anew else earlier_ids.get(run.name)
            labels, run_warnings = class_labels.find_labels(run.training, given, files, classes, names, earlier_id)
            # A later call opens no checkpoint that an earlier one has read.
            if given is None and is_read_anew:
                run_warnings += class_labels.contradictions_of_found(labels, run.training, files)
        run_warnings += _run_warnings(run, labels)
        warnings += [f"{run.name}: {warning}" for warning in run_warnings]
        if labels is None:
            named_runs.append(replace(run, names=None))
            labels_of_run[run.name] = class_labels.without_labels(classes or 0, wordnet, taxonomy)
            continue
        named_runs.append(replace(run, names=labels.names))
        if given is not None:
            check_class_count(run, options.choice, labels)
        choices = class_labels.read_choices(options.mapping if given is listed else None, labels, wordnet)
        labels_of_run[run.name] = class_labels.resolve_labels(labels, choices, wordnet, taxonomy)
    return named_runs, labels_of_run, warnings


def _run_warnings(run: RunCheckpoints, labels: LabelList | None) -> Iterator[str]:
    """Yield warnings about repeated labels, skipped checkpoints other than duplicates, growing heads and guessed epochs."""
    if labels is not None and labels.duplicates and labels.preset is None:
        twice = ", ".join(map(repr, labels.duplicates[:3]))
        yield f"{labels.source}: labels that occur twice ({twice}) get different senses if there are several; check these"
    expected = ("duplicate", "not-in-epochs", "no-network")
    skipped = [r for r in run.resolved if r.status == SKIPPED and r.code not in expected]
    if skipped:
        are = "are" if len(skipped) > 1 else "is"
        first = f"{Path(skipped[0].path).name}: {skipped[0].reason}"
        yield f"{count(len(skipped), 'checkpoint')} {are} left out, such as {first}"
    if run.common_classes != run.classes:
        yield (
            f"the head grows from {run.common_classes:,} to {run.classes:,} classes, so curves are over the first"
            f" {run.common_classes:,}, which every epoch has"
        )
    if any(r.epoch_source == ORDER for r in run.usable) and len(run.usable) > 1:
        by = "steps" if all(r.step is not None for r in run.usable) else "names"
        if any(file.moment is not None for file in run.training.checkpoints) and by == "names":
            by = "revisions"
        yield f"no file names its epoch, so dsi numbers them from 1 by their {by} and joins no log"
