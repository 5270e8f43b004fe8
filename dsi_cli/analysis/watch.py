"""While training still writes: the checkpoints are listed again and again, and what has become whole is analysed.

A file is new or changed by its size and time of change, and at rest once two listings in a row gave the same; whether its
end is valid, the reader says (`pending` if not). Listings, since a network file system tells nobody what another machine
writes; and times of change are compared with each other alone, since that machine's clock may be another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from dsi_cli.analysis.evaluation import collect
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics import hierarchy, label_files, references
from dsi_cli.analysis.summary import Summary
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.records import OK
from dsi_cli.errors import BusyError, NothingToAnalyseError, UnreachableError, UsageError
from dsi_cli.remote.locations import Place
from dsi_cli.store import layout, lock
from dsi_cli.store.schema import CHECKPOINTS
from dsi_cli.wordnet.database.wordnet import load_wordnet

EVERY = 10.0
"""Seconds from one listing to the next."""
REACHED, IDLE = "reached", "idle"
"""Why watching ends by itself: the epoch that was waited for is there; nothing was new for long enough."""

Given = str | PathLike[str]
Analyse = Callable[[Sequence[Given]], Summary]
"""Takes those of the paths that are there and brings the output up to date: `dsi_cli.analysis.analyze.analyze`."""


class WaitingEvent(NamedTuple):
    """Nothing can be analysed yet; said once for each reason."""

    reason: str
    is_blocked: bool = False
    """Whether files are at rest, and another process or a server that does not answer keeps dsi from analysing them."""


class UpdatedEvent(NamedTuple):
    """An analysis was done."""

    summary: Summary
    new: list[tuple[str, int]]
    """Run and epoch of what the output did not hold before, or not with these weights."""


class EndedEvent(NamedTuple):
    """Watching is over; always the last event."""

    why: str
    """`REACHED` or `IDLE`."""


Event = WaitingEvent | UpdatedEvent | EndedEvent


def check(out: Given, options: Options) -> None:
    """Raise at once what no checkpoint can put right, rather than hours later when the first one is there.

    Raises
    ------
    UsageError
        The label list, a reference, the data or the output cannot be right.
    OutputError
        The output cannot be written, or another process writes to it now.
    """
    if options.labels is not None:
        label_files.read_labels_option(options.labels)
    references.open_references(
        options.references, hierarchy.open_taxonomy(options.taxonomy), load_wordnet(options.pos, options.wordnet)
    )
    with lock.exclusive(Path(out)):
        collect.open_inputs(Path(out), options, lambda _: None, lambda *_: None)


def watch(
    paths: Sequence[Given],
    out: Given,
    analyse: Analyse,
    *,
    every: float = EVERY,
    until_epoch: int | None = None,
    idle: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """Analyse checkpoints as they become whole, and yield what happens.

    Parameters
    ----------
    paths : files, folders or glob patterns; none need be there yet
    out : the output folder of ``analyse``, which is locked during an analysis alone
    analyse : called whenever a checkpoint that is new or changed is at rest
    every : seconds from one listing to the next
    until_epoch : end when each path has checkpoints and each run a usable one of this epoch or a later one
    idle : end when nothing was new for as many seconds
    sleep, clock : how time passes

    Raises
    ------
    UsageError, OutputError
        As ``analyse``; but a path that is not there, or vanishes for a moment, is waited for, and so is another process that
        writes to the output.
    NothingToAnalyseError
        Nothing was new for ``idle`` seconds, and nothing could be analysed until then.
    """
    files, known = _Files(paths), _Known(Path(out))
    event: UpdatedEvent | WaitingEvent | None
    said: Event | None = None
    last_news = clock()
    while idle is None or clock() - last_news < idle:
        is_news, event = files.look(), files.waiting
        if files.at_rest:
            event = _analysed(files, known, analyse)
            is_news = is_news or not (isinstance(event, WaitingEvent) and event.is_blocked)
        if event is not None and event != said:
            yield event
            said = event
        if isinstance(event, UpdatedEvent) and files.all_begun and known.reached(until_epoch):
            yield EndedEvent(REACHED)
            return
        if is_news:
            last_news = clock()
        sleep(every)
    # Once more: what a trainer writes after its last checkpoint, like the last row of its log, belongs to the tables.
    files.look()
    event = _analysed(files, known, analyse) if files.there else files.waiting
    if isinstance(event, UpdatedEvent) or (known.runs and event is not None and event != said):
        yield event
    elif not known.runs:
        why = event.reason if event is not None else "no checkpoint came to rest"
        raise NothingToAnalyseError(f"nothing was new for {idle:g} s, and nothing could be analysed: {why}")
    yield EndedEvent(IDLE)


def _analysed(files: _Files, known: _Known, analyse: Analyse) -> UpdatedEvent | WaitingEvent:
    """Return what an analysis of the files that are there gives."""
    try:
        summary = analyse(files.there)
    except (BusyError, UnreachableError) as error:
        return WaitingEvent(str(error), is_blocked=True)
    except NothingToAnalyseError as error:
        files.note_analysed()
        return WaitingEvent(str(error))
    except UsageError as error:
        if files.note_analysed():
            raise
        # The folder has vanished between the listing and the analysis, which takes that for a wrong path.
        return WaitingEvent(str(error))
    files.note_analysed()
    return UpdatedEvent(summary, known.news(summary))


class _Files:
    """The checkpoints under some paths, as the last listings saw them.

    Attributes
    ----------
    there : those of the paths that exist
    waiting : why there is nothing to analyse; None where there is a checkpoint
    at_rest : by path, size and time of change of the files that are whole for all we know and wait to be analysed
    """

    def __init__(self, paths: Sequence[Given]) -> None:
        self.paths = paths
        self.there: list[Given] = []
        self.waiting: WaitingEvent | None = None
        self.at_rest: dict[Place, tuple[int, int]] = {}
        self._begun: set[Given] = set()
        self._seen: dict[Place, tuple[int, int]] = {}
        self._analysed: dict[Place, tuple[int, int]] = {}

    @property
    def all_begun(self) -> bool:
        """Whether each path has had a checkpoint."""
        return self._begun.issuperset(self.paths)

    def look(self) -> bool:
        """List the files; return whether any is new or has changed since it was last seen.

        What is gone is not forgotten: a folder that vanishes for a moment and comes back is no news.
        """
        now = self._listed()
        changed = {path for path, size in now.items() if self._seen.get(path) != size}
        self._seen |= now
        self.at_rest = {
            path: size for path, size in now.items() if path not in changed and self._analysed.get(path) != size
        }
        return bool(changed)

    def note_analysed(self) -> bool:
        """Take the files at rest as analysed, as far as they are still there and the same; return whether all are."""
        now = self._listed()
        same = {path: size for path, size in self.at_rest.items() if now.get(path) == size}
        self._analysed |= same
        return same == self.at_rest

    def _listed(self) -> dict[Place, tuple[int, int]]:
        found: dict[Place, tuple[int, int]] = {}
        why, self.there = f"no checkpoint yet under {', '.join(map(str, self.paths))}", []
        for given in self.paths:
            try:
                runs = discover([given])
            except (UsageError, NothingToAnalyseError, OSError) as error:
                why = str(error)
                continue
            self.there.append(given)
            if runs:
                self._begun.add(given)
            found |= {one.path: (one.bytes, one.modified_ns) for run in runs for one in run.checkpoints}
        self.waiting = None if found or self._seen else WaitingEvent(why)
        return found


class _Known:
    """The epochs that an output holds.

    Attributes
    ----------
    runs : the names of those that were analysed by this call
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.runs: set[str] = set()
        self._rows = usable(out)

    def news(self, summary: Summary) -> list[tuple[str, int]]:
        """Return run and epoch of what the output has since an analysis and had not before."""
        self.runs |= {run.name for run in summary.runs}
        before, self._rows = self._rows, usable(self.out)
        return sorted({(run, epoch or 0) for run, epoch, *_ in self._rows - before if run in self.runs})

    def reached(self, epoch: int | None) -> bool:
        """Return whether each run has a usable checkpoint of an epoch or a later one; never so for None."""
        return epoch is not None and self.runs <= {run for run, last, *_ in self._rows if (last or 0) >= epoch}


def usable(out: Path) -> set[tuple[str, int | None, int | None, str | None]]:
    """Return run, epoch, step and fingerprint of each usable checkpoint that an output holds; none without an output."""
    rows = layout.earlier_rows(out, CHECKPOINTS)
    return {(row["run"], row["epoch"], row["step"], row["fingerprint"]) for row in rows if row["status"] == OK}
