"""Read the losses, accuracies and learning rates that a trainer logged, from a log file
or from a checkpoint's contents.

dsi reads CSV files with an ``epoch`` column (custom loops, Lightning's ``metrics.csv``,
timm's ``summary.csv``), files with a JSON object per line (DeiT's and MAE's
``log.txt``, MMEngine's ``scalars.json``), the Hugging Face Trainer's
``trainer_state.json``, and histories: an object of lists (Keras), or a list of objects.
Without such a log, it reads TensorBoard's event files. Several rows of one epoch are
merged, and the last value counts, except for a checkpoint of a step that the log has. A
row may be that of one split (``phase``). Percentages are converted to fractions.

If a history has no numbers of epochs, its values are epochs if each has one of the test
split and all lists have the same length. They count like the checkpoints, from 0 or 1
(`dsi_cli.checkpoints.log_numbers`).

dsi finds the epoch of a step in TensorBoard's files in two ways:

1. The tag ``epoch`` (Lightning) or ``train/epoch`` (Hugging Face) states it: the last
   value at or before the step, rounded up.
2. Without such a tag, a step is an epoch if all curves have the same steps, without
   gaps from 0 or 1, and one curve is of the test split. The reason is that nobody
   evaluates after each optimiser step. Curves may be missing at the first step.
"""

from __future__ import annotations

import csv
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from math import ceil, floor, isfinite
from pathlib import Path
from typing import IO, Any, NamedTuple

from dsi_cli.checkpoints.child_process.client import open_isolated
from dsi_cli.checkpoints.file_access import RandomAccessFile, parse_json
from dsi_cli.checkpoints.file_names import natural_key
from dsi_cli.checkpoints.folders import SUFFIXES
from dsi_cli.checkpoints.trainers import as_dict
from dsi_cli.errors import CheckpointError, UnreadableError, UsageError, first_line
from dsi_cli.remote import download
from dsi_cli.remote.locations import Place
from dsi_cli.store import layout

LOG_FILES = (
    *(
        "log.csv",
        "metrics.csv",
        "summary.csv",
        "results.csv",
        "history.csv",
        "trainer_state.json",
    ),
    *(
        "training.log",
        "log.txt",
        "log.tsv",
        "history.json",
        "metrics.jsonl",
        "log.jsonl",
    ),
)
# last value of each step: ``{name in small letters: {step: value}}``
_Scalars = dict[str, dict[int, float]]
_EVENT_FILES = "events.out.tfevents.*"
_MAX_EVENT_FILES = 64
_OTHER_LOGS = re.compile(r"\.(csv|tsv|jsonl?|log|txt)$", re.IGNORECASE)
_MAX_OTHER_LOGS = 64
"""The number of files and event folders next to checkpoints that are tried as a log."""
_BEGINNING_BYTES = 4096
_EPOCH_TAGS = ("epoch", "train/epoch")
_MAX_LOG_BYTES = 64 << 20
_MAX_CELL_LENGTH = (
    64  # the maximum number of characters in a column's name or in a number
)
_CHECKPOINT_ACCURACY = ("acc", "accuracy")
"""Keys of the test accuracy in a checkpoint, because it decides whether to keep the
checkpoint. In Keras logs, these names mean the training accuracy.
"""


class LoggedCurve(NamedTuple):
    """The metric and split of a column, as in the curves table."""

    metric: str
    split: str | None


CURVES: dict[str, LoggedCurve] = {
    "train_loss": LoggedCurve("loss", "train"),
    "test_loss": LoggedCurve("loss", "test"),
    "learning_rate": LoggedCurve("learning_rate", None),
    "train_accuracy": LoggedCurve("accuracy", "train"),
    "test_accuracy": LoggedCurve("accuracy", "test"),
    "test_accuracy_top5": LoggedCurve("accuracy_top5", "test"),
}
"""The curves by their names in a `TrainingLog` and in a record."""

