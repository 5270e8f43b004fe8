"""Checks the options of figures, draws the figures and writes them in each format."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dsi_cli.errors import UsageError, require_choice, wrong
from dsi_cli.figures import catalogue
from dsi_cli.figures import style as styles
from dsi_cli.figures.catalogue import (
    ANIMATION,
    ANIMATION_FORMATS,
    FIGURES,
    FORMATS,
    FigureOptions,
)
from dsi_cli.figures.style import STYLES
from dsi_cli.queries import curve_panels
from dsi_cli.queries.run_classes import ORDERS
from dsi_cli.store import atomic_write
from dsi_cli.store.results import Results

# receives the stage, the number of completed steps and that of all steps
Progress = Callable[[str, int, int], None]
_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Metadata that Matplotlib leaves out, so that equal tables give equal files."""


def check_options(results: Results, options: FigureOptions) -> None:
    """Raise `UsageError` if a run, or the measure, order or style of some options, does
    not exist.
    """
    for name in options.names(results):
        results.epochs(name)  # raises if there is no such run
    if options.measure is not None:
        measures = curve_panels.sai_measures(results.curves)
        require_choice("measure", options.measure, measures, "there is no measure")
    require_choice("order", options.order, ORDERS, "there is no order")
    require_choice("style", options.style.name, STYLES, "there is no style")


def parse_epochs(
    results: Results, runs: Sequence[str], text: str | None
) -> tuple[int, ...] | None:
    """Return the epochs of ``0,5,30``, those of ``first:last:step`` that a run has, or
    None for all; raise `UsageError` for other texts, and if no run has one of them.
    """
    if text is None:
        return None
    known = {epoch for run in runs or results.names for epoch in results.epochs(run)}
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})(?::(\d{1,9}))?", text.strip())
    if match is not None and int(match[3] or 1) > 0:
        wanted = range(int(match[1]), int(match[2]) + 1, int(match[3] or 1))
        found = tuple(epoch for epoch in wanted if epoch in known)
        absent = [] if found else list(wanted[:1])
    elif re.fullmatch(r"\d{1,9}(\s*,\s*\d{1,9})*", text.strip()) is None:
        expected = "epochs such as 0,5,30 or first:last:step"
        raise wrong("--epochs", expected, repr(text), code="bad-epochs", epochs=text)
    else:
        found = tuple(int(part) for part in text.split(","))
        absent = sorted({*found} - known)
    if absent:
        raise UsageError(
            f"no run has epoch {', '.join(map(str, absent))}",
            hint=f"run dsi export {results.path} --table checkpoints to list the epochs",
            code="unknown-epoch",
            epochs=absent,
        )
    return found


def write(
    results: Results,
    names: Sequence[str],
    options: FigureOptions,
    formats: Sequence[str],
    folder: Path,
    progress: Progress = lambda *_: None,
) -> dict[str, list[Path]]:
    """Draw figures, all without names, and write each in each format, by default png,
    and gif for the animation.

    Return the files by name of the figure; a figure without data has none. Raise
    `UsageError` if a figure or a format does not exist, and `OutputError` if a file
    could not be written.
    """
    usable: list[str] = []
    if set(names) != {ANIMATION}:
        usable += FORMATS
    if ANIMATION in names:
        usable += ANIMATION_FORMATS
    for form in formats:
        require_choice("format", form, usable, "these figures have no format")
    figure_formats = [form for form in formats if form in FORMATS] or ["png"]
    animation_formats = [one for one in formats if one in ANIMATION_FORMATS] or ["gif"]

    specs = list(FIGURES)
    if names:
        chosen = dict.fromkeys(name for name in names if name != ANIMATION)
        specs = [catalogue.figure_spec(name) for name in chosen]
    files: dict[str, list[Path]] = {}
    for done, spec in enumerate(specs):
        progress("drawing figures", done, len(specs))
        with styles.using(options.style):
            figure = spec.draw(results, options)
            files[spec.name] = [
                save(figure, folder / f"{spec.name}.{form}", form)
                for form in figure_formats
                if figure is not None
            ]
    progress("drawing figures", len(specs), len(specs))
    if ANIMATION in names:
        from dsi_cli.figures import animation

        files[ANIMATION] = animation.animations(
            results, options, folder, animation_formats, progress
        )
    return files


def save(figure: Figure, path: Path, form: str) -> Path:
    """Write a figure in the current style, and return its path; raise `OutputError` if
    it cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata=_METADATA[form])
    atomic_write.write_atomically(path, buffer.getvalue())
    return path
