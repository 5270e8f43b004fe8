"""The epoch and step of a checkpoint, from its contents or else from its name, and how its trainer counts epochs.

``epoch`` is the trainer's own number. ``epochs_completed``, the number of finished epochs, is given only if there is evidence for
how the trainer counts. With it, runs of different trainers can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import CheckpointError

EPOCH_KEYS = (
    *("epoch", "meta.epoch", "trainer.epoch", "current_epoch", "epochs_completed"),
    *("state.timestamp.Timestamp.epoch", "state.timestamp.epoch", "__metadata__.epoch"),
)
"""The keys of the epoch in a checkpoint's contents, in the order of the search; a dot separates nested keys."""
STEP_KEYS = (
    *("global_step", "global_steps", "step", "iteration", "iter", "iter_num", "meta.iter", "trainer.iteration"),
    *("state.timestamp.Timestamp.batch", "state.timestamp.batch", "__metadata__.step"),
)
MIN_STEP_NUMBER = 10_000
"""An unlabelled number of at least this size is taken for a step, because no training has as many epochs."""
COPY_NAMES = re.compile(r"(^|[^a-z])(best|last|latest|final|newest)([^a-z]|$)", re.IGNORECASE)
"""Names of files that are copies of another epoch's."""
_SUFFIXES = re.compile(
    r"(\.(pt|pth|ckpt|tar|bin|safetensors|pkl|pickle|weights|h5|hdf5|keras|npz|onnx|msgpack|th|t7|index|json|pt2|gz))+$",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?:^|[^a-z])(?:epoch|ep|(?<!\d)e)[ _=.-]*(-?\d{1,9})(?!\d)(\.\d+(?![\d.]))?", re.IGNORECASE)
_ONE_PER_TRAINING = re.compile(r"(?<![a-z])(last|latest|final|newest)(?![a-z])", re.IGNORECASE)
_GLUED_EPOCH = re.compile(r"epoch[ _=.-]*(\d{1,9})(?!\d)(\.\d+(?![\d.]))?", re.IGNORECASE)
_ROUND = re.compile(r"(?:^|[^a-z])rounds?[ _=.-]*(\d{1,9})(?!\d)", re.IGNORECASE)
_STEP = re.compile(r"(?:^|[^a-z])(?:global_?steps?|steps?|iter(?:ation)?s?|it|batch)[ _=.-]*(\d{1,9})(?!\d)", re.IGNORECASE)
_STEP_FOLDER = re.compile(
    r"(checkpoint|ckpt|epoch|ep|step|global_?step|iter)[ _=.-]?\d+(-step=\d+(-v\d+)?)?"
    r"|ckpt\+[-+\d]+"  # SpeechBrain
    r"|[\w.-]+:v\d+",  # Weights & Biases
    re.IGNORECASE,
)
_OTHER_LABEL = re.compile(
    r"[a-z]+=[-\d.e]+"
    r"|(?<![a-z])(?:v|ver|version|seed|run|fold|acc|loss|top|rank|lr|bs|wd)[ _.-]?\d+(?:\.\d+)*(?:e-\d+)?",
    re.IGNORECASE,
)
"""A number with a label that is neither an epoch's nor a step's."""
_DECIMAL = re.compile(r"(?<!lr)(?<!wd)(?<!lr[ _=-])(?<!wd[ _=-])(?<!\d)\d+\.\d+")
"""A decimal number that is not a setting, of which one training has one."""
_DATE = re.compile(
    r"(?<!\d)(19|20)\d{2}[-_.]?[01]\d[-_.]?[0-3]\d(?!\d)([-_ T.]*[0-2]\d[-_.:h]?[0-5]\d([-_.:m]?[0-5]\d)?(?!\d))?"
)
_SCORE = re.compile(
    r"(?<![a-z])(?!(?<=-)v\d+$)((?!seed|run|k?fold|trial|lr|bs|wd)[a-z]+=[-\d.e]+|"
    r"(acc|accuracy|loss|top|f1|map|auc|err|error|score|v|ver|version)"
    r"[ =_.-]*\d+(\.\d+)?(?![a-z\d]))",
    re.IGNORECASE,
)
_TRAINING_NUMBER = re.compile(r"(?<![a-z])(seed|run|k?fold|trial)[ =_.-]*\d+", re.IGNORECASE)
_CHECKPOINT_WORDS = frozenset(
    ["model", "ckpt", "checkpoint", "weights", "net", "network", "state", "dict", "params", "snapshot"]
)
_UNSPECIFIC_WORDS = _CHECKPOINT_WORDS | {
    *("best", "last", "latest", "final", "newest", "e", "ep", "epoch", "step", "iter", ""),
}
"""Words of names that do not distinguish two trainings."""
_STORES_NEXT_EPOCH = re.compile(r"(0|1\.[0-5])\.")  # the versions of Lightning that store the next epoch
MAX_DIGITS = 9  # longer numbers are times and hashes
_MIN_STEP_GAP = 500  # numbers that differ by at least this much are steps, not epochs
_UNGLUED_NUMBER = re.compile(r"(?<![a-z0-9])(\d{1,9})(?![a-z0-9])", re.IGNORECASE)
CONTENTS, FILE_NAME, FOLDER_NAME, ORDER = "contents", "file name", "folder name", "order"
COMMIT_TITLE, REVISION_NAME = "commit title", "revision name"
"""Sources of the epochs of revisions: the title of a commit, or the name of a tag or branch."""


