"""The findings of a results folder: what the report and the terminal tell first.

All values come from the tables. They answer the four questions of the paper (arXiv
2505.21338). Does the network's similarity agree with WordNet? How similar are
neighbouring classes? Do mistakes follow the network's own similarity? Are mistakes
semantically reasonable?

``findings``      the last and the highest values of all runs, as a table
``run_findings``  the findings of one run
``headline``      one sentence about all runs, which states only what the intervals
                  support
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsi_cli.errors import listed
from dsi_cli.facts import Fact, fact
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.metrics.phases import DECLINE, REFINEMENT, STABILISATION, SURGE
from dsi_cli.queries import facts
from dsi_cli.queries.quantities import (
    AGREEMENT,
    QUANTITIES,
    SAI,
    Quantity,
    measures,
    network_matrix,
    point,
    select,
    with_measures,
)
from dsi_cli.store import layout
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CURVES,
    NETWORK_MATRICES,
    PHASES,
    SPLITS,
    Table,
)

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

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
# a network with most of its classes in a wrong order can have this agreement
WEAK_AGREEMENT = 0.1
# a network with this multiple of the accuracy by chance has learned to classify
LEARNED_MULTIPLE = 3.0
ORDER_ADVICE = (
    "Wrong labels, or labels in another order than the network's classes, would give"
    " the same result, so check them."
)
INPUTS = {
    "labels": "labels",
    "predictions:test": "predictions on test",
    "predictions:train": "predictions on train",
}
"""The inputs that can be distrusted, in words."""
PHASE_NAMES = (SURGE, REFINEMENT, DECLINE, STABILISATION)
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

    epoch: int
    value: float
    low: float | None = None  # the lower end of the 95 % confidence interval
    high: float | None = None
    chance: float | None = None
    chance_std: float | None = None  # the standard deviation of the value by chance
    z: float | None = None
    p_value: float | None = None
    ceiling: float | None = None  # the highest value that could be reached
    samples: int | None = None  # the number of samples that the value uses

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
        """The side of chance on which the value is, within chance if it is in the chance
        band of figures, or uncertain if only its interval includes chance.
        """
        if self.is_above_chance:
            return "above chance"
        if self.z is None or -MIN_Z < self.z < MIN_Z:
            return "within chance"
        return "uncertain" if self.z > 0 else "below chance"

    @property
    def strength(self) -> str:
        """The size of an agreement: within or below chance, weak, uncertain if its
        interval is wide, or clear.
        """
        if not self.is_above_chance:
            return self.verdict
        if self.value < CLEAR_AGREEMENT:
            return "weak"
        if self.low is None or self.low >= WEAK_AGREEMENT:
            return "clear"
        return "uncertain"


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
        known = [point.p_value for point in self.points if point.p_value is not None]
        scaled = [
            len(known) * p_value / rank
            for rank, p_value in enumerate(sorted(known), start=1)
        ]
        return min(scaled, default=None)

    @property
    def is_above_chance(self) -> bool:
        """True if any value is above chance, and the p-value of all epochs together is
        small.
        """
        if not any(point.is_above_chance for point in self.points):
            return False
        return (self.p_value or 0.0) <= MAX_P_VALUE

    def at(self, epoch: int) -> Point | None:
        """Return the point of an epoch; None if it has no value."""
        return next((point for point in self.points if point.epoch == epoch), None)


Key = tuple[str, str | None]
"""The name of a quantity, and the split of its predictions; None without a split."""


@dataclass(frozen=True)
class RunFindings:
    """The findings of one run; what the tables do not have is None."""

    run: str
    epochs: tuple[int, ...]
    classes: int
    reference: str  # the name of the reference matrix for readers, such as WordNet
    trends: Mapping[Key, Trend]
    """The curves that have a value, in the order of `findings`: ``measured``, Max WSI,
    accuracy, loss, and for each split the number of mistakes, NIDM and WIDM.
    """
    measured: Quantity = QUANTITIES[AGREEMENT]
    """The agreement, or the first measure of the SAI if the agreement is not among the
    measures.
    """
    no_agreement: str | None = None  # the reason for a missing agreement
    first_trained: Point | None = None
    """The agreement at the first epoch after which the network has been trained; None
    if unknown, or never above chance.
    """
    # the network's similarity: ncsm, or without a classifier tncsm-test or tncsm-train
    own: str = NETWORK_MATRICES[0]
    # the rows of the phases of the agreement in the phases table
    phases: tuple[Row, ...] = ()
    no_phases: str | None = None  # the reason why the agreement has no phases
    t90: Point | None = None
    """The epoch at which the agreement has gone 90 % of the way from chance to its
    plateau, in ``value``, with its interval.
    """
    contradictions: tuple[Fact, ...] = ()
    """The facts about inputs that contradict one another. What would be concluded from
    the distrusted inputs is missing.
    """
    breaks: tuple[int, ...] = ()
    """The epochs at which another training begins."""
    has_names: bool = True  # False if no class has a name
    has_epochs: bool = (
        True  # False if its only checkpoint has no epoch, which is 0 here
    )

    def trend(self, name: str, split: str | None = None) -> Trend | None:
        """Return the curve of a quantity; None without a value."""
        return self.trends.get((name, split))

    @property
    def distrusted(self) -> frozenset[str]:
        """The inputs from which no conclusion may be drawn."""
        return facts.distrusted(self.contradictions)

    @property
    def alignment(self) -> Trend | None:
        """The curve of `measured`: the agreement, or another measure in its place."""
        return self.trend(self.measured.name)

    @property
    def agreement(self) -> Trend | None:
        """Pearson's correlation of similarities with those of the reference."""
        return self.trend(AGREEMENT)

    @property
    def accuracy(self) -> Trend | None:
        """The accuracy on test."""
        return self.trend("accuracy", "test")

    @property
    def splits(self) -> list[str]:
        """The splits with predictions; test comes first."""
        return [split for split in SPLITS if self.trend("mistakes", split)]

    @property
    def split(self) -> str:
        """The first split with predictions; test without any."""
        return next(iter(self.splits), SPLITS[0])

    @property
    def is_early(self) -> bool:
        """True if the interval of t90 ends within the first half of the training."""
        if self.t90 is None or self.t90.high is None or not self.epochs:
            return False
        return self.t90.high <= EARLY_SHARE * max(self.epochs)

    def left_out(self, split: str) -> list[Fact]:
        """Return a fact about mistakes of the last epoch that IDMs leave out; none
        without any.
        """
        wrong, ranked = self.trend("mistakes", split), self.trend("nidm", split)
        used = ranked.at(wrong.last.epoch) if wrong and ranked else None
        if wrong is None or used is None or used.samples is None:
            return []
        mistakes = int(wrong.last.value)
        if used.samples >= mistakes:
            return []
        left_out = mistakes - used.samples
        return [fact("mistakes-left-out", left_out=left_out, mistakes=mistakes)]


