"""The child process that reads other libraries' formats: limits, crashes, missing
packages.
"""

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.checkpoint_files import only
from helpers.errors import raises
from numpy.testing import assert_array_equal

from dsi_cli.checkpoints.checkpoint_reader import scan_checkpoint
from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import RandomAccessFile, RangeFile
from dsi_cli.errors import UnreadableError
from fuzz.makers import MAKERS

KERNEL = np.arange(35, dtype=np.float32).reshape(5, 7)


@pytest.fixture
def weights(tmp_path) -> Path:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["fc/weight"] = KERNEL
    return tmp_path / "x.h5"


def children() -> set[int]:
    """Return the child processes of this process."""
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {int(number) for one in lists for number in one.read_text().split()}


def read(path: Path) -> np.ndarray:
    with RandomAccessFile(path) as source:
        content = open_isolated("hdf5", source.size, source.read_at)
        return content.tree["fc.weight"].read()


def run(code: str, folder: Path, path: str = "", *options: str) -> str:
    """Return what a new Python process prints that runs a code or a module in a
    folder.
    """
    where = os.pathsep.join(
        filter(None, [path, str(Path(__file__).resolve().parents[2])])
    )
    environment = {**os.environ, "PYTHONPATH": where, "COLUMNS": "300"}
    command = [sys.executable, "-P", *(options or ("-c", code))]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return " ".join((ended.stdout + ended.stderr).split())


def test_a_whole_file_is_requested_in_large_parts():
    sizes = []
    file = io.BufferedReader(
        RangeFile(20 << 20, lambda _, size: sizes.append(size) or bytes(size)), 1 << 13
    )
    assert len(file.read()) == 20 << 20 == sum(sizes)
    assert len(sizes) == 3


def test_one_child_serves_all_files(weights):
    read(weights)
    before = children()
    for _ in range(5):
        assert_array_equal(read(weights), KERNEL)
    assert children() == before


LIMITED = """
from pathlib import Path
from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import RandomAccessFile
from dsi_cli.errors import UnreadableError
with RandomAccessFile(Path("x.h5")) as source:
    try:
        open_isolated("hdf5", source.size, source.read_at, LIMITS)
    except UnreadableError as error:
        print(error.code)
    print(list(open_isolated("hdf5", source.size, source.read_at).tree))
"""


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ("seconds=0", {"time-limit"}),
        ("memory=1 << 20", {"reader-failed", "reader-crashed", "package-missing"}),
    ],
)
def test_request_beyond_its_limits_ends_with_a_code_and_the_next_one_works(
    limits, codes, weights
):
    code, names = run(LIMITED.replace("LIMITS", limits), weights.parent).split()
    assert code in codes
    assert names == "['fc.weight']"


def test_the_time_of_imports_does_not_count(weights):
    (weights.parent / "sitecustomize.py").write_text(
        "import sys, time\ntime.sleep(5 if sys.argv[0] == '-m' else 0)"
    )
    assert (
        run(LIMITED.replace("LIMITS", "seconds=4"), weights.parent, str(weights.parent))
        == "['fc.weight']"
    )


class Crashing(RandomAccessFile):
    """A file whose reading coincides with a crash of the child."""

    def read_at(self, offset: int, size: int) -> bytes:
        for child in children():
            os.kill(child, signal.SIGSEGV)
        return super().read_at(offset, size)


def test_a_crash_is_the_reason_of_one_file_and_the_next_one_works(weights):
    with (
        Crashing(weights) as source,
        raises("reader-crashed", UnreadableError, cause="SIGSEGV"),
    ):
        open_isolated("hdf5", source.size, source.read_at)
    assert_array_equal(read(weights), KERNEL)


def test_files_are_read_by_several_threads(weights):
    barrier = threading.Barrier(4)

    def work(_number: int) -> bool:
        barrier.wait()
        return all(np.array_equal(read(weights), KERNEL) for _ in range(10))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_a_module_next_to_the_checkpoints_is_not_imported(weights):
    (weights.parent / "h5py.py").write_text("raise SystemExit('imported')")
    code = (
        "from dsi_cli.checkpoints.checkpoint_reader import require_file,"
        " scan_checkpoint; from pathlib import Path"
    )
    assert (
        run(
            f"{code}; print(scan_checkpoint(require_file(Path('x.h5'))).record.reason)",
            weights.parent,
        )
        == "None"
    )


BLOCKED = textwrap.dedent("""
    import importlib.abc, sys
    class Blocker(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("h5py", "onnx", "tensorstore", "msgpack", "tensorboard"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Blocker())
    """)
EXTRAS = {"hdf5": "keras", "onnx": "onnx", "msgpack": "jax", "orbax": "jax"}


def test_scan_without_the_packages_lists_each_file_with_the_command_that_installs_its_package(
    tmp_path,
):
    for maker in (maker for maker in MAKERS if maker.format in EXTRAS):
        (tmp_path / "runs" / maker.format).mkdir(parents=True)
        maker.make(tmp_path / "runs" / maker.format)
        assert "pip install" not in (
            scan_checkpoint(only(tmp_path / "runs" / maker.format)).record.reason or ""
        )
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKED)
    told = run(
        "",
        tmp_path,
        str(tmp_path / "blocked"),
        "-m",
        "dsi_cli",
        "scan",
        "runs",
        "--all",
    )
    assert "Traceback" not in told
    for kind, extra in EXTRAS.items():
        assert kind in told
        assert f"pip install 'dsi-cli[{extra}]'" in told
