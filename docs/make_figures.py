"""Draw the pictures of the README and the docs, by dsi's own figures, from an output of ``dsi demo``: make figures.

Each is a PNG of few colours, below `MOST_BYTES`, the same bytes from the same tables and libraries.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial.distance import cdist

from dsi_cli import Results, open_results
from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves, phase_bands
from dsi_cli.figures.catalogue import FigureOptions, figure_spec
from dsi_cli.figures.style import DIVERGING, SEQUENTIAL, Style, using
from dsi_cli.queries import curve_panels

IMAGES = Path(__file__).parent / "images"
CNN, VIT = "cifar100-cnn", "cifar100-vit"
DOTS, COLOURS, STEPS, MOST_BYTES = 80, 64, 100, 100_000


class Picture(NamedTuple):
    """A figure of the catalogue, as it is shown."""

    name: str
    runs: tuple[str, ...]
    columns: int = 1
    epochs: tuple[int, ...] | None = None
    kind: str | None = None
    file: str = ""

    @property
    def path(self) -> Path:
        """Where it goes."""
        return IMAGES / f"{self.file or self.name}.png"


PICTURES = (
    Picture("heatmaps", (CNN,), columns=2, epochs=(0, 1, 5, 30)),
    Picture("excess", (CNN,), columns=2),
    Picture("sai", (CNN, VIT), columns=2),
    Picture("wsi", (CNN,)),
    Picture("idm_errors", (CNN, VIT), columns=2),
    Picture("accuracy", (CNN, VIT), columns=2),
    Picture("training", (VIT,), columns=2),
    Picture("heatmaps", (VIT,), columns=2, epochs=(1, 5, 30), kind="ccsm", file="heatmaps-ccsm"),
    Picture("dendrogram", (CNN,)),
)
ALIGNMENT = IMAGES / "alignment.png"


def alignment(run: Results, style: Style) -> Figure:
    """Return the README's first picture: the SAI with WordNet of both runs beside each other, chance levels and phases."""
    figure, (width, height) = curves.grid(style, 2)
    kinds = [kind for kind in curve_panels.PANELS if kind.name == "sai"]
    said = {}
    for axes, name, title in zip(figure.axes, (CNN, VIT), ("small CNN", "tiny ViT"), strict=True):
        (panel,) = curve_panels.panels(run, [name], None, kinds)
        one = panel.series[0]
        drawing.draw_curve(axes, one, panel, drawing.axes_style(0), one.label)
        drawing.finish(axes, [one], panel)
        axes.set_ylim(0.68, 0.87)
        said |= phase_bands.draw_phases(axes, run, one, "sai")
        drawing.set_labels(axes, width, height, f"{title}: alignment with WordNet")
    handles = dict(zip(*reversed(figure.axes[0].get_legend_handles_labels()), strict=True))
    drawing.draw_legend(figure, drawing.band_handles(figure) | said, handles)
    return figure


def mapped(image: Image.Image) -> Image.Image:
    """Return a picture with maps in the colours of both colour maps, and greys: those that Pillow finds would be wrong ones."""
    maps = [mpl.colormaps[name](np.linspace(0, 1, STEPS))[:, :3] for name in (DIVERGING, SEQUENTIAL)]
    greys = np.repeat(np.linspace(0, 1, 256 - 2 * STEPS)[:, None], 3, axis=1)
    palette = np.round(255 * np.vstack([*maps, greys])).astype(np.uint8)
    pixels = np.asarray(image)
    found, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    nearest = cdist(found.astype(float), palette.astype(float)).argmin(axis=1).astype(np.uint8)
    made = Image.fromarray(nearest[places.reshape(pixels.shape[:2])], "P")
    made.putpalette(palette.tobytes())
    return made


def save(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG of few colours."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DOTS)
    with Image.open(buffer) as image:
        whole = image.convert("RGB")
    has_maps = any(axes.images for axes in figure.axes)
    drawn = mapped(whole) if has_maps else whole.quantize(COLOURS, dither=Image.Dither.NONE)
    drawn.save(path, optimize=True)
    assert path.stat().st_size <= MOST_BYTES, f"{path} has {path.stat().st_size:,} bytes"


def main(out: Path) -> None:
    run = open_results(out)
    with using(Style("screen", 2)):
        save(alignment(run, Style("screen", 2)), ALIGNMENT)
    for one in PICTURES:
        style = Style("screen", one.columns)
        with using(style):
            figure = figure_spec(one.name).draw(run, FigureOptions(one.runs, one.epochs, one.kind, style=style))
            assert figure is not None
            save(figure, one.path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
