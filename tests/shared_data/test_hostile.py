"""Damaged and malicious files and folders: each ends as it should, and nothing in them
is executed.
"""

import pytest

from dsi_cli.checkpoints import checkpoint_reader
from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.errors import CheckpointError

ERRORS = ("error", "refuse", "optimizer only", "zip but not torch", "FIFO", "ELOOP")
REFUSED_WITHOUT_WORD = {
    "a bare tensor [10,16]",
    "300 MB data.pkl: cap its size",
    "duplicate entry data/0, two data.pkl (one ../../)",
    "storages half as long as numel says",
    "being written (partial)",
    "a DIRECTORY with a checkpoint suffix",
    "directory symlink cycle: rglob/os.walk(followlinks)",
    "ignore",
}


def test_each_hostile_file_ends_as_truth_expects(hostile, truth, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, looked = [], 0
    for case, facts in truth["hostile"].items():
        for file in facts["files"]:
            path = hostile / case / file["path"]
            record = (
                scan_checkpoint(require_file(path)).record if path.exists() else None
            )
            expect = file.get("expect") or ""
            must_fail = (
                expect.startswith(ERRORS) and " OR " not in expect
            ) or expect in REFUSED_WITHOUT_WORD
            looked += 1
            if record is None:
                assert expect == "ELOOP", file["path"]
            elif (
                must_fail
                and record.status == "ok"
                and not (file["key"] and record.fingerprint == file["sha256_f32"])
            ):
                wrong.append((case, file["path"], expect, record.status))
            elif (
                not must_fail
                and file.get("sha256_f32")
                and record.fingerprint != file["sha256_f32"]
            ):
                wrong.append((case, file["path"], record.reason, record.status))
    assert not wrong
    assert looked > 50
    assert not list(tmp_path.iterdir()), "something was executed"


@pytest.mark.parametrize(
    "name", ["epoch_3_inf_one.pth", "epoch_9_one_class_missing_fp16overflow.pth"]
)
def test_infinite_weights_are_a_failed_row(name, hostile):
    record = scan_checkpoint(require_file(hostile / "bad_values" / name)).record
    assert record.status == "failed"
    assert "NaN or infinite weights in class" in record.reason


def test_reading_the_whole_state_of_hostile_files_ends_as_errors(
    hostile, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    files = [
        path
        for path in sorted(hostile.rglob("*"))
        if path.is_file() and path.suffix in (".pt", ".pth", ".bin", ".ckpt")
    ]
    assert len(files) > 10
    refused = []
    for path in files:
        try:
            checkpoint_reader.read_state_dict(require_file(path), HeadOptions())
        except CheckpointError as error:
            refused.append(str(error))
    assert 0 < len(refused) < len(files)
    assert not any("\n" in reason for reason in refused)
    assert list(tmp_path.iterdir()) == []


def test_hostile_folders_are_walked(hostile):
    found = discover([hostile / "paths", hostile / "not_checkpoints"])
    assert {run.name for run in found} == {"paths", "not_checkpoints", "d39", "partial"}
    (paths,) = [run for run in found if run.name == "paths"]
    assert {
        "epoch_1.pth",
        "last.pth",
        "loop_a.pth",
        ".hidden_epoch_11.pth",
        "epoch_12.PTH",
        "epoch_15",
    } <= {one.path.name for one in paths.checkpoints}
