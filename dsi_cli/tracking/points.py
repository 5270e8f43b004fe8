"""What is logged of each run: every curve by a name, an epoch a step.

A name is what the curves table says, joined by ``/``: metric, ``of``, variant, split, and the reference where it is not the usual
one: ``sai/ncsm,scsm/spearman``, ``idm/scsm/errors/test``, ``loss/train``. What has a chance level has it beside it: ``_chance``,
``_excess`` and ``_z`` behind the name, as in the callbacks. A SAI or IDM without a chance level is not logged. Of an epoch that
was saved several times the last save counts.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from dsi_cli.queries.curve_panels import UNNAMED_REFERENCES
from dsi_cli.remote import local_names

if TYPE_CHECKING:
    import pandas as pd

    from dsi_cli.store.results import Results

NEVER_ALONE = ("sai", "idm")
"""The similarity indices: worth nothing without their chance level."""
_PARTS = {"": "value", "_chance": "null_mean", "_excess": "excess", "_z": "z"}
_NAMED_BY = ("metric", "of", "variant", "split")
_ALONGSIDE = ("epochs_completed", "step")
KEY_DIGITS = 16


@dataclass(frozen=True)
class EpochPoints:
    """What is logged of an epoch."""

    number: int
    """The trainer's own."""
    time: float
    """When its checkpoint was written, in seconds since 1970; 0 if the tables do not say."""
    values: dict[str, float]
    """By name, all finite."""


@dataclass(frozen=True)
class RunPoints:
    """What is logged of a run."""

    name: str
    key: str
    """Hexadecimal digits that stay the same when the run is logged again, see `key_of`."""
    output: str
    """The folder of the tables."""
    epochs: list[EpochPoints]
    """In order."""
    left_out: list[str]
    """Names of similarity indices that have no chance level."""

    @property
    def count(self) -> int:
        """The number of points."""
        return sum(len(epoch.values) for epoch in self.epochs)


def points_of_results(run: Results, name: str | None = None) -> list[RunPoints]:
    """Return what is logged of an output's runs.

    Parameters
    ----------
    run : the output
    name : one of its runs; all if None

    Raises
    ------
    UsageError
        There is no such run.
    """
    if name is not None:
        run.epochs(name)  # refuses a name that is not there
    return [_of_run(run, one) for one in (run.names if name is None else [name])]


def _of_run(run: Results, name: str) -> RunPoints:
    curves = run.fill_missing_epochs(run.curves[run.curves["run"] == name])
    saves = run.fill_missing_epochs(run.checkpoints[(run.checkpoints["run"] == name) & (run.checkpoints["status"] == "ok")])
    times = {int(row["epoch"]): int(row["modified_ns"]) / 1e9 for row in _last(saves) if _known(row["modified_ns"])}
    values: dict[int, dict[str, float]] = {}
    left_out: dict[str, None] = {}
    for row in _last(curves, "metric", "of", "variant", "split", "reference"):
        found = named_values(row)
        if found is None:
            left_out[name_of(row)] = None
            continue
        at = values.setdefault(int(row["epoch"]), {})
        at |= found | {column: float(row[column]) for column in _ALONGSIDE if _known(row[column])}
    epochs = [EpochPoints(epoch, times.get(epoch, 0.0), at) for epoch, at in sorted(values.items()) if at]
    return RunPoints(name, key_of(run, name), local_names.address(run.path), epochs, list(left_out))


def _last(rows: pd.DataFrame, *keys: str) -> list[dict[str, Any]]:
    """Return the rows of the last save of each epoch, as records."""
    ordered = rows.sort_values(["epoch", "step"], na_position="first", kind="stable")
    return cast("list[dict[str, Any]]", ordered.drop_duplicates(["epoch", *keys], keep="last").to_dict("records"))


def named_values(row: dict[str, Any]) -> dict[str, float] | None:
    """Return the values of a row of the curves table by name; None for a similarity index without a chance level.

    >>> row = {"metric": "sai", "of": "ncsm,scsm", "variant": "cosine", "split": None, "reference": "wordnet3.0-path"}
    >>> named_values(row | {"value": 0.8, "null_mean": 0.7, "excess": 1 / 3, "z": None})
    {'sai/ncsm,scsm/cosine': 0.8, 'sai/ncsm,scsm/cosine_chance': 0.7, 'sai/ncsm,scsm/cosine_excess': 0.3333333333333333}
    >>> named_values(row | {"value": 0.8, "null_mean": None, "excess": None, "z": None}) is None
    True
    """
    if not _known(row["value"]):
        return {}
    if row["metric"] in NEVER_ALONE and not _known(row["null_mean"]):
        return None
    name = name_of(row)
    return {f"{name}{ending}": float(row[column]) for ending, column in _PARTS.items() if _known(row[column])}


def name_of(row: dict[str, Any]) -> str:
    """Return what a row's curve is called.

    >>> name_of({"metric": "idm", "of": "scsm", "variant": "all", "split": "test", "reference": "wordnet3.0-wup"})
    'idm/scsm/all/test/wordnet3.0-wup'
    """
    parts = [row[column] for column in _NAMED_BY if isinstance(row[column], str)]
    reference = row["reference"]
    return "/".join(parts + ([reference] if isinstance(reference, str) and reference not in UNNAMED_REFERENCES else []))


def plain(name: str) -> str:
    """Return a name for trackers that know letters, digits, ``_`` and ``/`` alone.

    >>> plain("sai/ncsm,ccsm-test/cosine_z"), plain("wsi/ncsm/max@0.9")
    ('sai/ncsm_ccsm_test/cosine_z', 'wsi/ncsm/max_0_9')
    """
    return re.sub(r"[^\w/]", "_", name, flags=re.ASCII)


def key_of(run: Results, name: str) -> str:
    """Return hexadecimal digits that name a run wherever it is logged.

    They are made from the output's path or URL, the run's name and its first classifier: so another call on the same output means
    the same run, and another training in the same place, or another analysis of the same training, means a run of its own.
    """
    saves = run.checkpoints[(run.checkpoints["run"] == name) & (run.checkpoints["status"] == "ok")]
    first = [str(row["fingerprint"]) for row in _last(saves)[:1]]
    text = "\0".join([local_names.address(run.path), name, *first])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]


def _known(value: Any) -> bool:
    """Return whether a cell holds a finite number; pandas' own NA is neither true nor false."""
    try:
        return isfinite(value)
    except TypeError:
        return False
