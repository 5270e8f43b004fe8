"""What takes seconds to import is not imported where it is not needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "nltk", "matplotlib", "ray")
REPORT = """
import json, sys
from dsi_cli.cli.app import main_with_exit_code
code = main_with_exit_code(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump([code, sorted(sys.modules)], file)
"""


def modules_after(tmp_path, *arguments):
    """Return the modules that a process has imported once a command is done."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-c", REPORT, report, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
    code, modules = json.loads(report.read_text(encoding="utf-8"))
    assert code == 0
    return set(modules)


def test_the_help(tmp_path):
    modules = modules_after(tmp_path, "--help")
    assert "dsi_cli.cli.app" in modules
    assert "dsi_cli.cli.analyze" not in modules, "a verb is imported when it is called"
    assert not modules & {*HEAVY, "numpy", "scipy", "pandas", "pyarrow"}


@pytest.mark.parametrize("verb", ["scan", "wordnet", "analyze", "watch"])
def test_verbs_that_read_no_images(verb, four_runs, tmp_path):
    run = four_runs / "garments"
    arguments = {
        "scan": (run,),
        "wordnet": ("cifar10", "-o", tmp_path / "x.parquet"),
        "analyze": (run, "-o", tmp_path / "out", "--epochs", "0:1"),
        "watch": (run, "-o", tmp_path / "out", "--every", "0.1s", "--until-epoch", 15, "--draws", 0),
    }
    modules = modules_after(tmp_path, verb, *arguments[verb])
    assert "numpy" in modules
    assert not modules & {*HEAVY, "fsspec", "upath"}


def test_figures_are_drawn_without_torch(four_runs, tmp_path):
    out = tmp_path / "out"
    assert modules_after(tmp_path, "analyze", four_runs / "garments", "-o", out, "--draws", 0)
    modules = modules_after(tmp_path, "plot", out, "sai", "training", "-o", tmp_path / "figures")
    assert "matplotlib" in modules
    assert not modules & {"torch", "torchvision", "timm", "nltk"}


def test_the_package_alone_imports_nothing_heavy():
    code = "import sys, dsi_cli; print(*sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    modules = set(ended.stdout.split())
    assert "dsi_cli" in modules
    assert not modules & {*HEAVY, "numpy", "pandas", "typer"}


def test_importing_the_command_line_leaves_the_garbage_collector_as_it_is():
    code = "import gc; before = gc.get_threshold(); import dsi_cli.cli.app; assert gc.get_threshold() == before"
    subprocess.run([sys.executable, "-c", code], check=True)
