"""Analyse checkpoints while a training still writes them: list them repeatedly, and
analyse those that are complete.

A file is new or changed if its size or its modification time differs from the last
listing. It is at rest once two listings in a row agree. The reader decides whether its
end is valid (``pending`` if not). Listings are used because a network file system does
not report what another machine writes. Times are compared only with each other, since
the other machine's clock may differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from dsi_cli.analysis.lasting_suspects import MIN_EPOCHS, Finding, lasting
from dsi_cli.analysis.options import Options, with_local_files
from dsi_cli.analysis.plan import open_inputs
from dsi_cli.analysis.summary import Summary
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.records import OK
from dsi_cli.checkpoints.training_logs import read_named_log
from dsi_cli.errors import (
    BusyError,
    NothingToAnalyseError,
    OutputError,
    UnreachableError,
    UsageError,
)
from dsi_cli.queries.suspect_texts import suspects_or_none
from dsi_cli.remote.locations import Place
from dsi_cli.store import atomic_write, layout, lock
from dsi_cli.store.schema import CHECKPOINTS
from dsi_cli.suspect_kinds import STRONG

LISTING_INTERVAL_S = 10.0  # the seconds from one listing to the next
REACHED, IDLE = "reached", "idle"
"""The reason why watching ends: all runs reached the epoch of ``--until-epoch``, or
nothing was new for ``--idle``.
"""

AnyPath = str | PathLike[str]
Analyse = Callable[[Sequence[AnyPath]], Summary]
"""Takes the paths that exist, and updates the results folder:
`dsi_cli.analysis.analyze.analyze`.
"""


class WaitingEvent(NamedTuple):
    """Nothing can be analysed yet; sent once for each reason."""

    reason: str
    is_blocked: bool = False
    """True if files are at rest and cannot be analysed because of another process or an
    unreachable server.
    """


class LastingSuspect(NamedTuple):
    """A suspect that is strong in two successive tables."""

    run: str  # the run with the strongest evidence
    epoch: int  # its last epoch
    finding: Finding


class UpdatedEvent(NamedTuple):
    """An analysis is finished."""

    summary: Summary
    # run and epoch of each result that is new or was made from other weights before
    new: list[tuple[str, int]]
    # the suspects that are now strong in two successive tables, each only once
    suspects: Sequence[LastingSuspect] = ()


class EndedEvent(NamedTuple):
    """Watching has ended; this is always the last event."""

    why: str  # `REACHED` or `IDLE`


Event = WaitingEvent | UpdatedEvent | EndedEvent


def check(paths: Sequence[AnyPath], out: AnyPath, options: Options) -> None:
    """Check the options before the first checkpoint exists, which may take hours.

    A training log that does not exist yet is accepted only in one of the watched
    folders.
    """
    options = with_local_files(options)
    if options.log is not None:
        log = Path(options.log)
        if log.exists() or not any(
            log.absolute().is_relative_to(Path(path).absolute()) for path in paths
        ):
            read_named_log(log)
    with lock.exclusive(Path(out)):
        open_inputs(options, lambda _: None, lambda *_: None)


def watch(
    paths: Sequence[AnyPath],
    out: AnyPath,
    analyse: Analyse,
    *,
    every: float = LISTING_INTERVAL_S,
    revisions: str | None = None,
    names: str | None = None,
    until_epoch: int | None = None,
    idle: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Analyse checkpoints when they are complete, and yield events.

    Parameters
    ----------
    paths : files, folders or glob patterns; they need not exist yet.
    out : the results folder of ``analyse``, which is locked only during an analysis.
    analyse : called whenever a new or changed checkpoint is at rest.
    every : the seconds from one listing to the next.
    revisions : the revisions of repositories to read.
    names : the pattern of the names of files, as ``--names``.
    until_epoch : end when each path has checkpoints, and each run has a usable one of
        this epoch or a later one.
    idle : end when nothing was new for this many seconds.
    sleep, clock : functions of time, for tests.

    Notes
    -----
    Errors are those of ``analyse``. But dsi waits for paths that do not exist or vanish
    for a moment, and for another process that writes to the results folder.
    `NothingToAnalyseError` means that nothing could be analysed until ``idle``.
    """
    files, analysed = _Files(paths, revisions, names), _AnalysedCheckpoints(Path(out))
    event: UpdatedEvent | WaitingEvent | None
    last_event: Event | None = None
    why, last_news = IDLE, clock()
    while True:
        is_news, event = files.refresh(), files.waiting
        if files.at_rest:
            event = _analyse(files, analysed, analyse)
            is_news = is_news or not (
                isinstance(event, WaitingEvent) and event.is_blocked
            )
        if event is not None and event != last_event:
            yield event
            last_event = event
        if isinstance(event, UpdatedEvent):
            have_begun = files.begun.issuperset(paths)
            if have_begun and analysed.have_reached(until_epoch):
                why = REACHED
                sleep(every)
                files.refresh()
                break
        if is_news:
            last_news = clock()
        elif idle is not None and clock() - last_news >= idle:
            break
        sleep(every)
    # Analyse once more: trainers write after their last checkpoint, for example the
    # last row of their log.
    yield from _last_events(files, analysed, analyse, last_event, idle)
    yield EndedEvent(why)


