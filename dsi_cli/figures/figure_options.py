"""The options that all figures share; each figure uses the options that concern it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsi_cli.figures.style import Style

if TYPE_CHECKING:
    from PIL.Image import Image

    from dsi_cli.store.results import Results

Opener = Callable[[str], "Image"]
SCREEN = Style("screen")
FORMATS = ("png", "svg", "pdf")
SCALES = ("rank", "raw")
"""The scales of a heat map: percentile ranks of pairs, or raw values."""
FIGURE_NAMES = (
    *(
        "agreement",
        "agreement_accuracy",
        "heatmaps",
        "difference",
        "scatter",
        "agreement_by_class",
        "neighbors",
        "dendrogram",
    ),
    *("sai", "excess", "wsi", "idm", "idm_errors", "accuracy", "loss", "learning_rate", "training", "mistakes", "severity"),
    *(
        "hierarchy",
        "levels",
        "gap",
        "reliability",
        "mean_row",
        "geometry",
        "typicality",
        "typicality_table",
        "typicality_histograms",
        "contact_sheet",
    ),
)
"""The names of all figures, for help texts; `dsi_cli.figures.catalogue` describes them in this order."""
ANIMATION, FILMS = "animation", ("gif", "webp", "mp4")
"""The name of the animation and its formats. It takes long, so dsi draws it only if it is requested by name."""


@dataclass(frozen=True)
class FigureOptions:
    """The options of a figure; the figure chooses a value for each option that is None."""

    runs: tuple[str, ...] | None = None
    """Names of the runs in drawing order; all runs if None."""
    epochs: tuple[int, ...] | None = None
    """Epoch numbers of the training run, for figures of single epochs."""
    kind: str | None = None
    """Kind of the matrices: ncsm, ncsm_centred, ccsm or tncsm."""
    measure: str | None = None
    """Measure of the SAI; the first in the table if None."""
    order: str = "taxonomy"
    """Order of the classes: one of `dsi_cli.queries.class_order.ORDERS`."""
    scale: str = "rank"
    """Scale of the heat maps: one of `SCALES`."""
    class_names: tuple[str, ...] | None = None
    """Names of classes, for figures of single classes."""
    style: Style = SCREEN
    open_image: Opener | None = None
    """Opens the image at a sample's path, for the contact sheet. The text of its ``UsageError`` appears on a grey tile."""

    def names(self, results: Results) -> list[str]:
        """Return the names of the runs in drawing order."""
        return results.names if self.runs is None else list(self.runs)
