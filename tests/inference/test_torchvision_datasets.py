"""torchvision's data sets by name, on small files in their own layouts.

CIFAR, STL10 and Flowers102 are opened by torchvision only if their checksums are right, and are not made up here.
"""

import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference.image_folder import open_file
from dsi_cli.inference.open_dataset import open_samples
from dsi_cli.inference.torch_datasets import DATASETS, find_dataset, open_dataset


@pytest.fixture
def mnist(tmp_path):
    """Return a function that writes MNIST's files: 12 training and 6 test images."""

    def write(name):
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for split, count in (("train", 12), ("t10k", 6)):
            pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
            (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, count, 28, 28) + pixels.tobytes())
            labels = np.arange(count, dtype=np.uint8) % 10
            (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
        return str(tmp_path)

    return write


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_mnist_is_read_from_its_own_files(mnist, name):
    root = mnist(name)
    test, train = (open_dataset(find_dataset(name), root, False, is_train) for is_train in (False, True))
    assert test.source == f"{name} test split in {root} (6 images, 10 classes)"
    assert train.source == f"{name} train split in {root} (12 images, 10 classes)"
    assert test.targets.tolist() == list(range(6))
    assert test.id != train.id
    assert test.paths == (None,) * 6
    pixels = np.random.default_rng(6).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal([np.asarray(test.image(number)) for number in range(6)], pixels)


def test_with_its_folder_a_name_wins_over_a_folder_of_that_name(mnist, tmp_path, monkeypatch):
    mnist("MNIST")
    monkeypatch.chdir(tmp_path)
    assert open_samples("MNIST", root=".").source == "MNIST test split in . (6 images, 10 classes)"
    for place, root in (("MNIST", None), ("./MNIST", ".")):
        with pytest.raises(UsageError, match=r"expected a folder of images for each class"):
            open_samples(place, root=root)


def test_food101_has_files(tmp_path):
    base = tmp_path / "food-101"
    (base / "meta").mkdir(parents=True)
    for name in ("apple_pie/1", "waffles/2"):
        (base / "images" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), 7).save(base / "images" / f"{name}.jpg")
    for split in ("train", "test"):
        (base / "meta" / f"{split}.json").write_text(json.dumps({"waffles": ["waffles/2"], "apple_pie": ["apple_pie/1"]}))
    samples = open_dataset(find_dataset("Food"), str(tmp_path), False, False)
    assert samples.names == ("apple_pie", "waffles")
    assert samples.targets.tolist() == [1, 0]
    assert [open_file(path).size for path in samples.paths] == [(4, 4), (4, 4)]
    assert samples.image(0).size == (4, 4)


def test_imagenet_keeps_all_synonyms_and_ids(tmp_path):
    for wnid in ("n01440764", "n01443537"):
        (tmp_path / "val" / wnid).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "val" / wnid / "1.JPEG")
    meta = {"n01440764": ("tench", "Tinca tinca"), "n01443537": ("goldfish", "Carassius auratus")}
    torch.save((meta, []), tmp_path / "meta.bin")
    samples = open_dataset(find_dataset("imagenet"), str(tmp_path), False, False)
    assert samples.names == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert samples.wnids == ("n01440764", "n01443537")
    assert samples.paths[0] == str(tmp_path / "val" / "n01440764" / "1.JPEG")
    assert samples.image(1).size == (4, 4)
    with pytest.raises(
        UsageError, match=r"^ImageNet: expected the unpacked folder train in .*, found none; give another --data-root$"
    ):
        open_dataset(find_dataset("imagenet"), str(tmp_path), True, True)


@pytest.mark.parametrize("named", [row for row in DATASETS if row.is_fetched], ids=lambda row: row.name)
@pytest.mark.parametrize("train", [False, True])
def test_a_missing_data_set_is_not_downloaded(tmp_path, named, train):
    found = rf"^{named.name}: expected the data set in {tmp_path}, found it missing or damaged \(Dataset not found.*\); "
    message = found + r"give another --data-root, or --download to fetch it$"
    with pytest.raises(UsageError, match=message):
        open_dataset(named, str(tmp_path), False, train)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", DATASETS, ids=lambda row: row.name)
def test_the_folder_must_be_given(named):
    with pytest.raises(
        UsageError, match=rf"^{named.name}: expected the folder of the data set .*; give --data-root FOLDER$"
    ):
        open_dataset(named, None, True, False)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("cifar10", "CIFAR10"),
        ("CIFAR-100", "CIFAR100"),
        ("fashion_mnist", "FashionMNIST"),
        ("flowers", "Flowers102"),
        ("food", "Food101"),
    ],
)
def test_find_dataset_accepts_other_spellings(spec, name):
    assert find_dataset(spec).name == name
