"""Files of some thirty trainers, written by the trainers' own code, against what is
known to be in them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, scan_checkpoint
from dsi_cli.checkpoints.discovery import CheckpointFile, discover
from dsi_cli.checkpoints.epochs import epochs_completed
from dsi_cli.checkpoints.formats import OpenFiles
from dsi_cli.checkpoints.formats.jax import open_folder
from dsi_cli.checkpoints.records import Record
from dsi_cli.checkpoints.training_runs import split_training_runs

NAMELESS = ("fp32_flat_groups", "(kernel)")
"""Where the truth has no name for the head: under ZeRO-3, and in Keras' files."""


def _cases() -> list[str]:
    path = Path(os.environ["DSI_SHARED"]) / "zoo" / "truth.json"
    return sorted(json.loads(path.read_text(encoding="utf-8"))["corpus"])


def _found(folder: Path) -> dict[str, CheckpointFile]:
    runs = discover([folder])
    return {
        one.checkpoint_path.relative_to(folder).as_posix(): one
        for run in runs
        for one in run.checkpoints
    }


def _records(folder: Path) -> dict[str, Record]:
    """Return the records by file, with the epochs that only the names of all files of
    a run tell.
    """
    found = {}
    for run in discover([folder]):
        scanned = [scan_checkpoint(file).record for file in run.checkpoints]
        for part, records in split_training_runs(run, scanned):
            for file, record in zip(part.checkpoints, records, strict=True):
                found[file.checkpoint_path.relative_to(folder).as_posix()] = record
    return found


@pytest.mark.parametrize("case", _cases())
def test_a_case_is_read_as_the_truth_says(case, corpus, truth):
    found = _records(corpus / case)
    for file in truth["corpus"][case]["files"]:
        record = found[file["path"]]
        assert record.epoch == file["epoch"]
        assert file["step"] is None or record.step == file["step"]
        assert epochs_completed(record.epoch, record.counts_from) in (
            None,
            file["epochs_completed"],
        )
        if file["key"] is None:
            assert record.status == "failed"
            assert "no classifier" in record.reason
            continue
        assert record.fingerprint == file["sha256_f32"], record.reason
        assert (record.classes + record.extra_classes, record.features) == (
            file["shape"][0],
            file["shape"][1],
        )
        assert record.extra_classes == file["extra_rows"]
        names = [
            ".".join(map(str, file["key"][place:])) for place in range(len(file["key"]))
        ]
        assert record.head in [*names, *file["key"]] or names[-1] in NAMELESS
        assert record.dtype == file["dtype"].removeprefix("torch.")
        assert record.status == ("ok" if record.classes > 1 else "failed")


@pytest.mark.parametrize("case", ["half_ema", "timm_train", "tv_reference"])
def test_averaged_weights_are_read_on_demand(case, corpus, truth):
    found = _found(corpus / case)
    for file in truth["corpus"][case]["files"]:
        record = scan_checkpoint(found[file["path"]], HeadOptions(ema=True)).record
        assert (record.fingerprint, record.weights_used) == (
            file["alt"][0]["sha256_f32"],
            "ema",
        )


def test_an_auxiliary_head_is_read_when_it_is_asked_for(corpus, truth):
    found = _found(corpus / "tv_deeplab")
    for file in truth["corpus"]["tv_deeplab"]["files"]:
        record = scan_checkpoint(
            found[file["path"]], HeadOptions(head="aux_classifier.4")
        ).record
        assert record.fingerprint == file["alt"][0]["sha256_f32"]


@pytest.mark.slow
def test_the_command_reads_the_corpus_as_the_shared_check_wants(corpus, shared):
    check = [
        sys.executable,
        str(shared / "checks/zoo.py"),
        str(shared / "zoo/truth.json"),
        str(corpus),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        check,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=False,
    )
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("mark", ["default/_METADATA", "default/manifest.ocdbt"])
def test_a_folder_of_older_orbax_is_recognised_by_its_tree(mark, corpus):
    with OpenFiles() as files:
        assert set(open_folder(corpus / "orbax" / "0" / mark, files).tree) == {
            "epoch",
            "params",
        }