Network = tuple[RunFindings, Trend]
"""A run with its agreement."""


def run_findings(out: Path, run: str) -> RunFindings:
    """Return the findings of a run from the tables of a results folder; raise
    `OutputError` if one is unreadable.
    """
    # The rows of the main reference
    references = layout.references_of(out, run)
    rows = [
        row
        for row in table_rows(out, CURVES, run)
        if row["reference"] not in references[1:]
    ]
    own = network_matrix(rows)
    sai = select(rows, {"metric": SAI, "of": f"{own},scsm"})
    measured = _measured(rows, own)
    trends = {}
    wanted = [(measured, None), *((QUANTITIES[name], split) for name, split in SHOWN)]
    for quantity, split in wanted:
        found = trend(rows, quantity, own, split)
        if found is not None:
            trends[quantity.name, split] = found
    noticed = facts.of_run(out, run)
    contradictions = facts.contradictions(noticed)
    distrusted = facts.distrusted(contradictions)
    trends = _without_distrusted(trends, measured, distrusted)
    agreement = trends.get((AGREEMENT, None))

    checkpoints = [
        row for row in table_rows(out, CHECKPOINTS, run) if row["status"] == "ok"
    ]
    epochs = {row["epoch"] or 0 for row in checkpoints}
    classes = table_rows(out, CLASSES, run)
    phases, no_phases, t90 = _agreement_phases(table_rows(out, PHASES, run))
    no_agreement = None if agreement else _reason_no_agreement(sai)
    breaks = [
        epoch for one in noticed if one.code == facts.BREAK for epoch in one.epochs
    ]
    if breaks:
        phases, t90 = (), None
        no_phases = "the run seems to consist of several trainings"
    if "labels" in distrusted:
        phases, no_phases, t90 = (), None, None
        no_agreement = "the labels contradict other inputs"
    return RunFindings(
        run=run,
        epochs=tuple(sorted(epochs)),
        classes=len(classes),
        reference=reference_name(references[0] if references else "wordnet"),
        trends=trends,
        measured=measured,
        no_agreement=no_agreement,
        first_trained=_first_trained(rows, agreement),
        own=own,
        phases=phases,
        no_phases=no_phases,
        t90=t90,
        contradictions=tuple(contradictions),
        breaks=tuple(breaks),
        has_names=any(row["name"] is not None for row in classes),
        has_epochs=all(row["epoch"] is not None for row in checkpoints),
    )


