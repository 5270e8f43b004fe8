"""Sizes, fonts and colours of a figure: for a paper's columns, or for a screen.

The colours are Okabe and Ito's, which people with any common colour vision tell apart; line styles and markers tell the same
curves apart in grey. Matplotlib's own settings stay as they are: a style is a set of rc parameters for one figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, dark before light."""
LINES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (8, 2)), (0, (6, 2, 2, 2)))
"""None of them dotted: dots are a chance level's."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Tell the curves of runs apart in grey."""
CHANCE = "#6b6b6b"
"""Of chance levels and their bands."""
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"
"""Colour maps of similarities: with both signs (0 in the middle), and of one sign; both are told apart in grey by lightness
or, for the diverging one, by the sign that the bar names."""


class Style(NamedTuple):
    """What decides how a figure looks."""

    name: str
    """paper or screen."""
    columns: int = 1
    """Columns of a paper that it spans: 1 (3.35 inches) or 2 (7.0 inches)."""

    @property
    def width(self) -> float:
        """Inches."""
        return (3.35, 7.0)[self.columns - 1] if self.name == "paper" else (6.0, 12.0)[self.columns - 1]

    @property
    def size(self) -> float:
        """Of text, in points."""
        return 7.0 if self.name == "paper" else 11.0

    @property
    def parameters(self) -> dict[str, Any]:
        """Matplotlib's rc parameters."""
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
            "axes.linewidth": 0.6 if self.name == "paper" else 0.8,
            "lines.linewidth": 1.2 if self.name == "paper" else 1.8,
            "savefig.dpi": 300 if self.name == "paper" else 144,
            "figure.dpi": 300 if self.name == "paper" else 144,
            "pdf.fonttype": 42,
            "svg.fonttype": "none",
            "hatch.linewidth": 0.4,
            "svg.hashsalt": "dsi",
            "figure.constrained_layout.use": True,
        }


STYLES = ("screen", "paper")


@contextmanager
def using(style: Style) -> Iterator[None]:
    """Draw in a style, on the Agg canvas: no window system is needed, and settings outside stay as they were."""
    import matplotlib as mpl

    with mpl.rc_context(style.parameters | {"backend": "Agg"}):  # type: ignore[arg-type]
        yield
