"""What a call did and how far it is: plain records for whoever prints them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from dsi_cli.analysis.classifiers.run_state import RunState
from dsi_cli.analysis.evaluation.collect import RunEvaluations
from dsi_cli.analysis.semantics.class_labels import ClassLabels
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import FAILED, PENDING
from dsi_cli.checkpoints.training_logs import TrainingLog
from dsi_cli.errors import DONE, OUTPUT, PARTIAL
from dsi_cli.tracking.destinations import Logged


class Progress(NamedTuple):
    """Where a long call is: ``stage`` in words, ``done`` of ``total``."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class RunSummary:
    """What became of one run."""

    name: str
    folder: str
    statuses: dict[str, int]
    """How many checkpoints are ok, failed, skipped, pending."""
    ignored: int
    """Files in its folder that are no checkpoints."""
    classes: int | None
    labels: str | None
    """Where the labels came from, in words."""
    labels_described: str | None
    """The same, with the preset that they are or are classes of."""
    labels_command: str | None
    """The call of ``dsi labels`` that shows how they are understood; None if they are in no file."""
    preset: str | None
    known_to: str
    """Where labels are looked up, in words: WordNet 3.0, or the file of a taxonomy."""
    resolved: int
    unresolved: list[tuple[str, str]]
    """Label and reason."""
    uncertain: list[tuple[str, str]]
    """Label and synset of those that are less sure than `dsi_cli.store.schema.UNCERTAIN`."""
    are_placeholders: bool
    """Whether most labels are placeholders, such as ``class_7``, for which real names are asked once."""
    all_uncertain: str | None
    """Why all senses that were chosen are uncertain, and what to do."""
    log: str | None
    heads: list[str]
    weights_used: list[str]
    read: int
    """Heads read in this call."""
    reused: int
    """Epochs whose matrices an earlier call left."""
    gone: int
    """Checkpoints of an earlier call that are kept though this call did not find them."""
    no_reference: str | None
    """Why there is no alignment with the main reference."""
    problems: list[tuple[str, str, str]]
    """Path, status and reason of each checkpoint that failed or is pending."""
    splits: dict[str, str] = field(default_factory=dict)
    """Where the answers on each split come from, in words."""
    answered: int = 0
    """Answers made in this call: an epoch on a split each."""
    unanswered: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, split and reason of each answer that could not be had."""
    references: list[str] = field(default_factory=list)
    """The names of the reference matrices, the main one first."""


@dataclass
class Summary:
    """What a call did; what the command prints and ``--json`` gives."""

    out: str
    runs: list[RunSummary]
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    report: str | None = None
    """The HTML report; None where none was asked for or it could not be written."""
    report_problem: str | None = None
    """Why it could not be written; the tables are whole all the same."""
    logged: list[Logged] = field(default_factory=list)
    """Where the curves were logged to."""
    logging_problems: list[str] = field(default_factory=list)
    """Why they could not be logged somewhere."""

    @property
    def problems(self) -> list[str]:
        """Why the report could not be written, and why the curves could not be logged somewhere; the tables are complete."""
        return [one for one in (self.report_problem, *self.logging_problems) if one is not None]

    @property
    def exit_code(self) -> int:
        """0; 4 if some checkpoints could not be used; 5 if the report could not be written, or the curves not logged."""
        if self.problems:
            return OUTPUT
        return PARTIAL if any(run.statuses.get(FAILED) or run.unanswered for run in self.runs) else DONE


def summarise(
    state: RunState, labels: ClassLabels, log: TrainingLog | None, answers: RunEvaluations, references: list[str]
) -> RunSummary:
    """Return the summary of a run that was analysed."""
    usable = state.usable
    return RunSummary(
        name=state.run.name,
        folder=printable(str(state.run.folder)),
        statuses=dict(Counter(record.status for record in state.settled)),
        ignored=state.run.ignored,
        classes=labels.classes or None,
        labels=labels.label_list.source if labels.label_list else None,
        labels_described=labels.label_list.described if labels.label_list else None,
        labels_command=labels.command,
        preset=labels.label_list.preset if labels.label_list else None,
        known_to=labels.lookup_source,
        resolved=len(labels.hierarchy.nodes),
        unresolved=labels.unknown_labels,
        uncertain=[]
        if labels.taxonomy
        else [(r.label, r.synset) for r in labels.resolutions if r.is_uncertain and r.synset],
        are_placeholders=labels.are_placeholders,
        all_uncertain=labels.reason_all_uncertain(),
        log=printable(log.path.name) if log else None,
        heads=sorted({r.head for r in usable if r.head}),
        weights_used=sorted({r.weights_used for r in usable if r.weights_used}),
        read=len(state.heads_read),
        reused=state.reused,
        gone=len(state.gone),
        no_reference=state.no_reference,
        references=references,
        problems=[(r.path, r.status, r.reason or "") for r in state.settled if r.status in (FAILED, PENDING)],
        splits=answers.sources[state.run.name],
        answered=answers.made(state.run.name),
        unanswered=answers.problems(state.run.name),
    )