class EpochAndStep(NamedTuple):
    """The time in training at which a checkpoint was written."""

    epoch: int | None = None
    source: str | None = None
    """The source of ``epoch``: ``contents``, ``file name``, ``folder name``, ``commit title``, ``revision name`` or ``order``."""
    step: int | None = None
    has_state: bool = False  # True if a revision has a trainer's state, which has precedence


def epoch_and_step(tree: Any, names: Sequence[str]) -> EpochAndStep:
    """Return epoch and step of a checkpoint.

    Parameters
    ----------
    tree : the inert contents.
    names : the file's name without folders, then the name of its step folder if it has one.
    """
    step, epoch = _first_number(tree, STEP_KEYS), _epoch_in_contents(tree, names[0])
    # A copy (best, last) with a negative epoch is dated by its name.
    if epoch is not None and not (epoch < 0 and COPY_NAMES.search(names[0])):
        return EpochAndStep(epoch, CONTENTS, step)
    for name, source in zip(names, (FILE_NAME, FOLDER_NAME), strict=False):
        if step is None:
            step = step_in_name(name)
        epoch = epoch_in_name(name)
        if epoch is not None:
            return EpochAndStep(epoch, source, step)
    return EpochAndStep(None, None, step)


def _epoch_in_contents(tree: Any, name: str) -> int | None:
    """Return the number of the epoch that the trainer stored; ``name`` is that of the file."""
    epoch = _first_number(tree, EPOCH_KEYS)
    # Ignite
    iteration, length = _first_number(tree, ["trainer.iteration"]), _first_number(tree, ["trainer.epoch_length"])
    if iteration is not None and length is not None and length > 0:
        epoch = iteration // length
    # MMEngine's loop over iterations always stores the epoch 0; its loop over epochs begins with 1.
    if _first_number(tree, ["meta.epoch"]) == 0 and (_first_number(tree, ["meta.iter"]) or 0) > 0:
        epoch = None
    # Lightning before 1.6 stores the next epoch, except at the end of a training with max_steps.
    version = tree.get("pytorch-lightning_version") if isinstance(tree, dict) else None
    if epoch and isinstance(version, str) and _STORES_NEXT_EPOCH.match(version) and epoch_in_name(name) != epoch:
        epoch -= 1
    if epoch is None and (isinstance(tree, list) or type(tree) is tuple):
        # (model, optimizer, epoch): its only whole number is the epoch, unless it is large enough for a step.
        numbers = [value for value in tree if type(value) is int]
        if len(numbers) == 1 and 0 <= numbers[0] < MIN_STEP_NUMBER:
            epoch = numbers[0]
    return epoch


