"""TensorBoard's event files, read with ``tensorboard``: the scalars with the requested
tags.
"""

from __future__ import annotations

from math import isfinite
from typing import IO

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.util import tensor_util

from dsi_cli.checkpoints.child_process import FileContents
from dsi_cli.errors import UnreadableError


def open_file(_file: IO[bytes], path: str, tags: list[str]) -> FileContents:
    """Return the scalars of a file as rows of step, tag and value; all tags are in
    lower case.

    TensorBoard opens the file by its path. A file that is still being written ends with
    its last complete record.
    """
    requested_tags = set(tags)
    events = LegacyEventFileLoader(path).Load()
    first = next(events, None)
    if first is None or not first.file_version:
        raise UnreadableError(
            "not an event file: its first record has no version",
            code="not-an-event-file",
        )
    rows = []
    for event in events:
        for value in event.summary.value:
            if event.step < 0 or value.tag.lower() not in requested_tags:
                continue
            # TensorFlow 1 writes a number, TensorFlow 2 an array of one number; images
            # and histograms are skipped.
            if value.WhichOneof("value") == "simple_value":
                number = value.simple_value
            else:
                number = None
            if value.WhichOneof(
                "value"
            ) == "tensor" and value.metadata.plugin_data.plugin_name in ("", "scalars"):
                array = tensor_util.make_ndarray(value.tensor)
                if array.size == 1 and array.dtype.kind in "fiu":
                    number = array.item()
            if number is not None and isfinite(number):
                rows.append([event.step, value.tag.lower(), float(number)])
    return FileContents(values={"scalars": rows})