SHOWN: tuple[Key, ...] = (
    ("max_wsi", None),
    ("accuracy", "test"),
    ("loss", "test"),
    *((name, "test") for name in ("mistakes", "nidm", "widm")),
    *((name, "train") for name in ("accuracy", "mistakes", "nidm", "widm")),
)
"""The quantities of `findings` after the agreement."""
COLUMNS = (
    *("run", "quantity", "split", "epoch", "value", "low", "high", "chance"),
    *("chance_std", "z", "p_value", "peak", "peak_epoch", "is_above_chance"),
)
"""The columns of `findings`."""


def findings(results: Results) -> pd.DataFrame:
    """Return the last value of each quantity of the closing screen in each run, and its
    highest; `dsi_cli.Results.findings` documents the columns.
    """
    import pandas as pd

    found = [run_findings(results.path, run) for run in results.names]
    rows = []
    for run in found:
        for (name, of_split), values in run.trends.items():
            row = vars(values.last) | {"run": run.run, "quantity": name}
            row |= {"split": of_split, "is_above_chance": values.is_above_chance}
            row |= {"peak": values.peak.value, "peak_epoch": values.peak.epoch}
            if not run.has_epochs:
                row |= {"epoch": None, "peak_epoch": None}
            rows.append(row)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = dict.fromkeys(COLUMNS[4:12], "float64")
    epochs = dict.fromkeys(("epoch", "peak_epoch"), "Int64")
    frame = frame.astype(numbers | epochs)
    frame.attrs["headline"] = headline(found)
    return frame


def trend(
    rows: Sequence[Row], quantity: Quantity, own: str, split: str | None = None
) -> Trend | None:
    """Return a quantity over the epochs in rows of the curves table; None without a
    value. The last save of an epoch counts.
    """
    by_epoch = {}
    for row in select(rows, quantity.key(own, split)):
        values = point(row, quantity)
        if values["value"] is not None:
            samples = row["samples_used"]
            by_epoch[row["epoch"]] = Point(row["epoch"], **values, samples=samples)
    points = sorted(by_epoch.values(), key=lambda point: point.epoch)
    return Trend(tuple(points)) if points else None


def _without_distrusted(
    trends: Mapping[Key, Trend], measured: Quantity, distrusted: frozenset[str]
) -> dict[Key, Trend]:
    """Return the curves that no distrusted input shapes."""
    of_labels = (AGREEMENT, measured.name, "widm")
    return {
        (name, split): values
        for (name, split), values in trends.items()
        if not ("labels" in distrusted and name in of_labels)
        and f"predictions:{split}" not in distrusted
    }


def _measured(rows: Sequence[Row], own: str) -> Quantity:
    """Return the agreement, or else the first measure of the SAI that has a value."""
    for quantity in with_measures(measures(rows)).values():
        if quantity.metric == SAI and trend(rows, quantity, own) is not None:
            return quantity
    return QUANTITIES[AGREEMENT]


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


def _reason_no_agreement(rows: Sequence[Row]) -> str:
    """Return the reason from the rows of the SAI of the network with the reference."""
    if any(row["value"] is not None for row in rows):
        return (
            "pearson is not among the measures; run dsi analyze without --measure, or"
            " with --measure pearson"
        )
    reasons = [row["reason"] for row in rows if row["reason"]]
    return reasons[0] if reasons else "the classes have no reference matrix"


def _first_trained(rows: Sequence[Row], agreement: Trend | None) -> Point | None:
    if (
        agreement is None
        or len(agreement.points) < 2
        or not agreement.peak.is_above_chance
    ):
        return None
    trained = {row["epoch"] for row in rows if (row["epochs_completed"] or 0) >= 1}
    return next((point for point in agreement.points if point.epoch in trained), None)


