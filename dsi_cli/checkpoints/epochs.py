"""Epoch and step of a checkpoint: from its contents, else from its name; and which convention a run counts by.

``epoch`` is the trainer's own number. ``epochs_completed``, the number of finished epochs, is given only where there is
evidence for how the trainer counts, so that runs of different trainers can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

EPOCH_KEYS = (
    ("epoch",),
    ("meta", "epoch"),
    ("trainer", "epoch"),
    ("current_epoch",),
    ("epochs_completed",),
    ("state", "timestamp", "Timestamp", "epoch"),
    ("state", "timestamp", "epoch"),
    ("__metadata__", "epoch"),
)
STEP_KEYS = (
    ("global_step",),
    ("global_steps",),
    ("step",),
    ("iteration",),
    ("meta", "iter"),
    ("trainer", "iteration"),
    ("state", "timestamp", "Timestamp", "batch"),
    ("state", "timestamp", "batch"),
    ("__metadata__", "step"),
)
FEWEST_STEPS = 10_000
"""A number without a word beside it is taken for a step from here on: no training has as many epochs."""
COPY_NAMES = re.compile(r"(^|[^a-z])(best|last|latest|final|newest)([^a-z]|$)", re.IGNORECASE)
"""Names of files that are copies of another epoch's."""
_SUFFIXES = re.compile(
    r"(\.(pt|pth|ckpt|tar|bin|safetensors|pkl|pickle|weights|h5|hdf5|keras|npz|onnx|msgpack|th|t7|index|json|pt2|gz))+$",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?:^|[^a-z])(?:epochs?|ep|e)[ _=.-]*(-?\d{1,9})(?!\d)", re.IGNORECASE)
_GLUED_EPOCH = re.compile(r"epochs?[ _=.-]*(\d{1,9})(?!\d)", re.IGNORECASE)
_STEP = re.compile(r"(?:^|[^a-z])(?:global_?steps?|steps?|iter(?:ation)?s?|it|batch)[ _=.-]*(\d{1,9})(?!\d)", re.IGNORECASE)
_STEP_FOLDER = re.compile(
    r"(checkpoint|ckpt|epoch|ep|step|global_?step|iter)[ _=.-]?\d+(-step=\d+(-v\d+)?)?", re.IGNORECASE
)
_NAMED_OTHERWISE = re.compile(
    r"[a-z]+=[-\d.e]+|(?<![a-z])(?:v|ver|version|seed|run|fold|acc|loss|top|rank|lr|bs)[ _.-]?\d+(?:\.\d+)*", re.IGNORECASE
)
_DECIMAL = re.compile(r"\d+\.\d+")
_CHECKPOINT_WORDS = frozenset(
    {"model", "ckpt", "checkpoint", "weights", "net", "network", "state", "dict", "params", "snapshot"}
)
_ALONE = re.compile(r"(?<![a-z0-9])(\d{1,5})(?![a-z0-9])", re.IGNORECASE)
CONTENTS, FILE_NAME, FOLDER_NAME, ORDER = "contents", "file name", "folder name", "order"


class Moment(NamedTuple):
    """When a checkpoint was written."""

    epoch: int | None = None
    source: str | None = None
    """``contents``, ``file name``, ``folder name`` or ``order``: where ``epoch`` comes from."""
    step: int | None = None


def moment(tree: Any, names: Sequence[str]) -> Moment:
    """Return epoch and step of a checkpoint.

    Parameters
    ----------
    tree : inert contents
    names : the file's name without folders, then that of its step folder if it has one
    """
    step = _looked_up(tree, STEP_KEYS)
    epoch = _ignite_epoch(tree)
    if epoch is None:
        epoch = _looked_up(tree, EPOCH_KEYS)
    if epoch is None and isinstance(tree, list | tuple):
        epoch = _epoch_of_sequence(tree)
    is_copy = bool(COPY_NAMES.search(names[0]))
    if epoch is not None and not (epoch < 0 and is_copy):
        return Moment(epoch, CONTENTS, step)
    for name, source in zip(names, (FILE_NAME, FOLDER_NAME), strict=False):
        from_name = epoch_in_name(name)
        step = step_in_name(name) if step is None else step
        if from_name is not None:
            return Moment(from_name, source, step)
    return Moment(None, None, step)