def epoch_in_name(name: str) -> int | None:
    """Return the epoch that a file or folder name states; None if it states none or is ambiguous.

    A number counts if a word for epoch precedes it. Otherwise it counts if it is the only free-standing number. Decimals, dates,
    parts of words and numbers with another label do not count.

    >>> [epoch_in_name(n) for n in ("epoch=03-step=80.ckpt", "model_12.pth", "20240131-235959_e07_v2_acc0.93.pth")]
    [3, 12, 7]
    >>> [epoch_in_name(n) for n in ("resnet50_8xb32_in1k.pth", "best.pt", "checkpoint_1_2.pt")]
    [None, None, None]
    """
    text = _plain_text(name)
    labelled = _labelled_epoch(text)
    if labelled:
        return int(labelled[1])
    for pattern in (_DATE, _STEP, _OTHER_LABEL, _DECIMAL):
        text = pattern.sub(" ", text)
    numbers = _UNGLUED_NUMBER.findall(text)
    return int(numbers[0]) if len(numbers) == 1 else None


class NameNumbers(NamedTuple):
    """The numbers that a name states."""

    epoch: int | None = None
    step: int | None = None


def numbers_in_names(names: Sequence[str]) -> list[NameNumbers]:
    """Return the epoch or step in each name of a run's files, found by comparing the names.

    1. A number after a word for epoch or step always counts.
    2. If some names are equal except for one number, that number counts, even if it is glued to a word. It is a step if the
       numbers are too large or too far apart for epochs. Of several such numbers, only one may count the files from 0 or 1.
    3. Any other name counts as in `epoch_in_name`, unless it contains a word that is not about checkpoints.

    >>> [n.epoch for n in numbers_in_names(["model1.pt", "model2.pt", "model10.pt"])]
    [1, 2, 10]
    >>> [n.epoch for n in numbers_in_names(["m_1_85.pt", "m_2_85.pt", "m_3_90.pt"])]
    [1, 2, 3]
    >>> [n.step for n in numbers_in_names(["ckpt_005000.pt", "ckpt_010000.pt"])]
    [5000, 10000]
    >>> numbers_in_names(["vit_b_16.pth", "resnet18.pth", "model_3.pth"])[1:]
    [NameNumbers(epoch=None, step=None), NameNumbers(epoch=3, step=None)]
    """
    series, after_epochs = _series_numbers(names), _numbers_after_epochs(names)
    numbers = []
    for index, name in enumerate(names):
        text = _plain_text(name)
        labelled, step = _labelled_epoch(text), step_in_name(name)
        if step is None and index in after_epochs:
            numbers.append(after_epochs[index])
        elif labelled or step is not None:
            numbers.append(NameNumbers(int(labelled[1]) if labelled else None, step))
        elif index in series:
            numbers.append(series[index])
        else:
            number = epoch_in_name(name)
            if number is None or set(re.findall(r"[a-z]+", text.lower())) - _CHECKPOINT_WORDS:
                numbers.append(NameNumbers())
            elif number >= MIN_STEP_NUMBER:
                numbers.append(NameNumbers(step=number))
            else:
                numbers.append(NameNumbers(number))
    return numbers


def _labelled_epoch(text: str) -> re.Match[str] | None:
    """Return the number after a word for epoch, or else after ``round`` (federated training)."""
    return _EPOCH.search(text) or _GLUED_EPOCH.search(text) or _ROUND.search(text)


