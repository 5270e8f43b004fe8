"""The table of suspects: classes, pairs and groups that deserve a look.

The statistics are in `dsi_cli.metrics.suspects`. Faults of the data are the same in all
trainings, so runs with the same classes are pooled: the evidence is the mean over the
last quarter of the epochs of each run, and over the runs. Runs that have not learned
only count for dead classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.cache import key_of
from dsi_cli.errors import UsageError, count
from dsi_cli.metrics import suspects
from dsi_cli.metrics.suspects import MIN_CLASSES, Network, Senses, Suspect
from dsi_cli.similarity import (
    MAX_DENSE_CLASSES,
    as_rows,
    centre,
    centred_weight_similarity,
)
from dsi_cli.store import layout, parquet
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CONFUSIONS, CURVES, SPLITS, SUSPECTS
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation.resolve import CERTAIN, resolve
from dsi_cli.wordnet.similarity.path_similarity import PathRows

if TYPE_CHECKING:
    import pandas as pd

MAX_SENSES = 6  # the number of other senses of a name that are tested
MAX_EPOCHS, MANY_CLASSES, MAX_EPOCHS_OF_MANY = 20, 256, 5
"""The number of epochs, spread evenly, in which a suspect is sought if more are stored:
up to so many classes, and above, where an epoch takes 0.3 s.
"""
MIN_PRIOR = 0.01  # of a sense that is not among those of the label's words
TOO_MANY = (
    f"suspects are not sought above {MAX_DENSE_CLASSES:,} classes, because no matrix is"
    " stored"
)
TOO_FEW = (
    f"only dead classes are sought below {MIN_CLASSES} classes, because the other"
    " classes are the chance level"
)
NOT_LEARNED = (
    "only dead classes are sought, because the agreement with the reference stays within"
    " chance"
)
NO_REFERENCE = "only duplicates and dead classes are sought without a reference"
NO_NETWORK = "suspects are not sought without a classifier head"


@dataclass(frozen=True)
class SenseLists:
    """The other senses of a class list, with their synsets."""

    senses: Senses
    synsets: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """The evidence of some epochs: the similarity ``(K, K)`` of the classes that the
    reference knows, and the lengths ``(C,)`` and confusion counts ``(C, C)`` of all.
    """

    similarity: NDArray[np.float64] | None
    norms: NDArray[np.float64] | None
    counts: Mapping[str, NDArray[np.float64]]

    @property
    def is_known(self) -> bool:
        """True if there is a head or a confusion matrix."""
        return self.norms is not None or bool(self.counts)

    @classmethod
    def mean(cls, every: Sequence[Evidence]) -> Evidence:
        """Return the mean of the evidence of several runs."""
        counts = {
            split: np.mean(
                [one.counts[split] for one in every if split in one.counts], 0
            )
            for split in SPLITS
            if any(split in one.counts for one in every)
        }
        return cls(
            _mean([one.similarity for one in every]),
            _mean([one.norms for one in every]),
            counts,
        )


def _mean(values: Sequence[NDArray[np.float64] | None]) -> Any:
    known = [one for one in values if one is not None]
    return np.mean(known, axis=0) if known else None


class RunEvidence:
    """The evidence about the classes of a run, which its files hold."""

    def __init__(self, results: Results, run: str) -> None:
        self.results, self.run = results, run
        classes = results.rows_of("classes", run).sort_values("class_index")
        self.classes = classes.reset_index(drop=True)
        every = results.epochs(run)
        trained = [epoch for epoch in every if epoch != 0]
        self.epochs = trained or every

    @cached_property
    def pool(self) -> tuple[Any, ...]:
        """The classes and references, which all runs of a pool have in common."""
        synsets = self.classes["synset"].fillna("").to_list()
        names = self.classes["name"].fillna("").to_list()
        return tuple(names), tuple(synsets), tuple(self.results.references(self.run))

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes, or else their indices."""
        return [
            str(index) if name is None or name != name else str(name)
            for index, name in enumerate(self.classes["name"].to_list())
        ]

    @cached_property
    def reference(self) -> NDArray[np.float64] | None:
        """The main reference ``(C, C)``, NaN for missing classes; None without one."""
        try:
            values = self.results.csm("scsm", run=self.run).to_numpy(np.float64)
        except UsageError:  # a run without labels has none
            return None
        is_known = ~np.isnan(np.diagonal(values))
        return values if np.count_nonzero(is_known) >= MIN_CLASSES else None

    @cached_property
    def known(self) -> NDArray[np.intp]:
        """The classes with a row in the reference; without a reference, all."""
        if self.reference is None:
            return np.arange(len(self.classes))
        return np.flatnonzero(~np.isnan(np.diagonal(self.reference)))

    def network(self, evidence: Evidence, senses: Senses | None) -> Network:
        """Return the evidence about the classes that the reference knows."""
        assert evidence.similarity is not None
        square = np.ix_(self.known, self.known)
        reference = self.reference
        counts = {split: counts[square] for split, counts in evidence.counts.items()}
        return Network(
            evidence.similarity,
            None if reference is None else reference[square],
            counts,
            senses,
        )

    def heads(self, epochs: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return the heads of some epochs, except for those that lack classes."""
        paths = [layout.head_path(self.results.path, self.run, one) for one in epochs]
        heads = [parquet.read_weight(path) for path in paths if path.is_file()]
        return [head for head in heads if len(head) == len(self.classes)]

    def counts(self, epochs: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """Return the mean confusion counts ``(C, C)`` of some epochs, by split."""
        found = {}
        for split in SPLITS:
            folder = self.results.path, CONFUSIONS, self.run, split
            paths = [layout.split_path(*folder, epoch) for epoch in epochs]
            counts = [
                parquet.to_counts(parquet.read(path))
                for path in paths
                if path.is_file()
            ]
            counts = [one for one in counts if len(one) == len(self.classes)]
            if counts:
                found[split] = np.mean(counts, axis=0)
        return found

    def evidence(self, epochs: Sequence[int]) -> Evidence:
        """Return the mean of the evidence over some epochs."""
        heads = self.heads(epochs)
        if not heads:
            return Evidence(None, None, self.counts(epochs))
        similarities = [
            suspects.fisher(centred_weight_similarity(head[self.known]))
            for head in heads
        ]
        norms = [np.linalg.norm(centre(as_rows(head)), axis=1) for head in heads]
        return Evidence(
            np.mean(similarities, axis=0),
            np.mean([one / max(one.mean(), suspects.TINY) for one in norms], axis=0),
            self.counts(epochs),
        )

    @property
    def late_epochs(self) -> list[int]:
        """The last quarter of the trained epochs, at least one."""
        return self.epochs[-max(1, len(self.epochs) // 4) :]

    @property
    def spread_epochs(self) -> list[int]:
        """The trained epochs, or some of them that are spread evenly."""
        most = MAX_EPOCHS
        if len(self.classes) > MANY_CLASSES:
            most = MAX_EPOCHS_OF_MANY
        if len(self.epochs) <= most:
            return self.epochs
        places = np.linspace(0, len(self.epochs) - 1, most).round().astype(int)
        return [self.epochs[place] for place in places]

    @cached_property
    def sense_lists(self) -> SenseLists | None:
        """The other senses of the names; None unless the main reference is WordNet's
        path similarity of nouns.
        """
        wordnet = load_wordnet()
        references = self.results.references(self.run)
        if self.reference is None or references[0] != f"{wordnet.id}-path":
            return None
        rows = self.classes.iloc[self.known]
        others = list(_other_senses(rows))
        if not others:
            return None
        node = wordnet.taxonomy.node
        keys = [*rows["wnid"], *(synset for _, synset, _ in others)]
        nodes = np.array([node(key) for key in keys], dtype=np.intp)
        every = PathRows(nodes, wordnet.taxonomy)
        block = every.block(len(rows), len(nodes))[:, : len(rows)]
        owners = np.array([owner for owner, _, _ in others])
        odds = np.array([odds for _, _, odds in others])
        synsets = tuple(synset for _, synset, _ in others)
        return SenseLists(Senses(owners, block.astype(np.float64), odds), synsets)


def _other_senses(rows: pd.DataFrame) -> Iterator[tuple[int, str, float]]:
    """Yield each other sense of the names: the position of the class, the synset, and
    its probability over that of the chosen synset.

    For a synset that an id or a mapping gives, the probabilities are those of the words
    alone.
    """
    names = rows["name"].to_list()
    by_words: Sequence[Any] = ()
    if rows["resolved_by"].isin(CERTAIN).any():
        by_words = resolve(names)
    for position, row in enumerate(rows.to_dict("records")):
        candidates, scores = list(row["candidates"]), list(row["candidate_scores"])
        if by_words and row["resolved_by"] in CERTAIN:
            candidates = list(by_words[position].candidates)
            scores = list(by_words[position].scores)
        probabilities = dict(zip(candidates, scores, strict=False))
        own = max(probabilities.get(row["synset"], MIN_PRIOR), MIN_PRIOR)
        others = [synset for synset in candidates if synset != row["synset"]]
        for synset in others[:MAX_SENSES]:
            yield position, synset, probabilities.get(synset, 1.0) / own


def write(out: Path) -> bool:
    """Write the table of suspects if what it is made from has changed; return whether it
    was written.
    """
    keys = layout.earlier_options(out, CURVES).get("keys", {})
    key = key_of("suspects", keys)
    if layout.earlier_options(out, SUSPECTS).get("key") == key:
        return False
    results = Results(out)
    pools: dict[Any, list[RunEvidence]] = {}
    reasons: dict[str, str] = {}
    for run in results.names:
        one = RunEvidence(results, run)
        if not len(one.classes):
            continue
        if len(one.classes) > MAX_DENSE_CLASSES:
            reasons[run] = TOO_MANY
        else:
            pools.setdefault(one.pool, []).append(one)
    rows: list[dict[str, Any]] = []
    for runs in pools.values():
        pool = Pool(runs)
        rows += pool.rows()
        found = {one.run: pool.reason(one.run) for one in runs}
        reasons |= {run: reason for run, reason in found.items() if reason is not None}
    rows.sort(key=lambda row: row["q_value"])
    table = parquet.from_rows(SUSPECTS, rows)
    scratch = layout.temporary_folder(out)
    options = {"key": key, "reasons": reasons}
    parquet.write(table, out / SUSPECTS.path, options, scratch)
    return True


class Pool:
    """The runs with one list of classes, and the evidence of their late epochs."""

    def __init__(self, runs: Sequence[RunEvidence]) -> None:
        self.runs, self.first = runs, runs[0]
        self.lists = self.first.sense_lists
        self.senses = None if self.lists is None else self.lists.senses
        self.late = {one.run: one.evidence(one.late_epochs) for one in runs}
        self.networks = {
            one.run: one.network(self.late[one.run], self.senses)
            for one in runs
            if self.late[one.run].similarity is not None
        }
        self._by_epoch: dict[str, list[tuple[Evidence, Network | None]]] = {}

    def reason(self, run: str) -> str | None:
        """Return why only some kinds of suspects are sought in a run, or None."""
        network = self.networks.get(run)
        if network is None:
            return NO_NETWORK
        if len(network.similarity) < MIN_CLASSES:
            return TOO_FEW
        if network.reference is None:
            return NO_REFERENCE
        return None if network.has_learned else NOT_LEARNED

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the suspects of all runs together."""
        every = Evidence.mean(list(self.late.values()))
        dead: list[Suspect] = []
        if every.is_known:
            dead = suspects.dead_classes(every.norms, every.counts)
        found: list[Suspect] = []
        usable = [
            run for run in self.networks if self.reason(run) in (None, NO_REFERENCE)
        ]
        if usable:
            pooled = Evidence.mean([self.late[run] for run in usable])
            of_dead = [one.members[0] for one in dead]
            left_out = np.flatnonzero(np.isin(self.first.known, of_dead)).tolist()
            found = suspects.find(self.first.network(pooled, self.senses), left_out)
        return [self.row(suspect) for suspect in [*dead, *found]]

    def row(self, suspect: Suspect) -> dict[str, Any]:
        """Return the row of a suspect, with the runs and epochs that show it."""
        p_values = {
            run: _p_value(suspect, late, self.networks.get(run))
            for run, late in self.late.items()
        }
        seeds = sum(p_value <= suspects.SINGLE_TEST for p_value in p_values.values())
        strongest = min(self.runs, key=lambda one: p_values[one.run])
        shown = [_p_value(suspect, *one) for one in self.by_epoch(strongest)]
        epochs = sum(p_value <= suspects.SINGLE_TEST for p_value in shown)
        where = Where(strongest.run, epochs, len(shown), seeds, len(self.runs))

        # The indices in the networks are those of the classes that the reference knows.
        if suspect.kind != "dead-class":
            known = self.first.known
            details = dict(suspect.details)
            if "best" in details:
                details["best"] = int(known[details["best"]])
            members = tuple(int(known[one]) for one in suspect.members)
            suspect = replace(suspect, members=members, details=details)
        return _row(suspect, self.first.names, where, self.lists)

    def by_epoch(self, run: RunEvidence) -> list[tuple[Evidence, Network | None]]:
        """Return the evidence of each epoch of a run alone."""
        if run.run not in self._by_epoch:
            found: list[tuple[Evidence, Network | None]] = []
            for epoch in run.spread_epochs:
                evidence = run.evidence([epoch])
                network = None
                if evidence.similarity is not None:
                    network = run.network(evidence, self.senses)
                found.append((evidence, network))
            self._by_epoch[run.run] = found
        return self._by_epoch[run.run]


def _p_value(suspect: Suspect, evidence: Evidence, network: Network | None) -> float:
    """Return the p-value of a suspect in the evidence of one run or epoch."""
    if suspect.kind != "dead-class":
        return 1.0 if network is None else suspects.p_value_of(network, suspect)
    if not evidence.is_known:
        return 1.0
    p_values = suspects.dead_p_values(evidence.norms, evidence.counts)
    return float(p_values[suspect.members[0]])


@dataclass(frozen=True)
class Where:
    """The run with the strongest evidence, and the numbers of epochs and runs with it."""

    run: str
    epochs: int
    of_epochs: int
    seeds: int
    of_seeds: int

    def __str__(self) -> str:
        runs = f"{self.seeds} of {count(self.of_seeds, 'run')}"
        epochs = f"{self.epochs} of {count(self.of_epochs, 'epoch')}"
        return f"in {runs}, and in {epochs} of {self.run}"


def _row(
    suspect: Suspect, names: Sequence[str], where: Where, lists: SenseLists | None
) -> dict[str, Any]:
    """Return the row of a suspect."""
    members = list(suspect.members)
    row = {name: getattr(suspect, name) for name in ("kind", "score", "q_value")}
    row |= {"null_mean": suspect.null_mean, "null_std": suspect.null_std}
    row |= {"run": where.run, "members": members, "class_index": members[0]}
    row |= {"epochs": where.epochs, "of_epochs": where.of_epochs, "seeds": where.seeds}
    row["name"] = names[members[0]]
    if len(members) == 2:
        row |= {"other_index": members[1], "other_name": names[members[1]]}
    evidence, next_step = _words(suspect, names, lists)
    row["evidence"] = f"{evidence} ({where})."
    row["next_step"] = next_step
    return row


def _words(
    suspect: Suspect, names: Sequence[str], lists: SenseLists | None
) -> tuple[str, str]:
    """Return the evidence of a suspect in words, without a full stop, and what to do."""
    details = suspect.details
    of_members = [names[member] for member in suspect.members]
    first, last = of_members[0], of_members[-1]
    z = (suspect.score - suspect.null_mean) / max(suspect.null_std, suspects.TINY)
    if suspect.kind == "wrong-label" and len(of_members) > 1:
        renamed = [
            f"{name} fits the name {other}"
            for name, other in zip(of_members, [*of_members[1:], first], strict=True)
        ]
        text = f"{' and '.join(renamed)} better than its own"
        return text, f"Check the order of {_listed(of_members)} in the label list"
    if suspect.kind == "wrong-label":
        best = names[details["best"]]
        text = f"the neighbours of {first} fit its name badly, and {best} much better"
        return text, f"Check the name {first} in the label list"
    if suspect.kind == "wrong-sense":
        assert lists is not None
        synset = lists.synsets[details["sense"]]
        text = f"{synset} fits what the network sees in {first} better than its synset"
        line = f"{suspect.members[0]},{first},{synset}"
        return text, f"Add the line {line} to the file of --map (index,name,synset)"
    if suspect.kind == "duplicate":
        text = f"{first} and {last} are nearer to each other ({z:.1f} sd) than any"
        text += " similarity of their classes explains"
        if "informedness" in details and details["informedness"] <= suspects.SAME:
            text += ", and the predictions confuse them in both directions"
        return text, f"Merge {first} and {last}, or find out what tells them apart"
    if suspect.kind == "mislabelled-images":
        text = f"{first} is nearest to {last}, which the reference puts far away"
        if "share" in details:
            text = (
                f"{details['share']:.0%} of {first} ({details['split']}) are predicted"
            )
            text += f" as {last}, and {details['reverse']:.0%} of {last} as {first}"
        return text, f"Look at the images of {first} and {last}"
    if suspect.kind == "shortcut":
        text = f"{_listed(of_members)} are close for the network ({z:.1f} sd) although"
        text += " the reference puts them far apart"
        inside = details["inside"].get("test")
        if inside is not None and inside == inside:
            text += f"; {inside:.0%} of their mistakes stay among them"
        return text, f"Look for what the images of {_listed(of_members)} share"
    text = f"the class vector of {first} has {suspect.score:.2g} times the mean length"
    samples = details["never_predicted"]
    if samples:
        text = f"{first} is never predicted"
    return text, f"Check whether the training data has images of {first}"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
