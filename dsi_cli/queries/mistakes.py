"""The most telling mistakes of an epoch: single samples, or pairs of classes.

Each mistake has two ranks of the prediction among the classes other than the target: one by the network's own similarity at
that epoch, one by WordNet's (`dsi_cli.queries.class_distance`). The list is sorted by `Mistake.farness`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, expected
from dsi_cli.queries.class_distance import Values, class_distance, number
from dsi_cli.queries.class_names import class_names, match_class_name
from dsi_cli.store import layout
from dsi_cli.store.schema import CONFUSIONS, PREDICTIONS, Table

if TYPE_CHECKING:
    from dsi_cli.store.results import Results

ORDERS = {"unreasonable": "furthest from the truth first", "reasonable": "nearest to the truth first"}
SPLITS = ("test", "train")
DIGITS = 12
"""Of the farness in comparisons: what is equal in exact arithmetic is equal."""


@dataclass(frozen=True)
class MistakeQuery:
    """Which mistakes are asked for."""

    run: str | None = None
    """None where there is one."""
    epoch: int | None = None
    """The trainer's own number; None for the last that there is."""
    split: str = "test"
    truth: str | None = None
    """A class's name: only its samples."""
    prediction: str | None = None
    """A class's name: only samples taken for it."""
    order: str = "unreasonable"
    most: int = 20


@dataclass(frozen=True)
class Mistake:
    """One sample that was predicted wrong; None where something does not exist."""

    sample: int
    path: str | None
    truth: str
    prediction: str
    truth_index: int
    prediction_index: int
    score: float | None
    rank: float | None
    """In the network's own similarity."""
    wordnet_similarity: float | None
    wordnet_rank: float | None
    farness: float | None
    """The mean of the two ranks, each over the furthest; where one does not exist, the other; in (0, 1]."""


@dataclass(frozen=True)
class ConfusedPair:
    """Samples of one class that were predicted as one other; fields as for `Mistake`."""

    truth: str
    prediction: str
    truth_index: int
    prediction_index: int
    count: int
    share: float
    """Of the class's samples."""
    rank: float | None
    wordnet_similarity: float | None
    wordnet_rank: float | None
    farness: float | None


Row = TypeVar("Row", Mistake, ConfusedPair)


@dataclass(frozen=True)
class MistakeList(Generic[Row]):
    """Some of the mistakes that fit, and what they are part of."""

    what: str
    """mistakes or pairs."""
    asked: MistakeQuery
    """With run and epoch filled in."""
    own: str | None
    """The matrix of ``rank``: ncsm or tncsm; None where the run has neither at that epoch."""
    furthest: int | None
    """The furthest rank in it."""
    wordnet_furthest: int | None
    found: int
    """How many samples, or pairs, fit."""
    rows: list[Row]

    @property
    def title(self) -> str:
        """One line that says what these are."""
        of = "" if self.asked.truth is None else f" of {self.asked.truth}"
        taken_for = "" if self.asked.prediction is None else f" taken for {self.asked.prediction}"
        number = f"{len(self.rows):,} of {self.found:,} {self.what}" if self.rows else f"no {self.what}"
        when = "" if self.asked.epoch is None else f"epoch {self.asked.epoch}, "
        return f"{self.asked.run}, {when}{self.asked.split}: {number}{of}{taken_for}"

    @property
    def legend(self) -> str:
        """One line that says in which order they are, and what ranks mean."""
        first = "most frequent first, then " if self.what == "pairs" else ""
        own, wordnet = self.furthest, self.wordnet_furthest
        last = f"{own or wordnet}" + (f" (WordNet: {wordnet})" if own and wordnet and own != wordnet else "")
        ranks = f"; ranks from 1, the most similar to the truth, to {last}" if own or wordnet else ""
        return f"{first}{ORDERS[self.asked.order]}{ranks}"


