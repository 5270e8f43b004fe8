"""IDM against a loop over samples, full enumeration, and the cases that have a known
answer.
"""

from itertools import permutations

import numpy as np
import pytest
from helpers.errors import raises
from numpy.testing import assert_allclose

from dsi_cli.metrics.idm import idm
from dsi_cli.metrics.measures import similarity_ranks

RNG = np.random.default_rng(5)


def slow_rank(row, i: int, j: int, tied: float = 0.5) -> float:
    others = [k for k in range(len(row)) if k not in (i, j)]
    if i == j:
        return 0.0
    return (
        1
        + sum(row[k] > row[j] for k in others)
        + tied * sum(row[k] == row[j] for k in others)
    )


def slow_idm(counts, csm, variant: str, tied: float = 0.5) -> float:
    classes = len(csm)
    values = {i: [] for i in range(classes)}
    for i in range(classes):
        for j in range(classes):
            values[i] += [slow_rank(csm[i], i, j, tied)] * int(counts[i, j])
    if variant == "macro":
        return 1 - np.mean([np.mean(v) for v in values.values() if v]) / (classes - 1)
    ranks = [
        rank for v in values.values() for rank in v if variant == "all" or rank > 0
    ]
    return 1 - np.mean(ranks) / (classes - 1)


def example(classes: int, ties: bool, empty: bool = False):
    csm = RNG.random((classes, classes)).astype(np.float32)
    if ties:
        csm = np.round(csm * 3).astype(np.float32)
    np.fill_diagonal(csm, 4)
    counts = RNG.integers(0, 6, (classes, classes)) + 9 * np.eye(classes, dtype=int)
    if empty:
        counts[2] = 0
    return counts, csm


@pytest.mark.parametrize("variant", ["all", "errors", "macro"])
@pytest.mark.parametrize(
    ("classes", "ties", "empty"),
    [(4, False, False), (7, True, False), (12, True, True), (30, False, True)],
)
def test_idm_equals_a_loop_over_samples(variant, classes, ties, empty):
    counts, csm = example(classes, ties, empty)
    kept = np.flatnonzero(counts.sum(axis=1) > 0)
    want = slow_idm(counts[np.ix_(kept, kept)], csm[np.ix_(kept, kept)], variant)
    found = idm(counts, csm)[variant]
    assert_allclose(found.value, want, rtol=0, atol=1e-12)
    assert found.classes_used == classes - empty


@pytest.mark.parametrize("variant", ["all", "errors", "macro"])
@pytest.mark.parametrize(("ties", "tied"), [("average", 0.5), ("min", 0), ("max", 1)])
def test_the_null_is_that_of_all_relabellings(variant, ties, tied):
    counts, csm = example(5, ties=True)
    values = [
        slow_idm(counts, csm[np.ix_(p, p)], variant, tied)
        for p in permutations(range(5))
    ]
    found = idm(counts, csm, ties=ties)[variant]
    assert_allclose(
        found.value, slow_idm(counts, csm, variant, tied), rtol=0, atol=1e-12
    )
    assert_allclose(
        [found.null_mean, found.null_std],
        [np.mean(values), np.std(values)],
        rtol=0,
        atol=1e-12,
    )


def test_always_wrong_and_always_nearest_is_the_ceiling():
    _, csm = example(10, ties=False)
    nearest = np.where(np.eye(10, dtype=bool), -1, csm).argmax(axis=1)
    counts = np.zeros((10, 10), dtype=int)
    counts[np.arange(10), nearest] = 7
    found = idm(counts, csm)
    assert_allclose([found["all"].value, found["errors"].value], 1 - 1 / 9)
    assert found["errors"].value == found["errors"].ceiling


def test_random_mistakes_give_the_chance_level():
    _, csm = example(40, ties=False)
    truth = RNG.choice(40, 60_000, p=np.arange(1, 41) / 820)
    wrong = (truth + RNG.integers(1, 40, 60_000)) % 40
    counts = np.zeros((40, 40), dtype=int)
    np.add.at(counts, (truth, wrong), 1)
    found = idm(counts, csm)["errors"]
    assert abs(found.z) < 4
    assert found.low < found.null_mean < found.high


