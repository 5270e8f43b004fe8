"""The phases of a run as bands behind its curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.figures.axes import WIDE_LETTER, text_size
from dsi_cli.queries.curve_panels import Series
from dsi_cli.queries.phases import AGREEMENT_PREFIXES, PHASE_NAMES
from dsi_cli.store import parquet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dsi_cli.store.results import Results

TABLE = "phases.parquet"
SHADES = ("#f6ead2", "#e2eef8", "#e4f2e2", "#f0e6f4")
_OF: dict[str, tuple[str, ...]] = {"sai": AGREEMENT_PREFIXES, "excess": AGREEMENT_PREFIXES, "wsi": ("wsi max",)}
"""By panel, how the name of the curve begins whose phases are shown."""


def draw(axes: Axes, run: Results, curve: Series, panel: str) -> dict[str, Any]:
    """Shade the phases that were found on a run's curve, each with its name on top where it fits; nothing where there are none.

    Return what a legend has to say: the bands whose name does not fit. A SAI has phases where it is that of the network's own
    matrix with the reference.
    """
    if panel not in _OF or (curve.metric == "sai" and curve.of != "ncsm,scsm"):
        return {}
    rows = _rows(run, curve.run, _OF[panel])
    if not rows:
        return {}
    low, high = axes.get_xlim()
    unnamed = {}
    for place, row in enumerate(rows):
        first, last = float(row["first_epoch"]), float(row["last_epoch"])
        name = str(row["phase"]) + (" of max" if panel == "wsi" else "")
        band = axes.axvspan(first, last, color=SHADES[place % len(SHADES)], linewidth=0, zorder=0, gid="phase")
        if not _name(axes, name, first, last, high - low):
            unnamed[name] = band
    axes.set_xlim(low, high)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.12 * (top - bottom))
    return unnamed


def _name(axes: Axes, text: str, first: float, last: float, whole: float) -> bool:
    """Write a phase's name at the top of its band, and return whether it fits."""
    figure = axes.get_figure()
    assert figure is not None
    size = text_size("legend.fontsize")
    room = (last - first) / whole * axes.bbox.width / figure.dpi * 72
    if room <= len(text) * WIDE_LETTER * size:
        return False
    place = ((first + last) / 2, 0.985)
    axes.text(*place, text, transform=axes.get_xaxis_transform(), ha="center", va="top", size=size, color="#333333")
    return True


def _rows(run: Results, name: str, begins: tuple[str, ...]) -> list[dict[str, Any]]:
    path = run.path / TABLE
    rows: list[dict[str, Any]] = parquet.read(path).to_pylist() if path.is_file() else []
    found = [
        row for row in rows if row["run"] == name and row["phase"] in PHASE_NAMES and str(row["curve"]).startswith(begins)
    ]
    return sorted(found, key=lambda row: float(row["first_epoch"]))