def _last_events(
    files: _Files,
    analysed: _AnalysedCheckpoints,
    analyse: Analyse,
    last_event: Event | None,
    idle: float | None,
) -> Iterator[Event]:
    """Yield the event of the last analysis; raise `NothingToAnalyseError` if nothing
    was ever analysed.
    """
    event = _analyse(files, analysed, analyse) if files.existing else files.waiting
    if isinstance(event, UpdatedEvent) or (
        analysed.runs and event is not None and event != last_event
    ):
        yield event
    elif not analysed.runs:
        why = event.reason if event is not None else "no checkpoint was complete"
        message = (
            f"nothing was new for {idle:g} s, and nothing could be analysed: {why}"
        )
        raise NothingToAnalyseError(message, code="idle", seconds=idle)


def _analyse(
    files: _Files, analysed: _AnalysedCheckpoints, analyse: Analyse
) -> UpdatedEvent | WaitingEvent:
    try:
        summary = analyse(files.existing)
    except (OutputError, UnreachableError) as error:
        # Another process ends, and a person can free the disk; other problems of the
        # output remain.
        if (
            isinstance(error, OutputError)
            and not isinstance(error, BusyError)
            and error.code != atomic_write.DISK_FULL
        ):
            raise
        return WaitingEvent(str(error), is_blocked=True)
    except (NothingToAnalyseError, UsageError) as error:
        # An error about a wrong path does not count if the folder vanished between the
        # listing and the analysis.
        if files.note_analysed() and isinstance(error, UsageError):
            raise
        return WaitingEvent(str(error))
    files.note_analysed()
    new = analysed.add(summary)
    return UpdatedEvent(summary, new, analysed.lasting_suspects() if new else ())


