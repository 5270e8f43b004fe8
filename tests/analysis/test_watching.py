"""What is analysed while a folder changes between one listing and the next; the changes
are real, only the waiting is not.
"""

import errno
import os
import shutil
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, count

import pytest
import torch
from helpers.errors import raises
from helpers.outputs import ANIMALS, assert_same_output, heads, save_head, tables

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.lasting_suspects import MIN_EPOCHS, Finding
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.watch import (
    IDLE,
    REACHED,
    EndedEvent,
    LastingSuspect,
    UpdatedEvent,
    WaitingEvent,
    check,
    watch,
)
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.store import atomic_write, lock
from dsi_cli.store.results import Results

QUICK = Options(draws=0, measures=("cosine",))


def nothing():
    """Let one listing pass in which all stays as it is."""


@pytest.fixture
def watched(tmp_path):
    """Return ``watched(paths, *moments)``: the events while these happen in turn, one
    between two listings each.

    Watching is interrupted after the last moment, unless it ended before.
    ``watched.analysed`` holds the calls of the analysis.
    """

    def called(paths, *moments, analyse=None, **options):
        called.analysed = []
        now, left, events = count(), iter(moments), []

        def analysed(given):
            called.analysed.append(given)
            return (analyse or (lambda there: analyze(there, tmp_path / "out", QUICK)))(
                given
            )

        def sleep(seconds):
            assert seconds == 10
            moment = next(left, None)
            if moment is None:
                raise KeyboardInterrupt
            moment()

        clock = (
            {"clock": lambda: 10.0 * next(now)}
            if {"idle", "until_epoch"} & options.keys()
            else {}
        )
        try:
            for event in watch(
                paths, tmp_path / "out", analysed, sleep=sleep, **clock, **options
            ):
                if isinstance(event, UpdatedEvent):
                    event = event._replace(summary=None)
                events.append(event)
        except KeyboardInterrupt:
            pass
        return events

    return called


def updated(*new):
    return UpdatedEvent(None, list(new))


def saves(run, epoch, name=None):
    """Return a moment at which the checkpoint of an epoch is written."""
    return lambda: save_head(
        run / (name or f"epoch_{epoch}.pt"), heads(9)[epoch], epoch=epoch
    )


