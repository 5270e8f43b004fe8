"""Sizes, fonts and colours of a figure, for the columns of a paper or for a screen.

The palette is that of Okabe and Ito (2008), whose colours remain distinct with all
common kinds of colour vision. Names at the ends of lines, and line styles, distinguish
the same curves in greyscale. A style sets Matplotlib's rc parameters for one figure
only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

STYLES = ("screen", "paper")
# widths in inches on one column and on two columns
WIDTHS = {"screen": (8.0, 12.0), "paper": (3.35, 7.0)}
FONT_SIZES = {"screen": 9.0, "paper": 7.0}  # font sizes in points
DOTS_PER_INCH = {"screen": 200, "paper": 300}
# panels next to each other on one column and on two
PANELS_ACROSS = {"screen": (3, 3), "paper": (1, 3)}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, dark colours first."""
GROUP_COLOURS = (
    *("#4a3aa7", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99"),
    *("#aa4499", "#999933", "#cc6677"),
)
"""The colours of groups of classes, the same as in the report: the muted palette of
Tol (2021), which no run has, in turns dark and light. They repeat after nine groups.
"""
LINES = ("-", "--", ":", "-.")
CHANCE = (  # colour of chance levels, which are a thin grey line in a light grey band
    "#6b6b6b"
)
POSITIVE_COLOURS = (
    "#ffffff",
    "#e5def9",
    "#cbbfec",
    "#b2a1dd",
    "#9983cd",
    "#8266bc",
    "#6b48aa",
    "#562797",
    "#41007e",
)
NEGATIVE_COLOURS = (
    "#ffffff",
    "#f7e1d7",
    "#eac4b3",
    "#dca991",
    "#cc8e71",
    "#bb7350",
    "#a9582f",
    "#963e01",
    "#762f01",
)
"""The palettes of matrices from white in even steps of lightness, the same as in the
report: values above and below 0.
"""
OTHER_SCRIPTS = (
    "Noto Sans",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Microsoft YaHei",
    "Arial Unicode MS",
)
"""Fonts for characters that DejaVu Sans lacks, if they are installed; other such
characters are drawn as boxes.
"""
# grey for the diagonal and for classes without a value; neither palette contains it
NO_VALUE = "#c8c8cc"


class Style(NamedTuple):
    """The look of a figure."""

    name: str  # either paper or screen
    columns: int = 1  # number of columns of a paper: 1 (3.35 inches) or 2 (7.0 inches)

    @property
    def width(self) -> float:
        """The width in inches."""
        return WIDTHS[self.name][self.columns - 1]

    @property
    def across(self) -> int:
        """The maximum number of panels next to each other."""
        return PANELS_ACROSS[self.name][self.columns - 1]

    @property
    def size(self) -> float:
        """The font size in points."""
        return FONT_SIZES[self.name]

    @property
    def parameters(self) -> dict[str, Any]:
        """The rc parameters for Matplotlib."""
        axes_width, line_width = (0.6, 1.2) if self.name == "paper" else (0.8, 1.6)
        dpi = DOTS_PER_INCH[self.name]
        return {
            "font.family": "DejaVu Sans",
            "font.size": self.size,
            "axes.titlesize": self.size,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
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
            "svg.hashsalt": "dsi",
            "figure.constrained_layout.use": True,
        }


SCREEN = Style("screen")


@contextmanager
def using(style: Style) -> Iterator[None]:
    """Apply a style within a ``with`` block, on the Agg canvas, which needs no window
    system.
    """
    import matplotlib as mpl
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    fonts = [
        style.parameters["font.family"],
        *(name for name in OTHER_SCRIPTS if name in installed),
    ]
    parameters = style.parameters | {"backend": "Agg", "font.family": fonts}
    with mpl.rc_context(parameters), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        yield
