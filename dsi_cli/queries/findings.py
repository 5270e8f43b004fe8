"""The findings of a results folder: what the report and the terminal tell first.

All values come from the tables. They answer the four questions of the paper (arXiv
2505.21338). Does the network's similarity agree with WordNet? How similar are
neighbouring classes? Do mistakes follow the network's own similarity? Are mistakes
semantically reasonable?

``run_findings``  the findings of one run
``headline``      one sentence about all runs, which states only what the intervals
                  support
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dsi_cli.errors import listed
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.phases import REFINEMENT, STABILISATION, SURGE
from dsi_cli.store import layout
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    NETWORK_MATRICES,
    PHASES,
    MatrixId,
    Table,
)

Row = dict[str, Any]

# of a value that is called above chance, corrected for the number of epochs and of runs
MAX_P_VALUE = 0.05
# the agreement comes early if the interval of t90 ends within this share of the
# training
EARLY_SHARE = 0.5
# half-width of the interval of a value that the headline states, as a share of the
# value
MAX_RELATIVE_ERROR = 0.25
# if chance alone can reach this agreement, an agreement within chance has little
# meaning
WIDE_CHANCE = 0.2
# an agreement from which the headline states that a network has learned structure
CLEAR_AGREEMENT = 0.2
WEAK_AGREEMENT = (
    0.1  # a network with most of its classes in a wrong order can have this agreement
)
# a network with this multiple of the accuracy by chance has learned to classify
LEARNED_MULTIPLE = 3.0
ORDER_ADVICE = (
    "Wrong labels, or labels in another order than the network's classes, would give"
    " the same result, so check them."
)
PHASE_NAMES = (SURGE, REFINEMENT, STABILISATION)
"""The phases in order. The other rows of the phases table are the times t50, t90 and
t95.
"""
AGREEMENT_PREFIXES = ("agreement", "excess of")
"""The prefixes of the names of the curves of the agreement with the reference in the
phases table.
"""


@dataclass(frozen=True)
class Point:
    """The value of a quantity at one epoch; unknown values are None."""

    epoch: int | None  # None if the only checkpoint of the run has no epoch number
    value: float
    low: float | None = None  # the lower end of the 95 % confidence interval
    high: float | None = None
    chance: float | None = None
    chance_std: float | None = None  # the standard deviation of the value by chance
    z: float | None = None
    p_value: float | None = None
    ceiling: float | None = None  # the highest value that could be reached

    @property
    def is_above_chance(self) -> bool:
        """True if the value is `MIN_Z` standard deviations above chance and its
        interval, if it has one, excludes chance.
        """
        if self.z is None or self.z < MIN_Z:
            return False
        return self.low is None or self.chance is None or self.low > self.chance

    @property
    def is_precise(self) -> bool:
        """True if the value is above chance and its interval, if it has one, is
        narrow.
        """
        return self.is_above_chance and (
            self.low is None or self.value - self.low <= MAX_RELATIVE_ERROR * self.value
        )

    @property
    def verdict(self) -> str:
        """The side of chance on which the value is, or within chance."""
        if self.is_above_chance:
            return "above chance"
        return "within chance" if self.z is None or self.z > -MIN_Z else "below chance"

    @property
    def strength(self) -> str:
        """The size of an agreement: within or below chance, weak, uncertain if its
        interval is wide, or clear.
        """
        if not self.is_above_chance:
            return self.verdict
        if self.value < CLEAR_AGREEMENT:
            return "weak"
        return (
            "clear" if self.low is None or self.low >= WEAK_AGREEMENT else "uncertain"
        )


@dataclass(frozen=True)
class Trend:
    """A quantity over the epochs of a run, in order; there is at least one point."""

    points: tuple[Point, ...]

    @property
    def last(self) -> Point:
        """The point of the last epoch that has a value."""
        return self.points[-1]

    @property
    def peak(self) -> Point:
        """The largest value; if any value is above chance, the largest of these. The
        first of equal values counts.
        """
        above = [point for point in self.points if point.is_above_chance]
        return max(above or self.points, key=lambda point: point.value)

    @property
    def p_value(self) -> float | None:
        """The p-value of all epochs together, by the method of Simes; None if no epoch
        has one.
        """
        p_values = sorted(
            point.p_value for point in self.points if point.p_value is not None
        )
        return min(
            (
                len(p_values) * p_value / rank
                for rank, p_value in enumerate(p_values, start=1)
            ),
            default=None,
        )

    @property
    def is_above_chance(self) -> bool:
        """True if any value is above chance, and the p-value of all epochs together is
        small.
        """
        return (
            any(point.is_above_chance for point in self.points)
            and (self.p_value or 0.0) <= MAX_P_VALUE
        )

    def at(self, epoch: int | None) -> Point | None:
        """Return the point of an epoch; None if it has no value."""
        return next((point for point in self.points if point.epoch == epoch), None)


@dataclass(frozen=True)
class Mistakes:
    """The mistakes of a run on one split over its epochs."""

    wrong: Trend  # the number of mistakes
    samples: int | None  # the number of samples at the last epoch
    accuracy: Trend | None
    nidm: Trend | None
    """The share of classes that are farther from the truth than a mistake is, by the
    network's similarity; over mistakes alone.
    """
    # the share of classes that are farther from the truth by the reference
    widm: Trend | None
    left_out: str | None = (
        # a sentence on mistakes that IDMs leave out at the last epoch; None without any
        None
    )


@dataclass(frozen=True)
class RunFindings:
    """The findings of one run; what the tables do not have is None."""

    run: str
    epochs: tuple[int | None, ...]
    classes: int
    reference: str  # the name of the reference matrix for readers, such as WordNet
    # Pearson's correlation of similarities with those of the reference: 0 is chance, 1
    # is perfect
    agreement: Trend | None
    no_agreement: str | None  # the reason for a missing agreement
    first_trained: Point | None
    """The agreement at the first epoch after which the network has been trained; None
    if unknown, or never above chance.
    """
    # the similarity of each class to its nearest classes (Max WSI), a cosine in [-1, 1]
    max_wsi: Trend | None
    accuracy: Trend | None  # the accuracy on test
    loss: Trend | None = None  # the loss on test
    # the network's similarity: ncsm, or without a classifier tncsm-test or tncsm-train
    own: str = NETWORK_MATRICES[0]
    # by split; test comes first
    mistakes: dict[str, Mistakes] = field(default_factory=dict)
    phases: tuple[
        Row, ...
    ] = ()  # the rows of the phases of the agreement in the phases table
    no_phases: str | None = None  # the reason why the agreement has no phases
    t90: Point | None = None
    """The epoch at which the agreement has gone 90 % of the way from chance to its
    plateau, in ``value``, with its interval.
    """
    first_classes: int | None = (
        # classes of the smallest head, over which curves are; None without a classifier
        None
    )
    has_names: bool = True  # False if no class has a name

    @property
    def is_early(self) -> bool:
        """True if the interval of t90 ends within the first half of the training."""
        known = [epoch for epoch in self.epochs if epoch is not None]
        if self.t90 is None or self.t90.high is None or not known:
            return False
        return self.t90.high <= EARLY_SHARE * max(known)


def run_findings(out: Path, run: str) -> RunFindings:
    """Return the findings of a run from the tables of a results folder; raise
    `OutputError` if one is unreadable.
    """
    # Select the rows of the main reference. The last checkpoint of an epoch counts.
    references = layout.references_of(out, run)
    curve_rows = [
        row
        for row in table_rows(out, CURVES, run)
        if row["reference"] not in references[1:]
    ]
    own = network_matrix(curve_rows)
    kind, own_split = MatrixId.parse(own)

    def trend(
        metric: str,
        of: str | None = None,
        split: str | None = None,
        variant: str | None = None,
    ) -> Trend | None:
        key = (metric, of, split, variant)
        rows = [
            row
            for row in curve_rows
            if (row["metric"], row["of"], row["split"], row["variant"]) == key
        ]
        columns = (
            "epoch",
            "value",
            "low",
            "high",
            "null_mean",
            "null_std",
            "z",
            "p_value",
            "ceiling",
        )
        by_epoch = {
            row["epoch"]: Point(*(row[column] for column in columns))
            for row in rows
            if row["value"] is not None
        }
        points = tuple(sorted(by_epoch.values(), key=lambda point: point.epoch or 0))
        return Trend(points) if points else None

    agreement = trend("sai", f"{own},scsm", None, "pearson")
    accuracy = trend("accuracy", split="test")
    mistakes = {}
    for split in ("test", "train"):
        wrong = trend("mistakes", split=split)
        if wrong is not None:
            counts = [
                row["samples_used"]
                for row in curve_rows
                if row["metric"] == "mistakes" and row["split"] == split
            ]
            nidm, widm = (trend("idm", of, split, "errors") for of in (kind, "scsm"))
            samples = next((count for count in reversed(counts) if count), None)
            left_out = _left_out(curve_rows, ("idm", kind, split, "errors"), wrong.last)
            mistakes[split] = Mistakes(
                wrong, samples, trend("accuracy", split=split), nidm, widm, left_out
            )

    checkpoints = [
        row for row in table_rows(out, CHECKPOINTS, run) if row["status"] == "ok"
    ]
    classes = table_rows(out, CLASSES, run)
    phases, no_phases, t90 = _agreement_phases(table_rows(out, PHASES, run))
    return RunFindings(
        run=run,
        epochs=tuple(
            sorted({row["epoch"] for row in checkpoints}, key=lambda epoch: epoch or 0)
        ),
        classes=len(classes),
        reference=reference_name(references[0] if references else "wordnet"),
        agreement=agreement,
        no_agreement=(
            None if agreement else _reason_no_agreement(curve_rows, f"{own},scsm")
        ),
        first_trained=_first_trained(curve_rows, agreement),
        max_wsi=trend("wsi", kind, own_split, "max"),
        accuracy=accuracy,
        loss=trend("loss", split="test"),
        own=own,
        mistakes=mistakes,
        phases=phases,
        no_phases=no_phases,
        t90=t90,
        first_classes=min(
            (row["classes"] for row in checkpoints if row["classes"]), default=None
        ),
        has_names=any(row["name"] is not None for row in classes),
    )


def reference_name(reference: str) -> str:
    """Return the name of a reference for readers; all WordNet measures are called
    WordNet.

    >>> reference_name("wordnet3.0-path"), reference_name("plants")
    ('WordNet', 'plants')
    """
    return "WordNet" if reference.startswith("wordnet") else reference


def is_agreement(curve: str) -> bool:
    """Return True for the name of a curve of the agreement with the reference
    matrix.
    """
    return curve.startswith(AGREEMENT_PREFIXES)


def network_matrix(rows: Sequence[Row]) -> str:
    """Return the name of the matrix of the network's similarity in rows of the curves
    table; ncsm if they have none.
    """
    pairs = {row["of"] for row in rows if row["metric"] == "sai"}
    kinds = {row["of"] for row in rows if row["metric"] == "wsi"}
    available = [name for name in NETWORK_MATRICES if f"{name},scsm" in pairs]
    available += [
        name for name in NETWORK_MATRICES if MatrixId.parse(name).kind in kinds
    ]
    return next(iter(available), NETWORK_MATRICES[0])


def _reason_no_agreement(rows: Sequence[Row], pair: str) -> str:
    aligned = [row for row in rows if row["metric"] == "sai" and row["of"] == pair]
    if any(row["value"] is not None for row in aligned):
        return (
            "pearson is not among the measures; run dsi analyze without --measure, or"
            " with --measure pearson"
        )
    return next(
        (row["reason"] for row in aligned if row["reason"]),
        "the classes have no reference matrix",
    )


def _first_trained(rows: Sequence[Row], agreement: Trend | None) -> Point | None:
    if (
        agreement is None
        or len(agreement.points) < 2
        or not agreement.peak.is_above_chance
    ):
        return None
    trained = {row["epoch"] for row in rows if (row["epochs_completed"] or 0) >= 1}
    return next((point for point in agreement.points if point.epoch in trained), None)


def _left_out(
    rows: Sequence[Row], key: tuple[str, str, str, str], wrong: Point
) -> str | None:
    """Return a sentence on the mistakes of an epoch that the IDM in rows with a key
    leaves out, or None without any.
    """
    idms = [
        row
        for row in rows
        if (row["metric"], row["of"], row["split"], row["variant"]) == key
    ]
    used = next(
        (row["samples_used"] for row in idms if row["epoch"] == wrong.epoch), None
    )
    if used is None or used >= wrong.value:
        return None
    counts = f"{wrong.value - used:,.0f} of {wrong.value:,.0f} mistakes"
    return (
        f"{counts} are predictions of classes without samples, and IDM, severity and"
        " superclass accuracy leave them out"
    )


def _agreement_phases(
    rows: Sequence[Row],
) -> tuple[tuple[Row, ...], str | None, Point | None]:
    """Return the rows of the agreement's phases in the phases table, the reason why it
    has none, and t90.
    """
    of_agreement = [row for row in rows if is_agreement(row["curve"])]
    phases = tuple(row for row in of_agreement if row["phase"] in PHASE_NAMES)
    reason = next(
        (
            row["reason"]
            for row in of_agreement
            if row["phase"] is None and row["reason"]
        ),
        None,
    )
    times = (
        Point(None, row["last_epoch"], row["low"], row["high"])
        for row in of_agreement
        if row["phase"] == "t90"
    )
    return phases, reason, next(times, None)


def table_rows(out: Path, table: Table, run: str) -> list[Row]:
    """Return the rows of a run in a table; none if the results folder does not have the
    table.
    """
    return layout.read_table(out, table, run).to_pylist()


def headline(runs: Sequence[RunFindings]) -> str:
    """Return the finding of all runs in one or two sentences; each statement is
    supported by an interval or a chance level.

    Without a finding, the sentence gives the reason.
    """
    usable = [run for run in runs if run.epochs]
    if not usable:
        return "dsi could not use any checkpoint."
    aligned = [(run, run.agreement) for run in usable if run.agreement]
    if not aligned:
        return _headline_without_agreement(usable)
    above = _above_chance(aligned)
    if not above:
        return _headline_within_chance(aligned)

    # Each network is in one sentence: that of clear agreements, of weak or uncertain
    # ones, or of the rest.
    clear = [
        (run, agreement)
        for run, agreement in above
        if agreement.peak.strength == "clear"
    ]
    others = [pair for pair in above if pair not in clear]
    sentences = [
        *_clear_sentences(clear, len(usable)),
        *_weak_sentences(others, are_all=not clear),
    ]
    sentences.append(_rest_sentence([pair for pair in aligned if pair not in above]))
    misplaced = [run.run for run, _ in above if _has_unrelated_mistakes(run)]
    if misplaced:
        sentences.append(
            f"The mistakes of {listed(misplaced, 3)} do not follow the network's own"
            " similarity, so check that predictions and truth have the same order of"
            " samples and classes."
        )
    return " ".join(filter(None, sentences))


def _above_chance(
    aligned: Sequence[tuple[RunFindings, Trend]],
) -> list[tuple[RunFindings, Trend]]:
    """Return the networks with an agreement above chance, of which 5 % at most are
    expected to be there by chance.
    """
    above = [
        (run.run, agreement.p_value or 0.0)
        for run, agreement in aligned
        if agreement.is_above_chance
    ]
    # Correct the p-values for the number of networks by the method of Benjamini and
    # Hochberg (1995).
    above.sort(key=lambda pair: pair[1])
    ranks = [
        rank
        for rank, (_, p_value) in enumerate(above, start=1)
        if p_value * len(aligned) <= rank * MAX_P_VALUE
    ]
    names = {name for name, _ in above[: max(ranks, default=0)]}
    return [(run, agreement) for run, agreement in aligned if run.run in names]


def _clear_sentences(
    clear: Sequence[tuple[RunFindings, Trend]], count: int
) -> list[str]:
    """Return what networks with a clear agreement learned, of ``count`` networks, and
    whether it is clear at the last epoch.
    """
    if not clear:
        return []
    subject = clear[0][0].run
    if 1 < len(clear) < count:
        subject = f"{len(clear)} of {count} networks"
    elif len(clear) > 1:
        subject = "Both networks" if len(clear) == 2 else f"All {len(clear)} networks"

    # Group the networks by the strength of the agreement at the last epoch.
    strengths = [(agreement.last.strength, run.run) for run, agreement in clear]
    lost = {
        strength: [run for other, run in strengths if other == strength]
        for strength, _ in strengths
    }
    lost.pop("clear", None)
    at_end = [
        f"At the last epoch, the agreement of {listed(names, 3)} is {strength}."
        for strength, names in lost.items()
    ]
    return [f"{subject} {_learned_clause(clear)}", *at_end]


def _rest_sentence(rest: Sequence[tuple[RunFindings, Trend]]) -> str:
    """Return a sentence on the networks without an agreement above chance; empty if
    there are none.
    """
    if not rest:
        return ""
    verb = (
        "may be due to"
        if any(agreement.is_above_chance for _, agreement in rest)
        else "stayed within"
    )
    return f"The agreement of {_names([run.run for run, _ in rest])} {verb} chance."


def _names(runs: Sequence[str]) -> str:
    return " and ".join(runs) if len(runs) <= 2 else f"{len(runs)} networks"


def _has_unrelated_mistakes(run: RunFindings) -> bool:
    """Return whether mistakes do not follow the network's similarity, although chance
    is known precisely enough to see it.
    """
    points = [mistakes.nidm.last for mistakes in run.mistakes.values() if mistakes.nidm]
    precise = [
        point
        for point in points
        if point.chance_std is not None and MIN_Z * point.chance_std < WIDE_CHANCE / 2
    ]
    return any(not point.is_above_chance for point in precise)


def _learned_clause(learned: Sequence[tuple[RunFindings, Trend]]) -> str:
    """Return what the networks learned, as the rest of a sentence after its subject,
    with the strongest evidence.
    """
    runs = [run for run, _ in learned]
    is_single = len(runs) == 1
    structure = f"{runs[0].reference}-like structure"
    if not all(run.is_early for run in runs):
        return _peak_clause(learned, structure)

    # Name the network that was nearest to its peak after its first trained epoch, if
    # that value is precise enough.
    precise = []
    for run, agreement in learned:
        first = run.first_trained
        if first is not None and first.is_precise:
            precise.append((first.value / agreement.peak.value, first.epoch, run))
    if precise:
        share, epoch, run = max(precise, key=lambda network: network[0])
        at_first = run.accuracy and run.accuracy.at(epoch)
        accuracy = f", at {percent(at_first.value)} accuracy" if at_first else ""
        name = "it" if is_single else run.run
        return (
            f"learned {structure} early: {name} had {percent(share)} of its peak"
            f" agreement after epoch {epoch}{accuracy}."
        )
    times = [(run.t90, run) for run in runs if run.t90]
    t90, run = min(times, key=lambda pair: pair[0].value)
    name = "it" if is_single else run.run
    interval = f"95 % CI {t90.low:.1f} to {t90.high:.1f}"
    return (
        f"learned {structure} early: {name} had 90 % of its plateau by epoch"
        f" {t90.value:.1f} of {run.epochs[-1]} ({interval})."
    )


def _peak_clause(learned: Sequence[tuple[RunFindings, Trend]], structure: str) -> str:
    """Return the highest agreement as the rest of a sentence on what the networks
    learned.
    """
    is_single = len(learned) == 1
    run, value = _highest(learned)
    owner = (
        "its agreement is"
        if is_single
        else f"the highest agreement is that of {run.run},"
    )
    verb = "learned"
    if all(len(run.epochs) == 1 for run, _ in learned):
        verb = "has" if is_single else "have"
    return f"{verb} {structure}: {owner} {value}."


def _highest(networks: Sequence[tuple[RunFindings, Trend]]) -> tuple[RunFindings, str]:
    """Return the network with the highest agreement, and this agreement as text with
    its epoch, scale and interval.
    """
    run, agreement = max(networks, key=lambda pair: pair[1].peak.value)
    peak = agreement.peak
    epoch = f" at epoch {peak.epoch}" if len(run.epochs) > 1 else ""
    interval = (
        ""
        if peak.low is None or peak.high is None
        else f", 95 % CI {peak.low:.2f} to {peak.high:.2f}"
    )
    return run, f"{peak.value:.2f}{epoch} (0 is chance, 1 is perfect{interval})"


def _weak_sentences(
    networks: Sequence[tuple[RunFindings, Trend]], are_all: bool
) -> list[str]:
    """Return what is known of networks with an agreement that is above chance, but
    small, or known too imprecisely.

    If no network has a clear agreement (``are_all``), their accuracy follows.
    """
    if not networks:
        return []
    run, value = _highest(networks)
    runs, peaks = (
        [run for run, _ in networks],
        [agreement.peak for _, agreement in networks],
    )
    highest = "" if len(networks) == 1 else f"the highest is that of {run.run}, "
    but = " or ".join(sorted({peak.strength for peak in peaks}, reverse=True))
    names = _names([run.run for run in runs])
    sentence = (
        f"The agreement of {names} with {run.reference} is above chance, but {but}:"
        f" {highest}{value}."
    )
    is_tiny = all(
        peak.high is not None and peak.high < WEAK_AGREEMENT for peak in peaks
    )
    return (
        [sentence, _accuracy_clause(runs, has_advice=is_tiny)]
        if are_all
        else [sentence]
    )


def _headline_within_chance(aligned: Sequence[tuple[RunFindings, Trend]]) -> str:
    first = aligned[0][0]
    subject = (
        f"{first.run} shows no"
        if len(aligned) == 1
        else f"None of the {len(aligned)} networks shows"
    )
    points = [point for _, agreement in aligned for point in agreement.points]
    zs = [point.z for point in points if point.z is not None]
    most = f" (z at most {max(zs):.1f})" if zs else ""
    epochs = (
        "" if all(len(run.epochs) == 1 for run, _ in aligned) else " at every epoch"
    )
    structure = f"{first.reference}-like structure"
    above = sum(point.is_above_chance for point in points)
    if above:
        are = "is" if above == 1 else "are"
        return (
            f"{subject} {structure}: {above} of {len(points)} values {are} above"
            f" chance, which chance alone can explain{most}."
        )
    if zs and max(zs) >= MIN_Z:
        return (
            f"{subject} {structure}: the 95 % confidence interval of the agreement"
            f" includes chance{epochs}{most}."
        )
    verdicts = " or ".join(
        sorted({point.verdict.split()[0] for point in points}, reverse=True)
    )
    sentence = (
        f"{subject} {structure}: the agreement is {verdicts} chance{epochs}{most}."
    )

    # Tell what explains or qualifies this: a wide chance level, or an accuracy.
    reach = min(
        1.0,
        max(
            (
                MIN_Z * point.chance_std
                for point in points
                if point.chance_std is not None
            ),
            default=0.0,
        ),
    )
    if reach > WIDE_CHANCE:
        return (
            f"{sentence} With {first.first_classes or first.classes} classes, chance"
            f" alone can reach {reach:.2f}."
        )
    return f"{sentence} {_accuracy_clause([run for run, _ in aligned])}".rstrip()


def _accuracy_clause(runs: Sequence[RunFindings], has_advice: bool = True) -> str:
    """Return the accuracy of networks without clear structure, and what to check if
    they have learned to classify.
    """
    accuracies = [
        point.value for run in runs if run.accuracy for point in run.accuracy.points
    ]
    sentences = []
    if accuracies:
        sentences.append(
            f"{'Its' if len(runs) == 1 else 'The highest'} accuracy reached"
            f" {percent(max(accuracies))}."
        )
    if has_advice and (
        not accuracies or max(accuracies) * runs[0].classes > LEARNED_MULTIPLE
    ):
        sentences.append(ORDER_ADVICE)
    return " ".join(sentences)


def _headline_without_agreement(usable: Sequence[RunFindings]) -> str:
    """Return what mistakes show without an agreement, and the reason why it is
    missing.
    """
    reason = (
        f"The agreement with {usable[0].reference} is unknown"
        f" ({(usable[0].no_agreement or '').rstrip('.')})."
    )
    if not any(run.has_names for run in usable):
        reason = (
            "The classes have no names, so dsi cannot compare them with"
            f" {usable[0].reference}."
        )
    nidms = {
        run.run: next((mistakes.nidm for mistakes in run.mistakes.values()), None)
        for run in usable
    }
    following = [
        (nidm.last, name)
        for name, nidm in nidms.items()
        if nidm and nidm.last.is_above_chance
    ]
    if not following:
        return reason
    point, name = max(following, key=lambda pair: pair[0].value)
    chance = "" if point.chance is None else f" (chance {percent(point.chance)})"
    follow = f"The mistakes of {name} follow its own similarity"
    return (
        f"{follow}: {percent(point.value)} of classes are farther from the"
        f" truth{chance}. {reason}"
    )


def percent(share: float) -> str:
    """Return a share as a percentage without decimals.

    >>> percent(0.179)
    '18 %'
    """
    return f"{100 * share:.0f} %"


def percent_range(shares: Iterable[float | None]) -> str:
    """Return the known shares in percent, or their range; an empty text if none is
    known.

    >>> percent_range([0.442, None, 0.495])
    '44 % to 50 %'
    """
    known = sorted(share for share in shares if share is not None)
    return " to ".join(
        dict.fromkeys(percent(share) for share in known[:1] + known[-1:])
    )