class _Files:
    """The checkpoints under some paths in the last listings.

    Attributes
    ----------
    existing : the paths that exist.
    waiting : why there is nothing to analyse; None if there is a checkpoint.
    at_rest : size and modification time of the files that have stopped changing and are
        not analysed yet, by path.
    begun : the paths that have had a checkpoint.
    """

    def __init__(
        self,
        paths: Sequence[AnyPath],
        revisions: str | None = None,
        names: str | None = None,
    ) -> None:
        self.paths = paths
        self._revisions = revisions
        self._names = names
        self.existing: list[AnyPath] = []
        self.waiting: WaitingEvent | None = None
        self.at_rest: dict[Place, tuple[int, int]] = {}
        self.begun: set[AnyPath] = set()
        self._seen: dict[Place, tuple[int, int]] = {}
        self._analysed: dict[Place, tuple[int, int]] = {}

    def refresh(self) -> bool:
        """List the files; return whether any is new or has changed since it was last
        seen.

        Files that are gone are remembered: a folder that vanishes for a moment is not
        new when it comes back.
        """
        now = self._list()
        changed = now.items() - self._seen.items()
        self._seen |= now
        self.at_rest = dict(now.items() - changed - self._analysed.items())
        return bool(changed)

    def note_analysed(self) -> bool:
        """Mark the files at rest that have not changed as analysed; return whether
        these are all.
        """
        same = self.at_rest.items() & self._list().items()
        self._analysed.update(same)
        return same == self.at_rest.items()

    def _list(self) -> dict[Place, tuple[int, int]]:
        files: dict[Place, tuple[int, int]] = {}
        reason = f"no checkpoint yet under {', '.join(map(str, self.paths))}"
        self.existing = []
        for path in self.paths:
            try:
                runs = discover([path], revisions=self._revisions, names=self._names)
            except (UsageError, NothingToAnalyseError, OSError) as error:
                reason = str(error)
                continue
            self.existing.append(path)
            if runs:
                self.begun.add(path)
            files |= {
                file.path: (file.bytes, file.modified_ns)
                for run in runs
                for file in run.checkpoints
            }
        self.waiting = None if files or self._seen else WaitingEvent(reason)
        return files


class _AnalysedCheckpoints:
    """The usable checkpoints in a results folder and its strong suspects, and the names
    of the ``runs`` that were analysed in this call.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.runs: set[str] = set()
        self._checkpoints = usable_checkpoints(out)
        self._strong = list(_strong_suspects(out))
        self._reported: list[Finding] = []

    def add(self, summary: Summary) -> list[tuple[str, int]]:
        """Add the results of an analysis; return run and epoch of each one that is new
        or has changed.
        """
        self.runs |= {run.name for run in summary.runs}
        before, self._checkpoints = self._checkpoints, usable_checkpoints(self.out)
        return sorted(
            {
                (run, epoch)
                for run, epoch, *_ in self._checkpoints - before
                if run in self.runs
            }
        )

    def lasting_suspects(self) -> tuple[LastingSuspect, ...]:
        """Return the suspects that are strong in the tables of this analysis and of the
        one before, except for those that were returned before.
        """
        run_of = _strong_suspects(self.out)
        before, self._strong = self._strong, list(run_of)
        found = lasting(before, self._strong, self._reported)
        self._reported += found
        last_epochs: dict[str, int] = {}
        for run, epoch, *_ in self._checkpoints:
            last_epochs[run] = max(epoch, last_epochs.get(run, 0))
        return tuple(
            LastingSuspect(run_of[finding], last_epochs[run_of[finding]], finding)
            for finding in found
        )

    def have_reached(self, epoch: int | None) -> bool:
        """Return whether each run has a usable checkpoint of an epoch or a later one;
        False without an epoch.
        """
        if epoch is None:
            return False
        runs = {run for run, last, *_ in self._checkpoints if last >= epoch}
        return self.runs <= runs


def usable_checkpoints(
    out: Path,
) -> set[tuple[str, int, int | None, str | None]]:
    """Return run, epoch (0 if there is none), step and fingerprint of the usable
    checkpoints in a results folder; empty if it does not exist.
    """
    rows = [row for row in layout.earlier_rows(out, CHECKPOINTS) if row["status"] == OK]
    return {
        (row["run"], row["epoch"] or 0, row["step"], row["fingerprint"]) for row in rows
    }


def _strong_suspects(out: Path) -> dict[Finding, str]:
    """Return the strong suspects in a results folder, and the run of each, if it has
    enough epochs; empty if there is no table, or if it is damaged and will be rebuilt.
    """
    rows: Sequence[Mapping[str, Any]] = ()
    with suppress(OutputError):
        rows = suspects_or_none(out) or ()
    return {
        Finding(row["kind"], tuple(row["class_names"])): row["run"]
        for row in rows
        if row["grade"] == STRONG and row["of_epochs"] >= MIN_EPOCHS
    }
