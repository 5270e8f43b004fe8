"""The phases of a training run as bands behind its curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsi_cli.figures.axes import LETTER_WIDTH, text_size
from dsi_cli.queries.curve_panels import Series
from dsi_cli.queries.phases import AGREEMENT_PREFIXES, PHASE_NAMES
from dsi_cli.store import parquet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dsi_cli.store.results import Results

TABLE = "phases.parquet"
SHADES = ("#f6ead2", "#e2eef8", "#e4f2e2", "#f0e6f4")
_CURVE_PREFIXES: dict[str, tuple[str, ...]] = {"sai": AGREEMENT_PREFIXES, "excess": AGREEMENT_PREFIXES, "wsi": ("wsi max",)}
"""The prefixes of the curve whose phases a panel shows, by panel."""


def draw_phases(axes: Axes, results: Results, curve: Series, panel: str) -> dict[str, Any]:
    """Shade the phases of a run behind its curve, and return the legend entries of the phases whose names do not fit.

    The name of each phase is at the top of its band. A SAI has phases only if it compares the NCSM with the reference.
    """
    if panel not in _CURVE_PREFIXES or (curve.metric == "sai" and curve.of != "ncsm,scsm"):
        return {}
    rows = _phase_rows(results, curve.run, _CURVE_PREFIXES[panel])
    if not rows:
        return {}
    low, high = axes.get_xlim()
    unnamed = {}
    for index, row in enumerate(rows):
        first, last = float(row["first_epoch"]), float(row["last_epoch"])
        name = str(row["phase"]) + (" of max" if panel == "wsi" else "")
        band = axes.axvspan(first, last, color=SHADES[index % len(SHADES)], linewidth=0, zorder=0, gid="phase")
        if not _write_name(axes, name, first, last, high - low):
            unnamed[name] = band
    axes.set_xlim(low, high)
    # Leave room for the names above the curve.
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.12 * (top - bottom))
    return unnamed


def _write_name(axes: Axes, text: str, first: float, last: float, epochs: float) -> bool:
    """Write the name of a phase at the top of its band if it fits, and return whether it does."""
    figure = axes.get_figure()
    assert figure is not None
    size = text_size("legend.fontsize")
    points = (last - first) / epochs * axes.bbox.width / figure.dpi * 72
    if points <= len(text) * LETTER_WIDTH * size:
        return False
    middle = (first + last) / 2
    transform = axes.get_xaxis_transform()
    axes.text(middle, 0.985, text, transform=transform, ha="center", va="top", size=size, color="#333333")
    return True


def _phase_rows(results: Results, run: str, prefixes: tuple[str, ...]) -> list[dict[str, Any]]:
    path = results.path / TABLE
    rows: list[dict[str, Any]] = parquet.read(path).to_pylist() if path.is_file() else []
    rows = [
        row for row in rows if row["run"] == run and row["phase"] in PHASE_NAMES and str(row["curve"]).startswith(prefixes)
    ]
    return sorted(rows, key=lambda row: float(row["first_epoch"]))
