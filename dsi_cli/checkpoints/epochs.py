"""The epoch and step of a checkpoint, from its contents or else from its name, and how
its trainer counts epochs.

``epoch`` is the trainer's own number. ``epochs_completed``, the number of finished
epochs, is given only if there is evidence for how the trainer counts. With it, runs of
different trainers can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import floor, isfinite
from typing import Any, NamedTuple

from dsi_cli.checkpoints.tensors import Tensor
from dsi_cli.errors import CheckpointError, UnreadableError

EPOCH_KEYS = (
    *("epoch", "meta.epoch", "trainer.epoch", "current_epoch", "epochs_completed"),
    *("state.timestamp.Timestamp.epoch", "state.timestamp.epoch", "__metadata__.epoch"),
)
"""The keys of the epoch in a checkpoint's contents, in the order of the search; a dot
separates nested keys.
"""
STEP_KEYS = (
    *(
        "global_step",
        "global_steps",
        "step",
        "iteration",
        "iter",
        "iter_num",
        "meta.iter",
        "trainer.iteration",
    ),
    *("state.timestamp.Timestamp.batch", "state.timestamp.batch", "__metadata__.step"),
)
MIN_STEP_NUMBER = 10_000
"""An unlabelled number of at least this size is taken for a step, because no training
has as many epochs.
"""
COPY_NAMES = re.compile(
    r"(^|[^a-z])(best|last|latest|final|newest)([^a-z]|$)", re.IGNORECASE
)
"""Names of files that are copies of another epoch's."""
_SUFFIXES = re.compile(
    r"(\.(pt|pth|ckpt|tar|bin|safetensors|pkl|pickle|weights|h5|hdf5|keras|npz|onnx|msgpack|th|t7|index|json|pt2|gz)){1,9}$",
    re.IGNORECASE,
)
_SIGN = r"(?:(?<=[ _=.-])-)?"
"""A minus after another separator: ``epoch_-1``, but not ``epoch-1``."""
_EPOCH = re.compile(
    r"(?:epoch|(?<![a-z])ep|(?<![a-z\d])e)["
    rf" _=.-]*?({_SIGN}\d{{1,9}})(?!\d)(\.\d+(?![\d.]))?",
    re.IGNORECASE,
)
_ONE_PER_TRAINING = re.compile(
    r"(?<![a-z])(last|latest|final|newest)(?![a-z])", re.IGNORECASE
)
_ROUND = re.compile(r"(?<![a-z])rounds?[ _=.-]*(\d{1,9})(?!\d)", re.IGNORECASE)
_STEP = re.compile(
    r"(?<![a-z])(?:global_?steps?|steps?|iter(?:ation)?s?|it|batch)["
    r" _=.-]*(\d{1,9})(?!\d)",
    re.IGNORECASE,
)
_STEP_FOLDER = re.compile(
    r"(checkpoint|ckpt|epoch|ep|step|global_?step|iter)[ _=.-]?\d+(-step=\d+(-v\d+)?)?"
    r"|ckpt\+[-+\d]+"  # SpeechBrain
    r"|[\w.-]+:v\d+",  # Weights & Biases
    re.IGNORECASE,
)
_OTHER_LABEL = re.compile(
    r"[a-z]{1,40}=[-\d.e]+"
    r"|(?<![a-z])(?:v|ver|version|seed|run|fold|acc|loss|top|rank|lr|bs|wd)["
    r" _.-]?\d+(?:\.\d+)*(?:e-\d+)?",
    re.IGNORECASE,
)
"""A number with a label that is neither an epoch's nor a step's."""
_DECIMAL = re.compile(r"(?<!lr)(?<!wd)(?<!lr[ _=-])(?<!wd[ _=-])(?<!\d)\d+\.\d+")
"""A decimal number that is not a setting, of which one training has one."""
_MONTHS = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_MONTH = re.compile(rf"(?<![a-z])({'|'.join(_MONTHS)})(?=[-_ ]?\d)", re.IGNORECASE)
_YEAR_LAST = re.compile(r"(?<!\d)([0-3]\d)[-_.]([0-3]\d)[-_.]((?:19|20)\d{2})(?!\d)")
_TIME = r"[0-2]\d[-_.:h]?[0-5]\d([-_.:m]?[0-5]\d)?(?!\d)"
_DATE = re.compile(
    rf"(?<!\d)(19|20)\d{{2}}[-_.]?[01]\d[-_.]?[0-3]\d(?!\d)([-_ T.]*{_TIME})?"
    rf"|{_YEAR_LAST.pattern}([-_ T.]*{_TIME})?"
    rf"|{_MONTH.pattern}[-_ ]?[0-3]?\d(?!\d)[-_ T.]+{_TIME}"
    r"|(?<!\d)[0-2]\d[-:][0-5]\d[-:][0-5]\d(?!\d)"
    r"|(?<!\d)1\d{9}(\d{3})?(?!\d)",  # seconds or milliseconds since 1970
    re.IGNORECASE,
)
"""A date or a time, which orders checkpoints and is no epoch."""
_SCORE = re.compile(
    r"(?<![a-z])(?!(?<=-)v\d+$)((?!seed|run|k?fold|trial|lr|bs|wd)[a-z]+=[-\d.e]+|"
    r"(acc|accuracy|loss|top|f1|map|auc|err|error|score|v|ver|version)"
    r"[ =_.-]*\d+(\.\d+)?(?![a-z\d]))",
    re.IGNORECASE,
)
_TRAINING_NUMBER = re.compile(
    r"(?<![a-z])(seed|run|k?fold|cv|trial|client|worker|member|replica|width|depth)["
    r" =_.-]*\d+",
    re.IGNORECASE,
)
_CHECKPOINT_WORDS = frozenset(
    [
        "model",
        "ckpt",
        "checkpoint",
        "weights",
        "net",
        "network",
        "state",
        "dict",
        "params",
        "snapshot",
    ]
)
_UNSPECIFIC_WORDS = _CHECKPOINT_WORDS | {
    *(
        "best",
        "last",
        "latest",
        "final",
        "newest",
        "e",
        "ep",
        "epoch",
        "step",
        "iter",
        "",
    ),
}
"""Words of names that do not distinguish two trainings."""
# the versions of Lightning that store the next epoch
_STORES_NEXT_EPOCH = re.compile(r"(0|1\.[0-5])\.")
MAX_DECIMALS = 4  # the maximum length of the decimals of an epoch, with the point
MAX_DIGITS = 9  # longer numbers are times and hashes
_MIN_STEP_GAP = 500  # numbers that differ by at least this much are steps, not epochs
_NUMBER = re.compile(rf"{_SIGN}\d+")
_UNGLUED_NUMBER = re.compile(
    rf"(?<![a-z0-9])({_SIGN}\d{{1,9}})(?![a-z0-9])", re.IGNORECASE
)
CONTENTS, FILE_NAME, FOLDER_NAME, ORDER = (
    "contents",
    "file name",
    "folder name",
    "order",
)
COMMIT_TITLE, REVISION_NAME = "commit title", "revision name"
"""Sources of the epochs of revisions: the title of a commit, or the name of a tag or
branch.
"""


