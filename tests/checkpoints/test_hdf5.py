"""HDF5: what h5py writes is read exactly; what is damaged, hostile or unfinished is
refused, within bounds.
"""

import shutil
import subprocess
import sys

import h5py
import ml_dtypes
import numpy as np
import pytest
from helpers.checkpoint_files import read_all
from helpers.errors import raises
from helpers.memory_limits import scanned
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.checkpoint_reader import require_file, scan_checkpoint
from dsi_cli.checkpoints.child_process import client
from dsi_cli.checkpoints.formats import OpenFiles, open_content
from dsi_cli.errors import UnreadableError

LIBVERS = ["earliest", ("v108", "v108"), "latest"]
DTYPES = [
    "f2",
    "f4",
    "f8",
    ">f2",
    ">f4",
    ">f8",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u2",
    "u4",
    "u8",
    ">i4",
    ">u8",
]


def values(dtype: str, shape: tuple[int, ...] = (5, 7)) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) * 3 - 7).astype(np.dtype(dtype))


@pytest.mark.parametrize("libver", LIBVERS)
def test_every_type_is_read_exactly(libver, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        for dtype in DTYPES:
            file.create_group(dtype.replace(">", "big"))["x"] = values(dtype)
        file["special"] = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-7])
        file["none"] = np.zeros((0, 4), np.float32)
        file["half"] = values("f4").astype(ml_dtypes.bfloat16)
    found = read_all(tmp_path / "x.h5")
    for dtype in DTYPES:
        assert_array_equal(
            found[f"{dtype.replace('>', 'big')}.x"], values(dtype), err_msg=dtype
        )
    assert_array_equal(found["special"], [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-7])
    assert found["none"].shape == (0, 4)
    assert_array_equal(found["half"], values("f4"))


@pytest.mark.parametrize("libver", LIBVERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip", "shuffle": True},
        {"compression": "lzf"},
        {"fletcher32": True},
    ],
)
@pytest.mark.parametrize("dtype", ["f4", ">f8"])
def test_a_kernel_is_turned_however_it_is_stored(dtype, options, libver, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
        file.create_dataset(
            "layers/dense/vars/0",
            data=values(dtype, (9, 5)),
            chunks=(4, 4) if options else None,
            **options,
        )
        file["layers/dense/vars/1"] = values(dtype, (5,))
    found = scan_checkpoint(require_file(tmp_path / "x.h5"))
    assert found.record.reason is None
    assert_array_equal(found.weight, values(dtype, (9, 5)).T)


def test_elements_that_are_no_numbers_do_not_hide_the_others(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["words"] = np.array(["a", "b"], dtype=h5py.string_dtype())
        file["pairs"] = np.zeros(3, dtype=[("a", "f4"), ("b", "i8")])
        file["kind"] = np.dtype("f4")
        file["x"] = values("f4")
    with OpenFiles() as files:
        content = open_content(tmp_path / "x.h5", files)
        assert set(content.tree) == {"words", "pairs", "x"}
        assert_array_equal(content.tree["x"].read(), values("f4"))
        for name in ("words", "pairs"):
            with raises("unsupported-dtype", UnreadableError):
                content.tree[name].read()


def test_links_to_other_names_and_files_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = values("f4")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = values("f4")
        file["soft"] = h5py.SoftLink("/x")
        file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    assert list(read_all(tmp_path / "x.h5")) == ["x"]


def test_elements_in_other_files_are_not_read(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(140))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = values("f4")
    layout = h5py.VirtualLayout((5, 7), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (5, 7))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset(
            "external", (5, 7), "f4", external=[(str(tmp_path / "secret"), 0, 140)]
        )
        file.create_virtual_dataset("virtual", layout)
    with OpenFiles() as files:
        content = open_content(tmp_path / "x.h5", files)
        for name in ("external", "virtual"):
            with raises("outside-folder", UnreadableError):
                content.tree[name].read()


def _bomb(file: h5py.File) -> None:
    file.create_dataset(
        "layers/dense/vars/0",
        data=np.zeros((8000, 7000), "f4"),
        chunks=(8000, 7000),
        compression="gzip",
    )


def _huge(file: h5py.File) -> None:
    name, shape = "layers/dense/vars/0", (1 << 20, 1 << 19)
    file.create_dataset(
        name, shape, "f4", chunks=(1 << 10, 1 << 10), compression="gzip"
    )[:1, :1] = 1


def _many_names(file: h5py.File) -> None:
    one = file.create_dataset("x", data=values("f4"))
    for number in range(21_000):
        file[f"n{number}"] = one


def _circle(file: h5py.File) -> None:
    group = file.create_group("a")
    group["b"] = group
    file["x"] = values("f4")


def _long_name(file: h5py.File) -> None:
    file.create_group("layers/dense/vars").attrs["name"] = "y" * 4_000_000
    for number in range(2500):
        file.create_group(f"layers/dense/g{number}")
    file["layers/dense/vars/0"] = values("f4")


BOMBS = {
    "bomb": (_bomb, "a tensor of 224000000 bytes is more than a file of"),
    "huge": (_huge, "is more than a file of"),
    "many-names": (_many_names, "more than 20000 names"),
    "circle": (_circle, "groups in groups 32 deep"),
    "long-name": (_long_name, "a name of 4000008 letters"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            one, marks=[pytest.mark.slow] * (one in ("many-names", "long-name"))
        )
        for one in BOMBS
    ],
)
def test_a_file_that_asks_for_much_fails_within_bounds(name, tmp_path):
    write, reason = BOMBS[name]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        write(file)
    assert reason in scanned(tmp_path / "x.h5")[1]


PLUGIN = """
#include <stdio.h>
__attribute__((constructor)) static void run(void) { FILE *file = fopen("MARK", "w"); if (file) fclose(file); }
"""
READ_WITH_H5PY = "import h5py, sys; h5py.File(sys.argv[1])['fc/weight'][()]"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return the file that a plug-in of HDF5 writes once it is loaded; its folder is
    the one that HDF5 searches.
    """
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler")
    folder, mark = tmp_path / "plugins", tmp_path / "mark"
    folder.mkdir()
    (tmp_path / "plugin.c").write_text(PLUGIN.replace("MARK", str(mark)))
    subprocess.run(
        [
            compiler,
            "-shared",
            "-fPIC",
            "-o",
            folder / "libplugin.so",
            tmp_path / "plugin.c",
        ],
        check=True,
    )
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(folder))
    return mark


def test_open_content_of_a_chunk_with_an_unknown_filter_loads_no_plugin(
    plugin, tmp_path, monkeypatch
):
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("fc/weight", data=values("f4"), compression="gzip")
    data = path.read_bytes()
    start = data.index(b"deflate") - 8  # here is the number of the filter
    path.write_bytes(data[:start] + (32_123).to_bytes(2, "little") + data[start + 2 :])
    # h5py alone loads it.
    subprocess.run(
        [sys.executable, "-c", READ_WITH_H5PY, path], capture_output=True, check=False
    )
    assert plugin.exists()
    plugin.unlink()
    child = client._Child()  # with this environment
    monkeypatch.setattr(client, "_child", lambda _pid: child)
    with OpenFiles() as files, pytest.raises(UnreadableError):
        open_content(path, files).tree["fc.weight"].read()
    assert not plugin.exists()
