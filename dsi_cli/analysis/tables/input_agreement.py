"""The comparison of the head, labels, predictions and log of a run: whether they belong
together, before anything is concluded.

The statistics are in `dsi_cli.metrics.input_agreement`. Each contradiction is a fact
whose field ``distrusted`` names the inputs from which no conclusion may be drawn; see
`distrusted`. dsi never changes an order by itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsi_cli.analysis.evaluation.split_evaluations import SplitEvaluations
from dsi_cli.analysis.semantics import class_labels
from dsi_cli.analysis.tables.result_tables import RunRows
from dsi_cli.checkpoints.discovery import printable
from dsi_cli.checkpoints.records import Record
from dsi_cli.facts import Fact, fact
from dsi_cli.metrics import input_agreement
from dsi_cli.metrics.input_agreement import (
    LABELS,
    PREDICTIONS,
    TRUTH,
    Contradiction,
    Inputs,
)
from dsi_cli.queries import facts
from dsi_cli.queries.findings import reference_name
from dsi_cli.similarity import weight_similarity

SHIFTS = (1, -1)
MIN_SHIFTED_EPOCHS = 3
"""The least number of epochs whose accuracy shows that predictions are one epoch off."""
MIN_DIFFERENCE, SHIFT_RATIO = 0.01, 3.0
"""Predictions are one epoch off if their accuracy differs from that of the log by more
than the first, and by so many times less if they are moved.
"""
MAX_CHECKPOINTS, MAX_CLASSES = 40, 300
"""The numbers of checkpoints and of classes whose changes are compared: the first ones
change most, and more of them are slow.
"""
LARGE_DIFFERENCE = 0.1
"""A larger difference of two accuracies is no matter of other samples or of averaged
weights.
"""


def of_run(rows: RunRows) -> list[Fact]:
    """Return a fact for each contradiction of the inputs of a run."""
    if not rows.records or rows.rows_plan.is_vast:
        return []
    nearby = _nearby(rows)
    orders = {name: order for name, (_, order) in nearby.items()}
    files = {name: path for name, (path, _) in nearby.items()}
    of_orders = [_fact(rows, one, files) for one in _contradictions(rows, orders)]
    known = {name for one in of_orders for name in one.fields["distrusted"]}
    of_log = [
        found
        for split in rows.plan.evaluations.splits[rows.run.name]
        if f"predictions:{split.split}" not in known and not _ran_model(rows, split)
        for found in _of_log(rows, split.split)
    ]
    return [*of_orders, *of_log]


def distrusted(out: Path, run: str) -> frozenset[str]:
    """Return the inputs of a run from which no conclusion may be drawn, by its facts:
    ``labels``, ``predictions:test`` and ``predictions:train``.
    """
    return facts.distrusted(facts.of_run(out, run))


def _contradictions(
    rows: RunRows, nearby: Mapping[str, Sequence[int]]
) -> list[Contradiction]:
    """Return the contradictions at the last checkpoint with predictions, or at the last
    one; ``nearby`` has the orders of label files, by name.
    """
    splits = rows.plan.evaluations.splits[rows.run.name]
    evaluated = [
        record
        for record in rows.records
        if any(split.counting(record) is not None for split in splits)
    ]
    record = (evaluated or rows.records)[-1]
    head = rows.plan.head_of(record)
    # Before training, nothing agrees.
    if head is None or record.epochs_completed == 0:
        return []
    classes = rows.labels.classes
    counts: dict[str, NDArray[np.int64]] = {}
    for split in splits:
        result = split.result(record)
        if result is not None and isinstance(result.counts, np.ndarray):
            counts[split.split] = result.counts[:, :classes].astype(np.int64)
    weight = np.asarray(head.weight, dtype=np.float64).reshape(classes, -1)
    accuracy = None
    if not any(_ran_model(rows, split) for split in splits):
        accuracy = rows.trainer_values(record).get("test_accuracy")
    inputs = Inputs(
        weight=weight,
        similarity=weight_similarity(weight).astype(np.float64),
        reference=_reference(rows),
        counts=counts,
        orders=_orders(rows, nearby),
        accuracy=accuracy,
    )
    return input_agreement.contradictions(inputs)


def _ran_model(rows: RunRows, split: SplitEvaluations) -> bool:
    """Return whether dsi ran a model for a split. A difference from the log then has a
    warning of its own, about the preprocessing.
    """
    return any(
        split.info(record).get("from", {}).get("model") for record in rows.records
    )


def _reference(rows: RunRows) -> NDArray[np.float64] | None:
    """Return the main reference ``(C, C)``, NaN for missing classes; None without one."""
    main = rows.rows_plan.references[0]
    if rows.labels.label_list is None or not len(main.classes):
        return None
    return main.dense.astype(np.float64)


def _nearby(rows: RunRows) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the path and the order of each label file with the same classes, by the
    name of the order.
    """
    labels = rows.labels.label_list
    if labels is None:
        return {}
    found = class_labels.orders_nearby(labels, rows.run.training)
    return {
        f"the order of {printable(path)}": (printable(path), order)
        for path, order in found.items()
    }


