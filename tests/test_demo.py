"""The runs that ship with the package, and the command that shows them."""

import runpy
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
from helpers.notebooks import NOTEBOOKS, assert_it_shows
from pandas.testing import assert_frame_equal
from safetensors.numpy import load_file

from dsi_cli.demo import runs_folder
from dsi_cli.store.results import Results

ROOT = Path(__file__).resolve().parents[1]
DEMO = ("cifar100-cnn", "cifar100-vit")


WITHOUT_NETWORK = """
import socket
def refuse(*_): raise AssertionError("the network was asked for")
socket.socket.connect = refuse
from dsi_cli.cli import main
main()
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return how the command ended in a process without a network, and its output."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-c", WITHOUT_NETWORK, "demo"]
    return (
        subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        ),
        folder / "dsi-demo",
    )


def test_the_demo_shows_the_papers_finding(shown):
    ended, _ = shown
    assert ended.returncode == 0, ended.stderr
    assert "Both networks learned WordNet-like structure early" in ended.stdout
    agreement = ended.stdout.partition("Agreement with WordNet")[2].splitlines()[2:4]
    assert [line.split()[0] for line in agreement] == list(DEMO)
    assert [line[-31] for line in agreement] == ["·", "·"], "epoch 0 is within chance"
    assert "  Compare    dsi compare dsi-demo\n" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 130
    assert 15 <= len(ended.stdout.splitlines()) <= 30


def test_the_demo_gives_the_numbers_of_whole_checkpoints(shown, analysed):
    """The heads are the same; only what the files hold beside them differs."""
    demo = Results(shown[1])
    assert demo.names == list(DEMO)
    expected = analysed.run.curves.query("run in @DEMO").reset_index(drop=True)
    assert_frame_equal(demo.curves, expected)
    assert list(demo.checkpoints["fingerprint"]) == list(
        analysed.run.checkpoints.query("run in @DEMO")["fingerprint"]
    )


def test_the_page_of_findings_is_what_its_script_writes(shown):
    made = runpy.run_path(str(ROOT / "docs/make_findings.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](
        Results(shown[1])
    ), "make findings"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_away_from_the_repository(path, shown):
    notebook = nbformat.read(path, 4)
    place = {"metadata": {"path": str(shown[1].parent)}}
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources=place
    ).execute()
    assert_it_shows(path.stem, notebook, shown[1])


@pytest.mark.parametrize(
    ("run", "features"), [("cifar100-cnn", 320), ("cifar100-vit", 64)]
)
def test_each_checkpoint_is_one_head_in_32_bits(run, features):
    with runs_folder() as folder:
        heads = [
            load_file(path) for path in sorted((folder / run).glob("*.safetensors"))
        ]
    assert len(heads) == 31
    for head in heads:
        (weight,) = head.values()
        assert (weight.shape, weight.dtype) == ((100, features), np.float32)


def test_the_demo_is_small():
    with runs_folder() as folder:
        assert (
            sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            < 6_000_000
        )
