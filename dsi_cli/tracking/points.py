"""The logged values of each run: the main curves under short names, with one step per
epoch.

The names are those of `dsi_cli.queries.quantities`, as in the callbacks: ``dsi/agreement`` with
``_chance``, ``_low`` and ``_high`` first. Without the agreement, the first measure of the SAI
stands for it, such as ``dsi/excess_cosine``. A run without predictions on the test split
has the values of the training data. If an epoch was saved several times, the last save
counts.

With all curves, each row of the curves tables is logged, too. Its name consists of
metric, ``of``, variant, split, and the reference if it is not the usual one. Examples
are ``sai/ncsm,scsm/spearman``, ``idm/scsm/errors/test`` and ``loss/train``. A curve with
a chance level has further curves with the suffixes ``_chance``, ``_excess`` and ``_z``.
A SAI or IDM without a chance level is not logged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import TYPE_CHECKING, Any

from dsi_cli.queries.curve_panels import UNNAMED_REFERENCES
from dsi_cli.queries.quantities import (
    QUANTITIES,
    Quantity,
    alignment,
    measures,
    network_matrix,
)
from dsi_cli.remote import urls
from dsi_cli.store.results import Results

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
"""A row of the curves tables."""
LOGGED = tuple(
    QUANTITIES[name] for name in ("agreement", "widm", "nidm", "max_wsi", "accuracy")
)
"""The quantities that are logged by default, the most important first."""
# metrics that are meaningless without their chance level
SIMILARITY_INDICES = ("sai", "idm")
_SUFFIX_COLUMNS = {"": "value", "_chance": "null_mean", "_excess": "excess", "_z": "z"}
_NAME_COLUMNS = ("metric", "of", "variant", "split")


@dataclass(frozen=True)
class EpochPoints:
    """The logged values of one epoch."""

    number: int  # the trainer's number of the epoch
    # the time of writing of the checkpoint in seconds since 1970; 0 if the tables do
    # not contain it
    time: float
    values: dict[str, float]  # the values by name; all are finite


@dataclass(frozen=True)
class RunPoints:
    """The logged values of one run."""

    name: str
    # hexadecimal digits that identify the run in every tracker, and stay the same when
    # it is logged again
    key: str
    output: str  # the path or URL of the results folder
    epochs: list[EpochPoints]

    @property
    def count(self) -> int:
        """The number of points."""
        return sum(len(epoch.values) for epoch in self.epochs)


def points_of_results(
    results: Results, run: str | None = None, *, all_curves: bool = False
) -> list[RunPoints]:
    """Return the logged values of a run in a results folder, or of all runs; raise
    `UsageError` if the run does not exist.
    """
    names = results.names if run is None else [results.run_name(run)]
    return [_points_of_run(results, name, all_curves=all_curves) for name in names]


def _points_of_run(results: Results, run: str, *, all_curves: bool) -> RunPoints:
    saves: list[Any] = results.last_saves(results.usable_checkpoints(run)).to_dict(
        "records"
    )
    times = {
        int(row["epoch"]): row["modified_ns"] / 1e9
        for row in saves
        if _is_number(row["modified_ns"])
    }
    values: dict[int, dict[str, float]] = {}
    main_rows = _last_rows(results, results.curves_of(run))
    aligned = alignment(measures(main_rows))  # the agreement, or another measure
    for quantity in (aligned, *LOGGED[1:]):
        for row in quantity_rows(quantity, main_rows):
            values.setdefault(int(row["epoch"]), {}).update(values_of(quantity, row))
    for row in _last_rows(results, results.rows_of("curves", run)):
        of_epoch = values.setdefault(int(row["epoch"]), {})
        if all_curves:
            of_epoch |= named_values(row)
        for column in ("epochs_completed", "step"):
            if _is_number(row["value"]) and _is_number(row[column]):
                of_epoch[column] = float(row[column])
    epochs = [
        EpochPoints(epoch, times.get(epoch, 0.0), named)
        for epoch, named in sorted(values.items())
        if named
    ]
    # Another call for the same results has the same key; another training or folder has
    # a different one.
    output = urls.address(results.path)
    first_classifier = [str(row["fingerprint"]) for row in saves[:1]]
    text = "\0".join([output, run, *first_classifier])
    key = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
    return RunPoints(run, key, output, epochs)


def _last_rows(results: Results, curves: pd.DataFrame) -> list[Any]:
    """Return rows of the curves tables, of which the last save of an epoch counts."""
    last = results.last_saves(curves, *_NAME_COLUMNS, "reference")
    return last.to_dict("records")


def quantity_rows(quantity: Quantity, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a quantity among those of a run with its main reference: on
    the test split, or on the training data if only these have values.
    """
    texts = [{name: _text(row[name]) for name in _NAME_COLUMNS} for row in rows]
    own = network_matrix(texts)
    of_split: dict[str, list[Row]] = {}
    with_values = []
    for split in ("test", "train"):
        key = quantity.key(own, split)
        of_split[split] = [
            row
            for row, cells in zip(rows, texts, strict=True)
            if all(cells[name] == value for name, value in key.items())
        ]
        if any(_is_number(row["value"]) for row in of_split[split]):
            with_values.append(split)
    return of_split["train"] if with_values == ["train"] else of_split["test"]


