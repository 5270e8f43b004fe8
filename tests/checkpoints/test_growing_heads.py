"""A head that grows belongs to one training only if its older rows are recognisable."""

import numpy as np
import pytest

from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_runs import has_grown_from, join_growing


def head(classes, features=16, seed=0):
    return np.random.default_rng(seed).standard_normal((classes, features)).astype(np.float32)


def record(epoch, classes, name="fc.weight", features=16, **fields):
    return Record(
        "run",
        f"epoch_{epoch}.pt",
        epoch=epoch,
        epoch_source="contents",
        classes=classes,
        features=features,
        head=name,
        **fields,
    )


def joined(*trainings, heads=None):
    """Return the paths of the trainings after joining; all heads are the first rows of one head unless they are given."""
    whole = head(40)
    read = (lambda one: heads[one.epoch]) if heads else (lambda one: whole[: one.classes])
    return [[one.path for one in training] for training in join_growing([list(training) for training in trainings], read)]


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_has_grown_from_older_rows_with_noise(classes, noise):
    wide = head(20, features=64)
    assert has_grown_from(wide, wide[:classes] + noise * head(classes, features=64, seed=1))


def test_has_grown_from_ignores_a_direction_that_all_rows_share():
    shared = 5 * head(1)
    assert not has_grown_from(head(20) + shared, head(10, seed=1) + shared)


@pytest.mark.parametrize("seed", range(20))
def test_has_grown_from_another_network_is_false(seed):
    assert not any(has_grown_from(head(20, seed=seed), head(classes, seed=seed + 100)) for classes in (2, 3, 5, 10, 19))


def test_has_grown_from_rows_in_another_order_is_false():
    wide = head(20)
    assert not has_grown_from(wide, wide[:10][::-1])
    assert not has_grown_from(wide, np.zeros((10, 16), dtype=np.float32))


def test_join_growing_joins_each_step_of_a_head():
    parts = [record(0, 10), record(1, 10)], [record(2, 20)], [record(3, 40)]
    assert joined(*parts) == [["epoch_0.pt", "epoch_1.pt", "epoch_2.pt", "epoch_3.pt"]]
    assert joined(*reversed(parts)) == joined(*parts)


SEPARATE = {
    "shrinking": ([record(0, 20)], [record(1, 10)]),
    "the same epoch": ([record(0, 10), record(2, 10)], [record(1, 20)]),
    "another name": ([record(0, 10)], [record(1, 20, "head.weight")]),
    "another width": ([record(0, 10)], [record(1, 20, features=8)]),
    "averaged weights": ([record(0, 10)], [record(1, 20, weights_used="ema")]),
    "two trainings of one width": ([record(0, 10)], [record(1, 20)], [record(2, 20)]),
    "without a classifier": ([record(0, None, None)], [record(1, None, None)]),
}


@pytest.mark.parametrize("parts", SEPARATE.values(), ids=SEPARATE)
def test_join_growing_leaves_other_trainings_apart(parts):
    assert sorted(joined(*parts)) == sorted([[one.path for one in part] for part in parts])


def test_join_growing_without_epochs_leaves_trainings_apart():
    parts = [
        Record("run", name, classes=classes, features=16, head="fc.weight")
        for name, classes in (("a.pt", 10), ("b.pt", 20))
    ]
    assert len(join_growing([[part] for part in parts], lambda one: head(40)[: one.classes])) == 2


def test_join_growing_unrelated_head_begins_a_training():
    heads = {0: head(10), 1: np.vstack([head(10), head(10, seed=1)]), 2: head(30, seed=2)}
    assert joined([record(0, 10)], [record(1, 20)], [record(2, 30)], heads=heads) == [
        ["epoch_0.pt", "epoch_1.pt"],
        ["epoch_2.pt"],
    ]


def test_join_growing_unreadable_head_leaves_trainings_apart():
    assert len(join_growing([[record(0, 10)], [record(1, 20)]], lambda _: None)) == 2