def worst_mistakes(run: Results, query: MistakeQuery | None = None) -> MistakeList[Mistake]:
    """Return the samples that were predicted wrong, furthest (or nearest) first, then by falling score, then by sample number.

    Raises
    ------
    UsageError
        There is no such run, split, epoch, class or order, or it has no predictions; the message says what there is.
    """
    query = _settled(run, query or MistakeQuery(), PREDICTIONS)
    frame = run.predictions(query.epoch, query.split, query.run)
    names, near = class_names(run, query.run), class_distance(run, query.epoch, query.split, query.run)
    wrong = frame[_chosen(names, query)[frame["target"], frame["prediction"]]]
    farness, score = near.farness[wrong["target"], wrong["prediction"]], wrong["score"].to_numpy(dtype=np.float64)
    order = np.lexsort((wrong["sample"], _last(-score), _by_farness(farness, query)))[: query.most]
    rows = [
        Mistake(
            sample=int(row["sample"]),
            path=row["path"] if isinstance(row["path"], str) else None,
            truth=names[row["target"]],
            prediction=names[row["prediction"]],
            truth_index=int(row["target"]),
            prediction_index=int(row["prediction"]),
            score=number(row["score"]),
            farness=number(farness[one]),
            **near.of(row["target"], row["prediction"]),
        )
        for one, row in zip(order, wrong.iloc[order].to_dict("records"), strict=True)
    ]
    return MistakeList("mistakes", query, near.own, near.furthest, near.wordnet_furthest, len(wrong), rows)


def confused_pairs(run: Results, query: MistakeQuery | None = None) -> MistakeList[ConfusedPair]:
    """Return the pairs of classes that were confused, most frequent first, then furthest (or nearest), then by class index.

    They come from the confusion counts; errors as for `worst_mistakes`.
    """
    query = _settled(run, query or MistakeQuery(), CONFUSIONS)
    counts = run.confusion(query.epoch, query.split, query.run).to_numpy()
    names, near = class_names(run, query.run), class_distance(run, query.epoch, query.split, query.run)
    samples, farness = counts.sum(axis=1), near.farness
    truth, prediction = np.nonzero(_chosen(names, query) & (counts > 0))
    keys = (prediction, truth, _by_farness(farness[truth, prediction], query), -counts[truth, prediction])
    order = np.lexsort(keys)[: query.most]
    rows = [
        ConfusedPair(
            truth=names[i],
            prediction=names[j],
            truth_index=i,
            prediction_index=j,
            count=int(counts[i, j]),
            share=float(counts[i, j] / samples[i]),
            farness=number(farness[i, j]),
            **near.of(i, j),
        )
        for i, j in zip(truth[order].tolist(), prediction[order].tolist(), strict=True)
    ]
    return MistakeList("pairs", query, near.own, near.furthest, near.wordnet_furthest, len(truth), rows)


def _settled(run: Results, query: MistakeQuery, table: Table) -> MistakeQuery:
    """Return what is asked for, with run and epoch; whether there is that epoch, the reader of the table says."""
    if query.order not in ORDERS:
        raise UsageError(f"no order {query.order!r}: {expected(query.order, ORDERS)}")
    if query.split not in SPLITS:
        raise UsageError(f"no split {query.split!r}: {expected(query.split, SPLITS)}")
    run.epochs(query.run)  # says so where there is no such run
    name = query.run if query.run is not None else run.names[0]
    run.require_matrices(name)
    known = epochs_of(run, table, name, query.split)
    if not known:
        raise UsageError(f"no {table.path} on {query.split} in run {name!r}: {_instead(run, table, name, query.split)}")
    if not run.has_epochs(name):
        return replace(query, run=name, epoch=None)
    return replace(query, run=name, epoch=known[-1] if query.epoch is None else query.epoch)


def epochs_of(run: Results, table: Table, name: str, split: str) -> list[int]:
    """Return the epochs of a run's split that a table of answers has."""
    folder = layout.split_path(run.path, table, name, split, 0).parent
    return sorted(int(path.stem) for path in folder.glob("*.parquet") if path.stem.isdecimal())


def _instead(run: Results, table: Table, name: str, split: str) -> str:
    """Return what to do where a split has nothing."""
    if epochs_of(run, CONFUSIONS, name, split):
        return "there are confusion counts alone; ask for --pairs"
    there = next((other for other in SPLITS if epochs_of(run, table, name, other)), None)
    if there is not None:
        return f"they are on {there}; ask for --split {there}"
    return f"dsi analyze makes them with --{split} DATA and --model, or with --predictions"


def _chosen(names: list[str], query: MistakeQuery) -> NDArray[np.bool_]:
    """Return which pairs (truth, prediction) are asked for; never a class with itself."""
    truth, prediction = (match_class_name(name, names) for name in (query.truth, query.prediction))
    return truth[:, None] & prediction[None, :] & ~np.eye(len(names), dtype=bool)


def _by_farness(farness: Values, query: MistakeQuery) -> Values:
    return _last((-farness if query.order == "unreasonable" else farness).round(DIGITS))


def _last(key: Values) -> Values:
    """Return a key to sort by, with what is not known last."""
    return np.where(np.isnan(key), np.inf, key)
