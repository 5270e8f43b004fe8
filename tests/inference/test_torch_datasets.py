"""Data sets of the user's own function and of torchvision, on small files in their own
layouts.
"""

import json
import os
import re
import struct
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.errors import raises
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference.image_folder import open_file
from dsi_cli.inference.open_dataset import open_samples
from dsi_cli.inference.torch_datasets import (
    DATASETS,
    find_dataset,
    open_custom,
    open_dataset,
)
from dsi_cli.inference.user_code import code_files, is_function

HEAD = """
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset


class Images(Dataset):
    def __init__(self, items, **fields):
        self.items = items
        self.reads = []
        self.__dict__.update(fields)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, number):
        self.reads.append(number)
        return self.items[number]


IMAGE = Image.new("RGB", (4, 4))
"""


@pytest.fixture(autouse=True)
def _same_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def write(tmp_path):
    def write(body, name="mine.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(HEAD + textwrap.dedent(body))
        return f"{tmp_path / name}:data"

    yield write
    sys.modules.pop("mine", None)


def test_a_function_is_told_by_its_colon_and_a_data_set_by_its_letters_and_digits():
    found = [
        find_dataset(spec).name
        for spec in ("cifar10", "CIFAR-100", "fashion_mnist", "flowers", "food")
    ]
    assert found == ["CIFAR10", "CIFAR100", "FashionMNIST", "Flowers102", "Food101"]
    assert all(map(is_function, ("a.py:b", "./a b.py:c", r"C:\a.py:f")))
    assert not any(map(is_function, ("a", "a.py:", "a:b", "a.py:1b")))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        *(("", ("cat", "dog")), ("class_to_idx={'cat': 1, 'dog': 0}", ("dog", "cat"))),
        ("class_to_idx={'cat': 0, 'dog': 7}", None),  # of a network with more classes
        (
            "classes=['cat', 'cat'], class_to_idx={'cat': 1}",
            ("cat", "cat"),
        ),  # as the two cranes of ImageNet
        ("targets=[0, 1], target_transform=lambda number: 1 - number", None),
    ],
)
def test_pairs_of_images_and_numbers_are_samples(write, fields, names):
    spec = write(
        "def data(): return Images([(IMAGE, 1), (IMAGE, 0)], **(dict(classes=['cat',"
        f" 'dog']) | dict({fields})))"
    )
    samples = open_custom(spec, False)
    assert samples.source == f"{spec} (2 images, 2 classes)"
    assert (samples.targets.tolist(), samples.names, samples.is_threadsafe) == (
        [1, 0],
        names,
        False,
    )
    assert samples.paths == (None, None)
    assert samples.image(0).size == (4, 4)


@pytest.mark.parametrize(
    ("fields", "reads"),
    [
        *(
            (f"targets={targets}", [0, 2])
            for targets in ("[1, 0, 1]", "torch.tensor([1, 0, 1])")
        ),
        *(
            (fields, [0, 1, 2])
            for fields in ("", "targets=[1, 0]", "targets=['b', 'a', 'b']")
        ),
        *(
            (f"targets={targets}", [0, 1, 2])
            for targets in ("[0, 0, 0]", "[[1], [0, 1], [1]]")
        ),
        ("targets=[1, 1, 0]", [0, 2, 1, 2]),
        ("targets=[1, 1, 1], target_transform=abs", [0, 1, 2]),
    ],
)
def test_targets_are_read_without_images_only_where_they_are_sure(write, fields, reads):
    spec = write(f"""
        DATA = Images([(IMAGE, 1), (IMAGE, 0), (IMAGE, 1)], {fields})
        def data(): return DATA
    """)
    assert open_custom(spec, False).targets.tolist() == [1, 0, 1]
    assert sys.modules["mine"].DATA.reads == reads


@pytest.mark.parametrize(
    ("parameters", "expression", "targets"),
    [
        ("train", "int(train)", [0, 1]),
        ("split='x'", "['test', 'train'].index(split)", [0, 1]),
        ("", "5", [5, 5]),
    ],
)
def test_the_split_is_passed_where_it_is_asked_for(
    write, parameters, expression, targets
):
    spec = write(f"def data({parameters}): return Images([(IMAGE, {expression})])")
    assert [
        int(open_custom(spec, train).targets[0]) for train in (False, True)
    ] == targets


def test_a_class_of_a_module_that_imports_its_neighbour(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "neighbour_of_mine", raising=False)
    (tmp_path / "neighbour_of_mine.py").write_text("TARGET = 3")
    (tmp_path / "module_of_mine.py").write_text(
        "import neighbour_of_mine\nfrom PIL import Image\nclass data(list):\n    def"
        " __init__(self): super().__init__([(Image.new('L', (2, 2)),"
        " neighbour_of_mine.TARGET)])\n"
    )
    before = list(sys.path)
    assert open_custom(
        f"{tmp_path}/module_of_mine.py:data", False
    ).targets.tolist() == [3]
    assert sys.path == [*before, str(tmp_path)], "the folder comes last afterwards"
    import random  # the file may have the name of a module of Python

    spec = write(
        """
        from dataclasses import dataclass
        @dataclass
        class Item:
            value: "int"
        def data(): return Images([(IMAGE, Item(2).value)])
        """,
        "random.py",
    )
    assert open_custom(spec, False).targets.tolist() == [2]
    assert sys.modules["random"] is random


