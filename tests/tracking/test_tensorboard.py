"""Event files, read back by TensorBoard itself and by our own reader."""

import numpy as np
import pytest
from helpers.errors import raises

from dsi_cli import log_curves
from dsi_cli.checkpoints import training_logs
from dsi_cli.errors import UsageError

pytest.importorskip("tensorboard", reason="reads event files back")


def scalars(folder):
    """Return values by tag, then by step, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    found = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    assert all(
        len({one.step for one in points}) == len(points) for points in found.values()
    ), "no step twice"
    return {
        tag: {one.step: one.value for one in points} for tag, points in found.items()
    }, found


def as_float32(points):
    return {
        name: {epoch: float(np.float32(value)) for epoch, value in at.items()}
        for name, at in points.items()
    }


def file_of(folder):
    (path,) = folder.iterdir()
    return path


def test_tensorboard_reads_what_the_tables_hold_a_run_a_folder(out, tmp_path, expected):
    logged = log_curves(out, f"tensorboard:{tmp_path}/tb")
    assert (logged.to, logged.place, logged.runs) == (
        "tensorboard",
        f"{tmp_path}/tb",
        2,
    )
    assert logged.next_step == f"tensorboard --logdir {tmp_path}/tb"
    for run, folder in (("cnn", "cnn"), ("vit=1", "vit%3D1")):
        values, _ = scalars(tmp_path / "tb" / folder)
        assert values == as_float32(expected(out, run))
    assert logged.points == sum(
        len(at) for run in ("cnn", "vit=1") for at in expected(out, run).values()
    )


def test_an_event_has_the_time_of_its_checkpoint(out, tmp_path, runs):
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    _, events = scalars(tmp_path / "tb/cnn")
    times = [(runs / "cnn" / f"epoch_{epoch}.pt").stat().st_mtime for epoch in range(3)]
    assert [one.wall_time for one in events["dsi/accuracy"]] == pytest.approx(times)


def test_our_own_reader_reads_it_but_takes_it_for_no_trainings_log(out, tmp_path):
    log_curves(out, f"tensorboard:{tmp_path}/tb", run="cnn", all_curves=True)
    folder = tmp_path / "tb/cnn"
    log = training_logs.read_log(file_of(folder))
    expected = {
        epoch: {
            "train_loss": 2 - epoch / 4,
            "test_loss": 2.5 - epoch / 4,
            "test_accuracy": pytest.approx(accuracy),
        }
        for epoch, accuracy in enumerate((0.55, 0.55, 0.6125))
    }
    assert log.by_epoch == expected
    assert training_logs.find_log([folder]) is None


def test_the_same_tables_again_change_nothing(out, tmp_path):
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    path = file_of(tmp_path / "tb/cnn")
    before = path.read_bytes(), path.stat()
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    assert (path.read_bytes(), path.stat()[:9]) == (before[0], before[1][:9])


def test_a_new_epoch_is_added_to_the_file_that_is_open(out, tmp_path, grow, expected):
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    path = file_of(tmp_path / "tb/cnn")
    before = path.read_bytes()
    with path.open("rb") as watched:
        grow(out)
        log_curves(out, f"tensorboard:{tmp_path}/tb")
        now = watched.read()
    assert now.startswith(before)
    assert len(now) > len(before)
    assert scalars(path.parent)[0] == as_float32(expected(out, "cnn"))
    assert set(scalars(path.parent)[0]["dsi/accuracy"]) == {0, 1, 2, 3}


@pytest.mark.parametrize("length", [0, 5, 1000, -1])
def test_tensorboard_log_after_a_killed_call_is_continued(out, tmp_path, length):
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    path = file_of(tmp_path / "tb/cnn")
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    assert path.read_bytes() == whole


def test_a_changed_value_takes_the_place_of_the_old_one(out, tmp_path, change):
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    value = change(out)
    log_curves(out, f"tensorboard:{tmp_path}/tb")
    assert scalars(tmp_path / "tb/cnn")[0]["dsi/accuracy"][1] == value


def test_files_of_others_are_left_alone(out, tmp_path):
    folder = tmp_path / "tb/vit%3D1"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.123.host").write_bytes(b"a training's own")
    with raises("foreign-event-files", UsageError):
        log_curves(out, f"tensorboard:{tmp_path}/tb")
    assert [path.name for path in folder.iterdir()] == ["events.out.tfevents.123.host"]
    assert not (tmp_path / "tb/cnn").exists()