def _agreement_phases(
    rows: Sequence[Row],
) -> tuple[tuple[Row, ...], str | None, Point | None]:
    """Return the rows of the agreement's phases in the phases table, the reason why it
    has none, and t90.
    """
    phases, no_phases, t90 = [], None, None
    for row in rows:
        if not is_agreement(row["curve"]):
            continue
        if row["phase"] in PHASE_NAMES:
            phases.append(row)
        elif row["phase"] == "t90":
            epoch = row["last_epoch"]
            t90 = Point(int(epoch), epoch, row["low"], row["high"])
        elif row["phase"] is None:
            no_phases = row["reason"]
    return tuple(phases), no_phases, t90


def table_rows(out: Path, table: Table, run: str) -> list[Row]:
    """Return the rows of a run in a table; none if the results folder does not have the
    table. In all but the table of checkpoints, the epoch of a run without epochs is 0.
    """
    rows = layout.read_table(out, table, run).to_pylist()
    if table is not CHECKPOINTS:
        for row in rows:
            if row.get("epoch", 0) is None:
                row["epoch"] = 0
    return rows


def headline(runs: Sequence[RunFindings]) -> str:
    """Return the finding of all runs in one or two sentences; each statement is
    supported by an interval or a chance level.

    Without a finding, the sentence gives the reason.
    """
    usable = [run for run in runs if run.epochs]
    if not usable:
        return "dsi could not use any checkpoint."
    sentences = [*_contradiction_sentences(usable)]
    # Labels that contradict other inputs are no labels with a missing agreement.
    trusted = [run for run in usable if "labels" not in run.distrusted]
    if trusted:
        sentences.append(_finding(trusted))
    return " ".join(sentences)


def _contradiction_sentences(runs: Sequence[RunFindings]) -> Iterator[str]:
    """Yield which runs have inputs that contradict one another, from which input
    nothing is concluded, and which runs seem to be several trainings.
    """
    names_of: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        if run.distrusted:
            names_of.setdefault(tuple(sorted(run.distrusted)), []).append(run.run)
    for distrusted, names in names_of.items():
        inputs = " and the ".join(INPUTS[name] for name in distrusted)
        yield (
            f"The inputs of {listed(names, 3)} contradict one another, so dsi draws no"
            f" conclusion from the {inputs}."
        )
    joined = [run.run for run in runs if run.breaks]
    if joined:
        verb = "seems" if len(joined) == 1 else "seem"
        yield f"{listed(joined, 3)} {verb} to consist of several trainings."


def _finding(usable: Sequence[RunFindings]) -> str:
    """Return the finding of runs whose labels no input contradicts."""
    networks = [(run, run.agreement) for run in usable if run.agreement]
    if not networks:
        return _without_agreement(usable)
    above = _above_chance(networks)
    if not above:
        return _within_chance(networks)

    # Each network is in one sentence: that of clear agreements, of weak or uncertain
    # ones, or of the rest.
    clear = [network for network in above if network[1].peak.strength == "clear"]
    weak = [network for network in above if network not in clear]
    rest = [network for network in networks if network not in above]
    sentences = []
    if clear:
        sentences.append(f"{_subject(clear, len(usable))} {_learned_clause(clear)}")
        sentences += _lost_sentences(clear)
    if weak:
        sentences.append(_weak_sentence(weak))
    if not clear:
        is_tiny = all((trend.peak.high or 1.0) < WEAK_AGREEMENT for _, trend in weak)
        sentences.append(_accuracy_sentences(weak, has_advice=is_tiny))
    if rest:
        sentences.append(_rest_sentence(rest))
    sentences.append(_misplaced_sentence(above))
    return " ".join(filter(None, sentences))


def _misplaced_sentence(networks: Sequence[Network]) -> str:
    """Return the networks whose predictions may have another order than the truth;
    empty without any.
    """
    misplaced = [run.run for run, _ in networks if _has_unrelated_mistakes(run)]
    if not misplaced:
        return ""
    return (
        f"The mistakes of {listed(misplaced, 3)} do not follow the network's own"
        " similarity, so check that predictions and truth have the same order of"
        " samples and classes."
    )


def _rest_sentence(networks: Sequence[Network]) -> str:
    """Return a sentence on the networks without an agreement above chance."""
    is_lucky = any(trend.is_above_chance for _, trend in networks)
    verb = "may be due to" if is_lucky else "stayed within"
    return f"The agreement of {_names(networks)} {verb} chance."


