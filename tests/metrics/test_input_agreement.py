"""Inputs that contradict one another: which order of which input is wrong."""

import numpy as np
import pytest
from helpers.trained_heads import CLASSES, trained

from dsi_cli import wordnet_csm
from dsi_cli.metrics import input_agreement
from dsi_cli.metrics.input_agreement import Inputs
from dsi_cli.similarity import confusion_counts, weight_similarity

TRAINING = trained()
SHUFFLED = np.random.default_rng(1).permutation(CLASSES)
COUNTS = [
    np.asarray(confusion_counts(TRAINING.targets, one, CLASSES))
    for one in TRAINING.predictions
]


def inputs(
    labels=None, rows=None, columns=None, *, epoch=-1, accuracy=None, orders=None
):
    """Return the inputs of an epoch with labels, targets and predictions in other
    orders.
    """
    same = np.arange(CLASSES)
    labels, rows, columns = (
        same if order is None else order for order in (labels, rows, columns)
    )
    reference = wordnet_csm(list(TRAINING.names)).to_numpy(np.float64)
    weight = TRAINING.heads[epoch]
    return Inputs(
        weight,
        weight_similarity(weight).astype(np.float64),
        reference[np.ix_(labels, labels)],
        {"test": COUNTS[epoch][np.ix_(rows, columns)]},
        {} if orders is None else orders,
        accuracy,
    )


def found(*arguments, **options):
    return [
        (one.kind, one.split, one.by_name)
        for one in input_agreement.contradictions(inputs(*arguments, **options))
    ]


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ((None, None, None), []),
        ((SHUFFLED, None, None), [("labels", None, False)]),
        ((None, SHUFFLED, SHUFFLED), [("predictions", "test", False)]),
        ((SHUFFLED, SHUFFLED, SHUFFLED), [("labels", None, True)]),
        ((None, SHUFFLED, None), [("truth", "test", False)]),
        ((None, None, SHUFFLED), [("truth", "test", False)]),
    ],
)
def test_contradictions_of_inputs_in_another_order_name_the_input(orders, expected):
    assert found(*orders) == expected


@pytest.mark.parametrize(
    ("orders", "which"),
    [((None, SHUFFLED, None), "targets"), ((None, None, SHUFFLED), "predictions")],
)
def test_contradictions_of_predictions_and_targets_name_the_one_that_the_head_contradicts(
    orders, which
):
    (one,) = input_agreement.contradictions(inputs(*orders))
    assert one.which == which
    assert one.accuracy == pytest.approx(1 / CLASSES, abs=0.03)
    assert one.accuracy_meant == pytest.approx(TRAINING.accuracies[-1], abs=0.03)


def test_contradictions_of_two_exchanged_classes_are_none():
    exchanged = np.arange(CLASSES)
    exchanged[[3, 30]] = exchanged[[30, 3]]
    assert found(exchanged) == found(None, exchanged, exchanged) == []


def test_contradictions_of_an_untrained_network_are_none():
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(CLASSES, 64))
    counts = generator.multinomial(50, np.full((CLASSES, CLASSES), 1 / CLASSES))
    similarity = weight_similarity(weight).astype(np.float64)
    reference = inputs().reference
    untrained = Inputs(weight, similarity, reference, {"test": counts}, {})
    assert input_agreement.contradictions(untrained) == []


def test_contradictions_of_labels_without_predictions_need_a_trained_network():
    given = inputs(SHUFFLED)
    alone = Inputs(given.weight, given.similarity, given.reference, {}, {})
    assert input_agreement.contradictions(alone) == []
    logged = Inputs(given.weight, given.similarity, given.reference, {}, {}, 0.6)
    (one,) = input_agreement.contradictions(logged)
    assert (one.kind, one.own, one.accuracy) == ("labels", None, 0.6)


def test_contradictions_of_predictions_for_other_samples_are_unrelated_to_the_truth():
    given = inputs()
    counts = np.outer(*(COUNTS[-1].sum(axis=axis) for axis in (1, 0))) // 16_000
    others = Inputs(
        given.weight, given.similarity, given.reference, {"test": counts}, {}
    )
    (one,) = input_agreement.contradictions(others)
    assert (one.kind, one.split) == ("unrelated", "test")


ORDERS = input_agreement.orders(
    TRAINING.names, None, {"other.txt": SHUFFLED.tolist()}, CLASSES
)


@pytest.mark.parametrize(
    "name", [name for name in ORDERS if "alphabetical" not in name]
)
def test_better_order_of_labels_is_the_one_that_people_confuse(name):
    for order in ORDERS[name]:
        given = inputs(input_agreement.inverse(order), orders=ORDERS)
        (one,) = input_agreement.contradictions(given)
        assert one.kind == "labels"
        assert one.better is not None
        assert one.better.name == name
        right = inputs()
        expected = input_agreement.Comparison(
            right.similarity, right.reference, input_agreement.REFERENCE
        ).given
        assert one.better.agreement == pytest.approx(expected)


def test_orders_leave_out_the_given_one_and_are_named():
    sorted_names = sorted(TRAINING.names)
    assert "alphabetical order" not in input_agreement.orders(
        sorted_names, None, {}, CLASSES
    )
    shuffled = [sorted_names[index] for index in SHUFFLED]
    (order,) = input_agreement.orders(shuffled, None, {}, CLASSES)["alphabetical order"]
    assert [shuffled[index] for index in order] == sorted_names


def test_orders_of_numbered_folders_are_those_of_text():
    (given, _) = input_agreement.orders(None, None, {}, 12)[
        "the order of numbered folders (1, 10, 2)"
    ]
    assert given.tolist() == [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]


def test_residual_leaves_nothing_of_effects_of_classes():
    effects = np.random.default_rng(0).normal(size=12)
    left = input_agreement.residual(effects[:, None] + effects)
    np.testing.assert_allclose(left, 0, atol=1e-12)


def test_residual_is_that_of_least_squares():
    matrix = np.random.default_rng(0).normal(size=(9, 9))
    matrix += matrix.T
    rows, columns = np.triu_indices(9, 1)
    design = np.zeros((len(rows), 9))
    design[np.arange(len(rows)), rows] = design[np.arange(len(rows)), columns] = 1
    values = matrix[rows, columns]
    expected = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    left = input_agreement.residual(matrix)
    np.testing.assert_allclose(left[rows, columns], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("heads", "predictions", "expected"),
    [
        (slice(None), slice(None), None),
        (slice(None, -1), slice(1, None), 1),
        (slice(1, None), slice(None, -1), -1),
    ],
)
def test_shift_by_changes_finds_predictions_of_the_neighbouring_epoch(
    heads, predictions, expected
):
    result = input_agreement.shift_by_changes(
        TRAINING.heads[heads], COUNTS[predictions]
    )
    assert (None if result is None else result[0]) == expected
