"""How typical right and wrong samples are, at a glance."""

import pytest

from dsi_cli.queries import epoch_summary
from dsi_cli.store import layout, lock
from dsi_cli.store.schema import CHECKPOINTS, TYPICALITY


def row(epoch, index, correct, samples, group, *, step=None, split="test", sample=0.5):
    values = {"run": "run", "split": split, "epoch": epoch, "step": step, "class_index": index, "correct": correct}
    return values | {"samples": samples, "group_cosine": group, "null_mean": 0.9, "sample_cosine": sample}


@pytest.fixture
def out(tmp_path):
    with lock.exclusive(tmp_path / "out"):
        layout.write_rows(tmp_path / "out", CHECKPOINTS, [], {})
    return tmp_path / "out"


def test_means_are_over_the_classes_that_have_such_samples(out):
    rows = [row(3, 0, True, 4, 1.0), row(3, 0, False, 0, None, sample=None), row(3, 1, True, 1, 0.5, sample=None)]
    rows.append(row(3, 1, False, 2, 0.25))
    layout.write_rows(out, TYPICALITY, rows, {})
    (line,) = epoch_summary.typicality_summary(out, "run")["test"]
    assert (line.epoch, line.right, line.right_chance, line.right_sample, line.right_classes) == (3, 0.75, 0.9, 0.5, 2)
    assert (line.wrong, line.wrong_classes) == (0.25, 1)


def test_epochs_in_order_the_test_split_first_the_last_save_alone(out):
    rows = [row(2, 0, True, 1, 0.1), row(1, 0, True, 1, 0.2, step=5), row(1, 0, True, 1, 0.3, step=9)]
    layout.write_rows(out, TYPICALITY, [row(1, 0, True, 1, 0.7, split="train"), *rows], {})
    found = epoch_summary.typicality_summary(out, "run")
    assert list(found) == ["test", "train"]
    assert [(line.epoch, line.right) for line in found["test"]] == [(1, 0.3), (2, 0.1)]
    assert found["test"][0].wrong is None
