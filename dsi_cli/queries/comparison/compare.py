"""A comparison of runs, whole: who takes part, how alike they are, what differs at equal accuracy, and what to prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from dsi_cli.errors import UsageError, expected
from dsi_cli.metrics import bootstrap, differences, jackknife
from dsi_cli.queries.comparison.common_classes import match_classes, match_epochs
from dsi_cli.queries.comparison.criteria import BootstrapOptions, criteria
from dsi_cli.queries.comparison.cross_alignment import CrossAlignment, cross_alignment
from dsi_cli.queries.comparison.equal_accuracy import EqualAccuracyComparison, at_equal_accuracy
from dsi_cli.queries.comparison.repetitions import (
    CurveBand,
    RepeatedRuns,
    completed_known,
    curve_bands,
    group_runs,
    network_bands,
)
from dsi_cli.queries.comparison.runs import SHAPING, SPLITS, ComparedRun, compared_runs
from dsi_cli.queries.comparison.verdict import PREFERRED, Verdict, verdict

MEASURES = ("cosine", "spearman")
"""Of the SAI, unless others are asked for: the paper's main one, and one that does not depend on a matrix's scale **[choice]**."""
DRAWS_ABOVE = 200
"""By default, where there are more classes than `dsi_cli.metrics.bootstrap.LARGEST`."""
RISEN = 0.5
"""Of its largest, as the demo says it of the surge."""
CLEAR = 3.0
"""Standard deviations above chance from which an alignment is one."""
FIGURE_FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class ComparisonOptions:
    """What is to be compared, and how."""

    names: Sequence[str] = ()
    """Runs; all where there is none."""
    group: str | None = None
    """A regular expression whose first captured part names a group of repetitions; ``seed`` for the usual suffixes."""
    tolerance: float = 0.01
    """Of accuracy."""
    split: str | None = None
    """Of accuracy and mistakes: test or train; None for test where all have it."""
    measures: Sequence[str] = MEASURES
    draws: int | None = None
    """Bootstrap draws; None for 1,000, above 256 classes 200."""
    seed: int = 0


@dataclass(frozen=True)
class RunSummary:
    """One run that takes part."""

    label: str
    group: str
    output: str
    run: str
    classes: int
    first_epoch: int
    last_epoch: int
    best_accuracy: float | None
    best_epoch: int | None
    alignment: float | None
    """The last epoch's SAI excess with WordNet, by the first measure."""
    aligned_at: int | None
    """The first epoch (finished epochs where all know them) at which that excess was half of its largest; None where that
    is not 3 standard deviations above chance."""
    has_epochs: bool = True
    """Whether its checkpoints have epochs; if not, it has only one, which counts as epoch 0."""

    @property
    def span(self) -> str:
        """The first and the last epoch, as they are shown."""
        return f"{self.first_epoch}-{self.last_epoch}" if self.has_epochs else "–"

    @property
    def best_at(self) -> str:
        """The epoch with the best accuracy, as it is shown."""
        return "–" if self.best_epoch is None or not self.has_epochs else str(self.best_epoch)


@dataclass(frozen=True)
class Comparison:
    """Everything that is said of some runs side by side."""

    epochs: str
    """epochs completed or epoch: what ``at``, ``x`` and ``aligned_at`` count."""
    split: str
    measures: list[str]
    runs: list[RunSummary]
    between: list[CrossAlignment]
    equal: list[EqualAccuracyComparison]
    verdicts: list[Verdict]
    preferred: str | None
    """The run or group that is preferred to every other."""
    recommendation: str
    curves: list[CurveBand]
    notes: list[str] = field(default_factory=list)


def compare(outputs: Sequence[str | Path], options: ComparisonOptions | None = None) -> Comparison:
    """Return a comparison of the runs of some outputs of ``dsi analyze``.

    Raises
    ------
    UsageError
        A folder is no output, fewer than two runs are left, or an option cannot be right; the message says what there is.
    """
    options = options or ComparisonOptions()
    _require(options)
    every = compared_runs(outputs, options.names)
    groups = group_runs(every, options.group)
    split = options.split or next(
        (one for one in SPLITS if all(len(e.curve("accuracy", split=one)) for e in every)), SPLITS[0]
    )
    measure = options.measures[0]
    pairs = [
        at_equal_accuracy(a, b, criteria(options.measures), options.tolerance, options.split, _draws(options, every))
        for a, b in combinations(groups, 2)
    ]
    verdicts = [verdict(one) for one in pairs]
    preferred = _preferred(groups, verdicts)
    alike = [
        cross_alignment(a, b, match_classes(a, b), match_epochs(a, b), options.measures[:1])
        for a, b in combinations(every, 2)
    ]
    return Comparison(
        epochs="epochs completed" if completed_known(every) else "epoch",
        split=split,
        measures=list(options.measures),
        runs=[_line(one, group.name, split, measure, completed_known(every)) for group in groups for one in group.runs],
        between=alike,
        equal=pairs,
        verdicts=verdicts,
        preferred=preferred,
        recommendation=_recommendation(verdicts, preferred),
        curves=curve_bands(groups, split, measure) + network_bands(groups, alike, measure),
        notes=_notes(every, split),
    )


