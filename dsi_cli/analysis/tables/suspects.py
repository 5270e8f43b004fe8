"""The table of suspects: classes, pairs and groups that deserve a look.

The statistics are in `dsi_cli.metrics.suspects`, the words in `dsi_cli.suspect_kinds`.
Faults of the data are the same in all trainings, so runs with the same classes are
pooled: the evidence is the mean over the last epochs of each run, and over the runs.
Runs that have not learned only count for dead classes.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.cache import key_of
from dsi_cli.analysis.tables import input_agreement
from dsi_cli.checkpoints.records import OK
from dsi_cli.metrics import suspects
from dsi_cli.metrics.pair_confusions import (
    Z_95,
    told_apart,
    told_apart_interval,
    wilson,
)
from dsi_cli.metrics.pair_residuals import (
    TINY,
    fisher,
    upper,
    with_diagonal,
)
from dsi_cli.metrics.suspects import MIN_CLASSES, MIN_NAMES, Network, Senses, Suspect
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
from dsi_cli.suspect_kinds import (
    KIND_NAMES,
    KINDS_BY_NAME,
    ORDINARY,
    TEST,
    TRAIN,
    WEIGHTS,
    quoted,
)
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation.resolve import CERTAIN, resolve
from dsi_cli.wordnet.similarity.path_similarity import PathRows

MAX_SENSES = 6  # the number of other senses of a name that are tested
LATE_SHARE, MIN_LATE = 4, 3
"""The evidence is that of the last epochs: one in so many, at least so many."""
MAX_EPOCHS, MANY_CLASSES, MAX_EPOCHS_OF_MANY = 20, 256, 5
"""The number of epochs, spread evenly, in which a suspect is sought if more are stored:
up to so many classes, and above, where an epoch takes 0.3 s.
"""
MIN_PRIOR = 0.01  # of a sense that is not among those of the label's words

Matrix = NDArray[np.float64]


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
        self.distrusted = input_agreement.distrusted(out, run)

    @cached_property
    def pool(self) -> tuple[Any, ...]:
        """The classes, references and distrust, which all runs of a pool have in
        common.
        """
        synsets = tuple(row["synset"] for row in self.classes)
        distrusts_labels = "labels" in self.distrusted
        return tuple(self.names), synsets, tuple(self.references), distrusts_labels

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes, or else their indices."""
        if "labels" in self.distrusted:
            return [f"class {row['class_index']}" for row in self.classes]
        return [
            f"class {row['class_index']}" if row["name"] is None else row["name"]
            for row in self.classes
        ]

    @cached_property
    def reference(self) -> Matrix | None:
        """The main reference ``(C, C)``, NaN for missing classes; None without one, or
        if other inputs contradict the labels.
        """
        labels_id = self.classes[0]["labels_id"]
        if labels_id is None or not self.references or "labels" in self.distrusted:
            return None
        path = layout.reference_path(self.out, self.references[0], labels_id)
        if not path.is_file():
            return None
        return parquet.read_matrix(path).astype(np.float64)

    def network(self, epochs: Sequence[int]) -> Network | None:
        """Return the mean of the evidence over some epochs; None without any."""
        paths = [layout.head_path(self.out, self.run, one) for one in epochs]
        similarities, lengths = [], []
        for head in self._of_classes(paths, parquet.read_weight):
            similarity, of_rows = head_evidence(head)
            similarities.append(similarity)
            lengths.append(of_rows)
        counts = self._counts(epochs)
        if not similarities and not counts:
            return None
        unknown = np.full((len(self.classes), len(self.classes)), np.nan)
        return Network(
            np.mean(similarities, axis=0) if similarities else unknown,
            np.mean(lengths, axis=0) if lengths else None,
            self.reference,
            counts,
            self.senses,
        )

    def _counts(self, epochs: Sequence[int]) -> dict[str, Matrix]:
        """Return the mean confusion counts ``(C, C)`` of some epochs, by split."""
        found = {}
        for split in SPLITS:
            if f"predictions:{split}" in self.distrusted:
                continue
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

    @property
    def late_epochs(self) -> list[int]:
        """The last trained epochs, a quarter of them or three."""
        return self.epochs[-max(MIN_LATE, len(self.epochs) // LATE_SHARE) :]

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
        others = list(_other_senses(self.classes))
        if not others:
            return None
        owners, synsets, odds = zip(*others, strict=True)
        known = np.flatnonzero(~np.isnan(np.diagonal(self.reference)))
        keys = [*(self.classes[index]["wnid"] for index in known), *synsets]
        nodes = [wordnet.taxonomy.node(key) for key in keys]
        every = PathRows(np.array(nodes, dtype=np.intp), wordnet.taxonomy)
        block = every.block(len(known), len(nodes))[:, : len(known)]
        rows = np.full((len(synsets), len(self.classes)), np.nan)
        rows[:, known] = block.astype(np.float64)
        return Senses(np.array(owners), rows, np.array(odds), synsets)


def _read_counts(path: Path) -> NDArray[np.int64]:
    return parquet.to_counts(parquet.read(path))


def _other_senses(
    classes: Sequence[dict[str, Any]],
) -> Iterator[tuple[int, str, float]]:
    """Yield each other sense of the names: the index of the class, the synset, and its
    probability over that of the chosen synset.

    The synset of another class is no other sense: these classes may be the same. For a
    synset that an id or a mapping gives, the probabilities are those of the words
    alone.
    """
    by_words: Sequence[Any] = ()
    known = [row for row in classes if row["synset"] is not None]
    if any(row["resolved_by"] in CERTAIN for row in known):
        by_words = resolve([row["name"] for row in known])
    used = {row["synset"] for row in known}
    for position, row in enumerate(known):
        candidates, scores = row["candidates"], row["candidate_scores"]
        if by_words and row["resolved_by"] in CERTAIN:
            candidates = by_words[position].candidates
            scores = by_words[position].scores
        probabilities = dict(zip(candidates, scores, strict=False))
        own = max(probabilities.get(row["synset"], MIN_PRIOR), MIN_PRIOR)
        others = [synset for synset in candidates if synset not in used]
        for synset in others[:MAX_SENSES]:
            odds = probabilities.get(synset, 1.0) / own
            yield row["class_index"], synset, odds


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
    reasons: dict[str, list[str]] = {}
    for run in dict.fromkeys(runs):
        one = RunEvidence(out, run)
        if not one.classes:
            continue
        if len(one.classes) > MAX_DENSE_CLASSES:
            reasons[run] = ["many-classes"]
        else:
            pools.setdefault(one.pool, []).append(one)
    rows: list[dict[str, Any]] = []
    for of_pool in pools.values():
        pool = Pool(of_pool)
        rows += pool.rows()
        found = {one.run: pool.reasons(one.run) for one in of_pool}
        reasons |= {run: codes for run, codes in found.items() if codes}
    table = parquet.from_rows(SUSPECTS, rows)
    scratch = layout.temporary_folder(out)
    options = {"key": key, "reasons": reasons}
    parquet.write(table, out / SUSPECTS.path, options, scratch)
    return True


class Pool:
    """The runs with one list of classes, and the evidence of their late epochs."""

    def __init__(self, runs: Sequence[RunEvidence]) -> None:
        self.runs, self.first = runs, runs[0]
        self.late = {one.run: one.network(one.late_epochs) for one in runs}
        self._by_epoch: dict[str, list[Network | None]] = {}

    def reasons(self, run: str) -> list[str]:
        """Return why only some kinds of suspects are sought in a run, as codes of
        `NOT_SOUGHT`.
        """
        network = self.late[run]
        if network is None or network.lengths is None:
            return ["no-head"]
        if len(network.similarity) < MIN_CLASSES:
            return ["few-classes"]
        if not network.has_learned:
            return ["within-chance"]
        found = []
        (of_run,) = [one for one in self.runs if one.run == run]
        if of_run.distrusted:
            found.append("distrusted")
        if network.reference is None:
            found.append("no-reference")
        elif len(network.named) < MIN_NAMES:
            found.append("few-names")
        if TEST not in network.counts:
            found.append("no-predictions")
        elif TRAIN not in network.counts:
            found.append("no-training-predictions")
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the suspects of all runs together, the strong ones first,
        in the order of the kinds.
        """
        known = [network for network in self.late.values() if network is not None]
        if not known:
            return []
        learned = [network for network in known if network.has_learned]
        network = mean_network(learned or known)
        found = suspects.find(network)
        rows = [
            self.row(suspect, rank, network)
            for kind in KIND_NAMES
            for rank, suspect in enumerate(found[kind], 1)
        ]
        strengths = {
            (suspect.kind, suspect.members, suspect.fit): suspect.strength
            for of_kind in found.values()
            for suspect in of_kind
        }
        return sorted(
            rows,
            key=lambda row: (
                row["grade"] == ORDINARY,
                -strengths[row["kind"], tuple(row["members"]), row["fit"]],
            ),
        )

    def row(self, suspect: Suspect, rank: int, network: Network) -> dict[str, Any]:
        """Return the row of a suspect of the pooled network, with the runs and epochs
        that show it.
        """
        standings = {
            run: None if of_run is None else suspects.standing(of_run, suspect)
            for run, of_run in self.late.items()
        }
        seeds = sum(_is_shown(one) for one in standings.values())
        strongest = min(self.runs, key=lambda one: _rank_or_last(standings[one.run]))
        by_epoch = [
            None if of_epoch is None else suspects.standing(of_epoch, suspect)
            for of_epoch in self.by_epoch(strongest)
        ]
        epochs = strongest.spread_epochs
        members = list(suspect.members)
        names = [self.first.names[member] for member in members]
        effect = _effect(suspect, network)
        evidence, next_step = self.words(suspect, effect)
        row = vars(suspect) | {
            "run": strongest.run,
            "class_index": members[0],
            "name": names[0],
            "members": members,
            "rank": rank,
            "grade": suspect.grade,
            "effect": effect["effect"],
            "effect_low": effect.get("low"),
            "effect_high": effect.get("high"),
            "epochs": sum(_is_shown(one) for one in by_epoch),
            "of_epochs": len(by_epoch),
            "since_epoch": _since(epochs, by_epoch),
            "epoch_ranks": [0 if one is None else one[1] for one in by_epoch],
            "tested_epochs": epochs,
            "seeds": seeds,
            "evidence": f"{evidence}.",
            "next_step": f"{next_step}.",
        }
        if len(members) == 2:
            row |= {"other_index": members[1], "other_name": names[1]}
        return row

    def by_epoch(self, run: RunEvidence) -> list[Network | None]:
        """Return the evidence of each epoch of a run alone."""
        if run.run not in self._by_epoch:
            alone = [run.network([epoch]) for epoch in run.spread_epochs]
            self._by_epoch[run.run] = alone
        return self._by_epoch[run.run]

    def words(self, suspect: Suspect, effect: Mapping[str, float]) -> tuple[str, str]:
        """Return the evidence of a suspect and what to do, without full stops."""
        names = quoted([self.first.names[member] for member in suspect.members])
        listed = (
            names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        )
        values: dict[str, Any] = {
            "index": suspect.members[0],
            "first": names[0],
            "last": names[-1],
            "all": listed,
            "quoted": [
                shlex.quote(self.first.names[member]) for member in suspect.members
            ],
            "score": suspect.score,
            **effect,
        }
        if "low" in effect:
            values["percent"] = 100 * effect["effect"]
            low, high = 100 * effect["low"], 100 * effect["high"]
            values["percents"] = f"{low:.0f} to {high:.0f} %"
        if "closer_pairs" in effect:
            values["closer"] = _closer(effect)
        if "other" in effect:
            values["other"] = self.first.names[int(effect["other"])]
        if suspect.fit is not None:
            assert self.first.senses is not None
            values["better"] = self.first.senses.synsets[suspect.fit]
            values["used"] = self.first.classes[suspect.members[0]]["synset"]
        kind = KINDS_BY_NAME[suspect.kind]
        measured = kind.measured[suspect.source]
        evidence = measured.evidence
        if len(names) == 1 and measured.evidence_of_one is not None:
            evidence = measured.evidence_of_one
        next_step = measured.next_step or kind.next_step
        return evidence.format(**values), next_step.format(**values)


def _is_shown(standing: tuple[str, int] | None) -> bool:
    """Return whether a run or an epoch alone shows a suspect."""
    return standing is not None and standing[0] != ORDINARY


def _rank_or_last(standing: tuple[str, int] | None) -> float:
    return np.inf if standing is None else standing[1]


def _since(
    epochs: Sequence[int], standings: Sequence[tuple[str, int] | None]
) -> int | None:
    """Return the first epoch from which all later ones show a suspect; None if the last
    does not, or is the only one.
    """
    since = None
    if len(epochs) < 2:
        return None
    for epoch, one in zip(reversed(epochs), reversed(standings), strict=True):
        if not _is_shown(one):
            break
        since = epoch
    return since


def head_evidence(weight: NDArray[np.floating]) -> tuple[Matrix, Matrix]:
    """Return Fisher's z ``(C, C)`` of the cosines of the centred class vectors of a
    head, and the lengths ``(C,)`` of these vectors over their mean.
    """
    lengths = np.linalg.norm(centre(as_rows(weight)), axis=1)
    similarity = fisher(centred_weight_similarity(weight))
    return similarity, lengths / max(lengths.mean(), TINY)


def mean_network(networks: Sequence[Network]) -> Network:
    """Return the mean of the evidence of several networks of a pool."""
    if len(networks) == 1:
        return networks[0]
    with_head = [one for one in networks if one.lengths is not None]
    lengths = [one.lengths for one in with_head if one.lengths is not None]
    counts = {}
    for split in SPLITS:
        of_split = [one.counts[split] for one in networks if split in one.counts]
        if of_split:
            counts[split] = np.mean(of_split, axis=0)
    if not with_head:
        return replace(networks[0], counts=counts)
    return replace(
        with_head[0],
        similarity=np.mean([one.similarity for one in with_head], axis=0),
        lengths=np.mean(lengths, axis=0),
        counts=counts,
    )


# The effects, in the terms of users


def _effect(suspect: Suspect, network: Network) -> dict[str, float]:
    """Return the size of what a suspect shows, ``effect``, with its 95 % CI from
    ``low`` to ``high`` if it has one, and what else the words name.
    """
    return EFFECTS[suspect.kind](suspect, network)


def _of_pair(suspect: Suspect, network: Network) -> dict[str, float]:
    values = _closer_pairs(network.closeness, suspect)
    if suspect.source == TEST:
        values |= _apart(network, *suspect.members)
    return values


def _of_group(suspect: Suspect, network: Network) -> dict[str, float]:
    values = _closer_pairs(network.unexplained, suspect)
    if suspect.source == TEST:
        # The predictions of the pair that they tell apart least.
        members = np.array(suspect.members)
        apart = told_apart(network.counts[TEST])[np.ix_(members, members)]
        apart[np.diag_indices(len(members))] = np.inf
        first, second = np.unravel_index(np.nanargmin(apart), apart.shape)
        values |= _apart(network, int(members[first]), int(members[second]))
    return values


def _apart(network: Network, first: int, second: int) -> dict[str, float]:
    images, share, low, high = told_apart_interval(network.counts[TEST], first, second)
    return {"images": images, "effect": share, "low": low, "high": high}


def _closer_pairs(close: Matrix, suspect: Suspect) -> dict[str, float]:
    """Return how many pairs are closer than the farthest pair of a suspect, of how
    many; the effect is the share of the others.
    """
    farthest = upper(close[np.ix_(suspect.members, suspect.members)]).min()
    pairs = upper(close)
    pairs = pairs[np.isfinite(pairs)]
    closer = int(np.count_nonzero(pairs > farthest))
    return {
        "effect": 1 - closer / len(pairs),
        "closer_pairs": closer,
        "pairs": len(pairs),
    }


def _closer(effect: Mapping[str, float]) -> str:
    """Return the pairs that are farther as words, such as all but 2 of 780 pairs."""
    pairs, closer = int(effect["pairs"]), int(effect["closer_pairs"])
    if closer == 0:
        return f"all of {pairs:,} pairs"
    return f"all but {closer:,} of {pairs:,} pairs"


def _of_images(suspect: Suspect, network: Network) -> dict[str, float]:
    label, other = suspect.members
    test = network.counts[TEST]
    # Test labels are right, so the network predicts the label for images of the other.
    truth, prediction, counts = other, label, test
    if suspect.source == TRAIN:
        truth, prediction, counts = label, other, network.counts[TRAIN]
    share, low, high = wilson(counts[truth, prediction], counts[truth].sum())
    reverse, _, _ = wilson(test[label, other], test[label].sum())
    return {"effect": share, "low": low, "high": high, "reverse": 100 * reverse}


def _of_name(suspect: Suspect, network: Network) -> dict[str, float]:
    place = int(np.searchsorted(network.named, suspect.members[0]))
    fits = network.own_fit
    correlation = float(fits[place])
    # Fisher's interval over the other classes.
    half = Z_95 / np.sqrt(max(len(fits) - 4, 1))
    others = with_diagonal(network.gains, -np.inf)[place]
    centre_of = np.arctanh(np.clip(correlation, -0.999, 0.999))
    return {
        "effect": correlation,
        "low": float(np.tanh(centre_of - half)),
        "high": float(np.tanh(centre_of + half)),
        "usual": float(np.median(fits)),
        # the other name that fits the class best
        "other": int(network.named[others.argmax()]),
    }


def _of_dead(suspect: Suspect, network: Network) -> dict[str, float]:
    one = suspect.members[0]
    if suspect.source == WEIGHTS:
        assert network.lengths is not None
        usual = max(float(np.median(network.lengths)), TINY)
        return {"effect": float(network.lengths[one] / usual)}
    counts = network.counts[TEST]
    images, predicted = float(counts[one].sum()), float(counts[:, one].sum())
    share, low, high = wilson(min(predicted, images), images)
    return {
        "effect": share,
        "low": low,
        "high": high,
        "images": images,
        "predicted": predicted,
    }


EFFECTS: Mapping[str, Callable[[Suspect, Network], dict[str, float]]] = {
    "duplicate": _of_pair,
    "mislabelled-images": _of_images,
    "shortcut": _of_group,
    "wrong-label": _of_name,
    "wrong-sense": _of_name,
    "dead-class": _of_dead,
}
"""The effect of each kind."""