_FRACTIONS = ("train_accuracy", "test_accuracy", "test_accuracy_top5")
_COLUMN_NAMES = {
    "train_loss": (
        "train_loss train/loss loss/train training/loss train_loss_epoch loss"
    ),
    "test_loss": (
        "test_loss val_loss valid_loss eval_loss validation_loss test/loss val/loss"
        " eval/loss loss/test loss/val valid/loss validation/loss loss/valid"
        " loss/validation"
    ),
    "learning_rate": (
        "lr learning_rate train_lr lr-sgd lr-adam lr-adamw lr/pg0 train/lr"
        " train/learning_rate"
    ),
    "train_accuracy": (
        "train_acc train_accuracy train/acc train_acc1 train_top1 train/accuracy"
        " accuracy/train acc/train training/accuracy acc accuracy"
    ),
    "test_accuracy": (
        "test_acc test_accuracy val_acc val_accuracy valid_acc eval_acc eval_accuracy"
        " eval/accuracy eval_top1 val_acc1 test_acc1 val/acc val/accuracy test/acc"
        " metrics/accuracy_top1 val_top1 test_top1 accuracy/top1 accuracy_top-1"
        " test/accuracy valid/accuracy validation/accuracy accuracy/test accuracy/val"
        " accuracy/valid accuracy/validation acc/test acc/val valid_accuracy"
        " validation_accuracy"
    ),
    "test_accuracy_top5": (
        "test_acc5 val_acc5 eval_top5 test_top5 val_top5 metrics/accuracy_top5"
        " accuracy/top5 accuracy_top-5"
    ),
}
"""The names of columns, separated by spaces, by curve."""
_CURVE_OF_COLUMN = {
    name: curve for curve, names in _COLUMN_NAMES.items() for name in names.split()
}
_TEST_COLUMNS = {
    name for name, curve in _CURVE_OF_COLUMN.items() if CURVES[curve].split == "test"
}
_SPLIT_COLUMNS = ("phase", "split", "mode", "set")
_TRAINING_COLUMNS = ("fold", "seed", "trial", "run", "model", "model_name", "arch")
"""Columns that state the split or the training of a row."""
_SPLITS = {"train": "train", "training": "train"} | dict.fromkeys(
    ("val", "valid", "validation", "dev", "eval"), "val"
)
_SPLITS |= {"test": "test", "testing": "test"}
_SPLIT_IN_NAME = re.compile(
    r"(?<![a-z])(train|val|valid|validation|dev|eval|test)(?![a-z])", re.IGNORECASE
)
"""The split of a file: ``train_log.csv``."""
_STEP_OFFSETS = {"lightning": -1}
"""The number of a step in the log less that in the checkpoints: Lightning logs the
steps by their numbers from 0.
"""
# the errors of a log that cannot be read
_LOG_ERRORS = (
    OSError,
    ValueError,
    csv.Error,
    RecursionError,
    CheckpointError,
)


@dataclass
class TrainingLog:
    """The curves of one file, by the trainer's own epoch numbers."""

    path: Place  # the file or folder
    by_epoch: dict[int, dict[str, float]] = field(default_factory=dict)
    # by epoch, rounded down, and step
    by_step: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)
    begins_before_training: bool = False
    """True if epoch 0 has no train loss and later epochs have one, so epoch 0 was
    logged before training.
    """
    has_numbers: bool = (
        True  # False if the log does not number its epochs, so they count from 1
    )

    def at(
        self,
        epoch: int,
        trainer: str | None,
        step: int | None = None,
        *,
        is_last: bool = True,
    ) -> dict[str, float]:
        """Return the values at the step of a checkpoint, or else of its epoch.

        The values of an epoch are those of its last checkpoint; ``is_last`` is False
        for an earlier one.
        """
        values = self.by_epoch.get(epoch, {}) if is_last else {}
        if step is None:
            return values
        return values | self.by_step.get(
            (epoch, step + _STEP_OFFSETS.get(trainer or "", 0)), {}
        )

    def shifted(self, shift: int) -> TrainingLog:
        """Return the log with the numbers of the checkpoints, which are lower than its
        own by the shift.
        """
        by_step = {
            (epoch - shift, step): values
            for (epoch, step), values in self.by_step.items()
        }
        return replace(
            self,
            by_epoch={epoch - shift: values for epoch, values in self.by_epoch.items()},
            by_step=by_step,
        )


