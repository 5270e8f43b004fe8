"""A source by whatever it is called, and one image of it again."""

import shutil

import numpy as np
import pytest
from helpers.errors import raises
from helpers.pictures import encoded, write_parquet, write_small, write_tar
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference.open_dataset import image_at, open_samples


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(params=["grey_images", "colour_images"])
def layouts(request, tmp_path):
    """Return the same images as a folder, as two Parquet shards, and as two tars."""
    folder = tmp_path / "images"
    for number, source in enumerate(
        sorted(request.getfixturevalue(request.param).iterdir())[:4]
    ):
        (folder / source.name).mkdir(parents=True)
        for file in sorted(source.iterdir())[: 4 + number]:
            shutil.copy(file, folder / source.name)
    names = sorted(path.name for path in folder.iterdir())
    files = sorted(folder.glob("*/*.png"))
    data, labels = (
        [file.read_bytes() for file in files],
        [names.index(file.parent.name) for file in files],
    )
    for shard, part in enumerate((slice(0, 9), slice(9, None))):
        rows = tmp_path / "parquet" / "data" / f"test-{shard:05d}-of-00002.parquet"
        write_parquet(rows, data[part], labels[part], names=names, row_group_size=4)
        content = [
            (f"{n:06d}.{kind}", body)
            for n, item in enumerate(zip(data[part], labels[part], strict=True))
            for kind, body in (("png", item[0]), ("txt", names[item[1]].encode()))
        ]
        write_tar(tmp_path / "tars" / f"{shard}.tar", content)
    return {
        name: open_samples(str(tmp_path / name))
        for name in ("images", "parquet", "tars")
    }


def test_folder_parquet_and_tar_are_the_same_data(layouts):
    folder = layouts["images"]
    assert len(folder) == 22
    for other in (layouts["parquet"], layouts["tars"]):
        assert other.names == folder.names
        np.testing.assert_array_equal(other.targets, folder.targets)
        for number in range(len(folder)):
            np.testing.assert_array_equal(
                np.asarray(other.image(number)), np.asarray(folder.image(number))
            )
    assert len({samples.id for samples in layouts.values()}) == 3


def test_every_image_is_found_again_where_it_lies(layouts):
    for samples in layouts.values():
        for number in range(len(samples)):
            np.testing.assert_array_equal(
                np.asarray(image_at(samples.paths[number])),
                np.asarray(samples.image(number)),
            )


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


def test_split_folders_may_hold_shards(tmp_path):
    write_parquet(
        tmp_path / "train" / "0000.parquet",
        [encoded(Image.new("L", (2, 2)), "PNG")] * 2,
        [0, 1],
    )
    write_tar(
        tmp_path / "test" / "0.tar",
        [("0.png", encoded(Image.new("L", (2, 2)), "PNG")), ("0.cls", b"0")],
    )
    assert len(open_samples(str(tmp_path), train=True)) == 2
    assert len(open_samples(str(tmp_path))) == 1


def test_several_test_shards_are_named_and_a_pattern_decides(tmp_path):
    for name in ("test", "validation"):
        write_parquet(
            tmp_path / f"{name}-0.parquet",
            [encoded(Image.new("L", (2, 2)), "PNG")],
            [0],
        )
    with raises("several-splits", splits=["test", "validation"]):
        open_samples(str(tmp_path))
    assert len(open_samples(str(tmp_path / "test-*.parquet"))) == 1
    assert len(open_samples(str(tmp_path / "test-0.parquet"))) == 1


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
            r"expected a (data set|folder of images).*found (nothing at|no folder).*;"
            r" check the path$"
        ),
    ):
        open_samples(spec)


@pytest.mark.parametrize(
    ("files", "spec", "code"),
    [
        *((files, "*", "not-shards") for files in (["a.zip"], ["a.tar", "b.parquet"])),
        *(([], "*.parquet", "not-shards"), (["notes"], ".", "no-images")),
    ],
)
def test_open_samples_of_other_files_raises(tmp_path, files, spec, code):
    for name in files:
        (tmp_path / name).touch()
    with raises(code, UsageError):
        open_samples(str(tmp_path / spec))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        *(
            (path, "image-not-readable")
            for path in ("gone.png", "a.parquet", "a.tar/0.cls", "a\0b")
        ),
        *((path, "shard-changed") for path in ("a.parquet#1", "a.tar/1.png")),
        ("gone.parquet#1", "shard-not-readable"),
    ],
)
def test_image_at_of_a_missing_image_raises(tmp_path, path, code):
    write_parquet(tmp_path / "a.parquet", [encoded(Image.new("L", (2, 2)), "PNG")], [0])
    write_tar(
        tmp_path / "a.tar",
        [("0.png", encoded(Image.new("L", (2, 2)), "PNG")), ("0.cls", b"0")],
    )
    with raises(code, UsageError):
        image_at(str(tmp_path / path))
