"""A run's checkpoints in order: epochs, finished epochs, duplicates."""

from dataclasses import replace

import pytest

from dsi_cli.checkpoints import deduplication
from dsi_cli.checkpoints.records import Record

A = Record(
    "run",
    "/run/epoch_1.pt",
    epoch=1,
    epoch_source="contents",
    classes=10,
    fingerprint="a",
)


def at(name: str, **values) -> Record:
    return replace(A, path=f"/run/{name}", **values)


def verdicts(records):
    return {
        record.path.rpartition("/")[2]: (record.status, record.epoch, record.reason)
        for record in records
    }


def test_copies_are_skipped_and_say_of_what_but_a_frozen_head_is_none():
    copies = [
        at("last.pt"),
        at("best.pt", epoch=None, epoch_source=None),
        at("checkpoint.pt", epoch=2),
    ]
    found = verdicts(deduplication.resolve_duplicates([A, *copies]))
    expected = {"last.pt": 1, "best.pt": None, "checkpoint.pt": 2}
    skipped = {
        name: ("skipped", epoch, "the same weights as epoch_1.pt")
        for name, epoch in expected.items()
    }
    assert found == {"epoch_1.pt": ("ok", 1, None), **skipped}
    assert [
        one.status
        for one in deduplication.resolve_duplicates([A, at("epoch_2.pt", epoch=2)])
    ] == ["ok", "ok"]


def test_two_saves_of_one_epoch_are_both_kept_and_the_last_stands_for_it_if_their_steps_tell_them_apart():
    settled = deduplication.resolve_duplicates(
        [at("a.pt", step=10), at("b.pt", step=20, fingerprint="b")]
    )
    assert [record.status for record in settled] == ["ok", "ok"]
    assert deduplication.stands_for_epoch(settled) == {(1, 10): False, (1, 20): True}
    assert [record.step for record in deduplication.sort_by_epoch(settled)] == [10, 20]
    found = verdicts(
        deduplication.resolve_duplicates([A, at("other.pt", fingerprint="b")])
    )
    assert found["other.pt"] == (
        "skipped",
        1,
        "epoch 1 again, as in epoch_1.pt, with other weights",
    )


def test_resolve_duplicates_without_epochs_numbers_by_step():
    records = [
        at(
            f"{step}.pt",
            epoch=None,
            epoch_source=None,
            step=step,
            fingerprint=str(step),
        )
        for step in (200, 100)
    ]
    last = at("last.pt", epoch=None, epoch_source=None, fingerprint="b")
    settled = deduplication.resolve_duplicates([*records, last])
    assert [(one.epoch, one.epoch_source) for one in settled[:2]] == [
        (2, "order"),
        (1, "order"),
    ]
    assert (settled[2].status, settled[2].code) == ("skipped", "no-epoch")


def test_resolve_duplicates_with_a_question_uses_no_checkpoint():
    (record,) = deduplication.resolve_duplicates([A], question="the reason")
    expected = ("failed", "open-names", "the reason")
    assert (record.status, record.code, record.reason) == expected


@pytest.mark.parametrize(
    ("counts_from", "completed"), [(0, [1, 2]), (1, [0, 1]), (None, [None, None])]
)
def test_finished_epochs_follow_the_trainers_habit(counts_from, completed):
    records = [
        at(f"e{n}.pt", epoch=n, counts_from=counts_from, fingerprint=str(n))
        for n in (0, 1)
    ]
    assert [
        record.epochs_completed for record in deduplication.resolve_duplicates(records)
    ] == completed


def test_evidence_of_one_checkpoint_or_the_log_counts_for_the_run_and_no_epoch_is_finished_at_step_0():
    records = [
        at(f"epoch=0-step={n}.ckpt", epoch=0, step=n, counts_from=0, fingerprint=str(n))
        for n in (0, 80)
    ]
    assert [
        record.epochs_completed for record in deduplication.resolve_duplicates(records)
    ] == [0, 1]
    records = [
        at("e0.pt", epoch=0, counts_from=1),
        at("e1.pt", epoch=1, fingerprint="b"),
    ]
    assert [
        record.epochs_completed for record in deduplication.resolve_duplicates(records)
    ] == [0, 1]
    unknown = [replace(record, counts_from=None) for record in records]
    settled = deduplication.resolve_duplicates(unknown, begins_before_training=True)
    assert [record.epochs_completed for record in settled] == [0, 1]
    # Conflicting evidence is no evidence.
    records = [
        at(f"e{epoch}.pt", epoch=epoch, counts_from=(1, 0, None)[epoch])
        for epoch in (0, 1, 2)
    ]
    assert deduplication.resolve_duplicates(records)[2].epochs_completed is None


def test_percentages_are_those_of_all_checkpoints():
    scalars = ({"test_accuracy": 1.0}, {"test_accuracy": 35.0})
    records = [
        at(f"e{n}.pt", epoch=n, fingerprint=str(n), scalars=values)
        for n, values in enumerate(scalars)
    ]
    assert [
        one.scalars["test_accuracy"]
        for one in deduplication.resolve_duplicates(records)
    ] == [0.01, 0.35]


def test_settle_two_files_of_one_epoch_with_other_weights_fail_and_name_each_other():
    records = [A, at("epoch_1 (copy).pt", fingerprint="b"), at("epoch_2.pt", epoch=2)]
    found = verdicts(deduplication.resolve_duplicates(records))
    reason = (
        "epoch 1 is also in {}, with other weights; after a resumption, move the older"
        " file away, else state the trainings with --names, as in --names"
        " 'm_[run]_[epoch].pt'"
    )
    failed = {"epoch_1.pt": "epoch_1 (copy).pt", "epoch_1 (copy).pt": "epoch_1.pt"}
    assert found == {
        **{
            n: ("failed", 1, reason.format(o).replace("[", "{").replace("]", "}"))
            for n, o in failed.items()
        },
        "epoch_2.pt": ("ok", 2, None),
    }


@pytest.mark.parametrize("step", [None, 700])
def test_settle_a_numbered_file_wins_over_its_unnumbered_copies(step):
    records = [
        at("checkpoint.pth"),
        at("last.pth", step=step),
        at("model_1.pth"),
        at("best.pth", fingerprint="b"),
    ]
    found = {
        name: status
        for name, (status, _, _) in verdicts(
            deduplication.resolve_duplicates(records)
        ).items()
    }
    assert found == {
        "checkpoint.pth": "skipped",
        "last.pth": "skipped",
        "model_1.pth": "ok",
        "best.pth": "skipped",
    }


@pytest.mark.parametrize(
    "names", [["model.pt"], ["model.pt", "last.pt", "best.pt"], ["best.pt"]]
)
def test_settle_the_only_checkpoint_of_a_run_has_no_epoch(names):
    records = [
        at(name, epoch=None, epoch_source=None, fingerprint=name) for name in names
    ]
    settled = deduplication.resolve_duplicates(records)
    assert [record.status for record in settled] == ["ok", "skipped", "skipped"][
        : len(names)
    ]
    assert {(record.epoch, record.epoch_source) for record in settled} == {(None, None)}
    assert deduplication.stands_for_epoch(settled) == {(None, None): True}