def in_pieces(path, pieces=2):
    """Return moments at each of which a part of a checkpoint is written; nothing is
    there before.
    """
    data = path.read_bytes()
    path.unlink()
    size = -(-len(data) // pieces)

    def write(start):
        with path.open("ab") as file:
            file.write(data[start : start + size])

    return [lambda start=start: write(start) for start in range(0, len(data), size)]


def test_a_checkpoint_is_analysed_once_it_is_at_rest(make_run, watched):
    run = make_run(epochs=2)
    assert watched([run]) == []
    assert watched([run], nothing) == [updated(("run", 0), ("run", 1))]
    assert watched([run], nothing, nothing, saves(run, 2), nothing, nothing) == [
        updated(),
        updated(("run", 2)),
    ]
    assert len(watched.analysed) == 2, "nothing is analysed again while nothing changes"


def test_a_checkpoint_in_two_halves_with_a_pause_between(make_run, watched):
    run = make_run(epochs=1)
    first, second = in_pieces(run / "epoch_0.pt")
    none, pending, new = watched(
        [run], first, nothing, nothing, nothing, second, nothing
    )
    assert none == WaitingEvent(f"no checkpoint yet under {run}")
    assert pending.reason.startswith("no checkpoint can be used: epoch_0.pt: ")
    assert new == updated(("run", 0))
    assert len(watched.analysed) == 2


def test_watch_suspect_that_is_strong_twice_is_an_event_once(watched, tmp_path):
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    (run / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
    events = watched(
        [run],
        *chain.from_iterable(
            (lambda epoch=epoch: save_head(*unlearned(run, epoch)), nothing)
            for epoch in range(9)
        ),
    )
    suspects = {event.new[0][1]: event.suspects for event in events[1:]}
    first = MIN_EPOCHS + 1
    dead = LastingSuspect("run", first, Finding("dead-class", (ANIMALS[3],)))
    assert dead in suspects[first], "epoch 0 is not trained"
    every = [one.finding for found in suspects.values() for one in found]
    assert every.count(dead.finding) == 1
    assert not any(suspects[epoch] for epoch in range(first))


def unlearned(run, epoch):
    """Return the path and the head of an epoch in which class 3 was not learned."""
    weight = heads(9)[epoch]
    weight[3] = weight[[k for k in range(len(weight)) if k != 3]].mean(dim=0)
    return run / f"epoch_{epoch}.pt", weight


def test_a_file_that_grows_keeps_no_other_waiting(make_run, watched, tmp_path):
    run = make_run(epochs=2)
    grows = in_pieces(run / "epoch_1.pt", pieces=5)
    assert watched([run], *grows, nothing) == [updated(("run", 0)), updated(("run", 1))]
    assert len(watched.analysed) == 2
    assert tables(tmp_path / "out")["checkpoints"]["status"].to_list() == ["ok", "ok"]


def test_watch_before_the_training_waits(watched, tmp_path):
    run = tmp_path / "runs" / "run"
    moments = (
        nothing,
        lambda: run.mkdir(parents=True),
        nothing,
        saves(run, 0),
        nothing,
    )
    assert watched([run], *moments) == [
        WaitingEvent(f"no such file or folder: {run}"),
        WaitingEvent(f"no checkpoint yet under {run}"),
        updated(("run", 0)),
    ]


def test_watch_overwritten_files_are_analysed_once_per_epoch(
    make_run, watched, tmp_path
):
    """``last.pt`` beside an epoch's own file is a copy, ``best.pt`` of old is one as
    well.
    """
    run = make_run(epochs=0)
    moments = []
    for epoch in range(3):
        moments += [
            saves(run, epoch, "last.pt"),
            saves(run, epoch),
            saves(run, min(epoch, 1), "best.pt"),
            nothing,
        ]
    found = [event.new for event in watched([run], *moments)[1:]]
    assert [new for new in found if new] == [[("run", 0)], [("run", 1)], [("run", 2)]]
    analyze([run], tmp_path / "plain", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "plain")


def test_watch_keeps_what_the_trainer_deletes(make_run, watched, tmp_path):
    run = make_run(epochs=2)
    events = watched(
        [run], nothing, (run / "epoch_0.pt").unlink, saves(run, 2), nothing
    )
    assert events == [updated(("run", 0), ("run", 1)), updated(("run", 2))]
    assert Results(tmp_path / "out").epochs("run") == [0, 1, 2]


@pytest.mark.parametrize("shift", [-(10**6), 10**6])
def test_watch_files_with_another_clock_are_analysed(shift, make_run, watched):
    run = make_run(epochs=1)

    def touched(path, seconds):
        os.utime(path, (path.stat().st_mtime + seconds,) * 2)

    path = run / "epoch_0.pt"
    touched(path, shift)
    moments = (
        nothing,
        lambda: save_head(path, heads(2)[1], epoch=1),
        lambda: touched(path, 2 * shift),
        nothing,
    )
    assert watched([run], *moments) == [updated(("run", 0)), updated(("run", 1))]


@pytest.mark.parametrize(
    "is_empty", [False, True], ids=["gone", "an empty mount point"]
)
def test_a_folder_that_vanishes_between_listing_and_analysis(
    is_empty, make_run, watched, tmp_path
):
    run, away = make_run(epochs=1), tmp_path / "away"

    def analysed(given):
        if len(watched.analysed) == 1:
            run.rename(away)
            if is_empty:
                run.mkdir()
        return analyze(given, tmp_path / "out", QUICK)

    def back():
        shutil.rmtree(run, ignore_errors=True)
        away.rename(run)

    waiting, new = watched([run], nothing, back, nothing, analyse=analysed)
    assert waiting.reason.startswith(
        "no checkpoints under " if is_empty else "no such file or folder: "
    )
    assert new == updated(("run", 0))


def test_watch_until_epoch_ends_with_the_epoch(make_run, watched):
    run = make_run(epochs=2)
    moments = (nothing, saves(run, 2), nothing, saves(run, 4), nothing, nothing)
    expected = [
        updated(("run", 0), ("run", 1)),
        updated(("run", 2)),
        updated(("run", 4)),
        updated(),
        EndedEvent(REACHED),
    ]
    assert watched([run], *moments, until_epoch=3) == expected
    assert watched([run], nothing, nothing, until_epoch=3) == [
        updated(),
        updated(),
        EndedEvent(REACHED),
    ], "already there"


def test_watch_until_epoch_of_named_runs_ends_with_them(make_run, watched):
    paths = [make_run(f"runs/{name}", epochs=2, seed=ord(name)) for name in "ab"]
    new = updated(("a", 0), ("a", 1), ("b", 0), ("b", 1))
    assert watched(paths, nothing, nothing, until_epoch=1) == [
        new,
        updated(),
        EndedEvent(REACHED),
    ]


def test_a_broken_checkpoint_of_the_epoch_does_not_count(make_run, watched):
    run = make_run(epochs=2)
    bad = lambda: save_head(run / "epoch_2.pt", torch.full((8, 8), torch.nan), epoch=2)  # noqa: E731
    *events, ended = watched(
        [run], nothing, bad, nothing, saves(run, 2), nothing, nothing, until_epoch=2
    )
    assert [event.new for event in events] == [
        [("run", 0), ("run", 1)],
        [],
        [("run", 2)],
        [],
    ]
    assert ended == EndedEvent(REACHED)


def test_idle_does_not_end_at_a_listing_with_a_new_checkpoint(make_run, watched):
    run, three = make_run(epochs=1), [nothing] * 3
    events = watched(
        [run], *three, saves(run, 1), *three, saves(run, 2), *[nothing] * 20, idle=30
    )
    assert events == [
        *(updated(("run", epoch)) for epoch in range(3)),
        updated(),
        EndedEvent(IDLE),
    ]


@pytest.mark.parametrize(
    ("options", "why"), [({"idle": 100}, IDLE), ({"until_epoch": 1}, REACHED)]
)
def test_the_end_comes_with_the_last_row_of_the_log(
    options, why, make_run, watched, tmp_path
):
    run = make_run(epochs=1)
    log = lambda: (run / "log.csv").write_text("epoch,train_loss\n0,1.5\n1,1.2\n")  # noqa: E731
    events = watched(
        [run], nothing, saves(run, 1), nothing, log, *[nothing] * 20, **options
    )
    assert events == [
        updated(("run", 0)),
        updated(("run", 1)),
        updated(),
        EndedEvent(why),
    ]
    assert len(tables(tmp_path / "out")["curves"].query("metric == 'loss'")) == 2
    analyze([run], tmp_path / "plain", QUICK)
    assert_same_output(tmp_path / "out", tmp_path / "plain")


def test_watch_with_wrong_usage_ends(make_run, watched, tmp_path):
    run = make_run(epochs=1)
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n", encoding="utf-8")
    wrong = Options(labels=str(labels))
    with pytest.raises(UsageError, match=r"^labels\.txt has 2 labels "):
        watched(
            [run],
            nothing,
            analyse=lambda there: analyze(there, tmp_path / "out", wrong),
        )
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(UsageError, match=r"/out is a file; give -o a folder$"):
        watched([run], nothing)


def test_another_process_that_writes_is_waited_for(make_run, watched, tmp_path):
    run, held = make_run(epochs=1), ExitStack()
    held.enter_context(lock.exclusive(tmp_path / "out"))
    waiting, new = watched([run], nothing, nothing, held.close, nothing)
    reason = (
        f"another dsi (process {os.getpid()}) is writing to {tmp_path}/out; wait for"
        " it, or choose another folder with -o"
    )
    assert waiting == WaitingEvent(reason, is_blocked=True)
    assert new == updated(("run", 0))


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, None), (errno.EROFS, "cannot-write")]
)
def test_watch_waits_for_space_on_a_full_disk_and_ends_if_the_output_cannot_be_written(
    number, code, make_run, watched, tmp_path
):
    run = make_run(epochs=1)
    failures = [
        atomic_write.write_error(tmp_path / "out", OSError(number, os.strerror(number)))
    ] * 2

    def analyse(there):
        if failures:
            raise failures.pop()
        return analyze(there, tmp_path / "out", QUICK)

    if code is None:
        waiting, new = watched(
            [run], nothing, nothing, nothing, nothing, analyse=analyse
        )
        assert (waiting.is_blocked, "the disk is full" in waiting.reason) == (
            True,
            True,
        )
        assert new == updated(("run", 0))
    else:
        with raises(code, OutputError):
            watched([run], nothing, nothing, analyse=analyse)


def test_the_output_is_locked_during_an_analysis_alone(make_run, watched, tmp_path):
    run, locked = make_run(epochs=1), []

    def look():
        locked.append((tmp_path / "out" / ".lock").exists())
        with lock.exclusive(tmp_path / "out"):
            pass

    watched([run], nothing, look, look)
    assert locked == [False, False]


def test_check_of_a_log_accepts_a_missing_one_only_in_a_watched_folder(
    make_run, tmp_path
):
    run, out = make_run(epochs=1), tmp_path / "out"
    check([run], out, replace(QUICK, log=str(run / "log.csv")))
    with raises("no-such-log"):
        check([run], out, replace(QUICK, log=str(tmp_path / "log.csv")))
    (run / "log.csv").write_text("no,columns\n", encoding="utf-8")
    with raises("no-curves-in-log"):
        check([run], out, replace(QUICK, log=str(run / "log.csv")))
