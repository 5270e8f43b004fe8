"""The logged values of each run: every curve under a name, with one step per epoch.

A name consists of columns of the curves table, joined with ``/``: metric, ``of``,
variant, split, and the reference if it is not the usual one. Examples are
``sai/ncsm,scsm/spearman``, ``idm/scsm/errors/test`` and ``loss/train``. A curve with a
chance level has further curves with the suffixes ``_chance``, ``_excess`` and ``_z``,
as in the callbacks. A SAI or IDM without a chance level is not logged. If an epoch was
saved several times, the last save counts.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from typing import Any

from dsi_cli.queries.curve_panels import UNNAMED_REFERENCES
from dsi_cli.remote import urls
from dsi_cli.store.results import Results

# metrics that are meaningless without their chance level
SIMILARITY_INDICES = (
    "sai",
    "idm",
)
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
    left_out: list[str]  # the names of similarity indices without a chance level

    @property
    def count(self) -> int:
        """The number of points."""
        return sum(len(epoch.values) for epoch in self.epochs)


def points_of_results(results: Results, run: str | None = None) -> list[RunPoints]:
    """Return the logged values of a run in a results folder, or of all runs; raise
    `UsageError` if the run does not exist.
    """
    names = results.names if run is None else [results.run_name(run)]
    return [_points_of_run(results, name) for name in names]


def _points_of_run(results: Results, run: str) -> RunPoints:
    saves: list[Any] = results.last_saves(results.usable_checkpoints(run)).to_dict(
        "records"
    )
    times = {
        int(row["epoch"]): row["modified_ns"] / 1e9
        for row in saves
        if _is_number(row["modified_ns"])
    }
    values: dict[int, dict[str, float]] = {}
    left_out: dict[str, None] = {}
    curves = results.rows_of("curves", run)
    points: list[Any] = results.last_saves(curves, *_NAME_COLUMNS, "reference").to_dict(
        "records"
    )
    for row in points:
        row_values = named_values(row)
        if row_values is None:
            left_out[name_of(row)] = None
            continue
        row_values |= {
            column: float(row[column])
            for column in ("epochs_completed", "step")
            if _is_number(row[column])
        }
        values.setdefault(int(row["epoch"]), {}).update(row_values)
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
    return RunPoints(run, key, output, epochs, list(left_out))


def named_values(row: dict[str, Any]) -> dict[str, float] | None:
    """Return the values in a row of the curves table by name; None for a similarity
    index without a chance level.

    >>> row = {"metric": "sai", "of": "ncsm,scsm", "variant": "cosine", "split": None, "reference": "wordnet3.0-path"}
    >>> named_values(row | {"value": 0.8, "null_mean": 0.7, "excess": 1 / 3, "z": None})
    {'sai/ncsm,scsm/cosine': 0.8, 'sai/ncsm,scsm/cosine_chance': 0.7, 'sai/ncsm,scsm/cosine_excess': 0.3333333333333333}
    >>> named_values(row | {"value": 0.8, "null_mean": None, "excess": None, "z": None}) is None
    True
    """
    if not _is_number(row["value"]):
        return {}
    if row["metric"] in SIMILARITY_INDICES and not _is_number(row["null_mean"]):
        return None
    name = name_of(row)
    return {
        f"{name}{suffix}": float(row[column])
        for suffix, column in _SUFFIX_COLUMNS.items()
        if _is_number(row[column])
    }


def name_of(row: dict[str, Any]) -> str:
    """Return the name of a row's curve.

    >>> name_of({"metric": "idm", "of": "scsm", "variant": "all", "split": "test", "reference": "wordnet3.0-wup"})
    'idm/scsm/all/test/wordnet3.0-wup'
    """
    parts = [row[column] for column in _NAME_COLUMNS if isinstance(row[column], str)]
    reference = row["reference"]
    if isinstance(reference, str) and reference not in UNNAMED_REFERENCES:
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
