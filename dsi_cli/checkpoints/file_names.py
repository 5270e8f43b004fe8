"""Read the epoch, the step and the training from the names of a run's checkpoints.

A name is read by the rows of `PARTS`: a word for epoch or step with its number, the
label of a training with its number (``seed1``), a score, a date, a word for a copy. A
number without such a word counts as the epoch only if it stands at the end and is all
that differs between the names (``model_1.pt``, ``model_2.pt``). All other numbers that
differ are open: dsi then asks, and shows the `--names` that states its own reading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

from dsi_cli.checkpoints.name_pattern import option_text
from dsi_cli.errors import listed

CONTENTS, FILE_NAME, FOLDER_NAME = "contents", "file name", "folder name"
NAME_PATTERN, ORDER = "name pattern", "order"
COMMIT_TITLE, REVISION_NAME = "commit title", "revision name"
"""The sources of epochs. The title of a commit, or the name of a tag or branch, states
that of a revision.
"""
_STEP_FOLDER = re.compile(
    r"(checkpoint|ckpt|epoch|ep|step|global_?step|iter)[ _=.-]?\d+(-step=\d+(-v\d+)?)?"
    r"|ckpt\+[-+\d]+"  # SpeechBrain
    r"|[\w.-]+:v\d+",  # Weights & Biases
    re.IGNORECASE,
)
_SUFFIXES = re.compile(
    r"(\.(pt|pth|ckpt|tar|bin|safetensors|pkl|pickle|weights|h5|hdf5|keras|npz|onnx"
    r"|msgpack|th|t7|index|json|pt2|gz)){1,9}$",
    re.IGNORECASE,
)
_START = r"(?<![^\W\d_])"  # no letter before it
_EPOCH = rf"(?:epoch|{_START}ep|(?<![^\W_])e)[ _=.-]{{0,9}}?"
_SETTINGS = (
    r"seed|k?fold|cv|run|trial|client|worker|member|replica|width|depth|lr|bs|wd"
)
_SCORES = r"acc|accuracy|loss|top|f1|map|auc|err|error|score|v|ver|version"
PARTS = {
    "fraction": rf"{_EPOCH}\d{{1,9}}\.(?!0{{1,9}}(?!\d))\d{{1,3}}(?![\d.])",
    "epoch": rf"{_EPOCH}(?P<at_epoch>(?:(?<=[ _=.-])-)?\d{{1,9}})(?!\d)(?:\.0{{1,9}}(?!\d))?",
    "round": rf"{_START}rounds?[ _=.-]{{0,9}}(?P<at_round>\d{{1,9}})(?!\d)",
    "step": (
        rf"{_START}(?:global_?step|step|iteration|iter|it|batch)s?[ _=.-]{{0,9}}"
        r"(?P<at_step>\d{1,12})(?!\d)"
    ),
    "setting": rf"{_START}(?:{_SETTINGS})[ _=.-]{{0,9}}\d{{1,20}}(?:\.\d{{1,20}})?(?:e-?\d{{1,3}})?",
    "version": r"-v\d{1,9}$",  # Lightning's second file of one name
    "score": (
        rf"{_START}(?:[^\W\d_]{{1,40}}=(?=[-\d.])[-\d.e]{{1,40}}"
        rf"|(?<!:)(?:{_SCORES})[ =_.-]{{0,9}}\d{{1,20}}(?:\.\d{{1,20}})?(?![^\W_]))"
    ),
    "date": (
        r"(?<!\d)(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d(?!\d)"
        r"(?:[-_ T.+]{0,9}[0-2]\d[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d)?(?!\d))?"
        r"|(?<!\d)1\d{9}(?:\d{3})?(?!\d)"  # seconds or milliseconds since 1970
    ),
    "decimal": r"(?<!\d)\d{1,20}\.\d{1,20}",
    "copy": rf"{_START}(?:best|last|latest|final|newest)(?![^\W\d_])",
    "number": r"(?:(?<=[ _=.])-)?\d{1,40}",
    "word": r"[^\W\d_]{1,99}?(?=epoch|[\W\d_]|$)",
}
"""The parts of names as regular expressions; the first one that fits counts."""
_ANY_PART = re.compile(
    "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in PARTS.items()), re.IGNORECASE
)
_WITHOUT_MEANING = ("score", "date", "decimal", "copy")
_FILE_WORDS = frozenset(
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
_METRICS = frozenset(
    [
        "acc",
        "accuracy",
        "loss",
        "val",
        "valid",
        "validation",
        "test",
        "train",
        "f1",
        "auc",
        "auroc",
        "map",
        "score",
        "err",
        "error",
        "metric",
        "top",
        "precision",
        "recall",
        "kappa",
        "macro",
        "micro",
        "balanced",
        "weighted",
        "mean",
        "overall",
    ]
)
_UNSPECIFIC_WORDS = _FILE_WORDS | _METRICS | {"e", "ep", "epoch", "step", "iter", "v"}
"""Words that do not distinguish two trainings."""
NOT_IN_CONTENTS = "the numbers are not the epochs in the contents"
MIN_STEP_NUMBER = 10_000
"""A number of at least this size is a step, because no training has as many epochs."""
_MIN_STEP_GAP = 500  # numbers that differ by at least this much are steps
_MAX_DIGITS = 9  # longer numbers are times and hashes


@dataclass(frozen=True)
class Part:
    """A part of a name, by a row of `PARTS`."""

    kind: str
    text: str
    start: int
    ends_name: bool  # True if only parts without a meaning follow in its file or folder

    @property
    def number(self) -> int:
        """The last number in the part."""
        return int(re.findall(r"^-?\d+|\d+", self.text)[-1])


@dataclass(frozen=True)
class Name:
    """A name and its parts."""

    text: str  # the name without accents
    parts: tuple[Part, ...]
    epoch: int | None = None  # the number after a word for epoch
    step: int | None = None  # the number after a word for step

    def of_kind(self, *kinds: str) -> list[Part]:
        """Return the parts of some kinds."""
        return [part for part in self.parts if part.kind in kinds]

    @property
    def is_copy(self) -> bool:
        """True for a name of a copy of another epoch: ``best.pt``, ``last.ckpt``."""
        return bool(self.of_kind("copy"))

    @property
    def shape(self) -> tuple[tuple[str, str], ...]:
        """The kinds of the parts and the words, without the numbers."""
        return tuple(
            (part.kind, re.sub(r"\d+", "#", part.text.lower()))
            for part in self.parts
            if part.kind not in ("score", "decimal", "date")
        )

    def label(self, moments: Sequence[Part] = ()) -> str:
        """Return the words and numbers that identify the training; the numbers of
        ``moments`` do not.
        """
        text = list(self.text)
        labelled = ["epoch", "step", "fraction", *_WITHOUT_MEANING]
        if not self.of_kind("epoch"):
            labelled.append("round")
        for part in (*self.of_kind(*labelled), *moments):
            text[part.start : part.start + len(part.text)] = " " * len(part.text)
        words = re.split(r"[^\w.-]|_", "".join(text).replace("=", ""))
        words = [word.strip(".-") for word in words]
        return "_".join(word for word in words if word and not _is_unspecific(word))


@dataclass(frozen=True)
class Reading:
    """The meaning of a name, compared with the other names of its folder."""

    label: str = ""  # the words and numbers that identify the training
    epoch: int | None = None
    step: int | None = None
    is_copy: bool = False
    is_plain: bool = False  # True if no word shows that the number is an epoch
    overrules_contents: bool = False
    """True if all contents state one epoch, and the names different ones."""
    question: str | None = None
    """The reason why dsi asks for `--names`; None if the name is clear."""

    @property
    def moment(self) -> tuple[int | None, int | None]:
        """The epoch and the step."""
        return self.epoch, self.step


@cache
def parse(name: str) -> Name:
    """Return the parts of a name; it may contain folders.

    >>> [parse(n).epoch for n in ("epoch=03-step=80.ckpt", "e07_acc0.93.pth", "seed1.pt")]
    [3, 7, None]
    """
    text = _without_accents(_SUFFIXES.sub("", name))
    matches = list(_ANY_PART.finditer(text))
    parts: list[Part] = []
    ends_name, after = True, len(text)
    for match in reversed(matches):
        ends_name = ends_name or "/" in text[match.end() : after]
        kind = match.lastgroup or ""
        parts.insert(0, Part(kind, match[0], match.start(), ends_name))
        ends_name = ends_name and kind in _WITHOUT_MEANING
        after = match.start()
    epochs = [match["at_epoch"] for match in matches if match["at_epoch"]]
    epochs = epochs or [match["at_round"] for match in matches if match["at_round"]]
    steps = [match["at_step"] for match in matches if match["at_step"]]
    return Name(
        text,
        tuple(parts),
        int(epochs[0]) if epochs else None,
        int(steps[0]) if steps else None,
    )


def is_step_folder(name: str) -> bool:
    """Return whether a folder's name is that of one checkpoint, not of a run.

    >>> [is_step_folder(name) for name in ("checkpoint-500", "epoch=3-step=80.ckpt", "model:v3", "resnet18_v2")]
    [True, True, True, False]
    """
    return _STEP_FOLDER.fullmatch(parse(name).text) is not None


def is_copy(name: str) -> bool:
    """Return whether a name is that of a copy of another epoch: ``best.pt``."""
    return bool(parse(name).of_kind("copy"))


def pattern_of(name: str, field: str) -> str:
    """Return a name with a field instead of its last number: ``model_{epoch}.pt``."""
    part = parse(name).of_kind("number")[-1]
    return f"{name[: part.start]}{{{field}}}{name[part.start + len(part.text) :]}"


def epoch_alone(name: str) -> int | None:
    """Return the epoch in a single name: a number after a word for epoch, or else at
    the end of a name that only says what the file is.

    >>> [epoch_alone(name) for name in ("model_12.pth", "vit_b_16.pth", "m_epoch_3.pt")]
    [12, None, 3]
    """
    return _read_alone(parse(name)).epoch


def number_at_end(name: str) -> int | None:
    """Return the epoch in a name, or else the number without a word at its end."""
    parsed = parse(name)
    if parsed.epoch is not None:
        return parsed.epoch
    numbers = [part.number for part in parsed.of_kind("number") if part.ends_name]
    return numbers[-1] if numbers else None


def read_names(
    names: Sequence[str],
    stated: Sequence[int | None] | None = None,
    steps: Sequence[int | None] | None = None,
) -> list[Reading]:
    """Return what the names of the checkpoints of a folder say.

    Parameters
    ----------
    names : paths relative to the folder.
    stated : the epoch in the contents of each checkpoint, if it has one. A number that
        equals or follows it is the epoch, and others identify the training.
    steps : the step in the contents of each checkpoint, if it has one.

    >>> [reading.epoch for reading in read_names(["m1.pt", "m2.pt", "m10.pt"])]
    [1, 2, 10]
    >>> [reading.label for reading in read_names(["runA_epoch_1.pt", "seed3_model_1.pt"])]
    ['runA', 'seed3_1']
    >>> reading = read_names(["m_1_1.pt", "m_2_1.pt", "m_1_2.pt"])[0]
    >>> reading.epoch, "--names 'm_{run}_{epoch}.pt'" in reading.question
    (None, True)
    """
    parsed = [parse(name) for name in names]
    stated = stated or [None] * len(names)
    steps = steps or [None] * len(names)
    groups: dict[object, list[int]] = {}
    for index, name in enumerate(parsed):
        groups.setdefault(name.shape, []).append(index)
    readings: dict[int, Reading] = {}
    for indices in groups.values():
        series = _Series(
            [parsed[index] for index in indices],
            [names[index] for index in indices],
            [stated[index] for index in indices],
            [steps[index] for index in indices],
        )
        readings |= zip(indices, series.read(), strict=True)
    return [readings[index] for index in range(len(names))]


class _Series:
    """Names that differ only in numbers."""

    def __init__(
        self,
        names: list[Name],
        texts: list[str],
        stated: list[int | None],
        steps: list[int | None],
    ) -> None:
        self.names = names
        self.texts = texts  # the names as they are in the folder
        self.stated = stated
        self.steps = steps
        self.columns: list[list[Part]] = []  # the numbers that differ
        numbers = [name.of_kind("number", "setting") for name in names]
        for parts in zip(*numbers, strict=True):
            if len(names) == 1 or len({part.number for part in parts}) > 1:
                self.columns.append(list(parts))
        self.open = [column for column in self.columns if column[0].kind == "number"]

    def read(self) -> list[Reading]:
        """Return what each name says."""
        first = self.names[0]
        if first.of_kind("fraction"):
            return self._by_labels()
        if first.epoch is not None or first.step is not None:
            return self._read_labelled()
        if None not in self.stated:
            return self._read_with_contents()
        if len(self.names) == 1:
            return [_read_alone(first)]
        if self.open:
            return self._read_plain()
        for kind, field in (("date", "step"), ("decimal", "run")):
            parts = [name.of_kind(kind)[:1] for name in self.names]
            if all(parts) and not self.columns and not first.is_copy:
                column = [part[0] for part in parts]
                return self._ask(f"only {kind}s differ", {field: column})
        return self._by_labels()

    def _read_labelled(self) -> list[Reading]:
        """Read names with a word for epoch or step; other numbers identify the
        training.
        """
        first = self.names[0]
        readings = self._by_labels()
        labels = {reading.label for reading in readings}
        if self.open and 1 < len(labels) == len(readings):
            fields = _fields(self.open)
            moment = first.of_kind("epoch", "round", "step")[0]
            fields["step" if moment.kind == "step" else "epoch"] = [moment]
            return self._ask("numbers other than the epoch differ", fields)
        epochs = [name.epoch for name in self.names]
        if None in self.stated and not _agree(epochs, self.stated):
            epoch_part = first.of_kind("epoch", "round")[0]
            return self._ask(NOT_IN_CONTENTS, {"epoch": [epoch_part]})
        is_constant = None not in self.stated and len(set(self.stated)) == 1
        is_overruled = is_constant and len(set(epochs)) > 1
        result = []
        for name, reading in zip(self.names, readings, strict=True):
            result.append(
                replace(
                    reading,
                    epoch=name.epoch,
                    step=name.step,
                    overrules_contents=is_overruled,
                )
            )
        return result

    def _read_with_contents(self) -> list[Reading]:
        """Read names whose contents state the epoch: a number may be that epoch, or the
        step, or identify the training.
        """
        moments = [
            column
            for column in self.columns
            if _follows(column, self.stated) or _follows(column, self.steps)
        ]
        readings = self._by_labels(moments)
        labels = {reading.label for reading in readings}
        others = [column for column in self.open if column not in moments]
        if not others or not 1 < len(labels) == len(readings):
            return readings
        if len(others) == 1:
            return self._ask_about(others[0], NOT_IN_CONTENTS)
        return self._ask(NOT_IN_CONTENTS, _fields(others))

    def _read_plain(self) -> list[Reading]:
        """Read names with numbers that have no word: one at the end counts."""
        *others, column = self.open
        if others:
            fields = _fields(others)
            return self._ask("several numbers differ", {"epoch": column, **fields})
        if self.names[0].is_copy:
            return self._ask_about(column, "copies are numbered")
        numbers = [part.number for part in column]
        if not column[0].ends_name or len(str(max(numbers))) > _MAX_DIGITS:
            reason = "the number that differs is not at the end"
            return self._ask_about(column, reason)
        if not _agree(numbers, self.stated):
            return self._ask_about(column, NOT_IN_CONTENTS)
        field = "step" if _are_steps(numbers, self.steps) else "epoch"
        readings = self._by_labels([column])
        result = []
        for number, reading in zip(numbers, readings, strict=True):
            moment: dict[str, Any] = {field: number}
            result.append(replace(reading, is_plain=True, **moment))
        return result

    def _by_labels(self, moments: Sequence[list[Part]] = ()) -> list[Reading]:
        """Return readings with the labels and without an epoch; the numbers in
        ``moments`` do not belong to the labels.
        """
        readings = []
        for index, name in enumerate(self.names):
            label = name.label([column[index] for column in moments])
            readings.append(Reading(label, is_copy=name.is_copy))
        return readings

    def _ask(self, reason: str, fields: dict[str, list[Part]]) -> list[Reading]:
        """Return readings with a question that shows the `--names` with these
        fields.
        """
        option = self._option(fields)
        return self._with_question(
            reason, f"dsi would read them with {option}, so add this if it is right"
        )

    def _ask_about(self, column: list[Part], reason: str) -> list[Reading]:
        """Return readings with a question about one number."""
        epochs = self._option({"epoch": column})
        trainings = self._option({"run": column})
        return self._with_question(reason, either_option(epochs, trainings))

    def _with_question(self, reason: str, advice: str) -> list[Reading]:
        files = listed(sorted(self.texts), 2)
        question = (
            f"the names do not show the epochs: {reason}, as in {files}; {advice}"
        )
        readings = self._by_labels([*self.columns])
        return [replace(reading, question=question) for reading in readings]

    def _option(self, fields: dict[str, list[Part]]) -> str:
        """Return the `--names` that reads the first name with some fields."""
        text = self.names[0].text
        for field, column in sorted(fields.items(), key=lambda item: -item[1][0].start):
            part = column[0]
            end = part.start + len(part.text)
            # A word before the number stays.
            digit = re.search(r"\d", part.text)
            start = end if digit is None else part.start + digit.start()
            text = f"{text[:start]}{{{field}}}{text[end:]}"
        suffix = _SUFFIXES.search(self.texts[0])
        return option_text(text + (suffix[0] if suffix else ""))


def either_option(epochs: str, trainings: str) -> str:
    """Return the advice for a number that is the epoch, or numbers trainings."""
    return f"add {epochs} if they are epochs, or {trainings} if each is a training"


def _read_alone(name: Name) -> Reading:
    """Return what a name says that is like no other: a number at its end is the epoch
    if its words only say what the file is.
    """
    reading = Reading(name.label(), name.epoch, name.step, name.is_copy)
    numbers = name.of_kind("number", "setting")
    words = {part.text.lower().rstrip("s") for part in name.of_kind("word")}
    is_moment = len(numbers) == 1 and numbers[0].ends_name
    is_clear = is_moment and numbers[0].kind == "number" and not words - _FILE_WORDS
    if reading.moment != (None, None) or name.of_kind("fraction") or not is_clear:
        return reading
    label, number = name.label(numbers), numbers[0].number
    if number >= MIN_STEP_NUMBER:
        return replace(reading, label=label, step=number)
    return replace(reading, label=label, epoch=number)


def _fields(columns: Sequence[list[Part]]) -> dict[str, list[Part]]:
    """Return fields of numbers that name the run: ``run``, ``run2``."""
    fields = {}
    for index, column in enumerate(columns, start=1):
        fields["run" if index == 1 else f"run{index}"] = column
    return fields


def _agree(numbers: Sequence[int | None], stated: Sequence[int | None]) -> bool:
    """Return whether numbers are those that some contents state."""
    pairs = zip(numbers, stated, strict=True)
    return all(
        number == epoch for number, epoch in pairs if None not in (number, epoch)
    )


def _follows(column: Sequence[Part], stated: Sequence[int | None]) -> bool:
    """Return whether numbers are those in the contents, or all one less or one
    more.
    """
    gaps = set()
    for part, number in zip(column, stated, strict=True):
        gaps.add(None if number is None else number - part.number)
    return len(gaps) == 1 and gaps <= {-1, 0, 1}


def _are_steps(numbers: Sequence[int], steps: Sequence[int | None]) -> bool:
    """Return whether numbers are too large or too far apart for epochs, or are the
    steps in the contents. Consecutive numbers are epochs, which some loops call steps.
    """
    ordered = sorted(set(numbers))
    gap = min(after - before for before, after in pairwise(ordered))
    is_stated = list(numbers) == list(steps) and gap > 1
    return ordered[-1] >= MIN_STEP_NUMBER or gap >= _MIN_STEP_GAP or is_stated


def _is_unspecific(word: str) -> bool:
    return not {word.lower(), word.lower().rstrip("s")}.isdisjoint(_UNSPECIFIC_WORDS)


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def natural_key(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a key that sorts ``e2`` before ``e10``."""
    return tuple(
        (0, int(part)) if part.isdecimal() else (1, part)
        for part in re.split(r"(\d{1,18})", name)
        if part
    )
