"""The list of figures and their options, which the command ``dsi plot``, the
documentation and the tests read.

A figure's module is imported when the figure is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError, nearest
from dsi_cli.figures.style import SCREEN, Style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from dsi_cli.store.results import Results

Opener = Callable[[str], "Image"]
# draws a figure whose data were found, in the style of the options
Drawing = Callable[[], "Figure"]
FORMATS = ("png", "svg", "pdf")
# scales of a heat map: percentile ranks of pairs, or raw values
SCALES = (
    "rank",
    "raw",
)
ANIMATION, ANIMATION_FORMATS = "animation", ("gif", "webp", "mp4")
"""The name of the animation and its formats. It takes long, so dsi draws it only if it
is requested by name.
"""


@dataclass(frozen=True)
class FigureOptions:
    """The options of a figure; the figure chooses a value for each option that is
    None.
    """

    runs: tuple[str, ...] | None = (
        None  # names of the runs in drawing order; all runs if None
    )
    epochs: tuple[int, ...] | None = (
        None  # epoch numbers of the training run, for figures of single epochs
    )
    kind: str | None = None  # kind of the matrices: ncsm, ncsm_centred, ccsm or tncsm
    measure: str | None = None  # measure of the SAI; the first in the table if None
    order: str = (
        "taxonomy"  # order of the classes: one of `dsi_cli.queries.run_classes.ORDERS`
    )
    scale: str = "rank"  # scale of the heat maps: one of `SCALES`
    class_names: tuple[str, ...] | None = (
        None  # names of classes, for figures of single classes
    )
    style: Style = SCREEN
    open_image: Opener | None = None
    """Opens the image at a sample's path, for the contact sheet. The text of its
    ``UsageError`` appears on a grey tile.
    """

    def names(self, results: Results) -> list[str]:
        """Return the names of the runs in drawing order."""
        return list(dict.fromkeys(self.runs or results.names))


class FigureSpec(NamedTuple):
    """The description of one figure."""

    name: str  # the name on the command line and of the file
    title: str  # a description for the list of figures
    needs: (
        str  # the data that the figure needs, for messages such as "sai needs labels"
    )
    source: str = "curves.draw"
    """The module and the function that return the figure's `Drawing`, or None;
    ``curves.draw`` also takes the name.
    """

    def find(self, results: Results, options: FigureOptions) -> Drawing | None:
        """Return the function that draws the figure, or None if the results folder has
        no data for it.
        """
        module, _, name = self.source.partition(".")
        function = getattr(import_module(f"dsi_cli.figures.{module}"), name)
        arguments = (
            (self.name, results, options)
            if self.source == "curves.draw"
            else (results, options)
        )
        return function(*arguments)

    def draw(self, results: Results, options: FigureOptions) -> Figure | None:
        """Return the figure in the style of the options, or None if the results folder
        has no data for it.
        """
        drawing = self.find(results, options)
        return None if drawing is None else drawing()


_PREDICTIONS = "predictions (--predictions, or --test with --model)"
_MISTAKES = f"mistakes of three or more classes, from {_PREDICTIONS}"
_LABELS = "labels of four or more classes in WordNet (--labels)"
_ALIGNED = f"{_LABELS}, or {_PREDICTIONS}"
_LOG = "a training log (--log)"
_FEATURES = "features of samples (--test with --model)"
_IMAGES = "image files (--test DATA with --model)"
_MATRICES = "matrices, which dsi stores for up to 4,096 classes"
_WITH_WORDNET = f"{_LABELS}, and {_MATRICES}"


FIGURES = (
    FigureSpec(
        "agreement",
        "agreement of every two matrices with its 95 % CI: 0 is chance, 1 is perfect",
        _ALIGNED,
    ),
    FigureSpec(
        "agreement_accuracy",
        "agreement with WordNet against accuracy",
        f"{_LABELS}, and a training log (--log) or {_PREDICTIONS}",
        "curves.draw_against_accuracy",
    ),
    FigureSpec(
        "heatmaps",
        "similarity matrices at chosen epochs next to WordNet's",
        _MATRICES,
        "heatmaps.figure",
    ),
    FigureSpec(
        "difference",
        "rank of each pair in the network minus that in WordNet",
        _WITH_WORDNET,
        "heatmaps.difference",
    ),
    FigureSpec(
        "scatter",
        "rank of each pair in the network against that in WordNet",
        _WITH_WORDNET,
        "classes.scatter",
    ),
    FigureSpec(
        "agreement_by_class",
        "agreement of each class with WordNet as dots",
        _LABELS,
        "classes.agreement",
    ),
    FigureSpec(
        "neighbors",
        "rank (bump) chart of a class's neighbours over epochs (--class)",
        _MATRICES,
        "classes.neighbors",
    ),
    FigureSpec(
        "dendrogram",
        "trees of network and WordNet, facing each other (tanglegram)",
        _MATRICES,
        "dendrogram.figure",
    ),
    FigureSpec("sai", "SAI of every two matrices with its chance level", _ALIGNED),
    FigureSpec("excess", "SAI excess over chance: 0 is chance, 1 is perfect", _ALIGNED),
    FigureSpec(
        "wsi",
        "WSI: similarity of the classifier's weight rows (mean, max, min)",
        "a classifier",
    ),
    FigureSpec(
        "idm",
        "IDM: similarity of predictions to the true class, with chance level",
        f"three or more classes, and {_PREDICTIONS}",
    ),
    FigureSpec("idm_errors", "IDM over mistakes only", _MISTAKES),
    FigureSpec("accuracy", "accuracy", f"{_LOG}, or {_PREDICTIONS}"),
    FigureSpec("loss", "loss", f"{_LOG}, or --test with --model"),
    FigureSpec("learning_rate", "learning rate", _LOG),
    FigureSpec(
        "training",
        "agreement with loss and learning rate",
        f"{_LABELS}, and {_LOG}",
        "curves.draw_training",
    ),
    FigureSpec("mistakes", "number of mistakes", _PREDICTIONS),
    FigureSpec(
        "severity",
        "severity of mistakes: height of the lowest common hypernym",
        f"{_LABELS}, and {_MISTAKES}",
    ),
    FigureSpec(
        "hierarchy",
        "hierarchical precision, recall and F1",
        f"{_LABELS}, and {_PREDICTIONS}",
    ),
    FigureSpec(
        "levels",
        "accuracy at each level of the hierarchy",
        f"{_LABELS}, and {_PREDICTIONS}",
    ),
    FigureSpec(
        "gap",
        "overfitting gap: agreement with templates of train minus test",
        _FEATURES,
    ),
    FigureSpec(
        "reliability", "split-half reliability of the confusion matrix", _MISTAKES
    ),
    FigureSpec(
        "mean_row", "length of the classifier's mean weight row", "a classifier"
    ),
    FigureSpec(
        "geometry",
        "norms and drift of class vectors, and their distance from a simplex",
        "a classifier",
        "classes.geometry",
    ),
    FigureSpec(
        "typicality",
        "typicality of right and wrong samples",
        _FEATURES,
        "typicality.curves",
    ),
    FigureSpec(
        "typicality_table",
        "typicality of right and wrong samples as a table",
        _FEATURES,
        "typicality.table",
    ),
    FigureSpec(
        "typicality_histograms",
        "histograms of the typicality of single samples",
        _FEATURES,
        "typicality.histograms",
    ),
    FigureSpec(
        "contact_sheet",
        "the worst mistakes of the last epoch as images",
        _IMAGES,
        "image_grid.draw",
    ),
)
ANIMATION_SPEC = FigureSpec(
    ANIMATION,
    "matrix, WordNet and agreement, epoch by epoch (only if requested by name)",
    _MATRICES,
    "heatmaps.figure",
)
"""The animation, which `dsi_cli.figures.animation` writes. It needs the same data as
the heat maps, so ``find`` is theirs.
"""


def figure_spec(name: str) -> FigureSpec:
    """Return the description of a figure; raise `UsageError`, which suggests a name, if
    it does not exist.
    """
    by_name = {spec.name: spec for spec in (*FIGURES, ANIMATION_SPEC)}
    if name in by_name:
        return by_name[name]
    suggestion = nearest(name, by_name)
    hint = f"use {suggestion}" if suggestion else "dsi plot --list shows all figures"
    raise UsageError(
        f"there is no figure {name!r}: {hint}",
        code="unknown-figure",
        figure=name,
        suggestion=suggestion,
    )
