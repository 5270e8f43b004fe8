"""Epoch and step of a checkpoint: from its contents, else from its name; and which convention a run counts by.

``epoch`` is the trainer's own number. ``epochs_completed``, the number of finished epochs, is given only where there is
evidence for how the trainer counts, so that runs of different trainers can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
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
_DATE = re.compile(
    r"(?<!\d)(19|20)\d{2}[-_.]?[01]\d[-_.]?[0-3]\d(?!\d)([-_ T.]*[0-2]\d[-_.:h]?[0-5]\d([-_.:m]?[0-5]\d)?(?!\d))?"
)
_SCORE = re.compile(
    r"(?<![a-z])((?!seed|run|fold|trial|lr|bs|wd)[a-z]+=[-\d.e]+|(acc|accuracy|loss|top|f1|map|auc|err|error|score|v|ver|version)"
    r"[ =_.-]*\d+(\.\d+)?(?![a-z\d]))",
    re.IGNORECASE,
)
_TRAINING_NUMBER = re.compile(r"(?<![a-z])(seed|run|fold|trial)[ =_.-]*\d+", re.IGNORECASE)
_CHECKPOINT_WORDS = frozenset(
    {"model", "ckpt", "checkpoint", "weights", "net", "network", "state", "dict", "params", "snapshot"}
)
_OF_NO_TRAINING = _CHECKPOINT_WORDS | {"", "best", "last", "latest", "final", "newest", "e", "ep", "epoch", "step", "iter"}
"""Words of names that do not tell two trainings apart."""
_MOST_DIGITS = 9
"""Longer numbers are times and hashes."""
_STEPS_APART = 500
"""Numbers that are as far apart are steps."""
_ALONE = re.compile(r"(?<![a-z0-9])(\d{1,9})(?![a-z0-9])", re.IGNORECASE)
CONTENTS, FILE_NAME, FOLDER_NAME, ORDER = "contents", "file name", "folder name", "order"


class EpochAndStep(NamedTuple):
    """When a checkpoint was written."""

    epoch: int | None = None
    source: str | None = None
    """``contents``, ``file name``, ``folder name`` or ``order``: where ``epoch`` comes from."""
    step: int | None = None


def epoch_and_step(tree: Any, names: Sequence[str]) -> EpochAndStep:
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
    if epoch is None and (isinstance(tree, list) or type(tree) is tuple):
        epoch = _epoch_of_sequence(tree)
    is_copy = bool(COPY_NAMES.search(names[0]))
    if epoch is not None and not (epoch < 0 and is_copy):
        return EpochAndStep(epoch, CONTENTS, step)
    for name, source in zip(names, (FILE_NAME, FOLDER_NAME), strict=False):
        from_name = epoch_in_name(name)
        step = step_in_name(name) if step is None else step
        if from_name is not None:
            return EpochAndStep(from_name, source, step)
    return EpochAndStep(None, None, step)


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
    for other in (_DATE, _STEP, _NAMED_OTHERWISE, _DECIMAL):
        text = other.sub(" ", text)
    alone = _ALONE.findall(text)
    return int(alone[0]) if len(alone) == 1 else None


class Numbers(NamedTuple):
    """The numbers that a name states."""

    epoch: int | None = None
    step: int | None = None


def numbers_in_names(names: Sequence[str]) -> list[Numbers]:
    """Return what each of a run's names states, read together: the one number in which they differ is that of the checkpoint.

    A word for epoch or step before a number decides first. Of names that are alike but for one number, that number counts,
    even if it is glued to a word. It is a step if the numbers are too large or too far apart for epochs. A name that is like
    no other counts as in `epoch_in_name`, unless a word that says nothing of checkpoints stands before its number.

    Examples
    --------
    >>> [n.epoch for n in numbers_in_names(["model1.pt", "model2.pt", "model10.pt"])]
    [1, 2, 10]
    >>> [n.step for n in numbers_in_names(["ckpt_005000.pt", "ckpt_010000.pt"])]
    [5000, 10000]
    >>> numbers_in_names(["vit_b_16.pth", "resnet18.pth", "model_3.pth"])[1:]
    [Numbers(epoch=None, step=None), Numbers(epoch=3, step=None)]
    """
    series, steps = _series(names), _steps_behind_epochs(names)
    return [_numbers_of(name, series.get(place), steps.get(place)) for place, name in enumerate(names)]


def _numbers_of(name: str, of_series: Numbers | None, step_behind: int | None) -> Numbers:
    text = _plain_text(name)
    word, step = _epoch_word(text), step_in_name(name)
    if word or step is not None:
        return Numbers(int(word[1]) if word else None, step_behind if step is None else step)
    if of_series is not None:
        return of_series
    alone = epoch_in_name(name)
    if alone is None or set(re.findall(r"[a-z]+", text.lower())) - _CHECKPOINT_WORDS:
        return Numbers()
    return Numbers(step=alone) if alone >= FEWEST_STEPS else Numbers(alone)


def _epoch_word(text: str) -> re.Match[str] | None:
    return _EPOCH.search(text) or _GLUED_EPOCH.search(text)


def _steps_behind_epochs(names: Sequence[str]) -> dict[int, int]:
    """Return the one number behind the epoch in which names of the same epoch differ, by their places: ``e1_s100``, ``e1_s200``."""
    alike: dict[str, list[tuple[int, str, list[str]]]] = {}
    for place, name in enumerate(names):
        text = _without_labelled_numbers(name)
        word = _epoch_word(text)
        if word:
            tail = text[word.end() :]
            key = text[: word.start()] + re.sub(r"\d+", "#", tail)
            alike.setdefault(key.lower(), []).append((place, word[1], re.findall(r"\d+", tail)))
    found: dict[int, int] = {}
    for group in alike.values():
        columns = zip(*(numbers for _, _, numbers in group), strict=True)
        varying = [column for column in columns if len(set(column)) > 1 and max(map(len, column)) <= _MOST_DIGITS]
        has_saves_within = len({epoch for _, epoch, _ in group}) < len(group)
        if len(varying) == 1 and has_saves_within:
            found |= {place: int(number) for (place, _, _), number in zip(group, varying[0], strict=True)}
    return found


def _series(names: Sequence[str]) -> dict[int, Numbers]:
    """Return the numbers of names that are alike but for one number, by their places among the names."""
    alike: dict[str, list[int]] = {}
    texts = [_without_labelled_numbers(name) for name in names]
    for place, text in enumerate(texts):
        alike.setdefault(re.sub(r"\d+", "#", text.lower()), []).append(place)
    found: dict[int, Numbers] = {}
    for places in alike.values():
        rows = [re.findall(r"\d+", texts[place]) for place in places]
        columns = [column for column in zip(*rows, strict=True) if len(set(map(_number, column))) > 1]
        if len(columns) == 1 and max(map(len, columns[0])) <= _MOST_DIGITS:
            numbers = [int(one) for one in columns[0]]
            are_steps = _are_steps(numbers)
            found |= {
                place: Numbers(step=number) if are_steps else Numbers(number)
                for place, number in zip(places, numbers, strict=True)
            }
    return found


def _number(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _are_steps(numbers: Sequence[int]) -> bool:
    ordered = sorted(set(numbers))
    gaps = [after - before for before, after in pairwise(ordered)]
    return ordered[-1] >= FEWEST_STEPS or min(gaps, default=0) >= _STEPS_APART


def _without_labelled_numbers(name: str) -> str:
    """Return a name without the numbers that are labelled as something else than an epoch: scores, versions, dates."""
    text = _plain_text(name)
    for other in (_DATE, _NAMED_OTHERWISE, _DECIMAL):
        text = other.sub(" ", text)
    return text


def training_in_name(name: str, numbers: Numbers) -> str:
    """Return what a name says of the training: the words and numbers that are neither of a checkpoint nor of a score.

    Parameters
    ----------
    name : of a file or folder
    numbers : what `numbers_in_names` found in it

    Examples
    --------
    >>> training_in_name("runA_epoch_1_acc0.93.pt", Numbers(1)), training_in_name("seed3-model10.pt", Numbers(10))
    ('runA', 'seed3')
    >>> training_in_name("checkpoint_3_best.pt", Numbers(3)), training_in_name("w10.pt", Numbers(10))
    ('', 'w')
    """
    text = _plain_text(name)
    for other in (_DATE, _SCORE, _EPOCH, _GLUED_EPOCH, _STEP, _DECIMAL):
        text = other.sub(" ", text)
    behind_words = (step_in_name(name) is not None, _epoch_word(_plain_text(name)) is not None)
    for number, is_gone in zip((numbers.step, numbers.epoch), behind_words, strict=True):
        if number is not None and not is_gone:
            text = re.sub(rf"^(.*)(?<!\d)0*{number}(?!\d)", r"\1 ", text, flags=re.DOTALL)
    words = [word for word in re.split(r"[^A-Za-z0-9]+", text) if word.lower() not in _OF_NO_TRAINING]
    return "_".join(words)


def names_a_training(name: str) -> bool:
    """Return whether a name numbers a training and not a checkpoint: ``seed1.pt``, ``fold_2.pt``."""
    return bool(_TRAINING_NUMBER.search(_plain_text(name)))


def last_number(name: str) -> int | None:
    """Return the number at the end of a name, which may be that of the checkpoint; None if the name has none.

    >>> last_number("runB1.pt"), last_number("runB_best.pt")
    (1, None)
    """
    found = re.search(r"(?<!\d)(\d{1,9})$", _without_labelled_numbers(name).rstrip())
    return int(found[1]) if found else None


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


def epochs_completed(epoch: int | None, counts_from: int | None) -> int | None:
    """Return the number of finished epochs, given what the trainer writes after its first; None where that is not known."""
    if epoch is None or counts_from is None or epoch < 0:
        return None
    return epoch + 1 - counts_from


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
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
