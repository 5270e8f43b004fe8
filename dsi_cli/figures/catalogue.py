"""The figures that there are: the verb, the docs and the tests read this table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError, nearest
from dsi_cli.figures import contact_sheet, curves, dendrogram, heatmaps, training, typicality
from dsi_cli.figures.asked import Asked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dsi_cli.store.runs import Run

__all__ = ["FIGURES", "Asked", "Entry", "entry"]

Draw = Callable[["Run", Asked], "Figure | None"]
"""Returns the figure, drawn in the style asked for; None where the output has nothing for it."""


class Entry(NamedTuple):
    """One figure."""

    name: str
    """To type, and the file's name."""
    title: str
    """What it shows, for the list of figures."""
    draw: Draw


FIGURES = (
    Entry("sai", "SAI of every two matrices, each beside its chance level", partial(curves.draw, "sai")),
    Entry("excess", "the same above chance: 0 is chance, 1 identity", partial(curves.draw, "excess")),
    Entry("wsi", "WSI: how alike the classifier's rows are (mean, max, min)", partial(curves.draw, "wsi")),
    Entry("idm", "IDM: how near answers fall to the truth, beside chance", partial(curves.draw, "idm")),
    Entry("idm_errors", "the same over mistakes alone", partial(curves.draw, "idm_errors")),
    Entry("accuracy", "accuracy", partial(curves.draw, "accuracy")),
    Entry("loss", "loss", partial(curves.draw, "loss")),
    Entry("learning_rate", "learning rate", partial(curves.draw, "learning_rate")),
    Entry("training", "SAI with loss and learning rate, on twin axes", training.draw),
    Entry("mistakes", "number of mistakes", partial(curves.draw, "mistakes")),
    Entry("severity", "how far up the taxonomy mistakes meet the truth", partial(curves.draw, "severity")),
    Entry("reliability", "how much of the confusion matrix is no noise", partial(curves.draw, "reliability")),
    Entry("mean_row", "length of the classifier's mean row", partial(curves.draw, "mean_row")),
    Entry("typicality", "how typical right and wrong samples are", typicality.curves),
    Entry("typicality_table", "the same as a table", typicality.table),
    Entry("typicality_histograms", "the same, sample by sample", typicality.histograms),
    Entry("contact_sheet", "the most telling mistakes of the last epoch, as images", contact_sheet.draw),
    Entry("heatmaps", "similarity matrices at chosen epochs, side by side", heatmaps.figure),
    Entry("dendrogram", "the classes' clustering beside its matrix", dendrogram.figure),
)


def entry(name: str) -> Entry:
    """Return the figure of a name.

    Raises
    ------
    UsageError
        There is none; the message says which is meant, or where they are listed.
    """
    found = {one.name: one for one in FIGURES}
    if name not in found:
        near = nearest(name, found)
        raise UsageError(f"no figure {name!r}: {f'did you mean {near}?' if near else 'dsi plot OUT --list names them'}")
    return found[name]