def _orders(
    rows: RunRows, nearby: Mapping[str, Sequence[int]]
) -> input_agreement.Orders:
    labels = rows.labels.label_list
    if labels is None:
        return input_agreement.orders(None, None, {}, rows.labels.classes)
    ids = [resolution.wnid for resolution in rows.labels.resolutions]
    return input_agreement.orders(labels.names, ids, nearby, len(labels.names))


def _fact(rows: RunRows, found: Contradiction, files: Mapping[str, str]) -> Fact:
    """Return the fact about a contradiction of orders; ``files`` are label files by the
    names of their orders.
    """
    predictions = [
        f"predictions:{split}" for split in rows.plan.evaluations.sources[rows.run.name]
    ]
    values: dict[str, Any] = {"distrusted": [f"predictions:{found.split}"]}
    if found.given is not None:
        values |= {"given": found.given.value, "given_z": found.given.z}
    if found.better is not None:
        agreement = found.better.agreement
        values |= {"better": agreement.value, "better_z": agreement.z}
        values |= {"order": found.better.name}
    if found.accuracy is not None:
        values["accuracy"] = found.accuracy
    if found.accuracy_meant is not None:
        values["accuracy_meant"] = found.accuracy_meant

    if found.kind == LABELS:
        labels = rows.labels.label_list
        assert labels is not None
        right = files.get(values.get("order", ""))
        values |= {
            "labels": labels.source,
            "reference": reference_name(rows.main_reference),
            "distrusted": ["labels", *(predictions if found.by_name else [])],
            "by_name": found.by_name,
            "command": _command(rows, "--labels", right or "LABELS"),
        }
        if right is not None:
            return fact("labels-in-order-of-file", **values)
        if found.better is not None:
            return fact("labels-in-another-order", **values)
        if found.own is not None:
            values |= {"own": found.own.value, "own_z": found.own.z}
            return fact("labels-contradict-head", **values)
        return fact("labels-contradict-log", **values)

    values |= {"split": found.split}
    values["command"] = _command(rows, "--predictions", "PREDICTIONS")
    if found.kind == PREDICTIONS and found.better is not None:
        return fact("predictions-in-another-order", **values)
    if found.kind == PREDICTIONS:
        return fact("predictions-contradict-head", **values)
    if found.kind == TRUTH:
        values["which"] = found.which or "targets or predictions"
        values["order"] = found.order or "another order"
        return fact("targets-in-another-order", **values)
    return fact("predictions-contradict-targets", **values)


def _command(rows: RunRows, option: str, value: str) -> str:
    folder = printable(str(rows.run.training.folder))
    out = str(rows.plan.out)
    return shlex.join(["dsi", "analyze", folder, "-o", out, option, value])


def _of_log(rows: RunRows, split: str) -> Iterator[Fact]:
    """Yield a fact if the accuracy of predictions contradicts that of the log: the
    predictions are one epoch off, or of something else.
    """
    records, computed, logged = _accuracies(rows, split)
    if len(records) <= MIN_SHIFTED_EPOCHS:
        yield from _of_changes(rows, split)
    if not records:
        return
    log = rows.plan.logs[rows.run.name]
    values: dict[str, Any] = {
        "split": split,
        "log": "the checkpoints" if log is None else printable(log.path.name),
        "distrusted": [f"predictions:{split}"],
        "command": _command(rows, "--predictions", "PREDICTIONS"),
    }
    given = mean_difference(computed, logged)
    found = shift(computed, logged)
    if found is not None:
        by, better = found
        yield fact(
            "predictions-of-other-epochs",
            given=given,
            better=better,
            **_example(records, by),
            **values,
        )
    elif abs(computed[-1] - logged[-1]) > LARGE_DIFFERENCE:
        yield fact(
            "predictions-contradict-log",
            accuracy=float(computed[-1]),
            accuracy_of_log=float(logged[-1]),
            **values,
        )


