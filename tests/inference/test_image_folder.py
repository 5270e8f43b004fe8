"""Class folders: torchvision's order and classes, links, hidden things, splits."""

import gc
import os
import shutil
import warnings

import numpy as np
import pytest
from helpers.pictures import encoded, write_small
from PIL import Image
from torchvision.datasets import ImageFolder

from dsi_cli.errors import UsageError
from dsi_cli.inference.image_folder import (
    open_bytes,
    open_file,
    open_image_folder,
    reason_not_decoded,
    split_folder,
)


def _same_as_torchvision(folder):
    ours, theirs = open_image_folder(folder), ImageFolder(str(folder), allow_empty=True)
    assert list(ours.paths) == [path for path, _ in theirs.samples]
    assert (ours.targets.tolist(), list(ours.names)) == (theirs.targets, theirs.classes)
    return ours


def test_any_depth_any_case_and_empty_classes_are_torchvisions(tmp_path):
    for name in (
        "b/z.png",
        "b/a/1.PNG",
        "b/a-b/2.png",
        "b/a/c/3.png",
        "a/10.png",
        "a/9.png",
        "Z/1.png",
    ):
        write_small(tmp_path / name)
    (tmp_path / "b" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "classes.txt").touch()
    assert _same_as_torchvision(tmp_path).names == ("Z", "a", "b", "empty")


def test_links_are_followed_and_loops_end(tmp_path):
    write_small(tmp_path / "elsewhere" / "1.png")
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").symlink_to(tmp_path / "elsewhere")
    (data / "b").mkdir()
    (data / "b" / "2.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (data / "b" / "loop").symlink_to(data / "b")
    samples = open_image_folder(data)
    assert [os.path.relpath(path, data) for path in samples.paths] == [
        "a/1.png",
        "b/2.png",
    ]
    assert samples.targets.tolist() == [0, 1]


def test_a_link_to_nothing_is_no_image(tmp_path):
    write_small(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.png").symlink_to(tmp_path / "gone.png")
    assert len(open_image_folder(tmp_path)) == 1


def test_the_id_is_of_names_sizes_and_times_wherever_the_folder_lies(tmp_path):
    path = write_small(tmp_path / "one" / "a" / "1.png")
    first = open_image_folder(tmp_path / "one").id
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert open_image_folder(tmp_path / "two").id == first
    os.utime(path, ns=(1, 1))
    touched = open_image_folder(tmp_path / "one").id
    (tmp_path / "one" / "b").mkdir()
    assert len({first, touched, open_image_folder(tmp_path / "one").id}) == 3


@pytest.mark.parametrize(
    ("folders", "train", "expected"),
    [
        (["train", "val"], True, "train"),
        (["train", "val"], False, "val"),
        (["train", "valid"], False, "valid"),
        (["test"], False, "test"),
        (["train", "val", "test", "cat"], False, "."),
        (["cat", "dog"], False, "."),
        ([], False, "."),
    ],
)
def test_split_folders_are_told_from_class_folders(tmp_path, folders, train, expected):
    for name in folders:
        (tmp_path / name).mkdir()
    assert split_folder(tmp_path, train) == tmp_path / expected


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(
        UsageError,
        match=(
            r"expected a folder of images for each class \(.jpg, .*\), found no folder"
            r" in it; check"
        ),
    ):
        open_image_folder(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(
        UsageError, match=r"found 2 folders without an image; check the path"
    ):
        open_image_folder(tmp_path)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_the_colour_mode_is_the_files(tmp_path, mode):
    Image.new(mode, (4, 3)).save(tmp_path / "a.png")
    image = open_file(tmp_path / "a.png")
    assert (image.mode, image.size) == (mode, (4, 3))


@pytest.mark.parametrize(
    ("kind", "mode"), [("GIF", "P"), ("TIFF", "RGB"), ("WEBP", "RGB"), ("PNG", "RGB")]
)
def test_the_first_frame_of_several_is_read_and_the_file_closed(tmp_path, kind, mode):
    frames = [Image.new(mode, (8, 8), value) for value in (1, 2)]
    path = tmp_path / "a"
    path.write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        image = open_file(path).convert("RGB")
        gc.collect(1)  # the young objects are enough
    assert image.size == (8, 8)


def test_an_image_is_what_pillow_reads(colour_images):
    path = next((colour_images / "apple").iterdir())
    with Image.open(path) as expected:
        np.testing.assert_array_equal(np.asarray(open_file(path)), np.asarray(expected))
    np.testing.assert_array_equal(
        np.asarray(open_bytes(path.read_bytes())), np.asarray(open_file(path))
    )


def _error(function, *args):
    with pytest.raises((OSError, Image.DecompressionBombError), match=r"\w") as caught:
        function(*args)
    return reason_not_decoded(caught.value)


def test_reason_not_decoded_is_one_line(tmp_path, monkeypatch):
    whole = encoded(Image.effect_noise((64, 64), 90), "JPEG")
    assert _error(open_bytes, b"not an image") == "not an image that Pillow can read"
    assert _error(open_bytes, b"") == "not an image that Pillow can read"
    assert "truncated" in _error(open_bytes, whole[: len(whole) // 2])
    assert _error(open_file, tmp_path / "missing.png") == "No such file or directory"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "decompression bomb" in _error(open_bytes, whole)
