"""The user's own function: how it is found, called, and what it may give."""

import os
import sys
import textwrap

import pytest
from helpers.errors import raises

from dsi_cli.errors import UsageError
from dsi_cli.inference.torch_datasets import open_custom
from dsi_cli.inference.user_code import code_files, code_path, importable, is_function

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


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("a:b", True),
        ("a.b:c", True),
        ("./a b.py:c", True),
        (r"C:\a.py:f", True),
        ("a", False),
        ("a:", False),
        (":b", False),
        ("a:1b", False),
    ],
)
def test_a_function_is_told_by_its_colon(spec, expected):
    assert is_function(spec) is expected


def test_pairs_of_images_and_numbers_are_samples(write):
    spec = write("def data(): return Images([(IMAGE, 1), (IMAGE, 0)], classes=['cat', 'dog'])")
    samples = open_custom(spec, False)
    assert samples.source == f"{spec} (2 images, 2 classes)"
    assert (samples.targets.tolist(), samples.names, samples.is_threadsafe) == ([1, 0], ("cat", "dog"), False)
    assert samples.paths == (None, None)
    assert samples.image(0).size == (4, 4)


@pytest.mark.parametrize(
    ("fields", "reads"),
    [
        ("targets=[1, 0, 1]", [0]),
        ("targets=torch.tensor([1, 0, 1])", [0]),
        ("", [0, 1, 2]),
        ("targets=[1, 0]", [0, 1, 2]),
        ("targets=['b', 'a', 'b']", [0, 1, 2]),
        ("targets=[[1], [0, 1], [1]]", [0, 1, 2]),
        ("targets=[0, 0, 0]", [0, 1, 2]),
        ("targets=[1, 1, 1], target_transform=abs", [0, 1, 2]),
    ],
)
def test_targets_are_read_without_images_only_where_they_are_sure(write, fields, reads):
    spec = write(f"""
        DATA = Images([(IMAGE, 1), (IMAGE, 0), (IMAGE, 1)], {fields})
        def data(): return DATA
    """)
    samples = open_custom(spec, False)
    assert samples.targets.tolist() == [1, 0, 1]
    assert sys.modules["mine"].DATA.reads == reads


@pytest.mark.parametrize(
    ("parameters", "expression", "targets"),
    [("train", "int(train)", [0, 1]), ("split='x'", "['test', 'train'].index(split)", [0, 1]), ("", "5", [5, 5])],
)
def test_the_split_is_passed_where_it_is_asked_for(write, parameters, expression, targets):
    spec = write(f"def data({parameters}): return Images([(IMAGE, {expression})])")
    assert [int(open_custom(spec, train).targets[0]) for train in (False, True)] == targets


def test_a_class_of_a_module_that_imports_its_neighbour(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "neighbour_of_mine", raising=False)
    (tmp_path / "neighbour_of_mine.py").write_text("TARGET = 3")
    (tmp_path / "module_of_mine.py").write_text(
        "import neighbour_of_mine\nfrom PIL import Image\n"
        "class data(list):\n    def __init__(self): super().__init__([(Image.new('L', (2, 2)), neighbour_of_mine.TARGET)])\n"
    )
    before = list(sys.path)
    assert open_custom("module_of_mine:data", False).targets.tolist() == [3]
    assert open_custom(f"{tmp_path}/module_of_mine.py:data", False).targets.tolist() == [3]
    assert sys.path == [*before, str(tmp_path)], "the folder comes last afterwards"


def test_a_file_that_is_called_like_a_module_of_python(write, monkeypatch):
    import random

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


