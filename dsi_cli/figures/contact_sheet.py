"""The contact sheet of `dsi_cli.views.contact_sheet` as a figure: the most telling mistakes of a run's last epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsi_cli.figures.asked import Asked
from dsi_cli.store.schema import PREDICTIONS
from dsi_cli.views.mistakes import SPLITS, Listing, Mistake, epochs_of, most_telling
from dsi_cli.views.mistakes import Asked as Which

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dsi_cli.store.runs import Run

MOST = 20


def draw(run: Run, asked: Asked) -> Figure | None:
    """Return the sheet of the first run that has images (on test, else on train), of the last epoch asked for; None where none has.

    It spans two columns: on one, the text under the images could not be read.
    """
    listing = next((found for name in asked.names(run) if (found := _listing(run, name, asked)) is not None), None)
    if listing is None or asked.open_image is None:
        return None
    import numpy as np
    from matplotlib.figure import Figure

    from dsi_cli.views import contact_sheet

    image = contact_sheet.draw(listing, asked.open_image).image
    width = asked.style._replace(columns=2).width
    figure = Figure(figsize=(width, width * image.height / image.width))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.asarray(image), aspect="auto", interpolation="lanczos")
    axes.set_axis_off()
    return figure


def _listing(run: Run, name: str, asked: Asked) -> Listing[Mistake] | None:
    """Return a run's mistakes that have images; None without any, or with too many classes for how near mistakes fall."""
    if run.is_vast(name):
        return None
    for split in SPLITS:
        there = [one for one in epochs_of(run, PREDICTIONS, name, split) if asked.epochs is None or one in asked.epochs]
        if there:
            found = most_telling(run, Which(name, there[-1], split, most=MOST))
            if any(row.path for row in found.rows):
                return found
    return None
