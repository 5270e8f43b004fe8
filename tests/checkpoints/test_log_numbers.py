"""The numbers of epochs in logs and in checkpoints: joined only if one way of counting
explains both.
"""

import pytest

from dsi_cli.checkpoints.log_numbers import find_shift, shift_by_values


@pytest.mark.parametrize(
    ("files", "log", "expected"),
    [
        (range(1, 6), range(1, 6), 0),
        (range(1, 6), range(5), -1),
        (range(5), range(1, 6), 1),
        ([5, 10, 15, 20], range(20), -1),
        ([5, 10, 15, 20], range(1, 21), 0),
        (range(16, 21), range(20), -1),  # only the last files are kept
        (range(16, 21), range(1, 21), 0),
        (range(21), range(1, 21), 0),  # file 0 is from before the training
        ([0, 2], [1, 2], 0),
        ([0, 2, 4], range(1, 7), None),
        (range(1, 21), range(1, 20), 0),  # the last row is not written yet
        (range(1, 21), [5, 10, 15, 20], 0),
        (range(1, 21), range(11, 21), 0),  # a resumed training
        ([5, 10, 15], range(1, 21), None),  # the next files are not written yet
        ([5, 10, 15], range(20), None),
        ([4, 9, 14, 19], range(1, 21), None),
        (range(15, 20), range(1, 21), None),
        (range(1, 6), range(50, 60), None),
        ([12], range(1, 31), None),
    ],
)
def test_find_shift_of_numbers_is_unique_or_none(files, log, expected):
    assert find_shift(set(files), set(log)) == expected


@pytest.mark.parametrize(
    ("first_of_files", "usual", "expected"),
    [(0, None, 0), (1, None, -1), (None, -1, -1), (None, None, None)],
)
def test_find_shift_counting_of_the_trainer_decides(first_of_files, usual, expected):
    log = set(range(26))
    assert find_shift({10, 20}, log, first_of_files, 0, usual) == expected


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({12: 0.312, 17: 0.317}, 0),
        ({12: 0.311, 17: 0.316}, -1),
        ({12: 0.313}, 1),
        ({12: 0.31299}, 1),  # the log is rounded
        ({12: 0.312, 17: 0.316}, None),  # the values of two shifts
        ({12: 0.3125}, None),
        ({28: 0.4}, None),  # a plateau
        ({}, None),
    ],
)
def test_shift_by_values_only_one_shift_with_the_values_of_the_checkpoints_is_right(
    stated, expected
):
    log = {
        epoch: {
            "test_accuracy": 0.4 if epoch > 25 else 0.3 + epoch / 1000,
            "learning_rate": epoch,
        }
        for epoch in range(1, 31)
    }
    files = {
        epoch: {"test_accuracy": value, "learning_rate": epoch + 1}
        for epoch, value in stated.items()
    }
    assert shift_by_values(files, log) == expected


def test_shift_by_values_curves_that_disagree_are_none():
    log = {
        epoch: {"test_accuracy": epoch / 10, "train_loss": 9.0 - epoch}
        for epoch in range(1, 9)
    }
    assert shift_by_values({4: {"test_accuracy": 0.4, "train_loss": 4.0}}, log) is None
    assert (
        shift_by_values({4: {"test_accuracy": 0.4, "train_loss": 0.123}}, log) == 0
    ), "the loss of a batch is in no row"