class EpochAndStep(NamedTuple):
    """The time in training at which a checkpoint was written."""

    epoch: int | None = None
    source: str | None = None
    """The source of ``epoch``: ``contents``, ``file name``, ``folder name``, ``commit
    title``, ``revision name`` or ``order``.
    """
    step: int | None = None
    has_state: bool = (
        False  # True if a revision has a trainer's state, which has precedence
    )


def epoch_and_step(tree: Any, names: Sequence[str]) -> EpochAndStep:
    """Return epoch and step of a checkpoint.

    ``names`` are the file's name without folders, then the name of its step folder if
    it has one. Raise `UnreadableError` if the contents state a fraction of an epoch
    (``fraction-of-epoch``), and neither a step nor the name states when it was saved.
    """
    step = _first_whole_number(tree, STEP_KEYS)
    epoch = _epoch_in_contents(tree, names[0], step)
    # A copy (best, last) with a negative epoch is dated by its name.
    if epoch is not None and not (epoch < 0 and COPY_NAMES.search(names[0])):
        return EpochAndStep(epoch, CONTENTS, step)
    for name, source in zip(names, (FILE_NAME, FOLDER_NAME), strict=False):
        if step is None:
            step = parse(name).step
        epoch = parse(name).stated_epoch
        if epoch is not None:
            return EpochAndStep(epoch, source, step)
    return EpochAndStep(None, None, step)


