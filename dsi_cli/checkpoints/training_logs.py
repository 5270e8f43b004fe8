"""Curves that a trainer wrote itself: losses, accuracies, learning rate; from a file beside the checkpoints, or inside them.

Read are CSV files with an ``epoch`` column (own loops, Lightning's ``metrics.csv``, timm's ``summary.csv``) and the Hugging Face
Trainer's ``trainer_state.json``; and, where there is no other log, TensorBoard's event files
(`dsi_cli.checkpoints.tensorboard_events`). Several rows of one epoch are joined, the last value counts. Percent become shares.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil, isfinite
from typing import Any, NamedTuple

from dsi_cli.checkpoints import tensorboard_events
from dsi_cli.checkpoints.io import bounded_json
from dsi_cli.errors import CheckpointError, UsageError
from dsi_cli.remote.locations import Place

LOG_FILES = ("log.csv", "metrics.csv", "summary.csv", "results.csv", "history.csv", "trainer_state.json")
_MAX_LOG_BYTES = 64 << 20
_MAX_CELL_LENGTH = 64
"""Characters of a column's name or a number; longer ones are something else."""
_OWN_ACCURACY = ("acc", "accuracy")
"""In a checkpoint, the accuracy that decided whether to keep it: the test set's; in a log of Keras, the training's."""


class LoggedCurve(NamedTuple):
    """What a column means: the metric and split of the curves table."""

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
"""The curves by the name that a `TrainingLog` and a record keep them under."""

_FRACTIONS = ("train_accuracy", "test_accuracy", "test_accuracy_top5")
_COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "train_loss": ("train_loss", "train/loss", "loss/train", "train_loss_epoch", "loss"),
    "test_loss": (
        "test_loss",
        "val_loss",
        "valid_loss",
        "eval_loss",
        "validation_loss",
        "test/loss",
        "val/loss",
        "eval/loss",
        "loss/test",
        "loss/val",
    ),
    "learning_rate": ("lr", "learning_rate", "lr-sgd", "lr-adam", "lr-adamw", "lr/pg0", "train/lr", "train/learning_rate"),
    "train_accuracy": ("train_acc", "train_accuracy", "train/acc", "train_acc1", "train_top1", "acc", "accuracy"),
    "test_accuracy": (
        "test_acc",
        "test_accuracy",
        "val_acc",
        "val_accuracy",
        "valid_acc",
        "eval_acc",
        "eval_accuracy",
        "eval/accuracy",
        "eval_top1",
        "val_acc1",
        "test_acc1",
        "val/acc",
        "val/accuracy",
        "test/acc",
        "metrics/accuracy_top1",
        "val_top1",
        "test_top1",
    ),
    "test_accuracy_top5": ("test_acc5", "val_acc5", "eval_top5", "test_top5", "val_top5", "metrics/accuracy_top5"),
}
_CURVE_OF = {name: curve for curve, names in _COLUMN_NAMES.items() for name in names}


@dataclass
class TrainingLog:
    """The curves of one file, by epoch as the trainer counts."""

    path: Place
    by_epoch: dict[int, dict[str, float]] = field(default_factory=dict)
    begins_before_training: bool = False
    """Whether epoch 0 has no train loss where later epochs have one: it was written before training."""


def find_log(places: Sequence[Place]) -> TrainingLog | None:
    """Return the log in the first of these folders that has one, None where there is none that can be read."""
    for place in places:
        for name in LOG_FILES:
            path = place / name
            log = read_log(path) if path.is_file() and path.stat().st_size <= _MAX_LOG_BYTES else None
            if log is not None and log.by_epoch:
                return log
    with_events = (place for place in places if place.is_dir() and tensorboard_events.event_files(place))
    found = (read_log(place) for place in with_events)
    return next((log for log in found if log is not None), None)


