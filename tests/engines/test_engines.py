"""The table of engines, and what is said of a choice that cannot be right."""

import importlib
import subprocess
import sys

import pytest

from dsi_cli.engines import DEFAULT, ENGINES, EngineOptions, open_engine
from dsi_cli.errors import UsageError


@pytest.mark.parametrize("one", ENGINES, ids=lambda one: one.name)
def test_every_engine_has_a_module_that_opens_it(one):
    assert callable(importlib.import_module(f"dsi_cli.engines.{one.name}").open_engine)


def test_open_engine_uses_threads_by_default():
    assert DEFAULT == "local"
    with open_engine(EngineOptions()) as engine:
        assert list(engine.map_in_order(abs, [-1, 2], None)) == [1, 2]
        assert list(engine.map_whole(abs, [-1, 2], None)) == [1, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "dask"}, r"^--engine takes local or ray; 'dask' is neither$"),
        ({"address": "auto"}, r"^--address is for --engine ray; the engine is local$"),
        ({"gpus_per_task": 1}, r"^--gpus-per-task is for --engine ray; the engine is local$"),
        (
            {"name": "ray", "gpus_per_task": 1.5},
            r"^--gpus-per-task takes a part of a GPU \(0\.25\) or whole ones \(2\); 1\.5 is",
        ),
        ({"name": "ray", "gpus_per_task": -1}, r"^--gpus-per-task takes a part .*; -1 is neither$"),
        ({"name": "ray", "gpus_per_task": float("nan")}, r"^--gpus-per-task takes a part .*; nan is neither$"),
    ],
)
def test_open_engine_with_an_invalid_choice_raises(options, message):
    with pytest.raises(UsageError, match=message):
        EngineOptions(**options)


def test_analyze_with_an_invalid_engine_is_one_line(tmp_path):
    command = [sys.executable, "-m", "dsi_cli", "analyze", str(tmp_path), "--engine", "dask"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "dsi: --engine takes local or ray; 'dask' is neither\n")


def test_without_ray_it_says_what_to_install(tmp_path):
    code = f"""
import sys
from importlib.machinery import PathFinder
sys.meta_path[:] = [type("Hides", (), {{"find_spec": staticmethod(
    lambda name, path=None, target=None: None if name.partition(".")[0] == "ray" else PathFinder.find_spec(name, path, target)
)}}) if one is PathFinder else one for one in sys.meta_path]
from dsi_cli.cli.app import main_with_exit_code
sys.exit(main_with_exit_code(["analyze", {str(tmp_path)!r}, "--engine", "ray"]))
"""
    (tmp_path / "epoch_0.pt").write_bytes(b"PK\x03\x04")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.stderr == "dsi: --engine ray needs Ray, which is not installed; run pip install 'dsi-cli[ray]'\n"
    assert ended.returncode == 2
