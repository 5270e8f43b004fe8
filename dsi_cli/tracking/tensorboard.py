"""TensorBoard: one event file per run in ``DIR/RUN``, which always has the values of
the tables.

The same tables give the same bytes. If an existing file is the beginning of the new
file, dsi appends to it. An open TensorBoard then shows the new values, and a file from
a killed call becomes complete. Any other file is replaced.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from dsi_cli.errors import UsageError
from dsi_cli.store import atomic_write, layout
from dsi_cli.tracking.points import RunPoints

OPTION = "--log-to tensorboard:DIR"


def send(runs: list[RunPoints], target: str | None) -> tuple[str, str]:
    """Write the curves of runs to a folder; return the folder and the command that
    shows it.

    Raise `UsageError` if a run's folder holds event files of something else, and
    `OutputError` if the folder may not be written, or the disk is full.
    """
    assert target is not None
    # Check all folders before the first file is written.
    paths = [
        Path(target) / layout.folder_name(run.name) / f"{layout.EVENTS}{run.key}"
        for run in runs
    ]
    for path in paths:
        others = [
            file.name
            for file in path.parent.glob("*tfevents*")
            if file.name != path.name
        ]
        if others:
            raise UsageError(
                f"{path.parent} holds the curves of something else ({others[0]})",
                hint=f"name another folder in {OPTION}, or remove them",
                code="foreign-event-files",
                path=str(path.parent),
            )
    for path, run in zip(paths, runs, strict=True):
        # A file has a record with the version, then one event per epoch.
        buffer = io.BytesIO()
        events = [
            Event(
                wall_time=min((epoch.time for epoch in run.epochs), default=0.0),
                file_version="brain.Event:2",
            )
        ]
        for epoch in run.epochs:
            values = [
                Summary.Value(tag=name, simple_value=value)
                for name, value in epoch.values.items()
            ]
            events.append(
                Event(
                    wall_time=epoch.time,
                    step=epoch.number,
                    summary=Summary(value=values),
                )
            )
        for event in events:
            RecordWriter(buffer).write(event.SerializeToString(deterministic=True))
        data = buffer.getvalue()
        try:
            existing = path.read_bytes() if path.is_file() else b""
            if not existing or not data.startswith(existing):
                atomic_write.write_atomically(path, data, option=OPTION)
            elif existing != data:
                with path.open("ab") as file:
                    file.write(data[len(existing) :])
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise atomic_write.write_error(path, error, OPTION) from None
    return target, f"tensorboard --logdir {target}"
