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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dsi_cli.errors import UsageError, count, listed, require_choice
from dsi_cli.facts import Fact
from dsi_cli.metrics import jackknife
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries import facts
from dsi_cli.queries.comparison import repetitions
from dsi_cli.queries.comparison.clusters import Clusters
from dsi_cli.queries.comparison.criteria import (
    LAST_ACCURACY,
    OVER_CLUSTERS,
    OVER_SEEDS,
    SEEDS,
)
from dsi_cli.queries.comparison.equal_accuracy import (
    EQUAL,
    EqualAccuracy,
    at_equal_accuracy,
    chosen_table,
    criteria_table,
)
from dsi_cli.queries.comparison.network_pairs import networks_of
from dsi_cli.queries.comparison.reliability import SeedReliability, seed_reliability
from dsi_cli.queries.comparison.repetitions import RepeatedRuns
from dsi_cli.queries.comparison.runs import (
    ComparedRun,
    common_reference,
    compared_runs,
    label_facts,
)
from dsi_cli.queries.curve_panels import sai_measures
from dsi_cli.queries.quantities import alignment
from dsi_cli.queries.records import records
from dsi_cli.store import layout
from dsi_cli.store.schema import SPLITS

PREFERRED = "preferred"
HIGHER = "higher"
NO_DIFFERENCE = "no difference shown"
MIXED = "mixed"
UNDECIDED = "undecided"
OF_PAIRS = {
    PREFERRED: "the criteria prefer {network}",
    HIGHER: "{network} is higher in all criteria that differ",
    NO_DIFFERENCE: "no criterion differs",
    MIXED: "each network is higher in a criterion",
    UNDECIDED: "no comparison is possible",
}
"""The clause on each answer."""
ONE_NETWORK = "one network"  # its subject in a sentence on several pairs
Progress = Callable[[str, int, int], None]
MEASURES = ("pearson", "cosine", "spearman")
"""The default measures of the SAI: the agreement, which is a criterion, the paper's
measure, and one of ranks **[choice]**.
"""
COMPARED_OPTIONS = ("measures", "quantiles", "references", "ema", "keep_extra", "head")
"""The options of an analysis that runs should have in common."""
# a run is aligned from the first epoch whose excess is this share of the maximum
HALF_MAX = 0.5
MANY_PAIRS = 15  # number of pairs that a screen or page shows at once


class Verdict(NamedTuple):
    """The verdict on two runs or groups."""

    first: str
    second: str
    answer: str
    """preferred (repetitions only), higher, no difference shown, mixed, or undecided if
    the runs cannot be compared.
    """
    preferred: str | None  # the name of the preferred group; None for single trainings
    title: str  # the clause of `OF_PAIRS` on the network that is higher
    sentence: str


def verdict(equal: EqualAccuracy) -> Verdict:
    """Return the verdict on a comparison at equal accuracy."""
    first, second = equal.first, equal.second
    undecided = Verdict(first, second, UNDECIDED, None, OF_PAIRS[UNDECIDED], "")
    if not equal.main_rows:
        sentence = f"{first} and {second} cannot be compared: {equal.reason}."
        return undecided._replace(sentence=sentence)

    known = _with_intervals(equal)
    criteria = [row for row in known if row["is_criterion"]]
    favoured = list(
        dict.fromkeys(row["higher"] for row in criteria if row["excludes_zero"])
    )
    where = "at the last epochs"
    if equal.basis == EQUAL:
        where = f"at an accuracy of {equal.level:.3f}"
    trainings = "In these two runs"
    if max(equal.trainings) > 1:
        trainings = "Over {} and {} trainings".format(*equal.trainings)
    if not criteria:
        end = f"no criterion of {first} and {second} has a confidence interval"
        return undecided._replace(sentence=f"{trainings}, {where}, {end}.")

    answer = (NO_DIFFERENCE, HIGHER, MIXED)[len(favoured)]
    preferred = None
    if answer == HIGHER and equal.basis == EQUAL and equal.is_repeated:
        answer, preferred = PREFERRED, favoured[0]
    title = OF_PAIRS[answer].format(network=", ".join(favoured))
    claims = _claims(known, f"{first} and {second}")
    is_different = any(row["excludes_zero"] for row in known)
    if is_different and equal.basis != EQUAL:
        claims.append("That may be due to their accuracy.")
    elif is_different and not equal.is_repeated:
        claims.append("Another training may reverse this.")
    sentence = f"{trainings}, {where}, {' '.join(claims)}"
    return Verdict(first, second, answer, preferred, title, sentence)


