"""Images that have moved are found by the longest common end of their paths."""

import pytest
from helpers.errors import raises

from dsi_cli.figures.image_grid import RelocatedImages


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
def test_a_moved_image_has_the_new_path_with_the_longest_common_end(folder, path, found):
    assert RelocatedImages(folder, [path])(path) == str(folder / found)


def test_an_image_with_several_equally_good_matches_raises(folder):
    path = "/old/train/1.png"
    with raises("ambiguous-image", path=path, count=3) as caught:
        RelocatedImages(folder, [path])(path)
    assert caught.value.fields["example"].endswith("/cat/1.png")


@pytest.mark.parametrize(("path", "name"), [("/old/9.png", "9.png"), ("/old/9.parquet#1", "9.parquet"), ("", "")])
def test_an_image_without_a_match_raises(folder, path, name):
    with raises("missing-image", name=name):
        RelocatedImages(folder, [path])(path)
