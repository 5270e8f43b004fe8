"""The statistics of suspects against slow oracles, and planted faults."""

from itertools import combinations, permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom

from dsi_cli.metrics import suspects
from dsi_cli.metrics.suspects import Network, Senses, Tail
from dsi_cli.similarity import centred_weight_similarity

CLASSES, GROUP = 60, 5


def symmetric(generator, size=12):
    values = generator.normal(size=(size, size))
    matrix = values + values.T
    np.fill_diagonal(matrix, 0.0)
    return matrix


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


def vectors(seed, width=200):
    """Return class vectors whose similarities follow the taxonomy, with noise."""
    generator = np.random.default_rng(seed)
    root = np.linalg.cholesky(taxonomy())
    return root @ generator.normal(size=(CLASSES, width))


def network(weight, reference=None, **others):
    similarity = suspects.fisher(centred_weight_similarity(weight))
    return Network(similarity, taxonomy() if reference is None else reference, **others)


def found(of_network):
    return [(one.kind, set(one.members)) for one in suspects.find(of_network)]


# Oracles


def test_class_effects_are_those_of_least_squares():
    matrix = symmetric(np.random.default_rng(0))
    pairs = list(combinations(range(len(matrix)), 2))
    design = np.zeros((len(pairs), len(matrix)))
    for row, pair in enumerate(pairs):
        design[row, list(pair)] = 1
    values = np.array([matrix[pair] for pair in pairs])
    effects = np.linalg.lstsq(design, values, rcond=None)[0]
    residuals = suspects.without_class_effects(matrix)
    assert_allclose([residuals[pair] for pair in pairs], values - design @ effects)


