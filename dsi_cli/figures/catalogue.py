"""The list of figures, which the command ``dsi plot``, the documentation and the tests read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError, nearest
from dsi_cli.figures import curves, dendrogram, heatmaps, image_grid, training, typicality
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
_MATRICES = "matrices, which dsi stores for up to 4,096 classes"

FIGURES = (
    FigureSpec("sai", "SAI of every two matrices with its chance level", partial(curves.draw, "sai"), _ALIGNED),
    FigureSpec("excess", "SAI excess over chance: 0 is chance, 1 is identical", partial(curves.draw, "excess"), _ALIGNED),
    FigureSpec(
        "wsi",
        "WSI: similarity of the classifier's weight rows (mean, max, min)",
        partial(curves.draw, "wsi"),
        "a classifier",
    ),
    FigureSpec(
        "idm",
        "IDM: similarity of predictions to the true class, with chance level",
        partial(curves.draw, "idm"),
        _PREDICTIONS,
    ),
    FigureSpec("idm_errors", "IDM over mistakes only", partial(curves.draw, "idm_errors"), _PREDICTIONS),
    FigureSpec("accuracy", "accuracy", partial(curves.draw, "accuracy"), f"{_LOG}, or {_PREDICTIONS}"),
    FigureSpec("loss", "loss", partial(curves.draw, "loss"), f"{_LOG}, or --test with --model"),
    FigureSpec("learning_rate", "learning rate", partial(curves.draw, "learning_rate"), _LOG),
    FigureSpec("training", "SAI with loss and learning rate, on twin axes", training.draw, f"{_LABELS}, and {_LOG}"),
    FigureSpec("mistakes", "number of mistakes", partial(curves.draw, "mistakes"), _PREDICTIONS),
    FigureSpec(
        "severity",
        "severity of mistakes: height of the lowest common hypernym",
        partial(curves.draw, "severity"),
        f"{_LABELS}, and {_PREDICTIONS}",
    ),
    FigureSpec(
        "reliability",
        "split-half reliability of the confusion matrix",
        partial(curves.draw, "reliability"),
        _PREDICTIONS,
    ),
    FigureSpec("mean_row", "length of the classifier's mean weight row", partial(curves.draw, "mean_row"), "a classifier"),
    FigureSpec("typicality", "typicality of right and wrong samples", typicality.curves, _FEATURES),
    FigureSpec("typicality_table", "typicality of right and wrong samples as a table", typicality.table, _FEATURES),
    FigureSpec("typicality_histograms", "histograms of the typicality of single samples", typicality.histograms, _FEATURES),
    FigureSpec(
        "contact_sheet",
        "the worst mistakes of the last epoch as images",
        image_grid.draw,
        "image files (--test DATA with --model)",
    ),
    FigureSpec("heatmaps", "similarity matrices at chosen epochs, side by side", heatmaps.figure, _MATRICES),
    FigureSpec("dendrogram", "hierarchical clustering of the classes next to its matrix", dendrogram.figure, _MATRICES),
)
MOVING = FigureSpec(
    ANIMATION, "a matrix epoch by epoch with its SAI (only if requested by name)", heatmaps.figure, _MATRICES
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