def _trusted(found: Verdict, runs: Sequence[ComparedRun]) -> Verdict:
    """Return a verdict, or none on runs with inputs that contradict one another."""
    names = [run.label for run in runs if run.contradictions]
    if not names:
        return found
    sentence = (
        f"The inputs of {listed(names, 3)} contradict one another, so dsi draws no"
        f" conclusion about {found.first} and {found.second}."
    )
    return found._replace(
        answer=UNDECIDED, preferred=None, title=OF_PAIRS[UNDECIDED], sentence=sentence
    )


def _with_intervals(equal: EqualAccuracy) -> list[dict[Any, Any]]:
    """Return the main rows with an interval, and the name of the network that is
    ``higher``; the last accuracy has a section of its own.
    """
    rows = []
    for row in equal.main_rows:
        if row["low"] is not None and row["quantity"] != LAST_ACCURACY.name:
            higher = equal.first if row["difference"] > 0 else equal.second
            rows.append(row | {"higher": higher})
    return rows


def _claims(known: Sequence[dict[Any, Any]], pair: str) -> list[str]:
    """Return a sentence on the criteria in which each network is higher, and one on each
    quantity that only describes the networks.
    """
    titles: dict[str, list[str]] = {}
    for row in known:
        if row["is_criterion"] and row["excludes_zero"]:
            titles.setdefault(row["higher"], []).append(row["title"])
    claims = []
    for name, higher in titles.items():
        verb = "is" if len(higher) == 1 else "are"
        claims.append(f"{_listed(higher)} {verb} higher in {name}")
    if not claims:
        unclear = _listed([row["title"] for row in known if row["is_criterion"]])
        claims.append(
            f"no criterion tells {pair} apart: the 95 % confidence intervals of"
            f" {unclear} include 0"
        )
    sentences = [f"{', and '.join(claims)}."]
    sentences += [
        f"{row['title']}, which only describes a network, is higher in {row['higher']}."
        for row in known
        if row["excludes_zero"] and not row["is_criterion"]
    ]
    return sentences


def _listed(titles: Sequence[str]) -> str:
    *texts, last = titles
    return f"{', '.join(texts)} and {last}" if texts else last


