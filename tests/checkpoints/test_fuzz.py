"""The fuzzer: a short run of it over the real reader, and that it sees what it is there
to see.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dsi_cli.checkpoints.checkpoint_reader import (
    ScanResult,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.formats import FORMATS
from dsi_cli.checkpoints.records import Record
from fuzz import seeds
from fuzz.inputs import Inputs
from fuzz.readers import WrongAnswerError, require_usable

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--inputs", "1500", "--seed", "20251125", "--workers", "2")


def fuzz(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the fuzzer's command on the files of its makers alone."""
    command = [sys.executable, "-m", "fuzz", *map(str, arguments)]
    environment = {
        name: value for name, value in os.environ.items() if name != "DSI_SHARED"
    }
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the files that are mutated, made once."""
    folder = tmp_path_factory.mktemp("fuzz")
    seeds.load(folder)
    return folder


@pytest.fixture(scope="module")
def files(scratch) -> list[seeds.Seed]:
    return seeds.load(scratch)[0]


def test_a_short_run_finds_nothing(scratch, tmp_path):
    ended = fuzz(*SHORT, "--scratch", scratch, "--findings", tmp_path / "found")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert re.search(r"^\| all \| 1,500 \|", ended.stdout, re.MULTILINE)
    assert "Findings: 0." in ended.stdout
    assert not (tmp_path / "found").exists()
    for kind in (
        "torch-zip",
        "torch-legacy",
        "safetensors",
        "safetensors-sharded",
        "step-folder",
        "pickle",
        "npz",
    ):
        numbers = re.search(rf"^\| {kind} \|(.*)\|$", ended.stdout, re.MULTILINE)
        assert numbers is not None, f"no file of format {kind}"
        assert int(numbers[1].split("|")[0]) > 20


def test_every_container_that_is_read_is_mutated(files, tmp_path):
    """A format without a file here would not be fuzzed: give it a maker in
    ``fuzz/makers.py``.
    """
    read = set()
    for number, one in enumerate(files):
        home = tmp_path / str(number) / Path(one.name).name
        for name, data in one.files:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(data)
        found = (
            [f for run in discover([home.parent]) for f in run.checkpoints]
            if one.is_folder
            else []
        )
        read |= {
            scan_checkpoint(f).record.format
            for f in found or [require_file(home / name) for name, _ in one.files]
        }
    assert read >= {one.name for one in FORMATS}


def test_a_number_is_always_the_same_input(files):
    one, other = Inputs(files, 5), Inputs(list(files), 5)
    backwards = {number: other.make(number) for number in reversed(range(60))}
    assert [one.make(number) for number in range(60)] == [
        backwards[number] for number in range(60)
    ]
    assert [one.make(number).files for number in range(20)] != [
        Inputs(files, 6).make(number).files for number in range(20)
    ]


@pytest.fixture(scope="module")
def caught():
    """Return what is found with each reader that misbehaves."""
    command = [sys.executable, str(ROOT / "tests" / "helpers" / "misbehaving.py")]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout)


@pytest.mark.parametrize(
    ("reader", "kind", "detail"),
    [
        ("raises", "exception", r"KeyError: 'x\.pt' \[misbehaving\.py:\d+ _raises < "),
        ("hangs", "time", r"more than 0\.4 s$"),
        ("allocates", "memory", "asked for more than 100 MB$"),
        ("executes", "action", "compile "),
        ("starts-a-process", "action", r"subprocess\.Popen "),
        ("writes", "action", "open .*/more'.* for writing$"),
        ("aborts", "died", "the process ended with exit code -6$"),
    ],
)
def test_a_reader_that_misbehaves_is_caught(reader, kind, detail, caught):
    inputs, ((number, found, told),) = caught[reader]
    assert (inputs, number, found) == (
        12,
        3,
        kind,
    ), "one finding, and all other inputs are judged as well"
    assert re.match(detail, told)


USABLE = Record("run", "x.pt", classes=2, features=3)


@pytest.mark.parametrize(
    ("record", "weight", "message"),
    [
        (replace(USABLE, status="fine"), None, "status 'fine'"),
        (replace(USABLE, status="failed"), None, "failed without a reason"),
        (
            replace(USABLE, status="failed", reason="why"),
            np.zeros((2, 3), "f4"),
            "or with a weight",
        ),
        (USABLE, None, "2 classes of 3 features, but another weight"),
        (USABLE, np.zeros((3, 2), "f4"), "2 classes of 3 features, but another weight"),
        (USABLE, np.zeros((2, 3)), "2 classes of 3 features, but another weight"),
        (USABLE, np.full((2, 3), np.nan, "f4"), "a weight that is not finite"),
        (
            replace(USABLE, head="x" * 5000),
            np.zeros((2, 3), "f4"),
            "head has 5000 characters",
        ),
        (
            replace(USABLE, epoch=1 << 63),
            np.zeros((2, 3), "f4"),
            "epoch has more than 64 bits",
        ),
    ],
)
def test_an_answer_that_nobody_can_use_is_caught(record, weight, message):
    with pytest.raises(WrongAnswerError, match=message):
        require_usable(ScanResult(record, weight))
