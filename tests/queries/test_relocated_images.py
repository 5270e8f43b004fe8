"""Images that have moved are found by the longest common end of their paths."""

from __future__ import annotations

import pytest

from dsi_cli.errors import UsageError
from dsi_cli.queries.relocated_images import RelocatedImages


@pytest.fixture
def folder(tmp_path):
    for name in ("new/cat/1.png", "new/dog/1.png", "new/val/cat/1.png", "new/data.parquet", "new/x/shard.tar", "new/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "new"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/old/val/cat/1.png", "val/cat/1.png"),
        ("/old/new/cat/1.png", "cat/1.png"),
        ("old/dog/1.png", "dog/1.png"),
        ("C:\\old\\dog\\1.png", "dog/1.png"),
        ("2.png", "2.png"),
        ("/else/2.png", "2.png"),
        ("/old/data.parquet#12", "data.parquet#12"),
        ("/old/shard.tar/cat/1.png", "x/shard.tar/cat/1.png"),
        ("/old/unpacked.tar/dog/1.png", "dog/1.png"),
        ("/old/shard.tar/cat/7.png", "x/shard.tar/cat/7.png"),
    ],
)
def test_where_an_image_is_now(folder, path, found):
    assert RelocatedImages(folder, [path])(path) == str(folder / found)


def test_several_that_fit_equally_well(folder):
    path = "/old/train/1.png"
    with pytest.raises(UsageError, match=r"^/old/train/1.png: 3 files in .*new fit equally well, .*/cat/1.png among them"):
        RelocatedImages(folder, [path])(path)


@pytest.mark.parametrize(("path", "name"), [("/old/9.png", "9.png"), ("/old/9.parquet#1", "9.parquet"), ("", "")])
def test_one_that_is_not_there(folder, path, name):
    with pytest.raises(UsageError, match=rf"no file '{name}' in .*new$"):
        RelocatedImages(folder, [path])(path)


def test_no_such_folder(tmp_path):
    with pytest.raises(UsageError, match=r"^no folder .*none: --images wants the one"):
        RelocatedImages(tmp_path / "none", [])
