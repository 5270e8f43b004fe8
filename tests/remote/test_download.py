"""Copies of what lies behind URLs, and options in which a URL stands."""

from pathlib import Path

import pytest
from helpers.errors import raises

from dsi_cli.cli import urls
from dsi_cli.errors import UsageError
from dsi_cli.remote import download


def test_download_of_unchanged_files_is_not_repeated(memory, tmp_path, monkeypatch):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        memory.pipe(f"/images/{name}", name.encode())
    folder = download.fetch("memory://images", tmp_path)
    assert folder == tmp_path / "memory" / "images"
    assert (folder / "cat" / "2.png").read_bytes() == b"cat/2.png"
    memory.pipe("/images/cat/2.png", b"new")
    read, fetched = type(memory).cat_file, []
    monkeypatch.setattr(
        type(memory),
        "cat_file",
        lambda fs, path, *a, **k: fetched.append(path) or read(fs, path, *a, **k),
    )
    assert download.fetch("memory://images", tmp_path) == folder
    assert fetched == ["/images/cat/2.png"]
    assert (folder / "cat" / "2.png").read_bytes() == b"new"


def test_a_pattern_brings_what_fits_and_keeps_its_form(memory, tmp_path):
    for name in ("test-0.tar", "test-1.tar", "train-0.tar"):
        memory.pipe(f"/shards/{name}", b"x")
    pattern = download.localize("memory://shards/test-*.tar", tmp_path)
    assert sorted(
        path.name for path in Path(pattern).parent.glob(Path(pattern).name)
    ) == ["test-0.tar", "test-1.tar"]
    assert len(list(Path(pattern).parent.iterdir())) == 2


def test_a_prefix_before_a_url_stays(memory, tmp_path):
    memory.pipe("/lists/brown.csv", b"x")
    assert (
        download.localize("res:memory://lists/brown.csv", tmp_path)
        == f"res:{tmp_path}/memory/lists/brown.csv"
    )
    with raises("no-such-path", UsageError):
        download.localize("memory://lists/nothing.csv", tmp_path)


def test_fetch_to_a_full_disk_raises_before_the_download(memory, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_RESERVED_BYTES", 1 << 60)
    memory.pipe("/images/1.png", b"x")
    with raises("disk-full", UsageError):
        download.fetch("memory://images", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_lines_paths_get_their_slashes_back(tmp_path):
    def given(**options):
        return urls.with_local_paths("scan", options)

    assert given(checkpoints=["s3://lab/run"], tensors="s3://lab/a.pt") == {
        "checkpoints": ["s3://lab/run"],
        "tensors": "s3://lab/a.pt",
    }
    assert given(out=Path(f"file://{tmp_path}/out")) == {"out": tmp_path / "out"}
    assert given(out=Path("C:/out"), labels="cifar10") == {
        "out": Path("C:/out"),
        "labels": "cifar10",
    }
    with pytest.raises(
        UsageError, match=r"^--sheet takes a path of this machine, not a URL$"
    ):
        given(sheet=Path("s3://lab/sheet.png"))
