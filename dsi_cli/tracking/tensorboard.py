"""TensorBoard: one event file a run, in ``DIR/RUN``, that always holds what the tables hold.

The same tables give the same bytes. So a file that is the beginning of the new one is gone on with (which an open TensorBoard
sees, and which mends what a killed call left); any other is replaced whole.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsi_cli.errors import UsageError
from dsi_cli.store import atomic_write, layout, parquet

if TYPE_CHECKING:
    from dsi_cli.tracking.points import RunPoints

OPTION = "--log-to tensorboard:DIR"


def send(runs: list[RunPoints], place: str | None) -> tuple[str, str]:
    """Write the curves of runs into a folder; return it, and how to look at it.

    Raises
    ------
    UsageError
        A run's folder holds event files that are not this run's.
    OutputError
        The folder may not be written, or the disk is full.
    """
    assert place is not None
    paths = [_path(Path(place), run) for run in runs]
    for path, run in zip(paths, runs, strict=True):
        _bring_up_to_date(path, _bytes(run))
    return place, f"tensorboard --logdir {place}"


def _path(folder: Path, run: RunPoints) -> Path:
    path = folder / layout.folder_name(run.name) / layout.event_file(run.key)
    others = [one.name for one in path.parent.glob("*tfevents*") if one.name != path.name]
    if others:
        raise UsageError(
            f"{path.parent} holds the curves of something else ({others[0]}): name another folder in {OPTION}, or remove them"
        )
    return path


def _bring_up_to_date(path: Path, data: bytes) -> None:
    try:
        there = path.read_bytes() if path.is_file() else b""
        if not there or not data.startswith(there):
            atomic_write.write_atomically(path, data, option=OPTION)
        elif there != data:
            with path.open("ab") as file:
                file.write(data[len(there) :])
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise parquet.write_error(path, error, OPTION) from None


def _bytes(run: RunPoints) -> bytes:
    """Return an event file: a record that says its version, then an event an epoch."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in _events(run):
        writer.write(event.SerializeToString(deterministic=True))
    return buffer.getvalue()


def _events(run: RunPoints) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    yield Event(wall_time=min((epoch.time for epoch in run.epochs), default=0.0), file_version="brain.Event:2")
    for epoch in run.epochs:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in epoch.values.items()]
        yield Event(wall_time=epoch.time, step=epoch.number, summary=Summary(value=values))
