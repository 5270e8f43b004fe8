"""The worst mistakes and the most confused pairs of classes of an epoch.

Each mistake has two ranks of the predicted class among the classes other than the
truth: by the network's similarity at that epoch and by WordNet similarity
(`dsi_cli.queries.matrices`). Mistakes are sorted by `Mistake.farness`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, require_choice
from dsi_cli.queries.matrices import Ranks, class_distance, none_if_nan, reference_title
from dsi_cli.queries.run_classes import class_names, match_class_name
from dsi_cli.store import layout
from dsi_cli.store.results import Results
from dsi_cli.store.schema import CONFUSIONS, PREDICTIONS, SPLITS, Table

ORDERS = {
    "unreasonable": "furthest from the truth first",
    "reasonable": "nearest to the truth first",
}
# of the farness when it is sorted, so that values that differ only by rounding are ties
FARNESS_DIGITS = 12


@dataclass(frozen=True)
class MistakeQuery:
    """The options of a list of mistakes."""

    run: str | None = (
        None  # the name of the run; optional if the results folder has one run
    )
    epoch: int | None = (
        None  # the trainer's epoch number; the last epoch with predictions if None
    )
    split: str = "test"
    truth: str | None = (
        None  # the name of the class whose samples are listed; all if None
    )
    prediction: str | None = None  # the name of the predicted class; all if None
    order: str = "unreasonable"  # a key of `ORDERS`
    most: int = 10  # the maximum number of rows


@dataclass(frozen=True)
class Mistake:
    """One wrongly predicted sample; missing values are None."""

    sample: int
    path: str | None
    truth: str
    prediction: str
    truth_index: int
    prediction_index: int
    score: float | None
    rank: float | None  # the rank by the network's similarity, from 1
    wordnet_similarity: float | None
    wordnet_rank: float | None
    farness: float | None
    """The mean of the two ranks, each divided by its largest rank, in (0, 1]; only the
    known one if the other is missing.
    """
    surprise: bool = False
    """True if the prediction is near by one similarity and far by the other
    (`dsi_cli.queries.matrices.is_surprise`).
    """


@dataclass(frozen=True)
class ConfusedPair:
    """The samples of one class that were predicted as another one; `Mistake` documents
    the common fields.
    """

    truth: str
    prediction: str
    truth_index: int
    prediction_index: int
    count: int
    share: float  # the share of the class's samples
    rank: float | None
    wordnet_similarity: float | None
    wordnet_rank: float | None
    farness: float | None
    surprise: bool = False


Row = TypeVar("Row", Mistake, ConfusedPair)


@dataclass(frozen=True)
class MistakeList(Generic[Row]):
    """The first mistakes, or confused pairs, that match a query."""

    what: str  # mistakes or pairs
    query: MistakeQuery  # the query with run and epoch filled in
    # the matrix of ``rank``, ncsm or tncsm; None if the run has neither at that epoch
    own: str | None
    furthest: int | None  # the largest rank in that matrix
    wordnet_furthest: int | None  # the largest WordNet rank
    found: int  # the number of samples, or pairs, that match
    rows: list[Row]
    reference: str = (
        "WordNet"  # the name of the matrix of the WordNet values for readers
    )

    @property
    def title(self) -> str:
        """The title of the list, in one line."""
        query = self.query
        title = (
            f"{query.run}, "
            if query.epoch is None
            else f"{query.run}, epoch {query.epoch}, "
        )
        title += f"{query.split}: "
        title += (
            f"{len(self.rows):,} of {self.found:,} {self.what}"
            if self.rows
            else f"no {self.what}"
        )
        if query.truth is not None:
            title += f" of {query.truth}"
        if query.prediction is not None:
            title += f" predicted as {query.prediction}"
        return title

    @property
    def legend(self) -> str:
        """The order of the rows and the range of the ranks, in one line."""
        legend = ORDERS[self.query.order]
        if self.what == "pairs":
            legend = f"most frequent first, then {legend}"
        own, wordnet = self.furthest, self.wordnet_furthest
        if own or wordnet:
            legend += (
                f"; ranks from 1, the most similar to the truth, to {own or wordnet}"
            )
        if own and wordnet and own != wordnet:
            legend += f" ({self.reference}: {wordnet})"
        return legend


def worst_mistakes(
    results: Results, query: MistakeQuery | None = None
) -> MistakeList[Mistake]:
    """Return the wrongly predicted samples, sorted by farness, then by falling score,
    then by sample number.

    Raise `UsageError` if the run, split, epoch, class or order does not exist, or the
    epoch has no predictions; the message lists those that exist.
    """
    query = _fill_defaults(results, query or MistakeQuery(), PREDICTIONS)
    frame = results.predictions(query.epoch, query.split, query.run)
    names, distance = (
        class_names(results, query.run),
        class_distance(results, query.epoch, query.split, query.run),
    )
    wrong = frame[_pair_mask(names, query)[frame["target"], frame["prediction"]]]
    # Missing values are last in each key.
    farness = _farness_key(
        distance.farness[wrong["target"], wrong["prediction"]], query
    )
    order = np.lexsort(
        (wrong["sample"], -wrong["score"].to_numpy(dtype=np.float64), farness)
    )[: query.most]
    rows = [
        Mistake(
            sample=int(row["sample"]),
            path=row["path"] if isinstance(row["path"], str) else None,
            truth=names[row["target"]],
            prediction=names[row["prediction"]],
            truth_index=int(row["target"]),
            prediction_index=int(row["prediction"]),
            score=none_if_nan(row["score"]),
            **distance.pair(row["target"], row["prediction"]),
        )
        for row in wrong.iloc[order].to_dict("records")
    ]
    ranks, reference = (
        (
            distance.own,
            distance.furthest,
            distance.wordnet_furthest,
        ),
        reference_title(results, query.run),
    )
    return MistakeList("mistakes", query, *ranks, len(wrong), rows, reference)


def confused_pairs(
    results: Results, query: MistakeQuery | None = None
) -> MistakeList[ConfusedPair]:
    """Return the confused pairs by count, then by farness, then by class index; errors
    as `worst_mistakes`.
    """
    query = _fill_defaults(results, query or MistakeQuery(), CONFUSIONS)
    counts = results.confusion(query.epoch, query.split, query.run).to_numpy()
    names, distance = (
        class_names(results, query.run),
        class_distance(results, query.epoch, query.split, query.run),
    )
    samples = counts.sum(axis=1)
    truth, prediction = np.nonzero(_pair_mask(names, query) & (counts > 0))
    keys = (
        prediction,
        truth,
        _farness_key(distance.farness[truth, prediction], query),
        -counts[truth, prediction],
    )
    order = np.lexsort(keys)[: query.most]
    rows = [
        ConfusedPair(
            truth=names[i],
            prediction=names[j],
            truth_index=i,
            prediction_index=j,
            count=int(counts[i, j]),
            share=float(counts[i, j] / samples[i]),
            **distance.pair(i, j),
        )
        for i, j in zip(truth[order].tolist(), prediction[order].tolist(), strict=True)
    ]
    ranks, reference = (
        (
            distance.own,
            distance.furthest,
            distance.wordnet_furthest,
        ),
        reference_title(results, query.run),
    )
    return MistakeList("pairs", query, *ranks, len(truth), rows, reference)


def _fill_defaults(results: Results, query: MistakeQuery, table: Table) -> MistakeQuery:
    """Return the query with run and epoch; the reader of the table raises the error for
    an unknown epoch.
    """
    require_choice("order", query.order, ORDERS)
    require_choice("split", query.split, SPLITS)
    run = results.run_name(query.run)
    results.require_matrices(run)
    epochs = stored_epochs(results, table, run, query.split)
    if not epochs:
        hint = (
            f"dsi analyze writes them with --{query.split} DATA and --model, or with"
            " --predictions"
        )
        other_split = next(
            (split for split in SPLITS if stored_epochs(results, table, run, split)),
            None,
        )
        if stored_epochs(results, CONFUSIONS, run, query.split):
            hint = "there are only confusion counts; add --pairs"
        elif other_split is not None:
            hint = f"they are on {other_split}; add --split {other_split}"
        message = f"no {table.path} on {query.split} in run {run!r}: {hint}"
        fields = {
            "table": table.path,
            "split": query.split,
            "run": run,
            "other_split": other_split,
        }
        raise UsageError(message, code="no-predictions", **fields)
    epoch = epochs[-1] if query.epoch is None else query.epoch
    return replace(query, run=run, epoch=epoch if results.has_epochs(run) else None)


def stored_epochs(results: Results, table: Table, run: str, split: str) -> list[int]:
    """Return the epochs of a run's split that have a file of a table, in order."""
    return layout.stored_epochs(
        layout.split_path(results.path, table, run, split, 0).parent
    )


def _pair_mask(names: list[str], query: MistakeQuery) -> NDArray[np.bool_]:
    """Return a mask of the pairs (truth, prediction) that match the query, without the
    diagonal.
    """
    matches = np.outer(
        match_class_name(query.truth, names), match_class_name(query.prediction, names)
    )
    np.fill_diagonal(matches, val=False)
    return matches


def _farness_key(farness: Ranks, query: MistakeQuery) -> Ranks:
    return (-farness if query.order == "unreasonable" else farness).round(
        FARNESS_DIGITS
    )
