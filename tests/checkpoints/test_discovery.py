"""From paths to runs: what is a checkpoint, what is a run, what it is called."""

import errno
import gzip
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import errors
from safetensors.torch import save_file

from dsi_cli.checkpoints.checkpoint_reader import scan_checkpoint
from dsi_cli.checkpoints.discovery import discover, find_other_files
from dsi_cli.errors import UsageError
from dsi_cli.store.layout import folder_key


def put(path: Path, rows: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"fc.weight": torch.ones(rows, 4)}, path)
    return path


def put_step(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"fc.weight": torch.ones(3, 4)}, folder / "model.safetensors")
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def names(paths: object, **options: object) -> dict[str, list[str]]:
    """Return each run's checkpoints by name."""
    found = discover(paths if isinstance(paths, list) else [paths], **options)
    return {
        run.name: [one.checkpoint_path.name for one in run.checkpoints] for run in found
    }


def test_a_step_folder_that_is_removed_during_the_search_is_passed_over(
    tmp_path, monkeypatch
):
    for step in (1, 2):
        put_step(tmp_path / "run" / f"checkpoint-{step}")
    gone, real = tmp_path / "run" / "checkpoint-1", Path.stat

    def stat(path, **options):
        if path == gone:
            raise FileNotFoundError(errno.ENOENT, "removed", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert names(tmp_path) == {"run": ["checkpoint-2"]}


def test_a_run_is_the_nearest_folder_and_epochs_sort_as_numbers(tmp_path):
    _ = [
        put(tmp_path / name)
        for name in ("a/e10.pt", "a/e2.pt", "a/e1.pt", "b/deep/er/e1.pth")
    ]
    assert names(tmp_path) == {"a": ["e1.pt", "e2.pt", "e10.pt"], "er": ["e1.pth"]}


def test_step_folders_collapse_into_their_run(tmp_path):
    _ = [
        put_step(
            tmp_path / f"out/checkpoint-{step}",
            config__json="{}",
            trainer_state__json="{}",
        )
        for step in (1000, 500)
    ]
    _ = [
        put_step(tmp_path / name)
        for name in ("out", "out/best_model", "best", "out/final_run/checkpoint-9")
    ]
    folders = ["best_model", "checkpoint-500", "checkpoint-1000", "out"]
    assert names(tmp_path) == {
        "best": ["best"],
        "final_run": ["checkpoint-9"],
        "out": folders,
    }
    _, run = discover([tmp_path / "out"])
    assert {one.step_folder.name for one in run.checkpoints} == set(folders)
    assert (run.checkpoints[0].folder, run.ignored) == (tmp_path / "out", 4)
    put(tmp_path / "last/epoch_1.pt")
    put_step(tmp_path / "last")
    assert names(tmp_path / "last") == {"last": ["epoch_1.pt", "model.safetensors"]}


@pytest.mark.parametrize(
    "name",
    [
        "epoch_{}/weights.pt",
        "epoch_{}/rank_0/weights.pt",
        "iter_{}/mp_rank_00/model_optim_rng.pt",
    ],
)
def test_files_in_epoch_folders_collapse_as_well(name, tmp_path):
    for epoch in (1, 2):
        put(tmp_path / "run" / name.format(epoch))
    for path in (tmp_path, f"{tmp_path}/run/{name.format('*')}"):
        (run,) = discover([path])
        assert (run.name, len(run.checkpoints)) == ("run", 2)
        records = [scan_checkpoint(one).record for one in run.checkpoints]
        assert [record.epoch or record.step for record in records] == [1, 2]


def test_sharded_folders_are_one_checkpoint_of_all_bytes(tmp_path):
    folder = put_step(
        tmp_path / "out/checkpoint-5",
        model__safetensors__index__json='{"weight_map": {}}',
    )
    (run,) = discover([tmp_path])
    (one,) = run.checkpoints
    assert one.path.name == "model.safetensors.index.json"
    assert one.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_discover_names_runs_by_the_shortest_unique_suffix(tmp_path):
    for name in ("x/a/ckpt/1.pt", "x/b/ckpt/1.pt", "y/a/ckpt/1.pt", "x/c/weights/1.pt"):
        put(tmp_path / name)
    assert set(names(tmp_path)) == {"x/a/ckpt", "b/ckpt", "y/a/ckpt", "c"}


def test_a_folder_named_after_its_contents_gives_its_run_the_name_above_or_the_name_that_runs_share(
    tmp_path,
):
    places = (
        "a/checkpoints g/checkpoint b/weights c/models d/version_0/checkpoints"
        " e/version_0 e/version_1 f f/models"
    )
    for name in places.split():
        put(tmp_path / name / "1.pt")
    assert set(names(tmp_path)) == {
        "a",
        "b",
        "c",
        "d",
        "g",
        "version_0",
        "version_1",
        "f",
        "models",
    }
    assert set(names(tmp_path / "e/version_1")) == {"e"}
    put(tmp_path / "x/ckpts/1.pt")
    known = {f"x/ckpts/run{label}": str(tmp_path / "x/ckpts") for label in "AB"}
    assert set(names(tmp_path / "x", known=known)) == {"x/ckpts"}


def test_discover_accepts_globs_and_single_files(tmp_path):
    _ = [put(tmp_path / name) for name in ("r1/1.pt", "r1/2.pt", "r2/1.pt")]
    assert names(f"{tmp_path}/r*/1.pt") == {"r1": ["1.pt"], "r2": ["1.pt"]}
    assert names(f"{tmp_path}/**/2.pt") == {"r1": ["2.pt"]}
    assert names(tmp_path / "r1/2.pt") == {"r1": ["2.pt"]}
    assert names(
        [tmp_path / "r1/2.pt", tmp_path / "r1", str(tmp_path / "r1/1.pt")]
    ) == {"r1": ["1.pt", "2.pt"]}


def test_missing_paths_suggest_the_nearest(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name, similar in (
        ("chekpoints", "checkpoints"),
        ("zzz", None),
        ("no/where", None),
    ):
        with errors.raises(
            "no-such-path", UsageError, path=str(tmp_path / name), similar=similar
        ):
            discover([tmp_path / name])
    with errors.raises("no-such-path", UsageError, path=str(tmp_path / "*.ckpt")):
        discover([tmp_path / "*.ckpt"])


def test_discover_counts_files_that_are_no_checkpoints(tmp_path):
    put(tmp_path / "run/1.pt")
    for name in ("log.csv", "args.yaml", "README.md", "notes", "data.npy", "._1.pt"):
        (tmp_path / "run" / name).write_text("some text, longer than sixteen bytes")
    (tmp_path / "run/.git").mkdir()
    (tmp_path / "run/.git/x.pt").write_text("not looked at")
    (run,) = discover([tmp_path])
    assert (len(run.checkpoints), run.ignored) == (1, 6)
    assert find_other_files([tmp_path])[0] == 6
    assert find_other_files([tmp_path / "run/log.csv"])[0] == 0


def test_checkpoints_are_known_by_their_contents(tmp_path):
    for name in (
        "epoch_15",
        "weights.model",
        "ckpt.t7",
        "net.params",
        "net.best",
        "log.out",
    ):
        put(tmp_path / "run" / name)
    torch.save(
        {"fc.weight": torch.ones(3, 4)},
        tmp_path / "run/old.state",
        _use_new_zipfile_serialization=False,
    )
    with (tmp_path / "run/pickled").open("wb") as file:
        pickle.dump({"fc.weight": np.ones((3, 4), np.float32)}, file)
    np.savez(
        tmp_path / "run/by_hand.npz",
        W1=np.ones((4, 5)),
        b1=np.ones(5),
        W2=np.ones((5, 3)),
        b2=np.ones(3),
    )
    (tmp_path / "run/broken.pth").write_text("")
    (tmp_path / "run/UPPER.PTH").write_text("")
    expected = {path.name for path in (tmp_path / "run").iterdir()}
    with zipfile.ZipFile(tmp_path / "run/report.docx", "w") as archive:
        archive.writestr("word/document.xml", "<document/>")
    with (tmp_path / "run/data_batch_1").open("wb") as file:
        pickle.dump(
            {"data": np.zeros((5, 12), np.uint8), "labels": [1, 2, 3, 4, 5]}, file
        )
    np.savez(tmp_path / "run/predictions.npz", logits=np.ones((5, 3)))
    with gzip.open(tmp_path / "run/data.tar.gz", "wb") as file:
        file.write(b"image.png".ljust(512, b"\0"))
    assert set(names(tmp_path)["run"]) == expected


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("ckpt.t7.gz", "gunzip {}/ckpt.t7.gz"),
        ("a b.pt", "mv '{}/a b.pt' '{}/a b.pt'.gz && gunzip '{}/a b.pt'.gz"),
    ],
)
def test_a_gzip_of_a_checkpoint_is_one_failed_row_with_the_command(
    name, command, tmp_path
):
    path = put(tmp_path / "run" / name)
    path.write_bytes(gzip.compress(path.read_bytes()))
    (run,) = discover([tmp_path])
    (one,) = run.checkpoints
    record = scan_checkpoint(one).record
    assert (record.status, record.reason) == (
        "failed",
        f"gzip-compressed; run {command}".replace("{}", str(tmp_path / "run")),
    )