@dataclass(frozen=True, eq=False)
class Comparison:
    """The comparison of several runs. `tables` has all its tables."""

    epochs: (
        str  # the unit of ``at``, ``x`` and ``aligned_at``: epochs completed or epoch
    )
    split: str
    measures: list[str]
    reference: str  # what the agreement is with, for readers
    groups: list[RepeatedRuns]
    equal: list[EqualAccuracy]
    verdicts: list[Verdict]
    # the group of repetitions that is preferred to all others; None for single
    # trainings
    preferred: str | None
    recommendation: str  # the verdict in one sentence
    # what the confidence intervals cover, and what they do not; empty without intervals
    coverage: str
    notes: list[str]
    # what makes the label lists of the runs differ; it comes before the verdict
    facts: list[Fact]
    tolerance: float  # the largest difference of accuracies that count as equal
    progress: Progress

    def __repr__(self) -> str:
        runs = ", ".join(run.label for run in self.compared)
        return f"Comparison({runs}: {self.recommendation})"

    @property
    def compared(self) -> list[ComparedRun]:
        """The runs in order of the groups."""
        return [run for group in self.groups for run in group.runs]

    @property
    def names(self) -> list[str]:
        """The names of the groups, which are those of the runs without repetitions."""
        return [group.name for group in self.groups]

    @property
    def has_groups(self) -> bool:
        """True if some runs are repetitions of one training."""
        return any(
            group.name != run.label for group in self.groups for run in group.runs
        )

    @property
    def pairs(self) -> list[tuple[Verdict, EqualAccuracy]]:
        """The pairs for display; of more than `MANY_PAIRS`, those that differ come
        first.
        """
        pairs = list(zip(self.verdicts, self.equal, strict=True))
        if len(pairs) > MANY_PAIRS:
            pairs.sort(key=lambda pair: pair[0].answer in (NO_DIFFERENCE, UNDECIDED))
        return pairs

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run: ``label``, ``group``, ``output``, ``run``, ``classes``,
        ``first_epoch``, ``last_epoch``, ``best_accuracy``, ``best_epoch``,
        ``alignment`` (the excess of the SAI with WordNet at the last epoch, by the
        first measure), ``aligned_at`` (the first epoch at which the excess was half of
        its maximum; missing if the maximum is less than 3 standard deviations above
        chance), ``has_epochs`` (False for a single checkpoint without an epoch number,
        which counts as epoch 0).
        """
        rows = [
            _run_row(self, run, group.name)
            for group in self.groups
            for run in group.runs
        ]
        counts = {"best_epoch": "Int64", "aligned_at": "Int64"}
        return pd.DataFrame(rows).astype(counts)

    @cached_property
    def networks(self) -> pd.DataFrame:
        """The SAI between every two runs by epoch; `network_pairs.cross_alignment`
        describes the columns.
        """
        return self.networks_at(last_only=False)

    def networks_at(self, *, last_only: bool) -> pd.DataFrame:
        """Return the SAI between every two runs, at all epochs or at the last common
        one alone.
        """
        return networks_of(
            self.compared,
            self.measures[0],
            self.split,
            tolerance=self.tolerance,
            last_only=last_only,
            progress=partial(self.progress, "with each other"),
        )

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The curves of all groups; `repetitions.curve_bands` describes the columns."""
        return repetitions.curve_bands(self.groups, self.split, self.measures[0])

    @cached_property
    def reliability(self) -> SeedReliability:
        """The reliability of the groups of repetitions, and the agreement corrected for
        it.
        """
        return seed_reliability(self.groups)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return all tables: ``runs``, ``pairs`` with the verdicts, the ``chosen``
        epochs, the ``criteria``, the ``classes`` that each pair sees most differently,
        ``networks``, ``curves``, and the ``reliability`` of repetitions with its
        ``changes`` over the plateau.
        """
        pairs = pd.DataFrame(self.verdicts)
        for name in ("basis", "split", "level", "reason"):
            pairs[name] = [getattr(equal, name) for equal in self.equal]
        chosen, criteria, classes = [], [], []
        for equal in self.equal:
            names = {"first": equal.first, "second": equal.second}
            chosen += [names | row for row in equal.chosen_rows]
            criteria += [names | row for row in equal.criteria_rows]
            classes.append(_of_pair(equal.classes, names))
        of_pairs = {
            "chosen": chosen_table(chosen),
            "criteria": criteria_table(criteria, ["first", "second"]),
            "classes": pd.concat(classes, ignore_index=True),
        }
        bands = repetitions.network_bands(self.groups, self.networks)
        curves = pd.concat([self.curves, bands], ignore_index=True)
        tables = {"runs": self.runs, "pairs": pairs} | of_pairs
        tables |= {"networks": self.networks, "curves": curves}
        seeds = self.reliability
        return tables | {"reliability": seeds.table, "changes": seeds.changes}


def _of_pair(rows: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    rows = rows.assign(**names)
    return rows[[*names, *rows.columns.drop([*names])]]


def compare(
    outputs: Sequence[str | Path],
    *,
    names: Sequence[str] = (),
    group: str | None = None,
    tolerance: float = 0.01,
    split: str | None = None,
    measures: Sequence[str] = (),
    clusters: Clusters | None = None,
    progress: Progress = lambda *_: None,
) -> Comparison:
    """Return a comparison of the runs of some results folders.

    Raise `UsageError` if a folder is not a results folder, fewer than two runs remain,
    or an option is invalid.

    Parameters
    ----------
    outputs : the results folders.
    names : the names of runs; all by default.
    group : a regular expression whose first captured part names a group of repetitions;
        ``seed`` for the usual suffixes.
    tolerance : the largest difference of accuracies that count as equal.
    split : the split of accuracy and mistakes, test or train; test by default, or train
        if a run has no accuracy on test.
    measures : the measures of the SAI; the first is a criterion, the others describe.
        By default those of `MEASURES` that the first run has, or else the first.
    clusters : clusters of classes for the intervals of the agreement and of Max WSI:
        ``group`` or the cluster by the name or WordNet id of a class; the intervals are
        over single classes if None.
    progress : called with the stage, the number of its finished steps, and that of all
        its steps.
    """
    if not 0 <= tolerance < 1:
        message = f"the tolerance of accuracy {tolerance:g} is not in [0, 1)"
        raise UsageError(message, code="tolerance-out-of-range", tolerance=tolerance)
    if split is not None:
        require_choice("split", split, SPLITS)
    for name in measures:
        require_choice("measure", name, jackknife.MEASURES, "no comparison by measure")
    folders = [outputs] if isinstance(outputs, str | Path) else outputs
    runs = [replace(run, clusters=clusters) for run in compared_runs(folders, names)]
    groups = repetitions.group_runs(runs, group)
    if not measures:
        known = sai_measures(runs[0].results.curves)
        measures = [name for name in MEASURES if name in known] or MEASURES[:1]
    split = split or _common_split(runs)
    comparisons = []
    pairs = list(combinations(groups, 2))
    for done, (first, second) in enumerate(pairs, start=1):
        equal = at_equal_accuracy(first, second, measures, tolerance, split)
        comparisons.append(equal)
        progress("at equal accuracy", done, len(pairs))
    verdicts = [
        _trusted(verdict(comparison), [*first.runs, *second.runs])
        for comparison, (first, second) in zip(comparisons, pairs, strict=True)
    ]
    preferred = _preferred(groups, verdicts)
    noticed = [one for run in runs for one in run.contradictions]
    notes = [message.line for message in facts.messages(noticed, ())]
    by_completed = repetitions.all_know_completed_epochs(runs)
    return Comparison(
        epochs="epochs completed" if by_completed else "epoch",
        split=split,
        measures=list(measures),
        reference=common_reference(runs),
        groups=groups,
        equal=comparisons,
        verdicts=verdicts,
        preferred=preferred,
        recommendation=_recommendation(verdicts, preferred),
        coverage=_coverage(comparisons),
        notes=[*notes, *_notes(runs, split)],
        facts=[one for run in runs[1:] for one in label_facts(runs[0], run)],
        tolerance=tolerance,
        progress=progress,
    )


def _common_split(runs: Sequence[ComparedRun]) -> str:
    """Return the first split on which all runs have an accuracy, or else test."""
    for split in SPLITS:
        if all(len(run.points("accuracy", split)) for run in runs):
            return split
    return SPLITS[0]


def _run_row(comparison: Comparison, run: ComparedRun, group: str) -> dict[str, Any]:
    accuracy = run.known("accuracy", comparison.split)
    quantity = alignment(comparison.measures[:1])
    rows, excess = run.points(quantity), run.known(quantity)
    aligned_at = None
    highest = max(excess, key=lambda epoch: excess[epoch], default=None)
    if highest is not None and rows["z"][highest] >= MIN_Z:
        aligned = (
            epoch
            for epoch, value in excess.items()
            if value >= HALF_MAX * excess[highest]
        )
        aligned_at = next(aligned)
        if comparison.epochs != "epoch":
            aligned_at = rows["epochs_completed"][aligned_at]
    return {
        "label": run.label,
        "group": group,
        "output": str(run.results.path),
        "run": run.name,
        "classes": len(run.classes),
        "first_epoch": run.epochs[0],
        "last_epoch": run.epochs[-1],
        "best_accuracy": max(accuracy.values(), default=np.nan),
        "best_epoch": max(accuracy, key=lambda epoch: accuracy[epoch], default=None),
        "alignment": next(reversed(excess.values()), np.nan),
        "aligned_at": aligned_at,
        "has_epochs": run.has_epochs,
    }


def run_texts(comparison: Comparison) -> pd.DataFrame:
    """Return the table of runs with columns for display: ``span``, the first and the
    last epoch; ``best_at``, the epoch with the best accuracy, to display after it; and
    ``half_at``, when the excess was half of its maximum.
    """
    runs = comparison.runs.copy()
    spans, best, half = [], [], []
    for row in records(runs):
        ends = dict.fromkeys((row["first_epoch"], row["last_epoch"]))
        spans.append("-".join(map(str, ends)) if row["has_epochs"] else "–")
        at = f" at epoch {row['best_epoch']}"
        best.append("" if row["best_epoch"] is None or not row["has_epochs"] else at)
        after = f"after {count(row['aligned_at'] or 0, 'epoch')}"
        if comparison.epochs == "epoch":
            after = f"at epoch {row['aligned_at']}"
        half.append("" if row["aligned_at"] is None or not row["has_epochs"] else after)
    return runs.assign(span=spans, best_at=best, half_at=half)


def _preferred(
    groups: Sequence[RepeatedRuns], verdicts: Sequence[Verdict]
) -> str | None:
    """Return the run or group that all verdicts on it prefer, or None."""
    for group in groups:
        preferences = {
            verdict.preferred
            for verdict in verdicts
            if group.name in (verdict.first, verdict.second)
        }
        if preferences == {group.name}:
            return group.name
    return None


def _recommendation(verdicts: Sequence[Verdict], preferred: str | None) -> str:
    if len(verdicts) == 1:
        return verdicts[0].sentence
    if preferred is not None:
        return f"The criteria prefer {preferred} to every other group."
    answers = Counter(item.answer for item in verdicts)
    answers_listed = "; in ".join(
        f"{number} {OF_PAIRS[answer].format(network=ONE_NETWORK)}"
        for answer, number in answers.items()
    )
    return f"Of {len(verdicts)} pairs of networks, in {answers_listed}."


def _coverage(comparisons: Sequence[EqualAccuracy]) -> str:
    """Return what the intervals cover, and what they do not."""
    covered: set[str] = set()
    for comparison in comparisons:
        known = (row for row in comparison.main_rows if row["low"] is not None)
        covered |= {row["covers"] for row in known}
    if not covered:
        return ""
    classes = "classes like these"
    if covered & OVER_CLUSTERS:
        classes = "clusters of classes like these"
    correction = "They are corrected for several criteria by Holm's method"
    if len(comparisons) > 1:
        correction += (
            ", but not for several pairs, so up to 5 % of pairs of equal networks show"
            " a difference by chance"
        )
    if covered <= OVER_SEEDS:
        text = "The 95 % confidence intervals cover other seeds"
        if covered != {SEEDS}:
            text += (
                f" together with other {classes} (agreement, Max WSI) or other test"
                " images (WIDM, NIDM, accuracy)"
            )
        return f"{text}. {correction}."
    unless = ", unless they are over seeds" if covered & OVER_SEEDS else ""
    return (
        f"The 95 % confidence intervals cover the choice of {classes} or test images, but"
        f" not other seeds{unless}. {correction}. Train each network several times and"
        " give --group to cover seeds."
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
        if len(unknown) < len(runs):
            notes[-1] += (
                "; networks whose epochs count differently are compared with each other"
                " at equal accuracy, or else at their last epochs"
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
    counts = [run.points("accuracy", split)["samples_used"].dropna() for run in runs]
    described[f"{split} samples:"] = [
        "none for" if sizes.empty else f"{int(sizes.iloc[-1]):,} for"
        for sizes in counts
    ]
    described["kinds of matrices:"] = [f"{run.own or 'none'} of" for run in runs]
    for subject, texts in described.items():
        if len(set(texts)) > 1:
            of_runs = ", ".join(
                f"{text} {run.label}" for text, run in zip(texts, runs, strict=True)
            )
            notes.append(f"different {subject} {of_runs}")
    return notes
