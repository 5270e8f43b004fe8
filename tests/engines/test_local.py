"""Threads: results in the jobs' order, few jobs under way, errors handed on."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from helpers.outputs import contents, heads, save_head
from threadpoolctl import threadpool_info

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.engines import local
from dsi_cli.engines.local import map_in_order


def test_results_come_in_the_order_of_the_jobs():
    def slow_first(job):
        time.sleep(0.02 if job == 0 else 0)
        return job * job

    assert list(map_in_order(slow_first, range(20), workers=4)) == [
        job * job for job in range(20)
    ]
    assert (
        list(map_in_order(slow_first, [])),
        list(map_in_order(slow_first, [3])),
    ) == ([], [9])


def test_jobs_are_drawn_in_the_callers_thread_and_only_a_few_ahead():
    drawn = []

    def jobs():
        for job in range(100):
            drawn.append(threading.get_ident())
            yield job

    results = map_in_order(lambda job: job, jobs(), workers=2)
    assert next(results) == 0
    assert set(drawn) == {threading.get_ident()}
    assert len(drawn) <= 5
    results.close()
    assert len(drawn) <= 5


def test_the_first_error_ends_it():
    def fails(job):
        if job == 3:
            raise ZeroDivisionError("job 3")
        return job

    results = map_in_order(fails, range(1000), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match=r"^job 3$"):
        next(results)
    assert list(results) == []
    assert threading.active_count() < 20


def test_libraries_that_multiply_are_held_to_one_thread_meanwhile():
    import numpy  # noqa: F401 (brings the libraries)

    def threads(_):
        return [
            library["num_threads"]
            for library in threadpool_info()
            if library["user_api"] == "blas"
        ]

    assert {
        count for counts in list(map_in_order(threads, range(4))) for count in counts
    } == {1}


def test_jobs_next_to_other_threads_use_all_cores(monkeypatch):
    monkeypatch.setattr(local, "usable_cores", lambda: 3)
    meeting = threading.Barrier(3, timeout=100)
    found = []

    def work():
        found.extend(map_in_order(lambda _: meeting.wait(), range(3)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert sorted(found) == [0, 1, 2]


def test_leaving_an_iteration_starts_no_further_job_and_waits_for_none():
    begun, may_end = [], threading.Event()

    def slow(job):
        begun.append(job)
        if job:
            may_end.wait(600)

    results = map_in_order(slow, range(1000), workers=2)
    next(results)
    while len(begun) < 3:
        time.sleep(0.001)
    results.close()
    may_end.set()
    time.sleep(0.1)
    assert sorted(begun) == [0, 1, 2]


HANGING = """
import sys, time
from dsi_cli.cli import main
from dsi_cli.analysis.classifiers import checkpoint_scanner

def hangs(*_, **__):
    print("begun", flush=True)
    time.sleep(600)

checkpoint_scanner.scan_checkpoint = hangs
main()
"""


def test_an_interrupt_does_not_wait_for_a_file_that_cannot_be_read(tmp_path):
    save_head(tmp_path / "epoch_0.pt", heads(1)[0], epoch=0)
    command = [sys.executable, "-c", HANGING, "scan", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "error: interrupted\n"


def test_an_analysis_with_any_number_of_threads_gives_the_same_tables(
    tmp_path, monkeypatch
):
    for epoch, weight in enumerate(heads(5, classes=14)):
        save_head(tmp_path / "run" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    events: dict[int, list] = {1: [], 3: []}
    for cores, seen in events.items():
        monkeypatch.setattr(local, "usable_cores", lambda cores=cores: cores)
        options = Options(draws=20, permutations=20)
        analyze(
            [tmp_path / "run"],
            tmp_path / str(cores),
            options,
            lambda *event, seen=seen: seen.append(event),
        )
    assert events[1] == events[3]
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