def _epoch_in_contents(tree: Any, name: str, step: int | None) -> int | None:
    """Return the number of the epoch that the trainer stored; ``name`` is that of the
    file.
    """
    epoch = _stated_epoch(tree, name, step)
    # Ignite
    iteration = _first_whole_number(tree, ["trainer.iteration"])
    length = _first_whole_number(tree, ["trainer.epoch_length"])
    if iteration is not None and length is not None and length > 0:
        epoch = iteration // length
    # MMEngine's loop over iterations always stores the epoch 0; its loop over epochs
    # begins with 1.
    if (
        _first_number(tree, ["meta.epoch"]) == 0
        and (_first_number(tree, ["meta.iter"]) or 0) > 0
    ):
        epoch = None
    # Lightning before 1.6 stores the next epoch, except at the end of a training with
    # max_steps.
    version = tree.get("pytorch-lightning_version") if isinstance(tree, dict) else None
    if (
        epoch
        and isinstance(version, str)
        and _STORES_NEXT_EPOCH.match(version)
        and parse(name).stated_epoch != epoch
    ):
        epoch -= 1
    if epoch is None and (isinstance(tree, list) or type(tree) is tuple):
        # (model, optimizer, epoch): its only whole number is the epoch, unless it is
        # large enough for a step.
        numbers = [value for value in tree if type(value) is int]
        if len(numbers) == 1 and 0 <= numbers[0] < MIN_STEP_NUMBER:
            epoch = numbers[0]
    return epoch


def _stated_epoch(tree: Any, name: str, step: int | None) -> int | None:
    """Return the epoch in the contents; of a fraction, the epoch counts only if a step
    states the moment in it (Hugging Face).
    """
    stated = _first_number(tree, EPOCH_KEYS)
    if stated is None or stated.is_integer() or step is not None:
        return None if stated is None else floor(stated)
    if parse(name).stated_epoch is None:
        raise UnreadableError(
            fraction_of_epoch(f"{stated:g}"), code="fraction-of-epoch", epoch=stated
        )
    return None


def fraction_of_epoch(epoch: str) -> str:
    """Return why a checkpoint with a fraction of an epoch is not used, and what to
    do.
    """
    advice = "name all files of the run by their steps, as in step_1500.pt"
    return (
        f"states the epoch {epoch}, and dsi numbers epochs by whole numbers; {advice}"
    )


@dataclass(frozen=True)
class Name:
    """The name of a file or folder, without suffixes and accents, and what it says
    alone.
    """

    text: str
    # a whole number after a word for epoch, or else after ``round`` (federated
    # training)
    epoch: int | None
    # the number after a word for epoch if it is no whole number: ``1.5``
    fraction: str | None
    step: int | None  # after a word for step
    # the part that numbers a training and not a checkpoint: ``seed1``; an empty text if
    # it has none
    training: str
    words: str  # the text without dates, scores, epochs and steps that have a label
    pattern: str | None
    """The text without dates, decimals and numbers with a label, and with "#" for each
    number after the epoch's, or for all.

    It is None for ``epoch=3``, after which other numbers say nothing.
    """
    numbers: tuple[str, ...]  # the numbers in the pattern
    number: int | None  # the only free-standing number without a label
    # the number without a label at the end, which may be that of the checkpoint
    last_number: int | None

    @property
    def stated_epoch(self) -> int | None:
        """The number after a word for epoch, or else the only free-standing number
        without a label.
        """
        return (
            self.number if self.epoch is None and self.fraction is None else self.epoch
        )