def epoch_in_name(name: str) -> int | None:
    """Return the epoch that a file or folder name states, None where it states none or could mean several numbers.

    A number counts if a word for epoch stands before it, or if it is the only one that stands alone: not a decimal, a date,
    part of a word, or labelled as something else.

    Examples
    --------
    >>> [epoch_in_name(n) for n in ("epoch=03-step=80.ckpt", "model_12.pth", "20240131-235959_e07_v2_acc0.93.pth")]
    [3, 12, 7]
    >>> [epoch_in_name(n) for n in ("resnet50_8xb32_in1k.pth", "best.pt", "checkpoint_1_2.pt")]
    [None, None, None]
    """
    text = _plain_text(name)
    found = _EPOCH.search(text) or _GLUED_EPOCH.search(text)
    if found:
        return int(found[1])
    for other in (_STEP, _NAMED_OTHERWISE, _DECIMAL):
        text = other.sub(" ", text)
    alone = _ALONE.findall(text)
    return int(alone[0]) if len(alone) == 1 else None


def is_bare_number(name: str) -> bool:
    """Return whether a name's epoch is a number beside words that say nothing of epochs or checkpoints.

    Such a number is an epoch only if a run's other files have others in its place.

    >>> [is_bare_number(name) for name in ("vit_b_16.pth", "model_12.pth", "epoch_3.pt", "7.ckpt")]
    [True, False, False, False]
    """
    text = _plain_text(name)
    if _EPOCH.search(text) or _GLUED_EPOCH.search(text):
        return False
    return bool(set(re.findall(r"[a-z]+", text.lower())) - _CHECKPOINT_WORDS)


def step_in_name(name: str) -> int | None:
    """Return the optimiser step that a file or folder name states, or None.

    >>> step_in_name("epoch=3-step=80.ckpt"), step_in_name("model_12.pth")
    (80, None)
    """
    found = _STEP.search(_plain_text(name))
    return int(found[1]) if found else None


def is_step_folder(name: str) -> bool:
    """Return whether a folder's name is that of one checkpoint, not of a run.

    >>> [is_step_folder(name) for name in ("checkpoint-500", "epoch_3", "epoch=3-step=80.ckpt", "resnet18_v2")]
    [True, True, True, False]
    """
    return bool(_STEP_FOLDER.fullmatch(_plain_text(name)))


def completed(epoch: int | None, counts_from: int | None) -> int | None:
    """Return the number of finished epochs, given what the trainer writes after its first; None where that is not known."""
    if epoch is None or counts_from is None or epoch < 0:
        return None
    return epoch + 1 - counts_from


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts ``e2`` before ``e10``."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d{1,18})", name) if part)


def _plain_text(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _SUFFIXES.sub("", name))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _looked_up(tree: Any, paths: Sequence[tuple[str, ...]]) -> int | None:
    for path in paths:
        node = tree
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        number = _whole(node, is_text=path[0] == "__metadata__")
        if number is not None:
            return number
    return None


def _epoch_of_sequence(tree: Sequence[Any]) -> int | None:
    """Return the one whole number of ``(model, optimizer, epoch)``; None if there are several, or if it is rather a step."""
    numbers = [value for value in tree if type(value) is int]
    return numbers[0] if len(numbers) == 1 and 0 <= numbers[0] < FEWEST_STEPS else None


def _whole(value: Any, *, is_text: bool) -> int | None:
    if is_text and isinstance(value, str) and re.fullmatch(r"-?\d{1,12}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return int(value // 1) if abs(value) < 1e12 else None


def _ignite_epoch(tree: Any) -> int | None:
    trainer = tree.get("trainer") if isinstance(tree, dict) else None
    if not isinstance(trainer, dict):
        return None
    iteration, length = trainer.get("iteration"), trainer.get("epoch_length")
    if type(iteration) is int and type(length) is int and length > 0:
        return iteration // length
    return None