def _numbers_after_epochs(names: Sequence[str]) -> dict[int, NameNumbers]:
    """Return ``{index of the name: its numbers}`` for names of one epoch that differ in one later number: ``e1_s100``, ``e1_s200``.

    The number is a step, unless it counts networks of one training, and so repeats in other epochs: ``ep1_net1``, ``ep1_net2``,
    ``ep2_net1``. If the epoch in all names seems to be the length of the training, the number is the epoch (``ep100_10``,
    ``ep100_20``), or that of a training if it counts from 0 or 1. Other names with this length (``ep100_best``) have no epoch.
    """
    groups = _groups_by_epoch_label(names)
    # The number is the only one that varies, and an epoch occurs several times.
    result: dict[int, NameNumbers] = {}
    for group in groups:
        columns = list(zip(*(parts for _, _, parts in group), strict=True))
        varying = [place for place in range(1, len(columns), 2) if len(set(columns[place])) > 1]
        found = {epoch for _, epoch, _ in group}
        if len(varying) != 1 or len(found) == len(group) or max(map(len, columns[varying[0]])) > MAX_DIGITS:
            continue
        numbers = [int(number) for number in columns[varying[0]]]
        is_count = may_number_trainings(numbers)
        if len(found) == 1 and max(numbers) <= max(found):
            same_length = {index: NameNumbers() for others in groups for index, epoch, _ in others if epoch in found}
            result = same_length | result
            result |= {
                index: NameNumbers(None if is_count else number) for (index, *_), number in zip(group, numbers, strict=True)
            }
        elif not is_count or min(Counter(numbers).values()) == 1:
            result |= {index: NameNumbers(epoch, number) for (index, epoch, _), number in zip(group, numbers, strict=True)}
    return result


def _groups_by_epoch_label(names: Sequence[str]) -> list[list[tuple[int, int, list[str]]]]:
    """Return index, epoch and the parts after the epoch of each name with an epoch, by names that are equal except for numbers."""
    groups: dict[str, list[tuple[int, int, list[str]]]] = {}
    for index, name in enumerate(names):
        text = _without_labelled_numbers(name)
        labelled = _labelled_epoch(text)
        if labelled:
            tail = text[labelled.end() :]
            key = text[: labelled.start()] + re.sub(r"\d+", "#", tail)
            groups.setdefault(key.lower(), []).append((index, int(labelled[1]), re.split(r"(\d+)", tail)))
    return list(groups.values())


def _series_numbers(names: Sequence[str]) -> dict[int, NameNumbers]:
    """Return ``{index of the name: its number}`` for names that are equal except for one number, or one counter and others."""
    groups: dict[str, list[int]] = {}
    texts = [_without_labelled_numbers(name) for name in names]
    for index, text in enumerate(texts):
        groups.setdefault(re.sub(r"\d+", "#", text.lower()), []).append(index)
    series: dict[int, NameNumbers] = {}
    for indices in groups.values():
        rows = [re.findall(r"\d+", texts[index]) for index in indices]
        columns = _varying_columns(rows)
        if len(columns) != 1 or max(map(len, columns[0])) > MAX_DIGITS:
            continue
        numbers = [int(digits) for digits in columns[0]]
        # "last_0", "last_1" are the last checkpoints of two trainings.
        if _ONE_PER_TRAINING.search(texts[indices[0]]) and may_number_trainings(numbers):
            continue
        # Large numbers and numbers with large gaps are steps.
        gaps = [after - before for before, after in pairwise(sorted(set(numbers)))]
        kind = "step" if max(numbers) >= MIN_STEP_NUMBER or min(gaps) >= _MIN_STEP_GAP else "epoch"
        series |= {index: NameNumbers(**{kind: number}) for index, number in zip(indices, numbers, strict=True)}
    return series


