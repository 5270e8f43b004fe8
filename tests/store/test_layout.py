"""The output folder: where things lie, and who may write."""

import errno
import os
import time
from contextlib import ExitStack

import pandas as pd
import pytest
from helpers.errors import raises

from dsi_cli.analysis.classifiers.earlier_output import files_of_run
from dsi_cli.errors import OutputError
from dsi_cli.store import atomic_write, layout, lock, parquet
from dsi_cli.store.schema import CHECKPOINTS, CONFUSIONS, CURVES, PREDICTIONS


def test_the_files_of_a_run_are_not_those_of_a_run_inside_it(tmp_path):
    for run in ("a", "a/test", "a/test/test", "b"):
        path = layout.split_path(tmp_path, CONFUSIONS, run, "test", 0)
        parquet.write(parquet.from_rows(CONFUSIONS, []), path, {"of": run}, tmp_path / ".tmp")
        assert files_of_run(tmp_path, run, [CONFUSIONS]) == {path: {"of": run}}
    assert files_of_run(tmp_path, "a", [PREDICTIONS]) == {}


@pytest.mark.parametrize(
    ("run", "folder"),
    [
        ("resnet18", "resnet18"),
        ("sweep/lr=0.1", "sweep/lr%3D0.1"),
        (".hidden/_private", "%2Ehidden/%5Fprivate"),
        ("..", "%2E."),
        ("a%3Db", "a%253Db"),
        ("été: 日本 1*2?", "été: 日本 1*2?"),
        ("a\nb", "a%0Ab"),
    ],
)
def test_folders_of_runs_are_read_by_every_reader(run, folder, tmp_path):
    assert layout.folder_name(run) == folder
    path = layout.csm_path(tmp_path, run, "ncsm", None, 0)
    path.parent.mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    assert list(pd.read_parquet(tmp_path / "csms").columns) == ["a"]


def test_an_empty_folder_is_left_as_little_as_it_was_made(tmp_path):
    with lock.exclusive(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").read_text(encoding="utf-8") == f"process {os.getpid()}"
    assert list(tmp_path.iterdir()) == []


def test_the_lock_goes_when_the_work_fails(tmp_path):
    def fails():
        with lock.exclusive(tmp_path / "out"):
            (tmp_path / "out" / ".tmp").mkdir()
            (tmp_path / "out" / CHECKPOINTS.path).touch()
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        fails()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [CHECKPOINTS.path]
    with lock.exclusive(tmp_path / "out"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_a_warning(number, tmp_path, monkeypatch, caplog):
    fcntl = pytest.importorskip("fcntl", reason="only POSIX has it")

    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with lock.exclusive(tmp_path / "out"):
            (tmp_path / "out" / CHECKPOINTS.path).touch()
    (warning,) = caplog.messages
    assert f"the file system of {tmp_path / 'out'} has no locks ({os.strerror(number)})" in warning
    assert [path.name for path in (tmp_path / "out").iterdir()] == [CHECKPOINTS.path]


def test_an_error_of_the_lock_that_is_not_about_locks_is_an_error_of_the_output(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="only POSIX has it")

    def fail(file, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", fail)
    with raises("cannot-write", OutputError):
        lock.exclusive(tmp_path / "out").__enter__()


def test_a_lock_file_that_goes_between_opening_and_locking(tmp_path, monkeypatch):
    """Its lock would keep nobody out: the next process would make another."""
    fcntl = pytest.importorskip("fcntl", reason="only POSIX has it")
    out, first = tmp_path / "out", ExitStack()
    first.enter_context(lock.exclusive(out))
    (out / CHECKPOINTS.path).touch()
    real = fcntl.flock

    def late(file, operation):
        first.close()  # only the first call has something to close
        real(file, operation)

    second = ExitStack()
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        patch.setattr(time, "perf_counter", lambda: 0.0)  # so that the timeout does not pass on a busy machine
        second.enter_context(lock.exclusive(out))
    with second, pytest.raises(OutputError, match=r"^another dsi \(process \d+\) is writing"):
        lock.exclusive(out).__enter__()
    assert [path.name for path in out.iterdir()] == [CHECKPOINTS.path]


@pytest.mark.parametrize("left", [".lock", "csms", CHECKPOINTS.path])
def test_lock_accepts_what_a_killed_call_left(left, tmp_path):
    (tmp_path / left).mkdir() if left == "csms" else (tmp_path / left).touch()
    with lock.exclusive(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_damaged_table_counts_as_none_and_one_of_another_program_keeps_its_rows(tmp_path):
    (tmp_path / CURVES.path).write_bytes(b"PAR1")
    assert (layout.earlier_rows(tmp_path, CURVES), layout.earlier_options(tmp_path, CURVES)) == ([], {})
    layout.write_runs(tmp_path, CURVES, ["a"], parquet.from_rows(CURVES, [{"run": "a", "epoch": 1}]), {"a": 1})
    assert [row["run"] for row in layout.earlier_rows(tmp_path, CURVES)] == ["a"]
    assert layout.earlier_options(tmp_path, CURVES) == {"a": 1}
    pd.read_parquet(tmp_path / CURVES.path).to_parquet(tmp_path / CURVES.path)  # other types of text and of missing numbers
    whole = layout.write_runs(tmp_path, CURVES, ["b"], parquet.from_rows(CURVES, [{"run": "b", "epoch": 2, "step": 3}]))
    expected = parquet.from_rows(CURVES, [{"run": "a", "epoch": 1}, {"run": "b", "epoch": 2, "step": 3}])
    assert (whole.schema, whole.to_pylist()) == (expected.schema, expected.to_pylist())


def test_a_file_waits_for_the_disk_unless_it_is_not_durable(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    parquet.write(parquet.from_rows(CURVES, []), tmp_path / "curves.parquet", {}, tmp_path, is_durable=False)
    assert not synced
    layout.write_runs(tmp_path, CURVES, [], parquet.from_rows(CURVES, []), {})
    atomic_write.write_atomically(tmp_path / "map.csv", b"")
    assert len(synced) == 2