def test_pair_residuals_are_those_of_a_regression_on_reference_and_classes():
    generator = np.random.default_rng(1)
    similarity, reference = symmetric(generator), symmetric(generator)
    pairs = list(combinations(range(len(similarity)), 2))
    design = np.zeros((len(pairs), len(similarity) + 1))
    for row, pair in enumerate(pairs):
        design[row, list(pair)] = 1
        design[row, -1] = reference[pair]
    values = np.array([similarity[pair] for pair in pairs])
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    deviation = 1.4826 * np.median(np.abs(left - np.median(left)))
    residuals = suspects.pair_residuals(similarity, reference)
    assert_allclose([residuals[pair] for pair in pairs], left / deviation, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_q_values_are_the_levels_of_the_step_up_procedure(weighted):
    generator = np.random.default_rng(2)
    p_values = generator.random(30) ** 3
    weights = generator.random(30) + 0.5 if weighted else np.ones(30)
    weights /= weights.mean()
    divided = np.minimum(p_values / weights, 1)
    expected = []
    for p_value in divided:
        larger = divided[divided >= p_value]
        ranks = [(divided <= other).sum() for other in larger]
        expected.append(min(larger * 30 / ranks))
    given = weights if weighted else None
    assert_allclose(suspects.q_values(p_values, given), expected)


def test_tail_gives_the_p_values_of_exponential_scores():
    usual = np.random.default_rng(3).exponential(2.0, 100_000)
    tail = Tail.of(usual)
    scores = np.array([8.0, 12.0, 20.0])
    assert_allclose(tail.p_values(scores), np.exp(-scores / 2), rtol=0.2)
    assert tail.p_values(np.array([0.1])) == 1
    assert_allclose(tail.p_values(np.array([tail.quantile(1e-3)])), 1e-3)


def test_name_fits_are_row_correlations_and_predictions():
    generator = np.random.default_rng(4)
    weight = generator.normal(size=(15, 40))
    weight -= weight.mean(axis=0)
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    cosines = unit @ unit.T
    similarity = suspects.fisher(cosines)
    reference = np.exp(-np.abs(np.subtract.outer(np.arange(15), np.arange(15))) / 3)
    correlations, predicted = np.zeros((15, 15)), np.zeros((15, 15))
    for one in range(15):
        for name in range(15):
            rows = []
            for matrix, own in ((similarity, one), (reference, name)):
                row = matrix[own].copy()
                row[own] = np.delete(row, own).mean()  # the class itself counts as mean
                rows.append(row)
            correlations[one, name] = np.arctanh(np.corrcoef(*rows)[0, 1])
            # The best linear prediction of the named class from all others.
            others = [other for other in range(15) if other != name]
            covariance = reference[np.ix_(others, others)] + np.eye(14)
            weights = np.linalg.solve(covariance, reference[others, name])
            terms = [
                weights[place] * cosines[other, one]
                for place, other in enumerate(others)
                if other != one
            ]
            gram = cosines[np.ix_(others, others)]
            predicted[one, name] = sum(terms) / np.sqrt(weights @ gram @ weights)
    off = ~np.eye(15, dtype=bool)
    expected = correlations / correlations[off].std() + predicted / predicted[off].std()
    assert_allclose(suspects.name_fits(similarity, reference), expected, rtol=1e-6)


def test_sense_fits_of_the_used_senses_are_the_fits_of_the_own_names():
    similarity = suspects.fisher(centred_weight_similarity(vectors(5)))
    senses = Senses(np.arange(CLASSES), taxonomy(), np.ones(CLASSES))
    fits = suspects.sense_fits(similarity, taxonomy(), senses)
    own = np.diag(suspects.name_fits(similarity, taxonomy()))
    assert_allclose(fits, own, rtol=1e-9)


def test_name_cycles_maximise_the_gains_of_all_permutations():
    gains = np.random.default_rng(6).normal(size=(6, 6))
    np.fill_diagonal(gains, 0.0)
    cost = 0.4

    def total(names):
        renamed = [one for one, name in enumerate(names) if one != name]
        return gains[range(6), names].sum() - cost * len(renamed)

    best = max(permutations(range(6)), key=total)
    for cycle in suspects.name_cycles(gains, range(6), cost):
        for one, name in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            assert best[one] == name


def test_informedness_is_the_sum_of_two_recalls():
    counts = np.array([[6.0, 2.0, 1.0], [4.0, 4.0, 0.0], [0.0, 0.0, 9.0]])
    apart = suspects.informedness(counts)
    assert_allclose(apart[0, 1], 6 / 8 + 4 / 8 - 1)
    assert_allclose(apart, apart.T)


def test_asymmetry_of_equal_classes_is_a_binomial_test():
    counts = np.diag(np.full(30, 50.0))
    counts[:] += 2.0
    counts[3, 7], counts[7, 3] = 9.0, 1.0
    p_values, expected = suspects.asymmetry_p_values(counts)
    assert expected[3, 7] == pytest.approx(0.5, abs=0.1)
    assert_allclose(p_values[3, 7], binom.sf(8, 10, expected[3, 7]), rtol=1e-9)


def test_group_score_is_the_sum_over_pairs():
    scores = symmetric(np.random.default_rng(7))
    members = (1, 4, 6, 9)
    pairs = [scores[pair] for pair in combinations(members, 2)]
    expected = sum(pairs) / np.sqrt(6)
    assert_allclose(suspects.group_score(scores, members), expected)


# Planted faults


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_find_without_faults_returns_nothing(seed):
    assert found(network(vectors(seed))) == []


def test_find_exchanged_names_returns_the_pair():
    names = np.arange(CLASSES)
    names[[3, 40]] = 40, 3
    exchanged = taxonomy()[np.ix_(names, names)]
    assert found(network(vectors(0), exchanged)) == [("wrong-label", {3, 40})]


def test_find_a_cycle_of_three_names_returns_it_in_order():
    names = np.arange(CLASSES)
    names[[3, 22, 40]] = 22, 40, 3  # the class 3 has the name of class 22
    (suspect,) = suspects.find(network(vectors(0), taxonomy()[np.ix_(names, names)]))
    right = {22: 3, 40: 22, 3: 40}  # the class whose present name belongs to each one
    following = dict(
        zip(suspect.members, np.roll(suspect.members, -1).tolist(), strict=True)
    )
    assert suspect.kind == "wrong-label"
    assert following == {name: one for one, name in right.items()} or following == right


def test_find_two_classes_with_one_vector_returns_a_duplicate():
    weight = vectors(0)
    noise = np.random.default_rng(8).normal(size=weight.shape[1])
    weight[50] = weight[4] + 0.2 * noise
    assert ("duplicate", {4, 50}) in found(network(weight))


def test_find_a_duplicate_that_predictions_tell_apart_returns_mislabelled_images():
    weight = vectors(0)
    noise = np.random.default_rng(8).normal(size=weight.shape[1])
    weight[50] = weight[4] + 0.2 * noise
    counts = {"test": np.diag(np.full(CLASSES, 20.0))}
    assert ("mislabelled-images", {4, 50}) in found(network(weight, counts=counts))


@pytest.mark.parametrize("confused", [14, 60])
def test_find_one_sided_confusions_returns_mislabelled_images(confused):
    """Also if the class is predicted more often as the other one than as itself."""
    counts = np.diag(np.full(CLASSES, 40.0)) + 0.5
    counts[4, 50] += confused
    of_network = network(vectors(0), counts={"train": counts})
    (suspect,) = suspects.find(of_network)
    assert (suspect.kind, suspect.members) == ("mislabelled-images", (4, 50))


def test_find_a_shared_background_returns_the_group():
    weight = vectors(0)
    group = [2, 20, 35, 55]
    shared = np.random.default_rng(9).normal(size=weight.shape[1])
    weight[group] += 0.8 * shared
    (suspect,) = suspects.find(network(weight))
    assert (suspect.kind, sorted(suspect.members)) == ("shortcut", group)


def test_find_a_wrong_sense_returns_the_better_one():
    reference = taxonomy()
    right = reference[10].copy()
    reference[10] = reference[:, 10] = taxonomy()[58]
    reference[10, 10] = 1.0
    senses = Senses(np.array([10, 20]), np.array([right, right]), np.array([0.5, 0.1]))
    suspect, *_ = suspects.find(network(vectors(0), reference, senses=senses))
    assert (suspect.kind, suspect.members) == ("wrong-sense", (10,))
    assert suspect.fit == 0


def test_find_in_an_untrained_network_returns_nothing():
    weight = np.random.default_rng(10).normal(size=(CLASSES, 64))
    weight[50] = weight[4]
    assert found(network(weight)) == []


def test_find_with_few_classes_returns_nothing():
    few = np.ix_(range(10), range(10))
    of_network = network(vectors(0))
    assert found(Network(of_network.similarity[few], taxonomy()[few])) == []


def test_dead_classes_returns_short_vectors_and_classes_that_are_never_predicted():
    norms = np.random.default_rng(11).normal(1.0, 0.05, CLASSES)
    norms[7] = 0.2
    counts = np.diag(np.full(CLASSES, 30.0))
    counts[9] = np.roll(counts[9], 1)
    dead = suspects.dead_classes(norms, {"test": counts})
    assert [suspect.members for suspect in dead] == [(7,), (9,)]


def test_dead_classes_leaves_out_vectors_of_more_than_half_the_median_length():
    """Nearly equal lengths would make a slightly shorter one significant."""
    norms = np.random.default_rng(11).normal(1.0, 0.01, CLASSES)
    norms[7] = 0.8
    assert suspects.dead_classes(norms, {}) == []
    norms[7] = 0.4
    assert [one.members for one in suspects.dead_classes(norms, {})] == [(7,)]


def test_dead_classes_of_a_collapsed_network_returns_nothing():
    counts = np.zeros((CLASSES, CLASSES))
    counts[:, 0] = 30
    assert suspects.dead_classes(None, {"test": counts}) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_p_values_of_a_duplicate_are_small_in_other_trainings_with_it(seed):
    suspect = None
    for one_seed in (5, seed):
        weight = vectors(one_seed)
        weight[50] = weight[4] + 0.2 * np.random.default_rng(8).normal(size=200)
        of_network = network(weight)
        if suspect is None:
            (suspect,) = [
                one for one in suspects.find(of_network) if one.kind == "duplicate"
            ]
    assert suspects.p_value_of(of_network, suspect) <= suspects.SINGLE_TEST
    assert suspects.p_value_of(network(vectors(seed)), suspect) > suspects.SINGLE_TEST
