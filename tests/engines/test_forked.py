"""Copies of the process: results in the jobs' order, what kills a copy costs one job, and no copy outlives the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from outputs import contents, heads, save_head
from threadpoolctl import threadpool_info

from dsi_cli.engines import forked, local
from dsi_cli.errors import CheckpointError, UnreadableError
from dsi_cli.pipeline.analysis import analyze
from dsi_cli.pipeline.options import Options

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not copy processes safely")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Let copies be made after the first job, however short it is."""
    monkeypatch.setattr(forked, "WORTH", -1.0)


def refuses(job, reason):
    raise AssertionError(f"{job} was lost: {reason}")


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for_the_end_of(processes) -> None:
    for _ in range(300):
        if not any(map(is_alive, processes)):
            return
        time.sleep(0.1)
    raise AssertionError(f"still alive: {[one for one in processes if is_alive(one)]}")


def test_results_come_in_the_order_of_the_jobs_from_all_copies():
    def slow_first(job):
        time.sleep(0.3 if job in (1, 4) else 0.01)
        return job * job, os.getpid()

    results = list(forked.map_in_order(slow_first, range(30), refuses, 3))
    assert [result for result, _ in results] == [job * job for job in range(30)]
    assert results[0][1] == os.getpid()
    copies = {process for _, process in results[1:]}
    assert len(copies) == 3
    assert os.getpid() not in copies
    assert not any(map(is_alive, copies))
    assert list(forked.map_in_order(slow_first, [], refuses, 3)) == []
    assert list(forked.map_in_order(slow_first, [3], refuses, 3)) == [(9, os.getpid())]


def test_small_jobs_need_no_copies_and_long_ones_have_them_soon(monkeypatch):
    def process_of(job):
        time.sleep(job)
        return os.getpid()

    monkeypatch.setattr(forked, "WORTH", 0.1)
    here = {os.getpid()}
    assert set(forked.map_in_order(process_of, [0.0001] * 50, refuses, 2)) == here
    found = list(forked.map_in_order(process_of, [0.03] * 12, refuses, 2))
    assert set(found[:3]) == here
    assert not set(found[6:]) & here


def test_large_jobs_and_results_block_nobody():
    results = list(forked.map_in_order(lambda job: job + 1, (np.full(1 << 20, one) for one in range(12)), refuses, 2))
    assert [result[0] for result in results] == list(range(1, 13))


def test_jobs_are_drawn_here_and_only_a_few_ahead():
    drawn = []

    def jobs():
        for job in range(100):
            drawn.append(os.getpid())
            yield job

    results = forked.map_in_order(lambda job: job, jobs(), refuses, 2)
    assert [next(results) for _ in range(11)] == list(range(11))
    assert set(drawn) == {os.getpid()}
    assert len(drawn) <= 11 + 2 * forked.AHEAD
    results.close()


def test_copies_have_what_the_first_job_taught():
    class Learns:
        def __init__(self):
            self.seen = []

        def __call__(self, job):
            self.seen.append(job)
            return list(self.seen)

    results = list(forked.map_in_order(Learns(), range(20), refuses, 2))
    assert results[0] == [0]
    assert all(result[0] == 0 and result[-1] == job for job, result in enumerate(results))


def test_libraries_that_multiply_are_held_to_one_thread_here_and_there():
    def threads(_):
        np.ones((4, 4)) @ np.ones((4, 4))
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    results = forked.map_in_order(threads, range(4), refuses, 2)
    found = [next(results), threads(None), *results]
    assert {count for counts in found for count in counts} == {1}


def test_what_a_job_raises_ends_it():
    copies = []

    def fails(job):
        if job == 3:
            raise UnreadableError("job 3")
        return os.getpid()

    results = forked.map_in_order(fails, range(1000), refuses, 2)
    copies += [next(results) for _ in range(3)][1:]
    with pytest.raises(CheckpointError, match=r"^job 3$"):
        next(results)
    assert list(results) == []
    assert not any(map(is_alive, copies))


@pytest.mark.parametrize("kills", [1, 7, 19])
def test_a_job_that_kills_its_copy_is_lost_alone(kills):
    def dies(job):
        if job == kills:
            os.kill(os.getpid(), signal.SIGKILL)
        return job

    results = list(forked.map_in_order(dies, range(20), lambda job, reason: (job, reason), 2))
    assert [result for result in results if not isinstance(result, tuple)] == [job for job in range(20) if job != kills]
    reason = "the process that worked on it ended (signal 9): out of memory, killed, or a crash"
    assert results[kills] == (kills, reason)


def test_a_copy_that_was_killed_while_it_waited_costs_no_job():
    def slow(job):
        time.sleep(0.05)
        return job, os.getpid()

    results = forked.map_in_order(slow, range(40), refuses, 2)
    _, (_, one) = next(results), next(results)
    time.sleep(0.5)  # all that was given is done
    os.kill(one, signal.SIGKILL)
    wait_for_the_end_of([one])
    assert [job for job, _ in results] == list(range(2, 40))


