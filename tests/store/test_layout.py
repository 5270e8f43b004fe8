"""The output folder: where things lie, and who may write."""

import errno
import hashlib
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
from helpers.errors import raises

from dsi_cli.analysis.tables.epoch_files import remove_other_files
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import atomic_write, layout, lock, parquet
from dsi_cli.store.schema import CHECKPOINTS, CONFUSIONS, CURVES


def test_require_output_of_an_interrupted_analysis_raises_how_to_go_on(tmp_path):
    with raises("not-an-output", UsageError, path=str(tmp_path)) as plain:
        layout.require_output(tmp_path)
    (tmp_path / layout.CACHE).mkdir()
    with raises("not-an-output", UsageError, path=str(tmp_path)) as interrupted:
        layout.require_output(tmp_path)
    assert plain.value.hint != interrupted.value.hint
    assert f"-o {tmp_path} again" in str(interrupted.value.hint)


def test_remove_other_files_keeps_the_files_of_a_run_inside_the_run(tmp_path):
    paths = {
        run: layout.split_path(tmp_path, CONFUSIONS, run, "test", 0)
        for run in ("a", "a/test", "a/test/test", "b")
    }
    for path in paths.values():
        parquet.write(parquet.from_rows(CONFUSIONS, []), path, {}, tmp_path / ".tmp")
    remove_other_files(tmp_path, "a", set())
    assert [run for run, path in paths.items() if path.is_file()] == [
        "a/test",
        "a/test/test",
        "b",
    ]


@pytest.mark.parametrize(
    ("run", "folder"),
    [
        ("resnet18", "resnet18"),
        ("sweep/lr=0.1", "sweep/lr%3D0.1"),
        (".hidden/_private", "%2Ehidden/%5Fprivate"),
        ("..", "%2E%2E"),
        ("a%3Db", "a%253Db"),
        ("été: 日本 1*2?", "été%3A 日本 1%2A2%3F"),
        ("a\nb", "a%0Ab"),
        ('a<b>|"c"\\d', "a%3Cb%3E%7C%22c%22%5Cd"),
        ("ends with a dot./and a space ", "ends with a dot%2E/and a space%20"),
        ("CON/nul.txt/Lpt9", "%43ON/%6Eul.txt/%4Cpt9"),
        ("console/null/com10/epoch_1.5", "console/null/com10/epoch_1.5"),
        ("ResNet-18 (v2)/Net", "ResNet-18 (v2)/Net"),
        ("x" * 240, "x" * 240),
        ("=" * 255, "%3D" * 66 + "%3~" + hashlib.sha256(b"%3D" * 255).hexdigest()[:16]),
        (
            "é" * 250,
            "é" * 100 + "~" + hashlib.sha256("é".encode() * 250).hexdigest()[:16],
        ),
    ],
)
def test_folders_of_runs_are_read_by_every_reader(run, folder, tmp_path):
    assert layout.folder_name(run) == folder
    assert max(len(part.encode()) for part in folder.split("/")) <= 240
    path = layout.csm_path(tmp_path, run, "ncsm", None, 0)
    path.parent.mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    assert list(pd.read_parquet(tmp_path / "csms").columns) == ["a"]


@pytest.mark.parametrize(
    ("name", "other"),
    [("Net", "net"), ("caf\xe9", "cafe\u0301"), ("STRASSE", "strasse"), ("a:b", "A:B")],
)
def test_folder_key_of_two_runs_that_share_a_folder_on_macos_or_windows_is_the_same(
    name, other
):
    assert layout.folder_name(name) != layout.folder_name(other)
    assert layout.folder_key(name) == layout.folder_key(other)
    assert layout.unique_run(other, {layout.folder_key(name)}) == f"{other}-2"


@pytest.mark.parametrize(
    ("name", "other"),
    [("a:b", "a%3Ab"), ("A" * 300, "a" * 300), ("x" * 300, "x" * 301), ("CON", "con")],
)
def test_folder_key_of_two_runs_with_folders_of_their_own_differs(name, other):
    assert layout.folder_key(name) != layout.folder_key(other)


