"""The list of figures and their options, which the command ``dsi plot``, the
documentation and the tests read.

A figure's module is imported when the figure is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from dsi_cli.errors import UsageError, nearest, suggestion
from dsi_cli.figures.style import SCREEN, Style
from dsi_cli.queries import matrices, mistakes
from dsi_cli.store.schema import PREDICTIONS, SPLITS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from dsi_cli.store.results import Results

Opener = Callable[[str], "Image"]
FORMATS = ("png", "svg", "pdf")
ANIMATION, ANIMATION_FORMATS = "animation", ("gif", "webp")
"""The name of the animation and its formats. It takes long, so dsi draws it only if it
is requested by name.
"""


@dataclass(frozen=True)
class FigureOptions:
    """The options of a figure; the figure chooses a value for each option that is
    None.
    """

    # names of the runs in drawing order; all runs if None
    runs: tuple[str, ...] | None = None
    # epoch numbers of the training run, for figures of single epochs
    epochs: tuple[int, ...] | None = None
    kind: str | None = None  # kind of the matrices: ncsm, ncsm_centred, ccsm or tncsm
    measure: str | None = None  # measure of the SAI; the first in the table if None
    # order of the classes: one of `dsi_cli.queries.run_classes.ORDERS`
    order: str = "taxonomy"
    style: Style = SCREEN
    open_image: Opener | None = None
    """Opens the image at a sample's path, for the contact sheet. The field
    ``reason`` of its `UsageError` appears on a grey tile.
    """

    def names(self, results: Results) -> list[str]:
        """Return the names of the runs in drawing order."""
        return list(dict.fromkeys(self.runs or results.names))


class FigureSpec(NamedTuple):
    """The description of one figure."""

    name: str  # the name on the command line and of the file
    title: str  # a description for the list of figures
    needs: (
        str  # the data that the figure needs, for messages such as "wsi needs labels"
    )
    module: str = "curves"
    """The module whose function ``figure`` returns the figure, or None without data;
    that of ``curves`` also takes the name.
    """

    def draw(self, results: Results, options: FigureOptions) -> Figure | None:
        """Return the figure in the style of the options, or None if the results folder
        has no data for it.
        """
        function = import_module(f"dsi_cli.figures.{self.module}").figure
        if self.module == "curves":
            return function(self.name, results, options)
        return function(results, options)


_PREDICTIONS = "predictions (--predictions, or --test with --model)"
_LABELS = "labels of four or more classes in WordNet (--labels)"
_MATRICES = "matrices, which dsi stores for up to 4,096 classes"

FIGURES = (
    FigureSpec(
        "agreement",
        "agreement of every two matrices with its 95 % CI, or another --measure",
        f"{_LABELS}, or {_PREDICTIONS}",
    ),
    FigureSpec(
        "idm_errors",
        "NIDM and WIDM: how near mistakes fall to the true class, with chance level",
        f"mistakes of three or more classes, from {_PREDICTIONS}",
    ),
    FigureSpec(
        "wsi",
        "WSI: similarity of the classifier's weight rows (mean, max, min)",
        "a classifier",
    ),
    FigureSpec(
        "heatmaps",
        "similarity matrices at chosen epochs next to WordNet's",
        _MATRICES,
        "heatmaps",
    ),
    FigureSpec(
        "scatter",
        "rank of each pair in the network against that in WordNet",
        f"{_LABELS}, and {_MATRICES}",
        "scatter",
    ),
    FigureSpec(
        "dendrogram",
        "trees of network and WordNet, facing each other (tanglegram)",
        _MATRICES,
        "dendrogram",
    ),
    FigureSpec(
        "typicality",
        "typicality of right and wrong samples",
        "features of samples (--test with --model)",
        "typicality",
    ),
    FigureSpec(
        "contact_sheet",
        "the worst mistakes of the last epoch as images",
        "image files (--test DATA with --model)",
        "image_grid",
    ),
)
ANIMATION_SPEC = FigureSpec(
    ANIMATION,
    "matrix, WordNet and agreement, epoch by epoch (only if requested by name)",
    _MATRICES,
)
"""The animation, which `dsi_cli.figures.animation` writes."""
_METRICS = {"agreement": "sai", "idm_errors": "idm", "wsi": "wsi"}
"""The metric in the curves table of each figure of curves."""


def with_data(results: Results) -> set[str]:
    """Return the names of the figures for which the results have data; dsi draws none
    of them.
    """
    metrics = set(results.curves["metric"])
    names = {name for name, metric in _METRICS.items() if metric in metrics}
    if not results.typicality.empty:
        names.add("typicality")
    for run in results.names:
        if matrices.matrix_frames(results, run) is not None:
            names |= {"heatmaps", "dendrogram", ANIMATION}
            if matrices.reference_matrix(results, run) is not None:
                names.add("scatter")
        if _has_images(results, run):
            names.add("contact_sheet")
    return names


def _has_images(results: Results, run: str) -> bool:
    for split in SPLITS:
        epochs = mistakes.stored_epochs(results, PREDICTIONS, run, split)
        if epochs and results.predictions(epochs[-1], split, run)["path"].notna().any():
            return not results.is_vast(run)  # very many classes have no ranks
    return False


def figure_spec(name: str) -> FigureSpec:
    """Return the description of a figure; raise `UsageError`, which suggests a name, if
    it does not exist.
    """
    by_name = {spec.name: spec for spec in (*FIGURES, ANIMATION_SPEC)}
    if name in by_name:
        return by_name[name]
    names = ", ".join(by_name)
    raise UsageError(
        f"there is no figure {name!r}: dsi plot draws {names}",
        hint=suggestion(name, by_name),
        code="unknown-figure",
        figure=name,
        suggestion=nearest(name, by_name),
    )
