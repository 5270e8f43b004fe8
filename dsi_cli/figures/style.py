"""Sizes, fonts and colours of a figure, for the columns of a paper or for a screen.

The palette is that of Okabe and Ito (2008), whose colours remain distinct with all common kinds of colour vision. Line styles and
markers distinguish the same curves in greyscale. A style sets Matplotlib's rc parameters for one figure only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

STYLES = ("screen", "paper")
WIDTHS = {"screen": (6.0, 12.0), "paper": (3.35, 7.0)}
"""Widths in inches on one column and on two columns."""
FONT_SIZES = {"screen": 11.0, "paper": 7.0}
"""Font sizes in points."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, dark colours first."""
LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (8, 2)), (0, (6, 2, 2, 2)))
"""Line styles of curves; dotted lines are reserved for chance levels."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CHANCE = "#6b6b6b"
"""Colour of chance levels."""
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"
"""Colour maps of similarities with both signs (0 in the middle) and with one sign."""


class Style(NamedTuple):
    """The look of a figure."""

    name: str
    """Either paper or screen."""
    columns: int = 1
    """Number of columns of a paper: 1 (3.35 inches) or 2 (7.0 inches)."""

    @property
    def width(self) -> float:
        """The width in inches."""
        return WIDTHS[self.name][self.columns - 1]

    @property
    def size(self) -> float:
        """The font size in points."""
        return FONT_SIZES[self.name]

    @property
    def parameters(self) -> dict[str, Any]:
        """The rc parameters for Matplotlib."""
        axes_width, line_width, dpi = (0.6, 1.2, 300) if self.name == "paper" else (0.8, 1.8, 144)
        return {
            "font.family": "DejaVu Sans",
            "font.size": self.size,
            "axes.titlesize": self.size + 1,
            "axes.labelsize": self.size,
            "xtick.labelsize": self.size - 1,
            "ytick.labelsize": self.size - 1,
            "legend.fontsize": self.size - 1,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": axes_width,
            "lines.linewidth": line_width,
            "savefig.dpi": dpi,
            "figure.dpi": dpi,
            "pdf.fonttype": 42,
            "svg.fonttype": "none",
            "hatch.linewidth": 0.4,
            "svg.hashsalt": "dsi",
            "figure.constrained_layout.use": True,
        }


@contextmanager
def using(style: Style) -> Iterator[None]:
    """Apply a style within a ``with`` block, on the Agg canvas, which needs no window system."""
    import matplotlib as mpl

    with mpl.rc_context(style.parameters | {"backend": "Agg"}):  # type: ignore[arg-type]
        yield
