"""The table of suspects: classes, pairs and groups that deserve a look.

The statistics are in `dsi_cli.metrics.suspects`. Faults of the data are the same in all
trainings, so runs with the same classes are pooled: the evidence is the mean over the
last quarter of the epochs of each run, and over the runs. Runs that have not learned
only count for dead classes.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.cache import key_of
from dsi_cli.checkpoints.records import OK
from dsi_cli.errors import count
from dsi_cli.metrics import suspects
from dsi_cli.metrics.suspects import MIN_CLASSES, Network, Senses, Suspect
from dsi_cli.similarity import (
    MAX_DENSE_CLASSES,
    as_rows,
    centre,
    centred_weight_similarity,
)
from dsi_cli.store import layout, parquet
from dsi_cli.store.schema import (
    CHECKPOINTS,
    CLASSES,
    CONFUSIONS,
    CURVES,
    SPLITS,
    SUSPECTS,
)
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation.resolve import CERTAIN, resolve
from dsi_cli.wordnet.similarity.path_similarity import PathRows

MAX_SENSES = 6  # the number of other senses of a name that are tested
MAX_EPOCHS, MANY_CLASSES, MAX_EPOCHS_OF_MANY = 20, 256, 5
"""The number of epochs, spread evenly, in which a suspect is sought if more are stored:
up to so many classes, and above, where an epoch takes 0.3 s.
"""
MIN_PRIOR = 0.01  # of a sense that is not among those of the label's words
WORDS = {
    "exchanged": (
        "{renamed} better than their own names",
        "Check the order of {all} in the label list",
    ),
    "wrong-label": (
        "{first} fits its name badly, and the name {better} much better",
        "Check the name {first} in the label list",
    ),
    "wrong-sense": (
        "{better} fits what the network sees in {first} better than {used}, which is in"
        " use",
        "Read the definitions of both senses. If the images show {better}, add the line"
        " {index},{first},{better} to the file of --map (index,name,synset)",
    ),
    "duplicate": (
        "{first} and {last} are nearer to each other ({z:.1f} sd) than the reference and"
        " their other similarities explain{more}",
        "Check whether {first} and {last} are the same; natural look-alikes come with the"
        " same statistic",
    ),
    "mislabelled-images": (
        "{first} is nearest to {last} ({z:.1f} sd), which the reference puts far away",
        "Look at the images of {first} and {last}",
    ),
    "one-sided": (
        "{share:.0f} % of {first} ({split}) are predicted as {last}, and"
        " {reverse:.0f} % of {last} as {first}",
        "Look at the images that dsi mistakes OUT --split {split} --truth {quoted[0]}"
        " --prediction {quoted[1]} lists",
    ),
    "shortcut": (
        "{all} are close for the network ({z:.1f} sd) although the reference does not"
        " put them near one another{more}",
        "Look for what the images of {all} share",
    ),
    "dead-class": (
        "{first} has a class vector of {score:.2g} times the mean length",
        "Check whether the training data has images of {first}",
    ),
    "never-predicted": (
        "{first} is never predicted",
        "Check whether the training data has images of {first}",
    ),
}
"""The evidence and the next step of each kind of suspect, without full stops."""
BY_PREDICTIONS = {"mislabelled-images": "one-sided", "dead-class": "never-predicted"}
"""The words of the kinds that predictions show."""


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
        counts = {}
        for split in SPLITS:
            of_split = _mean([one.counts.get(split) for one in every])
            if of_split is not None:
                counts[split] = of_split
        similarity = _mean([one.similarity for one in every])
        return cls(similarity, _mean([one.norms for one in every]), counts)


def _mean(values: Sequence[NDArray[np.float64] | None]) -> Any:
    known = [one for one in values if one is not None]
    return np.mean(known, axis=0) if known else None


Shown = tuple[Evidence, Network | None]
"""The evidence of some epochs of a run, and its network, if there is a head."""


def _read_counts(path: Path) -> NDArray[np.int64]:
    return parquet.to_counts(parquet.read(path))


class RunEvidence:
    """The evidence about the classes of a run, which its files hold."""

    def __init__(self, out: Path, run: str) -> None:
        self.out, self.run = out, run
        classes = layout.read_table(out, CLASSES, run).to_pylist()
        self.classes = sorted(classes, key=lambda row: row["class_index"])
        checkpoints = layout.read_table(out, CHECKPOINTS, run).to_pylist()
        usable = [row for row in checkpoints if row["status"] == OK]
        every = sorted({row["epoch"] or 0 for row in usable})
        trained = [epoch for epoch in every if epoch != 0]
        self.epochs = trained or every
        self.references = layout.references_of(out, run)

    @cached_property
    def pool(self) -> tuple[Any, ...]:
        """The classes and references, which all runs of a pool have in common."""
        synsets = [row["synset"] for row in self.classes]
        return tuple(self.names), tuple(synsets), tuple(self.references)

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes, or else their indices."""
        return [
            f"class {row['class_index']}" if row["name"] is None else row["name"]
            for row in self.classes
        ]

    @cached_property
    def reference(self) -> NDArray[np.float64] | None:
        """The main reference ``(C, C)``, NaN for missing classes; None without one."""
        labels_id = self.classes[0]["labels_id"]
        if labels_id is None or not self.references:
            return None
        path = layout.reference_path(self.out, self.references[0], labels_id)
        if not path.is_file():
            return None
        values = parquet.read_matrix(path).astype(np.float64)
        is_known = ~np.isnan(np.diagonal(values))
        return values if np.count_nonzero(is_known) >= MIN_CLASSES else None

    @cached_property
    def known(self) -> NDArray[np.intp]:
        """The classes with a row in the reference; without a reference, all."""
        if self.reference is None:
            return np.arange(len(self.classes))
        return np.flatnonzero(~np.isnan(np.diagonal(self.reference)))

    def network(self, evidence: Evidence, senses: Senses | None) -> Network | None:
        """Return the evidence about the classes that the reference knows, or None
        without a head.
        """
        if evidence.similarity is None:
            return None
        square = np.ix_(self.known, self.known)
        reference = None if self.reference is None else self.reference[square]
        counts = {split: counts[square] for split, counts in evidence.counts.items()}
        return Network(evidence.similarity, reference, counts, senses)

    def counts(self, epochs: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        """Return the mean confusion counts ``(C, C)`` of some epochs, by split."""
        found = {}
        for split in SPLITS:
            folder = self.out, CONFUSIONS, self.run, split
            paths = [layout.split_path(*folder, epoch) for epoch in epochs]
            counts = self._of_classes(paths, _read_counts)
            if counts:
                found[split] = np.mean(counts, axis=0)
        return found

    def _of_classes(
        self, paths: Sequence[Path], read: Callable[[Path], NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """Return the arrays of the files that exist, except for those that lack
        classes.
        """
        arrays = [read(path) for path in paths if path.is_file()]
        return [one for one in arrays if len(one) == len(self.classes)]

    def evidence(self, epochs: Sequence[int]) -> Evidence:
        """Return the mean of the evidence over some epochs."""
        paths = [layout.head_path(self.out, self.run, one) for one in epochs]
        similarities, norms = [], []
        for head in self._of_classes(paths, parquet.read_weight):
            cosines = centred_weight_similarity(head[self.known])
            similarities.append(suspects.fisher(cosines))
            lengths = np.linalg.norm(centre(as_rows(head)), axis=1)
            norms.append(lengths / max(lengths.mean(), suspects.TINY))
        return Evidence(_mean(similarities), _mean(norms), self.counts(epochs))

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
        number = min(most, len(self.epochs))
        places = np.linspace(0, len(self.epochs) - 1, number).round().astype(int)
        return [self.epochs[place] for place in places]

    @cached_property
    def senses(self) -> Senses | None:
        """The other senses of the names; None unless the main reference is WordNet's
        path similarity of nouns.
        """
        wordnet = load_wordnet()
        if self.reference is None or self.references[0] != f"{wordnet.id}-path":
            return None
        rows = [self.classes[index] for index in self.known]
        others = list(_other_senses(rows))
        if not others:
            return None
        owners, synsets, odds = zip(*others, strict=True)
        keys = [*(row["wnid"] for row in rows), *synsets]
        nodes = [wordnet.taxonomy.node(key) for key in keys]
        every = PathRows(np.array(nodes, dtype=np.intp), wordnet.taxonomy)
        block = every.block(len(rows), len(nodes))[:, : len(rows)]
        similarities = block.astype(np.float64)
        return Senses(np.array(owners), similarities, np.array(odds), synsets)


def _other_senses(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[int, str, float]]:
    """Yield each other sense of the names: the position of the class, the synset, and
    its probability over that of the chosen synset.

    For a synset that an id or a mapping gives, the probabilities are those of the words
    alone.
    """
    by_words: Sequence[Any] = ()
    if any(row["resolved_by"] in CERTAIN for row in rows):
        by_words = resolve([row["name"] for row in rows])
    for position, row in enumerate(rows):
        candidates, scores = row["candidates"], row["candidate_scores"]
        if by_words and row["resolved_by"] in CERTAIN:
            candidates = by_words[position].candidates
            scores = by_words[position].scores
        probabilities = dict(zip(candidates, scores, strict=False))
        own = max(probabilities.get(row["synset"], MIN_PRIOR), MIN_PRIOR)
        others = [synset for synset in candidates if synset != row["synset"]]
        for synset in others[:MAX_SENSES]:
            yield position, synset, probabilities.get(synset, 1.0) / own


def write(out: Path) -> bool:
    """Write the table of suspects if what it is made from has changed; return whether
    it was written.
    """
    keys = layout.earlier_options(out, CURVES).get("keys", {})
    key = key_of("suspects", keys)
    if layout.earlier_options(out, SUSPECTS).get("key") == key:
        return False
    runs = layout.read_table(out, CHECKPOINTS)["run"].to_pylist()
    pools: dict[Any, list[RunEvidence]] = {}
    reasons: dict[str, str] = {}
    for run in dict.fromkeys(runs):
        one = RunEvidence(out, run)
        if not one.classes:
            continue
        if len(one.classes) > MAX_DENSE_CLASSES:
            reasons[run] = "many-classes"
        else:
            pools.setdefault(one.pool, []).append(one)
    rows: list[dict[str, Any]] = []
    for of_pool in pools.values():
        pool = Pool(of_pool)
        rows += pool.rows()
        found = {one.run: pool.reason(one.run) for one in of_pool}
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
        self.senses = self.first.senses
        self.late = {one.run: self.shown(one, one.late_epochs) for one in runs}
        self._by_epoch: dict[str, list[Shown]] = {}

    def shown(self, run: RunEvidence, epochs: Sequence[int]) -> Shown:
        """Return the evidence of some epochs of a run, and its network."""
        evidence = run.evidence(epochs)
        return evidence, run.network(evidence, self.senses)

    def reason(self, run: str) -> str | None:
        """Return why only some kinds of suspects are sought in a run, as a code of
        `NOT_SOUGHT`, or None.
        """
        _, network = self.late[run]
        if network is None:
            return "no-head"
        if len(network.similarity) < MIN_CLASSES:
            return "few-classes"
        if network.reference is None:
            return "no-reference"
        return None if network.has_learned else "within-chance"

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the suspects of all runs together."""
        every = Evidence.mean([evidence for evidence, _ in self.late.values()])
        dead: list[Suspect] = []
        if every.is_known:
            dead = suspects.dead_classes(every.norms, every.counts)
        rows = [self.row(suspect, None) for suspect in dead]
        usable = [
            evidence
            for run, (evidence, _) in self.late.items()
            if self.reason(run) in (None, "no-reference")
        ]
        network = self.first.network(Evidence.mean(usable), self.senses)
        if network is not None:
            of_dead = [one.members[0] for one in dead]
            left_out = np.flatnonzero(np.isin(self.first.known, of_dead)).tolist()
            found = suspects.find(network, left_out)
            rows += [self.row(suspect, network) for suspect in found]
        return rows

    def row(self, suspect: Suspect, network: Network | None) -> dict[str, Any]:
        """Return the row of a suspect of the pooled network, or of a dead class, with
        the runs and epochs that show it.
        """
        p_values = {run: _p_value(suspect, *late) for run, late in self.late.items()}
        seeds = sum(p_value <= suspects.SINGLE_TEST for p_value in p_values.values())
        strongest = min(self.runs, key=lambda one: p_values[one.run])
        by_epoch = [_p_value(suspect, *shown) for shown in self.by_epoch(strongest)]
        epochs = sum(p_value <= suspects.SINGLE_TEST for p_value in by_epoch)

        members = list(suspect.members)
        if network is not None:  # its classes are those that the reference knows
            members = self.first.known[members].tolist()
        names = [self.first.names[member] for member in members]
        of_runs = f"{seeds} of {count(len(self.runs), 'run')}"
        of_epochs = f"{epochs} of {count(len(by_epoch), 'epoch')} of {strongest.run}"
        evidence, next_step = self.words(suspect, network, members)
        row = vars(suspect) | {
            "run": strongest.run,
            "class_index": members[0],
            "name": names[0],
            "members": members,
            "epochs": epochs,
            "of_epochs": len(by_epoch),
            "seeds": seeds,
            "evidence": f"{evidence} ({of_runs}, {of_epochs}).",
            "next_step": f"{next_step}.",
        }
        if len(members) == 2:
            row |= {"other_index": members[1], "other_name": names[1]}
        return row

    def by_epoch(self, run: RunEvidence) -> list[Shown]:
        """Return the evidence of each epoch of a run alone."""
        if run.run not in self._by_epoch:
            alone = [self.shown(run, [epoch]) for epoch in run.spread_epochs]
            self._by_epoch[run.run] = alone
        return self._by_epoch[run.run]

    def words(
        self, suspect: Suspect, network: Network | None, members: Sequence[int]
    ) -> tuple[str, str]:
        """Return the evidence of a suspect and what to do, without full stops."""
        names = [self.first.names[member] for member in members]
        renamed = zip(names, [*names[1:], names[0]], strict=True)
        deviation = max(suspect.null_std, suspects.TINY)
        values: dict[str, Any] = {
            "index": members[0],
            "first": names[0],
            "last": names[-1],
            "all": f"{', '.join(names[:-1])} and {names[-1]}",
            "renamed": " and ".join(
                f"{one} fits the name {name}" for one, name in renamed
            ),
            "quoted": [shlex.quote(name) for name in names],
            "score": suspect.score,
            "split": suspect.split,
            "z": (suspect.score - suspect.null_mean) / deviation,
        }
        if network is not None:
            values |= self._measured(suspect, network)
        case = suspect.kind
        if suspect.split is not None:
            case = BY_PREDICTIONS[case]
        elif case == "wrong-label" and len(members) > 1:
            case = "exchanged"
        evidence, next_step = WORDS[case]
        return evidence.format(**values), next_step.format(**values)

    def _measured(self, suspect: Suspect, network: Network) -> dict[str, Any]:
        """Return what the words of a suspect tell of its network, by kind."""
        members, fit = suspect.members, suspect.fit
        if suspect.kind == "wrong-label" and fit is not None:
            return {"better": self.first.names[self.first.known[fit]]}
        if suspect.kind == "wrong-sense":
            assert self.senses is not None
            assert fit is not None
            used = self.first.classes[self.first.known[members[0]]]["synset"]
            return {"better": self.senses.synsets[fit], "used": used}
        if suspect.split is not None:
            shares = 100 * suspects.confusion_shares(network.counts[suspect.split])
            return {"share": shares[members], "reverse": shares[members[::-1]]}
        more = ""
        if suspect.kind == "duplicate" and network.told_apart[members] <= suspects.SAME:
            more = ", and the predictions confuse them in both directions"
        if suspect.kind == "shortcut" and "test" in network.counts:
            inside = 100 * suspects.share_inside(network.counts["test"], members)
            if not np.isnan(inside):
                more = f"; {inside:.0f} % of their mistakes stay among them"
        return {"more": more}


def _p_value(suspect: Suspect, evidence: Evidence, network: Network | None) -> float:
    """Return the p-value of a suspect in the evidence of one run or epoch."""
    if suspect.kind != "dead-class":
        return 1.0 if network is None else suspects.p_value_of(network, suspect)
    if not evidence.is_known:
        return 1.0
    p_values = suspects.dead_p_values(evidence.norms, evidence.counts)
    return float(p_values[suspect.members[0]])
