"""The figures that there are: the verb, the docs and the tests read this table."""

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
"""Returns the figure, drawn in the style asked for; None where the output has nothing for it."""


class FigureSpec(NamedTuple):
    """One figure."""

    name: str
    """To type, and the file's name."""
    title: str
    """What it shows, for the list of figures."""
    draw: Draw
    needs: str
    """What an analysis wants for it, in words that go on "needs": the reason where there is no data."""


_PREDICTIONS = "predictions (--predictions, or --test with --model)"
_LABELS = "labels that WordNet knows (--labels)"
_ALIGNED = f"{_LABELS}, or {_PREDICTIONS}"
_LOG = "a training log (--log)"
_FEATURES = "features of samples (--test with --model)"
_MATRICES = "matrices, which are stored of up to 4,096 classes"

FIGURES = (
    FigureSpec("sai", "SAI of every two matrices, each beside its chance level", partial(curves.draw, "sai"), _ALIGNED),
    FigureSpec("excess", "the same above chance: 0 is chance, 1 identity", partial(curves.draw, "excess"), _ALIGNED),
    FigureSpec(
        "wsi", "WSI: how alike the classifier's rows are (mean, max, min)", partial(curves.draw, "wsi"), "a classifier"
    ),
    FigureSpec("idm", "IDM: how near answers fall to the truth, beside chance", partial(curves.draw, "idm"), _PREDICTIONS),
    FigureSpec("idm_errors", "the same over mistakes alone", partial(curves.draw, "idm_errors"), _PREDICTIONS),
    FigureSpec("accuracy", "accuracy", partial(curves.draw, "accuracy"), f"{_LOG}, or {_PREDICTIONS}"),
    FigureSpec("loss", "loss", partial(curves.draw, "loss"), f"{_LOG}, or --test with --model"),
    FigureSpec("learning_rate", "learning rate", partial(curves.draw, "learning_rate"), _LOG),
    FigureSpec("training", "SAI with loss and learning rate, on twin axes", training.draw, f"{_LABELS}, and {_LOG}"),
    FigureSpec("mistakes", "number of mistakes", partial(curves.draw, "mistakes"), _PREDICTIONS),
    FigureSpec(
        "severity",
        "how far up the taxonomy mistakes meet the truth",
        partial(curves.draw, "severity"),
        f"{_LABELS}, and {_PREDICTIONS}",
    ),
    FigureSpec(
        "reliability",
        "how much of the confusion matrix is no noise",
        partial(curves.draw, "reliability"),
        _PREDICTIONS,
    ),
    FigureSpec("mean_row", "length of the classifier's mean row", partial(curves.draw, "mean_row"), "a classifier"),
    FigureSpec("typicality", "how typical right and wrong samples are", typicality.curves, _FEATURES),
    FigureSpec("typicality_table", "the same as a table", typicality.table, _FEATURES),
    FigureSpec("typicality_histograms", "the same, sample by sample", typicality.histograms, _FEATURES),
    FigureSpec(
        "contact_sheet",
        "the most telling mistakes of the last epoch, as images",
        image_grid.draw,
        "image files (--test DATA with --model)",
    ),
    FigureSpec("heatmaps", "similarity matrices at chosen epochs, side by side", heatmaps.figure, _MATRICES),
    FigureSpec("dendrogram", "the classes' clustering beside its matrix", dendrogram.figure, _MATRICES),
)
MOVING = FigureSpec(ANIMATION, "a matrix epoch by epoch beside its SAI; only where named", heatmaps.figure, _MATRICES)
"""Written by `dsi_cli.figures.animation`; it has data where heat maps have, which stand for it here."""


def figure_spec(name: str) -> FigureSpec:
    """Return the figure of a name.

    Raises
    ------
    UsageError
        There is none; the message says which is meant, or where they are listed.
    """
    found = {one.name: one for one in (*FIGURES, MOVING)}
    if name not in found:
        near = nearest(name, found)
        raise UsageError(f"no figure {name!r}: {f'did you mean {near}?' if near else 'dsi plot --list names them'}")
    return found[name]