def test_an_empty_folder_is_left_as_little_as_it_was_made(tmp_path):
    with lock.exclusive(tmp_path / "out"):
        assert (tmp_path / "out" / ".lock").read_text(
            encoding="utf-8"
        ) == f"process {os.getpid()}"
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
def test_a_file_system_without_locks_is_a_warning(
    number, tmp_path, monkeypatch, caplog
):
    fcntl = pytest.importorskip("fcntl", reason="only POSIX has it")

    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        with lock.exclusive(tmp_path / "out"):
            (tmp_path / "out" / CHECKPOINTS.path).touch()
    (warning,) = caplog.messages
    assert (
        f"the file system of {tmp_path / 'out'} has no locks ({os.strerror(number)})"
        in warning
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == [CHECKPOINTS.path]


def test_a_file_system_that_reports_a_held_lock_as_denied_is_busy(
    tmp_path, monkeypatch
):
    fcntl = pytest.importorskip("fcntl", reason="only POSIX has it")
    real = fcntl.flock

    def report(file, operation):
        try:
            real(file, operation)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None

    monkeypatch.setattr(fcntl, "flock", report)
    out = tmp_path / "out"
    with (
        lock.exclusive(out),
        pytest.raises(OutputError, match=r"^another dsi \(process \d+\) is writing"),
    ):
        lock.exclusive(out).__enter__()


def test_an_error_of_the_lock_that_is_not_about_locks_is_an_error_of_the_output(
    tmp_path, monkeypatch
):
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
        # so that the timeout does not pass on a busy machine
        patch.setattr(time, "perf_counter", lambda: 0.0)
        second.enter_context(lock.exclusive(out))
    with (
        second,
        pytest.raises(OutputError, match=r"^another dsi \(process \d+\) is writing"),
    ):
        lock.exclusive(out).__enter__()
    assert [path.name for path in out.iterdir()] == [CHECKPOINTS.path]


@pytest.mark.parametrize("left", [".lock", "csms", CHECKPOINTS.path])
def test_lock_accepts_what_a_killed_call_left(left, tmp_path):
    (tmp_path / left).mkdir() if left == "csms" else (tmp_path / left).touch()
    with lock.exclusive(tmp_path):
        assert (tmp_path / ".lock").exists()


def test_a_damaged_table_counts_as_none_and_one_of_another_program_keeps_its_rows(
    tmp_path,
):
    (tmp_path / CURVES.path).write_bytes(b"PAR1")
    assert (
        layout.earlier_rows(tmp_path, CURVES),
        layout.earlier_options(tmp_path, CURVES),
    ) == ([], {})
    layout.write_runs(
        tmp_path,
        CURVES,
        ["a"],
        parquet.from_rows(CURVES, [{"run": "a", "epoch": 1}]),
        {"a": 1},
    )
    assert [row["run"] for row in layout.earlier_rows(tmp_path, CURVES)] == ["a"]
    assert layout.earlier_options(tmp_path, CURVES) == {"a": 1}
    # other types of text and of missing numbers
    pd.read_parquet(tmp_path / CURVES.path).to_parquet(tmp_path / CURVES.path)
    layout.write_runs(
        tmp_path,
        CURVES,
        ["b"],
        parquet.from_rows(CURVES, [{"run": "b", "epoch": 2, "step": 3}]),
    )
    whole = layout.read_table(tmp_path, CURVES)
    expected = parquet.from_rows(
        CURVES, [{"run": "a", "epoch": 1}, {"run": "b", "epoch": 2, "step": 3}]
    )
    assert whole.schema.equals(expected.schema)
    assert whole.to_pylist() == expected.to_pylist()


def test_a_file_waits_for_the_disk_unless_it_is_not_durable(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    parquet.write(
        parquet.from_rows(CURVES, []),
        tmp_path / "curves.parquet",
        {},
        tmp_path,
        is_durable=False,
    )
    assert not synced
    layout.write_runs(tmp_path, CURVES, [], parquet.from_rows(CURVES, []), {})
    atomic_write.write_atomically(tmp_path / "map.csv", b"")
    assert len(synced) == 2


@pytest.mark.parametrize(
    ("winerror", "failures"), [(32, 3), (5, 1), (13, 1), (None, 1)]
)
def test_write_atomically_waits_on_windows_for_a_reader_of_the_file(
    winerror, failures, tmp_path, monkeypatch
):
    real, calls, pauses = Path.replace, [], []

    def replace(part, path):
        calls.append(path)
        if len(calls) <= failures:
            error = PermissionError(errno.EACCES, "Permission denied")
            error.winerror = winerror
            raise error
        return real(part, path)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(atomic_write.time, "sleep", pauses.append)
    path = tmp_path / "curves.parquet"
    path.write_bytes(b"old")
    if winerror in (5, 32):
        atomic_write.write_atomically(path, b"new")
        assert (path.read_bytes(), len(pauses)) == (b"new", failures)
    else:
        with raises("cannot-write", OutputError):
            atomic_write.write_atomically(path, b"new")
        assert (path.read_bytes(), pauses) == (b"old", [])
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_gives_up_if_a_reader_never_closes_the_file(
    tmp_path, monkeypatch
):
    error = PermissionError(errno.EACCES, "Permission denied")
    error.winerror = 32

    def replace(part, path):
        raise error

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(atomic_write.time, "sleep", lambda _seconds: None)
    with raises("cannot-write", OutputError):
        atomic_write.write_atomically(tmp_path / "curves.parquet", b"new")