@cache
def parse(name: str) -> Name:
    """Return what a name says.

    Decimals, dates, parts of words and numbers with another label are no epochs.

    >>> [parse(n).stated_epoch for n in ("epoch=03-step=80.ckpt", "model_12.pth", "20240131-235959_e07_v2_acc0.93.pth")]
    [3, 12, 7]
    >>> [parse(n).stated_epoch for n in ("resnet50_8xb32_in1k.pth", "best.pt", "checkpoint_1_2.pt")]
    [None, None, None]
    >>> parse("epoch_-1.pt").epoch, parse("epoch_1.0.pt").epoch, parse("epoch_1.5.pt").fraction
    (-1, 1, '1.5')
    >>> parse("best_seed1_epoch_7.pt").training, parse("runB1.pt").last_number, parse("epoch=3-step=80.ckpt").step
    ('seed1', 1, 80)
    """
    decomposed = unicodedata.normalize("NFKD", _SUFFIXES.sub("", name))
    text = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    epoch_word = _EPOCH if _EPOCH.search(text) else _ROUND
    epoch, step, training = (
        epoch_word.search(text),
        _STEP.search(text),
        _TRAINING_NUMBER.search(text),
    )
    fraction = None if step else _fraction_of_epoch(text)
    rest = _without(text, _DATE, _STEP, _OTHER_LABEL, _DECIMAL)
    label = epoch_word.search(rest) if epoch else None
    start, tail = (
        (rest[: label.start()] + "\0", rest[label.end() :]) if label else ("", rest)
    )
    has_pattern = (label or not epoch) and fraction is None
    free, last = (
        _UNGLUED_NUMBER.findall(rest),
        re.search(r"(?<!\d)(\d{1,9})$", rest.rstrip()),
    )
    return Name(
        text,
        int(epoch[1]) if epoch and fraction is None else None,
        fraction,
        int(step[1]) if step else None,
        training[0].lower() if training else "",
        _without(text, _DATE, _SCORE, epoch_word, _STEP, _DECIMAL),
        (start + _NUMBER.sub("#", tail)).lower() if has_pattern else None,
        tuple(_NUMBER.findall(tail)),
        int(free[0]) if len(free) == 1 else None,
        int(last[1]) if last else None,
    )


def _fraction_of_epoch(text: str) -> str | None:
    """Return the number after a word for epoch if it is no whole number, or None."""
    epoch = _EPOCH.search(text)
    # Longer decimals are dates, times and losses.
    if (
        epoch is None
        or epoch[2] is None
        or len(epoch[2]) > MAX_DECIMALS
        or float(epoch[2]) == 0
    ):
        return None
    return epoch[1] + epoch[2]


def _without(text: str, *patterns: re.Pattern[str]) -> str:
    for pattern in patterns:
        text = pattern.sub(" ", text)
    return text


class NameNumbers(NamedTuple):
    """The numbers that a name states."""

    epoch: int | None = None
    step: int | None = None


def numbers_in_names(names: Sequence[str]) -> list[NameNumbers]:
    """Return the epoch or step in each name of a run's files, found by comparing the
    names.

    1. A number after a word for epoch or step always counts.
    2. If some names are equal except for one number, that number counts, even if it is
       glued to a word. It is a step if the numbers are too large or too far apart for
       epochs. Of several such numbers, only one may count the files from 0 or 1.
    3. The only free-standing number of any other name counts, unless the name contains
       a word that is not about checkpoints.
    4. If some names of one epoch are equal except for one later number, that is a step
       (``e1_s100``, ``e1_s200``), unless it counts networks of one training, and so
       repeats in other epochs: ``ep1_net1``, ``ep1_net2``, ``ep2_net1``. If the epoch
       in all of them seems to be the length of the training, the number is the epoch
       (``ep100_10``, ``ep100_20``), or that of a training if it counts from 0 or 1.

    >>> [n.epoch for n in numbers_in_names(["model1.pt", "model2.pt", "model10.pt"])]
    [1, 2, 10]
    >>> [n.epoch for n in numbers_in_names(["m_1_85.pt", "m_2_85.pt", "m_3_90.pt"])]
    [1, 2, 3]
    >>> [n.epoch for n in numbers_in_names(["ep90_10.pt", "ep90_20.pt", "ep90_best.pt", "epoch=90.ckpt"])]
    [10, 20, None, 90]
    >>> [n.step for n in numbers_in_names(["ckpt_005000.pt", "ckpt_010000.pt"])]
    [5000, 10000]
    >>> numbers_in_names(["vit_b_16.pth", "resnet18.pth", "model_3.pth"])[1:]
    [NameNumbers(epoch=None, step=None), NameNumbers(epoch=3, step=None)]
    """
    parsed = [parse(name) for name in names]
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(parsed):
        if name.step is None and name.pattern is not None:
            groups.setdefault(name.pattern, []).append(index)
    found: dict[int, NameNumbers] = {}
    for group in groups.values():
        found |= zip(
            group, _numbers_in_series([parsed[index] for index in group]), strict=False
        )
    # An epoch that is the length of the training is none in other names
    # (``ep100_best``).
    lengths = {
        parsed[index].epoch for index, numbers in found.items() if numbers.step is None
    }
    return [
        found.get(index) or _numbers_alone(name, lengths)
        for index, name in enumerate(parsed)
    ]


