"""TensorBoard's event files: the scalars of a training, by step, and from steps to epochs.

TensorBoard's own reader gives the scalars (`dsi_cli.checkpoints.isolated.event_file`). Which epoch a step belongs to:

1. by the tag ``epoch`` (Lightning) or ``train/epoch`` (Hugging Face): the value logged last at or before the step, rounded up;
2. without it a step is an epoch where each curve has the same steps, one after the other from 0 or 1, and one of them is the test
   split's: nobody evaluates after each optimiser step. A first step may lack some curves.
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
_EPOCH_TAGS = ("epoch", "train/epoch")
Scalars = dict[str, dict[int, float]]
"""By tag in small letters, then by step; the value that was written last."""


def event_files(path: Place) -> list[Place]:
    """Return the event files that a path means: itself, or those right in the folder that dsi did not write."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.glob(PATTERN) if not file.name.startswith(layout.EVENTS)), key=str)[:MAX_FILES]


def read_rows(path: Place, curves: Collection[str], of_test: Collection[str]) -> list[dict[str, Any]]:
    """Return rows with an epoch and the values of one step each, in order.

    Parameters
    ----------
    path : an event file, or a folder of them
    curves : the tags that count, in small letters
    of_test : those of them that are the test split's

    Raises
    ------
    UnreadableError
        It is no event file, or its steps cannot be told as epochs.
    """
    scalars: Scalars = {}
    for file in event_files(path):
        for step, tag, value in _scalars(file, [*curves, *_EPOCH_TAGS]):
            scalars.setdefault(tag, {})[step] = value
    epochs = next((scalars[tag] for tag in _EPOCH_TAGS if tag in scalars), None)
    found = {tag: values for tag, values in scalars.items() if tag not in _EPOCH_TAGS}
    if not found:
        raise UnreadableError("no losses, accuracies or learning rate in it by a name that is known")
    if epochs is None:
        _require_epochs(found, of_test)
    steps = sorted({step for values in found.values() for step in values})
    scale = None if epochs is None else sorted(epochs.items())
    return [
        {"epoch": step if scale is None else _epoch(step, scale)}
        | {tag: values[step] for tag, values in found.items() if step in values}
        for step in steps
    ]


def _epoch(step: int, scale: list[tuple[int, float]]) -> int:
    return ceil(scale[max(0, bisect_right(scale, step, key=lambda pair: pair[0]) - 1)][1])


def _require_epochs(scalars: Scalars, of_test: Collection[str]) -> None:
    every = sorted({step for values in scalars.values() for step in values})
    is_row = every[0] in (0, 1) and every == list(range(every[0], every[-1] + 1))
    if not is_row or not any(set(every[1:]) <= set(values) for tag, values in scalars.items() if tag in of_test):
        raise UnreadableError("its steps are not epochs, and no tag 'epoch' says which epoch a step belongs to")
    if not all(set(every[1:]) <= set(values) for values in scalars.values()):
        raise UnreadableError("its curves have different steps, and no tag 'epoch' says which epoch a step belongs to")


def _scalars(path: Place, tags: list[str]) -> Iterator[tuple[int, str, float]]:
    """Yield step, tag and value of a file; one that is still being written ends where its last whole record does."""
    file = path if isinstance(path, Path) else download.copied(path)
    with RandomAccessFile(file) as source:
        content = open_isolated("event_file", source.size, path=str(file.absolute()), tags=tags)
    yield from content.tree["scalars"]