def find_log(folders: Sequence[Place]) -> TrainingLog | None:
    """Return the log in the first of these folders with a readable log, or None."""
    for folder in folders:
        paths = [folder / name for name in LOG_FILES]
        if isinstance(folder, Path):
            for pattern in (
                "*/vis_data/scalars.json",
                "csv/version_*/metrics.csv",
            ):  # MMEngine, Lightning-Hydra-Template
                paths += sorted(
                    folder.glob(pattern), key=lambda path: natural_key(str(path))
                )[-1:]
        for path in paths:
            log = read_log(path) if path.is_file() else None
            if log is not None and log.by_epoch:
                return log
    for folder in folders:
        with suppress(OSError):  # a server that does not list the folder
            log = read_log(folder) if folder.is_dir() and _event_files(folder) else None
            if log is not None:
                return log
    return None


def other_logs(folder: Place, *, is_shared: bool) -> list[Place]:
    """Return the logs in a local folder that dsi reads only if the user names them.

    These are also folders with event files in it, unless the folder ``is_shared`` by
    several runs or has checkpoints of its own.
    """
    if not isinstance(folder, Path):
        return []
    with suppress(OSError):
        candidates = {
            path
            for path in folder.iterdir()
            if _OTHER_LOGS.search(path.name) and _may_be_log(path)
        }
        if not is_shared:
            event_folders = {
                path.parent
                for pattern in ("*/", "*/*/")
                for path in folder.glob(pattern + _EVENT_FILES)
            }
            candidates |= {path for path in event_folders if not _has_checkpoints(path)}
        logs = [
            read_log(path) for path in sorted(candidates, key=str)[:_MAX_OTHER_LOGS]
        ]
        return [
            log.path for log in logs if log is not None and any(log.by_epoch.values())
        ]
    return []


def _has_checkpoints(folder: Path) -> bool:
    """Return whether a folder, or a folder in it, has checkpoints, so that its log is
    that of their run.
    """
    files = chain(folder.glob("*"), folder.glob("*/*"))
    return any(path.name.lower().endswith(SUFFIXES) for path in files)