def _above_chance(networks: Sequence[Network]) -> list[Network]:
    """Return the networks with an agreement above chance, of which 5 % at most are
    expected to be there by chance.
    """
    candidates = [network for network in networks if network[1].is_above_chance]
    # Correct the p-values for the number of networks by the method of Benjamini and
    # Hochberg (1995).
    p_values = sorted(trend.p_value or 0.0 for _, trend in candidates)
    limit = -1.0
    for rank, p_value in enumerate(p_values, start=1):
        if p_value * len(networks) <= rank * MAX_P_VALUE:
            limit = p_value
    return [network for network in candidates if (network[1].p_value or 0.0) <= limit]


def _subject(clear: Sequence[Network], count: int) -> str:
    """Return the networks with a clear agreement, of ``count`` networks."""
    if len(clear) == 1:
        return clear[0][0].run
    if len(clear) < count:
        return f"{len(clear)} of {count} networks"
    return "Both networks" if count == 2 else f"All {count} networks"


def _names(networks: Sequence[Network]) -> str:
    names = [run.run for run, _ in networks]
    return " and ".join(names) if len(names) <= 2 else f"{len(names)} networks"


def _lost_sentences(clear: Sequence[Network]) -> list[str]:
    """Return the networks whose agreement is no longer clear at the last epoch."""
    lost: dict[str, list[str]] = {}
    for run, trend in clear:
        if trend.last.strength != "clear":
            lost.setdefault(trend.last.strength, []).append(run.run)
    return [
        f"At the last epoch, the agreement of {listed(names, 3)} is {strength}."
        for strength, names in lost.items()
    ]


def _has_unrelated_mistakes(run: RunFindings) -> bool:
    """Return whether mistakes do not follow the network's similarity, although chance
    is known precisely enough to see it.
    """
    for split in run.splits:
        nidm = run.trend("nidm", split)
        if nidm is None or nidm.last.chance_std is None:
            continue
        is_precise = MIN_Z * nidm.last.chance_std < WIDE_CHANCE / 2
        if is_precise and not nidm.last.is_above_chance:
            return True
    return False


def _learned_clause(networks: Sequence[Network]) -> str:
    """Return what the networks learned, as the rest of a sentence after its subject,
    with the strongest evidence.
    """
    runs = [run for run, _ in networks]
    structure = f"{runs[0].reference}-like structure"
    run, evidence = _highest(networks)
    name = "its agreement is"
    if len(runs) > 1:
        name = f"the highest agreement is that of {run.run},"
    if not all(run.is_early for run in runs):
        return f"learned {structure}: {name} {evidence}."

    found = earliest(networks)
    if found is not None:
        run, first, share = found
        name = "it had" if len(runs) == 1 else f"{run.run} rose fastest, to"
        evidence = f"{percent(share)} of its peak agreement after epoch {first.epoch}"
        accuracy = run.accuracy.at(first.epoch) if run.accuracy else None
        if accuracy:
            evidence += f", at {percent(accuracy.value)} accuracy"
    early = "early"
    if len(runs) > 1:
        ends = sorted({round(run.t90.value) for run in runs if run.t90})
        when = f"epochs {ends[0]} to {ends[-1]}" if ends[1:] else f"epoch {ends[0]}"
        early = f"early, by {when}"
    return f"learned {structure} {early}: {name} {evidence}."


def clear_networks(runs: Sequence[RunFindings]) -> list[Network]:
    """Return the networks of which the headline states that they learned structure."""
    networks = [(run, run.agreement) for run in runs if run.epochs and run.agreement]
    above = _above_chance(networks)
    return [network for network in above if network[1].peak.strength == "clear"]


def earliest(networks: Sequence[Network]) -> tuple[RunFindings, Point, float] | None:
    """Return the network that was nearest to its peak after its first trained epoch,
    the point of this epoch and its share of the peak; None unless all networks learned
    early and this value is precise enough.
    """
    found: list[tuple[RunFindings, Point, float]] = []
    for run, trend in networks:
        if run.first_trained is None or not run.is_early:
            return None
        share = run.first_trained.value / trend.peak.value
        found.append((run, run.first_trained, share))
    nearest = max(found, key=lambda one: one[2], default=None)
    return nearest if nearest and nearest[1].is_precise else None


