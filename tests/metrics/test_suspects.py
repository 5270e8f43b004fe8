"""Suspects of made-up networks with planted faults, and what explains what."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dsi_cli.metrics import suspects
from dsi_cli.metrics.pair_residuals import fisher
from dsi_cli.metrics.suspects import Network, Senses
from dsi_cli.similarity import centred_weight_similarity
from dsi_cli.suspect_kinds import KIND_NAMES, ORDINARY, STRONG

CLASSES, GROUP = 60, 5
TWINS = (4, 50)
SHARING = (2, 20, 35, 55)
EXCHANGED = (3, 40)


def taxonomy():
    """Return the similarity of 60 classes in groups of five and families of fifteen."""
    index = np.arange(CLASSES)
    reference = np.full((CLASSES, CLASSES), 0.1)
    for size, value in ((3 * GROUP, 0.2), (GROUP, 1 / 3)):
        reference[index[:, None] // size == index // size] = value
    # Classes of one family are not all equally far from those of the others.
    family = index // (3 * GROUP)
    reference[np.abs(family[:, None] - family) == 1] = 0.14
    np.fill_diagonal(reference, 1.0)
    return reference


def vectors(seed=0, *, twins=None, sharing=()):
    """Return class vectors ``(60, 200)`` whose similarities follow the taxonomy, with
    noise.
    """
    root = np.linalg.cholesky(taxonomy())
    weight = root @ np.random.default_rng(seed).normal(size=(CLASSES, 200))
    noise, shared = np.random.default_rng(8).normal(size=(2, 200))
    weight[list(sharing)] += shared
    if twins is not None:
        first, second = twins
        weight[second] = weight[first] + 0.2 * noise
    return weight


def exchanged_names():
    names = np.arange(CLASSES)
    names[list(EXCHANGED)] = EXCHANGED[::-1]
    return taxonomy()[np.ix_(names, names)]


def told_apart_counts(*confused, images=40.0, size=CLASSES):
    """Return confusion counts of a network that tells all classes apart, except for the
    confused ones.
    """
    counts = np.diag(np.full(size, images)) + 0.5
    counts[np.ix_(confused, confused)] = images / max(len(confused), 1)
    return counts


def network(weight, **others):
    lengths = np.linalg.norm(weight - weight.mean(axis=0), axis=1)
    evidence = {"lengths": lengths, "reference": taxonomy()} | others
    return Network(fisher(centred_weight_similarity(weight)), **evidence)


def strong(of_network):
    """Return the kinds and classes of the strong suspects."""
    return {
        (one.kind, tuple(sorted(one.members)))
        for of_kind in suspects.find(of_network).values()
        for one in of_kind
        if one.grade == STRONG
    }


def first(of_network, kind):
    return suspects.find(of_network)[kind][0]


def test_q_values_are_those_of_benjamini_and_hochberg_in_an_exponential_tail():
    scores = np.random.default_rng(2).exponential(2.0, 500)
    threshold = np.quantile(scores, 0.9)
    excesses = scores[scores > threshold] - threshold
    scale = np.median(excesses) / np.log(2)
    p_values = np.where(
        scores > threshold, 0.1 * np.exp((threshold - scores) / scale), 1
    )
    expected = []
    for p_value in p_values:
        larger = p_values[p_values >= p_value]
        ranks = [(p_values <= other).sum() for other in larger]
        expected.append(min(larger * len(scores) / ranks))
    assert_allclose(suspects.q_values(scores), expected)


# Planted faults


@pytest.mark.parametrize("counts", [{}, {"test": told_apart_counts()}])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_find_without_faults_has_candidates_of_which_none_is_strong(seed, counts):
    clean = network(vectors(seed), counts=counts)
    assert strong(clean) == set()
    kinds = {"duplicate", "shortcut", "wrong-label", "dead-class"}
    assert kinds <= {kind for kind, of_kind in suspects.find(clean).items() if of_kind}


def test_find_two_classes_with_one_vector_returns_a_duplicate():
    weight = vectors(twins=TWINS)
    assert strong(network(weight)) == {("duplicate", TWINS)}
    not_apart = {"test": told_apart_counts(*TWINS)}
    assert strong(network(weight, counts=not_apart)) == {("duplicate", TWINS)}


def test_find_close_classes_that_predictions_tell_apart_returns_no_duplicate():
    weight = vectors()
    weight[4] += 0.7 * weight[50]
    counts = told_apart_counts()
    counts[50, 4] = 14  # many images of class 50 are predicted as class 4
    found = strong(network(weight, counts={"test": counts}))
    assert found == {("mislabelled-images", TWINS)}


def test_find_a_shared_background_returns_the_group_and_no_duplicates():
    weight = vectors(sharing=SHARING)
    for counts in ({}, {"test": told_apart_counts()}):
        assert strong(network(weight, counts=counts)) == {("shortcut", SHARING)}


def test_find_exchanged_names_returns_the_pair():
    exchanged = network(vectors(), reference=exchanged_names())
    assert strong(exchanged) == {("wrong-label", EXCHANGED)}


def test_find_a_name_of_an_absent_class_returns_the_single_class():
    reference = taxonomy()
    # The name of class 10 belongs to another family.
    reference[10] = reference[:, 10] = reference[58]
    reference[10, 10] = 1.0
    suspect = first(network(vectors(), reference=reference), "wrong-label")
    assert (suspect.members, suspect.grade) == ((10,), STRONG)


def test_find_a_wrong_sense_returns_the_better_one():
    reference, right = taxonomy(), taxonomy()[10]
    far = np.random.default_rng(2).uniform(0.12, 0.14, CLASSES)
    reference[10] = reference[:, 10] = far
    reference[10, 10] = 1.0
    rows = np.array([far, right, right])
    senses = Senses(np.array([10, 10, 20]), rows, np.array([1, 0.5, 0.5]))
    of_network = network(vectors(), reference=reference, senses=senses)
    assert strong(of_network) == {("wrong-sense", (10,))}
    assert first(of_network, "wrong-sense").fit == 1


def test_find_dead_classes_returns_each_once():
    weight = vectors()
    weight[7] = weight.mean(axis=0) + 0.1 * weight[7]
    counts = told_apart_counts()
    counts[:, 9] = 0
    dead = suspects.find(network(weight, counts={"test": counts}))["dead-class"]
    graded = [one.members for one in dead if one.grade != ORDINARY]
    assert sorted(graded) == [(7,), (9,)]


def test_find_in_predictions_of_a_few_classes_returns_no_dead_class():
    counts = np.zeros((CLASSES, CLASSES))
    counts[:, 0] = 30
    collapsed = network(vectors(), lengths=None, counts={"test": counts})
    assert suspects.find(collapsed)["dead-class"] == []


@pytest.mark.parametrize("errors", [0.0, 2.0])
def test_find_in_training_predictions_returns_the_label_and_the_class(errors):
    """Also if the network hardly errs in training."""
    generator = np.random.default_rng(3)
    counts = {
        "test": told_apart_counts() + generator.poisson(2.0, (CLASSES, CLASSES)),
        "train": np.diag(np.full(CLASSES, 200.0))
        + generator.poisson(errors, (CLASSES, CLASSES)),
    }
    counts["train"][4, 50] += 60
    of_network = network(vectors(), counts=counts)
    suspect = first(of_network, "mislabelled-images")
    assert (suspect.members, suspect.source) == (TWINS, "train")
    assert strong(of_network) == {("mislabelled-images", TWINS)}
    only_test = replace(of_network, counts={"test": counts["test"]})
    assert strong(only_test) == set()


def test_find_in_an_untrained_network_returns_only_classes_never_predicted():
    weight = np.random.default_rng(10).normal(size=(CLASSES, 64))
    weight[50] = weight[4]
    weight[7] *= 0.2
    assert not any(suspects.find(network(weight)).values())
    counts = told_apart_counts()
    counts[:, 9] = 0
    assert strong(network(weight, counts={"test": counts})) == {("dead-class", (9,))}


@pytest.mark.parametrize("size", [8, 12])
def test_find_with_few_classes_returns_a_pair_and_a_class_never_predicted(size):
    weight = np.random.default_rng(1).normal(size=(size, 60))
    weight[3] = weight[2] + 0.3 * weight[0]
    counts = told_apart_counts(2, 3, size=size)
    counts[:, [5, 6]] = np.stack([np.zeros(size), counts[:, [5, 6]].sum(axis=1)], 1)
    of_network = network(weight, reference=None, counts={"test": counts})
    assert first(of_network, "duplicate").members == (2, 3)
    assert {("duplicate", (2, 3)), ("dead-class", (5,))} <= strong(of_network)
    fewer = Network(of_network.similarity[:7, :7], of_network.lengths[:7])
    assert suspects.kinds_sought(fewer) == ["dead-class"]


def test_find_without_names_returns_what_needs_no_reference():
    counts = {"test": told_apart_counts(*TWINS)}
    weight = vectors(twins=TWINS, sharing=SHARING[1:])
    expected = {("duplicate", TWINS), ("shortcut", SHARING[1:])}
    reference = taxonomy()
    unnamed = [4, 20, 35, *range(36, CLASSES)]
    reference[unnamed] = reference[:, unnamed] = np.nan
    for known in (None, reference):
        assert expected <= strong(network(weight, reference=known, counts=counts))


# Explaining away


def test_exchanged_names_do_not_hide_a_duplicate_of_the_same_class():
    weight = vectors(twins=(3, 50))
    found = strong(network(weight, reference=exchanged_names()))
    assert found == {("wrong-label", EXCHANGED), ("duplicate", (3, 50))}


def test_twins_are_one_member_of_a_group():
    weight = vectors(twins=(2, 50), sharing=(2, 20, 35))
    for counts in ({}, {"test": told_apart_counts(2, 50)}):
        found = strong(network(weight, counts=counts))
        assert found == {("duplicate", (2, 50)), ("shortcut", (2, 20, 35))}


def test_classes_without_images_are_no_duplicates():
    weight = vectors()
    weight[[7, 8]] = weight.mean(axis=0) + 0.1 * weight[7]
    weight[8, 0] += 0.01
    assert strong(network(weight)) == {("dead-class", (7,)), ("dead-class", (8,))}


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_correction_of_a_kind_leaves_the_network_as_it_was(kind):
    senses = Senses(np.array([4]), taxonomy()[:1], np.ones(1))
    counts = {split: told_apart_counts() for split in ("test", "train")}
    of_network = network(vectors(), counts=counts, senses=senses)
    before = [of_network.similarity.copy(), taxonomy(), told_apart_counts()]
    members = SHARING if kind == "shortcut" else TWINS
    suspect = suspects.Suspect(kind, "weights", members, 1.0, fit=0)
    corrected = suspects.CORRECTIONS[kind](of_network, suspect)
    assert corrected is not of_network
    kept = [of_network.similarity, of_network.reference, counts["train"]]
    for now, earlier in zip(kept, before, strict=True):
        assert np.array_equal(now, earlier)


# Invariances


def faulty():
    """Return the vectors and the reference of a network with two faults."""
    return vectors(sharing=SHARING), exchanged_names()


def ranked(of_network):
    return {
        kind: [(one.members, pytest.approx(one.score, abs=1e-4)) for one in of_kind[:3]]
        for kind, of_kind in suspects.find(of_network).items()
        if kind != "dead-class"
    }


def test_find_ignores_a_common_vector_and_the_scale():
    weight, reference = faulty()
    expected = ranked(network(weight, reference=reference))
    moved = 3 * weight + np.random.default_rng(1).normal(size=200)
    assert ranked(network(moved, reference=reference)) == expected


def test_find_in_renumbered_classes_returns_the_renumbered_members():
    weight, reference = faulty()
    expected = strong(network(weight, reference=reference))
    assert len(expected) == 2
    order = np.random.default_rng(2).permutation(CLASSES)
    renumbered = network(weight[order], reference=reference[np.ix_(order, order)])
    found = {
        (kind, tuple(sorted(order[list(members)].tolist())))
        for kind, members in strong(renumbered)
    }
    assert found == expected


# One network alone


def test_standing_gives_the_grade_and_rank_of_a_suspect_in_other_networks():
    suspect = first(network(vectors(5, twins=TWINS)), "duplicate")
    again = suspects.standing(network(vectors(1, twins=TWINS)), suspect)
    assert again == (STRONG, 1)
    grade, rank = suspects.standing(network(vectors(1)), suspect)
    assert grade == ORDINARY
    assert rank > 1
    untrained = network(np.random.default_rng(0).normal(size=(CLASSES, 64)))
    assert suspects.standing(untrained, suspect) is None


def test_standing_of_a_name_that_the_reference_lacks_is_none():
    of_network = network(vectors(), reference=exchanged_names())
    suspect = first(of_network, "wrong-label")
    assert suspects.standing(of_network, suspect) == (STRONG, 1)
    reference = taxonomy()
    reference[3] = reference[:, 3] = np.nan
    of_network = network(vectors(), reference=reference)
    assert suspects.standing(of_network, suspect) is None