def _numbers_in_series(names: Sequence[Name]) -> list[NameNumbers]:
    """Return the numbers of names with one pattern, or nothing if their number is
    neither an epoch nor a step.
    """
    columns = _varying_columns([name.numbers for name in names])
    if len(columns) != 1 or max(map(len, columns[0])) > MAX_DIGITS:
        return []
    numbers, stated = (
        [int(digits) for digits in columns[0]],
        [name.epoch for name in names],
    )
    is_count = may_number_trainings(numbers)
    if stated[0] is None:
        # "last_0", "last_1" are the last checkpoints of two trainings.
        if is_count and _ONE_PER_TRAINING.search(names[0].text):
            return []
        # Large numbers and numbers with large gaps are steps.
        gaps = [after - before for before, after in pairwise(sorted(set(numbers)))]
        are_steps = max(numbers) >= MIN_STEP_NUMBER or min(gaps) >= _MIN_STEP_GAP
        return [
            NameNumbers(step=number) if are_steps else NameNumbers(number)
            for number in numbers
        ]
    if len(set(stated)) == len(names):
        return []
    if len(set(stated)) == 1 and max(numbers) <= stated[0]:
        return [NameNumbers(None if is_count else number) for number in numbers]
    return (
        []
        if is_count and min(Counter(numbers).values()) > 1
        else list(map(NameNumbers, stated, numbers))
    )


def _numbers_alone(name: Name, lengths: Collection[int | None]) -> NameNumbers:
    """Return the numbers of a name that is like no other; ``lengths`` are the lengths
    of trainings, which are no epochs.
    """
    if name.epoch is not None or name.step is not None:
        is_length = (
            name.step is None and name.pattern is not None and name.epoch in lengths
        )
        return NameNumbers(None if is_length else name.epoch, name.step)
    if (
        name.number is None
        or name.fraction is not None
        or set(re.findall(r"[a-z]+", name.text.lower())) - _CHECKPOINT_WORDS
    ):
        return NameNumbers()
    return (
        NameNumbers(step=name.number)
        if name.number >= MIN_STEP_NUMBER
        else NameNumbers(name.number)
    )