def read_named_log(path: Place) -> TrainingLog:
    """Return the curves of a log that was named: a CSV file, a trainer's state, an event file or a folder of these.

    Raises
    ------
    UsageError
        It is not there, cannot be read, or has no epochs.
    """
    expected = "expected a CSV file with an epoch column, trainer_state.json, a TensorBoard event file or a folder of these"
    if not (path.is_file() or path.is_dir()):
        raise UsageError(f"no log {path}: {expected}")
    try:
        log = _read(path)
    except (OSError, ValueError, csv.Error, RecursionError, CheckpointError) as error:
        raise UsageError(f"the log {path} cannot be read: {str(error).splitlines()[0]}; {expected}") from None
    if not any(log.by_epoch.values()):
        raise UsageError(f"the log {path} has no curve by epochs: {expected}")
    return log


def read_log(path: Place) -> TrainingLog | None:
    """Return a log's curves, None where it has no epochs or cannot be read; a folder is one of event files."""
    try:
        return _read(path)
    except (OSError, ValueError, csv.Error, RecursionError, CheckpointError):
        return None


def _read(path: Place) -> TrainingLog:
    if path.is_dir() or path.name.startswith(tensorboard_events.PATTERN[:-1]):
        of_test = [name for name, curve in _CURVE_OF.items() if CURVES[curve].split == "test"]
        log = _joined(path, tensorboard_events.read_rows(path, _CURVE_OF.keys(), of_test), is_fraction=False)
    elif path.stat().st_size > _MAX_LOG_BYTES:
        raise ValueError(f"it has more than {_MAX_LOG_BYTES >> 20} MB")
    else:
        rows = _json_rows(path) if path.suffix == ".json" else _csv_rows(path)
        log = _joined(path, rows, is_fraction=path.suffix == ".json")
    _make_shares(log)
    first, rest = log.by_epoch.get(0), [row for epoch, row in log.by_epoch.items() if epoch > 0]
    log.begins_before_training = (
        first is not None and "train_loss" not in first and any("train_loss" in row for row in rest)
    )
    return log


def scalars_of(tree: Any) -> dict[str, float]:
    """Return the curves' values that a checkpoint's top level (or its safetensors metadata) holds."""
    if not isinstance(tree, dict):
        return {}
    metadata = tree.get("__metadata__")
    found: dict[str, float] = {}
    for source in (tree, metadata if isinstance(metadata, dict) else {}):
        for key, value in source.items():
            name = key.lower() if isinstance(key, str) and len(key) <= _MAX_CELL_LENGTH else ""
            curve = "test_accuracy" if name in _OWN_ACCURACY else _CURVE_OF.get(name)
            number = _number(value) if curve is not None else None
            if curve is not None and number is not None:
                found.setdefault(curve, number)
    return {curve: value / 100.0 if curve in _FRACTIONS and value > 1.0 else value for curve, value in found.items()}


def _csv_rows(path: Place) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        for row in csv.DictReader(file):
            yield {(key or "").strip().lower(): value for key, value in row.items()}


def _json_rows(path: Place) -> list[dict[str, Any]]:
    state = bounded_json.parse_json(path.read_bytes())
    rows = state.get("log_history") if isinstance(state, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _joined(path: Place, rows: Iterable[dict[str, Any]], *, is_fraction: bool) -> TrainingLog:
    log = TrainingLog(path)
    for row in rows:
        epoch = _number(row.get("epoch"))
        if epoch is None:
            continue
        # The Trainer's epochs are fractions, 1.0 at the end of the first: 0.3 and 1.0 both belong to the first.
        at = log.by_epoch.setdefault(ceil(epoch) if is_fraction else int(epoch // 1), {})
        for key, value in row.items():
            curve = _CURVE_OF.get(key) if isinstance(key, str) else None
            number = _number(value) if curve is not None else None
            if curve is not None and number is not None:
                at[curve] = number
    return log


def _make_shares(log: TrainingLog) -> None:
    """Turn percent into shares: a column that exceeds 1 anywhere is in percent throughout."""
    for curve in _FRACTIONS:
        if any(row.get(curve, 0.0) > 1.0 for row in log.by_epoch.values()):
            for row in log.by_epoch.values():
                if curve in row:
                    row[curve] /= 100.0


def _number(value: Any) -> float | None:
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or (isinstance(value, str) and len(value) > _MAX_CELL_LENGTH)
    ):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None
