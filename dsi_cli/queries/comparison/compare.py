"""Compare runs: their similarity to each other, the criteria in which they differ at
equal accuracy, and a verdict.

At equal accuracy the paper (arXiv 2505.21338) prefers the network whose similarities
agree more with semantics, and whose mistakes are nearer to the truth. The criteria are
a higher agreement with WordNet, and a higher WIDM and NIDM of mistakes. A criterion
counts only if the confidence interval of its difference, corrected for several
comparisons, excludes 0 **[ours]**. A network is preferred only if it was trained
several times, at least one criterion is higher, and none is lower.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TypeVar, cast

from dsi_cli.errors import UsageError, count, require_choice
from dsi_cli.metrics import jackknife
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries.comparison import repetitions
from dsi_cli.queries.comparison.criteria import SEEDS
from dsi_cli.queries.comparison.equal_accuracy import (
    EQUAL,
    CriterionRow,
    EqualAccuracyComparison,
    at_equal_accuracy,
)
from dsi_cli.queries.comparison.network_pairs import CrossAlignment, cross_alignment
from dsi_cli.queries.comparison.repetitions import CurveBand, RepeatedRuns
from dsi_cli.queries.comparison.runs import ComparedRun, common_reference, compared_runs
from dsi_cli.store import layout
from dsi_cli.store.schema import SPLITS

PREFERRED, HIGHER, NO_DIFFERENCE, MIXED, UNDECIDED = (
    "preferred",
    "higher",
    "no difference shown",
    "mixed",
    "undecided",
)
OF_PAIRS = {
    PREFERRED: "the criteria prefer one network",
    HIGHER: "one network is higher in all criteria that differ",
    NO_DIFFERENCE: "no criterion differs",
    MIXED: "each network is higher in a criterion",
    UNDECIDED: "no comparison is possible",
}
"""The clause on each answer in a sentence on several pairs."""
Progress = Callable[[str, int, int], None]
_Member = TypeVar("_Member", RepeatedRuns, ComparedRun)
MEASURES = ("pearson", "cosine", "spearman")
"""The default measures of the SAI: the agreement, which is a criterion, the paper's
measure, and one of ranks **[choice]**.
"""
COMPARED_OPTIONS = ("measures", "quantiles", "references", "ema", "keep_extra", "head")
"""The options of an analysis that runs should have in common."""
# a run is aligned from the first epoch whose excess is this share of the maximum
HALF_MAX = 0.5
MANY_PAIRS = 15  # number of pairs that a screen or page shows at once


@dataclass(frozen=True)
class Verdict:
    """The verdict on two runs or groups."""

    first: str
    second: str
    answer: str
    """preferred (repetitions only), higher, no difference shown, mixed, or undecided if
    the runs cannot be compared.
    """
    preferred: str | None  # the name of the preferred group; None for single trainings
    sentence: str
    title: str  # the clause of `OF_PAIRS` with the name of the network that is higher
    # for each quantity its difference with the interval, or why it was not compared
    reasons: list[str]


def verdict(equal: EqualAccuracyComparison) -> Verdict:
    """Return the verdict on a comparison at equal accuracy."""
    first, second = equal.first, equal.second
    reasons = [difference_sentence(equal, row) for row in equal.rows]
    if not equal.rows:
        sentence = f"{first} and {second} cannot be compared: {equal.reason}"
        return Verdict(
            first, second, UNDECIDED, None, sentence, OF_PAIRS[UNDECIDED], reasons
        )

    # Collect the quantities in which each network is higher. The last accuracy has a
    # section of its own.
    known = [
        row
        for row in equal.rows
        if row.is_main and row.quantity != "accuracy" and row.excludes_zero is not None
    ]
    different = [row for row in known if row.excludes_zero]
    favoured = {_higher(equal, row) for row in different if row.is_criterion}
    preferred = None
    if not any(row.is_criterion for row in known):
        answer, end = (
            UNDECIDED,
            f"no criterion of {first} and {second} has a confidence interval",
        )
    else:
        answer = (NO_DIFFERENCE, HIGHER, MIXED)[len(favoured)]
        end = _claims(equal, known)
        if different:
            end += _reservation(equal)
    if answer == HIGHER and equal.basis == EQUAL and equal.is_repeated:
        (preferred,) = favoured
        answer = PREFERRED

    where = (
        f"at an accuracy of {equal.level:.3f}"
        if equal.basis == EQUAL
        else "at the last epochs"
    )
    trainings = "In these two runs"
    if max(len(equal.first_chosen), len(equal.second_chosen)) > 1:
        trainings = (
            f"Over {len(equal.first_chosen)} and {len(equal.second_chosen)} trainings"
        )
    title = OF_PAIRS[answer]
    if len(favoured) == 1:
        title = title.replace("one network", next(iter(favoured)))
    return Verdict(
        first, second, answer, preferred, f"{trainings}, {where}, {end}", title, reasons
    )


def _claims(equal: EqualAccuracyComparison, known: list[CriterionRow]) -> str:
    """Return in which criteria each network is higher, and then what only describes the
    networks.
    """
    criteria = [row for row in known if row.is_criterion]
    titles: dict[str, list[str]] = {}
    for row in criteria:
        if row.excludes_zero:
            titles.setdefault(_higher(equal, row), []).append(_lower_case(row.title))
    claims = []
    for name, higher in titles.items():
        claims.append(
            f"{_listed(higher)} {'is' if len(higher) == 1 else 'are'} higher in {name}"
        )
    if not claims:
        unclear = _listed([_lower_case(row.title) for row in criteria])
        pair = f"{equal.first} and {equal.second}"
        claims.append(
            f"no criterion tells {pair} apart: the 95 % confidence intervals of"
            f" {unclear} include 0"
        )
    text = ", and ".join(claims)
    for row in known:
        if row.excludes_zero and not row.is_criterion:
            text += (
                f"; {row.title}, which only describes a network, is higher in"
                f" {_higher(equal, row)}"
            )
    return text


def _lower_case(title: str) -> str:
    return title.replace("Agreement", "agreement")


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _reservation(equal: EqualAccuracyComparison) -> str:
    """Return why the differences may be due to something else."""
    if equal.basis != EQUAL:
        return "; that may be due to their accuracy"
    if equal.is_repeated:
        return ""
    return "; another training may reverse it"


def difference_sentence(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    """Return one sentence on one difference."""
    if row.difference is None:
        return f"{row.title}: not compared; {row.reason}"
    values = f"{row.title}: {row.first:.3f} against {row.second:.3f}"
    if row.low is None or row.high is None:
        return f"{values}, a difference of {row.difference:+.3f}; {row.reason}"
    interval = (
        f"the 95 % confidence interval of the difference over {row.covers},"
        f" {row.low:+.3f} to {row.high:+.3f},"
    )
    if row.excludes_zero:
        return f"{values}: higher in {_higher(equal, row)}; {interval} excludes 0"
    return f"{values}: {interval} includes 0"


def _higher(equal: EqualAccuracyComparison, row: CriterionRow) -> str:
    assert row.difference is not None
    return equal.first if row.difference > 0 else equal.second


@dataclass(frozen=True)
class ComparisonOptions:
    """The options of a comparison."""

    names: Sequence[str] = ()  # the names of runs; all if empty
    group: str | None = None
    """A regular expression whose first captured part names a group of repetitions;
    ``seed`` for the usual suffixes.
    """
    tolerance: float = 0.01  # the largest difference of accuracies that count as equal
    split: str | None = None
    """The split of accuracy and mistakes, test or train; test if None, or train if a
    run has no accuracy on test.
    """
    measures: Sequence[str] = (
        # the measures of the SAI; the first is a criterion, the others describe
        MEASURES
    )


@dataclass(frozen=True)
class RunSummary:
    """One compared run."""

    label: str
    group: str
    output: str
    run: str
    classes: int
    first_epoch: int
    last_epoch: int
    best_accuracy: float | None
    best_epoch: int | None
    # the excess of the SAI with WordNet at the last epoch, by the first measure
    alignment: float | None
    aligned_at: int | None
    """The first epoch at which the excess was half of its maximum.

    Epochs are numbers of completed epochs if all runs have them. None if the maximum is
    less than 3 standard deviations above chance.
    """
    # False for a single checkpoint without an epoch number, which counts as epoch 0
    has_epochs: bool = True

    @property
    def span(self) -> str:
        """The first and the last epoch for display."""
        ends = dict.fromkeys((self.first_epoch, self.last_epoch))
        return "-".join(map(str, ends)) if self.has_epochs else "–"

    @property
    def best_at(self) -> str:
        """The epoch with the best accuracy, to display after it."""
        return (
            f" at epoch {self.best_epoch}"
            if self.best_epoch is not None and self.has_epochs
            else ""
        )

    def half_at(self, unit: str) -> str:
        """Return when the excess was half of its maximum, for display; ``unit`` is that
        of `Comparison.epochs`.
        """
        if self.aligned_at is None or not self.has_epochs:
            return ""
        return (
            f"at epoch {self.aligned_at}"
            if unit == "epoch"
            else f"after {count(self.aligned_at, 'epoch')}"
        )


@dataclass(frozen=True)
class Comparison:
    """The comparison of several runs."""

    epochs: (
        str  # the unit of ``at``, ``x`` and ``aligned_at``: epochs completed or epoch
    )
    split: str
    measures: list[str]
    runs: list[RunSummary]
    between: list[CrossAlignment]
    equal: list[EqualAccuracyComparison]
    verdicts: list[Verdict]
    # the group of repetitions that is preferred to all others; None for single
    # trainings
    preferred: str | None
    recommendation: str  # the verdict in one sentence
    # what the confidence intervals cover, and what they do not; empty without intervals
    coverage: str
    curves: list[CurveBand]
    notes: list[str] = field(default_factory=list)
    reference: str = "WordNet"  # what the agreement is with, for readers

    def __repr__(self) -> str:
        return (
            f"Comparison({', '.join(run.label for run in self.runs)}:"
            f" {self.recommendation})"
        )

    @property
    def pairs(self) -> list[tuple[Verdict, EqualAccuracyComparison]]:
        """The pairs for display; of more than `MANY_PAIRS`, those that differ come
        first.
        """
        pairs = list(zip(self.verdicts, self.equal, strict=True))
        if len(pairs) > MANY_PAIRS:
            pairs.sort(key=lambda pair: pair[0].answer in (NO_DIFFERENCE, UNDECIDED))
        return pairs

    @property
    def has_groups(self) -> bool:
        """True if some runs are repetitions of one training."""
        return any(run.group != run.label for run in self.runs)


def compare(
    outputs: Sequence[str | Path],
    options: ComparisonOptions | None = None,
    progress: Progress = lambda *_: None,
) -> Comparison:
    """Return a comparison of the runs of some results folders.

    ``progress`` is called after each pair of runs with the stage, the number of its
    finished pairs, and that of all its pairs. Raise `UsageError` if a folder is not a
    results folder, fewer than two runs remain, or an option is invalid.
    """
    options = options or ComparisonOptions()
    if not 0 <= options.tolerance < 1:
        message = f"the tolerance of accuracy {options.tolerance:g} is not in [0, 1)"
        raise UsageError(
            message, code="tolerance-out-of-range", tolerance=options.tolerance
        )
    if options.split is not None:
        require_choice("split", options.split, SPLITS)
    for name in options.measures:
        require_choice("measure", name, jackknife.MEASURES, "no comparison by measure")

    runs = compared_runs(
        [outputs] if isinstance(outputs, str | Path) else outputs, options.names
    )
    groups = repetitions.group_runs(runs, options.group)
    by_completed = repetitions.all_know_completed_epochs(runs)
    measure = options.measures[0]
    split = options.split
    if split is None:
        split = next(
            (
                name
                for name in SPLITS
                if all(len(run.curve("accuracy", split=name)) for run in runs)
            ),
            SPLITS[0],
        )
    comparisons = [
        at_equal_accuracy(first, second, options.measures, options.tolerance, split)
        for first, second in _with_progress("at equal accuracy", groups, progress)
    ]
    verdicts = [verdict(comparison) for comparison in comparisons]
    preferred = _preferred(groups, verdicts)
    pairs = _with_progress("with each other", runs, progress)
    between = [cross_alignment(first, second, measure) for first, second in pairs]
    return Comparison(
        epochs="epochs completed" if by_completed else "epoch",
        split=split,
        measures=list(options.measures),
        runs=[
            _run_summary(run, group.name, split, measure, by_completed)
            for group in groups
            for run in group.runs
        ],
        between=between,
        equal=comparisons,
        verdicts=verdicts,
        preferred=preferred,
        recommendation=_recommendation(verdicts, preferred),
        coverage=_coverage(comparisons),
        curves=repetitions.curve_bands(groups, split, measure)
        + repetitions.network_bands(groups, between),
        notes=_notes(runs, split),
        reference=common_reference(runs),
    )


def _with_progress(
    stage: str, members: Sequence[_Member], progress: Progress
) -> Iterator[tuple[_Member, _Member]]:
    pairs = list(combinations(members, 2))
    for done, pair in enumerate(pairs, start=1):
        yield pair
        progress(stage, done, len(pairs))


def _run_summary(
    run: ComparedRun, group: str, split: str, measure: str, by_completed: bool
) -> RunSummary:
    accuracy = run.curve("accuracy", split=split)["value"].dropna()
    best_epoch = None if accuracy.empty else int(cast("int", accuracy.idxmax()))
    rows = run.curve("sai", "{own},scsm", None, measure)
    excess = rows["excess"].dropna()
    aligned_at = None
    if len(excess) > 0 and rows["z"].get(excess.idxmax(), 0.0) >= MIN_Z:
        epoch = excess.index[excess >= HALF_MAX * excess.max()][0]
        aligned_at = int(rows["epochs_completed"][epoch] if by_completed else epoch)
    return RunSummary(
        label=run.label,
        group=group,
        output=str(run.results.path),
        run=run.name,
        classes=len(run.classes),
        first_epoch=run.epochs[0],
        last_epoch=run.epochs[-1],
        best_accuracy=None if best_epoch is None else float(accuracy[best_epoch]),
        best_epoch=best_epoch,
        alignment=None if excess.empty else float(excess.iloc[-1]),
        aligned_at=aligned_at,
        has_epochs=run.results.has_epochs(run.name),
    )


def _preferred(
    groups: Sequence[RepeatedRuns], verdicts: Sequence[Verdict]
) -> str | None:
    """Return the run or group that all verdicts on it prefer, or None."""
    for group in groups:
        preferences = [
            verdict.preferred
            for verdict in verdicts
            if group.name in (verdict.first, verdict.second)
        ]
        if preferences and all(preferred == group.name for preferred in preferences):
            return group.name
    return None


def _recommendation(verdicts: Sequence[Verdict], preferred: str | None) -> str:
    if len(verdicts) == 1:
        return verdicts[0].sentence
    if preferred is not None:
        return f"the criteria prefer {preferred} to every other group"
    answers = Counter(item.answer for item in verdicts)
    listed = "; in ".join(
        f"{number} {OF_PAIRS[answer]}" for answer, number in answers.items()
    )
    return f"of {len(verdicts)} pairs of networks, in {listed}"


def _coverage(comparisons: Sequence[EqualAccuracyComparison]) -> str:
    """Return what the intervals cover, and what they do not."""
    covered = {
        row.covers
        for comparison in comparisons
        for row in comparison.rows
        if row.low is not None
    }
    if not covered:
        return ""
    correction = "They are corrected for several criteria by Holm's method"
    if len(comparisons) > 1:
        correction += (
            ", but not for several pairs, so up to 5 % of pairs of equal networks show"
            " a difference by chance"
        )
    if covered == {SEEDS}:
        return (
            "the 95 % confidence intervals are over seeds, so they cover the choice of"
            f" classes, test images and trainings. {correction}"
        )
    unless = ", unless they are over seeds" if SEEDS in covered else ""
    return (
        "the 95 % confidence intervals cover the choice of classes or test images, but"
        f" not of the seed{unless}. {correction}. Train each network several times and"
        " give --group to cover seeds"
    )


def _notes(runs: Sequence[ComparedRun], split: str) -> list[str]:
    """Return notes on differences between the runs that make their numbers less
    comparable.
    """
    notes = []
    unknown = [run.label for run in runs if run.completed is None]
    if unknown:
        notes.append(
            "epochs are the trainers' own numbers: the way of counting is unknown for"
            f" {', '.join(unknown)}"
        )
    # Describe what the runs should have in common, and note what differs.
    described: dict[str, list[str]] = {}
    options = [layout.curve_options(run.results.path, run.name) for run in runs]
    for name in COMPARED_OPTIONS:
        values = [of_run.get(name) for of_run in options]
        texts = [
            ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            for value in values
        ]
        described[f"options of the analysis: {name} is"] = [
            f"{text} for" for text in texts
        ]
    counts = [
        run.curve("accuracy", split=split)["samples_used"].dropna() for run in runs
    ]
    described[f"{split} samples:"] = [
        "none for" if sizes.empty else f"{int(sizes.iloc[-1]):,} for"
        for sizes in counts
    ]
    described["kinds of matrices:"] = [f"{run.own or 'none'} of" for run in runs]
    for subject, texts in described.items():
        if len(set(texts)) > 1:
            listed = ", ".join(
                f"{text} {run.label}" for text, run in zip(texts, runs, strict=True)
            )
            notes.append(f"different {subject} {listed}")
    return notes
