"""Read the scalars of a training from TensorBoard's event files, and assign their steps to epochs.

TensorBoard's reader returns the scalars (`dsi_cli.checkpoints.isolated.event_file`). dsi finds the epoch of a step in two ways:

1. The tag ``epoch`` (Lightning) or ``train/epoch`` (Hugging Face) states it: the last value at or before the step, rounded up.
2. Without such a tag, a step is an epoch if all curves have the same steps, without gaps from 0 or 1, and one curve is of the test
   split. The reason is that nobody evaluates after each optimiser step. Curves may be missing at the first step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from math import ceil
from pathlib import Path
from typing import Any

from dsi_cli.checkpoints.io.source import RandomAccessFile
from dsi_cli.checkpoints.isolated.client import open_isolated
from dsi_cli.errors import UnreadableError
from dsi_cli.remote import download
from dsi_cli.remote.locations import Place
from dsi_cli.store import layout

PATTERN = "events.out.tfevents.*"
MAX_FILES = 64
EPOCH_TAGS = ("epoch", "train/epoch")
Scalars = dict[str, dict[int, float]]
"""The last value of each step: ``{tag in small letters: {step: value}}``."""


def event_files(path: Place) -> list[Place]:
    """Return the event files of a path: the file itself, or the files directly in a folder that dsi did not write."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.glob(PATTERN) if not file.name.startswith(layout.EVENTS)), key=str)[:MAX_FILES]


def read_rows(path: Place, tags: Collection[str], test_tags: Collection[str]) -> list[dict[str, Any]]:
    """Return one row per step, in order, with its epoch and its values.

    Parameters
    ----------
    path : an event file, or a folder of event files
    tags : the tags of curves, in small letters
    test_tags : the tags among these that belong to the test split

    Raises
    ------
    UnreadableError
        The file is not an event file, has none of the tags (``no-known-tags``), or does not state the epochs (``no-epochs``).
    """
    scalars: Scalars = {}
    for file in event_files(path):
        for step, tag, value in _read_scalars(file, [*tags, *EPOCH_TAGS]):
            scalars.setdefault(tag, {})[step] = value
    return rows_of_scalars(scalars, test_tags)


def rows_of_scalars(scalars: Scalars, test_tags: Collection[str]) -> list[dict[str, Any]]:
    """Return the rows of `read_rows` from the values of each tag; errors as there."""
    epochs = next((scalars[tag] for tag in EPOCH_TAGS if tag in scalars), None)
    curves = {tag: values for tag, values in scalars.items() if tag not in EPOCH_TAGS}
    if not curves:
        raise UnreadableError("no losses, accuracies or learning rate in it by a name that is known", code="no-known-tags")
    if epochs is None:
        _require_epochs(curves, test_tags)
    epoch_values = sorted(epochs.items()) if epochs is not None else []
    rows = []
    for step in sorted({step for values in curves.values() for step in values}):
        row: dict[str, Any] = {"epoch": step}
        if epochs is not None:
            # The last value at or before the step, or the first one.
            index = max(0, bisect_right(epoch_values, step, key=lambda item: item[0]) - 1)
            row["epoch"] = ceil(epoch_values[index][1])
        row |= {tag: values[step] for tag, values in curves.items() if step in values}
        rows.append(row)
    return rows


def _require_epochs(curves: Scalars, test_tags: Collection[str]) -> None:
    steps = sorted({step for values in curves.values() for step in values})
    is_consecutive = steps[0] in (0, 1) and steps == list(range(steps[0], steps[-1] + 1))
    later_steps = set(steps[1:])
    if not is_consecutive or not any(later_steps <= set(values) for tag, values in curves.items() if tag in test_tags):
        raise UnreadableError(
            "its steps are not epochs, and no tag 'epoch' says which epoch a step belongs to", code="no-epochs"
        )
    if not all(later_steps <= set(values) for values in curves.values()):
        raise UnreadableError(
            "its curves have different steps, and no tag 'epoch' says which epoch a step belongs to", code="no-epochs"
        )


def _read_scalars(path: Place, tags: list[str]) -> Iterator[tuple[int, str, float]]:
    """Yield step, tag and value of a file up to its last complete record."""
    file = path if isinstance(path, Path) else download.temporary_copy(path)
    with RandomAccessFile(file) as source:
        content = open_isolated("event_file", source.size, path=str(file.absolute()), tags=tags)
    yield from content.tree["scalars"]
