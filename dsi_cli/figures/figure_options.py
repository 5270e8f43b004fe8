"""What a figure is asked for; the same for all figures, each of which looks at what concerns it."""

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
ANIMATION, FILMS = "animation", ("gif", "webp", "mp4")
"""The one figure that moves, drawn only where it is named since it takes long, and its formats."""


@dataclass(frozen=True)
class FigureOptions:
    """What a figure is asked for; None where the figure chooses."""

    runs: tuple[str, ...] | None = None
    """Names, in the order in which they are drawn; all runs of the output if None."""
    epochs: tuple[int, ...] | None = None
    """The trainer's own numbers, for figures of single epochs."""
    kind: str | None = None
    """Of the matrices that are shown: ncsm, ncsm_centred, ccsm, tncsm."""
    measure: str | None = None
    """Of the SAI; the first that the output has if None."""
    order: str = "taxonomy"
    """Of the classes: one of `dsi_cli.queries.class_order.ORDERS`."""
    style: Style = SCREEN
    open_image: Opener | None = None
    """From a sample's path to its image, for the contact sheet; a ``UsageError`` of it is the reason on a grey tile."""

    def names(self, run: Results) -> list[str]:
        """Return the names of the runs, in the order in which they are drawn."""
        return run.names if self.runs is None else list(self.runs)
