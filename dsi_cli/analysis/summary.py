"""The summary of an analysis, as a record that the command line and the API show."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dsi_cli.analysis.classifiers.run_checkpoints import RunCheckpoints
from dsi_cli.analysis.plan import Plan
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import FAILED, PENDING
from dsi_cli.errors import DONE, OUTPUT, PARTIAL, OutputError, UsageError
from dsi_cli.facts import Fact
from dsi_cli.queries import facts
from dsi_cli.queries.facts import Message
from dsi_cli.tracking import Destination, Logged


@dataclass(frozen=True)
class RunSummary:
    """The summary of one run."""

    name: str
    folder: str
    # the number of checkpoints that are ok, failed, skipped and pending
    statuses: dict[str, int]
    ignored: int  # the number of files in the folder that are not checkpoints
    classes: int | None
    labels: str | None  # the source of the labels, in words
    # the source of the labels, with the preset that they are, or that they are classes
    # of
    labels_described: str | None
    preset: str | None  # the preset whose labels these are, in its order
    # the name of the WordNet, or the file of the taxonomy, in which labels are looked
    # up
    known_to: str
    resolved: int
    # the number of synsets with a confidence below `dsi_cli.store.schema.UNCERTAIN`
    uncertain: int
    log: str | None
    heads: list[str]
    weights_used: list[str]
    read: int  # the number of heads read in this call
    reused: int  # the number of epochs whose rows were known
    # the number of checkpoints of an earlier call that no longer exist and whose
    # results are kept
    gone: int
    # path, status and reason of each failed or pending checkpoint
    problems: list[tuple[str, str, str]]
    # the source of the predictions on each split, in words
    splits: dict[str, str] = field(default_factory=dict)
    # the number of evaluation results made in this call, one per epoch and split
    evaluated: int = 0
    not_evaluated: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, split and reason of each evaluation result that could not be made."""
    # the names of the reference matrices, the main one first
    references: list[str] = field(default_factory=list)


@dataclass
class Summary:
    """The summary of an analysis; the command prints it, and ``--json`` prints it as
    JSON.
    """

    out: str
    runs: list[RunSummary]
    facts: list[Fact] = field(default_factory=list)  # what all steps noticed
    seconds: float = 0.0
    report: str | None = None  # the path of the HTML report; None without one
    # the reason why the report could not be written; the tables are complete
    report_problem: str | None = None
    unchanged: bool = False  # True if the tables are the same as before this call
    # the trackers that have the curves
    logged: list[Logged] = field(default_factory=list)
    # the reason why curves could not be sent to a tracker
    logging_problems: list[str] = field(default_factory=list)

    @property
    def messages(self) -> list[Message]:
        """The facts in words, the most important first."""
        return facts.messages(self.facts, [run.name for run in self.runs])

    @property
    def problems(self) -> list[str]:
        """The reason why the report could not be written, and why curves could not be
        sent to trackers; the tables are complete.
        """
        return [
            problem
            for problem in (self.report_problem, *self.logging_problems)
            if problem is not None
        ]

    @property
    def exit_code(self) -> int:
        """0; 4 if some checkpoints could not be used; 5 if the report could not be
        written, or the curves not logged.
        """
        if self.problems:
            return OUTPUT
        if any(run.statuses.get(FAILED) or run.not_evaluated for run in self.runs):
            return PARTIAL
        return DONE

    def send_curves(self, destinations: Iterable[Destination]) -> None:
        """Send the curves to trackers, and record which have them, or why one has
        not.
        """
        for destination in destinations:
            try:
                self.logged.append(destination.send(Path(self.out)))
            except (OutputError, UsageError) as error:
                self.logging_problems.append(str(error))


def digest_of_tables(out: Path) -> str:
    """Return text that changes when a table at the top of a results folder changes."""
    digest = hashlib.sha256()
    for path in sorted(out.glob("*.parquet")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def summarise(run: RunCheckpoints, plan: Plan, *, reused: int) -> RunSummary:
    """Return the summary of a run that was analysed."""
    name = run.name
    usable = run.usable
    labels = plan.labels[run.name]
    log = plan.logs[run.name]
    label_list, evaluations = labels.label_list, plan.evaluations
    return RunSummary(
        name=name,
        folder=printable(str(run.training.folder)),
        statuses=dict(Counter(record.status for record in run.resolved)),
        ignored=run.training.ignored,
        classes=labels.classes or None,
        labels=label_list.source if label_list else None,
        labels_described=label_list.description if label_list else None,
        preset=(
            label_list.preset if label_list and not label_list.is_reordered else None
        ),
        known_to=labels.lookup_source,
        resolved=len(labels.hierarchy.nodes),
        uncertain=len(labels.uncertain),
        log=printable(log.path.name) if log else None,
        heads=sorted({r.head for r in usable if r.head}),
        weights_used=sorted({r.weights_used for r in usable if r.weights_used}),
        read=len(run.heads_read),
        reused=reused,
        gone=len(run.gone),
        problems=[
            (r.path, r.status, r.reason or "")
            for r in run.resolved
            if r.status in (FAILED, PENDING)
        ],
        splits=evaluations.sources[name],
        evaluated=sum(split.made for split in evaluations.splits[name]),
        not_evaluated=[
            (path, s.split, str(error))
            for s in evaluations.splits[name]
            for path, error in s.failed.items()
        ],
        references=[source.name for source in plan.sources],
    )
