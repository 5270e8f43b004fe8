"""Forked processes: results in the jobs' order, errors handed on, no process left."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.outputs import contents, heads, save_head
from threadpoolctl import threadpool_info

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.engines import processes
from dsi_cli.engines.processes import MIN_JOBS, map_in_order
from dsi_cli.errors import EngineError, UsageError

TASKS = Path("/proc/self/task")
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="no safe fork"),
    pytest.mark.skipif(
        not any(TASKS.glob("*/children")), reason="the kernel lists no children"
    ),
]


def child_processes() -> set[str]:
    tasks = TASKS.glob("*/children")
    return {child for task in tasks for child in task.read_text().split()}


@pytest.fixture(autouse=True)
def no_process_is_left():
    """Other tests of this process may have processes of their own."""
    before = child_processes()
    yield
    assert child_processes() <= before


def test_map_in_order_of_many_jobs_uses_processes_and_keeps_the_order():
    done = list(map_in_order(lambda job: (job, os.getpid()), range(MIN_JOBS + 1), 2))
    assert [job for job, _ in done] == list(range(MIN_JOBS + 1))
    assert done[0] == (0, os.getpid()), "the first job is done in this process"
    assert len({process for _, process in done} - {os.getpid()}) == 2


@pytest.mark.parametrize(
    ("jobs", "workers", "is_notebook"),
    [(MIN_JOBS - 1, 2, False), (MIN_JOBS, 1, False), (MIN_JOBS, 2, True)],
)
def test_map_in_order_of_few_jobs_or_in_a_notebook_uses_threads(
    monkeypatch, jobs, workers, is_notebook
):
    kernel = SimpleNamespace(initialized=lambda: is_notebook)
    module = SimpleNamespace(IPKernelApp=kernel)
    monkeypatch.setitem(sys.modules, "ipykernel.kernelapp", module)
    done = set(map_in_order(lambda _: os.getpid(), range(jobs), workers))
    assert done == {os.getpid()}


def test_map_in_order_limits_libraries_to_one_thread():
    import numpy  # noqa: F401 (brings the libraries)

    def threads(_):
        libraries = threadpool_info()
        return [one["num_threads"] for one in libraries if one["user_api"] == "blas"]

    found = map_in_order(threads, range(MIN_JOBS), 2)
    assert {number for numbers in found for number in numbers} == {1}


def test_map_in_order_limits_the_libraries_that_the_first_job_loads():
    code = """
import sys
from dsi_cli.engines import local, processes
from threadpoolctl import threadpool_info

def threads(_):
    import scipy.linalg
    libraries = threadpool_info()
    return [one["num_threads"] for one in libraries if one["user_api"] == "blas"]

module = {"processes": processes, "threads": local}[sys.argv[1]]
_, *found = module.map_in_order(threads, range(processes.MIN_JOBS), 2)
assert found[-1], "no library of matrix products was loaded"
assert set(found[-1]) == {1}, found
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    for way in ("processes", "threads"):
        subprocess.run([sys.executable, "-c", code, way], env=environment, check=True)


def test_map_in_order_raises_the_error_of_a_job_whole():
    def fails(job):
        if job == 3:
            raise UsageError("job 3", hint="do it", code="the-code", option="--x")
        return job

    results = map_in_order(fails, range(1000), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UsageError, match=r"^job 3") as caught:
        next(results)
    assert caught.value.code == "the-code"


def test_map_in_order_of_a_result_that_cannot_be_sent_raises():
    with pytest.raises(Exception, match="lambda"):
        list(map_in_order(lambda _: lambda: None, range(MIN_JOBS), 2))


def test_map_in_order_left_early_ends_the_processes():
    results = map_in_order(lambda _: bytes(10**6), range(1000), 2)
    assert len([next(results) for _ in range(3)]) == 3
    results.close()


def test_map_in_order_of_a_killed_process_raises_engine_error():
    def killed(job):
        if job == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return job

    with pytest.raises(EngineError, match="ran out of memory"):
        list(map_in_order(killed, range(MIN_JOBS), 2))


def test_analyze_in_processes_gives_the_tables_of_threads(tmp_path, monkeypatch):
    for epoch, weight in enumerate(heads(MIN_JOBS, classes=6)):
        save_head(tmp_path / "run" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    monkeypatch.setattr(processes, "usable_cores", lambda: 2)
    options = Options(draws=0, permutations=0)
    events: dict[str, list] = {"processes": [], "threads": []}
    for name, seen in events.items():
        if name == "threads":
            monkeypatch.setattr(processes, "MIN_JOBS", MIN_JOBS + 1)
        progress = lambda *event, seen=seen: seen.append(event)  # noqa: E731
        analyze([tmp_path / "run"], tmp_path / name, options, progress)
    assert events["processes"] == events["threads"]
    assert contents(tmp_path / "processes") == contents(tmp_path / "threads")
