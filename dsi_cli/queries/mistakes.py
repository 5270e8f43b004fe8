"""The worst mistakes and the most confused pairs of classes of an epoch, as tables.

Each mistake has two ranks of the predicted class among the classes other than the
truth: by the network's similarity at that epoch (``rank``) and by WordNet similarity
(``wordnet_rank``), see `dsi_cli.queries.matrices`. Its ``farness`` is the mean of the
two ranks, each divided by its largest rank, in (0, 1]; only the known one if the other
is missing. Missing values are NaN. ``surprise`` is True if the network finds the two
classes closer than WordNet explains (`dsi_cli.queries.matrices.surprising_pairs`).

The surest mistakes are those at the most of the last epochs. On training images they
show mislabelled images: the network predicts another class than the label again and
again, although it was trained on the label.

The ``attrs`` of a table describe it: ``title`` and ``legend`` for readers, the chosen
``run``, ``epoch``, ``split``, ``truth``, ``prediction``, ``order`` and ``most``, the
number of mistakes or pairs that were ``found``, the matrix of the ranks as ``own``
(ncsm or tncsm; None if the run has neither at that epoch), the largest ranks as
``furthest`` and ``wordnet_furthest``, and the name of the ``reference``.
"""

from __future__ import annotations

from typing import Any

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
SUREST = "surest"
SAMPLE_ORDERS = ORDERS | {
    SUREST: "predicted so at the most of the last epochs first, then by score"
}
MAX_LAST_EPOCHS = 5  # the last stored epochs that count for the surest mistakes
# of the farness when it is sorted, so that values that differ only by rounding are ties
FARNESS_DIGITS = 12
Indices = NDArray[np.integer]


def worst_mistakes(
    results: Results,
    *,
    run: str | None = None,
    epoch: int | None = None,
    split: str = "test",
    truth: str | None = None,
    prediction: str | None = None,
    order: str | None = None,
    most: int = 10,
) -> pd.DataFrame:
    """Return the wrongly predicted samples, sorted by farness, then by falling score,
    then by sample number: ``sample``, ``path``, ``truth``, ``prediction``,
    ``truth_index``, ``prediction_index``, ``score``, ``rank``, ``wordnet_similarity``,
    ``wordnet_rank``, ``farness``, ``surprise``.

    The order ``surest`` sorts by the number of the last `MAX_LAST_EPOCHS` stored epochs
    with this prediction, ``epochs`` of ``of_epochs``, and lists samples with one or
    more. ``score`` is then the mean over these epochs, and the ranks are those of the
    last one.

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
    order : a key of `SAMPLE_ORDERS`; by default surest for the split train if both
        classes are given and the epoch is not, else unreasonable.
    most : the maximum number of rows.
    """
    if order is None:
        is_pair = truth is not None and prediction is not None
        is_of_train = split == "train" and epoch is None
        order = SUREST if is_pair and is_of_train else "unreasonable"
    require_choice("order", order, SAMPLE_ORDERS)
    is_surest = order == SUREST
    if is_surest and epoch is not None:
        raise UsageError(
            "the order surest is that of the last epochs, not of a single one",
            hint="leave out --epoch, or choose another order with --sort",
            code="options-conflict",
        )
    run, epoch = _run_and_epoch(results, PREDICTIONS, run, epoch, split)
    epochs = [epoch]
    if is_surest and epoch is not None:
        epochs = [*stored_epochs(results, PREDICTIONS, run, split)[-MAX_LAST_EPOCHS:]]
    names = class_names(results, run)
    distance = class_distance(results, epoch, split, run)
    is_listed = _pair_mask(names, truth, prediction)
    wrong_by_epoch = []
    for number in epochs:
        samples = results.predictions(number, split, run)
        wrong_by_epoch.append(
            samples[is_listed[samples["target"], samples["prediction"]]]
        )
    wrong = wrong_by_epoch[-1]
    if is_surest:
        wrong = _counted(wrong_by_epoch)
        first_key = -wrong["epochs"].to_numpy(dtype=np.float64)
    else:
        farness = distance.farness[wrong["target"], wrong["prediction"]]
        first_key = _farness_key(farness, order)
    # Missing values are last in each key.
    scores = wrong["score"].to_numpy(dtype=np.float64)
    shown = wrong.iloc[np.lexsort((wrong["sample"], -scores, first_key))[:most]]

    frame = shown[["sample", "path"]].reset_index(drop=True)
    _add_classes(frame, names, shown["target"], shown["prediction"])
    frame["score"] = shown["score"].to_numpy(dtype=np.float64)
    if is_surest:
        frame["epochs"] = shown["epochs"].to_numpy(dtype=np.int64)
        frame["of_epochs"] = len(epochs)
    frame.attrs |= {"run": run, "epoch": epoch, "split": split, "truth": truth}
    frame.attrs |= {"prediction": prediction, "order": order, "most": most}
    legend = SAMPLE_ORDERS[order]
    frame.attrs |= {"what": "mistakes", "found": len(wrong), "legend": legend}
    return _described(frame, results, distance, epochs[0])


