"""One kind of matrix over the epochs with a slider, the reference beside it: what a notebook shows, without widgets.

It is a page like the report, in a frame of its own inside the notebook. The frame is sandboxed: its scripts run, and reach nothing
outside it. So it looks the same in Jupyter, in VS Code and in nbviewer, two of them do not meet, and no label of a class can
touch the notebook.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from dsi_cli.errors import UsageError, count
from dsi_cli.report import budget, classes, document, matrices, sources
from dsi_cli.report.best import first_measure
from dsi_cli.report.drawn import EXCESS
from dsi_cli.report.matrices import Surveyed

if TYPE_CHECKING:
    from dsi_cli.store.runs import Run

SCRIPTS = (
    "dom.js",
    "frame.js",
    "data.js",
    "colours.js",
    "sides.js",
    "heatmaps.js",
    "tip.js",
    "player.js",
    "slider.js",
)
BYTES = 2_000_000
"""Of packed matrices: Jupyter drops an output that comes faster than 1 MB a second for three seconds."""
HEIGHT = 690
"""Pixels: two matrices side by side, with what stands above and below them."""


@dataclass(frozen=True)
class Slider:
    """A matrix over the epochs, as a notebook shows it; ``page`` is one self-contained HTML file to keep elsewhere."""

    title: str
    page: str

    def __repr__(self) -> str:
        """Return what it shows, and its size."""
        return f"Slider({self.title}: {len(self.page) / 1000:,.0f} kB)"

    def _repr_html_(self) -> str:
        name = escape(self.title)
        return (
            f'<div style="position:relative;height:{HEIGHT}px;max-width:980px">'
            f"<p>{name}: it is shown where the notebook is trusted, or once this cell has run.</p>"
            f'<iframe title="{name}" sandbox="allow-scripts" srcdoc="{escape(self.page)}" '
            'style="position:absolute;left:0;top:0;width:100%;height:100%;border:0"></iframe></div>'
        )


def slider(run: Run, name: str, kind: str, split: str | None = None, most_bytes: int = BYTES) -> Slider:
    """Return a matrix of a run over all its epochs, the main reference beside it.

    Parameters
    ----------
    run : the output
    name : a run in it
    kind : ncsm, ncsm_centred, ccsm or tncsm
    split : of a CCSM or TNCSM; test if None, and train where there is no test
    most_bytes : of packed matrices; where it is not enough, values are coarser, then some epochs are means of blocks of neighbours

    Raises
    ------
    UsageError
        There is no such matrix; the message says which there are.
    """
    source = _source(run, name, kind, split)
    survey = sources.survey(source)
    if survey is None:
        raise UsageError(
            f"every {source.name} of run {name!r} is empty: it has no class in common with what it is made from"
        )
    size = int((run.classes["run"] == name).sum())
    surveyed = Surveyed(name, source.epochs, size, [(source, survey)], sources.references(run, name)[:1])
    title = matrices.TITLES[kind][0] + (f", {source.split}" if source.split else "")
    span = f"{count(len(source.epochs), 'epoch')}"
    data, lines = _contents(run, surveyed, most_bytes)
    shown = {"title": f"{title} of {name}", "run": name, "span": span, "note": _note(data["runs"][0])}
    return Slider(f"{title} of {name}, {span}", document.assembled("slider.html", SCRIPTS, shown, data, lines))


def _source(run: Run, name: str, kind: str, split: str | None) -> sources.Source:
    there = sources.of_run(run, name)
    for source in there:
        if source.kind == kind and split in (None, source.split):
            return source
    asked = kind + (f" on {split}" if split else "")
    raise UsageError(
        f"no {asked} that changes over epochs in run {name!r}: there is {', '.join(one.name for one in there) or 'none'}"
    )


def _contents(run: Run, surveyed: Surveyed, most_bytes: int) -> tuple[dict[str, Any], matrices.Lines]:
    """Return what the page's scripts read."""
    ((source, _),) = surveyed.found
    rows = classes.rows(run, surveyed.name)
    orders = classes.orders(rows, source.read(source.epochs[-1]) if source.symmetric else None)
    (share,) = budget.shares([surveyed.need(len(orders))], most_bytes)
    lines: matrices.Lines = {}
    packed = matrices.pack(surveyed, share, orders, "m", lines)
    packed["matrices"] += matrices.pack_references(surveyed, "reference", lines)
    of_run = {
        "classes": 0,
        "epochs": source.epochs,
        "has_epochs": run.has_epochs(surveyed.name),
        "orders": classes.described(rows, orders, matrices.TITLES[source.kind][0]),
        **packed,
    }
    names = [row[:1] for row in classes.table(rows)]
    return {"runs": [of_run], "classes": [names], "facts": _facts(run, surveyed.name, source)}, lines


def _facts(run: Run, name: str, source: sources.Source) -> list[str]:
    """Return, for each epoch, how far the matrix agrees with the reference, beside chance."""
    found = next((one for one in first_measure(run.curves_of(name), EXCESS) if one.of == f"{source.name},scsm"), None)
    if found is None:
        return [""] * len(source.epochs)
    told = {
        epoch: f"{found.label} {value:.3f}, by chance {chance:.3f}, z {z:.1f}".replace("-", "−")
        for epoch, value, chance, z in zip(found.epochs.tolist(), found.value, found.chance, found.z, strict=True)
        if value == value
    }
    return [told.get(epoch, "") for epoch in source.epochs]


def _note(run: dict[str, Any]) -> str:
    """Return which epochs are whole, where not all are."""
    if len(run["whole"]) == len(run["epochs"]):
        return ""
    kept = ", ".join(map(str, run["whole"])) or "none"
    return f"Whole at epochs {kept}; between them the map shows means of blocks of neighbouring classes."