def _may_be_log(path: Path) -> bool:
    """Return whether a text begins with the names of an epoch and of a curve."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(_BEGINNING_BYTES).lower()
            return (
                b"epoch" in beginning
                and re.search(rb"loss|acc|lr|top1", beginning) is not None
            )
    return False


def read_named_log(path: Place) -> TrainingLog:
    """Return the curves of a log that the user named: a CSV file, a trainer's state, an
    event file or a folder of event files.

    Raise `UsageError` if the log does not exist (``no-such-log``), cannot be read
    (``unreadable-log``), or has no epochs (``no-curves-in-log``).
    """
    expected = (
        "expected a CSV file with the columns epoch and for example train_loss,"
        " val_loss, val_acc or lr, a JSON "
    )
    expected += (
        "object per line or with lists of these names, trainer_state.json, or"
        " TensorBoard event files"
    )
    if not (path.is_file() or path.is_dir()):
        raise UsageError(
            f"there is no log {path}; {expected}", code="no-such-log", path=str(path)
        )
    try:
        log = _read(path)
    except _LOG_ERRORS as error:
        reason = first_line(error)
        message = f"the log {path} cannot be read ({reason}); {expected}"
        raise UsageError(
            message, code="unreadable-log", path=str(path), reason=reason
        ) from None
    if not any(log.by_epoch.values()):
        raise UsageError(
            f"the log {path} has no curve by epochs; {expected}",
            code="no-curves-in-log",
            path=str(path),
        )
    return log


def read_log(path: Place) -> TrainingLog | None:
    """Return the curves of a log file or of a folder of event files, or None if they
    cannot be read.
    """
    try:
        return _read(path)
    except _LOG_ERRORS:
        return None


def _read(path: Place) -> TrainingLog:
    if path.is_dir() or path.name.startswith(_EVENT_FILES[:-1]):
        return _log_of_rows(path, _rows_of_scalars(_scalars(path)), is_fraction=True)
    if path.stat().st_size > _MAX_LOG_BYTES:
        raise ValueError(f"it has more than {_MAX_LOG_BYTES >> 20} MB")
    if path.suffix == ".json":
        data = path.read_bytes()
        if not re.search(rb"}\r?\n{", data):
            return _log_of_json(path, parse_json(data))
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as table:
        rows = _rows_of_text(table)
        return _log_of_rows(path, rows, is_history=path.stem == "history")


def _scalars(path: Place) -> _Scalars:
    """Return the scalars in event files, by tag and step."""
    scalars: _Scalars = {}
    tags = [*_CURVE_OF_COLUMN, *_EPOCH_TAGS]
    for file in _event_files(path):
        local = download.local_file(file)
        with RandomAccessFile(local) as source:
            content = open_isolated(
                "event_file", source.size, path=str(local.absolute()), tags=tags
            )
        for step, tag, value in content.tree["scalars"]:
            scalars.setdefault(tag, {})[step] = value
    return scalars


def _log_of_json(path: Place, tree: Any) -> TrainingLog:
    """Return the curves of `trainer_state.json`, of a list of rows, or of a history
    with a list for each curve.
    """
    history = as_dict(tree).get("log_history")
    if isinstance(history, list):
        return _log_of_rows(path, filter(as_dict, history), is_fraction=True)
    if isinstance(tree, list):
        return _log_of_rows(path, filter(as_dict, tree), is_history=True)
    columns = {}
    for key, values in as_dict(tree).items():
        name = str(key).lower()
        if isinstance(values, dict):  # pandas' object of row numbers
            values = list(values.values())
        if isinstance(values, list) and (name in _CURVE_OF_COLUMN or name == "epoch"):
            columns[name] = values
    if len({len(values) for values in columns.values()}) > 1:
        raise UnreadableError(
            "its lists have different lengths", code="different-lengths"
        )
    lists = zip(*columns.values(), strict=True)
    rows = [dict(zip(columns, row, strict=True)) for row in lists]
    return _log_of_rows(path, rows, is_history=True)


def _rows_of_text(text: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV file, also one with semicolons or tabs, or of a file with
    one JSON object per line.
    """
    header, epoch = text.readline(), None
    if header.startswith("{"):
        for line in chain([header], text):
            with suppress(UnreadableError):  # the last line may still be incomplete
                row = as_dict(parse_json(line.encode()))
                epoch = row.get("epoch", epoch)
                # In MMEngine's rows of the test split, which follow those of the train
                # split, the epoch is the step.
                yield row | {"epoch": epoch} if row.get("step") == epoch else row
        return
    delimiter = max(",;\t", key=header.count)
    names = [
        name.strip().lower().replace(" ", "_")
        for name in next(csv.reader([header], delimiter=delimiter), [])
    ]
    yield from csv.DictReader(text, names, delimiter=delimiter, restkey="")


def _event_files(path: Place) -> list[Place]:
    """Return the event files of a path: the file itself, or the files directly in a
    folder that dsi did not write.
    """
    if not path.is_dir():
        return [path]
    files = [
        file
        for file in path.glob(_EVENT_FILES)
        if not file.name.startswith(layout.EVENTS)
    ]
    return sorted(files, key=str)[:_MAX_EVENT_FILES]