def _varying_columns(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the columns of numbers that vary; of several in many rows, only those that count the rows (3 of ``model_3_85``)."""
    # Leading zeros do not count.
    columns = [column for column in zip(*rows, strict=True) if len({digits.lstrip("0") for digits in column}) > 1]
    if len(columns) < 2 or len(rows) < 3:
        return columns
    return [column for column in columns if len(set(column)) == len(rows) and may_number_trainings(list(map(int, column)))]


def may_number_trainings(numbers: Sequence[int]) -> bool:
    """Return whether numbers may be those of folds or networks, because they count from 0 or 1 without a gap."""
    return min(numbers, default=2) in (0, 1) and max(numbers) - min(numbers) < len(set(numbers))


def _without_labelled_numbers(name: str) -> str:
    """Return a name without numbers that are scores, versions, dates and the like."""
    text = _plain_text(name)
    for pattern in (_DATE, _OTHER_LABEL, _DECIMAL):
        text = pattern.sub(" ", text)
    return text


def training_in_name(name: str, numbers: NameNumbers) -> str:
    """Return the words and numbers of a name that identify the training, not the checkpoint and not a score.

    ``numbers`` is the result of `numbers_in_names` for this name.

    >>> training_in_name("runA_epoch_1_acc0.93.pt", NameNumbers(1)), training_in_name("seed3-model10.pt", NameNumbers(10))
    ('runA', 'seed3')
    >>> training_in_name("checkpoint_3_best.pt", NameNumbers(3)), training_in_name("epoch=3-v1.ckpt", NameNumbers(3))
    ('', 'v1')
    """
    text = _plain_text(name)
    has_step_label = step_in_name(name) is not None
    words = (_EPOCH, _GLUED_EPOCH) if _EPOCH.search(text) or _GLUED_EPOCH.search(text) else (_ROUND,)
    for pattern in (_DATE, _SCORE, *words, _STEP, _DECIMAL):
        text = pattern.sub(" ", text)
    # Remove the last occurrence of each number that had no label.
    for number, has_label in ((numbers.step, has_step_label), (numbers.epoch, has_epoch_label(name))):
        if number is not None and not has_label:
            text = re.sub(rf"^(.*)(?<!\d)0*{number}(?!\d)", r"\1 ", text, flags=re.DOTALL)
    parts = re.split(r"[^A-Za-z0-9]+", text)
    return "_".join(part for part in parts if part.lower() not in _UNSPECIFIC_WORDS)


def has_epoch_label(name: str) -> bool:
    """Return whether a name has a number after a word for epoch: ``epoch_3.pt``."""
    return _labelled_epoch(_plain_text(name)) is not None


def training_number(name: str) -> str:
    """Return the part of a name that numbers a training and not a checkpoint; an empty text if it has none.

    >>> training_number("best_seed1_epoch_7.pt"), training_number("epoch_7.pt")
    ('seed1', '')
    """
    match = _TRAINING_NUMBER.search(_plain_text(name))
    return match[0].lower() if match else ""


def last_number(name: str) -> int | None:
    """Return the number at the end of a name, which may be that of the checkpoint; None if the name has none.

    >>> last_number("runB1.pt"), last_number("runB_best.pt")
    (1, None)
    """
    match = re.search(r"(?<!\d)(\d{1,9})$", _without_labelled_numbers(name).rstrip())
    return int(match[1]) if match else None


def step_in_name(name: str) -> int | None:
    """Return the optimiser step that a file or folder name states, or None.

    >>> step_in_name("epoch=3-step=80.ckpt"), step_in_name("model_12.pth")
    (80, None)
    """
    match = _STEP.search(_plain_text(name))
    return int(match[1]) if match else None


def is_step_folder(name: str) -> bool:
    """Return whether a folder's name is that of one checkpoint, not of a run.

    >>> [is_step_folder(name) for name in ("checkpoint-500", "epoch=3-step=80.ckpt", "model:v3", "resnet18_v2")]
    [True, True, True, False]
    """
    return bool(_STEP_FOLDER.fullmatch(_plain_text(name)))


def epochs_completed(epoch: int | None, counts_from: int | None) -> int | None:
    """Return the number of finished epochs if a trainer counts from a number, or None if it is unknown."""
    if epoch is None or counts_from is None or epoch < 0:
        return None
    return epoch + 1 - counts_from


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts ``e2`` before ``e10``."""
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d{1,18})", name) if part)


def _plain_text(name: str) -> str:
    """Return a name without its suffixes and without accents."""
    decomposed = unicodedata.normalize("NFKD", _SUFFIXES.sub("", name))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _first_number(tree: Any, keys: Sequence[str]) -> int | None:
    """Return the first whole number under one of the keys."""
    for key in keys:
        node = tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        # The metadata of safetensors are texts.
        if key.startswith("__metadata__") and isinstance(node, str) and re.fullmatch(r"-?\d{1,12}", node):
            return int(node)
        if isinstance(node, Tensor) and node.shape in ((), (1,)):
            with suppress(CheckpointError):
                node = node.read().item()
        if isinstance(node, int | float) and not isinstance(node, bool) and isfinite(node) and abs(node) < 1e12:
            return int(node // 1)
    return None