def values_of(quantity: Quantity, row: Row) -> dict[str, float]:
    """Return the values in a row of a quantity by name, with chance level and 95 %
    confidence interval; empty without a value.

    >>> row = {"value": 0.8, "excess": 0.7, "null_mean": 0.4, "low": 0.6, "high": None}
    >>> values_of(LOGGED[0], row)
    {'dsi/agreement': 0.7, 'dsi/agreement_chance': 0.0, 'dsi/agreement_low': 0.6}
    """
    name = quantity.tracker or f"dsi/{quantity.name}"
    # An excess is 0 at chance.
    chance = 0.0 if quantity.is_excess else row["null_mean"]
    values = {
        name: row[quantity.column],
        f"{name}_chance": chance,
        f"{name}_low": row["low"],
        f"{name}_high": row["high"],
    }
    if not _is_number(row[quantity.column]):
        return {}
    return {key: float(value) for key, value in values.items() if _is_number(value)}


def named_values(row: Row) -> dict[str, float]:
    """Return the values in a row of the curves table by name; empty for a similarity
    index without a chance level.

    >>> row = {"metric": "sai", "of": "ncsm,scsm", "variant": "cosine", "split": None, "reference": "wordnet3.0-path"}
    >>> named_values(row | {"value": 0.8, "null_mean": 0.7, "excess": 1 / 3, "z": None})
    {'sai/ncsm,scsm/cosine': 0.8, 'sai/ncsm,scsm/cosine_chance': 0.7, 'sai/ncsm,scsm/cosine_excess': 0.3333333333333333}
    >>> named_values(row | {"value": 0.8, "null_mean": None, "excess": None, "z": None})
    {}
    """
    if not _is_number(row["value"]):
        return {}
    if row["metric"] in SIMILARITY_INDICES and not _is_number(row["null_mean"]):
        return {}
    name = name_of(row)
    return {
        f"{name}{suffix}": float(row[column])
        for suffix, column in _SUFFIX_COLUMNS.items()
        if _is_number(row[column])
    }


def name_of(row: Row) -> str:
    """Return the name of a row's curve.

    >>> name_of({"metric": "idm", "of": "scsm", "variant": "all", "split": "test", "reference": "wordnet3.0-wup"})
    'idm/scsm/all/test/wordnet3.0-wup'
    """
    parts = [row[column] for column in _NAME_COLUMNS if _text(row[column])]
    reference = _text(row["reference"])
    if reference is not None and reference not in UNNAMED_REFERENCES:
        parts.append(reference)
    return "/".join(parts)


def plain(name: str) -> str:
    """Return a name for trackers that support only letters, digits, ``_`` and ``/``.

    >>> plain("sai/ncsm,ccsm-test/cosine_z"), plain("wsi/ncsm/max@0.9")
    ('sai/ncsm_ccsm_test/cosine_z', 'wsi/ncsm/max_0_9')
    """
    return re.sub(r"[^\w/]", "_", name, flags=re.ASCII)


def _is_number(value: Any) -> bool:
    """Return whether a cell holds a finite number, and not the NA of pandas."""
    return isinstance(value, Real) and isfinite(value)


def _text(value: Any) -> str | None:
    """Return the text in a cell; None if it is empty."""
    return value if isinstance(value, str) else None