def _rows_of_scalars(scalars: _Scalars) -> list[dict[str, Any]]:
    """Return one row per step, in order, with its epoch and its values."""
    epochs = next(
        (sorted(scalars[tag].items()) for tag in _EPOCH_TAGS if tag in scalars), None
    )
    curves = {tag: values for tag, values in scalars.items() if tag not in _EPOCH_TAGS}
    if not curves:
        raise UnreadableError(
            "no losses, accuracies or learning rate in it by a name that is known",
            code="no-known-tags",
        )
    steps = sorted(set[int]().union(*curves.values()))
    if epochs is None:
        # Steps are epochs if they are consecutive, and each curve, one of them of the
        # test split, has all of them.
        is_consecutive = steps[0] in (0, 1) and steps[-1] - steps[0] == len(steps) - 1
        complete = [
            tag for tag, values in curves.items() if set(steps[1:]) <= set(values)
        ]
        has_test_curve = is_consecutive and any(
            tag in _TEST_COLUMNS for tag in complete
        )
        if not has_test_curve or len(complete) < len(curves):
            problem = (
                "its curves have different steps"
                if has_test_curve
                else "its steps are not epochs"
            )
            raise UnreadableError(
                f"{problem}, and no tag 'epoch' gives the epoch of a step",
                code="no-epochs",
            )
    rows = []
    for step in steps:
        epoch: float = step
        if epochs is not None:
            # The last value at or before the step, or the first one.
            index = max(0, bisect_right(epochs, step, key=lambda item: item[0]) - 1)
            epoch = epochs[index][1]
        values_of_step = {
            tag: values[step] for tag, values in curves.items() if step in values
        }
        rows.append({"epoch": epoch, "step": step} | values_of_step)
    return rows


def scalars_of(tree: Any) -> dict[str, float]:
    """Return the values of curves in the top level of a checkpoint's contents or in its
    safetensors metadata, as written.
    """
    contents = as_dict(tree)
    scalars: dict[str, float] = {}
    for mapping in (contents, as_dict(contents.get("__metadata__"))):
        for key, value in mapping.items():
            name = (
                key.lower()
                if isinstance(key, str) and len(key) <= _MAX_CELL_LENGTH
                else ""
            )
            curve = (
                "test_accuracy"
                if name in _CHECKPOINT_ACCURACY
                else _CURVE_OF_COLUMN.get(name)
            )
            number = _finite_number(value)
            if curve is not None and curve not in scalars and number is not None:
                scalars[curve] = number
    return scalars