def test_the_files_of_a_function_are_those_that_it_imports_from_its_folder(
    write, tmp_path
):
    write("import deep_of_mine.inner", "helper_of_mine.py")
    write("raise SystemExit('run')", "deep_of_mine/__init__.py")
    write("def f():\n    from . import lazy", "deep_of_mine/inner.py")
    write("", "deep_of_mine/lazy.py")
    write("", "stranger_of_mine.py")
    spec = write("import torch\nfrom helper_of_mine import x\ndef data(): pass")
    names = {file.relative_to(tmp_path).as_posix() for file in code_files(spec)}
    assert names == {
        "mine.py",
        "helper_of_mine.py",
        "deep_of_mine/__init__.py",
        "deep_of_mine/inner.py",
        "deep_of_mine/lazy.py",
    }
    write("def data(:", "mine.py")
    assert [file.name for file in code_files(spec)] == ["mine.py"]


def test_the_id_is_of_the_split_the_targets_the_code_its_helpers_and_the_images(
    write, tmp_path, monkeypatch
):
    (tmp_path / "images" / "cat").mkdir(parents=True)
    folder = (
        "from torchvision.datasets import ImageFolder\ndef data(): return"
        f" ImageFolder({str(tmp_path / 'images')!r})"
    )
    for code in (
        "import helper_of_mine\ndef data(): return Images([(IMAGE, 1)])",
        folder,
    ):
        spec, ids = write(code), []
        for size in (1, 1, 2):
            write(f"SIZE = {size}{' ' * size}", "helper_of_mine.py")
            os.utime(tmp_path / "helper_of_mine.py", ns=(0, 0))
            monkeypatch.delitem(sys.modules, "helper_of_mine", raising=False)
            Image.new("RGB", (size, size)).save(tmp_path / "images" / "cat" / "1.bmp")
            os.utime(tmp_path / "images" / "cat" / "1.bmp", ns=(0, 0))
            ids.append(open_custom(spec, False).id)
        assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)
    spec = write("def data(): return Images([(IMAGE, 1)])")
    first = open_custom(spec, False).id
    assert open_custom(spec, True).id != first
    write("def data(): return Images([(IMAGE, 0)])")
    assert open_custom(spec, False).id != first


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("data = 3", "unknown-function"),
        *(
            (f"def data(): {body}", "user-code-failed")
            for body in ("raise SystemExit(3)", "return Subset([], [0])")
        ),
        ("raise KeyError('root')", "user-code-failed"),
        (
            (
                "class data(Images):\n    def __getitem__(self, _): raise"
                " SystemExit(0)\n    items = [1]"
            ),
            "user-code-failed",
        ),
        (
            "class data(Images):\n    def __len__(self): raise SystemExit(0)",
            "user-code-failed",
        ),
        *(
            (f"{body} None", "not-a-data-set")
            for body in (
                "def data(): return",
                "class data(IterableDataset): __iter__ =",
            )
        ),
        ("def data(): return Images([])", "empty-data-set"),
        ("def data(): return Images([IMAGE])", "not-a-pair"),
        (
            "def data(): return Images([(IMAGE, 0), (IMAGE, 'cat')])",
            "not-a-class-number",
        ),
        ("def data(): return Images([(IMAGE, torch.zeros(2))])", "not-a-class-number"),
        ("def data(): return Images([(3, 0)])", "not-an-image"),
        *(
            (f"def data(): return Images([(IMAGE, {end})", "class-number")
            for end in ("-1)]", "2)], classes=['a']")
        ),
        ("def data(): return Images([(IMAGE, 0)], classes=3)", "not-class-names"),
    ],
)
def test_open_custom_without_a_data_set_raises_one_line(write, body, code):
    with raises(code, UsageError):
        open_custom(write(body), False)


def test_open_custom_of_missing_code_raises():
    with raises("file-missing", UsageError):
        open_custom("gone.py:data", False)


