"""The numbers of epochs in logs and in checkpoints: joined only if one way of counting
explains both.
"""

import pytest

from dsi_cli.checkpoints.log_numbers import EpochNumbers, find_shift, shift_by_values


def shift_of(files, log, counts_from=None, *, are_stated=True, usual_shift=None):
    rows = EpochNumbers(frozenset(log), None, are_stated)
    return find_shift(EpochNumbers(frozenset(files), counts_from), rows, usual_shift)


@pytest.mark.parametrize(
    ("files", "log", "expected"),
    [
        (range(1, 6), range(1, 6), 0),
        (range(1, 6), range(5), -1),
        (range(5), range(1, 6), 1),
        ([5, 10, 15, 20], range(20), -1),
        ([4, 9, 14, 19], range(1, 21), 1),
        (range(16, 21), range(20), -1),  # only the last files are kept
        (range(16, 21), range(1, 21), 0),
        ([1, 4, 8], range(1, 11), 0),
        ([12, 17, 30], range(1, 31), 0),
    ],
)
def test_find_shift_one_way_of_counting_explains_all_files(files, log, expected):
    assert shift_of(files, log) == expected


@pytest.mark.parametrize(
    ("files", "log"),
    [
        (
            [5, 10, 15],
            range(20),
        ),  # each fifth of 20 epochs from 1, or each fifth from 0 without the first
        (
            [3, 6, 9],
            range(10),
        ),  # each third epoch, from 1 by the files and from 0 by the log, of 10 epochs
        (
            [1, 3, 5],
            range(1, 7),
            # each second of 6 epochs from 0, or the first one and each second one after it
        ),
        ([12, 17, 23], range(1, 31)),
        (range(15, 20), range(1, 21)),
        (range(1, 20), range(20)),
        (range(9), range(1, 11)),
        (
            range(20),
            range(19),
        ),  # file 0 is from before the training, or the last row is missing
        (range(1, 6), range(50, 60)),
        ([12], range(1, 31)),
    ],
)
def test_find_shift_several_or_no_ways_of_counting_are_none(files, log):
    assert shift_of(files, log) is None


@pytest.mark.parametrize(
    ("files", "log", "expected"),
    [
        ([5, 10, 15], range(1, 21), 0),  # each fifth epoch from 1
        ([4, 9, 14], range(20), 0),
        (range(21), range(1, 21), 0),  # no row for file 0
        (range(1, 21), range(1, 20), 0),  # the last row is not written yet
        (range(1, 21), [5, 10, 15, 20], 0),
        (range(1, 21), range(11, 21), 0),  # a resumed training
    ],
)
def test_find_shift_log_without_some_epochs_is_joined_by_evidence(files, log, expected):
    assert shift_of(files, log) == expected


def test_find_shift_counting_of_the_trainer_decides():
    assert [shift_of([2, 7, 11], range(20), first) for first in (0, 1, None)] == [
        0,
        -1,
        None,
    ]
    assert shift_of([0], range(1, 3), 0) == 1
    assert [
        shift_of([10, 20], range(26), usual_shift=shift) for shift in (-1, None)
    ] == [-1, None]


def test_find_shift_rows_without_numbers_count_like_the_files():
    files = ([0, 1], [1, 2], [0, 1, 2], [1, 3])
    assert [
        shift_of(numbers, range(1, 3), are_stated=False) for numbers in files[:3]
    ] == [1, 0, 0]
    assert shift_of([1, 3], range(1, 4), are_stated=False) == 0
    assert shift_of([1, 2], range(1, 4), are_stated=False) is None


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