def _example(records: Sequence[Record], by: int) -> dict[str, Any]:
    """Return an epoch of predictions that are off by some checkpoints, and the epoch of
    the checkpoint that they belong to.
    """
    place = max(0, -by)
    return {
        "example": records[place].epoch_number,
        "example_meant": records[place + by].epoch_number,
    }


def _of_changes(rows: RunRows, split: str) -> Iterator[Fact]:
    """Yield a fact if the changes of the confusions from one checkpoint to the next are
    those of the head at other checkpoints.
    """
    (evaluations,) = (
        one for one in rows.plan.evaluations.splits[rows.run.name] if one.split == split
    )
    classes = rows.labels.classes
    kept = np.linspace(0, classes - 1, min(classes, MAX_CLASSES)).astype(np.intp)
    records, heads, predictions = [], [], []
    for record in rows.records[:MAX_CHECKPOINTS]:
        head, result = rows.plan.head_of(record), evaluations.result(record)
        if head is None or result is None or not isinstance(result.counts, np.ndarray):
            continue
        records.append(record)
        weight = np.asarray(head.weight, dtype=np.float64).reshape(classes, -1)
        heads.append(weight[kept])
        predictions.append(result.counts[np.ix_(kept, kept)])
    found = input_agreement.shift_by_changes(heads, predictions)
    if found is None:
        return
    by, given, better = found
    yield fact(
        "predictions-of-other-heads",
        split=split,
        given=given.value,
        given_z=given.z,
        better=better.value,
        better_z=better.z,
        distrusted=[f"predictions:{split}"],
        command=_command(rows, "--predictions", "PREDICTIONS"),
        **_example(records, by),
    )


def _accuracies(
    rows: RunRows, split: str
) -> tuple[list[Record], NDArray[np.float64], NDArray[np.float64]]:
    """Return the checkpoints whose accuracy on a split is known twice, with that of the
    predictions and that of the log.

    There are none on train, where trainers measure while they train, with augmented
    images.
    """
    records, computed, logged = [], [], []
    for record in rows.records if split == "test" else ():
        value = _accuracy(rows.computed[record.path].curves, split)
        written = rows.trainer_values(record).get("test_accuracy")
        if value is not None and written is not None:
            records.append(record)
            computed.append(value)
            logged.append(written)
    return records, np.array(computed), np.array(logged)


def _accuracy(rows: Sequence[Mapping[str, Any]], split: str) -> float | None:
    return next(
        (
            row["value"]
            for row in rows
            if row["metric"] == "accuracy" and row["split"] == split
        ),
        None,
    )


def mean_difference(
    computed: NDArray[np.float64], logged: NDArray[np.float64], by: int = 0
) -> float:
    """Return the mean absolute difference of two accuracies if those of the
    predictions belong to later checkpoints, by a number of checkpoints.
    """
    if by > 0:
        computed, logged = computed[:-by], logged[by:]
    elif by < 0:
        computed, logged = computed[-by:], logged[:by]
    return float(np.abs(computed - logged).mean())


def shift(
    computed: NDArray[np.float64], logged: NDArray[np.float64]
) -> tuple[int, float] | None:
    """Return by how many checkpoints predictions are off, and the difference of the
    accuracies without this shift; None if they are not off.

    >>> logged = np.array([0.1, 0.3, 0.4, 0.45, 0.5])
    >>> shift(np.array([0.01, 0.1, 0.3, 0.4, 0.45]), logged)
    (-1, 0.0)
    >>> shift(logged, logged) is None
    True
    """
    if len(computed) <= MIN_SHIFTED_EPOCHS:
        return None
    given = mean_difference(computed, logged)
    moved = {by: mean_difference(computed, logged, by) for by in SHIFTS}
    by = min(moved, key=lambda one: moved[one])
    if given < MIN_DIFFERENCE or moved[by] * SHIFT_RATIO > given:
        return None
    return by, moved[by]
