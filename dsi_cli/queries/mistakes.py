"""The worst mistakes and the most confused pairs of classes of an epoch, as tables.

Each mistake has two ranks of the predicted class among the classes other than the
truth: by the network's similarity at that epoch (``rank``) and by WordNet similarity
(``wordnet_rank``), see `dsi_cli.queries.matrices`. Its ``farness`` is the mean of the
two ranks, each divided by its largest rank, in (0, 1]; only the known one if the other
is missing. Missing values are NaN. ``surprise`` is True if the network finds the two
classes closer than WordNet explains (`dsi_cli.queries.matrices.surprising_pairs`).

The ``attrs`` of a table describe it: ``title`` and ``legend`` for readers, the chosen
``run``, ``epoch``, ``split``, ``truth``, ``prediction``, ``order`` and ``most``, the
number of mistakes or pairs that were ``found``, the matrix of the ranks as ``own``
(ncsm or tncsm; None if the run has neither at that epoch), the largest ranks as
``furthest`` and ``wordnet_furthest``, and the name of the ``reference``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dsi_cli.errors import UsageError, require_choice
from dsi_cli.queries.matrices import (
    ClassDistance,
    class_distance,
    reference_title,
    surprising_pairs,
)
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
Indices = NDArray[np.integer]


class _Selection(NamedTuple):
    """The mistakes that are listed; the functions below document the fields."""

    run: str
    epoch: int | None
    split: str
    truth: str | None
    prediction: str | None
    order: str
    most: int


def worst_mistakes(
    results: Results,
    *,
    run: str | None = None,
    epoch: int | None = None,
    split: str = "test",
    truth: str | None = None,
    prediction: str | None = None,
    order: str = "unreasonable",
    most: int = 10,
) -> pd.DataFrame:
    """Return the wrongly predicted samples, sorted by farness, then by falling score,
    then by sample number: ``sample``, ``path``, ``truth``, ``prediction``,
    ``truth_index``, ``prediction_index``, ``score``, ``rank``, ``wordnet_similarity``,
    ``wordnet_rank``, ``farness``, ``surprise``.

    Raise `UsageError` if the run, split, epoch, class or order does not exist, or the
    epoch has no predictions; the message lists those that exist.

    Parameters
    ----------
    results : the results folder.
    run : the name of the run; optional if the results folder has one run.
    epoch : the trainer's epoch number; the last epoch with predictions by default.
    split : test or train.
    truth : the name of the class whose samples are listed; all by default.
    prediction : the name of the predicted class; all by default.
    order : a key of `ORDERS`.
    most : the maximum number of rows.
    """
    selection = _Selection(
        _run_with_matrices(results, run), epoch, split, truth, prediction, order, most
    )
    selection = _with_epoch(results, selection, PREDICTIONS)
    samples = results.predictions(selection.epoch, split, selection.run)
    names = class_names(results, selection.run)
    distance = class_distance(results, selection.epoch, split, selection.run)
    is_listed = _pair_mask(names, selection)
    wrong = samples[is_listed[samples["target"], samples["prediction"]]]
    # Missing values are last in each key.
    farness = distance.farness[wrong["target"], wrong["prediction"]]
    scores = wrong["score"].to_numpy(dtype=np.float64)
    keys = (wrong["sample"], -scores, _farness_key(farness, order))
    shown = wrong.iloc[np.lexsort(keys)[:most]]

    frame = shown[["sample", "path"]].reset_index(drop=True)
    _add_classes(frame, names, shown["target"], shown["prediction"])
    frame["score"] = shown["score"].to_numpy(dtype=np.float64)
    _add_distance(frame, distance)
    return _described(
        frame, results, selection, distance, "mistakes", len(wrong), ORDERS[order]
    )


def confused_pairs(
    results: Results,
    *,
    run: str | None = None,
    epoch: int | None = None,
    split: str = "test",
    truth: str | None = None,
    prediction: str | None = None,
    order: str = "unreasonable",
    most: int = 10,
) -> pd.DataFrame:
    """Return the confused pairs by count, then by farness, then by class index:
    ``truth``, ``prediction``, ``truth_index``, ``prediction_index``, ``count``,
    ``share`` of the class's samples, ``rank``, ``wordnet_similarity``,
    ``wordnet_rank``, ``farness``, ``surprise``.

    `worst_mistakes` documents the parameters and the errors.
    """
    selection = _Selection(
        _run_with_matrices(results, run), epoch, split, truth, prediction, order, most
    )
    selection = _with_epoch(results, selection, CONFUSIONS)
    counts = results.confusion(selection.epoch, split, selection.run).to_numpy()
    names = class_names(results, selection.run)
    distance = class_distance(results, selection.epoch, split, selection.run)
    target, predicted = np.nonzero(_pair_mask(names, selection) & (counts > 0))
    farness = distance.farness[target, predicted]
    found = counts[target, predicted]
    keys = (predicted, target, _farness_key(farness, order), -found)
    shown = np.lexsort(keys)[:most]

    frame = pd.DataFrame(index=range(len(shown)))
    _add_classes(frame, names, target[shown], predicted[shown])
    frame["count"] = found[shown]
    frame["share"] = frame["count"] / counts.sum(axis=1)[target[shown]]
    _add_distance(frame, distance)
    legend = f"most frequent first, then {ORDERS[order]}"
    return _described(frame, results, selection, distance, "pairs", len(target), legend)


def _add_classes(
    frame: pd.DataFrame, names: list[str], truth: Any, prediction: Any
) -> None:
    frame["truth"] = [names[index] for index in truth]
    frame["prediction"] = [names[index] for index in prediction]
    frame["truth_index"] = np.asarray(truth, dtype=np.int64)
    frame["prediction_index"] = np.asarray(prediction, dtype=np.int64)


def _add_distance(frame: pd.DataFrame, distance: ClassDistance) -> None:
    """Add the ranks and the similarity of truth and prediction."""
    pairs = frame["truth_index"], frame["prediction_index"]
    frame["rank"] = distance.rank[pairs]
    frame["wordnet_similarity"] = distance.wordnet[pairs]
    frame["wordnet_rank"] = distance.wordnet_rank[pairs]
    frame["farness"] = distance.farness[pairs]


def _described(
    frame: pd.DataFrame,
    results: Results,
    selection: _Selection,
    distance: ClassDistance,
    what: str,
    found: int,
    legend: str,
) -> pd.DataFrame:
    """Return the table with its description in ``attrs``."""
    own, wordnet = distance.furthest, distance.wordnet_furthest
    reference = reference_title(results, selection.run)
    if own or wordnet:
        legend += f"; ranks from 1, the most similar to the truth, to {own or wordnet}"
    if own and wordnet and own != wordnet:
        legend += f" ({reference}: {wordnet})"

    title = f"{selection.run}, "
    if selection.epoch is not None:
        title += f"epoch {selection.epoch}, "
    title += f"{selection.split}: "
    title += f"{len(frame):,} of {found:,} {what}" if len(frame) else f"no {what}"
    if selection.truth is not None:
        title += f" of {selection.truth}"
    if selection.prediction is not None:
        title += f" predicted as {selection.prediction}"
    frame.attrs |= selection._asdict()
    frame.attrs |= {
        "what": what,
        "found": found,
        "own": distance.own,
        "furthest": own,
        "wordnet_furthest": wordnet,
        "reference": reference,
        "title": title,
        "legend": legend,
    }
    is_surprise = surprising_pairs(
        results, selection.run, "ncsm", selection.epoch, selection.split
    )
    frame["surprise"] = is_surprise[frame["truth_index"], frame["prediction_index"]]
    return frame


def _run_with_matrices(results: Results, run: str | None) -> str:
    name = results.run_name(run)
    results.require_matrices(name)
    return name


def _with_epoch(results: Results, selection: _Selection, table: Table) -> _Selection:
    """Return the selection with its epoch; the reader of the table raises the error for
    an unknown epoch.
    """
    require_choice("order", selection.order, ORDERS)
    require_choice("split", selection.split, SPLITS)
    run, split = selection.run, selection.split
    epochs = stored_epochs(results, table, run, split)
    if not epochs:
        raise _no_predictions(results, table, run, split)
    if not results.has_epochs(run):
        return selection._replace(epoch=None)
    if selection.epoch is not None:
        return selection
    return selection._replace(epoch=epochs[-1])


def _no_predictions(results: Results, table: Table, run: str, split: str) -> UsageError:
    hint = f"dsi analyze writes them with --{split} DATA and --model"
    hint += ", or with --predictions"
    others = [name for name in SPLITS if stored_epochs(results, table, run, name)]
    if stored_epochs(results, CONFUSIONS, run, split):
        hint = "there are only confusion counts; add --pairs"
    elif others:
        hint = f"they are on {others[0]}; add --split {others[0]}"
    return UsageError(
        f"no {table.path} on {split} in run {run!r}: {hint}",
        code="no-predictions",
        table=table.path,
        split=split,
        run=run,
        other_split=next(iter(others), None),
    )


def stored_epochs(results: Results, table: Table, run: str, split: str) -> list[int]:
    """Return the epochs of a run's split that have a file of a table, in order."""
    path = layout.split_path(results.path, table, run, split, 0)
    return layout.stored_epochs(path.parent)


def _pair_mask(names: list[str], selection: _Selection) -> NDArray[np.bool_]:
    """Return a mask of the pairs (truth, prediction) that are listed, without the
    diagonal.
    """
    matches = np.outer(
        match_class_name(selection.truth, names),
        match_class_name(selection.prediction, names),
    )
    np.fill_diagonal(matches, val=False)
    return matches


def _farness_key(farness: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    sign = -1 if order == "unreasonable" else 1
    return (sign * farness).round(FARNESS_DIGITS)