def with_fractions(rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Return the values of a training's epochs with percentages as fractions.

    An accuracy with a value above 1 is in percent throughout, because 1.0 may be 1 %
    and 100 %. One with a value above 100 is left out, because it is neither.

    >>> with_fractions([{"test_accuracy": 1.0}, {"test_accuracy": 35.0}])
    [{'test_accuracy': 0.01}, {'test_accuracy': 0.35}]
    """
    highest = {
        curve: max((values.get(curve, 0.0) for values in rows), default=0.0)
        for curve in _FRACTIONS
    }
    scales = {curve: 100.0 for curve, value in highest.items() if value > 1.0}
    counts = {curve for curve, value in highest.items() if value > 100.0}
    return [
        {
            curve: value / scales.get(curve, 1.0)
            for curve, value in values.items()
            if curve not in counts
        }
        for values in rows
    ]


def _log_of_rows(
    path: Place,
    rows: Iterable[dict[str, Any]],
    *,
    is_fraction: bool = False,
    is_history: bool = False,
) -> TrainingLog:
    """Return the curves in some rows; with ``is_fraction``, epochs 0.3 and 1.0 both
    belong to epoch 1, and else 0.3 to none.

    With ``is_history``, rows without an epoch are epochs if each has a value of the
    test split.
    """
    log, rows = TrainingLog(path), list(rows)
    _require_one_training(rows)
    if (
        is_history
        and not any("epoch" in row for row in rows)
        and all(map(_TEST_COLUMNS.intersection, rows))
    ):
        log.has_numbers, rows = (
            False,
            [row | {"epoch": number} for number, row in enumerate(rows, start=1)],
        )
    epochs: dict[int, dict[str, float]] = {}
    steps: dict[tuple[int, int], dict[str, float]] = {}
    split = _split_in_name(path.name)
    for row in rows:
        epoch, step = _finite_number(row.get("epoch")), _finite_number(row.get("step"))
        if epoch is None:
            continue
        values = _values_by_column(row, split)
        if is_fraction or epoch.is_integer():
            epochs.setdefault(ceil(epoch), {}).update(values)
        if step is not None:
            steps.setdefault((floor(epoch), floor(step)), {}).update(values)
    columns = _columns_of_curves(Counter(chain.from_iterable(epochs.values())))
    merged = [*epochs.values(), *steps.values()]
    curves = with_fractions(
        [
            {columns[name]: values[name] for name in values if name in columns}
            for values in merged
        ]
    )
    log.by_epoch = dict(zip(epochs, curves, strict=False))
    log.by_step = dict(zip(steps, curves[len(epochs) :], strict=True))
    with_loss = [
        epoch for epoch, values in log.by_epoch.items() if "train_loss" in values
    ]
    log.begins_before_training = (
        0 in log.by_epoch and 0 not in with_loss and max(with_loss, default=0) > 0
    )
    return log


def _require_one_training(rows: Sequence[dict[str, Any]]) -> None:
    """Raise `UnreadableError` if a column names several trainings."""
    for column in _TRAINING_COLUMNS:
        if len({_word(row.get(column)) for row in rows} - {""}) > 1:
            raise UnreadableError(
                f"the column {column!r} names several trainings; write one log for"
                " each run",
                code="several-trainings",
            )


def _split_in_name(name: str) -> str:
    """Return the split of all rows of a file by its name, or an empty text."""
    match = _SPLIT_IN_NAME.search(name)
    if match is None or name in LOG_FILES:
        return ""
    return _SPLITS[match[1].lower()]


def _values_by_column(row: dict[str, Any], split: str) -> dict[str, float]:
    """Return the numbers in the known columns; a row of one split (``phase,loss,acc``)
    is read like ``train_loss,train_acc``.

    ``split`` is that of the file, or an empty text.
    """
    for column in _SPLIT_COLUMNS:
        split = _SPLITS.get(_word(row.get(column)), split)
    values: dict[str, float] = {}
    for key, cell in row.items():
        name = f"{split}_{key}"
        if name not in _CURVE_OF_COLUMN:
            name = key
        number = _finite_number(cell)
        if name in _CURVE_OF_COLUMN and number is not None:
            values[name] = number
    return values


def _columns_of_curves(epochs: Counter[str]) -> dict[str, str]:
    """Return the curves by their columns, given the number of epochs in each column of
    a log.

    A curve is the column with the most epochs, because a mixture of ``val_acc`` and
    ``test_acc`` is no curve. An accuracy without a split is left out if the loss has
    one and nothing shows that of the accuracy.
    """
    candidates = {curve: names.split() for curve, names in _COLUMN_NAMES.items()}
    # Keras writes ``loss,acc,val_loss,val_acc``. In ``train_loss,val_loss,acc`` the
    # accuracy is that of the test split.
    stated = {
        _CURVE_OF_COLUMN[name]
        for name in epochs
        if name not in ("loss", *_CHECKPOINT_ACCURACY)
    }
    if (
        "loss" not in epochs
        and "test_accuracy" not in stated
        and stated & {"train_loss", "test_loss"}
    ):
        candidates["train_accuracy"] = [
            name
            for name in candidates["train_accuracy"]
            if name not in _CHECKPOINT_ACCURACY
        ]
        candidates["test_accuracy"] = (
            ["accuracy" if "accuracy" in epochs else "acc"]
            if "test_loss" in stated
            else []
        )
    return {
        max(names, key=epochs.__getitem__): curve
        for curve, names in candidates.items()
        if names
    }


def _word(value: Any) -> str:
    """Return a text without spaces and in lower case, or a whole number as text; an
    empty text for anything else.
    """
    return str(value).strip().lower() if isinstance(value, str | int) else ""


def _finite_number(value: Any) -> float | None:
    """Return a number or a text as float; None for booleans, other types, long texts,
    NaN and infinity.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str) and len(value) > _MAX_CELL_LENGTH:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