def _require(options: ComparisonOptions) -> None:
    if not 0 <= options.tolerance < 1:
        raise UsageError(f"a tolerance of accuracy lies from 0 up to 1; {options.tolerance:g} does not")
    if options.split is not None and options.split not in SPLITS:
        raise UsageError(f"no split {options.split!r}: {expected(options.split, SPLITS)}")
    if options.draws is not None and options.draws < 0:
        raise UsageError(f"draws are a count, 0 or more; given: {options.draws}")
    for measure in options.measures:
        if measure not in jackknife.MEASURES:
            raise UsageError(f"no comparison by measure {measure!r}: {expected(measure, jackknife.MEASURES)}")


def _draws(options: ComparisonOptions, every: Sequence[ComparedRun]) -> BootstrapOptions:
    default = differences.DRAWS if max(len(one.classes) for one in every) <= bootstrap.MAX_DEFAULT_CLASSES else DRAWS_ABOVE
    return BootstrapOptions(default if options.draws is None else options.draws, options.seed)


def _line(run: ComparedRun, group: str, split: str, measure: str, by_completed: bool) -> RunSummary:
    accuracy = run.curve("accuracy", split=split)["value"].dropna()
    rows = run.curve("sai", f"{run.own},scsm", None, measure)
    excess = rows["excess"].dropna()
    is_alignment = len(excess) > 0 and rows["z"].get(excess.idxmax(), 0.0) > CLEAR
    reached = excess[excess >= RISEN * excess.max()] if is_alignment else excess[:0]
    x = rows["epochs_completed"] if by_completed else rows.index.to_series()
    best = (
        None
        if accuracy.empty
        else int(accuracy.index.to_numpy(dtype=np.int64)[accuracy.to_numpy(dtype=np.float64).argmax()])
    )
    return RunSummary(
        label=run.label,
        group=group,
        output=str(run.run.path),
        run=run.name,
        classes=len(run.classes),
        first_epoch=run.epochs[0],
        last_epoch=run.epochs[-1],
        best_accuracy=None if best is None else float(accuracy[best]),
        best_epoch=best,
        alignment=None if excess.empty else float(excess.iloc[-1]),
        aligned_at=None if reached.empty else int(x[reached.index[0]]),
        has_epochs=run.run.has_epochs(run.name),
    )


def _preferred(groups: Sequence[RepeatedRuns], verdicts: Sequence[Verdict]) -> str | None:
    """Return the run or group that every verdict in which it takes part prefers."""
    for group in groups:
        mine = [one for one in verdicts if group.name in (one.first, one.second)]
        if mine and all(one.preferred == group.name for one in mine):
            return group.name
    return None


def _recommendation(verdicts: Sequence[Verdict], preferred: str | None) -> str:
    if len(verdicts) == 1:
        return verdicts[0].sentence
    if preferred is not None:
        return f"{preferred} is to be preferred to every other"
    won = sorted({one.preferred for one in verdicts if one.answer == PREFERRED and one.preferred is not None})
    return "no run is to be preferred to every other" + (f"; preferred to some: {', '.join(won)}" if won else "")


def _notes(every: Sequence[ComparedRun], split: str) -> list[str]:
    """Return what makes the runs' numbers less comparable than they look."""
    notes = []
    if not completed_known(every):
        unknown = [one.label for one in every if one.completed is None]
        notes.append(f"epochs are the trainers' own numbers: how {', '.join(unknown)} counts them is not known")
    for name in SHAPING:
        values = {one.label: one.shaping.get(name) for one in every}
        if len({str(value) for value in values.values()}) > 1:
            notes.append(f"not analysed alike: {name} is " + ", ".join(f"{_said(v)} for {k}" for k, v in values.items()))
    sizes = {one.label: _samples(one, split) for one in every}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{'none' if size is None else format(size, ',')} for {label}" for label, size in sizes.items())
        notes.append(f"not the same {split} samples: {told}")
    own = {one.label: one.own for one in every}
    if len(set(own.values())) > 1:
        notes.append(
            "not the same kind of matrix: " + ", ".join(f"{kind or 'none'} of {label}" for label, kind in own.items())
        )
    return notes


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _samples(run: ComparedRun, split: str) -> int | None:
    known = run.curve("accuracy", split=split)["samples_used"].dropna()
    return None if known.empty else int(known.iloc[-1])
