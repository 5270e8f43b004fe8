"""The list of figures, which the command ``dsi plot``, the documentation and the tests read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError, nearest
from dsi_cli.figures import classes, curves, dendrogram, geometry, heatmaps, image_grid, pairs, training, typicality
from dsi_cli.figures.figure_options import ANIMATION, FigureOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dsi_cli.store.results import Results


__all__ = ["FIGURES", "MOVING", "FigureOptions", "FigureSpec", "figure_spec"]

Draw = Callable[["Results", FigureOptions], "Figure | None"]
"""Returns the figure in the style of the options, or None if the results folder has no data for it."""


class FigureSpec(NamedTuple):
    """The description of one figure."""

    name: str
    """The name on the command line and of the file."""
    title: str
    """A description for the list of figures."""
    draw: Draw
    needs: str
    """The data that the figure needs, for messages such as "sai needs labels"."""


_PREDICTIONS = "predictions (--predictions, or --test with --model)"
_LABELS = "labels in WordNet (--labels)"
_ALIGNED = f"{_LABELS}, or {_PREDICTIONS}"
_LOG = "a training log (--log)"
_FEATURES = "features of samples (--test with --model)"
_IMAGES = "image files (--test DATA with --model)"
_MATRICES = "matrices, which dsi stores for up to 4,096 classes"
_WITH_WORDNET = f"{_LABELS}, and {_MATRICES}"


def _curves(name: str, title: str, needs: str) -> FigureSpec:
    """Return the description of a figure of curves over epochs."""
    return FigureSpec(name, title, partial(curves.draw, name), needs)


FIGURES = (
    _curves("agreement", "agreement of every two matrices with its 95 % CI: 0 is chance, 1 is identical", _ALIGNED),
    FigureSpec(
        "agreement_accuracy",
        "agreement with WordNet against accuracy",
        curves.draw_against_accuracy,
        f"{_LABELS}, and a training log (--log) or {_PREDICTIONS}",
    ),
    FigureSpec("heatmaps", "similarity matrices at chosen epochs next to WordNet's", heatmaps.figure, _MATRICES),
    FigureSpec("difference", "rank of each pair in the network minus that in WordNet", heatmaps.difference, _WITH_WORDNET),
    FigureSpec("scatter", "rank of each pair in the network against that in WordNet", pairs.scatter, _WITH_WORDNET),
    FigureSpec("agreement_by_class", "agreement of each class with WordNet as dots", classes.agreement, _LABELS),
    FigureSpec(
        "neighbors", "rank (bump) chart of a class's neighbours over epochs (--class)", classes.neighbors, _MATRICES
    ),
    FigureSpec("dendrogram", "trees of network and WordNet, facing each other (tanglegram)", dendrogram.figure, _MATRICES),
    _curves("sai", "SAI of every two matrices with its chance level", _ALIGNED),
    _curves("excess", "SAI excess over chance: 0 is chance, 1 is identical", _ALIGNED),
    _curves("wsi", "WSI: similarity of the classifier's weight rows (mean, max, min)", "a classifier"),
    _curves("idm", "IDM: similarity of predictions to the true class, with chance level", _PREDICTIONS),
    _curves("idm_errors", "IDM over mistakes only", _PREDICTIONS),
    _curves("accuracy", "accuracy", f"{_LOG}, or {_PREDICTIONS}"),
    _curves("loss", "loss", f"{_LOG}, or --test with --model"),
    _curves("learning_rate", "learning rate", _LOG),
    FigureSpec("training", "agreement with loss and learning rate", training.draw, f"{_LABELS}, and {_LOG}"),
    _curves("mistakes", "number of mistakes", _PREDICTIONS),
    _curves("severity", "severity of mistakes: height of the lowest common hypernym", f"{_LABELS}, and {_PREDICTIONS}"),
    _curves("hierarchy", "hierarchical precision, recall and F1", f"{_LABELS}, and {_PREDICTIONS}"),
    _curves("levels", "accuracy at each level of the hierarchy", f"{_LABELS}, and {_PREDICTIONS}"),
    _curves("gap", "overfitting gap: agreement with templates of train minus test", _FEATURES),
    _curves("reliability", "split-half reliability of the confusion matrix", _PREDICTIONS),
    _curves("mean_row", "length of the classifier's mean weight row", "a classifier"),
    FigureSpec(
        "geometry", "norms and drift of class vectors, and their distance from a simplex", geometry.draw, "a classifier"
    ),
    FigureSpec("typicality", "typicality of right and wrong samples", typicality.curves, _FEATURES),
    FigureSpec("typicality_table", "typicality of right and wrong samples as a table", typicality.table, _FEATURES),
    FigureSpec("typicality_histograms", "histograms of the typicality of single samples", typicality.histograms, _FEATURES),
    FigureSpec("contact_sheet", "the worst mistakes of the last epoch as images", image_grid.draw, _IMAGES),
)
MOVING = FigureSpec(
    ANIMATION, "matrix, WordNet and agreement, epoch by epoch (only if requested by name)", heatmaps.figure, _MATRICES
)
"""The animation, which `dsi_cli.figures.animation` writes. It needs the same data as the heat maps, so ``draw`` is theirs."""


def figure_spec(name: str) -> FigureSpec:
    """Return the description of a figure.

    Raises
    ------
    UsageError
        There is no figure with this name. The message suggests a similar name or the list of figures.
    """
    by_name = {spec.name: spec for spec in (*FIGURES, MOVING)}
    if name in by_name:
        return by_name[name]
    suggestion = nearest(name, by_name)
    hint = f"use {suggestion}" if suggestion else "dsi plot --list shows all figures"
    raise UsageError(f"there is no figure {name!r}: {hint}", code="unknown-figure", figure=name, suggestion=suggestion)
