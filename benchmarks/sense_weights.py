"""``python -m benchmarks.sense_weights``: fit the weights of
`dsi_cli.wordnet.disambiguation.scoring`, and print them.

They are fitted by the likelihood of the right senses (a conditional logit, L2), first
for labels alone, then in rounds for the list's chances that the weights of the last
round give. The lists, each label with the synset that it means:

- ImageNet-1k by each class's first name; by a name at random; by all names; with a
  hypernym in brackets at random
- CIFAR-100, CIFAR-10, COCO and Fashion-MNIST; CIFAR-100 in the plural
- the hypernyms of ImageNet-1k's classes by their own first names, and together with the
  classes
- ImageNet-1k in 25 pieces of 40 neighbours, and 25 random samples of 40: a list need
  not be long

The truth is that of the presets of these names. No other list is among them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet.database import taxonomy
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.disambiguation import candidates, scoring
from dsi_cli.wordnet.disambiguation.features import (
    LABEL_FEATURES,
    LIST_FEATURES,
    CandidateTable,
    candidate_table,
    list_features,
)

PENALTY = 1.0
"""L2 on each weight, where a label of ImageNet-1k counts 1."""
ROUNDS = 3
FOLDS = 5
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Known:
    """A list of labels with the nodes that they mean; ``keys`` tie copies of a class
    together, for folds.
    """

    name: str
    labels: tuple[str, ...]
    nodes: tuple[int, ...]
    keys: tuple[int, ...]
    weight: float
    field: CandidateTable

    @property
    def right(self) -> NDArray[np.bool_]:
        """True for each candidate that its label means."""
        return np.array(self.nodes)[self.field.label] == self.field.node


def known(
    name: str,
    labels: Sequence[str],
    nodes: Sequence[int],
    keys: Sequence[int],
    weight: float,
) -> Known:
    """Return a list with its candidates."""
    readings = tuple(candidates.read_label(label) for label in labels)
    return Known(
        name,
        tuple(labels),
        tuple(nodes),
        tuple(keys),
        weight,
        candidate_table(labels, readings, load_wordnet()),
    )


def table(name: str) -> list[tuple[int, str]]:
    """Return the nodes and labels of a preset."""
    graph, preset = taxonomy.load(), load_preset(name)
    nodes = [graph.node(wnid or "") for wnid in preset.wnids or ()]
    return [
        (node, label)
        for node, label in zip(nodes, preset.names, strict=True)
        if node is not None
    ]


def lists() -> list[Known]:
    """Return all lists that the weights are fitted on."""
    rows = table("imagenet1k")
    made = [*_of_imagenet(rows), *_pieces(rows)]
    for name, weight in (
        ("cifar100", 2.0),
        ("cifar10", 1.0),
        ("coco80", 2.0),
        ("fashion-mnist", 1.0),
    ):
        these = table(name)
        nodes = [node for node, _ in these]
        made.append(
            known(name, [label for _, label in these], nodes, range(len(these)), weight)
        )
        if name == "cifar100":
            made.append(
                known(
                    f"{name}, plural",
                    [plural(label) for _, label in these],
                    nodes,
                    range(len(these)),
                    0.5,
                )
            )
    return made


def _of_imagenet(rows: Sequence[tuple[int, str]]) -> list[Known]:
    rng = np.random.default_rng(0)
    nodes, keys = [node for node, _ in rows], list(range(len(rows)))
    names = [[name.strip() for name in label.split(",")] for _, label in rows]
    first = [some[0] for some in names]
    brackets = [
        _with_bracket(name, node, rng) for name, node in zip(first, nodes, strict=True)
    ]
    parents = taxonomy.load().parents_of
    above = sorted(
        {
            node
            for one in nodes
            for parent in parents(one)
            for node in (parent, *parents(parent))
        }
    )
    own = [_own_name(node) for node in above]
    return [
        known("imagenet1k", first, nodes, keys, 1.0),
        known(
            "imagenet1k, a name at random",
            [str(rng.choice(some)) for some in names],
            nodes,
            keys,
            0.5,
        ),
        known("imagenet1k, all names", [label for _, label in rows], nodes, keys, 0.3),
        known("imagenet1k, with a bracket", brackets, nodes, keys, 0.2),
        known("hypernyms", own, above, range(len(above)), 0.3),
        known(
            "imagenet1k and hypernyms",
            first + own,
            nodes + above,
            [*keys, *range(len(above))],
            0.2,
        ),
    ]


def _pieces(rows: Sequence[tuple[int, str]]) -> list[Known]:
    rng = np.random.default_rng(0)
    parts = [list(range(start, start + 40)) for start in range(0, len(rows), 40)]
    parts += [
        sorted(rng.choice(len(rows), 40, replace=False).tolist()) for _ in range(25)
    ]
    first = [label.split(",")[0] for _, label in rows]
    return [
        known(
            "40 of imagenet1k",
            [first[k] for k in part],
            [rows[k][0] for k in part],
            part,
            0.3,
        )
        for part in parts
    ]


def plural(name: str) -> str:
    """Return the regular plural of a name."""
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return (
        f"{name[:-1]}ies"
        if name.endswith("y") and name[-2] not in "aeiou"
        else f"{name}s"
    )


def _own_name(node: int) -> str:
    return taxonomy.load().names[node].rsplit(".", 2)[0].replace("_", " ")


def _with_bracket(name: str, node: int, rng: np.random.Generator) -> str:
    above = [
        n
        for n in sorted(taxonomy.hypernym_closure(taxonomy.load(), node) - {node})
        if load_wordnet().kinds["size"][n] < 5000
    ]
    return f"{name} ({_own_name(int(rng.choice(above)))})" if above else name


def fit(some: Sequence[Known], keep: Sequence[NDArray[np.bool_]]) -> Floats:
    """Return the weights fitted on the labels to keep of each list."""
    first = _fit(some, [one.field.alone for one in some], keep)
    alone = np.append(first, np.zeros(len(LIST_FEATURES)))
    weights = np.array([alone, alone])
    for turn in range(ROUNDS):
        evidence = []
        for one in some:
            first_chances = scoring.softmax(one.field, one.field.alone @ first)
            chances = (
                scoring.infer_senses(one.field, weights) if turn else first_chances
            )
            evidence.append(
                np.hstack([one.field.alone, list_features(one.field, chances)])
            )
        weights = np.array([alone, _fit(some, evidence, keep)])
    return weights


def _fit(
    some: Sequence[Known], evidence: Sequence[Floats], keep: Sequence[NDArray[np.bool_]]
) -> Floats:
    parts = [_usable(*row) for row in zip(some, evidence, keep, strict=True)]

    def loss(weights: Floats) -> tuple[float, Floats]:
        total, slope = 0.5 * PENALTY * float(weights @ weights), PENALTY * weights
        for x, starts, right, weight in parts:
            scores = x @ weights
            counts = np.diff(np.append(starts, len(scores)))
            scores -= np.repeat(np.maximum.reduceat(scores, starts), counts)
            raised = np.exp(scores)
            chances = raised / np.repeat(np.add.reduceat(raised, starts), counts)
            total -= weight * float(np.log(np.maximum(chances[right], 1e-12)).sum())
            slope = slope - weight * (x.T @ (right - chances))
        return total, slope

    result: Any = minimize(
        loss, np.zeros(evidence[0].shape[1]), jac=True, method="L-BFGS-B"
    )
    return np.asarray(result.x)


def _usable(
    one: Known, evidence: Floats, keep: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.intp], Any, float]:
    """Return the candidates of labels that are kept, have several and the right one
    among them; and where each starts.
    """
    label, right = one.field.label, one.right
    several = np.bincount(label, minlength=one.field.count) > 1
    has_right = np.bincount(label, right, minlength=one.field.count) == 1
    rows = (keep & several & has_right)[label]
    starts = np.flatnonzero(np.diff(label[rows], prepend=-1))
    return evidence[rows], starts, right[rows], one.weight


def folds(one: Known) -> NDArray[np.intp]:
    """Return the fold of each label; copies of a class are in one fold in all lists of
    ImageNet.
    """
    return (
        np.random.default_rng(0)
        .integers(0, FOLDS, 10_000)[np.array(one.keys) % 10_000]
        .astype(np.intp)
    )


def held_out(
    some: Sequence[Known], weights_of: Sequence[Floats]
) -> list[list[tuple[int, float]]]:
    """Return for each list the node and confidence of each label, by weights that were
    fitted without its fold; -1 for none.
    """
    found: list[list[tuple[int, float]]] = [
        [(-1, 0.0)] * len(one.labels) for one in some
    ]
    for turn, weights in enumerate(weights_of):
        for one, row in zip(some, found, strict=True):
            choices = scoring.select_senses(one.field, weights)
            for k in np.flatnonzero(folds(one) == turn):
                choice = choices[k]
                if len(choice.candidates):
                    row[k] = (
                        int(one.field.node[choice.candidates[0]]),
                        choice.confidence,
                    )
    return found


def fit_without_each_fold(some: Sequence[Known]) -> list[Floats]:
    """Return the weights fitted without the first fold, without the second, and so
    on.
    """
    return [fit(some, [folds(one) != turn for one in some]) for turn in range(FOLDS)]


def main() -> int:
    """Fit on everything and print the literal table."""
    some = lists()
    weights = fit(some, [np.ones(len(one.labels), dtype=bool) for one in some])
    print("WEIGHTS: dict[str, tuple[float, float]] = {")
    for name, alone, in_list in zip(
        (*LABEL_FEATURES, *LIST_FEATURES), *weights, strict=True
    ):
        print(f'    "{name}": ({alone:.2f}, {in_list:.2f}),')
    print("}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