def _varying_columns(rows: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the columns of numbers that vary; of several in many rows, only those that
    count the rows (3 of ``model_3_85``).
    """
    # Leading zeros do not count.
    columns = [
        column
        for column in zip(*rows, strict=True)
        if len({digits.lstrip("0") for digits in column}) > 1
    ]
    if len(columns) < 2 or len(rows) < 3:
        return columns
    return [
        column
        for column in columns
        if len(set(column)) == len(rows)
        and may_number_trainings(list(map(int, column)))
    ]


def may_number_trainings(numbers: Sequence[int]) -> bool:
    """Return whether numbers may be those of folds or networks, because they count from
    0 or 1 without a gap.
    """
    return min(numbers, default=2) in (0, 1) and max(numbers) - min(numbers) < len(
        set(numbers)
    )


def training_in_name(name: str, numbers: NameNumbers) -> str:
    """Return the words and numbers of a name that identify the training, not the
    checkpoint and not a score.

    ``numbers`` is the result of `numbers_in_names` for this name.

    >>> training_in_name("runA_epoch_1_acc0.93.pt", NameNumbers(1)), training_in_name("seed3-model10.pt", NameNumbers(10))
    ('runA', 'seed3')
    >>> training_in_name("checkpoint_3_best.pt", NameNumbers(3)), training_in_name("epoch=3-v1.ckpt", NameNumbers(3))
    ('', 'v1')
    """
    parsed = parse(name)
    text = parsed.words
    # Remove the last occurrence of each number that had no label.
    for number, labelled in (
        (numbers.step, parsed.step),
        (numbers.epoch, parsed.epoch),
    ):
        if number is not None and labelled is None:
            text = re.sub(
                rf"^(.*)(?<!\d)0*{number}(?!\d)", r"\1 ", text, flags=re.DOTALL
            )
    parts = re.split(r"[^A-Za-z0-9]+", text)
    return "_".join(part for part in parts if part.lower() not in _UNSPECIFIC_WORDS)


def is_step_folder(name: str) -> bool:
    """Return whether a folder's name is that of one checkpoint, not of a run.

    >>> [is_step_folder(name) for name in ("checkpoint-500", "epoch=3-step=80.ckpt", "model:v3", "resnet18_v2")]
    [True, True, True, False]
    """
    return bool(_STEP_FOLDER.fullmatch(parse(name).text))


def epochs_completed(epoch: int | None, counts_from: int | None) -> int | None:
    """Return the number of finished epochs if a trainer counts from a number, or None
    if it is unknown.
    """
    if epoch is None or counts_from is None or epoch < 0:
        return None
    return epoch + 1 - counts_from


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts ``e2`` before ``e10``."""
    return tuple(
        (0, int(part)) if part.isdecimal() else (1, part)
        for part in re.split(r"(\d{1,18})", name)
        if part
    )


def order_keys(names: Sequence[str]) -> dict[str, tuple[tuple[int, int | str], ...]]:
    """Return keys by name that sort the names like `natural_key`, and dates by the
    calendar.

    The day of ``02-03-2024`` is the first number, unless the second number of another
    name is none of a month.

    >>> names = ["net_Feb02", "net_Jan31", "net_Jan4", "a_30-01-2024", "a_02-02-2024"]
    >>> sorted(names, key=order_keys(names).__getitem__)
    ['a_30-01-2024', 'a_02-02-2024', 'net_Jan4', 'net_Jan31', 'net_Feb02']
    """
    is_month_first = any(
        int(date[2]) > len(_MONTHS)
        for name in names
        for date in _YEAR_LAST.finditer(name)
    )
    year_first = r"\3-\1-\2" if is_month_first else r"\3-\2-\1"
    keys = {}
    for name in names:
        text = _MONTH.sub(lambda month: f"{_MONTHS.index(month[1].lower()) + 1}-", name)
        keys[name] = natural_key(_YEAR_LAST.sub(year_first, text))
    return keys


def _first_whole_number(tree: Any, keys: Sequence[str]) -> int | None:
    """Return the first number under one of the keys, rounded down."""
    number = _first_number(tree, keys)
    return None if number is None else floor(number)


def _first_number(tree: Any, keys: Sequence[str]) -> float | None:
    """Return the first finite number under one of the keys."""
    for key in keys:
        node = tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        # The metadata of safetensors are texts.
        if (
            key.startswith("__metadata__")
            and isinstance(node, str)
            and re.fullmatch(r"-?\d{1,12}", node)
        ):
            return float(node)
        if isinstance(node, Tensor) and node.shape in ((), (1,)):
            with suppress(CheckpointError):
                node = node.read().item()
        if (
            isinstance(node, int | float)
            and not isinstance(node, bool)
            and isfinite(node)
            and abs(node) < 1e12
        ):
            return float(node)
    return None