@pytest.fixture
def mnist(tmp_path):
    """Return a function that writes MNIST's files: 12 training and 6 test images."""

    def write(name):
        raw = tmp_path / name / "raw"
        raw.mkdir(parents=True)
        for split, count in (("train", 12), ("t10k", 6)):
            pixels = np.random.default_rng(count).integers(
                0, 256, (count, 28, 28), dtype=np.uint8
            )
            (raw / f"{split}-images-idx3-ubyte").write_bytes(
                struct.pack(">IIII", 0x803, count, 28, 28) + pixels.tobytes()
            )
            labels = np.arange(count, dtype=np.uint8) % 10
            (raw / f"{split}-labels-idx1-ubyte").write_bytes(
                struct.pack(">II", 0x801, count) + labels.tobytes()
            )
        return str(tmp_path)

    return write


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_mnist_is_read_from_its_own_files(mnist, name):
    root = mnist(name)
    test, train = (
        open_dataset(find_dataset(name), root, False, is_train)
        for is_train in (False, True)
    )
    assert test.source == f"{name} test split in {root} (6 images, 10 classes)"
    assert train.source == f"{name} train split in {root} (12 images, 10 classes)"
    assert (test.targets.tolist(), test.paths) == (list(range(6)), (None,) * 6)
    assert test.id != train.id
    pixels = np.random.default_rng(6).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(
        [np.asarray(test.image(number)) for number in range(6)], pixels
    )


def test_with_its_folder_a_name_wins_over_a_folder_of_that_name(
    mnist, tmp_path, monkeypatch
):
    mnist("MNIST")
    monkeypatch.chdir(tmp_path)
    assert (
        open_samples("MNIST", root=".").source
        == "MNIST test split in . (6 images, 10 classes)"
    )
    for place, root in (("MNIST", None), ("./MNIST", ".")):
        with pytest.raises(
            UsageError, match=r"expected a folder of images for each class"
        ):
            open_samples(place, root=root)


def test_food101_has_files(tmp_path):
    base = tmp_path / "food-101"
    (base / "meta").mkdir(parents=True)
    for name in ("apple_pie/1", "waffles/2"):
        (base / "images" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4), 7).save(base / "images" / f"{name}.jpg")
    for split in ("train", "test"):
        (base / "meta" / f"{split}.json").write_text(
            json.dumps({"waffles": ["waffles/2"], "apple_pie": ["apple_pie/1"]})
        )
    samples = open_dataset(find_dataset("Food"), str(tmp_path), False, False)
    assert (samples.names, samples.targets.tolist()) == (
        ("apple_pie", "waffles"),
        [1, 0],
    )
    assert [
        *(open_file(path).size for path in samples.paths),
        samples.image(0).size,
    ] == [(4, 4)] * 3


def test_imagenet_keeps_all_synonyms_and_ids(tmp_path):
    for wnid in ("n01440764", "n01443537"):
        (tmp_path / "val" / wnid).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "val" / wnid / "1.JPEG")
    meta = {
        "n01440764": ("tench", "Tinca tinca"),
        "n01443537": ("goldfish", "Carassius auratus"),
    }
    torch.save((meta, []), tmp_path / "meta.bin")
    samples = open_dataset(find_dataset("imagenet"), str(tmp_path), False, False)
    assert samples.names == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    assert (samples.wnids, samples.image(1).size) == (
        ("n01440764", "n01443537"),
        (4, 4),
    )
    assert samples.paths[0] == str(tmp_path / "val" / "n01440764" / "1.JPEG")
    with raises("data-set-not-readable", UsageError, name="ImageNet"):
        open_dataset(find_dataset("imagenet"), str(tmp_path), True, True)


@pytest.mark.parametrize(
    "named", [row for row in DATASETS if row.is_fetched], ids=lambda row: row.name
)
@pytest.mark.parametrize("train", [False, True])
def test_a_missing_data_set_is_not_downloaded(tmp_path, named, train):
    found = (
        rf"^{named.name}: expected the data set in {tmp_path}, found it missing or"
        r" damaged \(Dataset not found.*\); "
    )
    message = (
        found + r"give another --data-root, or download=True in Python to fetch it$"
    )
    with pytest.raises(UsageError, match=message):
        open_dataset(named, str(tmp_path), False, train)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_must_be_given():
    for named in DATASETS:
        with raises("no-data-root", UsageError, name=named.name):
            open_dataset(named, None, True, False)


def test_open_custom_of_the_data_set_in_the_docs_reads_parquet_files(
    tmp_path, monkeypatch
):
    datasets = pytest.importorskip("datasets")
    page = Path(__file__).resolve().parents[2] / "docs/howto/predictions.md"
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        if "load_dataset" in block
    )
    (tmp_path / "data_of_docs.py").write_text(code)
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"])
    )
    pictures = [Image.new("RGB", (4, 4), (shade, 0, 0)) for shade in (10, 20, 30)]
    rows = datasets.Dataset.from_dict(
        {"image": pictures, "label": [1, 0, 1]}, features=features
    )
    rows.to_parquet(tmp_path / "data" / "test-0.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    samples = open_samples("data_of_docs.py:images")
    assert (samples.names, samples.targets.tolist()) == (("cat", "dog"), [1, 0, 1])
    assert np.asarray(samples.image(2))[0, 0].tolist() == [30, 0, 0]
