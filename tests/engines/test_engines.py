"""The table of engines, and what is said of a choice that cannot be right."""

import sys

import pytest

from dsi_cli import engines
from dsi_cli.analysis import rows_plan
from dsi_cli.analysis.options import Options
from dsi_cli.engines import DEFAULT, EngineOptions, open_engine
from dsi_cli.errors import UsageError


def test_open_engine_uses_threads_by_default():
    assert DEFAULT == "local"
    with open_engine(EngineOptions()) as engine:
        assert engine is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "dask"}, r"^--engine takes local or ray; 'dask' is neither$"),
        ({"address": "auto"}, r"^address is for the engine ray; the engine is local$"),
        (
            {"gpus_per_task": 1},
            r"^gpus_per_task is for the engine ray; the engine is local$",
        ),
        (
            {"name": "ray", "gpus_per_task": 1.5},
            r"^gpus_per_task takes a part .*; 1\.5 is neither",
        ),
        (
            {"name": "ray", "gpus_per_task": -1},
            r"^gpus_per_task takes a part .*; -1 is neither$",
        ),
        (
            {"name": "ray", "gpus_per_task": float("nan")},
            r"^gpus_per_task takes a part .*; nan is neither$",
        ),
    ],
)
def test_open_engine_with_an_invalid_choice_raises(options, message):
    with pytest.raises(UsageError, match=message):
        EngineOptions(**options)


def test_analyze_without_ray_names_the_install_command(
    dsi, make_run, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    error = (
        "error: --engine ray needs Ray, which is not installed\nhint: run pip install"
        " 'dsi-cli[ray]'\n"
    )
    assert dsi("analyze", make_run(), "-o", tmp_path / "out", "--engine", "ray") == (
        2,
        "",
        error,
    )


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("3000\n")
    used.write_text("1000\n")
    nothing = (str(tmp_path / "no"), str(tmp_path / "no"))
    monkeypatch.setattr(engines, "_MEMORY_FILES", (nothing, (str(limit), str(used))))
    assert engines.free_memory() == 2000
    used.write_text("5000\n")
    assert engines.free_memory() == 0
    limit.write_text("max\n")
    assert engines.free_memory() > 1 << 20


@pytest.mark.parametrize(
    ("classes", "budget", "threads"),
    [(100, 1 << 30, 2), (1000, 4 << 30, 2), (1000, 300_000_000, 1), (4097, 1 << 50, 1)],
)
def test_walk_and_threads_compares_as_many_checkpoints_as_fit(
    classes, budget, threads, monkeypatch
):
    monkeypatch.setattr(engines, "usable_cores", lambda: 2)
    assert rows_plan.walk_and_threads(classes, Options(memory=budget))[1] == threads