@pytest.mark.parametrize("variant", ["all", "errors", "macro"])
def test_the_interval_is_that_of_drawing_the_samples_again(variant):
    counts, csm = example(8, ties=True)
    rows = counts.sum(axis=1)
    if variant == "macro":
        again = [
            np.stack(
                [
                    RNG.multinomial(n, row / n)
                    for n, row in zip(rows, counts, strict=True)
                ]
            )
            for _ in range(1500)
        ]
    else:
        source = counts if variant == "all" else counts - np.diag(np.diagonal(counts))
        again = [
            RNG.multinomial(source.sum(), source.ravel() / source.sum()).reshape(8, 8)
            for _ in range(1500)
        ]
    found = idm(counts, csm)[variant]
    spread = np.std([idm(one, csm)[variant].value for one in again])
    assert_allclose((found.high - found.low) / (2 * 1.96), spread, rtol=0.08)


def test_relabelling_both_changes_nothing():
    counts, csm = example(9, ties=True)
    order = RNG.permutation(9)
    a, b = (
        idm(counts, csm)["macro"],
        idm(counts[np.ix_(order, order)], csm[np.ix_(order, order)])["macro"],
    )
    assert_allclose([a.value, a.null_std, a.ceiling], [b.value, b.null_std, b.ceiling])


def test_classes_that_the_matrix_lacks_and_their_samples_do_not_count():
    counts, csm = example(9, ties=True)
    csm[3], csm[:, 3] = np.nan, np.nan
    kept = np.delete(np.arange(9), 3)
    found, want = (
        idm(counts, csm)["all"],
        idm(counts[np.ix_(kept, kept)], csm[np.ix_(kept, kept)])["all"],
    )
    assert found == want
    assert (found.classes_used, found.samples_used) == (
        8,
        int(counts[np.ix_(kept, kept)].sum()),
    )


def test_idm_without_a_chance_level_has_the_reason():
    csm = example(5, ties=False)[1]
    right = idm(np.eye(5, dtype=int), csm)
    assert (right["errors"].value, right["errors"].reason) == (None, "no mistake")
    assert right["all"].value == 1.0
    assert right["all"].reason == "no mistake, so the value is its chance level"
    single = idm(np.eye(5, dtype=int) + np.eye(5, k=4, dtype=int), csm)["errors"]
    assert (right["all"].low, single.low, single.high) == (
        None,
        None,
        None,
    ), "samples that are alike give no interval"
    assert idm(np.zeros((5, 5), dtype=int), csm)["all"].reason == "no sample"
    assert (
        idm(np.ones((2, 2), dtype=int), csm[:2, :2])["all"].reason
        == "2 classes: ranks need three or more"
    )
    same = idm(np.ones((9, 9), dtype=int), example(9, ties=False)[1])["errors"]
    assert same.reason == "every relabelling gives the same value, so there is no z"


def test_idm_of_different_sizes_or_unknown_ties_raises():
    with raises("not-square", shapes=((3, 3), (4, 4))):
        idm(np.ones((3, 3), dtype=int), np.ones((4, 4)))
    for number in (-1, 0.5, np.nan):
        with raises("not-confusion-counts"):
            idm(np.full((4, 4), number), np.ones((4, 4)))
    with raises("unknown-ties", ties="mean"):
        idm(np.ones((4, 4), dtype=int), np.ones((4, 4)), ties="mean")


def test_ranks_are_those_of_the_definition():
    csm = example(11, ties=True)[1]
    want = [[slow_rank(csm[i], i, j) for j in range(11)] for i in range(11)]
    assert_allclose(similarity_ranks(csm), want, rtol=0, atol=0)


@pytest.mark.parametrize("variant", ["all", "errors", "macro"])
@pytest.mark.parametrize("classes", [3, 7, 9])
def test_idm_excess_and_z_follow_from_value_and_chance(variant, classes):
    counts, csm = example(classes, ties=True)
    found = idm(counts, csm)[variant]
    assert found.variant == variant
    assert_allclose(found.z, (found.value - found.null_mean) / found.null_std)
    assert_allclose(
        found.excess, (found.value - found.null_mean) / (1 - found.null_mean)
    )
    assert found.reason is None
    wrong = counts.sum() - np.trace(counts)
    assert (found.classes_used, found.samples_used) == (
        classes,
        wrong if variant == "errors" else counts.sum(),
    )


@pytest.mark.parametrize("variant", ["all", "errors", "macro"])
def test_the_ceiling_puts_each_mistake_in_its_classs_nearest_rank(variant):
    counts, csm = example(9, ties=True)
    best = np.diag(np.diagonal(counts)).astype(float)
    rank = similarity_ranks(csm)
    for i in range(9):
        nearest = min((rank[i, j], j) for j in range(9) if j != i)[1]
        best[i, nearest] += counts[i].sum() - counts[i, i]
    assert_allclose(idm(counts, csm)[variant].ceiling, slow_idm(best, csm, variant))