def test_linked_folders_are_searched_once_under_their_own_name(tmp_path):
    put(tmp_path / "run_2/1.pt")
    (tmp_path / "latest").symlink_to("run_2")
    (tmp_path / "run_2/up").symlink_to("..")
    assert names(tmp_path) == {"run_2": ["1.pt"]}
    assert names(tmp_path / "latest") == {"latest": ["1.pt"]}


def test_links_that_lead_nowhere_are_rows_with_a_reason(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/a.pt").symlink_to("b.pt")
    (tmp_path / "run/b.pt").symlink_to("a.pt")
    (tmp_path / "run/c.pt").symlink_to("gone.pt")
    os.mkfifo(tmp_path / "run/d.pt")
    (tmp_path / "run/e.pt").mkdir()
    (run,) = discover([tmp_path])
    records = {one.path.name: scan_checkpoint(one).record for one in run.checkpoints}
    assert set(records) == {"a.pt", "b.pt", "c.pt", "d.pt"}
    assert all(record.status == "failed" for record in records.values())
    assert "Too many levels" in records["a.pt"].reason
    assert "No such file" in records["c.pt"].reason
    # Opening a pipe would wait for a writer for ever.
    assert [records[name].code for name in ("a.pt", "c.pt", "d.pt")] == [
        "cannot-open",
        "cannot-open",
        "not-a-regular-file",
    ]


def test_discover_run_next_to_known_run_gets_another_name(tmp_path):
    _ = [put(tmp_path / f"{name}/ckpt/1.pt") for name in ("lr1", "lr2")]
    known = {"ckpt": str(tmp_path / "lr1/ckpt")}
    assert [run.name for run in discover([tmp_path], known)] == ["ckpt", "lr2/ckpt"]
    with errors.raises("run-name-taken", run="ckpt"):
        discover([tmp_path / "lr2"], known)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["x/Net", "y/net"], ["Net", "net-2"]),
        (["Net", "net"], ["Net", "net-2"]),
        (["cafe\u0301", "caf\xe9"], ["cafe\u0301", "caf\xe9-2"]),
        (["a/Net", "a/net", "b/net"], ["Net", "a/net", "b/net"]),
        (["Net", "vit"], ["Net", "vit"]),
    ],
)
def test_discover_of_names_that_differ_only_in_case_gives_each_run_a_folder_of_its_own(
    folders, names, tmp_path
):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "epoch_1.pt").write_bytes(b"x" * 100)
    found = {run.folder: run.name for run in discover([tmp_path])}
    assert [found[tmp_path / folder] for folder in folders] == names
    assert len(set(map(folder_key, found.values()))) == len(folders)
    # A later call keeps the names, whichever folders it finds first.
    known = {name: str(folder) for folder, name in found.items()}
    assert {run.folder: run.name for run in discover([tmp_path], known)} == found
