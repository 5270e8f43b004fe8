"""Every trainer's files: the classifier head to the last bit, and the trainer's number of epochs and steps."""

import pytest
from helpers.trainers import TRAINERS
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.checkpoint_reader import scan_checkpoint
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.epochs import epochs_completed


@pytest.mark.parametrize("trainer", [write.__name__ for write in TRAINERS])
def test_a_trainers_checkpoints_are_read_with_head_epoch_and_step(trainer, trainers_files):
    folder, expected = trainers_files.folder / trainer, trainers_files.expected[trainer]
    (run,) = discover([folder])
    found = {one.checkpoint_path.relative_to(folder).as_posix(): one for one in run.checkpoints}
    assert set(found) == {one.path for one in expected}
    for one in expected:
        scanned = scan_checkpoint(found[one.path])
        record = scanned.record
        assert record.status == "ok", record.reason
        assert_array_equal(scanned.weight, one.weight)
        assert (record.classes, record.features) == one.weight.shape
        assert (record.epoch, record.step) == (one.epoch, one.step)
        assert epochs_completed(record.epoch, record.counts_from) == one.completed


@pytest.mark.parametrize(
    ("which", "from_zero"), [("timm_run", True), ("torchvision_run", True), ("hugging_face_run", False)]
)
def test_runs_of_real_trainers_are_read_with_head_and_epoch(which, from_zero, request):
    trained = request.getfixturevalue(which)
    (run,) = discover([trained.folder])
    found = {path: one for one in run.checkpoints for path in (one.checkpoint_path, one.path)}
    for number, path in enumerate(trained.files):
        scanned = scan_checkpoint(found.get(path) or found[path.parent])
        expected = trained.model(number).state_dict()[scanned.record.head].numpy()
        assert_array_equal(scanned.weight, expected)
        epoch = number if from_zero else number + 1
        assert (scanned.record.epoch, epochs_completed(scanned.record.epoch, scanned.record.counts_from)) == (
            epoch,
            number + 1,
        )