def test_the_files_of_a_function_are_those_that_it_imports_from_its_folder(write, tmp_path, monkeypatch):
    write("import deep_of_mine.inner", "helper_of_mine.py")
    write("raise SystemExit('run')", "deep_of_mine/__init__.py")
    write("def f():\n    from . import lazy", "deep_of_mine/inner.py")
    write("", "deep_of_mine/lazy.py")
    write("", "stranger_of_mine.py")
    spec = write("import torch\nfrom helper_of_mine import x\ndef data(): pass")
    names = {file.relative_to(tmp_path).as_posix() for file in code_files(spec)}
    assert names == {
        "mine.py", "helper_of_mine.py", "deep_of_mine/__init__.py", "deep_of_mine/inner.py", "deep_of_mine/lazy.py"
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert {file.name for file in code_files("deep_of_mine.inner:f")} == {"__init__.py", "inner.py", "lazy.py"}
    write("def data(:", "mine.py")
    assert [file.name for file in code_files(spec)] == ["mine.py"]


def test_the_id_is_of_the_helpers_too(write, tmp_path, monkeypatch):
    spec = write("import helper_of_mine\ndef data(): return Images([(IMAGE, 1)])")
    ids = []
    for size in (1, 1, 2):
        write(f"SIZE = {size}{' ' * size}", "helper_of_mine.py")
        os.utime(tmp_path / "helper_of_mine.py", ns=(0, 0))
        monkeypatch.delitem(sys.modules, "helper_of_mine", raising=False)
        ids.append(open_custom(spec, False).id)
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


def test_the_id_is_of_the_split_the_targets_and_the_code(write):
    spec = write("def data(): return Images([(IMAGE, 1)])")
    first = open_custom(spec, False).id
    assert open_custom(spec, True).id != first
    write("def data(): return Images([(IMAGE, 0)])")
    assert open_custom(spec, False).id != first


@pytest.mark.parametrize(
    "place", ["missing_of_mine", "pack_of_mine.gone", "pack_of_mine.part.deeper", "pack_of_mine..part", "sys"]
)
def test_a_module_that_is_not_there_has_no_code(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _package(tmp_path)
    with importable(f"{place}:data"):
        assert code_path(f"{place}:data") is None


def test_code_is_found_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _package(tmp_path)
    with importable("pack_of_mine.part:data"):
        assert code_path("pack_of_mine.part:data") == tmp_path / "pack_of_mine" / "part.py"
        assert code_path("pack_of_mine:data") == tmp_path / "pack_of_mine" / "__init__.py"
    assert "pack_of_mine" not in sys.modules


def _package(folder):
    (folder / "pack_of_mine").mkdir()
    for name in ("__init__", "part"):
        (folder / "pack_of_mine" / f"{name}.py").write_text("raise SystemExit('run')")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise KeyError('root')", "user-code-failed"),
        ("data = 3", "unknown-function"),
        ("def data(): raise SystemExit(3)", "user-code-failed"),
        ("class data(Images):\n    def __getitem__(self, _): raise SystemExit(0)\n    items = [1]", "user-code-failed"),
        ("class data(Images):\n    def __len__(self): raise SystemExit(0)", "user-code-failed"),
        ("def data(): return Subset([], [0])", "user-code-failed"),
        ("def data(): return None", "not-a-data-set"),
        ("class data(IterableDataset): __iter__ = None", "not-a-data-set"),
        ("def data(): return Images([])", "empty-data-set"),
        ("def data(): return Images([IMAGE])", "not-a-pair"),
        ("def data(): return Images([(IMAGE, 0), (IMAGE, 'cat')])", "not-a-class-number"),
        ("def data(): return Images([(IMAGE, torch.zeros(2))])", "not-a-class-number"),
        ("def data(): return Images([(3, 0)])", "not-an-image"),
        ("def data(): return Images([(IMAGE, -1)])", "class-number"),
        ("def data(): return Images([(IMAGE, 2)], classes=['a'])", "class-number"),
        ("def data(): return Images([(IMAGE, 0)], classes=3)", "not-class-names"),
    ],
)
def test_open_custom_without_a_data_set_raises_one_line(write, body, code):
    with raises(code, UsageError) as caught:
        open_custom(write(body), False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spec", "code"), [("gone.py:data", "file-missing"), ("gone.module:data", "user-code-failed")])
def test_open_custom_of_missing_code_raises(spec, code):
    with raises(code, UsageError):
        open_custom(spec, False)