def test_leaving_an_iteration_ends_the_copies_in_the_middle_of_a_job(tmp_path):
    def slow(job):
        if job > 4:
            time.sleep(60)
            (tmp_path / str(job)).touch()
        return os.getpid()

    results = forked.map_in_order(slow, range(10), refuses, 2)
    copies = {next(results) for _ in range(5)} - {os.getpid()}
    results.close()
    assert not any(map(is_alive, copies))
    assert list(tmp_path.iterdir()) == [], "no job was waited for"


def test_a_result_that_cannot_travel_costs_its_job(capfd):
    results = list(
        forked.map_in_order(lambda job: (lambda: job) if job == 2 else job, range(5), lambda _, reason: reason, 2)
    )
    assert [results[job] for job in (0, 1, 3, 4)] == [0, 1, 3, 4]
    assert results[2].startswith("the process that worked on it ended (exit code 0)")
    assert capfd.readouterr() == ("", "")


ENDLESS = r"""
import os, sys, time
from dsi_cli.engines import forked

def slow(job):
    if job:
        os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(600 if job > 6 else 0.2)

list(forked.map_in_order(slow, range(10_000), None, 2))
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_copy_outlives_the_process(ending):
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as one:
        copies = {int(one.stdout.readline()) for _ in range(8)}
        assert len(copies) == 2
        one.send_signal(ending)
        one.stdout.close()
        one.wait(timeout=60)
    wait_for_the_end_of(copies)


def test_copies_end_by_a_signal_that_this_process_has_a_use_of_its_own_for():
    def mine(_number, _frame):
        raise KeyboardInterrupt

    def ends(job):
        if job == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())

    before = signal.signal(signal.SIGTERM, mine)
    try:
        found = list(forked.map_in_order(ends, range(8), lambda job, reason: (job, reason), 2))
        assert (signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == (mine, set())
    finally:
        signal.signal(signal.SIGTERM, before)
    job, reason = found.pop(4)
    assert (job, "signal 15" in reason) == (4, True)
    assert found == [(mine, set()), *[(signal.SIG_DFL, set())] * 6]


def test_with_another_thread_nothing_is_copied():
    there = forked.is_possible()
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    try:
        assert not forked.is_possible()
        assert list(local.Local().map_in_order(lambda _: os.getpid(), range(3), refuses)) == [os.getpid()] * 3
    finally:
        event.set()
        thread.join()
    assert forked.is_possible() == there
    found = []
    thread = threading.Thread(target=lambda: found.append(forked.is_possible()))
    thread.start()
    thread.join()
    assert found == [False]


def test_a_command_copies_itself_also_while_it_draws_a_progress_bar():
    code = r"""
import os, sys
from rich.console import Console
from rich.progress import Progress
from dsi_cli.engines import Chosen, forked, opened
with Progress(console=Console(force_terminal=True, file=sys.stderr)), opened(Chosen()) as engine:
    os.write(1, f"{forked.is_possible()}\n".encode())
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "True\n"


def test_tables_are_the_same_whether_or_not_processes_are_copied(tmp_path, monkeypatch):
    for epoch, weight in enumerate(heads(5, classes=14)):
        save_head(tmp_path / "run" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    monkeypatch.setattr(local, "usable_cores", lambda: 2)
    events: dict[bool, list] = {True: [], False: []}
    for is_possible, seen in events.items():
        monkeypatch.setattr(forked, "is_possible", lambda is_possible=is_possible: is_possible)
        analyze([tmp_path / "run"], tmp_path / str(is_possible), Options(draws=20, permutations=20), seen.append)
    assert events[True] == events[False]
    assert contents(tmp_path / "True") == contents(tmp_path / "False")


def test_a_checkpoint_that_takes_a_copy_with_it_is_a_failed_row(tmp_path, monkeypatch):
    for epoch, weight in enumerate(heads(5)):
        save_head(tmp_path / "run" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    monkeypatch.setattr(local, "usable_cores", lambda: 2)
    monkeypatch.setattr(forked, "is_possible", lambda: True)
    from dsi_cli.pipeline import reading

    scan_each = reading.scan_each

    def dies(found, *rest, **named):
        if found.path.name == "epoch_3.pt":
            os.kill(os.getpid(), signal.SIGKILL)
        return scan_each(found, *rest, **named)

    monkeypatch.setattr(reading, "scan_each", dies)
    summary = analyze([tmp_path / "run"], tmp_path / "out", Options(draws=0))
    (run,) = summary.runs
    assert [(Path(path).name, status, reason) for path, status, reason in run.problems] == [
        ("epoch_3.pt", "failed", "the process that worked on it ended (signal 9): out of memory, killed, or a crash")
    ]


def test_one_core_is_said_once_with_the_reason(monkeypatch, caplog):
    monkeypatch.setattr(local, "usable_cores", lambda: 4)
    monkeypatch.setattr(local, "WORTH_TELLING", 0.0)
    local._tell_of_one_core.cache_clear()
    is_over = threading.Event()
    thread = threading.Thread(target=is_over.wait, name="of a notebook")
    thread.start()
    for _ in range(2):
        assert list(local.Local().map_in_order(str, range(3), refuses)) == ["0", "1", "2"]
    is_over.set()
    thread.join()
    (line,) = caplog.messages
    assert line.startswith("warning: one of 4 cores is used: dsi cannot start further processes next to other threads (")
