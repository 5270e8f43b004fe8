"""Threads: results in the jobs' order, few jobs under way, errors handed on."""

from __future__ import annotations

import threading
import time

import pytest
from threadpoolctl import threadpool_info

from dsi_cli.engines.local import map_in_order


def test_results_come_in_the_order_of_the_jobs():
    def slow_first(job):
        time.sleep(0.02 if job == 0 else 0)
        return job * job

    assert list(map_in_order(slow_first, range(20), workers=4)) == [job * job for job in range(20)]
    assert list(map_in_order(slow_first, [])) == []
    assert list(map_in_order(slow_first, [3])) == [9]


def test_jobs_run_at_once():
    meeting = threading.Barrier(3, timeout=10)
    assert sorted(map_in_order(lambda _: meeting.wait(), range(3), workers=3)) == [0, 1, 2]


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
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    inside = list(map_in_order(threads, range(4)))
    assert {count for counts in inside for count in counts} == {1}
