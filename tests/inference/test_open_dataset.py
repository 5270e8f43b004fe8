"""A source by whatever it is called, and one image of it again."""

import numpy as np
import pytest
from helpers.errors import raises
from helpers.pictures import write_small

from dsi_cli.errors import UsageError
from dsi_cli.inference.open_dataset import image_at, open_samples


def test_image_at_of_a_sample_is_its_image(colour_images):
    samples = open_samples(str(colour_images))
    image = np.asarray(image_at(samples.paths[3]))
    np.testing.assert_array_equal(image, np.asarray(samples.image(3)))


@pytest.mark.parametrize(
    ("train", "count", "test"),
    [(True, 2, "test"), (False, 1, "test"), (False, 1, "validation")],
)
def test_the_split_is_chosen_by_folder(tmp_path, train, count, test):
    for name in ("train/a/1.png", "train/a/2.png", f"{test}/a/3.png"):
        write_small(tmp_path / name)
    samples = open_samples(str(tmp_path), train=train)
    assert len(samples) == count
    assert f"image folder {tmp_path / ('train' if train else test)} (" in samples.source


def test_a_file_or_folder_comes_before_a_name(tmp_path, monkeypatch):
    write_small(tmp_path / "cifar10" / "a" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert open_samples("cifar10").names == ("a",)
    with raises("no-data-root", name="CIFAR100"):
        open_samples("cifar100")


@pytest.mark.parametrize("spec", ["gone", "gone/test", "", "x" * 10_000, "a\0b"])
def test_nothing_of_that_name_is_one_line(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError,
        match=(
            r"expected a folder of .*found (nothing at|no folder).*; check the path"
        ),
    ):
        open_samples(spec)


@pytest.mark.parametrize("name", ["notes", "test-00000-of-00001.parquet"])
def test_open_samples_of_a_folder_without_images_raises(tmp_path, name):
    (tmp_path / name).touch()
    with raises("no-images", UsageError):
        open_samples(str(tmp_path))


@pytest.mark.parametrize("path", ["gone.png", "notes.txt", "a\0b"])
def test_image_at_of_a_missing_image_raises(tmp_path, path):
    (tmp_path / "notes.txt").write_text("no image")
    with raises("image-not-readable", UsageError):
        image_at(str(tmp_path / path))