def _counted(wrong_by_epoch: list[pd.DataFrame]) -> pd.DataFrame:
    """Return each mistake at some epochs once, with the number of these epochs and the
    mean score.
    """
    by_mistake = pd.concat(wrong_by_epoch).groupby(
        ["sample", "target", "prediction"], as_index=False
    )
    return by_mistake.agg(
        path=("path", "last"), score=("score", "mean"), epochs=("sample", "size")
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
    require_choice("order", order, ORDERS)
    run, epoch = _run_and_epoch(results, CONFUSIONS, run, epoch, split)
    counts = results.confusion(epoch, split, run).to_numpy()
    names = class_names(results, run)
    distance = class_distance(results, epoch, split, run)
    is_listed = _pair_mask(names, truth, prediction)
    target, predicted = np.nonzero(is_listed & (counts > 0))
    farness = distance.farness[target, predicted]
    found = counts[target, predicted]
    keys = (predicted, target, _farness_key(farness, order), -found)
    shown = np.lexsort(keys)[:most]

    frame = pd.DataFrame(index=range(len(shown)))
    _add_classes(frame, names, target[shown], predicted[shown])
    frame["count"] = found[shown]
    frame["share"] = frame["count"] / counts.sum(axis=1)[target[shown]]
    legend = f"most frequent first, then {ORDERS[order]}"
    frame.attrs |= {"run": run, "epoch": epoch, "split": split, "truth": truth}
    frame.attrs |= {"prediction": prediction, "order": order, "most": most}
    frame.attrs |= {"what": "pairs", "found": len(target), "legend": legend}
    return _described(frame, results, distance)


def _add_classes(
    frame: pd.DataFrame, names: list[str], truth: Any, prediction: Any
) -> None:
    frame["truth"] = [names[index] for index in truth]
    frame["prediction"] = [names[index] for index in prediction]
    frame["truth_index"] = np.asarray(truth, dtype=np.int64)
    frame["prediction_index"] = np.asarray(prediction, dtype=np.int64)


def _described(
    frame: pd.DataFrame,
    results: Results,
    distance: ClassDistance,
    first_epoch: int | None = None,
) -> pd.DataFrame:
    """Return the table with the ranks and the similarity of truth and prediction, and
    the rest of its description in ``attrs``. The first of several epochs is given.
    """
    pairs = frame["truth_index"], frame["prediction_index"]
    frame["rank"] = distance.rank[pairs]
    frame["wordnet_similarity"] = distance.wordnet[pairs]
    frame["wordnet_rank"] = distance.wordnet_rank[pairs]
    frame["farness"] = distance.farness[pairs]
    attrs = frame.attrs
    run, epoch, split = attrs["run"], attrs["epoch"], attrs["split"]
    frame["surprise"] = surprising_pairs(results, run, "ncsm", epoch, split)[pairs]

    own, wordnet = distance.furthest, distance.wordnet_furthest
    reference = reference_title(results, run)
    if own or wordnet:
        limit = own or wordnet
        attrs["legend"] += f"; ranks from 1, the most similar to the truth, to {limit}"
    if own and wordnet and own != wordnet:
        attrs["legend"] += f" ({reference}: {wordnet})"
    what, found = attrs["what"], attrs["found"]
    place = run if epoch is None else f"{run}, epoch {epoch}"
    if first_epoch not in (None, epoch):
        place = f"{run}, epochs {first_epoch} to {epoch}"
    listed = f"{len(frame):,} of {found:,} {what}" if len(frame) else f"no {what}"
    title = f"{place}, {split}: {listed}"
    if attrs["truth"] is not None:
        title += f" of {attrs['truth']}"
    if attrs["prediction"] is not None:
        title += f" predicted as {attrs['prediction']}"
    frame.attrs |= {
        "own": distance.own,
        "furthest": own,
        "wordnet_furthest": wordnet,
        "reference": reference,
        "title": title,
    }
    return frame


def _run_and_epoch(
    results: Results, table: Table, run: str | None, epoch: int | None, split: str
) -> tuple[str, int | None]:
    """Return the name of a run and its epoch, which is None for a run without epochs;
    the reader of the table raises the error for an unknown epoch.
    """
    name = results.run_name(run)
    results.require_matrices(name)
    require_choice("split", split, SPLITS)
    epochs = stored_epochs(results, table, name, split)
    if not epochs:
        raise _no_predictions(results, table, name, split)
    if not results.has_epochs(name):
        return name, None
    return name, epochs[-1] if epoch is None else epoch


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


def _pair_mask(
    names: list[str], truth: str | None, prediction: str | None
) -> NDArray[np.bool_]:
    """Return a mask of the pairs (truth, prediction) that are listed, without the
    diagonal.
    """
    matches = np.outer(
        match_class_name(truth, names), match_class_name(prediction, names)
    )
    np.fill_diagonal(matches, val=False)
    return matches


def _farness_key(farness: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    sign = -1 if order == "unreasonable" else 1
    return (sign * farness).round(FARNESS_DIGITS)