def _highest(networks: Sequence[Network]) -> tuple[RunFindings, str]:
    """Return the network with the highest agreement, and this agreement as text with
    its epoch, scale and interval.
    """
    run, trend = max(networks, key=lambda network: network[1].peak.value)
    peak = trend.peak
    text = f"{peak.value:.2f}"
    if len(run.epochs) > 1:
        text += f" at epoch {peak.epoch}"
    text += " (0 is chance, 1 is the same"
    if peak.low is not None and peak.high is not None:
        text += f", 95 % CI {peak.low:.2f} to {peak.high:.2f}"
    return run, f"{text})"


def _weak_sentence(networks: Sequence[Network]) -> str:
    """Return what is known of networks with an agreement that is above chance, but
    small, or known too imprecisely.
    """
    run, value = _highest(networks)
    if len(networks) > 1:
        value = f"the highest is that of {run.run}, {value}"
    strengths = {trend.peak.strength for _, trend in networks}
    return (
        f"The agreement of {_names(networks)} with {run.reference} is above chance, but"
        f" {' or '.join(sorted(strengths, reverse=True))}: {value}."
    )


def _within_chance(networks: Sequence[Network]) -> str:
    """Return that no network has a reliable agreement, and what may explain this."""
    first = networks[0][0]
    points = [point for _, trend in networks for point in trend.points]
    subject = f"{first.run} shows no"
    if len(networks) > 1:
        subject = f"None of the {len(networks)} networks shows"
    zs = [point.z for point in points if point.z is not None]
    most = f" (z at most {max(zs):.1f})" if zs else ""
    sentence = (
        f"{subject} {first.reference}-like structure: the agreement is not reliably"
        f" above chance{most}."
    )

    # With few classes, the chance level is wide.
    spreads = [point.chance_std for point in points if point.chance_std is not None]
    reach = min(1.0, MIN_Z * max(spreads, default=0.0))
    if reach > WIDE_CHANCE:
        return f"{sentence} With {first.classes} classes, chance alone can reach {reach:.2f}."
    return " ".join(filter(None, [sentence, _accuracy_sentences(networks)]))


def _accuracy_sentences(networks: Sequence[Network], has_advice: bool = True) -> str:
    """Return the accuracy of networks without clear structure, and what to check if
    they have learned to classify.
    """
    accuracies = [
        point.value
        for run, _ in networks
        if run.accuracy
        for point in run.accuracy.points
    ]
    sentences = []
    is_trained = True
    if accuracies:
        whose = "Its" if len(networks) == 1 else "The highest"
        sentences.append(f"{whose} accuracy reached {percent(max(accuracies))}.")
        is_trained = max(accuracies) * networks[0][0].classes > LEARNED_MULTIPLE
    if has_advice and is_trained:
        sentences.append(ORDER_ADVICE)
    return " ".join(sentences)


def _without_agreement(usable: Sequence[RunFindings]) -> str:
    """Return the measure that was computed in place of the agreement, or else what
    mistakes show, and the reason why there is no agreement.
    """
    first = usable[0]
    measured = [(run, run.alignment) for run in usable if run.alignment]
    if measured:
        run, aligned = max(measured, key=lambda network: network[1].last.value)
        value = run.measured.text(aligned.last.value)
        owner = "" if len(usable) == 1 else f" of {run.run}"
        return (
            f"The {run.measured.title}{owner} with {run.reference} is {value} at the"
            f" last epoch ({run.measured.axis})."
        )
    reason = f"The agreement with {first.reference} is unknown ({first.no_agreement})."
    if not any(run.has_names for run in usable):
        reason = (
            "The classes have no names, so dsi cannot compare them with"
            f" {first.reference}."
        )
    following = []
    for run in usable:
        nidm = run.trend("nidm", run.split)
        if nidm and nidm.last.is_above_chance:
            following.append((nidm.last, run.run))
    if not following:
        return reason
    point, name = max(following, key=lambda pair: pair[0].value)
    chance = "" if point.chance is None else f" (chance {percent(point.chance)})"
    return (
        f"The mistakes of {name} follow its own similarity: {percent(point.value)} of"
        f" classes are farther from the truth{chance}. {reason}"
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
    known = [share for share in shares if share is not None]
    if not known:
        return ""
    low, high = percent(min(known)), percent(max(known))
    return low if low == high else f"{low} to {high}"
