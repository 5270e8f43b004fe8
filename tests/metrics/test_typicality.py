"""Typicality of right and wrong samples against a loop over samples and the enumeration
of subsets.
"""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from helpers import oracles_testset
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli.metrics.typicality import BINS, SUBSETS, class_typicality, cosine_histogram

CLOSE = {"rtol": 0, "atol": 1e-12}


def class_of(
    samples: int, rights: int, seed: int = 0, *, width: int = 6, ties: bool = False
):
    """Return the features of one class, the right ones nearer to a centre, and which
    are right.
    """
    rng = np.random.default_rng([samples, rights, seed])
    is_right = rng.permutation(np.arange(samples) < rights)
    features = np.maximum(
        0,
        rng.exponential(size=width)
        + np.where(is_right, 0.5, 1.5)[:, None] * rng.normal(size=(samples, width)),
    )
    return (np.round(features * 2) / 2 if ties else features), is_right


def slow(features, is_right):
    """Return the oracle's rows of the right and the wrong samples, and both lists of
    cosines.
    """
    (right, wrong), *cosines = oracles_testset.typicality(
        features, [0] * len(features), 1 - is_right.astype(int), 1
    )
    return (right, wrong), cosines


def every_group(features, size: int):
    """Return the group cosine of each subset of a size."""
    chosen = [list(members) for members in combinations(range(len(features)), size)]
    means = np.stack([features[members].mean(axis=0) for members in chosen])
    template = features.mean(axis=0)
    return means @ template / np.linalg.norm(means, axis=1) / np.linalg.norm(template)


@pytest.mark.parametrize(
    ("samples", "rights"), [(2, 1), (3, 1), (9, 4), (40, 33), (200, 3)]
)
@pytest.mark.parametrize("ties", [False, True])
def test_the_cosines_are_the_oracles(samples, rights, ties):
    features, is_right = class_of(samples, rights, ties=ties)
    found = class_typicality(features, is_right)
    rows, cosines = slow(features, is_right)
    for group, row in zip((found.right, found.wrong), rows, strict=True):
        assert group.samples == row["samples"]
        assert_allclose(group.group_cosine, row["group_cosine"], **CLOSE)
        assert_allclose(group.sample_cosine, row["sample_cosine"], **CLOSE)
    assert_allclose(found.cosines[is_right], cosines[0], **CLOSE)
    assert_allclose(found.cosines[~is_right], cosines[1], **CLOSE)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_narrow_features_are_added_up_in_float64(kind):
    features, is_right = class_of(60, 30)
    narrow = features.astype(kind)
    found, (rows, _) = (
        class_typicality(narrow, is_right),
        slow(narrow.astype(np.float64), is_right),
    )
    assert_allclose(found.right.group_cosine, rows[0]["group_cosine"], **CLOSE)
    assert_allclose(found.wrong.sample_cosine, rows[1]["sample_cosine"], **CLOSE)


@pytest.mark.parametrize(
    ("samples", "rights"),
    [
        (2, 1),
        (5, 2),
        (10, 3),
        (9, 5),
        (20, 2),
        (20, 18),
        (SUBSETS, 1),
        (SUBSETS, SUBSETS - 1),
    ],
)
@pytest.mark.parametrize("ties", [False, True])
def test_typicality_chance_of_few_subsets_is_the_mean_of_all(samples, rights, ties):
    assert comb(samples, rights) <= SUBSETS, "else they are sampled"
    features, is_right = class_of(samples, rights, ties=ties)
    found = class_typicality(features, is_right)
    right = oracles_testset.typicality_null_enumerated(features, rights)
    wrong = oracles_testset.typicality_null_enumerated(features, samples - rights)
    assert_allclose(
        [found.right.null_mean, found.wrong.null_mean], [right, wrong], **CLOSE
    )
    assert class_typicality(features, is_right, seed=5).right == found.right, (
        "nothing is sampled"
    )


@pytest.mark.parametrize(("samples", "rights"), [(11, 5), (16, 3), (17, 13)])
def test_typicality_chance_of_many_subsets_is_sampled(samples, rights):
    features, is_right = class_of(samples, rights, seed=1)
    every = {
        "right": every_group(features, rights),
        "wrong": every_group(features, samples - rights),
    }
    for group, values in every.items():
        expected = oracles_testset.typicality_null_enumerated(
            features, rights if group == "right" else samples - rights
        )
        assert_allclose(values.mean(), expected, **CLOSE)
        found = [
            getattr(class_typicality(features, is_right, seed), group).null_mean
            for seed in range(25)
        ]
        assert len(set(found)) == 25, "another seed, other subsets"
        error = values.std() / np.sqrt(SUBSETS)
        assert (np.abs(found - values.mean()) < 4 * error).all()
        assert abs(np.mean(found) - values.mean()) < 4 * error / 5
        assert_allclose(np.std(found), error, rtol=0.6)


def test_samples_that_are_wrong_at_random_are_at_chance():
    rng, differences = np.random.default_rng(3), []
    for seed in range(60):
        features, _ = class_of(40, 20, seed, width=20)
        found = class_typicality(features, rng.permutation(np.arange(40) < 34), seed)
        differences.append(found.wrong.group_cosine - found.wrong.null_mean)
    assert abs(np.mean(differences)) < 4 * np.std(differences) / np.sqrt(60)


@pytest.mark.parametrize("samples", [1, 8])
@pytest.mark.parametrize("flag", [True, False])
def test_typicality_without_a_wrong_or_a_right_sample_is_null(flag, samples):
    features = class_of(8, 4)[0][:samples]
    found = class_typicality(features, np.full(samples, flag))
    there, lacking = (found.right, found.wrong) if flag else (found.wrong, found.right)
    assert (
        lacking.samples,
        lacking.group_cosine,
        lacking.null_mean,
        lacking.sample_cosine,
    ) == (0, None, None, None)
    assert there.samples == samples
    assert_allclose([there.group_cosine, there.null_mean], 1.0, **CLOSE)
    if samples == 1:  # its template without it does not exist
        assert there.sample_cosine is None
        assert_array_equal(found.cosines, [np.nan])
    else:
        assert_allclose(there.sample_cosine, found.cosines.mean(), **CLOSE)


def test_features_that_are_all_zero():
    found = class_typicality(np.zeros((5, 3)), np.arange(5) < 2)
    for group in (found.right, found.wrong):
        assert (group.group_cosine, group.null_mean, group.sample_cosine) == (
            0.0,
            0.0,
            0.0,
        )
    assert_array_equal(found.cosines, np.zeros(5))


def test_scaling_and_turning_the_features_does_not_matter():
    features, is_right = class_of(30, 12)
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(6, 6)))
    for moved in (features * 1e-20, features * 1e20, features @ turn):
        found, expected = (
            class_typicality(moved, is_right),
            class_typicality(features, is_right),
        )
        assert_allclose(found.cosines, expected.cosines, **CLOSE)
        assert_allclose(found.wrong.null_mean, expected.wrong.null_mean, **CLOSE)
        assert_allclose(found.right.group_cosine, expected.right.group_cosine, **CLOSE)


def test_the_histogram_counts_every_cosine_once():
    cosines = np.random.default_rng(5).uniform(-1, 1, 3000)
    found = cosine_histogram(cosines)
    assert (found.sum(), len(found)) == (3000, BINS)
    width = 2 / BINS
    for at, count in enumerate(found):
        low = -1 + at * width
        assert count == ((cosines >= low) & (cosines < low + width)).sum()
